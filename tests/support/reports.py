"""Coverage and reports of checks in this process."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from pytest_veeqo_alloc.coverage.collector import CheckEvent, Coverage, CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import Document, Totals
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.report_file import build_run

DAY = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


class _LastCheck:
    """A listener that keeps the coverage of the last check."""

    counts = True

    def __init__(self) -> None:
        self.coverage = Coverage()

    def on_check(self, event: CheckEvent) -> None:
        self.coverage = event.coverage("tests/test_it.py::test_it")


def coverage_of(check: Callable[[Engine], object], contract: Engine | None = None) -> Coverage:
    """Return the coverage of the one check that *check* makes."""
    last = _LastCheck()
    check((contract or Engine()).with_listener(last))
    return last.coverage


def report_of_bodies(
    *bodies: Any, contract: Engine | None = None, run: str = "a" * 32, started: datetime.datetime = DAY
) -> Document:
    """Return the report of a run that checked these response *bodies*."""
    counted = CoverageCounter()
    contract = (contract or Engine()).with_listener(counted)
    for body in bodies:
        contract.check_body("response", body)
    return report_of(counted, contract, run=run, started=started)


def report_of(
    counted: CoverageCounter, contract: Engine, *, run: str = "a" * 32, started: datetime.datetime = DAY
) -> Document:
    return build_run(contract, counted.by_origin, "pytest 9", started, run).report


def of_rules(totals: Totals, counts: str = "looked_at") -> dict[str, int]:
    """Return the counts of the rules that have one."""
    return {rule: row[counts] for rule, row in totals.rules.items() if row[counts]}


def kinds(drifts: Iterable[Any]) -> set[tuple[str, str, str]]:
    return {(drift.pointer, drift.kind, drift.type) for drift in drifts}
