"""Baselines: what a report puts into a deviations file, and what an update keeps."""

from __future__ import annotations

import datetime
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.bodies import allocation_request, drop, order, put
from support.reports import report_of, report_of_bodies

from pytest_veeqo_alloc import Contract, Deviation, Interaction, Request, Response, build_order
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.rules import EQUATIONS, NOT_IN_BASELINES, Profile
from pytest_veeqo_alloc.coverage import collector
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.baseline import BaselineOptions, expiry_date, update_baseline, write_baseline

DAY, LATER = datetime.date(2026, 1, 31), datetime.date(2026, 3, 1)
COLOUR = put(order(), "/line_items/0/colour", "a secret colour")
ZIP = drop(order(), "/deliver_to/zip")
HEADERS = (("content-type", "application/json"), ("location", "/orders/447452"))
NO_EQUATIONS = dict.fromkeys(EQUATIONS, "off")
JSON, KEY = ("Content-Type", "application/json"), ("x-api-key", "key-of-a-test")


def update(report: Any, old: str = "", today: datetime.date = DAY, **options: Any) -> str:
    return update_baseline(report, old, BaselineOptions(today=today, **options))[0]


def entries(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(text).get("deviation", [])
    return found


def places(text: str) -> list[str]:
    return [entry.get("pointer") or entry["location"] for entry in entries(text)]


def errors_and_warnings(body: Any, text: str, **options: Any) -> list[str]:
    return [finding.place for finding in Contract(deviations=parse(text), **options).check_body("response", body)]


def test_entry_has_the_general_place_the_types_and_how_often_it_was_seen() -> None:
    several = put(COLOUR, "/line_items", [*COLOUR["line_items"], order()["line_items"][0] | {"colour": None}])
    text = update(report_of_bodies(order(), COLOUR, several, contract=Engine(rules=NO_EQUATIONS)))
    assert entries(text) == [
        {
            "rule": "undocumented-field",
            "side": "response",
            "pointer": "/line_items/*/colour",
            "types": ["null", "string"],
            "reason": "seen in 2 of 3 interactions from the target",
            "seen": "in 2 of 3 interactions from the target",
            "count": 3,
            "first_seen": DAY,
            "last_seen": DAY,
        }
    ]
    assert "secret" not in text


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_baseline_of_an_observed_order_accepts_that_order_and_no_change_of_it(profile: Profile) -> None:
    body = build_order(variant="observed")
    text = update(report_of_bodies(body, contract=Engine(profile)))
    assert errors_and_warnings(body, text, profile=profile) == []
    planted = {
        "/allocations/0/id": "1",
        "/line_items/0/sellable/product/title": None,
        "/deliver_to/colour": "red",
        "/due_date": {"day": 1},
    }
    for pointer, value in planted.items():
        assert pointer in errors_and_warnings(put(body, pointer, value), text, profile=profile), pointer
    assert errors_and_warnings(drop(body, "/allocated_completely"), text) == ["/allocated_completely"]


def test_type_that_was_not_seen_is_not_accepted_and_is_added_by_an_update() -> None:
    text = update(report_of_bodies(COLOUR))
    number = put(order(), "/line_items/0/colour", 1)
    assert errors_and_warnings(number, text) == ["/line_items/0/colour"]
    text = update(report_of_bodies(number, contract=Engine(deviations=parse(text))), text)
    assert [entry["types"] for entry in entries(text)] == [["number", "string"]]
    assert update(report_of_bodies(number), text, prune=True).count('types = ["number"]') == 1


def test_update_with_the_baseline_loaded_changes_nothing_but_the_day() -> None:
    text = update(report_of_bodies(ZIP, COLOUR))
    again = report_of_bodies(ZIP, COLOUR, contract=Engine(deviations=parse(text)))
    assert update(again, text) == text
    assert update(again, text, LATER) == text.replace("last_seen = 2026-01-31", "last_seen = 2026-03-01")


def test_update_keeps_what_a_person_wrote() -> None:
    text = update(report_of_bodies(ZIP, COLOUR))
    written = (
        "# the partner's clone\n"
        + text.replace('[[deviation]]\nrule = "absent', '# ask Ann\n[[deviation]]\nticket = "SHOP-1" # open\nrule = "absent')
        .replace('reason = "seen in 1 of 2 interactions from the target"', 'reason = "no \\"zip\\" # there"', 1)
        .replace("first_seen = 2026-01-31", "first_seen = 2025-12-24\nexpires = 2030-01-01", 1)
        .replace("count = 1", "count = 1 # few")
    )  # fmt: skip
    new = update(report_of_bodies(ZIP, ZIP, ZIP, COLOUR), written, LATER)
    expected = written.replace("1 of 2 int", "3 of 4 int", 1).replace("count = 1 #", "count = 3 #", 1)
    expected = expected.replace("1 of 2 int", "1 of 4 int").replace("last_seen = 2026-01-31", "last_seen = 2026-03-01")
    assert new == expected


def test_entry_of_a_person_is_kept_and_only_marked_once_it_no_longer_matches() -> None:
    hand = '# ours\n[[deviation]]\nrule = "absent-field"\npointer = [\n  "/deliver_to/zip",\n  "/notes",\n]\nreason = "x"\n'
    assert update(report_of_bodies(ZIP), hand) == hand
    stale = update(report_of_bodies(order()), hand)
    assert stale == f"{hand}stale = true\n"
    assert update(report_of_bodies(ZIP), stale) == hand
    assert update(report_of_bodies(order()), stale, prune=True).strip() == ""


def test_entry_that_no_longer_matches_is_marked_and_removed_by_prune_without_the_comments_below_it() -> None:
    text = update(report_of_bodies(ZIP, COLOUR)).replace("\n[[deviation]]\n", "\n# section\n\n[[deviation]]\n")
    marked, lines = update_baseline(report_of_bodies(COLOUR), text, BaselineOptions(today=DAY))
    assert [entry.get("stale") for entry in entries(marked)] == [True, None]
    assert lines == ["2 entries: 1 seen again, 1 stale (--prune removes them)"]
    assert errors_and_warnings(ZIP, marked) == []  # until it is removed, it applies
    pruned, lines = update_baseline(report_of_bodies(COLOUR), marked, BaselineOptions(today=DAY, prune=True))
    assert (places(pruned), lines) == (["/line_items/*/colour"], ["1 entry: 1 seen again, 1 removed"])
    assert pruned.count("# section") == 2


@pytest.mark.parametrize("restricted", [{"selection": True}, {"incomplete": "it was stopped"}])
def test_run_that_left_tests_out_marks_nothing(restricted: dict[str, Any]) -> None:
    text, report = update(report_of_bodies(ZIP, COLOUR)), report_of_bodies(order())
    report["runs"][0] |= restricted
    assert "stale" not in update(report, text, partial=True).partition("[[")[2]


def test_place_that_was_not_checked_is_not_stale() -> None:
    text = update(report_of_bodies(COLOUR, ZIP))
    assert "stale = true" not in update(report_of_bodies(drop(drop(order(), "/deliver_to"), "/line_items")), text)


def test_incomplete_run_is_rejected_unless_a_partial_file_is_wanted() -> None:
    report = report_of_bodies(ZIP)
    report["runs"][0]["incomplete"] = "3 tests could not be run"
    with pytest.raises(ValueError, match=r"the run is incomplete \(3 tests could not be run\)"):
        update(report)
    assert places(update(report, partial=True)) == ["/deliver_to/zip"]


def test_last_day_is_that_of_added_entries_only() -> None:
    text = update(report_of_bodies(ZIP))
    text = update(report_of_bodies(ZIP, COLOUR), text, expires=LATER)
    assert [entry.get("expires") for entry in entries(text)] == [None, LATER]
    new, lines = update_baseline(report_of_bodies(COLOUR, ZIP), text, BaselineOptions(today=datetime.date(2027, 1, 1)))
    assert "expires = 2026-03-01" in new
    assert lines == ["2 entries: 2 seen again, 1 expired and still needed (set a later expires in the file)"]


@pytest.mark.parametrize(("text", "words"), [("soon", "must be a date"), ("2020-01-01", "must not be in the past")])
def test_invalid_last_day_is_rejected(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        expiry_date(text)


def test_added_entry_is_put_at_its_place_so_that_the_order_is_stable() -> None:
    one = update(report_of_bodies(COLOUR), update(report_of_bodies(ZIP)))
    other = update(report_of_bodies(ZIP), update(report_of_bodies(COLOUR)))
    assert places(one) == places(other) == ["/deliver_to/zip", "/line_items/*/colour"]


def test_findings_that_another_deviation_accepts_are_not_added() -> None:
    accepted = Deviation("absent-field", "known", pointer="/deliver_to/zip")
    assert entries(update(report_of_bodies(ZIP, contract=Engine(deviations=[accepted])))) == []


@pytest.mark.parametrize(
    ("body", "left_out"),
    [
        (b"{", "a person must decide: not-json at response (whole body)"),
        ([1], "a person must decide: wrong-type at response (whole body)"),
        ({"error": "x"}, "a person must decide: not-an-order at response (whole body)"),
        (
            order() | {"4111 1111 1111 1111": 1},
            "the report does not show the name: undocumented-field at response /(name",
        ),
    ],
)
def test_finding_that_a_machine_must_not_accept_is_left_out_with_a_line(body: Any, left_out: str) -> None:
    text, (summary, line) = update_baseline(report_of_bodies(body), "", BaselineOptions())
    assert (entries(text), summary) == ([], "0 entries")
    assert line.startswith(f"left out, since {left_out}")


def test_rules_that_are_left_out_are_those_about_secrets_unreadable_bodies_and_failed_calls() -> None:
    named = "key-in-url key-sent-elsewhere repeated-post body-missing not-json not-utf8 too-deep cassette-secret"
    failed = (
        "wrong-method wrong-path order-id-not-integer wrong-status undocumented-status server-error unexpected-status"
    )
    assert set(f"{named} {failed}".split()) <= NOT_IN_BASELINES


def test_more_findings_than_are_counted_apart_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MAX_FINDINGS", 9)
    body = order() | {f"extra{number}": 1 for number in range(10)}
    _, lines = update_baseline(report_of_bodies(body), "", BaselineOptions())
    assert lines[1] == "left out, since the report does not show the name: undocumented-field at response (others)"


def test_side_separates_the_two_bodies() -> None:
    counted = CoverageCounter()
    engine = Engine().with_listener(counted)
    engine.check_body("request", allocation_request() | {"colour": 1})
    text = update(report_of(counted, engine))
    assert errors_and_warnings(order() | {"colour": 1}, text) == ["/colour"]


def accepted_requests(engine: Engine, *bodies: Any) -> list[str]:
    """Return the cases of those broken request *bodies* whose acceptance is an error or a warning."""
    cases = []
    for body in bodies:
        request = Request(
            "POST", "http://shop.example.com/orders/447452/allocations", (JSON, KEY), json.dumps(body).encode()
        )
        interaction = Interaction(request, Response(201, HEADERS, json.dumps(order()).encode()))
        found = engine.check(interaction, CheckContext(broken_request=True))
        cases += [finding.case for finding in found if finding.rule == "broken-request-accepted"]
    return cases


def test_accepted_broken_request_does_not_excuse_another_broken_request() -> None:
    text_for_number = put(allocation_request(), "/allocation/warehouse_id", "5")
    list_for_number = put(allocation_request(), "/allocation/warehouse_id", [5])
    zero = allocation_request(0)
    counted = CoverageCounter()
    engine = Engine().with_listener(counted)
    cases = [
        "wrong-type at /allocation/warehouse_id string",
        "quantity-not-positive at /allocation/line_items_attributes/0/quantity",
    ]
    assert accepted_requests(engine, text_for_number, zero) == cases
    text = update(report_of(counted, engine))
    assert sorted(entry["case"] for entry in entries(text) if "case" in entry) == sorted(cases)
    known = Engine(deviations=parse(text))
    assert accepted_requests(known, text_for_number, zero) == []
    unbroken = allocation_request()
    assert accepted_requests(known, unbroken) == ["a request that breaks no rule"]
    assert accepted_requests(known, list_for_number) == ["wrong-type at /allocation/warehouse_id array"]


def test_case_of_the_suite_is_an_entry_and_stale_only_if_it_was_tried_again() -> None:
    breach = Breach("method-accepted", None, "201", location="status")

    def report(*tried: tuple[str, Breach | None]) -> Any:
        counted = CoverageCounter()
        engine = Engine().with_listener(counted)
        engine.check_body("response", b"{}")
        for case, found in tried:
            engine.check_behaviour("method-accepted", found, case, Interaction(None))
        return report_of(counted, engine)

    text = update(report(("PUT", breach), ("PATCH", breach), ("GET", None)))
    assert [(entry["case"], entry["seen"]) for entry in entries(text)] == [
        ("PATCH", "in 1 check of the conformance suite"),
        ("PUT", "in 1 check of the conformance suite"),
    ]
    again = update(report(("PUT", None), ("GET", breach)), text)
    assert [(entry["case"], entry.get("stale")) for entry in entries(again)] == [
        ("GET", None),
        ("PATCH", None),
        ("PUT", True),
    ]


# Files

BAD = {
    "half-written": ('[[deviation]]\nrule = "absent', "not TOML: "),
    "another version": ("version = 2\n", "not in version 1 of the format of deviation files"),
    "unknown key": ('[[deviation]]\nrulle = "total"\n', "deviation 1: unknown key 'rulle': did you mean 'rule'?"),
    "wrong kind": (
        '[[deviation]]\nrule = "total"\npointer = "/total_price"\nreason = "x"\ncount = "3"\n',
        "deviation 1: 'count' must be a whole number",
    ),
    "inline": ('deviation = [{rule = "total", pointer = "/total_price", reason = "x"}]\n', "its layout cannot be kept"),
    "spread": (
        '[[deviation]]\nrule = "absent-field"\npointer = "/deliver_to/zip"\nreason = """\ncount = 7\n"""\nseen = "x"\ncount = 7\n',
        "the entry of absent-field at /deliver_to/zip cannot be updated",
    ),
}


@pytest.mark.parametrize(("old", "words"), BAD.values(), ids=BAD)
def test_file_that_cannot_be_updated_is_left_as_it_is(tmp_path: Path, old: str, words: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(old, encoding="utf-8")
    with pytest.raises(ValueError, match=r"accepted\.toml' was not written: ") as caught:
        write_baseline(report_of_bodies(ZIP), path, BaselineOptions())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text(encoding="utf-8") == old
    assert list(tmp_path.iterdir()) == [path]


def test_path_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "accepted.toml"):
        with pytest.raises(ValueError, match=r"the deviations file '.*' cannot be written: "):
            write_baseline(report_of_bodies(ZIP), path, BaselineOptions())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_pipe_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"the deviations file '.*' cannot be written: not a regular file"):
        write_baseline(report_of_bodies(ZIP), path, BaselineOptions())
    assert path.is_fifo()


def test_line_ends_of_windows_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    write_baseline(report_of_bodies(ZIP), path, BaselineOptions(today=DAY))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    lines = write_baseline(report_of_bodies(ZIP, COLOUR), path, BaselineOptions(today=DAY))
    assert lines == [f"{path}: 2 entries: 1 added, 1 seen again"]
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n")
    assert len(parse(path.read_bytes().decode())) == 2


def test_text_of_a_report_cannot_add_keys_to_the_file() -> None:
    report = report_of_bodies(ZIP)
    report["runs"][0]["origins"]["target"]["findings"][0]["case"] = 'a"\n[[deviation]]\x7f\ud800'
    (entry,) = entries(update(report))
    assert entry["case"] == 'a"\n[[deviation]]\x7f\\ud800'


def test_unknown_rule_in_a_report_is_rejected() -> None:
    report = report_of_bodies(ZIP)
    report["runs"][0]["origins"]["target"]["findings"][0]["rule"] = "absent-feild"
    with pytest.raises(ValueError, match="unknown rule 'absent-feild': did you mean 'absent-field'"):
        update(report)
