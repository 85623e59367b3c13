"""What a run over files has checked, before a sink shows it."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from pytest_veeqo_alloc.contract.failure import render
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import pluralise, printable
from pytest_veeqo_alloc.coverage.collector import Coverage, Origin
from pytest_veeqo_alloc.coverage.report_model import (
    Document,
    Drift,
    ReportComparison,
    RunInfo,
    Totals,
    build_report,
    rule_totals,
    totals_by_origin,
)
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import PACKS, field_trees, load_deviations


@dataclass(frozen=True, slots=True)
class FileResult:
    """The findings of one body or interaction, where it came from, and the hint that goes with them."""

    file: str
    source: str
    findings: Findings
    hint: str = ""


@dataclass(slots=True)
class CheckRun:
    """Everything checked, how much was passed over, how many files there were, what could not be read (a file and one
    sentence), and the named files that are nothing of ours."""

    checked: list[FileResult] = field(default_factory=list)
    skipped: int = 0
    files: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    unrecognised: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[tuple[FileResult, Finding]]:
        """Every error with what it was found in."""
        return [(each, error) for each in self.checked for error in each.findings.errors]

    @property
    def warnings(self) -> list[tuple[FileResult, Finding]]:
        """Every warning with what it was found in."""
        return [(each, warning) for each in self.checked for warning in each.findings.warnings]


def print_error(sentence: str) -> None:
    """One line on standard error."""
    print(f"veeqo-alloc: {printable(sentence)}", file=sys.stderr, flush=True)


def terminal_lines(run: CheckRun) -> Iterator[str]:
    """Each failure in full, warnings by rule, and one line that counts."""
    for each in run.checked:
        if not each.findings.ok:
            yield f"{printable(each.source)}: {render(each.findings, each.hint)}"
            yield ""
    # A failure has told its own warnings.
    told = {id(each) for each in run.checked if not each.findings.ok}
    by_rule: dict[str, list[str]] = {}
    for each, warning in run.warnings:
        if id(each) not in told:
            by_rule.setdefault(warning.rule, []).append(f"{printable(each.source)} {warning.place}")
    for rule, places in by_rule.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"warning: {rule} at {places[0]}{more}"
    yield (
        f"checked {pluralise(len(run.checked), 'body or interaction', 'bodies and interactions')} "
        f"in {pluralise(run.files, 'file')}, skipped {run.skipped}: "
        f"{pluralise(len(run.errors), 'error')}, {pluralise(len(run.warnings), 'warning')}"
    )


def json_text(run: CheckRun) -> str:
    """One object: `ok`, `checked`, `skipped`, `findings`. Names that may not be shown are masked in pointers."""
    findings = [{**finding.as_row(), "file": each.source} for each in run.checked for finding in each.findings]
    outcome = {
        "ok": not run.errors and not run.unreadable,
        "checked": len(run.checked),
        "skipped": run.skipped,
        "findings": findings,
    }
    return json.dumps(outcome, indent=2)


_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_MESSAGE, ":": "%3A", ",": "%2C"}


def github_lines(run: CheckRun) -> Iterator[str]:
    """`::error` or `::warning` for each finding, and `::error` for each file that cannot be read."""
    for each in run.checked:
        for finding in each.findings:
            where = f"{finding.side} {finding.place}" + (f" of {each.source}" if each.source != each.file else "")
            message = f"{where}: {finding.message}; do: {finding.remedy}"
            yield f"::{finding.severity} file={_escape(each.file, _PROPERTY)},title={finding.rule}::{_escape(message, _MESSAGE)}"

    for file, sentence in run.unreadable:
        yield f"::error file={_escape(file, _PROPERTY)},title=unreadable::{_escape(sentence, _MESSAGE)}"


def _escape(text: str, table: dict[str, str]) -> str:
    return printable("".join(table.get(character, character) for character in text))


@dataclass(frozen=True, slots=True)
class RunReport:
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
        return self.totals["target"].fields_seen if "target" in self.totals else 0

    @property
    def percent(self) -> float:
        """The same as a percentage of all."""
        return 100 * self.seen / self.fields

    @property
    def fields(self) -> int:
        """How many fields a response has."""
        return field_trees().response.field_count


def describe_run(engine: Engine, by: str, started: datetime.datetime, run: str) -> RunInfo:
    """A run that *by* made, judged by *contract*. *run* is its id, *started* in UTC."""
    return RunInfo(
        id=run,
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        by=by,
        version=version("pytest-veeqo-alloc"),
        profile=engine.profile,
        severities={rule: engine.severity_of(rule) for rule in CATALOGUE},
        deviations=engine.deviations,
        pack_deviations=frozenset(each for pack in PACKS for each in load_deviations(pack)),
        today=engine.today,
    )


def build_run(about: RunInfo, counted: Mapping[Origin, Coverage]) -> RunReport:
    """The report of a run that counted these."""
    report = build_report(about, counted, field_trees())
    return RunReport(report, totals_by_origin(report))


_MOST = 8


def run_lines(run: RunReport) -> Iterator[str]:
    """Interactions, rules and fields; errors and warnings by rule with one place each; deviations."""
    if not run.interactions:
        yield "0 interactions, so nothing was checked"
        return
    by_origin = ", ".join(f"{each.interactions} from the {origin}" for origin, each in run.totals.items())
    evaluations = [counts["looked_at"] for counts in rule_totals(run.totals).values()]
    yield (
        f"{pluralise(run.interactions, 'interaction')}{f' ({by_origin})' if by_origin else ''}, "
        f"{sum(map(bool, evaluations))} of {len(evaluations)} rules exercised, "
        f"{run.seen} of {run.fields} fields seen from the target"
    )
    yield from _findings(run)
    yield from _deviations(run)


def coverage_shortfall(run: RunReport) -> str:
    """How much was seen, where that is less than was asked for."""
    of_fakes = "" if "target" in run.totals else "; what our fake and cassettes answer does not count"
    return f"{run.seen} of {run.fields} fields seen from the target{of_fakes}: less than"


def _findings(run: RunReport) -> Iterator[str]:
    told: dict[tuple[str, str], tuple[str, int]] = {}
    for each in run.totals.values():
        for row in each.findings.values():
            key = (row["severity"], row["rule"])
            place, count = told.get(key, (f"{row['side']} {row['example']}", 0))
            told[key] = (place, count + row["count"])
    ordered = sorted(told.items(), key=lambda item: (item[0][0], -item[1][1], item[0][1]))
    for (severity, rule), (place, count) in ordered[:_MOST]:
        yield printable(f"{severity}: {rule} at {place}{f', and {count - 1} more' if count > 1 else ''}")
    if len(ordered) > _MOST:
        yield f"and {len(ordered) - _MOST} more rules with findings"


def _deviations(run: RunReport) -> Iterator[str]:
    rows = [row for each in run.report["runs"] for row in each["deviations"]]
    if not rows:
        return
    parts = []
    for state in ("used", "stale", "expired"):
        of_state = [row for row in rows if row["state"] == state]
        named = f" (such as {of_state[0]['rule']} at {of_state[0]['place']})" if of_state and state != "used" else ""
        parts.append(f"{len(of_state)} {state}{named}")
    yield printable(f"deviations: {', '.join(parts)}")


def difference_lines(difference: ReportComparison) -> Iterator[str]:
    """New drift first, then what is gone, then how far the later run looked."""
    yield from (f"new: {_drift(each)}" for each in sorted(difference.new))
    yield from (f"gone: {_drift(each)}" for each in sorted(difference.gone))
    yield from (f"note: no interaction from the {origin} in the later report" for origin in difference.lost)
    if difference.unseen:
        yield f"note: {pluralise(difference.unseen, 'field')} of the earlier report not looked at in the later one"
    yield f"{pluralise(len(difference.new), 'new drift')}, {len(difference.gone)} gone"


def difference_rows(drifts: list[Drift]) -> list[dict[str, str]]:
    """The same for a program."""
    return [{name: printable(value) for name, value in each._asdict().items()} for each in sorted(drifts)]


def _drift(each: Drift) -> str:
    return printable(f"{each.sentence}, from the {each.origin}")
