"""Listeners that receive an event for every check. Two classes collect the coverage, in a file or in memory."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.coverage.collector import ORIGINS, Coverage, Origin, coverage_from_row, origin_of


class CheckEvent(NamedTuple):
    """An event about one check."""

    origin: Origin | None  # None: derive the origin from the `Server` header of the response
    interaction: Interaction | None  # None if only a body, or a sequence of interactions, was checked
    findings: Findings
    coverage: Callable[[str], Coverage]  # returns the coverage from the check for a given test id


class Listener(Protocol):
    """An object that receives an event for every check of an engine."""

    @property
    def counts(self) -> bool:
        """Whether this listener counts coverage. If not, servers and cassettes send no events to it."""

    def on_check(self, event: CheckEvent) -> None:
        """Handle the event for one check."""


class CoverageRecorder:
    """A thread-safe recorder of coverage. It creates a file in *folder* and writes one line for each check."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._file = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

    def record(self, origin: Origin, coverage: Coverage) -> None:
        """Write the coverage from one check."""
        os.write(self._file, f"{origin} {self._encode(coverage.as_row())}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_recorded(folder: Path) -> dict[Origin, Coverage]:
    """Add up the coverage in the files of `CoverageRecorder` in *folder*. Return the totals, keyed by origin."""
    found: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            origin, _, row = line.partition(b" ")
            with contextlib.suppress(ValueError, KeyError):  # the last line of a process that was killed is incomplete
                found[origin.decode()].add(coverage_from_row(json.loads(row)))  # type: ignore[index]  # or a KeyError
    return found


class CoverageCounter:
    """A listener that keeps the total coverage of this process in memory, keyed by origin."""

    counts = True

    def __init__(self) -> None:
        self.by_origin: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
        self._lock = threading.Lock()

    def on_check(self, event: CheckEvent) -> None:
        """Add the coverage from one check to the totals."""
        with self._lock:
            self.by_origin[event.origin or origin_of(event.interaction)].add(event.coverage(""))
