"""The protocol of check listeners, a recorder that writes coverage to a file, and a counter in memory."""

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
    """The event of one check.

    `origin` is None for an interaction that a user passed to the check. `interaction` is None if only a body was checked.
    `coverage` returns the coverage of the check; its argument is the id of the test that made the check.
    """

    origin: Origin | None
    interaction: Interaction | None
    findings: Findings
    coverage: Callable[[str], Coverage]


class Listener(Protocol):
    """An object that receives the event of every check of an engine."""

    @property
    def counts(self) -> bool:
        """Whether this listener counts coverage. If it does, interactions evaluated earlier are published to it as well."""

    def on_check(self, event: CheckEvent) -> None:
        """Handle the event of one check."""


class CoverageRecorder:
    """A recorder that writes coverage to its own new file in *folder*, one line per check. It is thread-safe."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._file = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

    def record(self, origin: Origin, coverage: Coverage) -> None:
        """Write the coverage of one check."""
        os.write(self._file, f"{origin} {self._encode(coverage.as_row())}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_recorded(folder: Path) -> dict[Origin, Coverage]:
    """Return the total coverage that all recorders of a run wrote to *folder*, by origin."""
    found: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            origin, _, row = line.partition(b" ")
            with contextlib.suppress(ValueError, KeyError):  # the last line of a process that was killed is incomplete
                found[origin.decode()].add(coverage_from_row(json.loads(row)))  # type: ignore[index]  # or a KeyError
    return found


class CoverageCounter:
    """A listener that adds up, in memory, the coverage of all checks of one process."""

    counts = True

    def __init__(self) -> None:
        self.by_origin: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
        self._lock = threading.Lock()

    def on_check(self, event: CheckEvent) -> None:
        """Add the coverage of one check."""
        with self._lock:
            self.by_origin[event.origin or origin_of(event.interaction)].add(event.coverage(""))
