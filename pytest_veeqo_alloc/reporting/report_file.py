"""Ready validators: the schemas in the hands of jsonschema, the independent judge."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from jsonschema import Draft202012Validator

from pytest_veeqo_alloc.capture.writers import write_atomically
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, CATALOGUE, BodySide
from pytest_veeqo_alloc.core.json_pointer import shown_name
from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.coverage.field_counts import Node, Place
from pytest_veeqo_alloc.coverage.report_model import (
    FORMAT,
    VERSION,
    Document,
    Drift,
    Totals,
    drift_of,
    field_counts,
    rules_of,
    seen_from_target,
    totals_of,
)
from pytest_veeqo_alloc.spec.loader import charts, read_text

Validator = Draft202012Validator


def validator(schema: Mapping[str, Any]) -> Validator:
    """A validator of *schema*, which is checked against its metaschema first (`jsonschema.SchemaError`)."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


SUFFIXES = (".json", ".html")
_MOST_BYTES = 200_000_000


def known_path(path: str) -> None:
    """ValueError, in one sentence, where *path* could hold no report, or its kind cannot be made here."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"a report is a file that ends in .json or .html, not {path!a}")
    if suffix == ".html" and importlib.util.find_spec("jinja2") is None:
        raise ValueError("an HTML report needs jinja2: pip install 'pytest-veeqo-alloc[html]'")


def save(report: Document, path: Path) -> None:
    """Writes *report* as its suffix says. ValueError, in one sentence, where that cannot be done."""
    if path.suffix.lower() == ".html":
        text = page(report)
    else:
        text = json.dumps(report, separators=(",", ":")) + "\n"
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ValueError(f"the report {str(path)!a} cannot be written: {error.strerror}") from None


def load(path: str) -> Document:
    """The report in the JSON file *path*. ValueError, in one sentence, for anything else."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"the report {path!a} cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{path!a}: too large for a report")
    try:
        report = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{path!a}: not JSON, or cut off; a report is the .json file of --veeqo-alloc-report"
        ) from None
    if trouble := _trouble(report):
        raise ValueError(f"{path!a}: {trouble}")
    document: Document = report
    return document


def _trouble(report: Any) -> str:
    if not isinstance(report, Mapping) or report.get("format") != FORMAT:
        return "no report of pytest-veeqo-alloc"
    if report.get("version") != VERSION:
        return (
            f"a report of another version than {VERSION}: make it anew, or use the version of the package that made it"
        )

    try:
        error = next(validator(json.loads(read_text("schemas/report.json"))).iter_errors(report), None)
    except RecursionError:
        return "no report: nests too deep"
    if error is None:
        return ""
    # What is wrong could be anything of anybody's, so only its place is told, as far as that is ours.
    place = "/".join("*" if isinstance(step, int) else shown_name(step) for step in list(error.absolute_path)[:8])
    return f"not as schemas/report.json has it, at /{place}"


MOST_CALLS = 1000
"""Rows of interactions on the page; the JSON has all."""
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("pytest_veeqo_alloc.reporting"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: printable(value) if type(value) is str else value,  # what is markup already is none of it
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(slots=True)
class Leaf:
    """A member on the page: what is documented of it, how often it was there of how often it was looked at, with the types
    that are not the documented one, by origin, and how it drifted."""

    pointer: str
    name: str
    documented: str
    seen: list[tuple[Origin, int, int, str]]
    drift: list[str]
    branch: Branch | None = None


@dataclass(slots=True)
class Branch:
    """A documented object, with how many of the fields in and below it were seen at all, and how many drifted."""

    leaves: list[Leaf] = field(default_factory=list)
    seen: int = 0
    fields: int = 0
    drifted: int = 0


def page(report: Document) -> str:
    """The whole page."""
    totals, drift = totals_of(report), drift_of(report, charts())
    style, script = (_ENVIRONMENT.get_template(name).render() for name in ("report.css", "report.js"))
    response_fields, request_fields = field_counts(charts())
    return _ENVIRONMENT.get_template("report.html").render(
        runs=report["runs"],
        totals=totals,
        seen=seen_from_target(totals),
        trees={side: _branch(side, getattr(charts(), side), totals, drift) for side in BODY_SIDES},
        field_counts={"response": response_fields, "request": request_fields},
        drift=[(each, count, looked_at) for each, (count, looked_at) in drift.items()],
        findings=sorted(_findings(totals), key=lambda row: (row["severity"], row["rule"], row["place"])),
        rules=list(_rules(totals)),
        calls=_calls(totals),
        most_calls=MOST_CALLS,
        deviations=[row for run in report["runs"] for row in run["deviations"]],
        style=style,
        script=script,
        hashes={"style": _hash(style), "script": _hash(script)},
    )


def _hash(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _branch(side: BodySide, node: Node, totals: dict[Origin, Totals], drift: dict[Drift, tuple[int, int]]) -> Branch:
    by_pointer: dict[str, list[str]] = {}
    for each in drift:
        if each.side == side:
            by_pointer.setdefault(each.pointer, []).append(f"{each.origin}: {each.what}")

    def descend(node: Node) -> Branch:
        branch = Branch()
        for place in node.places:
            leaf = _leaf(side, place, totals, by_pointer.pop(place.pointer, []))
            branch.leaves.append(leaf)
            branch.fields += 1
            branch.seen += any(present for _, present, *_ in leaf.seen)
            branch.drifted += bool(leaf.drift)
            if (child := node.children.get(place.field.name)) is not None:
                inner = leaf.branch = descend(child)
                branch.fields += inner.fields
                branch.seen += inner.seen
                branch.drifted += inner.drifted
        for pointer in [each for each in by_pointer if each.rpartition("/")[0] == node.pointer and each[:1] == "/"]:
            name = pointer.rpartition("/")[2]
            branch.leaves.append(Leaf(pointer, name, "not documented", [], by_pointer.pop(pointer)))
            branch.drifted += 1
        return branch

    return descend(node)


def _leaf(side: BodySide, place: Place, totals: dict[Origin, Totals], drift: list[str]) -> Leaf:
    about = place.field
    documented: str = about.type or "no type documented"
    documented += ", required" if about.required else ""
    documented += ", may be null" if about.nullable else ""
    seen = []
    for origin, each in totals.items():
        if (tally := each.fields.get((side, place.pointer))) is not None:
            other = ", ".join(f"{kind} {count}" for kind, count in tally.types.items() if kind != place.expected)
            seen.append((origin, tally.present, tally.looked_at, other))
    return Leaf(place.pointer, about.name, documented, seen, drift)


def _findings(totals: dict[Origin, Totals]) -> Iterator[dict[str, Any]]:
    for origin, each in totals.items():
        for row in each.findings.values():
            yield {**row, "origin": origin}


def _rules(totals: dict[Origin, Totals]) -> Iterator[tuple[str, str, str, Counter[str]]]:
    counted = rules_of(totals)
    for rule in CATALOGUE.values():
        if rule.id in counted:
            yield rule.id, rule.basis, rule.holds_when, counted[rule.id]


def _calls(totals: dict[Origin, Totals]) -> list[tuple[Origin, tuple[str, str, int, int], int]]:
    """Interactions by test and outcome: those with errors first, then those with warnings."""
    rows = [(origin, call, count) for origin, each in totals.items() for call, count in each.calls.items()]
    return sorted(rows, key=lambda row: (-row[1][2], -row[1][3], row[1][0]))
