"""From what a run noted to its report."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from pytest_veeqo_alloc.api import Contract
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.coverage.collector import Coverage, Origin
from pytest_veeqo_alloc.coverage.report_model import (
    About,
    Document,
    Totals,
    field_counts,
    report_of,
    seen_from_target,
    totals_of,
)
from pytest_veeqo_alloc.spec.loader import PACKS, charts, load_deviations


@dataclass(frozen=True, slots=True)
class Finished:
    """A report, and what it comes to."""

    report: Document
    totals: dict[Origin, Totals] = field(default_factory=dict)

    @property
    def interactions(self) -> int:
        """How many there were, from anywhere."""
        return sum(each.interactions for each in self.totals.values())

    @property
    def seen(self) -> int:
        """How many fields of the response were seen from the target."""
        return seen_from_target(self.totals)

    @property
    def percent(self) -> float:
        """The same as a percentage of all."""
        return 100 * self.seen / self.fields

    @property
    def fields(self) -> int:
        """How many fields a response has."""
        return field_counts(charts())[0]


def about_run(contract: Contract, by: str, started: datetime.datetime, run: str) -> About:
    """A run that *by* made, judged by *contract*. *run* is its id, *started* in UTC."""
    return About(
        id=run,
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        by=by,
        version=version("pytest-veeqo-alloc"),
        profile=contract.profile,
        severities={rule: contract.severity_of(rule) for rule in CATALOGUE},
        deviations=contract.deviations,
        of_packs=frozenset(each for pack in PACKS for each in load_deviations(pack)),
        today=contract.today,
    )


def finished_run(about: About, counted: Mapping[Origin, Coverage]) -> Finished:
    """The report of a run that counted these."""
    report = report_of(about, counted, charts())
    return Finished(report, totals_of(report))
