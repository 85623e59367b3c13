"""Checking files: which ones, what they hold, and what is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_veeqo_alloc.api import Contract
from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.files import Kind, load
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.description import operation_means, side_of
from pytest_veeqo_alloc.reporting.checked import Checked, Run

_SUFFIXES = (".json", ".yaml", ".yml", ".har")
_OURS = (b"interactions", b"allocation", b"sellable")


def check_paths(
    paths: list[str], contract: Contract, *, kind: Kind | None = None, expect_status: int | None = None
) -> Run:
    """Checks every file of *paths* (`-` is standard input; folders are walked, links included)."""
    run = Run()
    for path, named in _files(paths, run):
        try:
            data = _read(path)
        except OSError as error:
            run.troubles.append((path, error.strerror or "cannot be read"))
            continue
        try:
            loaded = load(data, path, kind=kind, side_of=side_of, means=operation_means)
        except UnreadableFileError as error:
            # A folder may hold anything; what cannot be read there matters where it could be one of ours.
            if named or any(word in data for word in _OURS):
                run.troubles.append((path, str(error)))
            else:
                run.skipped += 1
            continue
        run.files += 1
        if loaded is None:
            run.skipped += 1
            run.strangers += [path] if named else []
            continue
        run.skipped += loaded.skipped
        if loaded.kind in ("request", "response"):
            _add(run, contract, path, path, contract.check_body(loaded.kind, loaded.body))
        for interaction in loaded.interactions:
            findings = contract.check_stored(interaction, expect_status=expect_status)
            _add(run, contract, path, interaction.source, findings)
    return run


def _read(path: str) -> bytes:
    if path != "-":
        return Path(path).read_bytes()
    if sys.stdin is None:
        raise OSError(0, "standard input is closed")
    return sys.stdin.buffer.read()


def _add(run: Run, contract: Contract, file: str, source: str, findings: Findings) -> None:
    run.checked.append(Checked(file, source, findings, contract.hint(findings)))


def _files(paths: list[str], run: Run) -> Iterator[tuple[str, bool]]:
    """Each file to check, and whether it was named itself rather than found in a folder."""
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            yield path, True
            continue
        seen: set[str] = set()
        for folder, inner, names in os.walk(path, followlinks=True, onerror=lambda error: _untold(run, error)):
            # A link may lead back to where we are.
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            inner[:] = [name for name in inner if _first_time(os.path.join(folder, name), seen)]
            for name in sorted(names):
                here = os.path.join(folder, name)
                if name.lower().endswith(_SUFFIXES) and (os.path.isfile(here) or not os.path.exists(here)):
                    yield here, False


def _first_time(folder: str, seen: set[str]) -> bool:
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new


def _untold(run: Run, error: OSError) -> None:
    run.troubles.append((str(error.filename), error.strerror or "cannot be read"))
