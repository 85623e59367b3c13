"""The failure of a test in which the contract was broken before the eyes of a fixture."""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_veeqo_alloc.contract.failure import ContractViolation
    from pytest_veeqo_alloc.contract.findings import Findings
    from pytest_veeqo_alloc.engine import Engine


def failure(violation: ContractViolation | None, problems: Sequence[str]) -> BaseException:
    """Return one exception for *violation* and *problems*, which pytest shows without a traceback."""
    if violation is not None:
        return _untraced_violation()(violation, problems)
    return pytest.fail.Exception("veeqo-alloc: " + "\n\n".join(problems), pytrace=False)


@functools.cache
def _untraced_violation() -> Callable[[ContractViolation, Sequence[str]], BaseException]:
    """Return a ContractViolation class that pytest shows without a traceback: no line of the test is where it is."""
    from pytest_veeqo_alloc.contract.failure import ContractViolation  # the core, which most runs never load

    class UntracedViolation(ContractViolation, pytest.fail.Exception):  # type: ignore[misc,name-defined]  # pytest gives the class as an attribute of a function
        def __init__(self, violation: ContractViolation, problems: Sequence[str]) -> None:
            ContractViolation.__init__(self, violation.findings, violation.hint)
            self.msg = "\n\n".join([str(violation), *problems])
            self.pytrace = False

    # A failure shows the name under which users know it.
    UntracedViolation.__name__ = UntracedViolation.__qualname__ = ContractViolation.__name__
    UntracedViolation.__module__ = ContractViolation.__module__
    return UntracedViolation


class TestObserver(Protocol):
    """Something that looked on. It may have `problems` as well: texts, each of which fails the test."""

    @property
    def findings(self) -> Findings:
        """What is wrong with the interactions that it saw."""


WARNING_PROPERTY = "veeqo_alloc_warning"
"""The property of a report that has a warning in it; it crosses from the processes of pytest-xdist."""

MAX_WARNINGS = 20

_OBSERVERS: pytest.StashKey[tuple[Engine, list[TestObserver]]] = pytest.StashKey()


def observers_of(node: pytest.Item, engine: Engine) -> list[TestObserver]:
    """The onlookers of the test *node*, to be added to."""
    if _OBSERVERS not in node.stash:
        node.stash[_OBSERVERS] = (engine, [])
    return node.stash[_OBSERVERS][1]


def clear_observers(node: pytest.Item) -> None:
    """Forget the onlookers of *node*, at the end of the test: it may be run again."""
    if _OBSERVERS in node.stash:
        del node.stash[_OBSERVERS]


def test_failure(node: pytest.Item) -> BaseException | None:
    """What fails the test *node*, or None. It is shown without a traceback. Warnings are kept for the summary."""
    if _OBSERVERS not in node.stash:
        return None
    engine, observers = node.stash[_OBSERVERS]
    findings = engine.merge(observer.findings for observer in observers)
    problems: Sequence[str] = [text for observer in observers for text in getattr(observer, "problems", ())]
    record_warnings(node, findings)
    if findings.ok and not problems:
        return None

    return failure(None if findings.ok else engine.violation(findings), problems)


def checked_by_observers(node: pytest.Item) -> int:
    """How many interactions those looked at that check by themselves."""
    _, observers = node.stash.get(_OBSERVERS, (None, []))
    return sum(getattr(each, "checked", 0) for each in observers)


def record_warnings(node: pytest.Item, findings: Findings) -> None:
    """Remember the warnings among *findings* for the summary, each once for a test, and no more than can be read."""
    known = [text for name, text in node.user_properties if name == WARNING_PROPERTY]
    for each in findings.warnings:
        text = f"{each.rule} at {each.side} {each.place}"
        if text not in known and len(known) < MAX_WARNINGS:
            known.append(text)
            node.user_properties.append((WARNING_PROPERTY, text))


def warnings_of(report: Any) -> list[str]:
    """The warnings that *report* of a test carries."""
    if getattr(report, "when", "") != "call":
        return []
    return [text for name, text in report.user_properties if name == WARNING_PROPERTY]


def trim_traceback(error: BaseException) -> None:
    """End the traceback of *error* at the last line of the user's own code. Where a call was stopped, the frames of
    clients and of vcrpy below it have the request as an argument, with its URL and its key."""
    libraries = tuple(str(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib"))
    hidden = (*libraries, str(Path(__file__).parents[1]))
    last, entry = None, error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(hidden):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
