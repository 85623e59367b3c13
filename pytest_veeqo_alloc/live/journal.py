"""The journal: a JSON Lines file that records writes to a foreign server, and the allocations made by them.

A line for each write is on disk before the write is sent. No line contains an API key or a string from a request body.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import heapq
import json
import os
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_veeqo_alloc.contract.allocations import ExistingAllocation
from pytest_veeqo_alloc.core.http import is_success
from pytest_veeqo_alloc.live import JournalError
from pytest_veeqo_alloc.live.run_state import locked

VERSION = 1
Ids = tuple[int, ...]
Outcome = int | Literal["not sent"]


def default_name(target: str) -> str:
    """Return the default file name of the journal for the server *target*. Each server has a separate journal."""
    return f"veeqo-alloc-journal-{re.sub(r'[^A-Za-z0-9.-]+', '-', target).strip('-')}.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A write to an order, with its outcome. `units` maps sellable ids to the requested quantities.

    `before` has the ids of the order's allocations before the write, or is None if they are unknown. `made` has the ids
    of the allocations that the write made. `outcome` is the status of the response, 'not sent', or None if unknown.
    """

    kind: Literal["post", "delete"]
    order_id: int
    warehouse_id: int | None = None
    units: dict[int, float] = field(default_factory=dict)
    before: Ids | None = None
    name: str = ""
    outcome: Outcome | None = None
    made: Ids = ()
    run: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown if the write succeeded: there was no response, or a 5xx response."""
        return self.outcome is None or (isinstance(self.outcome, int) and self.outcome >= 500)


@dataclass(frozen=True, slots=True)
class Journal:
    """The content of a journal file. `target` is the server as `host:port`. `entries` are the writes."""

    target: str
    entries: tuple[Entry, ...]

    def of_run(self, run: str) -> Journal:
        """Return the journal with only the writes of the run with the id *run*."""
        return Journal(self.target, tuple(entry for entry in self.entries if entry.run == run))


class JournalWriter:
    """A writer that appends lines to a journal file. Several threads and processes may write at the same time."""

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run = path, run
        self._lock = threading.Lock()

    def intent(self, entry: Entry) -> None:
        """Record that the write *entry* is about to be sent. Return only after the line is on disk."""
        about = {"warehouse_id": entry.warehouse_id, "before": entry.before, "units": entry.units}
        self._add({"intent": entry.name, "kind": entry.kind, "order_id": entry.order_id, **about})

    def outcome(self, name: str, outcome: Outcome, made: Sequence[int] = ()) -> None:
        """Record the outcome of the write *name*. *made* has the ids of the allocations made by the write."""
        self._add({"outcome": name, "status": outcome, "made": made})

    def _add(self, line: dict[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        data = (json.dumps(line | {"at": now, "run": self.run}) + "\n").encode()
        try:
            with self._lock, contextlib.ExitStack() as stack:
                handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                stack.callback(os.close, handle)
                if os.write(handle, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
        except OSError as error:
            raise JournalError(f"the journal {self.path} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def open_journal(path: Path, target: str) -> Iterator[JournalWriter]:
    """Lock the journal file *path*, and yield a writer. If the block writes nothing, the file is not changed.

    Raise JournalError if the file is in use, cannot be written, is not a journal, or belongs to another server.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path, wait=False))
            before = path.stat().st_size
            if before and (known := read_journal(path)).target != target:
                raise JournalError(f"the journal {path} belongs to another server, {known.target}: choose another file")
            writer = JournalWriter(path, uuid.uuid4().hex)
            writer._add({"journal": "veeqo-alloc", "version": VERSION, "target": target})
            begun = path.stat().st_size
        except BlockingIOError:
            raise JournalError(f"the journal {path} is in use by another run: wait, or choose another file") from None
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be written: {error.strerror}") from None
        try:
            yield writer
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_size == begun:  # nothing followed the first line of this run
                    os.truncate(path, before)
                    if not before:
                        path.unlink()


def read_journal(path: Path) -> Journal:
    """Read the journal file *path*. Raise JournalError if it is not a readable and complete journal."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise JournalError(f"{path} is not a journal: it is not UTF-8") from None
    if text and not text.endswith("\n"):
        raise JournalError(
            f"the last line of the journal {path} is cut off: delete the line; a write that the line announced was not "
            "sent, and a write whose outcome the line reported counts as UNKNOWN"
        )
    try:
        lines = [json.loads(line) for line in text.splitlines()]
        first = lines[0]
        if first["journal"] != "veeqo-alloc" or not all(isinstance(line, dict) for line in lines):
            raise ValueError
        if any(line.get("version") != VERSION for line in lines if "journal" in line):
            raise JournalError(f"the journal {path} is from another version of veeqo-alloc: clean up with that version")
        outcomes = {line["outcome"]: line for line in lines if "outcome" in line}
        unknown = {"status": None, "made": ()}
        entries = tuple(_entry(line, outcomes.get(line["intent"], unknown)) for line in lines if "intent" in line)
        return Journal(str(first["target"]), entries)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise JournalError(f"{path} is not a journal of veeqo-alloc, or it was edited") from None


def _entry(intent: dict[str, Any], outcome: dict[str, Any]) -> Entry:
    return Entry(
        name=intent["intent"],
        kind=intent["kind"],
        order_id=int(intent["order_id"]),
        warehouse_id=intent["warehouse_id"],
        units={int(sellable): quantity for sellable, quantity in intent["units"].items()},
        before=None if intent["before"] is None else tuple(map(int, intent["before"])),
        outcome=outcome["status"],
        made=tuple(map(int, outcome["made"] or ())),
        run=intent["run"],
    )


def made_by(entry: Entry, held: Sequence[ExistingAllocation]) -> list[int]:
    """Return the ids of the allocations in *held* that the write *entry* made: new ones with only requested units."""
    if entry.before is None:  # it is unknown which are new, so only the newest can count
        held = heapq.nlargest(1, held, key=lambda allocation: allocation.id)
    return [allocation.id for allocation in held if _fits(allocation, entry)]


def owned(entries: Sequence[Entry], held: Sequence[ExistingAllocation]) -> set[int]:
    """Return the ids of the allocations in *held* that the writes *entries* made."""
    ours = {made for entry in entries for made in entry.made} & {allocation.id for allocation in held}
    for entry in entries:
        if entry.is_unknown and entry.before is not None:  # one new allocation that fits counts as made by the write
            fitting = [allocation.id for allocation in held if allocation.id not in ours and _fits(allocation, entry)]
            ours.update(fitting[:1])
    return ours


def suspects(entries: Sequence[Entry], held: Sequence[ExistingAllocation]) -> list[int]:
    """Return the ids of the allocations in *held* that the writes *entries* may or may not have made."""
    unsettled = [
        entry
        for entry in entries
        if entry.is_unknown or (isinstance(entry.outcome, int) and is_success(entry.outcome) and not entry.made)
    ]
    known = {made for entry in entries for made in entry.made}
    return [
        allocation.id
        for allocation in held
        if allocation.id not in known and any(allocation.id not in (entry.before or ()) for entry in unsettled)
    ]


def _fits(allocation: ExistingAllocation, entry: Entry) -> bool:
    """Return whether *allocation* was not there before the write *entry*, and has no more than the requested units."""
    return (
        allocation.id not in (entry.before or ())
        and allocation.warehouse_id == entry.warehouse_id
        and bool(allocation.units)
        and all(quantity <= entry.units.get(sellable, 0) for sellable, quantity in allocation.units.items())
    )
