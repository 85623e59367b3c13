"""What checks showed, written down as they happen: one line each in a folder that all processes of a run share.

A line is appended in one piece, so that of a process that is killed no more is lost than the line it was writing.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from pytest_veeqo_alloc.contract.coverage import ORIGINS, Coverage, Origin, coverage_of_row


class Recorder:
    """Appends to a file of its own in *folder*. Any thread may tell it something."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._file = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._encode: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

    def note(self, origin: Origin, coverage: Coverage) -> None:
        """Writes what one check showed."""
        os.write(self._file, f"{origin} {self._encode(coverage.as_row())}\n".encode())

    def close(self) -> None:
        """Nothing more is written."""
        os.close(self._file)


def noted(folder: Path) -> dict[Origin, Coverage]:
    """Everything that the processes of a run wrote into *folder*."""
    found: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            origin, _, row = line.partition(b" ")
            with contextlib.suppress(ValueError, KeyError):  # the last line of a process that was killed
                found[origin.decode()].add(coverage_of_row(json.loads(row)))  # type: ignore[index]  # KeyError is no line of ours
    return found
