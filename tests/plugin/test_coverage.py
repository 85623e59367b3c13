"""Coverage and reports of pytest runs."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema  # noqa: F401  # otherwise each test imports it again, since pytester forgets it
import pytest
from support.bodies import BODY

from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.coverage.report_model import totals_by_origin
from pytest_veeqo_alloc.reporting.report_file import load

STRICTLY = ("-W", "error", "-p", "no:randomly")
GOOD = f"GOOD = {BODY}\n"
TESTS = (
    GOOD
    + """
import pytest
import requests
from pytest_veeqo_alloc import build_order


def post(server, path="/orders/447452/allocations"):
    return requests.post(server.url + path, json=GOOD, headers={"x-api-key": server.api_key}, timeout=5)

def test_client(veeqo_alloc_server):
    assert post(veeqo_alloc_server, "/orders/447452/allocations?page=1").status_code == 201

def test_server(veeqo_alloc_contract):
    order = build_order()
    del order["payment"], order["number"]
    assert not veeqo_alloc_contract.check_body("response", order | {"colour": "red"}).ok
"""
)
RULES = [rule for rule in CATALOGUE.values() if rule.sides != ("file",) and rule.severities["documented"] != "off"]
SUMMARY = (
    f"veeqo-alloc: 2 interactions (1 from the target, 1 from the fake), 60 of {len(RULES)} rules exercised, "
    "465 of 475 fields seen from the target"
)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    # Shows what a run leaves behind.
    folder = pytester.path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return pytester


def run(suite: pytest.Pytester, *options: str, tests: str = TESTS) -> pytest.RunResult:
    suite.makepyfile(test_it=tests)
    return suite.runpytest_inprocess(*STRICTLY, *options)


def run_apart(suite: pytest.Pytester, *options: str, tests: str = TESTS) -> pytest.RunResult:
    """Run in a process of its own, which has its own temporary folder and may be killed."""
    suite.makepyfile(test_it=tests)
    return suite.runpytest_subprocess(*STRICTLY, *options)


def lines_of(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("veeqo-alloc:")]


def target(path: Path) -> Any:
    return totals_by_origin(load(str(path)))["target"]


def by_origin(suite: pytest.Pytester) -> dict[Any, int]:
    totals = totals_by_origin(load(str(suite.path / "out.json")))
    return {origin: counted.interactions for origin, counted in totals.items()}


def test_plugin_is_silent_in_a_run_that_does_not_use_it(suite: pytest.Pytester) -> None:
    assert lines_of(run(suite, tests="def test_nothing(): pass")) == []


def test_summary_counts_checks_and_lists_warnings(suite: pytest.Pytester) -> None:
    assert lines_of(run(suite)) == [
        "veeqo-alloc: 2 interactions checked",
        "veeqo-alloc: warning: undocumented-query at request query:page",
        "veeqo-alloc: warning: undocumented-field at response /colour",
    ]


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("spread", [(), ("-n", "2"), ("-n", "2", "--dist=each")], ids=["alone", "-n 2", "each"])
def test_summary_and_report_add_up_over_processes(suite: pytest.Pytester, spread: tuple[str, ...]) -> None:
    result = run_apart(
        suite, "--veeqo-alloc-report", "out/report.json", "--veeqo-alloc-report", "out/report.html", *spread
    )
    times = 2 if "each" in str(spread) else 1
    lines = lines_of(result)
    assert lines[0].startswith("veeqo-alloc: profile documented, report out/report.json, report out/report.html")
    if times == 1:
        assert lines[1:-2] == [
            SUMMARY,
            "veeqo-alloc: error: absent-field at response /number, and 1 more",
            "veeqo-alloc: warning: undocumented-field at response /colour",
            "veeqo-alloc: warning: undocumented-query at request query:page",
            "veeqo-alloc: no test failed: check methods found these errors, and check methods return findings without raising",
        ]
    assert lines[-2:] == [f"veeqo-alloc: report written to {suite.path}/out/report.{kind}" for kind in ("json", "html")]
    assert result.ret == 0
    totals = target(suite.path / "out" / "report.json")
    assert totals.interactions == times
    assert totals.calls == {("test_it.py::test_server", "none", 2, 1): times}
    assert totals.fields["response", "/id"].present == times
    assert list((suite.path / "temporary").glob("veeqo-alloc-*")) == []


@pytest.mark.with_plugins("xdist")
def test_report_includes_the_checks_of_a_killed_process(suite: pytest.Pytester) -> None:
    killed = """
