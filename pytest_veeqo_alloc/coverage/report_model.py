"""The report of a run as data: what `schemas/report.json` describes, and how reports become one.

A report keeps its runs apart, each under its own id, so that merging is a union: what is merged twice counts once.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pytest_veeqo_alloc.contract.deviations import Deviation, generalised
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, CATALOGUE, BodySide, Severity
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY
from pytest_veeqo_alloc.coverage.collector import (
    ORIGINS,
    Coverage,
    FieldTrees,
    Origin,
    deviation_key,
    evaluation_counts,
)
from pytest_veeqo_alloc.coverage.field_counts import (
    NULL,
    OTHERS,
    BodyCounts,
    FieldPlace,
    FieldTally,
    Node,
    tally_fields,
)

FORMAT, VERSION = "pytest-veeqo-alloc report", 1
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run: its id, when it began (RFC 3339), what made it, with which version, and what it was judged by. `of_packs` are
    deviations that ship with us, which nobody could take out for being stale."""

    id: str
    started: str
    by: str
    version: str
    profile: str
    severities: Mapping[str, Severity]
    deviations: Iterable[Deviation]
    of_packs: frozenset[Deviation]
    today: datetime.date


def build_report(about: RunInfo, counted: Mapping[Origin, Coverage], field_trees: FieldTrees) -> Document:
    """The report of one run."""
    origins = {
        origin: _origin(coverage, about, field_trees) for origin, coverage in counted.items() if coverage.interactions
    }
    run = {
        "id": about.id,
        "started": about.started,
        "by": about.by,
        "version": about.version,
        "profile": about.profile,
        "origins": origins,
        "deviations": list(_deviations(about, counted.values(), origins, field_trees)),
    }
    return {"format": FORMAT, "version": VERSION, "runs": [run]}


def merge_reports(reports: Iterable[Document]) -> Document:
    """Every run of *reports* once, by the time at which it began. ValueError where two runs of one id differ."""
    runs: dict[str, Any] = {}
    for report in reports:
        for run in report["runs"]:
            if runs.setdefault(run["id"], run) != run:
                raise ValueError("two runs with the same id differ, so one of them was changed by hand")
    ordered = sorted(runs.values(), key=lambda run: (run["started"], run["id"]))
    return {"format": FORMAT, "version": VERSION, "runs": ordered}


def _origin(coverage: Coverage, about: RunInfo, field_trees: FieldTrees) -> dict[str, Any]:
    response = tally_fields(coverage.response, field_trees.response)
    request = tally_fields(coverage.request, field_trees.request)
    looked = evaluation_counts(coverage.reached(), (field_trees.response, response), (field_trees.request, request))
    return {
        "interactions": coverage.interactions,
        "statuses": dict(coverage.statuses),
        "request_fields": _fields(request),
        "response_fields": _fields(response),
        "undocumented": {"request": _extra(coverage.request), "response": _extra(coverage.response)},
        "rules": _rules(coverage, looked, about),
        "findings": [_finding(key, count, coverage.examples[key]) for key, count in coverage.findings.items()],
        "calls": _calls(coverage),
    }


def _fields(found: Mapping[str, FieldTally]) -> dict[str, Any]:
    return {
        pointer: {
            "looked_at": tally.instances,
            "present": tally.present,
            "non_null": tally.non_null,
            "types": dict(tally.types),
        }
        for pointer, tally in found.items()
        if tally.instances
    }


def _extra(bodies: BodyCounts) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, count in bodies.extra.items():
        kind, _, pointer = key.partition(" ")
        found.setdefault(pointer, {})[kind] = count
    return found


def _rules(coverage: Coverage, looked: Mapping[str, int], about: RunInfo) -> dict[str, dict[str, int]]:
    accepted: Counter[str] = Counter()
    for key, count in coverage.deviations.items():
        accepted[key.partition(" ")[0]] += count
    found: Counter[tuple[str, str]] = Counter()
    for key, count in coverage.findings.items():
        severity, rule, *_ = key.split(" ", 2)
        found[severity, rule] += count
    return {
        rule: {
            "looked_at": count,
            "errors": found["error", rule],
            "warnings": found["warning", rule],
            "accepted": accepted[rule],
        }
        for rule, count in looked.items()
        if about.severities[rule] != "off"
    }


