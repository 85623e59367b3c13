"""The journal: a JSON Lines file that records writes to a foreign server, and the allocations made by them.

A line for each write is on disk before the write is sent. No line contains an API key or a string from a request body.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import re
import tempfile
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from pytest_veeqo_alloc.contract.allocations import ExistingAllocation
from pytest_veeqo_alloc.live import JournalError
from pytest_veeqo_alloc.live.run_state import RunLock, SharedState, number_of, set_number

VERSION = 2
Ids = tuple[int, ...]
Outcome = int | Literal["not sent"]


def default_name(target: str) -> str:
    """Return the default file name of the journal for the server *target*. Each server has a separate journal."""
    return f"veeqo-alloc-journal-{re.sub(r'[^A-Za-z0-9.-]+', '-', target).strip('-')}.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A write to an order, with its outcome. `units` maps sellable ids to the requested quantities.

    `before` has the ids of the order's allocations just before the write, without the ids in earlier entries of the same
    process. It is None if the order was not read. `made` has the id of the allocation that the write made. If that
    allocation is uncertain, `candidates` has the ids of all allocations that the write could have made. `outcome` is the
    status of the response, 'not sent', or None if unknown.
    """

    kind: Literal["post", "delete"]
    order_id: int
    warehouse_id: int | None = None
    units: dict[int, float] = field(default_factory=dict)
    before: Ids | None = None
    name: str = ""
    outcome: Outcome | None = None
    made: Ids = ()
    candidates: Ids = ()
    run: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown if the write succeeded: there was no response, or a 5xx response."""
        return self.outcome is None or (isinstance(self.outcome, int) and self.outcome >= 500)


@dataclass(frozen=True, slots=True)
class Journal:
    """The content of a journal file. `target` is the server as `host:port`. `entries` are the writes.

    `incomplete` has the id of the run for each line whose writing was interrupted.
    """

    target: str
    entries: tuple[Entry, ...]
    incomplete: tuple[str, ...] = ()

    def of_run(self, run: str) -> Journal:
        """Return the journal with only the writes of the run with the id *run*."""
        entries = tuple(entry for entry in self.entries if entry.run == run)
        return Journal(self.target, entries, tuple(name for name in self.incomplete if name == run))


class JournalWriter:
    """A writer that appends lines to a journal file. Several threads and processes may write at the same time."""

    def __init__(self, path: Path, target: str, shared: SharedState, lock: RunLock) -> None:
        self.path, self.target, self.shared, self.lock, self.run = path, target, shared, lock, lock.run

    def intent(self, entry: Entry) -> None:
        """Record that the write *entry* is about to be sent. Return only after the line is on disk."""
        about = {"warehouse_id": entry.warehouse_id, "before": entry.before, "units": entry.units}
        self._add({"intent": entry.name, "kind": entry.kind, "order_id": entry.order_id, **about})

    def outcome(self, name: str, outcome: Outcome, made: Ids = (), candidates: Ids = ()) -> None:
        """Record the outcome of the write *name*, with the ids of allocations that it made or could have made."""
        self._add({"outcome": name, "status": outcome, "made": made, "candidates": candidates})

    @property
    def has_written(self) -> bool:
        """Whether this run has written to the journal."""
        with self.shared.transaction() as database:
            return number_of(database, "begun") == 1

    def _add(self, line: dict[str, Any]) -> None:
        """Append *line*. Before the first line of the run, append a header."""
        with self.shared.transaction() as database:
            count, size = number_of(database, "lines"), number_of(database, "size")
            begins = number_of(database, "begun") == 0
            header = {"journal": "veeqo-alloc", "version": VERSION, "target": self.target}
            try:
                mode = "r+b" if size or self.path.exists() else "xb"
                with open(self.path, mode, buffering=0, opener=_open_private) as file:
                    if file.seek(0, os.SEEK_END) != size:  # a process has died while it wrote a line
                        count, size = self._recount(count), file.tell()
                    added = [header, line] if begins else [line]
                    text = b"".join(_encode(entry | self._stamp(), count + at) for at, entry in enumerate(added, 1))
                    _append(file, size, text)
                    new_size = file.seek(0, os.SEEK_END)
                if mode == "xb":
                    _sync_folder(self.path.parent)
            except FileNotFoundError:
                raise JournalError(
                    f"the journal {self.path} was removed during the run: nothing more is sent"
                ) from None
            except OSError as error:
                raise JournalError(f"the journal {self.path} cannot be written: {error.strerror}") from None
            for name, value in (("lines", count + len(added)), ("size", new_size), ("begun", 1)):
                set_number(database, name, value)

    def _recount(self, known: int) -> int:
        count = len(_parse_lines(_read(self.path), self.path)[0])
        if count < known:
            raise JournalError(f"lines of the journal {self.path} were removed during the run: nothing more is sent")
        return count

    def _stamp(self) -> dict[str, str]:
        return {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"), "run": self.run}


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _append(file: IO[bytes], size: int, data: bytes) -> None:
    """Append *data* to *file*, which has *size* bytes, on a new line. If that fails, restore the file."""
    if size:
        file.seek(-1, os.SEEK_END)
        data = data if file.read(1) == b"\n" else b"\n" + data
    try:
        if os.write(file.fileno(), data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(size)
        raise


def _sync_folder(folder: Path) -> None:
    """Write the directory *folder* to disk, so that a new file in it survives a power failure."""
    with contextlib.suppress(OSError):  # Windows cannot open a directory
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_CHECKSUM = re.compile(rb'(.*), "crc": "([0-9a-f]{8})"\}', re.DOTALL)


def _encode(line: dict[str, Any], number: int) -> bytes:
    """Return *line* as JSON with its *number* and a checksum of all that precedes the checksum."""
    text = json.dumps({"line": number, **line}).encode()[:-1]
    return text + b', "crc": "%08x"}\n' % zlib.crc32(text)


def _decode(text: bytes) -> dict[str, Any] | None:
    """Parse *text*, a line. Return None if the line is incomplete or was changed."""
    match = _CHECKSUM.fullmatch(text)
    if match is None or int(match[2], 16) != zlib.crc32(match[1]):
        return None
    try:
        line = json.loads(match[1] + b"}")
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and {"line", "run"} <= line.keys() else None


@contextlib.contextmanager
def open_journal(path: Path, target: str) -> Iterator[JournalWriter]:
    """Lock the journal file *path*, and yield a writer. If the block writes nothing, the file is not changed.

    Raise JournalError if the file is in use, cannot be written, is not a journal, or belongs to another server.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="veeqo-alloc-", ignore_cleanup_errors=True))
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = RunLock(path, uuid.uuid4().hex, create=True)
            stack.callback(lock.close)
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be written: {error.strerror}") from None
        if data and (known := parse_journal(data, path)).target != target:
            raise JournalError(f"the journal {path} belongs to another server, {known.target}: choose another file")
        shared = SharedState(folder)
        shared.create()
        with shared.transaction() as database:
            set_number(database, "lines", len(_parse_lines(data, path)[0]) if data else 0)
            set_number(database, "size", len(data))
        yield JournalWriter(path, target, shared, lock)


