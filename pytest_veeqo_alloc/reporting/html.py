"""A report as a page of HTML, complete in one file."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jinja2

from pytest_veeqo_alloc.contract.rules import BODY_SIDES, CATALOGUE, BodySide
from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.coverage.field_counts import FieldPlace, Node
from pytest_veeqo_alloc.coverage.report_model import (
    Document,
    Drift,
    Totals,
    find_drift,
    rule_totals,
    totals_by_origin,
)
from pytest_veeqo_alloc.spec.loader import field_trees

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


def render_page(report: Document) -> str:
    """The whole page."""
    totals, drift = totals_by_origin(report), find_drift(report, field_trees())
    style, script = (_ENVIRONMENT.get_template(name).render() for name in ("report.css", "report.js"))
    return _ENVIRONMENT.get_template("report.html").render(
        runs=report["runs"],
        totals=totals,
        seen=totals["target"].fields_seen if "target" in totals else 0,
        trees={side: _branch(side, getattr(field_trees(), side), totals, drift) for side in BODY_SIDES},
        field_counts={side: getattr(field_trees(), side).field_count for side in BODY_SIDES},
        drift=[(each, count, instances) for each, (count, instances) in drift.items()],
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


def _leaf(side: BodySide, place: FieldPlace, totals: dict[Origin, Totals], drift: list[str]) -> Leaf:
    about = place.field
    documented: str = about.type or "no type documented"
    documented += ", required" if about.required else ""
    documented += ", may be null" if about.nullable else ""
    seen = []
    for origin, each in totals.items():
        if (tally := each.fields.get((side, place.pointer))) is not None:
            other = ", ".join(f"{kind} {count}" for kind, count in tally.types.items() if kind != place.expected)
            seen.append((origin, tally.present, tally.instances, other))
    return Leaf(place.pointer, about.name, documented, seen, drift)


def _findings(totals: dict[Origin, Totals]) -> Iterator[dict[str, Any]]:
    for origin, each in totals.items():
        for row in each.findings.values():
            yield {**row, "origin": origin}


def _rules(totals: dict[Origin, Totals]) -> Iterator[tuple[str, str, str, Counter[str]]]:
    counted = rule_totals(totals)
    for rule in CATALOGUE.values():
        if rule.id in counted:
            yield rule.id, rule.basis, rule.summary, counted[rule.id]


def _calls(totals: dict[Origin, Totals]) -> list[tuple[Origin, tuple[str, str, int, int], int]]:
    """Interactions by test and outcome: those with errors first, then those with warnings."""
    rows = [(origin, call, count) for origin, each in totals.items() for call, count in each.calls.items()]
    return sorted(rows, key=lambda row: (-row[1][2], -row[1][3], row[1][0]))
