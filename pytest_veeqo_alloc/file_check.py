"""Checking files: which ones, what they hold, and what is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_veeqo_alloc.api import Contract, operation_means, side_of
from pytest_veeqo_alloc.capture.files import Kind, UnreadableFileError, load
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.reporting.checked import Checked, Run

_SUFFIXES = (".json", ".yaml", ".yml", ".har")


def check_paths(
    paths: list[str], contract: Contract, *, kind: Kind | None = None, expect_status: int | None = None
) -> tuple[Run, list[str]]:
    """Checks every file of *paths* (`-` is standard input; folders are walked). Returns the run and one sentence for
    each file that could not be read."""
    run, troubles = Run(), []
    for path, named in _files(paths):
        try:
            data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
            loaded = load(data, path, kind=kind, side_of=side_of)
        except OSError as error:
            troubles.append(f"{path}: {error.strerror or 'cannot be read'}")
            continue
        except UnreadableFileError as error:
            troubles.append(f"{path}: {error}")
            continue
        run.files += 1
        if loaded is None:
            run.skipped += 1
            if named:
                troubles.append(
                    f"{path}: is neither a body, an interaction, a cassette nor a HAR file; if it is, say so with --as"
                )
        elif loaded.kind in ("request", "response"):
            _add(run, contract, path, path, contract.check_body(loaded.kind, loaded.body))
        for interaction in loaded.interactions if loaded else ():
            if operation_means(interaction):
                findings = contract.check_stored(interaction, expect_status=expect_status)
                _add(run, contract, path, interaction.source, findings)
            else:
                run.skipped += 1
    return run, troubles


def _add(run: Run, contract: Contract, file: str, source: str, findings: Findings) -> None:
    run.checked.append(Checked(file, source, findings, contract.hint(findings)))


def _files(paths: list[str]) -> Iterator[tuple[str, bool]]:
    """Each file to check, and whether it was named itself rather than found in a folder."""
    for path in paths:
        if path != "-" and os.path.isdir(path):
            for folder, inner, names in os.walk(path):
                inner[:] = sorted(name for name in inner if not name.startswith("."))
                yield from (
                    (os.path.join(folder, name), False) for name in sorted(names) if name.lower().endswith(_SUFFIXES)
                )
        else:
            yield path, True
