"""The HTML report: a single page without external files."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jinja2

from pytest_veeqo_alloc.contract.deviations import Uses
from pytest_veeqo_alloc.contract.rules import CATALOGUE, READERS, SEVERITIES, BodySide
from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.coverage.field_counts import NULL, FieldPlace, FieldTally, Node
from pytest_veeqo_alloc.coverage.report_model import (
    Document,
    Drift,
    Totals,
    compare_reports,
    concerns,
    find_drift,
    rule_totals,
    totals_by_origin,
    uses_of,
)
from pytest_veeqo_alloc.spec.loader import field_trees

MAX_CALLS = 1000
"""The maximum number of rows in the table of interactions."""

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("pytest_veeqo_alloc.reporting"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: printable(value) if type(value) is str else value,  # not for Markup
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(slots=True)
class Leaf:
    """A member of a body on the HTML page. It is documented, or it was only observed."""

    pointer: str
    name: str
    documented: str
    seen: list[tuple[Origin, int, int, str]]  # times present, number of objects (0: not checked), undocumented types
    drift: list[str]
    branch: Branch | None = None


@dataclass(slots=True)
class Branch:
    """A documented object on the HTML page. `fields`, `seen` and `drifted` also count the fields of nested objects."""

    fields: int
    seen: dict[Origin, int]
    leaves: list[Leaf] = field(default_factory=list)
    drifted: int = 0


def render_page(report: Document, earlier: Document | None = None, uses: Uses | None = None) -> str:
    """Return the HTML page of *report*. With an *earlier* report, the page also has the drift since then.

    *uses* are the response fields whose drift since then matters (None: all of them).
    """
    totals, trees, drift = totals_by_origin(report), field_trees(), find_drift(report, field_trees())
    used = uses_of(report)
    shown = {found: counts for found, counts in drift.items() if concerns(found, used)}
    style, script = (_ENVIRONMENT.get_template(name).render() for name in ("report.css", "report.js"))
    rules = rule_totals(totals)
    findings = [{**row, "origin": origin} for origin, counted in totals.items() for row in counted.findings.values()]
    changes = compare_reports(earlier, report, trees, uses) if earlier else None
    return _ENVIRONMENT.get_template("report.html").render(
        runs=report["runs"],
        totals=totals,
        sides=("response", "request") if "target" in totals else ("request", "response"),
        trees={side: _branch(side, root, totals, drift) for side, root in trees.items()},
        earlier=earlier["runs"] if earlier else (),
        changes=changes,
        drift=[(found, count, instances) for found, (count, instances) in shown.items()],
        unused_drift=len(drift) - len(shown),
        unused=sum(row["count"] for row in _rows_of_runs(report, "unused")),
        fields=_used_fields(report, totals),
        counts={name: sum(row["count"] for row in findings if row["severity"] == name) for name in SEVERITIES},
        findings=_by_rule(findings),
        catalogue=CATALOGUE,
        readers=READERS,
        rules=[(rule, rules[rule.id]) for rule in CATALOGUE.values() if rule.id in rules],
        calls=_calls(totals),
        max_calls=MAX_CALLS,
        deviations=[row for run in report["runs"] for row in run["deviations"]],
        style=style,
        script=script,
        hashes={"style": _hash(style), "script": _hash(script)},
    )


def _by_rule(findings: list[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return the severity, the rule and the findings of each group. Errors come first, then the largest counts."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in findings:
        groups[row["severity"], row["rule"]].append(row)
    rows = [(*key, sorted(group, key=lambda row: row["place"])) for key, group in groups.items()]
    return sorted(rows, key=lambda row: (row[0], -sum(found["count"] for found in row[2]), row[1]))


def _rows_of_runs(report: Document, name: str) -> Iterator[dict[str, Any]]:
    for run in report["runs"]:
        for origin in run["origins"].values():
            yield from origin.get(name, ())


def _used_fields(report: Document, totals: dict[Origin, Totals]) -> list[tuple[str, int, int, int]]:
    """Return the fields that a client uses or has read: pointer, times read, times seen from the target, times null."""
    read: Counter[str] = Counter()
    for run in report["runs"]:
        read.update({**dict.fromkeys(run.get("uses", ()), 0), **run.get("read", {})})
    counted = totals["target"].fields if "target" in totals else {}
    tallies = {pointer: counted.get(("response", pointer), FieldTally()) for pointer in read}
    return [
        (pointer, read[pointer], tally.present, tally.types.get(NULL, 0)) for pointer, tally in sorted(tallies.items())
    ]


def _hash(text: str) -> str:
    """Return the hash of *text*, an inline script or style, in the format of a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _branch(side: BodySide, node: Node, totals: dict[Origin, Totals], drift: dict[Drift, tuple[int, int]]) -> Branch:
    by_pointer: dict[str, list[str]] = {}
    for found in drift:
        if found.side == side:
            by_pointer.setdefault(found.pointer, []).append(f"{found.origin}: {found.what}")

    def descend(node: Node) -> Branch:
        branch = Branch(node.field_count, dict.fromkeys(totals, 0))
        for place in node.places:
            leaf = _leaf(side, place, totals, by_pointer.pop(place.pointer, []))
            branch.leaves.append(leaf)
            branch.drifted += bool(leaf.drift)
            if place.child is not None:
                leaf.branch = descend(place.child)
                branch.drifted += leaf.branch.drifted
            for origin, present, *_ in leaf.seen:
                branch.seen[origin] += bool(present) + (leaf.branch.seen[origin] if leaf.branch else 0)
        for pointer in [key for key in by_pointer if key.rpartition("/")[0] == node.pointer and key[:1] == "/"]:
            name = pointer.rpartition("/")[2]
            branch.leaves.append(Leaf(pointer, name, "not documented", [], by_pointer.pop(pointer)))
            branch.drifted += 1
        branch.leaves.sort(key=lambda leaf: leaf.branch is None)  # objects come first, as folders do
        return branch

    return descend(node)


def _leaf(side: BodySide, place: FieldPlace, totals: dict[Origin, Totals], drift: list[str]) -> Leaf:
    documented = place.field
    required, nullable = "required" if documented.required else "", "may be null" if documented.nullable else ""
    notes = ", ".join(filter(None, (documented.type or "no type documented", required, nullable)))
    seen = []
    for origin, counted in totals.items():
        tally = counted.fields.get((side, place.pointer), FieldTally())
        other = ", ".join(f"{kind} {count}" for kind, count in tally.types.items() if kind != place.expected)
        seen.append((origin, tally.present, tally.instances, other))
    return Leaf(place.pointer, documented.name, notes, seen, drift)


def _calls(totals: dict[Origin, Totals]) -> list[tuple[Origin, tuple[str, str, int, int], int]]:
    """Return the rows of the table of interactions. Rows with the most errors, then the most warnings, come first."""
    rows = [(origin, call, count) for origin, counted in totals.items() for call, count in counted.calls.items()]
    return sorted(rows, key=lambda row: (-row[1][2], -row[1][3], row[1][0]))
