"""Coverage reports: JSON documents with one or more runs, in the format that `schemas/report.json` describes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NamedTuple

from pytest_veeqo_alloc.contract.checker import Settings
from pytest_veeqo_alloc.contract.deviations import Deviation, DeviationIndex, Uses
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, CATALOGUE, BodySide
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY, generalise
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.coverage.collector import (
    ACCEPTED,
    FINDINGS,
    ORIGINS,
    UNUSED,
    Coverage,
    FieldTrees,
    Origin,
    evaluation_counts,
)
from pytest_veeqo_alloc.coverage.field_counts import NULL, OTHERS, FieldPlace, FieldTally, by_pointer, tally_fields

FORMAT, VERSION = "pytest-veeqo-alloc report", 1
Document = dict[str, Any]


def build_report(
    run: Mapping[str, Any],
    settings: Settings,
    counted: Mapping[Origin, Coverage],
    trees: FieldTrees,
    pack_deviations: Container[Deviation],
) -> Document:
    """Build the report on *run*. *counted* is the coverage by origin. *pack_deviations* are never reported as stale."""
    origins = {origin: _origin_row(seen, settings, trees) for origin, seen in counted.items() if seen.interactions}
    run = {**run, **_uses_of_run(settings, counted.values())}
    used = Counter[str]()
    for coverage in counted.values():
        used.update(coverage.deviations)
    stale = () if run.get("selection") else find_unmatched(settings.deviations.all, used, origins.values(), trees)
    rows = _deviation_rows(settings.deviations, used, [entry for entry in stale if entry not in pack_deviations])
    return {"format": FORMAT, "version": VERSION, "runs": [{**run, "origins": origins, "deviations": list(rows)}]}


def _uses_of_run(settings: Settings, counted: Iterable[Coverage]) -> dict[str, Any]:
    """Return `uses` (the fields that the settings list) and `read` (the fields that the client read), if any."""
    read: Counter[str] = Counter()
    for coverage in counted:
        read.update(coverage.read)
    uses = {} if settings.uses is None else {"uses": list(settings.uses.pointers)}
    return {**uses, "read": dict(sorted(read.items()))} if read else uses


def _origin_row(coverage: Coverage, settings: Settings, trees: FieldTrees) -> dict[str, Any]:
    return {
        "interactions": coverage.interactions,
        "statuses": dict(coverage.statuses),
        **{f"{side}_fields": _field_rows(tally_fields(coverage.bodies[side], root)) for side, root in trees.items()},
        "undocumented": {side: by_pointer(bodies.undocumented.items()) for side, bodies in coverage.bodies.items()},
        "rules": _rule_rows(coverage, evaluation_counts(coverage, trees), settings),
        "findings": _finding_rows(coverage, FINDINGS),
        "accepted": _finding_rows(coverage, ACCEPTED),
        "unused": _finding_rows(coverage, UNUSED),
        "cases": dict(coverage.cases),
        "calls": _call_rows(coverage),
    }


def _field_rows(tallies: Mapping[str, FieldTally]) -> dict[str, Any]:
    return {
        pointer: {"looked_at": total, "present": tally.present, "non_null": tally.non_null, "types": dict(tally.types)}
        for pointer, tally in tallies.items()
        if (total := tally.instances)
    }


def _rule_rows(coverage: Coverage, evaluations: Mapping[str, int], settings: Settings) -> dict[str, dict[str, int]]:
    counts: Counter[tuple[str, str]] = Counter()
    for key, count in coverage.deviations.items():
        counts["accepted", key.partition(" ")[0]] += count
    for key, count in coverage.findings.items():
        severity, rule, *_ = key.split(" ", 2)
        counts[f"{severity}s", rule] += count  # the accepted findings are counted above
    return {
        rule: {"looked_at": evaluated, **{name: counts[name, rule] for name in ("errors", "warnings", "accepted")}}
        for rule in CATALOGUE
        if (evaluated := evaluations.get(rule)) is not None and settings.severities[rule] != "off"
    }


def _finding_rows(coverage: Coverage, prefix: str) -> list[dict[str, Any]]:
    """Return a row for each key of `coverage.findings` that has *prefix*."""
    types: dict[str, dict[str, int]] = {}
    for key, count in coverage.types.items():
        kind, _, of_finding = key.partition(" ")
        types.setdefault(of_finding, {})[kind] = count
    rows = []
    for key, count in coverage.findings.items():
        severity, rule, side, rest = key.split(" ", 3)
        if severity[: severity.rfind("_") + 1] == prefix:
            place, _, case = rest.partition("\n")
            row = {
                "severity": severity.removeprefix(prefix), "rule": rule, "basis": CATALOGUE[rule].basis, "side": side,
                "place": place, "example": coverage.examples[key], "count": count,
                "interactions": coverage.affected[key],
            }  # fmt: skip
            optional = {"case": case, "types": types.get(key)}
            rows.append(row | {name: value for name, value in optional.items() if value})
    return rows


def _call_rows(coverage: Coverage) -> list[dict[str, Any]]:
    """Return a row for each combination of status, number of errors and number of warnings, with a count per test."""
    outcomes: dict[tuple[str, int, int], dict[str, int]] = {}
    for key, count in coverage.calls.items():
        status, errors, warnings, test = key.split(" ", 3)
        outcomes.setdefault((status, int(errors), int(warnings)), {})[test] = count
    return [
        {"status": status, "errors": errors, "warnings": warnings, "tests": tests}
        for (status, errors, warnings), tests in outcomes.items()
    ]


def _deviation_rows(
    deviations: DeviationIndex, used: Mapping[str, int], stale: Container[Deviation]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each used, expired or stale deviation. *used* maps a `Deviation.key` to a number of findings."""
    for deviation in deviations.all:
        count = used.get(deviation.key, 0)
        is_expired = deviation.expired(deviations.today)
        if count or is_expired or deviation in stale:
            row = {"rule": deviation.rule, "place": deviation.place or WHOLE_BODY, "reason": deviation.reason}
            yield {**row, "count": count, "state": "expired" if is_expired else "used" if count else "stale"}


