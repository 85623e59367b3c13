"""Listeners of check events: the protocol, a recorder for many processes, a counter for one."""

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
    """One check: the origin of the interaction (None: the caller handed it over), the interaction (None: a body alone),
    its findings, and a function from the id of a test to what the check covered."""

    origin: Origin | None
    interaction: Interaction | None
    findings: Findings
    coverage: Callable[[str], Coverage]


class Listener(Protocol):
    """Receives an event for every check of an engine."""

    @property
    def counts(self) -> bool:
        """Whether it counts coverage, so that interactions that were evaluated earlier are read again for it."""

    def on_check(self, event: CheckEvent) -> None:
        """Take note of one check."""


class CoverageRecorder:
    """Appends to a file of its own in *folder*. Any thread may tell it something."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._file = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._encode: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

    def record(self, origin: Origin, coverage: Coverage) -> None:
        """Writes what one check showed."""
        os.write(self._file, f"{origin} {self._encode(coverage.as_row())}\n".encode())

    def close(self) -> None:
        """Nothing more is written."""
        os.close(self._file)


def read_recorded(folder: Path) -> dict[Origin, Coverage]:
    """Everything that the processes of a run wrote into *folder*."""
    found: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            origin, _, row = line.partition(b" ")
            with contextlib.suppress(ValueError, KeyError):  # the last line of a process that was killed
                found[origin.decode()].add(coverage_from_row(json.loads(row)))  # type: ignore[index]  # KeyError is no line of ours
    return found


class CoverageCounter:
    """Adds up in memory what the checks of a single process show: a listener of a contract."""

    counts = True

    def __init__(self) -> None:
        self.by_origin: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
        self._lock = threading.Lock()

    def on_check(self, event: CheckEvent) -> None:
        """Add the coverage of one check."""
        with self._lock:
            self.by_origin[event.origin or origin_of(event.interaction)].add(event.coverage(""))
