"""Each defect of a client is caught by the test that is named after it, and by no control; correct clients are clean."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from battery.clients import CORRECT, DEFECTS

SUITE = "pytest_veeqo_alloc.conformance"
MODULE = "test_veeqo_alloc_client"
CONTROL, OTHER_CONTROL = "test_client_accepts_response[chunked body]", "test_request_follows_rule[duplicate-key]"
NO_ANSWER = ("test_request_follows_rule[", "test_a_client_asks")


def judge(folder: Path, *options: str, tests: tuple[str, ...] = (), hook: str = "") -> subprocess.CompletedProcess[str]:
    if hook:
        (folder / "tests").mkdir()
        (folder / "tests" / "conftest.py").write_text(hook, encoding="utf-8")
    named = [f"{SUITE}.{MODULE}::{test}" for test in tests] or [f"{SUITE}.{MODULE}"]
    command = [sys.executable, "-m", "pytest", "--pyargs", *named, "-q", "-p", "pytest_veeqo_alloc.plugin", "-W", "error", "-p", "no:cacheprovider",
               "--veeqo-alloc-profile=strict", "--veeqo-alloc-client-timeout=1", *options]  # fmt: skip
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    environment.pop("COV_CORE_SOURCE", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("library", CORRECT)
def test_a_correct_client_is_clean(library: str, tmp_path: Path) -> None:
    done = judge(tmp_path, f"--veeqo-alloc-client=battery.clients:{CORRECT[library]}")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("what", DEFECTS)
def test_a_defect_is_caught(what: str, tmp_path: Path) -> None:
    test, _ = DEFECTS[what]
    control = OTHER_CONTROL if test.startswith(NO_ANSWER) else CONTROL
    hook = f"from battery.clients import defective\n\ndef pytest_veeqo_alloc_client(request):\n    return defective({what!r})\n"
    done = judge(tmp_path, tests=(test, control), hook=hook)
    assert f"FAILED {MODULE}.py::{test}" in done.stdout, done.stdout
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "fake-key-for-tests" not in done.stdout


UNFIT = {
    "no module": ("nowhere:make_client", "the client 'nowhere:make_client' cannot be imported: there is no module 'nowhere'"),
    "no callable named": ("battery.clients", "--veeqo-alloc-client is module:callable, such as shop.veeqo:make_client, not 'battery.clients'"),
    "nothing of that name": ("battery.clients:make", "the client 'battery.clients:make' cannot be imported: there is no 'make' in it"),
    "no function": ("battery.clients:number", "the client is make_client(base_url, api_key), not int"),
    "another make_client": ("battery.clients:one_argument", "the client has another signature than make_client(base_url, api_key)"),
    "another allocate": ("battery.clients:other_allocate", "the client has another signature than allocate(order_id, warehouse_id, line_items)"),
    "an end of the process": ("battery.clients:exits", "the client ends the process (SystemExit)"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNFIT)
def test_a_client_that_cannot_be_driven_is_one_sentence_and_a_stop(what: str, tmp_path: Path) -> None:
    named, sentence = UNFIT[what]
    done = judge(tmp_path, f"--veeqo-alloc-client={named}")
    assert sentence in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.count(sentence) <= 3, done.stdout
    assert done.returncode == 1


def test_a_client_that_sends_nothing_is_told_so(tmp_path: Path) -> None:
    done = judge(
        tmp_path, "--veeqo-alloc-client=battery.clients:sends_nothing", tests=("test_request_follows_rule[wrong-type]",)
    )
    assert "the client sent nothing to the URL that it was given" in done.stdout


def test_a_client_that_never_comes_back_is_told_so(tmp_path: Path) -> None:
    done = judge(tmp_path, "--veeqo-alloc-client=battery.clients:sleeps", tests=(CONTROL,))
    assert "the client did not give up within 1 seconds (--veeqo-alloc-client-timeout)" in done.stdout
