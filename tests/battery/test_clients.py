"""Each defect of a client fails the conformance test that is named after it, and no other; correct clients pass."""

from __future__ import annotations

import pytest

from battery.clients import CORRECT, DEFECTS
from battery.outcomes import as_set, failed_tests

SUITE = "pytest_veeqo_alloc.conformance"
MODULE = "test_veeqo_alloc_client"


def run_suite(pytester: pytest.Pytester, *options: str, hook: str = "") -> pytest.RunResult:
    """Run the half of the conformance suite that is about clients in this process: an import costs more."""
    if hook:
        pytester.makeconftest(hook)
    return pytester.runpytest_inprocess(
        "--pyargs", f"{SUITE}.{MODULE}", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir=.",
        "--veeqo-alloc-profile=strict", "--veeqo-alloc-client-timeout=1", *options,
    )  # fmt: skip


@pytest.mark.parametrize("library", CORRECT)
def test_correct_client_passes(library: str, pytester: pytest.Pytester) -> None:
    result = run_suite(pytester, f"--veeqo-alloc-client=battery.clients:{CORRECT[library]}")
    assert result.parseoutcomes().keys() == {"passed"}


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_fails_the_test_that_is_named_after_it(name: str, pytester: pytest.Pytester) -> None:
    tests, _ = DEFECTS[name]
    hook = f"from battery.clients import defective\n\ndef pytest_veeqo_alloc_client(request):\n    return defective({name!r})\n"
    result = run_suite(pytester, hook=hook)
    assert failed_tests(result) == {f"{MODULE}::{test}" for test in as_set(tests)}, result.stdout.str()
    result.stdout.no_fnmatch_line("*fake-key-for-tests*")


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
