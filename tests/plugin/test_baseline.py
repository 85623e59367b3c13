"""Baselines in runs of pytest: which run may write or mark, and that one process writes."""

from __future__ import annotations

import pytest
from support.bodies import BODY
from support.plugins import STRICTLY

from pytest_veeqo_alloc.contract.deviations import parse

WRITE, ACCEPT = "--veeqo-alloc-write-deviations=accepted.toml", "--veeqo-alloc-deviations=accepted.toml"
STRICT = "--veeqo-alloc-strict-deviations"
TESTS = """
import pytest
from pytest_veeqo_alloc import build_order

@pytest.mark.parametrize("name", ["zip", "city", "phone"])
def test_address(veeqo_alloc_contract, name):
    order = build_order()
    order["deliver_to"][name] = None
    veeqo_alloc_contract.validate_body("response", order)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_it=TESTS)
    return pytester


def run(suite: pytest.Pytester, *options: str) -> tuple[int, list[str]]:
    """Return the exit status, and the lines of the summary that are about the file."""
    result = suite.runpytest_inprocess(*STRICTLY, *options)
    words = ("accepted.toml: ", "deviations: ", "error: ")
    lines = [
        line for line in result.outlines if line.startswith("veeqo-alloc: ") and any(word in line for word in words)
    ]
    lines = [line.removeprefix("veeqo-alloc: ").replace(f"{suite.path}/", "") for line in lines]
    return int(result.ret), [line for line in lines if "null-value" not in line or "stale" in line]


def write(suite: pytest.Pytester, *places: str) -> None:
    entries = (f'[[deviation]]\nrule = "null-value"\npointer = "{place}"\nreason = "x"\n' for place in places)
    (suite.path / "accepted.toml").write_text("\n".join(entries), encoding="utf-8")


@pytest.mark.with_plugins("xdist")
def test_baseline_is_written_once_by_all_processes_and_keeps_the_exit_status(suite: pytest.Pytester) -> None:
    assert run(suite, WRITE) == (1, ["accepted.toml: 3 entries: 3 added"])
    assert run(suite, WRITE, ACCEPT, STRICT)[0] == 0
    (suite.path / "accepted.toml").unlink()
    result = suite.runpytest_subprocess(*STRICTLY, "-n", "2", WRITE)
    assert sum("accepted.toml: 3 entries: 3 added" in line for line in result.outlines) == 1
    assert len(parse((suite.path / "accepted.toml").read_text(encoding="utf-8"))) == 3


def test_strict_run_fails_for_a_stale_entry_unless_tests_are_selected(suite: pytest.Pytester) -> None:
    write(suite, "/deliver_to/zip", "/deliver_to/city", "/deliver_to/phone", "/deliver_to/state")
    stale = "1 deviation is stale or has expired (such as null-value at /deliver_to/state)"
    status, lines = run(suite, ACCEPT, STRICT)
    assert (status, lines[-1]) == (1, f"error: {stale}: remove or renew each, since {STRICT} is set")
    for selection in (("-k", "zip"), ("--last-failed",), ("test_it.py::test_address[zip]",)):
        status, lines = run(suite, ACCEPT, STRICT, WRITE, *selection)
        assert (status, lines[0].partition(" used, ")[2]) == (0, "0 stale, 0 expired")
        assert "stale = true" not in (suite.path / "accepted.toml").read_text(encoding="utf-8")
    assert (
        run(suite, ACCEPT, WRITE)[1][-1]
        == "accepted.toml: 4 entries: 3 seen again, 1 stale (--veeqo-alloc-prune removes them)"
    )
    assert (
        run(suite, ACCEPT, WRITE, "--veeqo-alloc-prune")[1][-1] == "accepted.toml: 3 entries: 3 seen again, 1 removed"
    )


def test_run_that_stopped_early_writes_only_if_that_is_permitted(suite: pytest.Pytester) -> None:
    refused = "error: 'accepted.toml' was not written: the run is incomplete (the run was stopped)"
    status, (line,) = run(suite, WRITE, "-x")
    assert (status, line.startswith(refused), line.endswith("--veeqo-alloc-partial")) == (1, True, True)
    assert not (suite.path / "accepted.toml").exists()
    assert run(suite, WRITE, "-x", "--veeqo-alloc-partial", "--veeqo-alloc-expires=2099-12-31")[1] == [
        "accepted.toml: 1 entry: 1 added"
    ]
    assert "expires = 2099-12-31" in (suite.path / "accepted.toml").read_text(encoding="utf-8")


def test_incomplete_run_and_unwritable_file_fail_a_run_that_passes(suite: pytest.Pytester) -> None:
    write(suite, "/deliver_to/zip", "/deliver_to/city", "/deliver_to/phone")
    (suite.path / "file").touch()
    status, lines = run(suite, ACCEPT, "--veeqo-alloc-write-deviations=file/accepted.toml")
    assert (status, lines[-1][:48]) == (2, "error: the deviations file 'file/accepted.toml' ")
    suite.makepyfile(
        test_veeqo_alloc_part="def test_it(): import pytest; pytest.skip('veeqo-alloc: not covered: no order')"
    )
    status, lines = run(suite, ACCEPT, WRITE)
    assert (status, "the run is incomplete (1 test could not be run)" in lines[-1]) == (2, True)


def test_invalid_last_day_stops_the_run(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*STRICTLY, WRITE, "--veeqo-alloc-expires=soon")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: veeqo-alloc: the last day of an entry must be a date such as 2027-06-30, not 'soon'"]
    )


def test_accepted_findings_of_a_fake_count_as_seen(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_it=f"""
        import requests
        def test_client(veeqo_alloc_server):
            url, headers = veeqo_alloc_server.url, {{"x-api-key": veeqo_alloc_server.api_key}}
            requests.post(url + "/orders/7/allocations?page=1", json={BODY}, headers=headers, timeout=5)
            requests.get(url + "/warehouses", headers=headers, timeout=5)
    """
    )
    assert run(suite, WRITE) == (0, ["accepted.toml: 2 entries: 2 added"])
    used = ["deviations: 2 used, 0 stale, 0 expired", "accepted.toml: 2 entries: 2 seen again"]
    assert run(suite, WRITE, ACCEPT, STRICT) == (0, used)
