"""The lines at the end of a run: on cassettes, and on the conformance suite."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.core.text import pluralise, printable
from pytest_veeqo_alloc.plugin.fixtures import cassette_folder
from pytest_veeqo_alloc.plugin.fixtures_conformance import uncovered_reason
from pytest_veeqo_alloc.plugin.observers import warnings_of
from pytest_veeqo_alloc.plugin.run_state import checked_count
from pytest_veeqo_alloc.recording.paths import cassette_files

_MOST = 5
_HEAD = 4096
_OURS = (b"veeqo_alloc:", b'"veeqo_alloc"', b"/allocations")


def cassette_lines(used: list[tuple[str, dict[str, Any]]], config: pytest.Config) -> Iterator[str]:
    """A line for each test that left interactions unplayed, one for shipped cassettes where a recording was asked for, and
    one for the cassettes that no test used."""
    left = [(test, each) for test, each in used if each["unplayed"]]
    for test, each in left[:_MOST]:
        count = f"{each['unplayed']} of {each['stored']} interactions"
        yield f"veeqo-alloc: warning: {count} of the cassette {each['name']!a} not played by {printable(test)}"
    if len(left) > _MOST:
        yield f"veeqo-alloc: warning: and {len(left) - _MOST} more tests left interactions unplayed"
    if shipped := sorted({each["name"] for _, each in used if each["not_recorded"]}):
        names = ", ".join(map(ascii, shipped[:_MOST]))
        yield f"veeqo-alloc: warning: nothing was recorded for {names}: shipped with the package, so played; name yours otherwise"
    if _is_whole_run(config):
        orphans = _orphans(cassette_folder(config), {os.path.realpath(each["path"]) for _, each in used})
        if orphans:
            more = f" and {len(orphans) - _MOST} more" if len(orphans) > _MOST else ""
            names = ", ".join(printable(path.name) for path in orphans[:_MOST])
            yield f"veeqo-alloc: warning: no test used {names}{more} in {printable(str(cassette_folder(config)))}"


def _is_whole_run(config: pytest.Config) -> bool:
    """Whether every test that could use a cassette of the folder was to run, as far as the options tell."""
    if any(config.getoption(name, default=None) for name in ("keyword", "markexpr", "lf", "deselect", "collectonly")):
        return False
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        return True
    folder = cassette_folder(config).resolve()
    return any("::" not in given and folder.is_relative_to(Path(given).resolve()) for given in config.args)


def _orphans(folder: Path, used: set[str]) -> list[Path]:
    """Files of this call below *folder* that are not among *used*; cassettes of other calls are somebody else's."""
    unused = [path for path in cassette_files(folder) if os.path.realpath(path) not in used]
    return [path for path in unused if _is_ours(path)]


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return any(mark in head for mark in _OURS)


def checked_lines(reports: list[Any]) -> Iterator[str]:
    """How much was checked, and a line for each warning that a test had."""
    yield f"veeqo-alloc: {pluralise(sum(map(checked_count, reports)), 'interaction')} checked"
    warned = Counter(text for report in reports for text in warnings_of(report))
    for text, count in list(warned.items())[:_MOST]:
        yield f"veeqo-alloc: warning: {printable(text)}{f', in {count} tests' if count > 1 else ''}"
    if len(warned) > _MOST:
        yield f"veeqo-alloc: warning: and {len(warned) - _MOST} more"


def conformance_lines(reports: list[Any]) -> Iterator[str]:
    """INCOMPLETE, with what the suite did not cover and why."""
    missing: dict[str, list[str]] = {}
    for report in reports:
        if reason := uncovered_reason(report):
            missing.setdefault(reason, []).append(report.nodeid.rpartition("::")[2])
    if missing:
        yield f"veeqo-alloc: INCOMPLETE: {sum(map(len, missing.values()))} tests could not be run against this server"
    for reason, tests in list(missing.items())[:_MOST]:
        more = f" and {len(tests) - 2} more" if len(tests) > 2 else ""
        yield f"veeqo-alloc:   {printable(reason)}: {printable(', '.join(tests[:2]))}{more}"
