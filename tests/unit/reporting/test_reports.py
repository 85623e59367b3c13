"""Reports: their content, merging, drift, files and the HTML page."""

from __future__ import annotations

import copy
import datetime
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.bodies import drop, order, put
from support.reports import DAY, kinds, of_rules, report_of, report_of_bodies

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.deviations import Deviation
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.coverage.collector import CheckEvent, CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import compare_reports, find_drift, merge_reports, totals_by_origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting import html as pages
from pytest_veeqo_alloc.reporting.html import render_page
from pytest_veeqo_alloc.reporting.report_file import load, save, validator
from pytest_veeqo_alloc.spec.loader import field_trees, read_shipped_text

HOSTILE = '</script><script>alert(1)</script>\x1b[31m&"'
PLANTED = {
    ("/customer/colour", "undocumented", "string"): put(order(), "/customer/colour", "red"),
    ("/deliver_to/zip", "never seen", ""): drop(order(), "/deliver_to/zip"),
    ("/deliver_to/phone", "null", ""): put(order(), "/deliver_to/phone", None),
    ("/due_date", "undocumented type", "string"): put(order(), "/due_date", "2026-01-31"),
    ("/channel/id", "wrong type", "string"): put(order(), "/channel/id", "7"),
}
PART = {name: order()[name] for name in ("id", "status", "due_date", "deliver_to", "payment")}
"""Enough of an order for a report, which is read faster than that of a whole one."""


def drifted(*bodies: Any) -> set[tuple[str, str, str]]:
    return kinds(find_drift(report_of_bodies(*bodies), field_trees()))


def test_report_conforms_to_its_published_schema() -> None:
    schema = json.loads(read_shipped_text("schemas/report.json"))
    contract = Engine(deviations=["observed"])
    validator(schema).validate(report_of_bodies(order(), *PLANTED.values(), b"{", contract=contract))


def test_clean_order_has_no_drift_and_shows_every_field() -> None:
    report = report_of_bodies(order())
    assert drifted(order()) == set()
    assert totals_by_origin(report)["target"].fields_seen == 475
    assert list(totals_by_origin(report)) == ["target"]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted[1]} {planted[0]}")
def test_drift_has_its_place_and_type(planted: tuple[str, str, str]) -> None:
    assert drifted(PLANTED[planted]) == {planted}


def test_field_that_is_absent_sometimes_differs_from_one_that_is_never_seen() -> None:
    assert drifted(order(), drop(order(), "/deliver_to/zip")) == {("/deliver_to/zip", "sometimes absent", "")}


def test_comparison_lists_only_new_and_gone_drift() -> None:
    lost = drop(order(), "/deliver_to/zip")
    old, new = (
        report_of_bodies(lost, PLANTED["/due_date", "undocumented type", "string"]),
        report_of_bodies(order(), lost, PLANTED["/channel/id", "wrong type", "string"]),
    )
    found = compare_reports(old, new, field_trees())
    assert kinds(found.new) == {("/channel/id", "wrong type", "string")}
    assert kinds(found.gone) == {("/due_date", "undocumented type", "string")}


@pytest.mark.parametrize("pointer", ["/colour", "/customer/colour", "/allocations/0/colour"])
def test_undocumented_member_is_gone_only_if_its_object_was_seen_again(pointer: str) -> None:
    old = report_of_bodies(put(order(), pointer, "red"))
    place = pointer.replace("/0/", "/*/")
    assert kinds(compare_reports(old, report_of_bodies(order()), field_trees()).gone) == {
        (place, "undocumented", "string")
    }
    if pointer != "/colour":
        elsewhere = drop(order(), pointer.rpartition("/")[0].removesuffix("/0"))
        assert compare_reports(old, report_of_bodies(elsewhere), field_trees()).gone == []


def test_drift_of_an_unseen_object_is_not_gone_and_its_fields_are_counted_as_unseen() -> None:
    old = report_of_bodies(
        PLANTED["/deliver_to/phone", "null", ""], PLANTED["/customer/colour", "undocumented", "string"]
    )
    new = report_of_bodies(drop(drop(order(), "/deliver_to"), "/customer"))
    found = compare_reports(old, new, field_trees())
    assert found.gone == []
    assert found.unseen == 11 + 7 + 12 + 11


