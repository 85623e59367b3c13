"""The fields that a client uses, in runs of pytest: tracked by fixtures, added up over processes, written to a file."""

from __future__ import annotations

import pytest
from support.bodies import BODY
from support.plugins import STRICTLY

from pytest_veeqo_alloc.reporting.report_file import load

TESTS = f"""
BODY = {BODY}

import requests
import httpx
from pytest_veeqo_alloc import build_order


def post(session, server):
    url = server.url + "/orders/447452/allocations"
    return session.post(url, json=BODY, headers={{"x-api-key": server.api_key}}, timeout=5)


def test_requests(veeqo_alloc_server, veeqo_alloc_watch):
    with requests.Session() as session:
        watch = veeqo_alloc_watch(session, track=True)
        order = post(session, veeqo_alloc_server).json()
        assert order["deliver_to"]["zip"] and order.get("colour") is None
        post(session, veeqo_alloc_server)
    assert watch.uses.fields == ("/deliver_to/zip",)


def test_httpx(veeqo_alloc_server, veeqo_alloc_watch):
    with httpx.Client(trust_env=False) as session:
        veeqo_alloc_watch(session, track=True)
        assert post(session, veeqo_alloc_server).json()["number"]


def test_direct(veeqo_alloc_contract):
    with veeqo_alloc_contract.track(build_order()) as uses:
        assert uses.order["id"]
    veeqo_alloc_contract.check_body("response", build_order() | {{"id": None, "notes": 1, "colour": 1}})
"""
LIST = ["/deliver_to/zip", "/id", "/number", "# read, but not documented: /colour"]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_it=TESTS)
    return pytester


def lines_of(result: pytest.RunResult) -> list[str]:
    return [line.removeprefix("veeqo-alloc: ") for line in result.outlines if line.startswith("veeqo-alloc: ")]


def written(suite: pytest.Pytester) -> list[str]:
    return (suite.path / "uses.txt").read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.with_plugins("xdist")
def test_fields_of_all_processes_are_written_once(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess(
        *STRICTLY, "-n", "2", "--veeqo-alloc-write-uses=uses.txt", "--veeqo-alloc-report=out.json"
    )
    result.assert_outcomes(passed=3)
    assert written(suite) == LIST
    lines = lines_of(result)
    assert "3 fields read by the client" in lines
    assert f"3 used fields written to {suite.path}/uses.txt" in lines
    untracked = "response 2 of a watched session: the fields were not tracked, since the client did not call .json() of the response"
    assert f"warning: {untracked}" in lines
    (made,) = load(str(suite.path / "out.json"))["runs"]
    assert made["read"] == {"/deliver_to/zip": 1, "/id": 1, "/number": 1}


def test_selected_tests_only_add_to_the_list_and_a_run_that_reads_nothing_keeps_it(suite: pytest.Pytester) -> None:
    (suite.path / "uses.txt").write_text("# ours\n/status # shown\n", encoding="utf-8")
    option = "--veeqo-alloc-write-uses=uses.txt"
    assert suite.runpytest_inprocess(*STRICTLY, option, "-k", "direct").ret == 0
    assert written(suite) == ["/status # shown", "/id"]
    suite.makepyfile(test_it="def test_nothing(): pass")
    result = suite.runpytest_inprocess(*STRICTLY, option)
    assert result.ret == 2
    assert "uses.txt' was not written: no field was read through" in lines_of(result)[-1]
    assert written(suite) == ["/status # shown", "/id"]
    suite.makepyfile(test_it=TESTS)
    (suite.path / "uses.txt").write_text("/nubmer\n", encoding="utf-8")
    result = suite.runpytest_inprocess(*STRICTLY, option, "-k", "direct")
    assert (result.ret, "did you mean '/number'?" in lines_of(result)[-1]) == (2, True)
    assert (suite.path / "uses.txt").read_text(encoding="utf-8") == "/nubmer\n"


def test_summary_and_report_separate_what_concerns_the_client(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\nveeqo_alloc_uses =\n    uses.txt\n    /id")
    (suite.path / "uses.txt").write_text("/payment # the whole of it\n/status\n", encoding="utf-8")
    report = ("--veeqo-alloc-report=out.json", "--veeqo-alloc-report=out.html")
    lines = lines_of(suite.runpytest_inprocess(*STRICTLY, "-k", "direct", *report))
    assert lines[3:-2] == [
        "error: null-value at response /id",
        "no test failed: check methods found these errors, and check methods return findings without raising",
        "3 of 3 used fields seen from the target, 2 non-null; never non-null: /id",
        "does not concern you: 2 findings at 2 places that the client does not use",
    ]
    (made,) = load(str(suite.path / "out.json"))["runs"]
    assert made["uses"] == ["/id", "/payment", "/status"]
    assert {row["rule"] for row in made["origins"]["target"]["unused"]} == {"undocumented-field", "untyped-field-value"}
    shown = (suite.path / "out.html").read_text(encoding="utf-8")
    assert "Findings at fields that the client does not use: 2" in shown
    assert "Drifts at fields that the client does not use: 2" in shown
    assert shown.count("<code>/payment</code>") == 1


def test_field_that_is_not_documented_stops_the_run(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*STRICTLY, "--veeqo-alloc-uses=/nubmer")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: veeqo-alloc: no documented response field '/nubmer': did you mean '/number'?"])