def find_unmatched(
    deviations: Iterable[Deviation], used: Container[str], origins: Iterable[Mapping[str, Any]], trees: FieldTrees
) -> list[Deviation]:
    """Return the *deviations* that match nothing, although their place was checked.

    *used* has the `Deviation.key` of each deviation that matches a finding. *origins* are rows of a report.
    """
    rows = list(origins)
    evaluated = {rule for row in rows for rule, counts in row["rules"].items() if counts["looked_at"]}
    cases = {case for row in rows for case in row.get("cases", ())}
    seen = {pointer.rpartition("/")[0] for row in rows for side in BODY_SIDES for pointer in row[f"{side}_fields"]}
    documented = {place.pointer.rpartition("/")[0] for root in trees.values() for place in root.all_places()}
    return [
        entry
        for entry in deviations
        if entry.key not in used
        and entry.rule in evaluated
        and (not entry.case or f"{entry.rule} {entry.case}" in cases)
        and (entry.pointer is None or generalise(entry.pointer).rpartition("/")[0] not in documented - seen)
    ]


def merge_reports(reports: Iterable[Document]) -> Document:
    """Return one report with all runs, ordered by start time. Raise ValueError if runs with the same id differ."""
    runs: dict[str, Any] = {}
    for report in reports:
        for run in report["runs"]:
            if runs.setdefault(run["id"], run) != run:
                raise ValueError("two runs with the same id differ: create the edited report again")
    ordered = sorted(runs.values(), key=lambda run: (run["started"], run["id"]))
    return {"format": FORMAT, "version": VERSION, "runs": ordered}


@dataclass(slots=True)
class Totals:
    """The total counts for one origin in all runs of a report."""

    interactions: int = 0
    fields: dict[tuple[BodySide, str], FieldTally] = field(default_factory=dict)
    undocumented: dict[tuple[BodySide, str], Counter[str]] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    findings: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    calls: Counter[tuple[str, str, int, int]] = field(default_factory=Counter)

    @property
    def fields_seen(self) -> int:
        """The number of response fields that were present at least once."""
        return sum(side == "response" and tally.present > 0 for (side, _), tally in self.fields.items())

    def add(self, row: Mapping[str, Any]) -> None:
        """Add *row*, the counts for this origin in one run."""
        self.interactions += row["interactions"]
        for side in BODY_SIDES:
            for pointer, counts in row[f"{side}_fields"].items():
                tally = self.fields.setdefault((side, pointer), FieldTally())
                tally.instances += counts["looked_at"]
                tally.present += counts["present"]
                tally.types = Counter(tally.types) + Counter(counts["types"])
            for pointer, kinds in row["undocumented"][side].items():
                self.undocumented.setdefault((side, pointer), Counter()).update(kinds)
        for rule, counts in row["rules"].items():
            self.rules.setdefault(rule, Counter()).update(counts)
        for finding in row["findings"]:
            key = (finding["severity"], finding["rule"], finding["side"], finding["place"])
            self.findings.setdefault(key, {**finding, "count": 0})["count"] += finding["count"]
        for call in row["calls"]:
            for test, count in call["tests"].items():
                self.calls[test, call["status"], call["errors"], call["warnings"]] += count


def totals_by_origin(report: Mapping[str, Any]) -> dict[Origin, Totals]:
    """Return the totals over all runs of *report*, keyed by origin. The server under test ("target") comes first."""
    found: dict[Origin, Totals] = {}
    for origin in ORIGINS:
        for run in report["runs"]:
            if origin in run["origins"]:
                found.setdefault(origin, Totals()).add(run["origins"][origin])
    return found


def rule_totals(totals: Mapping[Origin, Totals]) -> dict[str, Counter[str]]:
    """Add up the counts of each rule over all origins. Return the sums, keyed by rule id."""
    found: dict[str, Counter[str]] = {}
    for of_origin in totals.values():
        for rule, counts in of_origin.rules.items():
            found.setdefault(rule, Counter()).update(counts)
    return found


