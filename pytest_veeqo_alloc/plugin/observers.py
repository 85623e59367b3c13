"""Observers: the watched sessions, fakes and cassettes of a test. Their findings can fail the test."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Findings
    from pytest_veeqo_alloc.engine import Engine

CHECKED_PROPERTY = "veeqo_alloc_interactions"
"""The user property of a test report that holds the number of checked interactions."""
WARNING_PROPERTY = "veeqo_alloc_warning"
"""The user property of a test report that holds one warning. It may occur several times."""
COMMAND_PROPERTY = "veeqo_alloc_command"
"""The user property of a failed conformance test that holds its request as a shell command."""

MAX_WARNINGS = 20
"""The maximum number of warnings that are kept for a test."""


class TestObserver(Protocol):
    """A watched session, fake or cassette that observes the interactions of a test.

    Optional attributes: `unexpected` (the findings that can fail the test; default: all), `problems` (messages that
    fail the test), `notes` (messages for the summary), `checked` (how many interactions it checked), `owns(interaction)` (whether it checked this one).
    """

    @property
    def findings(self) -> Findings:
        """The findings in the observed interactions."""


def observer_failure(item: pytest.Item, engine: Engine, observers: Sequence[TestObserver]) -> BaseException | None:
    """Return the exception that fails the test, or None if there is no error. Record the warnings for the summary."""
    names = ["unexpected" if hasattr(type(observer), "unexpected") else "findings" for observer in observers]
    findings = engine.merge(map(getattr, observers, names))
    problems = [text for observer in observers for text in getattr(observer, "problems", ())]
    record_warnings(item, findings)
    for observer in observers:
        record_notes(item, getattr(observer, "notes", ()))
    if not findings.ok:
        return _untraced(engine.violation(findings), problems)
    return pytest.fail.Exception("veeqo-alloc: " + "\n\n".join(problems), pytrace=False) if problems else None


def _untraced(violation: ContractViolation, problems: Sequence[str]) -> BaseException:
    """Return an exception that pytest shows without a traceback."""
    known = type(violation)  # the class name that users know
    members = {"msg": "\n\n".join([str(violation), *problems]), "pytrace": False, "__module__": known.__module__}
    untraced: type[BaseException] = type(known.__name__, (known, pytest.fail.Exception), members)
    return untraced(violation.findings, violation.hint)


def record_warnings(item: pytest.Item, findings: Findings) -> None:
    """Record each distinct warning for the summary, up to `MAX_WARNINGS` for the test."""
    known = [text for name, text in item.user_properties if name == WARNING_PROPERTY]
    for finding in findings.warnings:
        text = f"{finding.rule} at {finding.side} {finding.place}"
        if text not in known and len(known) < MAX_WARNINGS:
            known.append(text)
            item.user_properties.append((WARNING_PROPERTY, text))


def record_notes(item: pytest.Item, notes: Iterable[str]) -> None:
    """Record each distinct sentence in *notes* for the summary, as a warning."""
    item.user_properties += [(WARNING_PROPERTY, note) for note in list(dict.fromkeys(notes))[:MAX_WARNINGS]]


def record_suite_test(item: pytest.Item, findings: Findings, command: str = "") -> None:
    """Record the warnings of a conformance test as one text, and the shell command that repeats its failing request."""
    if warnings := findings.warnings:
        more = f", and {len(warnings) - 1} more" if len(warnings) > 1 else ""
        text = f"{item.name}: at {warnings[0].side} {warnings[0].place}: {warnings[0].message}{more}"
        item.user_properties.append((WARNING_PROPERTY, text))
    if command:
        item.user_properties.append((COMMAND_PROPERTY, command))


def recorded(report: Any, name: str) -> list[Any]:
    """Return the values of the user property *name*. Return an empty list if *report* is not about the call phase."""
    if getattr(report, "when", "") != "call":
        return []
    return [value for key, value in report.user_properties if key == name]


def trim_traceback(error: BaseException) -> None:
    """Remove library frames from the end of the traceback of *error*, since they could show the API key."""
    libraries = [sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")]
    hidden = (*map(str, libraries), str(Path(__file__).parents[1]))
    last, entry = None, error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(hidden):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
