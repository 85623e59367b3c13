"""The report of a run as data: what `schemas/report.json` describes, and how reports become one.

A report keeps its runs apart, each under its own id, so that merging is a union: what is merged twice counts once.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.counting import Bodies, Node, Tally, tallies
from pytest_veeqo_alloc.contract.coverage import Charts, Coverage, Origin, key_of
from pytest_veeqo_alloc.contract.deviations import Deviation, generalised
from pytest_veeqo_alloc.contract.looked import looked_at
from pytest_veeqo_alloc.contract.rules import CATALOGUE, Severity
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY

FORMAT, VERSION = "pytest-veeqo-alloc report", 1
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class About:
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


def report_of(about: About, counted: Mapping[Origin, Coverage], charts: Charts) -> Document:
    """The report of one run."""
    origins = {
        origin: _origin(coverage, about, charts) for origin, coverage in counted.items() if coverage.interactions
    }
    run = {
        "id": about.id,
        "started": about.started,
        "by": about.by,
        "version": about.version,
        "profile": about.profile,
        "origins": origins,
        "deviations": list(_deviations(about, counted.values(), origins, charts)),
    }
    return {"format": FORMAT, "version": VERSION, "runs": [run]}


def merged(reports: Iterable[Document]) -> Document:
    """Every run of *reports* once, by the time at which it began. ValueError where two runs of one id differ."""
    runs: dict[str, Any] = {}
    for report in reports:
        for run in report["runs"]:
            if runs.setdefault(run["id"], run) != run:
                raise ValueError("two runs with the same id differ, so one of them was changed by hand")
    ordered = sorted(runs.values(), key=lambda run: (run["started"], run["id"]))
    return {"format": FORMAT, "version": VERSION, "runs": ordered}


def _origin(coverage: Coverage, about: About, charts: Charts) -> dict[str, Any]:
    response = tallies(coverage.response, charts.response)
    request = tallies(coverage.request, charts.request)
    looked = looked_at(coverage.reached(), (charts.response, response), (charts.request, request))
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


def _fields(found: Mapping[str, Tally]) -> dict[str, Any]:
    return {
        pointer: {
            "looked_at": tally.looked_at,
            "present": tally.present,
            "non_null": tally.non_null,
            "types": dict(tally.types),
        }
        for pointer, tally in found.items()
        if tally.looked_at
    }


def _extra(bodies: Bodies) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, count in bodies.extra.items():
        kind, _, pointer = key.partition(" ")
        found.setdefault(pointer, {})[kind] = count
    return found


def _rules(coverage: Coverage, looked: Mapping[str, int], about: About) -> dict[str, dict[str, int]]:
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
    about: About, counted: Iterable[Coverage], origins: Mapping[Origin, dict[str, Any]], charts: Charts
) -> Iterator[dict[str, Any]]:
    """Those that were used, have expired, or were not needed where they were looked for."""
    used: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for coverage in counted:
        used.update(coverage.deviations)
        for bodies, root in ((coverage.response, charts.response), (coverage.request, charts.request)):
            there.update(bodies.instances(root))
    holders = {node.pointer for root in (charts.response, charts.request) for node in root.nodes()}
    looked: Counter[str] = Counter()
    for origin in origins.values():
        looked.update({rule: counts["looked_at"] for rule, counts in origin["rules"].items()})
    for deviation in about.deviations:
        count = used[key_of(deviation)]
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


def field_counts(charts: Charts) -> tuple[int, int]:
    """How many fields a response and a request have."""

    def count(root: Node) -> int:
        return sum(len(node.places) for node in root.nodes())

    return count(charts.response), count(charts.request)
