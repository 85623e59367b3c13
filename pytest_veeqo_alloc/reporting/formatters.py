"""Findings and reports as text: for a terminal, and as JSON, GitHub workflow commands, JUnit XML and SARIF."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_veeqo_alloc.contract.failure import heading, render
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.rules import CATALOGUE, Rule
from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.core.text import json_text, pluralise, printable
from pytest_veeqo_alloc.coverage.field_counts import NULL, FieldTally
from pytest_veeqo_alloc.coverage.report_model import Drift, ReportComparison, rule_totals, uses_of
from pytest_veeqo_alloc.reporting.report_file import RunReport

_MAX_RULES = 8
_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_MAX_ARGUMENT, _CONTINUED = 100_000, " \\\n  "
_OCTAL = [chr(byte) if 32 <= byte < 127 and chr(byte) not in "%-\\" else f"\\{byte:03o}" for byte in range(256)]


def print_error(sentence: str) -> None:
    """Print *sentence* as one line on standard error, with control characters escaped."""
    print(f"veeqo-alloc: {printable(sentence)}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class FileResult:
    """The findings about one body or interaction. `source` is the file and the entry in it: `orders.yaml#2`."""

    file: str
    source: str
    findings: Findings
    hint: str = ""


@dataclass(slots=True)
class CheckRun:
    """The results of checking files, and the files and calls that were not checked."""

    checked: list[FileResult] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # the place of each skipped file or call, and the reason
    files: int = 0  # the number of files
    missing_bodies: dict[str, int] = field(default_factory=dict)  # for each file, how many bodies it does not contain
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # pairs of a path and the reason
    unrecognised: list[str] = field(default_factory=list)  # files that the user named, but that hold nothing to check

    @property
    def errors(self) -> list[Finding]:
        """The errors in all checked bodies and interactions."""
        return [error for result in self.checked for error in result.findings.errors]


def terminal_lines(run: CheckRun) -> Iterator[str]:
    """Yield each result that has errors, then one line per rule for the warnings in other results, then counts."""
    by_rule: dict[str, list[str]] = {}
    for result in run.checked:
        if not result.findings.ok:
            yield f"{printable(result.source)}: {render(result.findings, result.hint)}"
            yield ""
        else:  # the text above includes the warnings
            for warning in result.findings.warnings:
                by_rule.setdefault(warning.rule, []).append(f"{printable(result.source)} {warning.place}")
    for rule, places in by_rule.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"warning: {rule} at {places[0]}{more}"
    warnings = sum(len(result.findings.warnings) for result in run.checked)
    yield (
        f"checked {pluralise(len(run.checked), 'body or interaction', 'bodies and interactions')} "
        f"in {pluralise(run.files, 'file')}, skipped {len(run.skipped)}: "
        f"{pluralise(len(run.errors), 'error')}, {pluralise(warnings, 'warning')}"
    )


def json_lines(run: CheckRun) -> Iterator[str]:
    """Yield one JSON document with the counts and findings of *run*. Member names that may be secrets are masked."""
    rows = [{**finding.as_row(), "file": result.source} for result in run.checked for finding in result.findings]
    is_ok = not run.errors and not run.unreadable
    yield json_text({"ok": is_ok, "checked": len(run.checked), "skipped": len(run.skipped), "findings": rows}, indent=2)


_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _MESSAGE | str.maketrans({":": "%3A", ",": "%2C"})


def github_lines(run: CheckRun) -> Iterator[str]:
    """Yield a GitHub workflow command for each finding (`::error` or `::warning`) and unreadable file (`::error`)."""
    for result in run.checked:
        entry = f" of {result.source}" if result.source != result.file else ""
        for finding in result.findings:
            message = f"{finding.side} {finding.place}{entry}: {finding.message}; do: {finding.remedy}"
            yield _workflow_command(finding.severity, result.file, finding.rule, message)
    for file, sentence in run.unreadable:
        yield _workflow_command("error", file, "unreadable", sentence)


def junit_lines(run: CheckRun) -> Iterator[str]:
    """Yield JUnit XML: a test case for each result, which fails if there are errors, and for each unreadable file."""
    from xml.etree import ElementTree  # needed by this format only

    suites = ElementTree.Element("testsuites")
    counts = {"tests": len(run.checked) + len(run.unreadable), "errors": len(run.unreadable)}
    counts["failures"] = sum(not result.findings.ok for result in run.checked)
    totals = {name: str(count) for name, count in counts.items()}
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "veeqo-alloc check", **totals})

    def add_case(file: str, source: str) -> ElementTree.Element:
        names = {"classname": printable(file), "name": printable(source), "file": printable(file)}
        return ElementTree.SubElement(suite, "testcase", names)

    for result in run.checked:
        case = add_case(result.file, result.source)
        if len(result.findings):
            properties = ElementTree.SubElement(case, "properties")
        for finding in result.findings:
            value = printable(f"{finding.rule} at {finding.side} {finding.place}")
            ElementTree.SubElement(properties, "property", name=f"veeqo_alloc_{finding.severity}", value=value)
        if errors := result.findings.errors:
            attributes = {"type": errors[0].rule, "message": printable(heading(result.findings))}
            failure = ElementTree.SubElement(case, "failure", attributes)
            failure.text = "\n".join(map(printable, render(result.findings, result.hint).split("\n")))
    for file, sentence in run.unreadable:
        ElementTree.SubElement(add_case(file, file), "error", type="unreadable", message=printable(sentence))
    ElementTree.indent(suites)
    yield ElementTree.tostring(suites, encoding="us-ascii", xml_declaration=True).decode()


_LEVELS = {"error": "error", "warning": "warning", "off": "none"}


def sarif_lines(run: CheckRun) -> Iterator[str]:
    """Yield a SARIF 2.1.0 log: the rules that are broken, a result for each finding, and the unreadable files."""
    found = [(result, finding) for result in run.checked for finding in result.findings]
    broken = {finding.rule for _, finding in found}
    rules = [_sarif_rule(rule) for rule in CATALOGUE.values() if rule.id in broken]
    indexes = {rule["id"]: index for index, rule in enumerate(rules)}
    driver = {"name": "veeqo-alloc", "version": version("pytest-veeqo-alloc"), "rules": rules}
    notes = [
        {"level": "error", "message": {"text": printable(sentence)}, "locations": [_sarif_location(file)]}
        for file, sentence in run.unreadable
    ]
    invocation = {"executionSuccessful": not run.unreadable, "toolExecutionNotifications": notes}
    results = [_sarif_result(result, finding, indexes[finding.rule]) for result, finding in found]
    log = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    yield json_text({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [log]}, indent=2)


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    remedies = "\n".join(f"Do ({side}): {remedy}." for side, remedy in rule.general_remedies.items())
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": f"{rule.summary}; wanted: {rule.wanted}"},
        "help": {"text": f"Wanted: {rule.wanted}.\n{remedies}\nSource: {rule.source}."},
        "defaultConfiguration": {"level": _LEVELS[rule.severities["documented"]]},
        "properties": {"tags": [rule.basis, *rule.sides]},
    }


def _sarif_result(result: FileResult, finding: Finding, index: int) -> dict[str, Any]:
    place = f"{finding.side} {finding.place}"
    entry = "" if result.source == result.file else f" of {result.source}"
    location = _sarif_location(result.file)
    location["logicalLocations"] = [{"name": printable(finding.place), "fullyQualifiedName": printable(place + entry)}]
    # Every result is at line 1, so without this fingerprint, GitHub takes two results of a rule for one.
    fingerprint = hashlib.sha256(f"{finding.rule} {place}{entry}".encode(errors="replace")).hexdigest()[:16]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": printable(f"{place}{entry}: {finding.message}; do: {finding.remedy}")},
        "locations": [location],
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:1"},
    }


def _sarif_location(file: str) -> dict[str, Any]:
    path = Path(file)
    uri = path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}}


def curl_command(request: Request, *, shown_keys: Collection[str] = ()) -> str:
    """Return a curl command that sends *request* again. It runs in any POSIX shell.

    The API key is replaced with the environment variable VEEQO_ALLOC_API_KEY unless it is one of *shown_keys*.
    """
    lines = [f"curl -g -X {shlex.quote(request.method)} {shlex.quote(request.url)}"]
    lines += [f"-H {_header(name, value, shown_keys)}" for name, value in request.headers]
    if request.body is None:
        return _CONTINUED.join(lines)
    if request.header("content-type") is None:
        lines.append("-H 'Content-Type:'")  # otherwise curl declares a form
    printer, text = _printed(request.body)
    if not printer:
        return _CONTINUED.join([*lines, f"--data-raw {text}"])
    return f"{printer} {text} |\n{_CONTINUED.join([*lines, '--data-binary @-'])}"


def _header(name: str, value: str, shown_keys: Collection[str]) -> str:
    is_bearer = name.lower() == "authorization"
    if (is_bearer or name.lower() == "x-api-key") and value not in shown_keys:
        return f'{shlex.quote(f"{name}: ")}"{"Bearer " if is_bearer else ""}$VEEQO_ALLOC_API_KEY"'
    return shlex.quote(f"{name}: {value}")


def _printed(body: bytes) -> tuple[str, str]:
    """Return a shell command that prints *body*, and the quoted argument of the command.

    The command is empty if curl can take the argument: at most 128 KB and no NUL byte. `printf` has no such limits.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        return "printf", shlex.quote("".join(map(_OCTAL.__getitem__, body)))
    return ("printf %s" if len(body) > _MAX_ARGUMENT else ""), shlex.quote(text)


