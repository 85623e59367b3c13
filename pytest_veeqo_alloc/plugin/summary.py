"""The summary lines about checked interactions, cassettes and the conformance suite at the end of a run."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.core.text import pluralise, printable
from pytest_veeqo_alloc.plugin.fixtures import cassette_folder
from pytest_veeqo_alloc.plugin.fixtures_conformance import SUITE_TEST, uncovered_reason
from pytest_veeqo_alloc.plugin.observers import CHECKED_PROPERTY, WARNING_PROPERTY, recorded
from pytest_veeqo_alloc.recording import cassette_files

_MAX_LINES, _MAX_WARNINGS = 5, 40
_MARKS = (b"veeqo_alloc:", b'"veeqo_alloc"', b"/allocations")
"""Every cassette with calls of the documented operation contains one of these strings in its first 4096 bytes."""


def checked_lines(reports: list[Any]) -> Iterator[str]:
    """Yield the number of checked interactions (no line if it is 0), then the first distinct warnings."""
    if checked := sum(count for report in reports for count in recorded(report, CHECKED_PROPERTY)):
        yield f"{pluralise(checked, 'interaction')} checked"
    warned = Counter(text for report in reports for text in recorded(report, WARNING_PROPERTY))
    for text, count in list(warned.items())[:_MAX_LINES]:
        yield f"warning: {printable(text)}{f', in {count} tests' if count > 1 else ''}"
    if len(warned) > _MAX_LINES:
        yield f"and {len(warned) - _MAX_LINES} more warnings"


def conformance_lines(reports: list[Any]) -> Iterator[str]:
    """Yield the warnings of conformance tests, the number of tests that could not be run, and the first reasons."""
    warnings = [
        text for report in reports if SUITE_TEST in report.nodeid for text in recorded(report, WARNING_PROPERTY)
    ]
    yield from (f"warning: {printable(text)}" for text in warnings[:_MAX_WARNINGS])
    if len(warnings) > _MAX_WARNINGS:
        yield f"and {len(warnings) - _MAX_WARNINGS} more warnings"
    missing: dict[str, list[str]] = {}
    for report in reports:
        if reason := uncovered_reason(report):
            missing.setdefault(reason, []).append(report.nodeid.rpartition("::")[2])
    if missing:
        yield f"INCOMPLETE: {sum(map(len, missing.values()))} tests could not be run"
    for reason, tests in list(missing.items())[:_MAX_LINES]:
        yield f"  {printable(f'{reason}: {_listed(tests, 2)}')}"


def cassette_lines(used: list[tuple[str, dict[str, Any]]], config: pytest.Config) -> Iterator[str]:
    """Yield warnings about cassettes. *used* contains pairs of a test id and the description of a cassette."""
    unplayed = [(test, cassette) for test, cassette in used if cassette["unplayed"]]
    for test, cassette in unplayed[:_MAX_LINES]:
        count = f"{cassette['unplayed']} of {cassette['stored']} interactions"
        yield f"warning: {count} of the cassette {cassette['name']!a} were not played by {printable(test)}"
    if len(unplayed) > _MAX_LINES:
        yield f"warning: and {len(unplayed) - _MAX_LINES} more tests did not play all interactions"
    for name in sorted({cassette["name"] for _, cassette in used if cassette["not_recorded"]})[:_MAX_LINES]:
        played = "a bundled cassette of that name was played"
        yield f"warning: {name!a} was not recorded: {played}; choose another name"
    if _is_whole_run(config):
        folder, paths = cassette_folder(config), {os.path.realpath(cassette["path"]) for _, cassette in used}
        others = [path for path in cassette_files(folder) if os.path.realpath(path) not in paths]
        if unused := [path.name for path in others if _is_ours(path)]:
            yield f"warning: no test used {printable(f'{_listed(unused, _MAX_LINES)} in {folder}')}"


def _listed(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _is_whole_run(config: pytest.Config) -> bool:
    """Return whether every test that could use a cassette of the cassette folder is selected to run."""
    if any(config.getoption(name, default=None) for name in ("keyword", "markexpr", "lf", "deselect", "collectonly")):
        return False
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        return True
    folder = cassette_folder(config).resolve()
    return any("::" not in argument and folder.is_relative_to(Path(argument).resolve()) for argument in config.args)


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(4096)
        return any(mark in head for mark in _MARKS)
    return False
