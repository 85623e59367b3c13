"""Each defect of a server fails the conformance test that names it and no control test; a correct server passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from battery.aiohttp_app import running_in_aiohttp
from battery.app import KEY, CorrectServer, running
from battery.defects import DEFECTS, accepting, request_test, response_test, with_body
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS, RESPONSE_MUTATIONS, broken_payloads
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.sampling import samples

SUITE = "pytest_veeqo_alloc.conformance"
CONTROL = "test_veeqo_alloc_refusals::test_other_method_is_rejected[PUT]"
OTHER_CONTROL = "test_veeqo_alloc_answers::test_response_follows_rule[location-missing]"


def run_suite(pytester: pytest.Pytester, url: str, *tests: str) -> pytest.RunResult:
    """Run *tests* of the conformance suite, or all of them, against *url*, in this process: an import costs more."""
    named = [f"{SUITE}.{test}" for test in tests] or [SUITE]
    return pytester.runpytest_inprocess(
        "--pyargs", *named, "-q", "-p", "no:cacheprovider", "-W", "error", "--veeqo-alloc-profile=strict",
        f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={url.partition('://')[2]}",
        "--veeqo-alloc-orders=any", "--veeqo-alloc-max-writes=500", "--veeqo-alloc-rate=1000",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)


def assert_only_failure(server: Callable[[], Any], pytester: pytest.Pytester, test: str) -> None:
    control = OTHER_CONTROL if test == CONTROL or "test_veeqo_alloc_refusals" in test else CONTROL
    with running(server()) as url:
        result = run_suite(pytester, url, test, control)
    assert f"FAILED {test.replace('::', '.py::')}" in result.stdout.str()
    result.assert_outcomes(failed=1, passed=1)


@pytest.mark.parametrize("framework", ["WSGI", "aiohttp"])
def test_correct_server_passes(framework: str, pytester: pytest.Pytester) -> None:
    with running(CorrectServer()) if framework == "WSGI" else running_in_aiohttp(CorrectServer()) as url:
        result = run_suite(pytester, url)
    assert result.ret == 0


@pytest.mark.parametrize("rule", RESPONSE_MUTATIONS)
def test_broken_response_fails_the_test_of_its_rule(rule: str, pytester: pytest.Pytester) -> None:
    (broken,) = samples(broken_payloads(balanced_orders(), {rule: RESPONSE_MUTATIONS[rule]}), 1)
    assert_only_failure(with_body(broken.payload), pytester, response_test(rule))


@pytest.mark.parametrize("rule", REQUEST_MUTATIONS)
def test_accepted_broken_request_fails_the_test_of_its_rule(rule: str, pytester: pytest.Pytester) -> None:
    assert_only_failure(accepting(rule), pytester, request_test(rule))


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_fails_the_test_that_names_it(name: str, pytester: pytest.Pytester) -> None:
    test, server = DEFECTS[name]
    assert_only_failure(server, pytester, test)