def test_merging_is_a_union_of_runs_in_any_order() -> None:
    later = DAY + datetime.timedelta(days=1)
    one, other = report_of_bodies(order()), report_of_bodies(order(), run="b" * 32, started=later)
    both = merge_reports([one, other])
    assert merge_reports([other, one, both, one]) == both
    assert [run["id"][0] for run in both["runs"]] == ["a", "b"]
    assert totals_by_origin(both)["target"].interactions == 2
    assert totals_by_origin(both)["target"].fields["response", "/id"].types == {"number": 2}


def test_two_different_runs_with_the_same_id_are_rejected() -> None:
    with pytest.raises(ValueError, match="two runs with the same id differ"):
        merge_reports([report_of_bodies(order()), report_of_bodies(order(), order())])


def test_findings_and_rules_add_up_over_runs() -> None:
    bad = PLANTED["/deliver_to/phone", "null", ""]
    both = totals_by_origin(merge_reports([report_of_bodies(bad), report_of_bodies(bad, bad, run="b" * 32)]))["target"]
    assert [row["count"] for row in both.findings.values()] == [3]
    assert of_rules(both, "errors") == {"null-value": 3}
    assert both.rules["null-value"]["looked_at"] == 3


def test_rule_that_is_off_is_not_in_the_report() -> None:
    contract = Engine(rules={"margin": "off"})
    assert "margin" not in totals_by_origin(report_of_bodies(order(), contract=contract))["target"].rules


def states(contract: Engine, *bodies: Any) -> list[tuple[str, str, int]]:
    (run,) = report_of_bodies(*bodies, contract=contract)["runs"]
    return [(row["place"], row["state"], row["count"]) for row in run["deviations"]]


def test_deviations_are_used_stale_or_expired() -> None:
    yesterday = datetime.date.today() - datetime.timedelta(days=1)
    contract = Engine(
        deviations=[
            Deviation("null-value", "as live", pointer="/deliver_to/phone"),
            Deviation("null-value", "fixed long ago", pointer="/channel/id"),
            Deviation("null-value", "over", pointer="/id", expires=yesterday),
            Deviation("null-value", "never looked for", pointer="/payment/id"),
            Deviation("location-missing", "no response was checked", location="header:location"),
            Deviation("undocumented-field", "of nothing documented", pointer="/a/b"),
            Deviation("not-an-order", "whole", pointer=""),
        ]
    )
    body = drop(PLANTED["/deliver_to/phone", "null", ""], "/payment")
    assert states(contract, body) == [
        ("/deliver_to/phone", "used", 1),
        ("/channel/id", "stale", 0),
        ("/id", "expired", 0),
        ("/a/b", "stale", 0),
        ("(whole body)", "stale", 0),
    ]


def test_pack_deviations_are_never_stale() -> None:
    assert states(Engine(deviations=["observed"]), order()) == []
    used = states(Engine(deviations=["observed"]), drop(order(), "/allocated_completely"))
    assert {state for _, state, _ in used} <= {"used"}


def test_findings_about_several_interactions_count_no_interaction() -> None:
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    contract.publish_findings("fake", Findings())
    contract.publish_findings("fake", Engine().check_body("response", PLANTED["/deliver_to/phone", "null", ""]))
    assert counted.by_origin["fake"].interactions == 0
    assert list(counted.by_origin["fake"].findings) == ["error null-value response /deliver_to/phone\n"]


# Files


def test_saved_report_is_loaded_unchanged(tmp_path: Path) -> None:
    report = report_of_bodies(PART)
    save(report, tmp_path / "made" / "out.json")
    assert load(str(tmp_path / "made" / "out.json")) == report


