"""Coverage and reports made in this process."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from pytest_veeqo_alloc.coverage.collector import Coverage
from pytest_veeqo_alloc.coverage.listeners import CheckEvent, CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import Document, Totals
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.report_file import build_run, describe_run

DAY = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


class Last:
    """Keeps what the last check showed."""

    counts = True

    def __init__(self) -> None:
        self.coverage = Coverage()

    def on_check(self, event: CheckEvent) -> None:
        self.coverage = event.coverage("tests/test_it.py::test_it")


def coverage_of(check: Callable[[Engine], object], contract: Engine | None = None) -> Coverage:
    """What one check shows."""
    last = Last()
    check((contract or Engine()).with_listener(last))
    return last.coverage


def report_of_bodies(
    *bodies: Any, contract: Engine | None = None, run: str = "a" * 32, started: datetime.datetime = DAY
) -> Document:
    """The report of a run that checked *bodies* of responses."""
    counted = CoverageCounter()
    contract = (contract or Engine()).with_listener(counted)
    for body in bodies:
        contract.check_body("response", body)
    return report_of(counted, contract, run=run, started=started)


def report_of(
    counted: CoverageCounter, contract: Engine, *, run: str = "a" * 32, started: datetime.datetime = DAY
) -> Document:
    return build_run(describe_run(contract, "pytest 9", started, run), counted.by_origin).report


def of_rules(totals: Totals, counts: str = "looked_at") -> dict[str, int]:
    """The rules that have such a count."""
    return {rule: each[counts] for rule, each in totals.rules.items() if each[counts]}


def kinds(drifts: Iterable[Any]) -> set[tuple[str, str, str]]:
    return {(each.pointer, each.kind, each.type) for each in drifts}