def _workflow_command(kind: str, file: str, title: str, message: str) -> str:
    place, text = printable(file.translate(_PROPERTY)), printable(message.translate(_MESSAGE))
    return f"::{kind} file={place},title={title}::{text}"


def run_lines(run: RunReport, *, with_findings: bool = True, has_passed: bool = False) -> Iterator[str]:
    """Yield the summary of *run*: coverage, deviations and, if *with_findings* is true, findings by rule.

    *has_passed* means that no test failed. If there are errors nevertheless, a line says why.
    """
    if read := run.report["runs"][0].get("read"):
        yield f"{pluralise(len(read), 'field')} read by the client"
    if not run.interactions:
        yield "0 interactions, so nothing was checked"
        return
    by_origin = ", ".join(f"{totals.interactions} from the {origin}" for origin, totals in run.totals.items())
    evaluations = [counts["looked_at"] for counts in rule_totals(run.totals).values()]
    yield (
        f"{pluralise(run.interactions, 'interaction')} ({by_origin}), "
        f"{sum(map(bool, evaluations))} of {len(evaluations)} rules exercised, "
        f"{run.seen} of {run.fields} fields seen from the target"
    )
    if with_findings:
        yield from _finding_lines(run, has_passed)
    if (uses := uses_of(run.report)) is not None:
        yield from _use_lines(run, uses.pointers)
    yield from _deviation_lines(run)


