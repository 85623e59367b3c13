"""Observers: the watched sessions, fakes and cassettes of a test. Their findings can fail the test."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Finding, Findings
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.engine import Engine

CHECKED_PROPERTY = "veeqo_alloc_interactions"
"""The name of the user property for the number of interactions that a test checked."""
WARNING_PROPERTY, ERROR_PROPERTY = "veeqo_alloc_warning", "veeqo_alloc_error"
"""The names of the user properties for one warning and one error. A test may have several of these properties."""
COMMAND_PROPERTY = "veeqo_alloc_command"
"""The name of the user property for the shell command that repeats the failing request of a test."""

_LIBRARIES = ("<", *(f"{sysconfig.get_path(kind)}{os.sep}" for kind in ("stdlib", "purelib", "platlib")))

MAX_WARNINGS = 20
"""The maximum number of warnings, and of errors, that are recorded for one test."""


class TestObserver(Protocol):
    """A watched session, fake or cassette that observes the interactions of a test.

    Optional attributes: `unexpected` (the findings that can fail the test; default: all), `problems` (messages that
    fail the test), `notes` (messages for the summary), `interactions` (those that the observer checked), `checked` (their
    number), `owns(interaction)` (whether the observer checked *interaction*).
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
    """Yield the findings of each observer, but each finding once: a fake and a watch may see the same requests."""
    known: frozenset[Finding] = frozenset()
    fakes_first = sorted(observers, key=lambda observer: not hasattr(type(observer), "unexpected"))
    for number, observer in enumerate(fakes_first, start=1):
        name = "unexpected" if hasattr(type(observer), "unexpected") else "findings"
        findings: Findings = getattr(observer, name)
        fresh = frozenset(findings) - known
        yield findings.where(fresh.__contains__)
        if number < len(fakes_first):  # computing findings takes time
            known |= frozenset(observer.findings)  # including the expected findings


def _untraced(violation: ContractViolation, problems: Sequence[str]) -> BaseException:
    """Return *violation* as an exception that pytest shows without a traceback, with *problems* after the message."""
    known = type(violation)  # the class name that users know
    members = {"msg": "\n\n".join([str(violation), *problems]), "pytrace": False, "__module__": known.__module__}
    untraced: type[BaseException] = type(known.__name__, (known, pytest.fail.Exception), members)
    return untraced(violation.findings, violation.hint, violation.show_all)


def record_warnings(item: pytest.Item, findings: Findings) -> None:
    """Record each distinct warning in *findings* for the summary, up to `MAX_WARNINGS` per test."""
    _record(item, WARNING_PROPERTY, findings.warnings)


def _record(item: pytest.Item, name: str, findings: Sequence[Finding]) -> None:
    known = [text for property_name, text in item.user_properties if property_name == name]
    for finding in findings:
        text = f"{finding.rule} at {finding.side} {finding.place}"
        if text not in known and len(known) < MAX_WARNINGS:
            known.append(text)
            item.user_properties.append((name, text))


def record_errors(item: pytest.Item, findings: Findings, command: str) -> None:
    """Record each distinct error in *findings*, and the shell *command* that repeats the failing request."""
    _record(item, ERROR_PROPERTY, findings.errors)
    if command and all(name != COMMAND_PROPERTY for name, _ in item.user_properties):
        item.user_properties.append((COMMAND_PROPERTY, command))


def failing_interaction(engine: Engine, observers: Sequence[TestObserver], findings: Findings) -> Interaction | None:
    """Return the first interaction of the *observers* that has one of the errors in *findings*."""
    errors = frozenset(findings.errors)
    seen = (interaction for observer in observers for interaction in getattr(observer, "interactions", ()))
    return next((one for one in seen if not errors.isdisjoint(engine.evaluate(one).errors)), None)


def command_of(interaction: Interaction, *, show_values: bool) -> str:
    """Return a shell command that repeats the request of *interaction*, redacted unless values may be shown."""
    from pytest_veeqo_alloc.redaction.redactor import redact
    from pytest_veeqo_alloc.reporting.formatters import curl_command

    request = (interaction if show_values else redact(interaction)).request
    return "" if request is None else curl_command(request)