DriftKind = Literal["undocumented", "never seen", "sometimes absent", "null", "wrong type", "undocumented type"]


class Drift(NamedTuple):
    """A difference between the documentation and the checked bodies from one origin. `type` is a JSON type or empty."""

    origin: Origin
    side: BodySide
    pointer: str
    kind: DriftKind
    type: str

    @property
    def what(self) -> str:
        """The kind of difference as text, with the JSON type if there is one: `never seen` or `wrong type (string)`."""
        return f"{self.kind} ({self.type})" if self.type else self.kind


def uses_of(report: Mapping[str, Any]) -> Uses | None:
    """Return the response fields that the clients of all runs use. Return None if a run has no list of them."""
    listed = [run.get("uses") for run in report["runs"]]
    return None if not listed or None in listed else Uses(chain.from_iterable(listed))


def find_drift(report: Mapping[str, Any], field_trees: FieldTrees) -> dict[Drift, tuple[int, int]]:
    """Map each difference from the documentation to its count and the number of objects checked (0 if unknown)."""
    found: dict[Drift, tuple[int, int]] = {}
    for origin, totals in totals_by_origin(report).items():
        for (side, pointer), kinds in totals.undocumented.items():
            for kind, count in kinds.items():
                found[Drift(origin, side, pointer, "undocumented", kind)] = (count, 0)
        for side, root in field_trees.items():
            for place in root.all_places():
                tally = totals.fields.get((side, place.pointer), FieldTally())
                for what, type_name, count in _departures(place, tally):
                    found[Drift(origin, side, place.pointer, what, type_name)] = (count, tally.instances)
    return found


def _departures(place: FieldPlace, tally: FieldTally) -> Iterator[tuple[DriftKind, str, int]]:
    if absent := tally.instances - tally.present:
        yield "sometimes absent" if tally.present else "never seen", "", absent
    for kind, count in tally.types.items():
        if kind == NULL and not (place.field.nullable or place.expected == NULL):
            yield "null", "", count
        elif kind not in (NULL, place.expected):
            yield "wrong type" if place.field.type else "undocumented type", kind, count


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """The differences between an earlier and a later report."""

    new: list[Drift]  # drift that only the later report has
    gone: list[Drift]  # drift that only the earlier report has, although both count the field
    unused: int  # the number of drifts that only the later report has, at response fields that the client does not use
    unseen: int  # the number of fields that only the earlier report counts
    lost: list[Origin]  # origins that only the earlier report has

    def notes(self) -> Iterator[str]:
        """Yield a line for each way in which the later report covers less, and a line on fields that are not used."""
        yield from (f"note: no interaction from the {origin} in the later report" for origin in self.lost)
        if self.unseen:
            yield f"note: the later report does not cover {pluralise(self.unseen, 'field')} of the earlier report"
        if self.unused:
            unused = pluralise(self.unused, "new drift")
            yield f"does not concern you: {unused} at fields that the client does not use"


def compare_reports(
    old: Mapping[str, Any], new: Mapping[str, Any], field_trees: FieldTrees, uses: Uses | None = None
) -> ReportComparison:
    """Return the differences between the earlier report *old* and the later report *new*.

    *uses* are the response fields that matter (None: all of them).
    """
    before, after = find_drift(old, field_trees), find_drift(new, field_trees)
    old_fields, new_fields = (
        {origin: totals.fields.keys() for origin, totals in totals_by_origin(report).items()} for report in (old, new)
    )
    # A field that is sometimes absent in the new report, but was always absent in the old one, is not new drift.
    known = before.keys() | {drift._replace(kind="sometimes absent") for drift in before if drift.kind == "never seen"}
    found = [drift for drift in after if drift not in known]
    new_drift = [drift for drift in found if concerns(drift, uses)]
    gone = [drift for drift in before if drift not in after and _was_looked_for(drift, new_fields)]
    return ReportComparison(
        new=new_drift,
        gone=[drift for drift in gone if concerns(drift, uses)],
        unused=len(found) - len(new_drift),
        unseen=sum(len(fields - new_fields.get(origin, set())) for origin, fields in old_fields.items()),
        lost=[origin for origin in old_fields if origin not in new_fields],
    )


def concerns(drift: Drift, uses: Uses | None) -> bool:
    """Return whether *drift* concerns a client that *uses* some response fields (None: all of them)."""
    return uses is None or drift.side != "response" or uses.concern(drift.pointer)


def _was_looked_for(drift: Drift, seen: Mapping[Origin, Iterable[tuple[BodySide, str]]]) -> bool:
    fields = seen.get(drift.origin, ())
    if drift.kind != "undocumented" or drift.pointer == OTHERS:
        return (drift.side, drift.pointer) in fields
    parent = drift.pointer.rpartition("/")[0]
    return any(side == drift.side and pointer.rpartition("/")[0] == parent for side, pointer in fields)