def cut(text: str) -> str:
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (cut, "invalid or truncated JSON"),
        (lambda text: "", "invalid or truncated JSON"),
        (lambda text: "[" * 100_000, "invalid or truncated JSON"),
        (lambda text: "[1]", "not a report of pytest-veeqo-alloc"),
        (lambda text: text.replace('"version":1', '"version":2', 1), "not in version 1 of the report format"),
        (
            lambda text: text.replace('{"string":1}', '{"script":1}'),
            "does not match schemas/report.json at /runs/*/origins/target",
        ),
        (lambda text: text.replace('"interactions":1', '"interactions":-1'), "does not match schemas/report.json"),
        (
            lambda text: text.replace('"target"', f'"{"x" * 99}"'),
            "does not match schemas/report.json at /runs/*/origins",
        ),
    ],
    ids=[
        "cut off",
        "empty",
        "deep",
        "another file",
        "another version",
        "another type",
        "another value",
        "another name",
    ],
)
def test_invalid_report_file_is_one_sentence_and_exit_2(
    change: Any, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    save(report_of_bodies(PART), path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    for command in (["report", "merge", str(path)], ["report", "diff", str(path), str(path)]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert sentence in line


def written_by_an_early_version(report: dict[str, Any]) -> dict[str, Any]:
    """Return *report* in the form of an early version: a row for each test of a call, and no optional member."""
    old = copy.deepcopy(report)
    for run in old["runs"]:
        run["version"] = "0.0.1"
        for row in run["origins"].values():
            calls = [(call, test, count) for call in row["calls"] for test, count in call.pop("tests").items()]
            row["calls"] = [{**call, "test": test, "count": count} for call, test, count in calls]
            for name in ("accepted", "cases"):
                row.pop(name, None)
            row["findings"] = [
                {name: finding[name] for name in ("severity", "rule", "basis", "side", "place", "example", "count")}
                for finding in row["findings"]
            ]
            row["rules"]["rule-of-that-time"] = {"looked_at": 1, "errors": 1, "warnings": 0, "accepted": 0}
            row["findings"].append({**row["findings"][0], "rule": "rule-of-that-time"})
    return old


def test_report_of_an_early_version_is_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = report_of_bodies(put(PART, "/id", "7"), PART, run="b" * 32, started=DAY - datetime.timedelta(days=9))
    (tmp_path / "old.json").write_text(json.dumps(written_by_an_early_version(earlier)), encoding="utf-8")
    save(report_of_bodies(PART), tmp_path / "now.json")
    paths = [str(tmp_path / name) for name in ("old.json", "now.json")]
    assert main(["report", "merge", *paths, "-o", str(tmp_path / "both.html")]) == 0
    assert main(["report", "merge", *paths]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert totals_by_origin(merged)["target"].calls == (
        totals_by_origin(earlier)["target"].calls + totals_by_origin(report_of_bodies(PART))["target"].calls
    )
    assert main(["report", "diff", *paths]) == 0
    assert "wrong type (string)" in capsys.readouterr().out


def test_missing_or_unwritable_report_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    save(report_of_bodies(PART), path)
    assert main(["report", "merge", str(tmp_path / "other.json")]) == 2
    assert main(["report", "merge", str(path), "-o", str(path / "below.json")]) == 2
    assert main(["report", "merge", str(path), "-o", "out.txt"]) == 2
    missing, unwritable, unknown = capsys.readouterr().err.splitlines()
    assert "cannot be read: No such file or directory" in missing
    assert "cannot be written" in unwritable
    assert "must end in .json or .html, not 'out.txt'" in unknown


def test_reports_are_merged_to_standard_output_or_to_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    for path, run in zip(paths, "ab", strict=True):
        save(report_of_bodies(PART, run=run * 32), path)
    assert main(["report", "merge", *map(str, paths), str(paths[0])]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2
    assert main(["report", "merge", *map(str, paths), "-o", str(tmp_path / "out.html")]) == 0
    assert "<!doctype html>" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_new_drift_is_exit_1_with_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    save(report_of_bodies(put(PART, "/due_date", "2026-01-31")), old)
    save(report_of_bodies(put(drop(PART, "/deliver_to/zip"), "/colour", "red")), new)
    assert main(["report", "diff", str(old), str(new)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "new: response /colour: undocumented (string), from the target",
        "new: response /deliver_to/zip: never seen, from the target",
        "gone: response /due_date: undocumented type (string), from the target",
        "2 new drifts, 1 gone",
    ]
    assert main(["report", "diff", str(old), str(new), "--format", "json"]) == 1
    assert [row["pointer"] for row in json.loads(capsys.readouterr().out)["new"]] == ["/colour", "/deliver_to/zip"]
    assert main(["report", "diff", str(new), str(new)]) == 0


def test_fields_that_are_no_longer_seen_are_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    save(report_of_bodies(PART), old)
    save(report_of_bodies(drop(PART, "/payment")), new)
    assert main(["report", "diff", str(old), str(new)]) == 1
    assert "note: the later report does not cover 8 fields of the earlier report" in capsys.readouterr().out


def test_missing_origin_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    report = report_of_bodies(PART)
    origins = report["runs"][0]["origins"]
    origins["fake"] = origins["target"]
    save(report, old)
    del origins["target"]
    save(report, new)
    assert main(["report", "diff", str(old), str(new)]) == 0
    assert "note: no interaction from the target in the later report" in capsys.readouterr().out.splitlines()


def test_page_has_no_control_characters_from_the_report() -> None:
    report = report_of_bodies(PART)
    report["runs"][0]["by"] = "\x1b[2J\x00"
    assert not any(character in render_page(report) for character in "\x1b\x00")


def test_report_without_interactions_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    save(report_of_bodies(PART), old)
    save(report_of_bodies(), new)
    assert main(["report", "diff", str(old), str(new)]) == 2
    assert "the report has no interaction, so there is nothing to compare" in capsys.readouterr().err


# The page


class Reader(HTMLParser):
    """The elements of a page, and its text by element."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_page_is_self_contained() -> None:
    reader = read(render_page(report_of_bodies(order())))
    addresses = [
        value for _, attributes in reader.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert all(str(address).startswith(("#", "data:,")) for address in addresses)
    (policy,) = [
        attributes["content"]
        for _, attributes in reader.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_page_shows_every_documented_field_in_a_tree() -> None:
    reader = read(render_page(report_of_bodies(order())))
    found = {
        str(attributes["data-find"]) for tag, attributes in reader.elements if tag == "li" and "data-find" in attributes
    }
    assert len(found) == 475 + 5
    assert sum(tag == "details" for tag, _ in reader.elements) == 33 + 1 + 2 + 1


def text_of(html: str) -> str:
    """Return the visible text of a page, with single spaces."""
    return " ".join(" ".join(read(html.partition("</style>")[2].rpartition("<script>")[0]).text).split())


def fake_only(report: Any) -> Any:
    """Return *report* as if the fake had sent its responses."""
    origins = report["runs"][0]["origins"]
    origins["fake"] = origins.pop("target")
    return report


def test_page_groups_findings_by_rule_with_the_fix() -> None:
    bodies = [put(PART, "/deliver_to/phone", None), put(PART, "/deliver_to/zip", None), put(PART, "/due_date", "x")]
    text = text_of(render_page(report_of_bodies(*bodies)))
    assert text.count("error null-value : null in a field with a documented type") == 1
    assert "Fix for the server send a JSON value of the documented type; if the live API sends null here" in text
    assert "Explained by veeqo-alloc rules null-value" in text
    assert "response /deliver_to/phone target 1 response /deliver_to/zip target 1" in text
    assert text.index("error null-value") < text.index("warning untyped-field-value")


def test_page_shows_a_rule_that_this_version_does_not_have() -> None:
    report = report_of_bodies(put(PART, "/deliver_to/phone", None))
    for row in report["runs"][0]["origins"]["target"]["findings"]:
        row["rule"] = "rule-of-another-version"
    assert "error rule-of-another-version Place Origin Count" in text_of(render_page(report))


def test_page_has_the_target_before_the_fake() -> None:
    report = report_of_bodies(PART, PART)
    report["runs"][0]["origins"]["fake"] = report_of_bodies(order())["runs"][0]["origins"]["target"]
    text = text_of(render_page(report))
    seen = len(PART) + len(PART["deliver_to"]) + len(PART["payment"])
    assert f"{seen} of 475 response fields seen from the target" in text
    assert "response fields seen from the fake" not in text
    assert f"Field Seen, target Seen, fake order 36 drifted {seen} of 475 475 of 475" in text


def test_page_of_a_run_against_the_fake_alone_opens_with_what_the_client_sent() -> None:
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    contract.check_body("request", json.loads(read_shipped_text("schemas/examples/request.json")))
    text = text_of(render_page(fake_only(report_of(counted, contract))))
    assert "No server was tested: all responses came from the fake." in text
    assert "5 of 5 request fields sent to the fake 1 interaction with the fake" in text
    assert "0 of 475 response fields" not in text
    assert text.index("The request: 5 documented fields") < text.index("The order in the response")


def test_bar_of_a_branch_has_its_share_of_fields() -> None:
    html = render_page(report_of_bodies(drop(PART, "/deliver_to/zip")))
    assert '<svg class="bar" viewBox="0 0 11 1" preserveAspectRatio="none" aria-hidden="true"><rect width="10"' in html


def test_page_of_several_runs_lists_them_and_says_what_is_incomplete() -> None:
    later = report_of_bodies(PART, run="b" * 32, started=DAY + datetime.timedelta(days=1))
    later["runs"][0]["incomplete"] = "stopped <early>"
    text = text_of(render_page(merge_reports([report_of_bodies(PART), later])))
    assert "2 runs from 2026-01-31T12:00:00Z to 2026-02-01T12:00:00Z Incomplete: stopped <early>" in text


def test_comparison_is_written_to_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, out = (tmp_path / name for name in ("old.json", "new.json", "out.html"))
    earlier = report_of_bodies(put(PART, "/due_date", "2026-01-31"), run="b" * 32)
    later = report_of_bodies(put(drop(drop(PART, "/deliver_to/zip"), "/payment"), "/colour", "red"))
    later["runs"][0]["origins"]["target"]["undocumented"]["response"][f"/{HOSTILE}"] = {"string": 1}
    save(earlier, old)
    save(later, new)
    assert main(["report", "diff", str(old), str(new), "-o", str(out)]) == 1
    assert "new: response /colour: undocumented (string), from the target" in capsys.readouterr().out
    html = out.read_text(encoding="utf-8")
    text = text_of(html)
    assert "drifts since the earlier report" in text
    assert "response /colour undocumented (string) target new" in text
    assert "response /due_date undocumented type (string) target gone" in text
    assert "note: the later report does not cover 8 fields of the earlier report" in text
    assert "<script>alert(1)</script>" in text
    assert "<script>alert(1)</script>" not in html
    assert main(["report", "diff", str(new), str(new), "-o", str(out)]) == 0
    assert "No change." in text_of(out.read_text(encoding="utf-8"))
    assert main(["report", "diff", str(old), str(new), "-o", str(tmp_path / "out.json")]) == 2
    assert "a report file must end in .html, not" in capsys.readouterr().err


def test_page_escapes_hostile_text_everywhere() -> None:
    report = report_of_bodies(put(PLANTED["/deliver_to/phone", "null", ""], "/colour", 1))
    (run,) = report["runs"]
    origin = run["origins"]["target"]
    run["by"] = run["profile"] = HOSTILE
    for row in origin["findings"]:
        row.update(place=HOSTILE, example=HOSTILE + "1")
    for row in origin["calls"]:
        row["tests"] = {HOSTILE: 1}
    origin["undocumented"]["response"] = {f"/{HOSTILE}": {HOSTILE: 1}}
    run["deviations"] = [{"rule": HOSTILE, "place": HOSTILE, "reason": HOSTILE, "count": 1, "state": "used"}]
    reader = read(render_page(report))
    assert sum(tag == "script" for tag, _ in reader.elements) == 1
    assert sum("alert(1)" in text for text in reader.text) >= 8


def test_page_of_many_interactions_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_CALLS", 3)
    report = report_of_bodies(order())
    report["runs"][0]["origins"]["target"]["calls"] = [
        {"status": "201", "errors": errors, "warnings": 0, "tests": {f"test_{number}": 1 for number in range(5)}}
        for errors in (0, 2)
    ]
    html = render_page(report)
    assert "The first 3 of 10 rows, errors first" in html
    assert html.count('<td class="name">test_') == 3


def test_report_without_runs_has_a_page() -> None:
    assert "no run" in render_page(merge_reports([]))


def test_origins_are_kept_apart() -> None:
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    contract.check_body("response", order())
    found = contract.check_body("response", order())
    counted.on_check(CheckEvent("fake", None, found, lambda test_id: counted.by_origin["target"]))
    report = report_of(counted, contract)
    assert {origin: totals.interactions for origin, totals in totals_by_origin(report).items()} == {
        "target": 2,
        "fake": 2,
    }


def test_comparison_counts_drift_that_does_not_concern_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("uses.txt").write_text("/channel/id\n", encoding="utf-8")
    save(report_of_bodies(order()), Path("old.json"))
    save(report_of_bodies(put(order(), "/colour", "red"), drop(order(), "/deliver_to/zip")), Path("new.json"))
    command = ["report", "diff", "old.json", "new.json", "--uses", "uses.txt"]
    assert main(command) == 0
    unused = "does not concern you: 2 new drifts at fields that the client does not use\n"
    assert capsys.readouterr().out == f"{unused}0 new drifts, 0 gone\n"
    assert main([*command, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"new": [], "gone": [], "unused": 2}
    save(report_of_bodies(PLANTED["/channel/id", "wrong type", "string"]), Path("new.json"))
    assert main(command) == 1
    assert capsys.readouterr().out.startswith("new: response /channel/id: wrong type (string)")
    Path("uses.txt").write_text("/chanel/id\n", encoding="utf-8")
    assert main(command) == 2
    assert capsys.readouterr().err == (
        "veeqo-alloc: 'uses.txt': no documented response field '/chanel/id': did you mean '/channel/id'?\n"
    )