@contextlib.contextmanager
def join_journal(path: Path, target: str, folder: Path, run: str) -> Iterator[JournalWriter]:
    """Yield a writer for the journal *path*. The first process of the run has opened it. *folder* has the run's state."""
    lock = RunLock(path, run)
    try:
        yield JournalWriter(path, target, SharedState(folder), lock)
    finally:
        lock.close()


def read_journal(path: Path) -> Journal:
    """Read the journal file *path*. Raise JournalError if it is not a journal, or has lost or changed lines."""
    return parse_journal(_read(path), path)


def parse_journal(data: bytes, path: Path) -> Journal:
    """Parse *data*, the content of the file *path*. Raise JournalError if it is no journal, or lines are lost or changed."""
    lines, incomplete = _parse_lines(data, path)
    intents: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, dict[str, Any]] = {}
    try:
        for line in lines:
            kind = next(name for name in _MEMBERS if name in line)
            if line.keys() != _MEMBERS[kind] | {"line", "at", "run"}:
                raise ValueError
            known = outcomes if kind == "outcome" else intents
            if kind == "journal":
                is_known = line["target"] == lines[0]["target"]
            else:
                is_known = line[kind] not in known and (kind == "intent" or line[kind] in intents)
                known[line[kind]] = line
            if not is_known:
                raise ValueError
        entries = tuple(_entry(line, outcomes.get(name, _UNKNOWN)) for name, line in intents.items())
        return Journal(lines[0]["target"], entries, incomplete)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, StopIteration):
        raise JournalError(f"{path} is not a journal of veeqo-alloc, or it was edited") from None


