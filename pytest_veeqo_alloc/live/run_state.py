"""The state of a run that its processes share in an SQLite database, and a lock that only one run can hold."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_veeqo_alloc.live import JournalError, LiveError, RefusedError

Charge = dict[str, tuple[float, float]]
"""Maps the name of an order's sellable to a pair: the units that a write requests, and the units free for the run."""

_MARGIN = 0.05
"""The seconds by which each time window of the rate limit is extended, for safety."""
_LOST_AFTER = 60.0
"""The seconds after which a request counts as ended, even if its end was not recorded."""
_POLL = 0.05
_BUSY = 60.0
"""The seconds to wait for a transaction of another process."""
_CLOCK = functools.partial(time.monotonic)  # unaffected by tests that freeze the time

_TABLES = """
    CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER);
    CREATE TABLE IF NOT EXISTS used (name TEXT PRIMARY KEY, units REAL);
    CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, process INTEGER, started REAL, ended REAL);
    CREATE TABLE IF NOT EXISTS reserved (name TEXT PRIMARY KEY);
"""


def _connect(path: Path, *, wait: float = 0, create: bool = False) -> sqlite3.Connection:
    """Open the database *path*. Unless *create* is true, raise sqlite3.OperationalError if it does not exist."""
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # the content is of no use after a power failure
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _is_locked(connection: sqlite3.Connection) -> bool:
    """Return whether another connection has a write transaction."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if _is_busy(error):
            return True
        raise
    return False


class RunLock:
    """The lock of the file *path*. All processes of the run *run* hold the lock, and no other run can take it.

    The lock is an SQLite database. Each process keeps a read transaction open. The first process of the run creates the
    lock, and keeps a write transaction open. The operating system ends a transaction together with its process.
    """

    def __init__(self, path: Path, run: str, *, create: bool = False) -> None:
        real = path.resolve()
        self._path, self.path, self.run = path, real.with_name(f"{real.name}.lock"), run
        self._is_first = create
        try:
            self._connection = _connect(self.path, create=create)
            try:
                if create:
                    self._take()
                self._connection.execute("BEGIN IMMEDIATE" if create else "BEGIN")
                self._connection.execute("SELECT run FROM owner").fetchone()
                self.check()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _take(self) -> None:
        self._connection.execute("BEGIN EXCLUSIVE")  # fails as long as a process of another run is alive
        self._connection.execute("CREATE TABLE IF NOT EXISTS owner (run TEXT)")
        self._connection.execute("DELETE FROM owner")
        self._connection.execute("INSERT INTO owner VALUES (?)", (self.run,))
        self._connection.execute("COMMIT")

    def check(self) -> None:
        """Raise JournalError unless the lock still belongs to the run, and the first process of the run is alive."""
        try:
            with contextlib.closing(_connect(self.path)) as other:
                (owner,) = other.execute("SELECT run FROM owner").fetchone() or ("",)
                if owner != self.run:
                    raise JournalError(f"the journal {self._path} is in use by another run: nothing more is sent")
                if self._is_first or _is_locked(other):
                    return
        except sqlite3.Error as error:
            raise self._error(error) from None
        raise JournalError("the process that began the run has ended: nothing more is sent")

    def _error(self, error: sqlite3.Error) -> JournalError:
        if _is_busy(error):
            return JournalError(f"the journal {self._path} is in use by another run: wait, or choose another file")
        if self._path.parent.is_dir() and not (self._is_first or self.path.exists()):
            return JournalError(f"the lock {self.path} was removed during the run: nothing more is sent")
        return JournalError(f"the journal {self._path} cannot be written, since its lock {self.path} fails: {error}")

    def close(self) -> None:
        """Release the lock. Delete its file if no other process holds the lock."""
        with contextlib.suppress(JournalError, sqlite3.Error, OSError):
            if self._is_first:
                self.check()  # the file may be the lock of another run
                self._connection.execute("ROLLBACK")
                self._connection.execute("BEGIN EXCLUSIVE")
                self.path.unlink()  # impossible on Windows, where the file stays
        self._connection.close()


class SharedState:
    """The database of a run, in *folder*. All processes of the run open it; only the first of them creates it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path, self._thread_lock = folder, folder / "run.sqlite", threading.Lock()

    def create(self) -> None:
        """Create the database unless it exists."""
        with contextlib.closing(_connect(self._path, wait=_BUSY, create=True)) as connection:
            connection.executescript(_TABLES)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lock the database during the block. Save the changes at the end, unless the block raises an error."""
        try:
            with self._thread_lock, contextlib.closing(_connect(self._path, wait=_BUSY)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            problem = str(error) if self._path.exists() else "it was removed"
            raise LiveError(f"the state of the run, {self._path}, cannot be used: {problem}") from None


def number_of(database: sqlite3.Connection, name: str) -> int:
    """Return the stored number *name*, or 0 if no number was stored."""
    row = database.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
    return row[0] if row else 0


def set_number(database: sqlite3.Connection, name: str, value: int) -> None:
    """Store the number *name*."""
    database.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))


class RunState:
    """The state of a test run, stored in *shared*. *rate* requests per second and *max_writes* writes are permitted.

    A rate of 2.9 permits 2 requests in any second, and a rate of 0.5 permits 1 request in any 2 seconds. *check* raises
    an error if the run may send nothing more.
    """

    def __init__(
        self, shared: SharedState, rate: float, max_writes: int, check: Callable[[], None] = lambda: None
    ) -> None:
        self._shared, self._max_writes, self._check = shared, max_writes, check
        self.limit, self.window = (math.floor(rate), 1.0) if rate >= 1 else (1, 1 / rate)
        self.clock: Callable[[], float] = _CLOCK
        self.sleep: Callable[[float], None] = time.sleep

    def reserve(self, name: str) -> bool:
        """Reserve *name*, and return True. Return False if a process of this run has already reserved it."""
        with self._shared.transaction() as database:
            return database.execute("INSERT OR IGNORE INTO reserved VALUES (?)", (name,)).rowcount == 1

    def claim(self, charge: Charge | None = None) -> str:
        """Wait for the rate limit. Return a new request id. Raise RefusedError if too few writes or units are left."""
        while True:
            with self._shared.transaction() as database:
                self._check()
                if charge is not None:
                    self._check_budget(database, charge)
                if not (wait := self._wait(database)):
                    return self._start(database, charge)
            self.sleep(wait)

    def end(self, request_id: str) -> None:
        """Record that a request has ended, with or without a response."""
        with self._shared.transaction() as database:
            database.execute("UPDATE requests SET ended = ? WHERE id = ?", (self.clock(), request_id))

    @property
    def charged(self) -> int:
        """The number of writes so far in this run."""
        with self._shared.transaction() as database:
            return number_of(database, "charged")

    @property
    def used(self) -> dict[str, float]:
        """The units that this run has charged so far, keyed by the names of sellables in `Charge`."""
        with self._shared.transaction() as database:
            return dict(database.execute("SELECT name, units FROM used"))

    @property
    def other_process_active(self) -> bool:
        """Whether another process of this run has sent a request within the time window of the rate limit."""
        with self._shared.transaction() as database:
            query = "SELECT 1 FROM requests WHERE process != ?"
            return database.execute(query, (os.getpid(),)).fetchone() is not None

    def refund(self, charge: Charge) -> None:
        """Make the units of *charge* available again. The write itself still counts."""
        with self._shared.transaction() as database:
            _add_units(database, {name: -units for name, (units, _) in charge.items()})

    def _check_budget(self, database: sqlite3.Connection, charge: Charge) -> None:
        if number_of(database, "charged") >= self._max_writes:
            raise RefusedError(f"the budget of {self._max_writes} writes is spent (--veeqo-alloc-max-writes)")
        for name, (units, free) in charge.items():
            row = database.execute("SELECT units FROM used WHERE name = ?", (name,)).fetchone()
            if (row[0] if row else 0) + units > free:
                raise RefusedError(f"the order pool has no free units left of {name}")

    def _wait(self, database: sqlite3.Connection) -> float:
        """Return the seconds to wait before the next attempt, or 0 if the rate limit permits a request now."""
        now, window = self.clock(), self.window + _MARGIN
        # A request can reach the server until it ends. So it counts until one time window after its end.
        database.execute("DELETE FROM requests WHERE COALESCE(ended, started + ?) < ?", (_LOST_AFTER, now - window))
        ends = database.execute("SELECT COALESCE(ended, started + ?) FROM requests", (_LOST_AFTER,))
        waits = [end + window - now for (end,) in ends]
        return 0 if len(waits) < self.limit else max(min(*waits, _POLL), 0.001)

    def _start(self, database: sqlite3.Connection, charge: Charge | None) -> str:
        request_id = uuid.uuid4().hex
        row = (request_id, os.getpid(), self.clock())
        database.execute("INSERT INTO requests VALUES (?, ?, ?, NULL)", row)
        if charge is not None:
            set_number(database, "charged", number_of(database, "charged") + 1)
            _add_units(database, {name: units for name, (units, _) in charge.items()})
        return request_id


def _add_units(database: sqlite3.Connection, units: dict[str, float]) -> None:
    query = "INSERT INTO used VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET units = units + excluded.units"
    database.executemany(query, units.items())
