"""The journal: what was about to be sent to a foreign server, and what came of it. JSON Lines, only ever added to.

An intent is on the disk before its write is sent, so a run that is killed leaves an intent without an outcome: UNKNOWN,
never sent again, and settled by reading the order. No line has a key, a body or a text of one.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
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

JOURNAL = "veeqo-alloc-journal.jsonl"
"""Where writes are noted unless somebody says otherwise."""

VERSION = 1
Kind = Literal["post", "delete"]
Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A write of a run: its order, what it asked for, the allocations of the order before it (None: not known), its
    outcome (a status, `not sent`, or None for UNKNOWN), and the allocations that it is known to have made."""

    name: str
    kind: Kind
    order_id: int
    warehouse_id: int | None = None
    units: dict[int, float] = field(default_factory=dict)
    before: Ids | None = None
    outcome: int | Literal["not sent"] | None = None
    made: Ids = ()
    run: str = ""

    @property
    def has_succeeded(self) -> bool:
        """Whether it was answered with a 2xx."""
        return isinstance(self.outcome, int) and is_success(self.outcome)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if it was carried out: no answer came, or one that a proxy may have made up."""
        return self.outcome is None or (isinstance(self.outcome, int) and self.outcome >= 500)


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal file says: where it wrote to, and every write."""

    target: str
    entries: tuple[Entry, ...]

    def of_run(self, run: str) -> Journal:
        """What one run wrote."""
        return Journal(self.target, tuple(entry for entry in self.entries if entry.run == run))


class Writer:
    """Adds to a journal, from any thread and process of one run."""

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run = path, run
        self._lock = threading.Lock()

    def intent(self, entry: Entry) -> None:
        """On the disk when this returns."""
        about = {"order_id": entry.order_id, "warehouse_id": entry.warehouse_id, "before": entry.before}
        units = {str(sellable): quantity for sellable, quantity in entry.units.items()}
        self._add({"intent": entry.name, "kind": entry.kind, **about, "units": units, "at": _now()})

    def outcome(self, name: str, outcome: int | Literal["not sent"], made: Sequence[int] = ()) -> None:
        """What came of the intent *name*."""
        self._add({"outcome": name, "status": outcome, "made": list(made), "at": _now()})

    def _add(self, line: dict[str, Any]) -> None:
        try:
            with self._lock:
                _append(self.path, line | {"run": self.run})
        except OSError as error:
            raise JournalError(f"the journal {self.path} cannot be written: {error.strerror}") from None


def new_name() -> str:
    """A name that no other intent and no other run has."""
    return uuid.uuid4().hex


@contextlib.contextmanager
def opened(path: Path, target: str) -> Iterator[Writer]:
    """Begins a run in the journal *path*, which may hold earlier ones of the same *target*, and keeps every other run out
    until the block is left. A run that wrote nothing leaves no trace. JournalError, and nothing written, for a file that
    is no journal or is in use."""
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path, wait=False))
            before = path.stat().st_size
            if before and (known := read_journal(path)).target != target:
                raise JournalError(f"the journal {path} is of another server, {known.target}: name another")
            run = new_name()
            _append(path, {"journal": "veeqo-alloc", "version": VERSION, "target": target, "run": run, "at": _now()})
            begun = path.stat().st_size
        except BlockingIOError:
            raise JournalError(f"the journal {path} is in use by another run: wait for it, or name another") from None
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be written: {error.strerror}") from None
        try:
            yield Writer(path, run)
        finally:
            _forget(path, before, begun)


