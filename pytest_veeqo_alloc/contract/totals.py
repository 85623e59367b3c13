"""A report added up over its runs, and the drift in it: documentation against what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pytest_veeqo_alloc.contract.counting import NULL, OTHERS, Place, Tally
from pytest_veeqo_alloc.contract.coverage import ORIGINS, Charts, Origin
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, BodySide


@dataclass(slots=True)
class Totals:
    """What all runs of a report showed of one origin."""

    interactions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    fields: dict[tuple[BodySide, str], Tally] = field(default_factory=dict)
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
                _add(self.fields.setdefault((side, pointer), Tally()), counts)
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


def _add(tally: Tally, counts: Mapping[str, Any]) -> None:
    tally.looked_at += counts["looked_at"]
    tally.present += counts["present"]
    tally.non_null += counts["non_null"]
    tally.types.update(counts["types"])


def seen_from_target(totals: Mapping[Origin, Totals]) -> int:
    """How many fields of the response were there at least once in what the target answered."""
    return totals["target"].seen if "target" in totals else 0


def totals_of(report: Mapping[str, Any]) -> dict[Origin, Totals]:
    """The totals of every origin that there is in *report*, the target first."""
    found: dict[Origin, Totals] = {}
    for origin in ORIGINS:
        for run in report["runs"]:
            if origin in run["origins"]:
                found.setdefault(origin, Totals()).add(run["origins"][origin])
    return found


def rules_of(totals: Mapping[Origin, Totals]) -> dict[str, Counter[str]]:
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


def drift_of(report: Mapping[str, Any], charts: Charts) -> dict[Drift, tuple[int, int]]:
    """All drift in *report*: how often it was met, and how often the place was looked at; 0 where that is not known."""
    found: dict[Drift, tuple[int, int]] = {}
    for origin, totals in totals_of(report).items():
        for (side, pointer), kinds in totals.undocumented.items():
            for kind, count in kinds.items():
                found[Drift(origin, side, pointer, "undocumented", kind)] = (count, 0)
        for side, place in _places(charts):
            tally = totals.fields.get((side, place.pointer), Tally())
            for what, type_name, count in _departures(place, tally):
                found[Drift(origin, side, place.pointer, what, type_name)] = (count, tally.looked_at)
    return found


def _places(charts: Charts) -> Iterator[tuple[BodySide, Place]]:
    for side in BODY_SIDES:
        for node in getattr(charts, side).nodes():
            yield from ((side, place) for place in node.places)


def _departures(place: Place, tally: Tally) -> Iterator[tuple[Kind, str, int]]:
    if absent := tally.looked_at - tally.present:
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
class Difference:
    """What a later report shows and an earlier one does not, what it no longer shows where it looked, how many fields it no
    longer looked at, and origins from which it has nothing."""

    new: list[Drift]
    gone: list[Drift]
    unseen: int
    lost: list[Origin]


def difference(old: Mapping[str, Any], new: Mapping[str, Any], charts: Charts) -> Difference:
    """*new* held against *old*."""
    before, after = drift_of(old, charts), drift_of(new, charts)
    looked = {origin: totals.fields for origin, totals in totals_of(new).items()}
    # Absent sometimes is less than absent always, and no news after it.
    known = before.keys() | {drift._replace(kind="sometimes absent") for drift in before if drift.kind == "never seen"}
    gone = [drift for drift in before if drift not in after and _was_looked_at(drift, looked)]
    unseen = [
        key for origin, totals in totals_of(old).items() for key in totals.fields.keys() - looked.get(origin, {}).keys()
    ]
    lost = [origin for origin in totals_of(old) if origin not in looked]
    return Difference([drift for drift in after if drift not in known], gone, len(unseen), lost)


def _was_looked_at(drift: Drift, looked: Mapping[Origin, Mapping[tuple[BodySide, str], Tally]]) -> bool:
    fields = looked.get(drift.origin, {})
    if drift.kind != "undocumented" or drift.pointer == OTHERS:
        return (drift.side, drift.pointer) in fields
    holder = drift.pointer.rpartition("/")[0]
    return any(side == drift.side and pointer.rpartition("/")[0] == holder for side, pointer in fields)
