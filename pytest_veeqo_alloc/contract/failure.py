"""The text of a failed check: findings grouped by rule, in at most 25 lines unless all are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import pluralise

MAX_LINES = 25

_MAX_PLACES = 4
_MAX_RULES = 3
_MAX_WARNINGS = 5
_COLUMN = 44


def render(findings: Findings, hint: str = "", *, show_all: bool = False) -> str:
    """Return *findings* as text: heading, errors, warnings and *hint*. Shorten the text unless *show_all*."""
    both_sides = len({finding.side for finding in findings}) > 1
    if show_all:
        blocks = [line for group in _groups(findings.errors) for line in _block(group, both_sides, len(group))]
        tail = [_warning_line([warning], both_sides) for warning in findings.warnings]
    else:
        tail = _warning_lines(findings.warnings, both_sides)
    tail += [f"  {hint}"] if hint else []
    tail = ["", *tail] if tail else []
    if not show_all:
        blocks = _error_lines(findings.errors, MAX_LINES - 1 - len(tail), both_sides)
    return "\n".join([heading(findings), *blocks, *tail])


def heading(findings: Findings) -> str:
    """Return a heading such as `response of POST ...: 2 errors, 1 warning (profile documented)`."""
    sides = " and ".join(sorted({finding.side for finding in findings})) or "interaction"
    accepted = f", {len(findings.accepted)} accepted" if findings.accepted else ""
    unused = f", {len(findings.unused)} of no concern to the client" if findings.unused else ""
    return f"{sides} of {findings.operation}: {counts_of(findings)}{accepted}{unused} (profile {findings.profile})"


def counts_of(findings: Findings) -> str:
    """Return the numbers of errors and, if there are any, of warnings: `2 errors, 1 warning`."""
    warnings = f", {pluralise(len(findings.warnings), 'warning')}" if findings.warnings else ""
    return pluralise(len(findings.errors), "error") + warnings


def _error_lines(errors: tuple[Finding, ...], room: int, both_sides: bool) -> list[str]:
    lines: list[str] = []
    left = Counter(error.rule for error in errors)
    for group in _groups(errors):
        block = _block(group, both_sides)
        # Two lines are reserved for "and N more", unless this block is the last.
        reserved = 2 if left.total() > len(group) else 0
        if len(lines) + len(block) + reserved <= room:
            lines += block
            left[group[0].rule] -= len(group)
    if left := +left:
        rules = ", ".join(f"{count} {rule}" for rule, count in left.most_common(_MAX_RULES))
        lines += ["", f"  and {left.total()} more: {rules}{', ...' if len(left) > _MAX_RULES else ''}"]
    return lines


def _groups(errors: Iterable[Finding]) -> list[list[Finding]]:
    """Group errors that differ only in their place. Return the groups, first those of rules with few errors."""
    by_rule: dict[tuple[str, str], dict[tuple[str, ...], list[Finding]]] = {}
    for error in errors:
        groups = by_rule.setdefault((error.side, error.rule), {})
        groups.setdefault((error.wanted, error.got, error.remedy), []).append(error)
    # A few wrong values say more than many missing fields, which would leave no room for the values.
    rare_first = sorted(by_rule.values(), key=lambda groups: sum(map(len, groups.values())) > _MAX_PLACES)
    return [group for groups in rare_first for group in groups.values()]


def _block(group: list[Finding], both_sides: bool, most: int = _MAX_PLACES) -> list[str]:
    first, shown = group[0], group if len(group) <= most else group[: most - 1]
    lines = ["", *(f"  {_place(finding, both_sides):<{_COLUMN}} {first.rule}{_source(finding)}" for finding in shown)]
    if len(group) > len(shown):
        lines.append(f"  and at {len(group) - len(shown)} more places")
    return [*lines, f"      wanted  {first.wanted}", f"      got     {first.got}", f"      do      {first.remedy}"]


def _warning_lines(warnings: tuple[Finding, ...], both_sides: bool) -> list[str]:
    by_rule: dict[str, list[Finding]] = {}
    for warning in warnings:
        by_rule.setdefault(warning.rule, []).append(warning)
    lines = [_warning_line(found, both_sides) for found in list(by_rule.values())[:_MAX_WARNINGS]]
    if len(by_rule) > _MAX_WARNINGS:
        lines.append(f"  and warnings from {pluralise(len(by_rule) - _MAX_WARNINGS, 'more rule')}")
    return lines


def _warning_line(warnings: list[Finding], both_sides: bool) -> str:
    """Return a line about *warnings*, all of one rule, with the place of the first warning."""
    first, others = warnings[0], len(warnings) - 1
    more = f" and {pluralise(others, 'more place')}" if others else _source(first)
    return f"  warning: {first.rule} at {_place(first, both_sides)}{more}: {CATALOGUE[first.rule].summary}"


def _source(finding: Finding) -> str:
    return f" ({finding.source})" if finding.source else ""


def _place(finding: Finding, both_sides: bool) -> str:
    return f"{finding.side} {finding.place}" if both_sides else finding.place


class ContractViolation(AssertionError):  # noqa: N818  # a promised name, and the term of contract testing
    """Raised for an interaction that breaks the contract. `findings` has all findings; the message may omit some."""

    def __init__(self, findings: Findings, hint: str = "", show_all: bool = False) -> None:
        super().__init__(render(findings, hint, show_all=show_all))
        self.findings = findings
        self.hint = hint
        self.show_all = show_all

    def __reduce__(self) -> tuple[Any, ...]:
        return ContractViolation, (self.findings, self.hint, self.show_all)


# A traceback shows the name that users import.
ContractViolation.__module__ = "pytest_veeqo_alloc"
