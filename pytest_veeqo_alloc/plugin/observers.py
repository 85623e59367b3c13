"""Observers: the watched sessions, fakes and cassettes of a test. Their findings can fail the test."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Finding, Findings
    from pytest_veeqo_alloc.engine import Engine

CHECKED_PROPERTY = "veeqo_alloc_interactions"
"""The name of the user property for the number of interactions that a test checked."""
WARNING_PROPERTY = "veeqo_alloc_warning"
"""The name of the user property for one warning. A test may have several of these properties."""
COMMAND_PROPERTY = "veeqo_alloc_command"
"""The name of the user property for the shell command that repeats the failing request of a conformance test."""

MAX_WARNINGS = 20
"""The maximum number of warnings that are recorded for one test."""


class TestObserver(Protocol):
    """A watched session, fake or cassette that observes the interactions of a test.

    Optional attributes: `unexpected` (the findings that can fail the test; default: all), `problems` (messages that
    fail the test), `notes` (messages for the summary), `checked` (the number of interactions that the observer
    checked), `owns(interaction)` (whether the observer checked *interaction*).
    """

    @property
    def findings(self) -> Findings:
        """The findings in the observed interactions."""


def observer_failure(item: pytest.Item, engine: Engine, observers: Sequence[TestObserver]) -> BaseException | None:
    """Return the exception that fails the test, or None if there is no error. Record warnings for the summary."""
    findings = engine.merge(_distinct(observers))
    problems = [text for observer in observers for text in getattr(observer, "problems", ())]
    record_warnings(item, findings)
    for observer in observers:
        notes = list(dict.fromkeys(getattr(observer, "notes", ())))
        item.user_properties += [(WARNING_PROPERTY, note) for note in notes[:MAX_WARNINGS]]
    if not findings.ok:
        return _untraced(engine.violation(findings), problems)
    return pytest.fail.Exception("veeqo-alloc: " + "\n\n".join(problems), pytrace=False) if problems else None


def _distinct(observers: Sequence[TestObserver]) -> Iterator[Findings]:
    """Yield the findings of each observer without those of another one. A fake and a watch see the same requests."""
    known: frozenset[Finding] = frozenset()
    for observer in sorted(observers, key=lambda observer: not hasattr(type(observer), "unexpected")):
        name = "unexpected" if hasattr(type(observer), "unexpected") else "findings"
        findings: Findings = getattr(observer, name)
        fresh = frozenset(findings) - known
        yield findings.where(fresh.__contains__)
        known |= frozenset(observer.findings)  # with the expected ones


def _untraced(violation: ContractViolation, problems: Sequence[str]) -> BaseException:
    """Return *violation* as an exception that pytest shows without a traceback, with *problems* after the message."""
    known = type(violation)  # the class name that users know
    members = {"msg": "\n\n".join([str(violation), *problems]), "pytrace": False, "__module__": known.__module__}
    untraced: type[BaseException] = type(known.__name__, (known, pytest.fail.Exception), members)
    return untraced(violation.findings, violation.hint, violation.show_all)


def record_warnings(item: pytest.Item, findings: Findings) -> None:
    """Record each distinct warning in *findings* for the summary, up to `MAX_WARNINGS` per test."""
    known = [text for name, text in item.user_properties if name == WARNING_PROPERTY]
    for finding in findings.warnings:
        text = f"{finding.rule} at {finding.side} {finding.place}"
        if text not in known and len(known) < MAX_WARNINGS:
            known.append(text)
            item.user_properties.append((WARNING_PROPERTY, text))


def record_suite_test(item: pytest.Item, findings: Findings, command: str = "") -> None:
    """Record a text for the warnings of a conformance test, and the shell *command* that repeats its failing request."""
    if warnings := findings.warnings:
        more = f", and {len(warnings) - 1} more" if len(warnings) > 1 else ""
        text = f"{item.name}: at {warnings[0].side} {warnings[0].place}: {warnings[0].message}{more}"
        item.user_properties.append((WARNING_PROPERTY, text))
    if command:
        item.user_properties.append((COMMAND_PROPERTY, command))


def recorded(report: Any, name: str) -> list[Any]:
    """Return the values of the user property *name*, or an empty list unless *report* is about the call of a test."""
    if getattr(report, "when", "") != "call":
        return []
    return [value for key, value in report.user_properties if key == name]


def trim_traceback(error: BaseException) -> None:
    """Remove the library frames at the end of the traceback of *error*. Such frames could show the API key."""
    libraries = [sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")]
    hidden = (*map(str, libraries), str(Path(__file__).parents[1]))
    last, entry = None, error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(hidden):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