import os
def test_dies(veeqo_alloc_contract):
    for _ in range(5):
        veeqo_alloc_contract.check_body("response", build_order())
    os.kill(os.getpid(), 9)
"""
    result = run_apart(suite, "-n", "1", "--veeqo-alloc-report", "out.json", tests=TESTS + killed)
    assert result.ret == 1
    assert target(suite.path / "out.json").interactions == 6


@pytest.mark.parametrize(("minimum", "status"), [("97.8", 0), ("97.9", 1)])
def test_minimum_fails_a_run_that_covers_less(suite: pytest.Pytester, minimum: str, status: int) -> None:
    result = run(suite, "--veeqo-alloc-coverage-min", minimum)
    assert result.ret == status
    complaint = (
        f"veeqo-alloc: error: 465 of 475 fields seen from the target, less than --veeqo-alloc-coverage-min {minimum} %"
    )
    assert (complaint in result.outlines) is bool(status)
    result.assert_outcomes(passed=2)


def test_minimum_fails_a_run_without_checks_but_not_a_collection(suite: pytest.Pytester) -> None:
    tests = "def test_nothing(): pass"
    for minimum in ("1", "0"):
        assert run(suite, "--veeqo-alloc-coverage-min", minimum, tests=tests).ret == 1
    assert run(suite, "--veeqo-alloc-coverage-min", "1", "--collect-only", tests=tests).ret == 0


def test_responses_of_a_fake_do_not_count_for_the_minimum(suite: pytest.Pytester) -> None:
    result = run(suite, "--veeqo-alloc-coverage-min", "1", "-k", "client")
    assert result.ret == 1
    assert (
        "veeqo-alloc: error: 0 of 475 fields seen from the target, less than --veeqo-alloc-coverage-min 1 %; "
        "responses of the fake and of cassettes are not counted" in result.outlines
    )


@pytest.mark.parametrize("minimum", ["x", "-1", "101", "nan"])
def test_invalid_minimum_is_rejected(suite: pytest.Pytester, minimum: str) -> None:
    result = run(suite, f"--veeqo-alloc-coverage-min={minimum}")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [f"ERROR: veeqo-alloc: --veeqo-alloc-coverage-min must be a percentage from 0 to 100, not '{minimum}'"]
    )


def test_report_with_an_unknown_suffix_is_rejected(suite: pytest.Pytester) -> None:
    result = run(suite, "--veeqo-alloc-report", "out.txt")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: veeqo-alloc: a report file must end in .json or .html, not 'out.txt'"])


@pytest.mark.parametrize(("tests", "status"), [(TESTS, 2), (TESTS + "\ndef test_bad(): assert 0\n", 1)])
def test_unwritable_report_keeps_the_verdict_of_the_tests(suite: pytest.Pytester, tests: str, status: int) -> None:
    (suite.path / "file").touch()
    result = run(suite, "--veeqo-alloc-report", "file/out.json", tests=tests)
    assert result.ret == status
    assert any(
        line.startswith("veeqo-alloc: error: the report ") and "cannot be written: " in line for line in result.outlines
    )
    assert result.parseoutcomes()["passed"] == 2


def test_run_without_a_test_keeps_the_report_of_the_last_one(suite: pytest.Pytester) -> None:
    run(suite, "--veeqo-alloc-report", "out.json")
    before = (suite.path / "out.json").read_bytes()
    for options in (("--fixtures",), ("--collect-only",), ("nowhere.py",), ("-k", "nothing")):
        run(suite, "--veeqo-alloc-report", "out.json", *options)
        assert (suite.path / "out.json").read_bytes() == before, options


def test_ini_keys_are_read_with_paths_relative_to_the_ini_file(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\nveeqo_alloc_report = out.json\nveeqo_alloc_coverage_min = 99")
    inner = suite.mkdir("inner")
    os.chdir(inner)
    suite.makepyfile(test_it=TESTS)
    result = suite.runpytest_inprocess(*STRICTLY, "..")
    assert result.ret == 1
    assert target(suite.path / "out.json").interactions == 1


def test_junit_properties_hold_checks_and_warnings(suite: pytest.Pytester) -> None:
    run(suite, "--junit-xml", "junit.xml")
    cases = ET.parse(suite.path / "junit.xml").getroot().iter("testcase")
    assert {
        case.attrib["name"]: [(row.attrib["name"], row.attrib["value"]) for row in case.iter("property")]
        for case in cases
    } == {
        "test_client": [
            ("veeqo_alloc_warning", "undocumented-query at request query:page"),
            ("veeqo_alloc_interactions", "1"),
        ],
        "test_server": [
            ("veeqo_alloc_warning", "undocumented-field at response /colour"),
            ("veeqo_alloc_interactions", "1"),
        ],
    }


def test_response_of_a_fault_is_not_counted(suite: pytest.Pytester) -> None:
    tests = (
        TESTS
        + """
