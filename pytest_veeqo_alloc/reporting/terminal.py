"""Findings for a person at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pytest_veeqo_alloc.contract.failure import render
from pytest_veeqo_alloc.core.text import count_of, printable
from pytest_veeqo_alloc.reporting.checked import Run


def complain(sentence: str) -> None:
    """One line on standard error."""
    print(f"veeqo-alloc: {printable(sentence)}", file=sys.stderr, flush=True)


def terminal_lines(run: Run) -> Iterator[str]:
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
        f"checked {count_of(len(run.checked), 'body or interaction', 'bodies and interactions')} "
        f"in {count_of(run.files, 'file')}, skipped {run.skipped}: "
        f"{count_of(len(run.errors), 'error')}, {count_of(len(run.warnings), 'warning')}"
    )