def _finding(key: str, count: int, example: str) -> dict[str, Any]:
    severity, rule, side, place = key.split(" ", 3)
    row = {"severity": severity, "rule": rule, "basis": CATALOGUE[rule].basis, "side": side, "place": place}
    return {**row, "example": example, "count": count}


def _calls(coverage: Coverage) -> list[dict[str, Any]]:
    """Tests by outcome, since many tests have the same."""
    found: dict[tuple[str, int, int], dict[str, int]] = {}
    for key, count in coverage.calls.items():
        status, errors, warnings, test = key.split(" ", 3)
        found.setdefault((status, int(errors), int(warnings)), {})[test] = count
    return [
        {"status": status, "errors": errors, "warnings": warnings, "tests": tests}
        for (status, errors, warnings), tests in found.items()
    ]


def _deviations(
    about: RunInfo, counted: Iterable[Coverage], origins: Mapping[Origin, dict[str, Any]], field_trees: FieldTrees
) -> Iterator[dict[str, Any]]:
    """Those that were used, have expired, or were not needed where they were looked for."""
    used: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for coverage in counted:
        used.update(coverage.deviations)
        for bodies, root in ((coverage.response, field_trees.response), (coverage.request, field_trees.request)):
            there.update(bodies.instances(root))
    holders = {node.pointer for root in (field_trees.response, field_trees.request) for node in root.nodes()}
    looked: Counter[str] = Counter()
    for origin in origins.values():
        looked.update({rule: counts["looked_at"] for rule, counts in origin["rules"].items()})
    for deviation in about.deviations:
        count = used[deviation_key(deviation)]
        state = "used" if count else "stale"
        if deviation.expired(about.today):
            state = "expired"
        elif state == "stale" and (
            deviation in about.of_packs or not _was_looked_for(deviation, looked, there, holders)
        ):
            continue
        yield {
            "rule": deviation.rule,
            "place": deviation.place or WHOLE_BODY,
            "reason": deviation.reason,
            "count": count,
            "state": state,
        }


def _was_looked_for(
    deviation: Deviation, looked: Mapping[str, int], there: Mapping[str, int], holders: set[str]
) -> bool:
    if not looked.get(deviation.rule, 0):
        return False
    holder = generalised(deviation.pointer, None).rpartition("/")[0]
    return deviation.pointer is None or holder not in holders or there.get(holder, 0) > 0


def documented_field_counts(field_trees: FieldTrees) -> tuple[int, int]:
    """How many fields a response and a request have."""

    def count(root: Node) -> int:
        return sum(len(node.places) for node in root.nodes())

    return count(field_trees.response), count(field_trees.request)


