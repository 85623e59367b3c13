"""Each defect of a server fails the conformance test that is named after it, and no other; correct servers pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from battery.outcomes import as_set, failed_tests

from pytest_veeqo_alloc import RuleId
from pytest_veeqo_alloc.strategies import sampling
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS, RESPONSE_MUTATIONS, broken_payloads
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.sampling import samples
from servers.aiohttp_app import running_in_aiohttp
from servers.app import KEY, CorrectServer, running
from servers.defects import (
    ANSWERS,
    DEFECTS,
    REFUSALS,
    STATE,
    VARIANTS,
    accepting,
    accepting_order_ids,
    broken_test,
    one_id_and_no_state,
    refusal_test,
    refused_test,
    response_test,
    with_body,
    with_methods,
)

SUITE = "pytest_veeqo_alloc.conformance"


def run_suite(
    pytester: pytest.Pytester, url: str, *options: str, tests: Iterable[str] = (), profile: str = "strict"
) -> pytest.RunResult:
    """Run *tests* or all tests of the suite that are about servers, in this process: an import costs more."""
    return pytester.runpytest_inprocess(
        "--pyargs", *([f"{SUITE}.{test}" for test in tests] or [SUITE]), "-q", "-p", "no:cacheprovider", "-W", "error", f"--veeqo-alloc-profile={profile}",
        f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={url.partition('://')[2]}",
        "--veeqo-alloc-orders=any", "--veeqo-alloc-max-writes=1500", "--veeqo-alloc-rate=1000", *options,
    )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _requests_drawn_once() -> Iterator[None]:
    """Draw the requests of the suite in the first run only. This takes half of the time of a run."""
    drawn: dict[tuple[object, ...], list[Any]] = {}

    def drawing_once(draw: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def drawing(*arguments: Any) -> list[Any]:
            key = (draw, *map(str, arguments))
            if key not in drawn:
                drawn[key] = draw(*arguments)
            return drawn[key]

        return drawing

    with pytest.MonkeyPatch.context() as patch:
        for name in ("broken_requests", "valid_requests"):
            patch.setattr(sampling, name, drawing_once(getattr(sampling, name)))
        yield


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)


def assert_failures(
    server: Callable[[], Any], pytester: pytest.Pytester, expected: set[str], *, tests: Iterable[str] = ()
) -> None:
    with running(server()) as url:
        result = run_suite(pytester, url, tests=tests)
    assert failed_tests(result) == expected, result.stdout.str()


@pytest.mark.parametrize("framework", ["WSGI", "aiohttp"])
def test_correct_server_passes(framework: str, pytester: pytest.Pytester) -> None:
    with running(CorrectServer()) if framework == "WSGI" else running_in_aiohttp(CorrectServer()) as url:
        result = run_suite(pytester, url)
    assert result.ret == 0
    assert result.parseoutcomes().keys() == {"passed", "deselected"}
    result.stdout.no_fnmatch_line("veeqo-alloc: warning*")


@pytest.mark.parametrize("name", VARIANTS)
def test_correct_variant_passes(name: str, pytester: pytest.Pytester) -> None:
    assert_failures(VARIANTS[name], pytester, set())


@pytest.mark.parametrize("rule", [rule for rule in RESPONSE_MUTATIONS if rule != "not-an-order"])
def test_broken_response_fails_the_test_of_its_rule(rule: RuleId, pytester: pytest.Pytester) -> None:
    (broken,) = samples(broken_payloads(balanced_orders(), {rule: RESPONSE_MUTATIONS[rule]}), 1)
    test = response_test(rule)
    assert_failures(with_body(broken.payload), pytester, {test}, tests=[test, response_test("location-missing")])


@pytest.mark.parametrize("rule", [rule for rule in REQUEST_MUTATIONS if rule not in ("undocumented-field", "too-deep")])
def test_accepted_broken_request_fails_the_test_of_its_rule(rule: str, pytester: pytest.Pytester) -> None:
    test = broken_test(rule)
    assert_failures(accepting(rule), pytester, {test}, tests=[test, broken_test("too-deep")])


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_fails_the_test_that_is_named_after_it(name: str, pytester: pytest.Pytester) -> None:
    tests, server = DEFECTS[name]
    assert_failures(server, pytester, as_set(tests))


# Severity decides


ALL_CONVENTIONS = with_methods(
    authorise=lambda self, headers: None,
    order_id=accepting_order_ids(r"0|-1|\d{20,}"),
    allocate=one_id_and_no_state,
)
"""A server that violates no documented rule, and these conventions."""

CONVENTIONS = {
    f"{REFUSALS}::test_request_is_refused[key-not-required]": "wanted a 4xx status, such as 401; got 201",
    f"{REFUSALS}::test_request_is_refused[order-id-not-positive-accepted]": "wanted a 4xx status, such as 404; got 201",
    f"{REFUSALS}::test_huge_order_id_is_refused_or_answered_exactly[unknown-order-accepted]": "wanted a 4xx status, such as 404; got 201",
    f"{ANSWERS}::test_allocations_have_distinct_ids[allocation-ids-not-distinct]": "wanted a different id for each; got the id 1 twice",
    f"{STATE}::test_allocations_add_up[allocations-not-accumulated]": "wanted the sum of all allocations of the order; got 1 unit after 1 unit and then 1 were allocated, and 2 more",
}  # fmt: skip


def test_conventions_warn_with_test_and_finding_under_the_default_profile(pytester: pytest.Pytester) -> None:
    with running(ALL_CONVENTIONS()) as url:
        result = run_suite(pytester, url, profile="documented")
    assert result.ret == 0
    lines = [line.removeprefix("veeqo-alloc: warning: ") for line in result.outlines if ": warning: " in line]
    warnings = {line.partition(": at ")[0]: line.partition("wanted")[2] for line in lines}
    assert warnings == {test.partition("::")[2]: got.removeprefix("wanted") for test, got in CONVENTIONS.items()}


def test_conventions_fail_under_the_strict_profile(pytester: pytest.Pytester) -> None:
    assert_failures(ALL_CONVENTIONS, pytester, set(CONVENTIONS))


def test_rule_option_and_deviations_apply_to_behaviours(pytester: pytest.Pytester) -> None:
    (pytester.path / "known.toml").write_text(
        '[[deviation]]\nrule = "unknown-order-accepted"\nlocation = "status"\nreason = "orders are made up"\n', "utf-8"
    )
    rules = ("key-not-required=error", "order-id-not-positive-accepted=off")
    with running(ALL_CONVENTIONS()) as url:
        options = ("--veeqo-alloc-deviations=known.toml", *(f"--veeqo-alloc-rule={rule}" for rule in rules))
        result = run_suite(pytester, url, *options, profile="documented")
    assert failed_tests(result) == {f"{REFUSALS}::test_request_is_refused[key-not-required]"}
    text = result.stdout.str()
    assert "veeqo-alloc: deviations: 1 used, 0 stale, 0 expired" in text
    assert "warning: test_allocations_add_up" in text
    assert "unknown-order-accepted]: at" not in text
    assert "order-id-not-positive-accepted]: at" not in text


def test_accepted_broken_request_is_as_severe_as_the_rule_that_it_breaks(pytester: pytest.Pytester) -> None:
    with running(accepting("quantity-not-positive", "required-field")()) as url:
        result = run_suite(pytester, url, profile="documented")
    assert failed_tests(result) == {broken_test("required-field")}
    result.stdout.fnmatch_lines([
        "veeqo-alloc: warning: test_broken_request_is_refused?broken-request-accepted-quantity-not-positive?: at response "
        "status: wanted a 4xx status; got 201*"
    ])  # fmt: skip


def test_behaviours_are_counted_among_the_rules(pytester: pytest.Pytester) -> None:
    with running(CorrectServer()) as url:
        run_suite(pytester, url, "--veeqo-alloc-report=report.json", tests=[f"{REFUSALS}::test_request_is_refused"])
    report = json.loads((pytester.path / "report.json").read_text("utf-8"))
    rules = report["runs"][0]["origins"]["target"]["rules"]
    assert {rule for rule in rules if rules[rule]["looked_at"]} >= {"key-not-required", "method-accepted"}


# Failures


def test_failure_shows_the_request_and_what_came(pytester: pytest.Pytester) -> None:
    test = refused_test("key-not-required")
    with running(DEFECTS["any key"][1]()) as url:
        result = run_suite(pytester, url, "--junit-xml=report.xml", tests=[test])
    command = [
        f"curl -g -X POST {url}/orders/*/allocations \\",
        "  -H 'x-api-key: not-the-key-of-anybody' \\",
        "  -H 'Content-Type: application/json' \\",
        """  --data-raw '{"allocation": {"warehouse_id": 1784, "line_items_attributes": """
        """[{"sellable_id": 1226615, "quantity": 1}]}}'""",
    ]
    shown = [f"      {line}".replace("[", "?") for line in command]  # a bracket starts a set of characters
    result.stdout.fnmatch_lines(["  sent", *shown, "  came    201, application/json"])
    (recorded,) = commands_in(pytester.path / "report.xml")
    assert recorded.splitlines()[1:] == command[1:]


def test_long_command_is_cut_except_in_the_report(pytester: pytest.Pytester) -> None:
    with running(DEFECTS["large member fails"][1]()) as url:
        result = run_suite(pytester, url, "--junit-xml=report.xml", tests=[refusal_test("server-error")])
    sent = result.outlines.index("  sent")
    came = result.outlines.index("  came    500, application/json")
    shown = result.outlines[sent + 1 : came]
    assert len(shown) <= 10
    assert max(map(len, shown)) < 600
    assert shown[-1].strip() == "... (the JUnit report has the whole command)"
    (command,) = commands_in(pytester.path / "report.xml")
    assert len(command) > 1_000_000
    assert KEY not in command + result.stdout.str()
    assert "$VEEQO_ALLOC_API_KEY" in command


def commands_in(path: Path) -> list[str]:
    """Return the values of the property `veeqo_alloc_command` in a JUnit report."""
    properties = ElementTree.parse(path).iter("property")
    return [entry.get("value", "") for entry in properties if entry.get("name") == "veeqo_alloc_command"]