def test_fault(veeqo_alloc_server, veeqo_alloc_contract):
    veeqo_alloc_server.respond_with(body={"id": 1, "colour": "red"})
    answer = post(veeqo_alloc_server)
    assert not veeqo_alloc_contract.check_response(answer).ok
"""
    )
    run(suite, "--veeqo-alloc-report", "out.json", "-k", "fault", tests=tests)
    (run_,) = load(str(suite.path / "out.json"))["runs"]
    assert list(run_["origins"]) == ["fake"]
    assert run_["origins"]["fake"]["response_fields"] == {}
    assert run_["origins"]["fake"]["request_fields"]["/allocation"]["present"] == 1
    assert run_["origins"]["fake"]["findings"] == []


def test_watched_call_of_the_fake_is_counted_once_for_the_fake(suite: pytest.Pytester) -> None:
    tests = (
        TESTS
        + """
def test_watched(veeqo_alloc_server, veeqo_alloc_watch, veeqo_alloc_contract):
    with requests.Session() as session:
        watch = veeqo_alloc_watch(session)
        answer = session.post(
            veeqo_alloc_server.url + "/orders/1/allocations", json=GOOD, headers={"x-api-key": veeqo_alloc_server.api_key}
        )
    veeqo_alloc_contract.validate_response(answer)

def test_elsewhere(veeqo_alloc_contract):
    from pytest_veeqo_alloc import serve_fake
    with serve_fake() as fake:
        veeqo_alloc_contract.validate_response(post(fake))
"""
    )
    run(suite, "--veeqo-alloc-report", "out.json", "-k", "watched or elsewhere", tests=tests)
    assert by_origin(suite) == {"fake": 2}


def test_watched_call_is_counted_without_a_report(suite: pytest.Pytester) -> None:
    result = run(suite, tests=GOOD + """
import requests
import responses

@responses.activate
def test_watched(veeqo_alloc_watch):
    responses.post("https://shop.example.net/orders/447452/allocations", status=202, json={})
    with requests.Session() as session:
        veeqo_alloc_watch(session)
        session.post("https://shop.example.net/orders/447452/allocations", json=GOOD, headers={"x-api-key": "any"}, timeout=5)
""")  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["veeqo-alloc: 1 interaction checked"])


def test_checked_response_of_the_fake_can_warn(suite: pytest.Pytester) -> None:
    result = run(suite, tests=GOOD + """
import requests