_MEMBERS = {
    "journal": {"journal", "version", "target"},
    "intent": {"intent", "kind", "order_id", "warehouse_id", "before", "units"},
    "outcome": {"outcome", "status", "made", "candidates"},
}
_UNKNOWN: dict[str, Any] = {"status": None, "made": (), "candidates": ()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}") from None


def _parse_lines(data: bytes, path: Path) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the lines in *data*, and the id of the run for each incomplete line.

    A line is incomplete if a process or the system stopped while it was written. Raise JournalError for other damage.
    """
    *complete, last = data.split(b"\n")
    lines: list[dict[str, Any]] = []
    incomplete: list[str] = []
    damaged = False
    for text in [*complete, last] if last else complete:
        line = _decode(text)
        if not lines:
            _require_header(path, text, line)
        if line is not None and line["line"] == len(lines) + 1:
            lines.append(line)
        elif line is None and not damaged:
            incomplete.append(lines[-1]["run"])
        else:
            raise JournalError(f"{_DAMAGED.format(path=path)} after line {len(lines)}{_BY_HAND}")
        damaged = line is None
    if damaged and not last:
        raise JournalError(f"{_DAMAGED.format(path=path)} in its last line{_BY_HAND}")
    return lines, tuple(incomplete)


_DAMAGED = "the journal {path} is damaged"
_BY_HAND = ": check the orders that it names by hand, and move the file away"


def _require_header(path: Path, text: bytes, line: dict[str, Any] | None) -> None:
    """Raise JournalError unless *line*, decoded from *text*, begins a journal of this version."""
    if text.startswith(b'{"journal": "veeqo-alloc"') or (line is not None and line.get("version") != VERSION):
        raise JournalError(
            f"the journal {path} is from another version of veeqo-alloc: clean up with that version, or check the orders "
            "that it names by hand; then move the file away"
        )
    if line is None or line.get("journal") != "veeqo-alloc":
        raise JournalError(f"{path} is not a journal of veeqo-alloc, or its first line is damaged: choose another file")


def _entry(intent: dict[str, Any], outcome: dict[str, Any]) -> Entry:
    return Entry(
        name=intent["intent"],
        kind=intent["kind"],
        order_id=int(intent["order_id"]),
        warehouse_id=intent["warehouse_id"],
        units={int(sellable): quantity for sellable, quantity in intent["units"].items()},
        before=None if intent["before"] is None else tuple(map(int, intent["before"])),
        outcome=outcome["status"],
        made=tuple(map(int, outcome["made"])),
        candidates=tuple(map(int, outcome["candidates"])),
        run=intent["run"],
    )


def made_by(
    entry: Entry, known: Sequence[ExistingAllocation] | None, held: Sequence[ExistingAllocation]
) -> tuple[Ids, Ids]:
    """Return two tuples of ids: the allocation that the successful write *entry* made, and, if uncertain, the candidates.

    *known* are the order's allocations before the write (None: unknown), and *held* those in the response to the write. A
    write makes one allocation, of at most the requested units. If several allocations are new, these are the candidates.
    If an earlier allocation has changed, both tuples are empty.
    """
    earlier = {allocation.id: allocation for allocation in known or ()}
    if any(allocation != earlier.get(allocation.id, allocation) for allocation in held):
        return (), ()
    new = [allocation for allocation in held if allocation.id not in earlier]
    if len(new) > 1:
        return (), tuple(allocation.id for allocation in new)
    return tuple(allocation.id for allocation in new if fits(allocation, entry)), ()


def fits(allocation: ExistingAllocation, entry: Entry) -> bool:
    """Return whether *allocation* has the warehouse, and at most the units, that the write *entry* requests."""
    return (
        allocation.warehouse_id == entry.warehouse_id
        and bool(allocation.units)
        and all(quantity <= entry.units.get(sellable, 0) for sellable, quantity in allocation.units.items())
    )