def record_suite_test(item: pytest.Item, findings: Findings, command: str = "") -> None:
    """Record the findings of a conformance test, and the shell *command* that repeats its failing request."""
    record_errors(item, findings, command)
    if warnings := findings.warnings:
        more = f", and {len(warnings) - 1} more" if len(warnings) > 1 else ""
        text = f"{item.name}: at {warnings[0].side} {warnings[0].place}: {warnings[0].message}{more}"
        item.user_properties.append((WARNING_PROPERTY, text))


def recorded(report: Any, name: str) -> list[Any]:
    """Return the values of the user property *name*, or an empty list unless *report* is about the call of a test."""
    if getattr(report, "when", "") != "call":
        return []
    return [value for key, value in report.user_properties if key == name]


def trim_tracebacks(error: BaseException) -> None:
    """Cut the tracebacks of *error*, and of its causes, contexts and group members, if our code is involved in any.

    Each traceback then ends at the last line of the user before our first frame: our frames, and those of libraries that
    we call, could show an API key.
    """
    links = _links(error)
    traces = [list(_entries(link)) for link in links]
    if not any(getattr(link, "trims_traceback", False) for link in links) and not any(
        _owner(entry) == "own" for entries in traces for entry in entries
    ):
        return
    for link, entries in zip(links, traces, strict=True):
        _cut(link, entries, is_shown=link is error)


def _links(error: BaseException) -> list[BaseException]:
    """Return *error* and all exceptions that it leads to: causes, contexts and members of groups."""
    found: list[BaseException] = []
    left: list[object] = [error]
    while left:
        link = left.pop()
        if isinstance(link, BaseException) and not any(link is known for known in found):
            found.append(link)
            left += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
    return found


def _entries(error: BaseException) -> Iterator[TracebackType]:
    entry = error.__traceback__
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _cut(error: BaseException, entries: list[TracebackType], *, is_shown: bool) -> None:
    """Cut the traceback of *error*. If no line is the user's, keep our first frame if *is_shown*, otherwise none."""
    last_of_user = first_of_ours = None
    for entry in entries:
        owner = _owner(entry)
        if owner == "own" and last_of_user is not None:
            break
        if owner == "user":
            last_of_user = entry
        elif owner == "own" and first_of_ours is None:
            first_of_ours = entry
    last = last_of_user or (first_of_ours if is_shown else None)
    if last is None:
        error.__traceback__ = error.__traceback__ if is_shown else None
    elif last.tb_next is not None:
        last.tb_next = None
        if "own" in map(_owner, entries) and not _explains_itself(error, entries[-1]):
            place = f"{Path(entries[-1].tb_frame.f_code.co_filename).name}, line {entries[-1].tb_lineno}"
            error.add_note(f"veeqo-alloc: frames that could show an API key are not shown; raised at {place}")


def _explains_itself(error: BaseException, raised_at: TracebackType) -> bool:
    """Return whether our code raised *error* on purpose, with a message that needs no traceback."""
    is_ours = _owner(raised_at) == "own" and isinstance(error, (AssertionError, TypeError, ValueError))
    return (
        is_ours
        or isinstance(error, pytest.skip.Exception)
        or getattr(error, "trims_traceback", False)
        or not getattr(error, "pytrace", True)
    )


def _owner(entry: TracebackType) -> Literal["user", "own", "library"]:
    """Return whose code *entry* is in. Our hooks run around the code of the user, so they count as a library."""
    code = entry.tb_frame.f_code
    name, package = code.co_filename, str(Path(__file__).parents[1])
    if name.startswith(package + os.sep):
        if Path(name).name.startswith("test_"):
            return "user"  # a test of the packaged suite
        return "library" if code.co_name.startswith("pytest_") else "own"
    return "library" if name.startswith(_LIBRARIES) else "user"