def _forget(path: Path, before: int, begun: int) -> None:
    """Takes the first line of a run back where nothing followed it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == begun:
            os.truncate(path, before)
            if not before:
                path.unlink()


def _append(path: Path, line: dict[str, Any]) -> None:
    data = (json.dumps(line) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    finally:
        os.close(handle)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def read_journal(path: Path) -> Journal:
    """The journal *path*. JournalError, in one sentence with its name, for what is none, or is cut off."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise JournalError(f"{path} is no journal: it is not UTF-8") from None
    if text and not text.endswith("\n"):
        raise JournalError(
            f"the last line of the journal {path} is cut off: delete it; what it announced was not sent, and what it "
            "reported counts as UNKNOWN"
        )
    try:
        lines = [json.loads(line) for line in text.splitlines()]
        first = lines[0]
        if first["journal"] != "veeqo-alloc" or not all(isinstance(line, dict) for line in lines):
            raise ValueError
    except (ValueError, LookupError, TypeError, RecursionError):
        raise JournalError(f"{path} is no journal of veeqo-alloc, or a line of it was changed") from None
    if any(line.get("version") != VERSION for line in lines if "journal" in line):
        raise JournalError(f"the journal {path} is from another version of veeqo-alloc: clean up with that one")
    try:
        return Journal(str(first["target"]), _entries(lines))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        raise JournalError(f"{path} is no journal of veeqo-alloc, or a line of it was changed") from None


def _entries(lines: list[dict[str, Any]]) -> tuple[Entry, ...]:
    outcomes = {line["outcome"]: line for line in lines if "outcome" in line}
    return tuple(_entry(line, outcomes.get(line["intent"])) for line in lines if "intent" in line)


def _entry(intent: dict[str, Any], outcome: dict[str, Any] | None) -> Entry:
    return Entry(
        name=intent["intent"],
        kind=intent["kind"],
        order_id=int(intent["order_id"]),
        warehouse_id=intent["warehouse_id"],
        units={int(sellable): quantity for sellable, quantity in intent["units"].items()},
        before=_ids(intent["before"]),
        outcome=None if outcome is None else outcome["status"],
        made=() if outcome is None else _ids(outcome["made"]) or (),
        run=intent["run"],
    )


def _ids(value: Any) -> Ids | None:
    return None if value is None else tuple(int(each) for each in value)


def made_by(entry: Entry, held: Sequence[ExistingAllocation]) -> list[int]:
    """The allocations among *held*, from the answer to *entry*, that it made.

    That is what was not there before and fits; what does not fit could be that of a person who was quicker. Where it is
    not known what was there before, as for somebody else's client, it is the newest one, if it fits.
    """
    if entry.before is not None:
        return [each.id for each in held if _fits(each, entry)]
    newest = max(held, key=lambda each: each.id, default=None)
    return [newest.id] if newest is not None and _fits(newest, entry) else []


def owned(entries: Sequence[Entry], held: Sequence[ExistingAllocation]) -> set[int]:
    """Which of *held*, what an order holds now, were made by *entries*.

    Certain are those that an answer showed. An UNKNOWN write is taken to have made one allocation that was not there
    before it, in its warehouse and with nothing beyond what it asked for.
    """
    ours = {made for entry in entries for made in entry.made} & {each.id for each in held}
    for entry in entries:
        if entry.is_unknown and entry.before is not None:
            fitting = next((each.id for each in held if each.id not in ours and _fits(each, entry)), None)
            if fitting is not None:
                ours.add(fitting)
    return ours


def suspects(entries: Sequence[Entry], held: Sequence[ExistingAllocation]) -> list[int]:
    """Which of *held* may have been made by *entries* though that cannot be told: they were not known to be there
    before a write that is UNKNOWN, or that was answered with success and made nothing that fits."""
    open_ends = [entry for entry in entries if entry.is_unknown or (entry.has_succeeded and not entry.made)]
    known = {made for entry in entries for made in entry.made}
    return [
        each.id
        for each in held
        if each.id not in known and any(each.id not in (entry.before or ()) for entry in open_ends)
    ]


def _fits(each: ExistingAllocation, entry: Entry) -> bool:
    return (
        each.id not in (entry.before or ())
        and each.warehouse_id == entry.warehouse_id
        and bool(each.units)
        and all(quantity <= entry.units.get(sellable, 0) for sellable, quantity in each.units.items())
    )
