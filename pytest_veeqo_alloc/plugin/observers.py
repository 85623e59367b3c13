"""Observers: the watched sessions, fakes and cassettes of a test, whose findings can fail the test."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Findings
    from pytest_veeqo_alloc.engine import Engine

CHECKED_PROPERTY = "veeqo_alloc_interactions"
"""The name of the user property of a test report with the number of interactions that the test checked."""

WARNING_PROPERTY = "veeqo_alloc_warning"
"""The name of the user property of a test report with a warning of the test. A report has one for each warning."""

MAX_WARNINGS = 20
"""The maximum number of warnings that are kept for a test."""


class TestObserver(Protocol):
    """A watched session, a fake or a cassette that received interactions of a test.

    Optional attributes: `unexpected` (the findings that can fail the test; default: all findings), `problems` (messages
    that fail the test), `checked` (the number of checked interactions), and the method `owns(interaction)`, which
    returns whether the observer itself counts the interaction.
    """

    @property
    def findings(self) -> Findings:
        """The findings in the observed interactions."""


def observer_failure(item: pytest.Item, engine: Engine, observers: Sequence[TestObserver]) -> BaseException | None:
    """Return an exception if *observers* found an error, otherwise None. Record their warnings for the summary."""
    findings = engine.merge(map(_findings_that_count, observers))
    problems = [text for observer in observers for text in getattr(observer, "problems", ())]
    record_warnings(item, findings)
    if not findings.ok:
        return _untraced(engine.violation(findings), problems)
    return pytest.fail.Exception("veeqo-alloc: " + "\n\n".join(problems), pytrace=False) if problems else None


def _findings_that_count(observer: TestObserver) -> Findings:
    unexpected: Findings | None = getattr(observer, "unexpected", None)
    return observer.findings if unexpected is None else unexpected


def _untraced(violation: ContractViolation, problems: Sequence[str]) -> BaseException:
    """Return an exception with the text of *violation* and *problems*, which pytest shows without a traceback."""
    cls = type(violation)

    class UntracedViolation(cls, pytest.fail.Exception):  # type: ignore[misc,valid-type,name-defined]  # its bases are values
        msg = "\n\n".join([str(violation), *problems])
        pytrace = False

    # The failure is shown under the class name that users know.
    UntracedViolation.__name__, UntracedViolation.__qualname__ = cls.__name__, cls.__qualname__
    UntracedViolation.__module__ = cls.__module__
    return UntracedViolation(violation.findings, violation.hint)


def record_warnings(item: pytest.Item, findings: Findings) -> None:
    """Record each distinct warning in *findings* for the summary. A test has at most `MAX_WARNINGS` warnings."""
    known = [text for name, text in item.user_properties if name == WARNING_PROPERTY]
    for finding in findings.warnings:
        text = f"{finding.rule} at {finding.side} {finding.place}"
        if text not in known and len(known) < MAX_WARNINGS:
            known.append(text)
            item.user_properties.append((WARNING_PROPERTY, text))


def recorded(report: Any, name: str) -> list[Any]:
    """Return the values of the user property *name* in *report*, or an empty list if it is not about the call phase."""
    if getattr(report, "when", "") != "call":
        return []
    return [value for key, value in report.user_properties if key == name]


def trim_traceback(error: BaseException) -> None:
    """Remove the library frames at the end of the traceback of *error*, since they show the API key of the request."""
    libraries = tuple(str(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib"))
    hidden = (*libraries, str(Path(__file__).parents[1]))
    last, entry = None, error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(hidden):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
