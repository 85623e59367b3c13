"""The failure as text: pointer first, grouped by rule, at most 25 lines for any number of findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import pluralise

MAX_LINES = 25

_PLACES_OF_A_GROUP = 4
_COLUMN = 44
_RULES_OF_MORE = 3


def render(findings: Findings, hint: str = "") -> str:
    """What is wrong with an interaction, for a person: a heading, then each error with place, rule, wanted, got and
    what to do, then the warnings by rule. *hint* is a last sentence."""
    tail = [*_warning_lines(findings.warnings), *([f"  {hint}"] if hint else [])]
    room = MAX_LINES - 1 - len(tail) - (1 if tail else 0)
    body = _error_lines(findings.errors, room, both_sides=len({finding.side for finding in findings}) > 1)
    return "\n".join([heading(findings), *body, *([""] if tail else []), *tail])


def heading(findings: Findings) -> str:
    """`response of POST ...: 2 errors, 1 warning (profile documented)`."""
    sides = " and ".join(sorted({finding.side for finding in findings})) or "interaction"
    counts = [pluralise(len(findings.errors), "error")]
    if findings.warnings:
        counts.append(pluralise(len(findings.warnings), "warning"))
    if findings.accepted:
        counts.append(f"{len(findings.accepted)} accepted")
    return f"{sides} of {findings.operation}: {', '.join(counts)} (profile {findings.profile})"


def _error_lines(errors: tuple[Finding, ...], room: int, *, both_sides: bool) -> list[str]:
    lines: list[str] = []
    told: set[int] = set()
    left = len(errors)
    for group in _groups(errors):
        block = _block(group, both_sides=both_sides)
        # Two lines are kept for "and N more", unless this block is the last.
        if len(lines) + len(block) + (2 if left > len(group) else 0) > room:
            continue
        lines += block
        left -= len(group)
        told |= {id(error) for error in group}
    if left:
        rules = Counter(error.rule for error in errors if id(error) not in told)
        named = ", ".join(f"{count} {rule}" for rule, count in rules.most_common(_RULES_OF_MORE))
        lines += ["", f"  and {left} more: {named}{', ...' if len(rules) > _RULES_OF_MORE else ''}"]
    return lines


def _groups(errors: Iterable[Finding]) -> list[list[Finding]]:
    """Errors that differ in their place only, put together; groups in the order of their first error."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for error in errors:
        groups.setdefault((error.side, error.rule, error.wanted, error.got, error.remedy), []).append(error)
    by_rule: dict[tuple[str, str], list[list[Finding]]] = {}
    for group in groups.values():
        by_rule.setdefault((group[0].side, group[0].rule), []).append(group)
    # What is wrong in few places says more than what is missing in many, and must not be crowded out by it.
    rare_first = sorted(by_rule.values(), key=lambda same: sum(map(len, same)) > _PLACES_OF_A_GROUP)
    return [group for same_rule in rare_first for group in same_rule]


def _block(group: list[Finding], *, both_sides: bool) -> list[str]:
    shown = group if len(group) <= _PLACES_OF_A_GROUP else group[: _PLACES_OF_A_GROUP - 1]
    lines = [""]
    for finding in shown:
        place = f"{finding.side} {finding.place}" if both_sides else finding.place
        lines.append(f"  {place:<{_COLUMN}} {finding.rule}")
    if len(group) > len(shown):
        lines.append(f"  and at {len(group) - len(shown)} more places")
    first = group[0]
    return [*lines, f"      wanted  {first.wanted}", f"      got     {first.got}", f"      do      {first.remedy}"]


_RULES_OF_WARNINGS = 5


def _warning_lines(warnings: tuple[Finding, ...]) -> list[str]:
    by_rule: dict[str, list[Finding]] = {}
    for warning in warnings:
        by_rule.setdefault(warning.rule, []).append(warning)
    lines = []
    for rule, found in list(by_rule.items())[:_RULES_OF_WARNINGS]:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        lines.append(f"  warning: {rule}: {CATALOGUE[rule].summary}, at {found[0].place}{more}")
    if len(by_rule) > _RULES_OF_WARNINGS:
        lines.append(f"  warning: and {len(by_rule) - _RULES_OF_WARNINGS} more rules")
    return lines


class ContractViolation(AssertionError):  # noqa: N818  # the name is a promise, and the word of contract testing
    """An interaction breaks the contract. `findings` has every finding; the text is the designed failure."""

    def __init__(self, findings: Findings, hint: str = "") -> None:
        super().__init__(render(findings, hint))
        self.findings = findings
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return ContractViolation, (self.findings, self.hint)


# The name under which users import it is the one that a failure shows.
ContractViolation.__module__ = "pytest_veeqo_alloc"
