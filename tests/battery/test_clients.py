"""Each defect of a client fails the conformance test that names it and no control test; correct clients pass."""

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
ABOUT_REQUESTS = ("test_request_follows_rule[", "test_client_sends_the_given")


def run_suite(
    folder: Path, *options: str, tests: tuple[str, ...] = (), hook: str = ""
) -> subprocess.CompletedProcess[str]:
    if hook:
        (folder / "tests").mkdir()
        (folder / "tests" / "conftest.py").write_text(hook, encoding="utf-8")
    named = [f"{SUITE}.{MODULE}::{test}" for test in tests] or [f"{SUITE}.{MODULE}"]
    command = [sys.executable, "-m", "pytest", "--pyargs", *named, "-q", "-p", "pytest_veeqo_alloc.plugin", "-W", "error", "-p", "no:cacheprovider",
               "--veeqo-alloc-profile=strict", "--veeqo-alloc-client-timeout=1", *options]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    environment.pop("COV_CORE_SOURCE", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("library", CORRECT)
def test_correct_client_passes(library: str, tmp_path: Path) -> None:
    done = run_suite(tmp_path, f"--veeqo-alloc-client=battery.clients:{CORRECT[library]}")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_fails_the_test_that_names_it(name: str, tmp_path: Path) -> None:
    test, _ = DEFECTS[name]
    control = OTHER_CONTROL if test.startswith(ABOUT_REQUESTS) else CONTROL
    hook = f"from battery.clients import defective\n\ndef pytest_veeqo_alloc_client(request):\n    return defective({name!r})\n"
    done = run_suite(tmp_path, tests=(test, control), hook=hook)
    assert f"FAILED {MODULE}.py::{test}" in done.stdout, done.stdout
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "fake-key-for-tests" not in done.stdout


UNUSABLE = {
    "no module": ("nowhere:make_client", "the client 'nowhere:make_client' cannot be imported: no module 'nowhere'"),
    "no callable named": ("battery.clients", "--veeqo-alloc-client must be module:callable, such as shop.veeqo:make_client, not 'battery.clients'"),
    "nothing of that name": ("battery.clients:make", "the client 'battery.clients:make' cannot be imported: no attribute 'make'"),
    "no function": ("battery.clients:number", "the client must be make_client(base_url, api_key), not int"),
    "another make_client": ("battery.clients:one_argument", "the client must have the signature make_client(base_url, api_key)"),
    "another allocate": ("battery.clients:other_allocate", "the client must have the signature allocate(order_id, warehouse_id, line_items)"),
    "an end of the process": ("battery.clients:exits", "the client raises SystemExit, which ends the process"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_client_stops_the_run_with_one_sentence(name: str, tmp_path: Path) -> None:
    option, sentence = UNUSABLE[name]
    done = run_suite(tmp_path, f"--veeqo-alloc-client={option}")
    assert sentence in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.count(sentence) <= 3, done.stdout
    assert done.returncode == 1


def test_client_that_sends_nothing_is_reported(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path, "--veeqo-alloc-client=battery.clients:sends_nothing", tests=("test_request_follows_rule[wrong-type]",)
    )
    assert "the client sent no request to the given base URL" in done.stdout


def test_client_that_never_returns_is_reported(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--veeqo-alloc-client=battery.clients:sleeps", tests=(CONTROL,))
    assert "the client did not give up within 1 seconds (--veeqo-alloc-client-timeout)" in done.stdout