def _use_lines(run: RunReport, uses: Collection[str]) -> Iterator[str]:
    """Yield how many of the fields *uses* the target sent, and how many findings do not concern the client."""
    fields = run.totals["target"].fields if "target" in run.totals else {}
    tallies = {pointer: fields.get(("response", pointer), FieldTally()) for pointer in uses}
    seen = [pointer for pointer, tally in tallies.items() if tally.present]
    null = [pointer for pointer, tally in tallies.items() if tally.present == tally.types.get(NULL, 0)]
    missing = f"; never non-null: {listed(null)}" if null else ""
    non_null = len(tallies) - len(null)
    yield printable(f"{len(seen)} of {len(tallies)} used fields seen from the target, {non_null} non-null{missing}")
    rows = [row for origins in run.report["runs"][0]["origins"].values() for row in origins["unused"]]
    if rows:
        findings = pluralise(sum(row["count"] for row in rows), "finding")
        yield f"does not concern you: {findings} at {pluralise(len(rows), 'place')} that the client does not use"


def listed(names: list[str], most: int = 5) -> str:
    """Return the first *most* of *names* with commas between them, and the number of further names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _finding_lines(run: RunReport, has_passed: bool) -> Iterator[str]:
    by_rule: dict[tuple[str, str], tuple[str, int]] = {}
    for row in chain.from_iterable(totals.findings.values() for totals in run.totals.values()):
        key = (row["severity"], row["rule"])
        place, count = by_rule.get(key, (f"{row['side']} {row['example']}", 0))
        by_rule[key] = (place, count + row["count"])
    ordered = sorted(by_rule.items(), key=lambda item: (item[0][0], -item[1][1], item[0][1]))
    for (severity, rule), (place, count) in ordered[:_MAX_RULES]:
        yield printable(f"{severity}: {rule} at {place}{f', and {count - 1} more' if count > 1 else ''}")
    if has_passed and any(severity == "error" for (severity, _), _ in ordered):
        yield "no test failed: check methods found these errors, and check methods return findings without raising"
    if len(ordered) > _MAX_RULES:
        yield f"and {len(ordered) - _MAX_RULES} more rules with findings"


def _deviation_lines(run: RunReport) -> Iterator[str]:
    rows = [row for made in run.report["runs"] for row in made["deviations"]]
    if not rows:
        return
    parts = []
    for state in ("used", "stale", "expired"):
        matching = [row for row in rows if row["state"] == state]
        example = f" (such as {matching[0]['rule']} at {matching[0]['place']})" if matching and state != "used" else ""
        parts.append(f"{len(matching)} {state}{example}")
    yield printable(f"deviations: {', '.join(parts)}")


def comparison_lines(comparison: ReportComparison) -> Iterator[str]:
    """Yield a line for each new drift, a line for each drift that is gone, notes on lost coverage, and counts."""
    for change, drifts in (("new", comparison.new), ("gone", comparison.gone)):
        for drift in sorted(drifts):
            yield printable(f"{change}: {drift.side} {drift.pointer}: {drift.what}, from the {drift.origin}")
    yield from comparison.notes()
    yield f"{pluralise(len(comparison.new), 'new drift')}, {len(comparison.gone)} gone"


def drift_rows(drifts: list[Drift]) -> list[dict[str, str]]:
    """Return *drifts* (differences from the documentation) as sorted JSON objects. Control characters are escaped."""
    return [{name: printable(value) for name, value in drift._asdict().items()} for drift in sorted(drifts)]