@dataclass(slots=True)
class Totals:
    """What all runs of a report showed of one origin."""

    interactions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    fields: dict[tuple[BodySide, str], FieldTally] = field(default_factory=dict)
    undocumented: dict[tuple[BodySide, str], Counter[str]] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    findings: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    calls: Counter[tuple[str, str, int, int]] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        """How many fields of the response were there at least once."""
        return sum(side == "response" and tally.present > 0 for (side, _), tally in self.fields.items())

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds what one run showed."""
        self.interactions += row["interactions"]
        self.statuses.update(row["statuses"])
        for side in BODY_SIDES:
            for pointer, counts in row[f"{side}_fields"].items():
                _add(self.fields.setdefault((side, pointer), FieldTally()), counts)
            for pointer, kinds in row["undocumented"][side].items():
                self.undocumented.setdefault((side, pointer), Counter()).update(kinds)
        for rule, counts in row["rules"].items():
            self.rules.setdefault(rule, Counter()).update(counts)
        for each in row["findings"]:
            key = (each["severity"], each["rule"], each["side"], each["place"])
            if key in self.findings:
                self.findings[key]["count"] += each["count"]
            else:
                self.findings[key] = dict(each)
        for call in row["calls"]:
            for test, count in call["tests"].items():
                self.calls[test, call["status"], call["errors"], call["warnings"]] += count


def _add(tally: FieldTally, counts: Mapping[str, Any]) -> None:
    tally.instances += counts["looked_at"]
    tally.present += counts["present"]
    tally.non_null += counts["non_null"]
    tally.types.update(counts["types"])


def fields_seen_from_target(totals: Mapping[Origin, Totals]) -> int:
    """How many fields of the response were there at least once in what the target answered."""
    return totals["target"].seen if "target" in totals else 0


def totals_by_origin(report: Mapping[str, Any]) -> dict[Origin, Totals]:
    """The totals of every origin that there is in *report*, the target first."""
    found: dict[Origin, Totals] = {}
    for origin in ORIGINS:
        for run in report["runs"]:
            if origin in run["origins"]:
                found.setdefault(origin, Totals()).add(run["origins"][origin])
    return found


def rule_totals(totals: Mapping[Origin, Totals]) -> dict[str, Counter[str]]:
    """The counts of every rule that was on, over all origins."""
    found: dict[str, Counter[str]] = {}
    for each in totals.values():
        for rule, counts in each.rules.items():
            found.setdefault(rule, Counter()).update(counts)
    return found


Kind = Literal["undocumented", "never seen", "sometimes absent", "null", "wrong type", "type of an untyped field"]


class Drift(NamedTuple):
    """One way in which what was seen is not what is documented. `type` is a JSON type, or empty."""

    origin: Origin
    side: BodySide
    pointer: str
    kind: Kind
    type: str

    @property
    def what(self) -> str:
        """Kind and type in words."""
        return f"{self.kind} ({self.type})" if self.type else self.kind

    @property
    def sentence(self) -> str:
        """In words: place, kind and type."""
        return f"{self.side} {self.pointer}: {self.what}"


def find_drift(report: Mapping[str, Any], field_trees: FieldTrees) -> dict[Drift, tuple[int, int]]:
    """All drift in *report*: how often it was met, and how often the place was looked at; 0 where that is not known."""
    found: dict[Drift, tuple[int, int]] = {}
    for origin, totals in totals_by_origin(report).items():
        for (side, pointer), kinds in totals.undocumented.items():
            for kind, count in kinds.items():
                found[Drift(origin, side, pointer, "undocumented", kind)] = (count, 0)
        for side, place in _places(field_trees):
            tally = totals.fields.get((side, place.pointer), FieldTally())
            for what, type_name, count in _departures(place, tally):
                found[Drift(origin, side, place.pointer, what, type_name)] = (count, tally.instances)
    return found


def _places(field_trees: FieldTrees) -> Iterator[tuple[BodySide, FieldPlace]]:
    for side in BODY_SIDES:
        for node in getattr(field_trees, side).nodes():
            yield from ((side, place) for place in node.places)


def _departures(place: FieldPlace, tally: FieldTally) -> Iterator[tuple[Kind, str, int]]:
    if absent := tally.instances - tally.present:
        yield "sometimes absent" if tally.present else "never seen", "", absent
    for kind, count in tally.types.items():
        if place.field.type is None:
            if kind != NULL:
                yield "type of an untyped field", kind, count
        elif kind == NULL:
            if not place.field.nullable:
                yield "null", "", count
        elif kind != place.field.type:
            yield "wrong type", kind, count


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """What a later report shows and an earlier one does not, what it no longer shows where it looked, how many fields it no
    longer looked at, and origins from which it has nothing."""

    new: list[Drift]
    gone: list[Drift]
    unseen: int
    lost: list[Origin]


def compare_reports(old: Mapping[str, Any], new: Mapping[str, Any], field_trees: FieldTrees) -> ReportComparison:
    """*new* held against *old*."""
    before, after = find_drift(old, field_trees), find_drift(new, field_trees)
    looked = {origin: totals.fields for origin, totals in totals_by_origin(new).items()}
    # Absent sometimes is less than absent always, and no news after it.
    known = before.keys() | {drift._replace(kind="sometimes absent") for drift in before if drift.kind == "never seen"}
    gone = [drift for drift in before if drift not in after and _was_looked_at(drift, looked)]
    unseen = [
        key
        for origin, totals in totals_by_origin(old).items()
        for key in totals.fields.keys() - looked.get(origin, {}).keys()
    ]
    lost = [origin for origin in totals_by_origin(old) if origin not in looked]
    return ReportComparison([drift for drift in after if drift not in known], gone, len(unseen), lost)


def _was_looked_at(drift: Drift, looked: Mapping[Origin, Mapping[tuple[BodySide, str], FieldTally]]) -> bool:
    fields = looked.get(drift.origin, {})
    if drift.kind != "undocumented" or drift.pointer == OTHERS:
        return (drift.side, drift.pointer) in fields
    holder = drift.pointer.rpartition("/")[0]
    return any(side == drift.side and pointer.rpartition("/")[0] == holder for side, pointer in fields)
