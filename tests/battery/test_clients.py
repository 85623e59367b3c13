"""Correct clients of many kinds pass the conformance suite. Each defect fails the test named after it, and no other."""

from __future__ import annotations

import gc
import re
import shutil

import pytest

from battery import more_clients
from battery.clients import DEFECTS
from battery.more_clients import CORRECT, PROGRAMS
from battery.outcomes import as_set, failed_tests

SUITE = "pytest_veeqo_alloc.conformance"
MODULE = "test_veeqo_alloc_client"
CALLS = 50
"""The most calls of a correct client. At 0.8 seconds each, for a program that starts for each call, they take 40 seconds."""


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def run_suite(pytester: pytest.Pytester, *options: str, hook: str = "") -> pytest.RunResult:
    """Run the half of the conformance suite that is about clients in this process: an import costs more."""
    if hook:
        pytester.makeconftest(hook)
    result = pytester.runpytest_inprocess(
        "--pyargs", f"{SUITE}.{MODULE}", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir=.",
        "-W", "ignore::ResourceWarning",  # urllib3 leaves the socket of a broken response to the garbage collector
        "--veeqo-alloc-profile=strict", "--veeqo-alloc-client-timeout=1", *options,
    )  # fmt: skip
    gc.collect()  # here, where the warning about such a socket is ignored
    return result


def hook(module: str, expression: str) -> str:
    """Return a conftest.py that names the client that *expression* gives in *module* of this folder."""
    return (
        f"from battery import {module}\n\ndef pytest_veeqo_alloc_client(request):\n    return {module}.{expression}\n"
    )


# A client in node starts slowly.
@pytest.mark.parametrize(
    ("name", "profile"), [(n, p) for n in CORRECT for p in ("documented", "strict") if (n, p) != ("node", "strict")]
)
def test_correct_client_passes(name: str, profile: str, pytester: pytest.Pytester) -> None:
    options = [f"--veeqo-alloc-profile={profile}"]
    if name in PROGRAMS:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        options += ["--veeqo-alloc-client-timeout=5"]
    result = run_suite(pytester, *options, hook=hook("more_clients", f"CORRECT[{name!r}]"))
    assert result.parseoutcomes().keys() == {"passed"}
    result.stdout.no_fnmatch_line("*warning:*")
    (sent,) = re.findall(r"^veeqo-alloc: ([0-9]+) interactions", result.stdout.str(), re.MULTILINE)
    assert int(sent) <= CALLS or "reads" in name


_DEFECTS = [("clients", name, tests) for name, (tests, _) in DEFECTS.items()]
_DEFECTS += [("more_clients", name, tests) for name, (tests, _) in more_clients.DEFECTS.items()]


@pytest.mark.parametrize(("module", "name", "tests"), _DEFECTS, ids=[name for _, name, _ in _DEFECTS])
def test_defect_fails_the_test_that_is_named_after_it(
    module: str, name: str, tests: str | tuple[str, ...], pytester: pytest.Pytester
) -> None:
    result = run_suite(pytester, hook=hook(module, f"DEFECTS[{name!r}][1]"))
    assert failed_tests(result) == {f"{MODULE}::{test}" for test in as_set(tests)}, result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    if name != more_clients.OWN_LOG:
        result.stdout.no_fnmatch_line("*conformance-*")


UNUSABLE = {
    "no module": ("nowhere:make_client", "the client 'nowhere:make_client' cannot be imported: no module 'nowhere'"),
    "nothing of that name": ("battery.clients:make", "the client 'battery.clients:make' cannot be imported: no attribute 'make'"),
    "no function": ("battery.clients:number", "the client must be make_client(base_url, api_key), not int"),
    "another make_client": ("battery.clients:one_argument", "the client must have the signature make_client(base_url, api_key)"),
    "another allocate": ("battery.clients:other_allocate", "the client must have the signature allocate(order_id, warehouse_id, line_items)"),
    "an end of the process": ("battery.clients:exits", "the client raises SystemExit, which ends the process"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_client_stops_the_run_with_one_sentence(name: str, pytester: pytest.Pytester) -> None:
    option, sentence = UNUSABLE[name]
    result = run_suite(pytester, f"--veeqo-alloc-client={option}")
    text = result.stdout.str()
    assert sentence in text
    assert "Traceback" not in text
    assert text.count(sentence) <= 3
    assert result.ret == 1


@pytest.mark.parametrize(
    ("client", "sentence"),
    [
        (
            "sends_nothing",
            "the client sends no request to the URL that it is given; use base_url; if the environment *",
        ),
        ("never_returns", "the client does not return within 1 seconds of a documented response"),
    ],
    ids=["sends nothing", "never returns"],
)
def test_client_without_an_outcome_stops_the_run(client: str, sentence: str, pytester: pytest.Pytester) -> None:
    result = run_suite(pytester, f"--veeqo-alloc-client=battery.clients:{client}")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*veeqo-alloc: {sentence}"])
    result.stdout.no_fnmatch_line("*Traceback*")