def test_added(veeqo_alloc_server, veeqo_alloc_contract):
    veeqo_alloc_server.inject_fault("extra-member", pointer="/colour")
    url = veeqo_alloc_server.url + "/orders/447452/allocations"
    response = requests.post(url, json=GOOD, headers={"x-api-key": veeqo_alloc_server.api_key}, timeout=5)
    veeqo_alloc_contract.validate_response(response)
""")  # fmt: skip
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["veeqo-alloc: 1 interaction checked", "veeqo-alloc: warning: undocumented-field at response /colour"]
    )


def test_played_call_is_counted_once_for_the_cassette(suite: pytest.Pytester) -> None:
    tests = (
        TESTS
        + """
def test_played(veeqo_alloc_cassette, veeqo_alloc_contract):
    with veeqo_alloc_cassette.use("created"):
        answer = requests.post("https://api.example.com/orders/447452/allocations", json=GOOD, timeout=5)
    veeqo_alloc_contract.check_response(answer)
"""
    )
    result = run(suite, "--veeqo-alloc-report", "out.json", "-k", "played", tests=tests)
    assert result.ret == 0, result.outlines
    assert by_origin(suite) == {"cassette": 1}


def test_expected_finding_is_not_reported(suite: pytest.Pytester) -> None:
    tests = (
        TESTS
        + """
def test_expected(veeqo_alloc_server):
    veeqo_alloc_server.expect_finding("undocumented-query")
    post(veeqo_alloc_server, "/orders/447452/allocations?page=1")
"""
    )
    run(suite, "--veeqo-alloc-report", "out.json", "-k", "expected", tests=tests)
    assert totals_by_origin(load(str(suite.path / "out.json")))["fake"].findings == {}


def test_finding_about_several_requests_is_reported(suite: pytest.Pytester) -> None:
    tests = (
        TESTS
        + """
def test_repeated(veeqo_alloc_server):
    veeqo_alloc_server.inject_fault("server-error")
    for _ in range(2):
        post(veeqo_alloc_server)
"""
    )
    result = run(suite, "--veeqo-alloc-report", "out.json", "-k", "repeated", tests=tests)
    assert result.ret == 1
    fake = totals_by_origin(load(str(suite.path / "out.json")))["fake"]
    assert [row["rule"] for row in fake.findings.values()] == ["repeated-post"]
    assert fake.rules["repeated-post"]["looked_at"] == fake.interactions == 2


def test_summary_counts_deviations(suite: pytest.Pytester) -> None:
    suite.path.joinpath("known.toml").write_text(
        '[[deviation]]\nrule = "absent-field"\npointer = ["/number", "/notes"]\nreason = "ours"\n'
        '[[deviation]]\nrule = "null-value"\npointer = "/id"\nreason = "past"\nexpires = 2020-01-01\n',
        encoding="utf-8",
    )
    result = run(suite, "--veeqo-alloc-report", "out.json", "--veeqo-alloc-deviations", "known.toml")
    assert (
        "veeqo-alloc: deviations: 1 used, 1 stale (such as absent-field at /notes), 1 expired (such as null-value at /id)"
        in result.outlines
    )


def test_secret_in_a_response_is_in_no_report(suite: pytest.Pytester) -> None:
    secret = "hunter2-" + "x" * 20
    tests = (
        TESTS
        + f"""
def test_secret(veeqo_alloc_contract):
    order = build_order()
    order["customer"]["email"] = "{secret}"
    order["due_date"] = "{secret}"
    order["{secret} of a client"] = 1
    veeqo_alloc_contract.check_body("response", order)
"""
    )
    result = run(suite, "--veeqo-alloc-report", "out.json", "--veeqo-alloc-report", "out.html", tests=tests)
    written = [(suite.path / f"out.{kind}").read_text(encoding="utf-8") for kind in ("json", "html")]
    assert "(name of 40 characters)" in written[0]
    assert not any(secret in text for text in [*written, *result.outlines])
