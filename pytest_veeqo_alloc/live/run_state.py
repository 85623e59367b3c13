"""The state that all processes of a run share: the number of writes, the allocated units, and the latest requests.

It is a JSON file with a lock. A write is charged, that is, counted against the limits of the run, before it is sent.
A slot is the place that a request takes under the rate limit. Times come from `time.monotonic`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.live import LiveError, RefusedError

Charge = dict[str, tuple[float, float]]
"""The units that a write requests, for each sellable.

A key describes the sellable in error messages. A value has the requested units, and the units that all writes of the
run together may allocate.
"""

_MARGIN = 0.05
"""A safety margin in seconds, added to each time window of the rate limit."""
_LOST_AFTER = 60.0
"""The seconds after which a request no longer counts as running, even if its end was never recorded."""
_POLL = 0.05


class RunState:
    """The state in *folder*. It permits at most *rate* requests per second and *max_writes* writes in total.

    A rate of 2.9 permits 2 requests in any second, and a rate of 0.5 permits 1 request in any 2 seconds.
    """

    def __init__(
        self,
        folder: Path,
        rate: float,
        max_writes: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._lock_path = folder / "state.json", folder / "state.lock"
        self.limit, self.window = (math.floor(rate), 1.0) if rate >= 1 else (1, 1 / rate)
        self._max_writes = max_writes
        self._clock, self._sleep = clock, sleep
        self._thread_lock = threading.Lock()

    def reserve(self, name: str) -> bool:
        """Reserve *name* for the caller. Return False if a process of this run has reserved it before."""
        try:
            self._path.with_name(f"taken-{name}").touch(0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True

    def claim(self, charge: Charge | None = None) -> str:
        """Wait until the rate limit permits a request, and return the name of its place in the rate.

        *charge* has the units that a write allocates; None for a read.

        Raise RefusedError if no writes are left, or if *charge* exceeds the units that may still be allocated.
        """
        while True:
            with self._state() as state:
                if charge is not None:
                    self._check_budget(state, charge)
                if (wait := self._wait(state)) <= 0:
                    return self._take(state, charge)
            self._sleep(wait)

    def end(self, slot: str) -> None:
        """Record that the request in *slot* has ended, with or without a response."""
        with self._state() as state:
            for entry in state["slots"]:
                if entry["name"] == slot and entry["ended"] is None:
                    entry["ended"] = self._clock()

    @property
    def charged(self) -> int:
        """The number of writes that this run has charged so far."""
        with self._state() as state:
            return int(state["charged"])

    def _check_budget(self, state: dict[str, Any], charge: Charge) -> None:
        if state["charged"] >= self._max_writes:
            raise RefusedError(f"the budget of {self._max_writes} writes is spent (--veeqo-alloc-max-writes)")
        for name, (units, free) in charge.items():
            if state["used"].get(name, 0) + units > free:
                raise RefusedError(f"the order pool has no free units left of {name}")

    def _wait(self, state: dict[str, Any]) -> float:
        """Return the seconds until the rate limit may permit a request, or 0 if it permits one now.

        A request can reach the server at any time until it ends. So it counts until a whole time window after its end.
        """
        now, window = self._clock(), self.window + _MARGIN
        for entry in state["slots"]:
            if entry["ended"] is None and not _is_alive(entry["pid"]):
                entry["ended"] = now
        state["slots"] = slots = [
            entry
            for entry in state["slots"]
            if now <= (entry["taken"] + _LOST_AFTER if entry["ended"] is None else entry["ended"]) + window
        ]
        if len(slots) < self.limit:
            return 0
        ends = [float(entry["ended"]) + window - now for entry in slots if entry["ended"] is not None]
        return max(min([*ends, _POLL]), 0.001)

    def _take(self, state: dict[str, Any], charge: Charge | None) -> str:
        name = uuid.uuid4().hex
        state["slots"].append({"name": name, "pid": os.getpid(), "taken": self._clock(), "ended": None})
        if charge is not None:
            state["charged"] += 1
            for key, (units, _) in charge.items():
                state["used"][key] = state["used"].get(key, 0) + units
        return name

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """Yield the state under the lock. Save the state at the end unless the block raises."""
        try:
            with self._thread_lock, locked(self._lock_path):
                try:
                    state = json.loads(self._path.read_text(encoding="utf-8"))
                except FileNotFoundError:
                    state = {"charged": 0, "used": {}, "slots": []}
                yield state
                temporary = self._path.with_suffix(".tmp")
                temporary.write_text(json.dumps(state), encoding="utf-8")
                os.replace(temporary, self._path)
        except OSError as error:
            raise LiveError(f"the state of the run in {self._path.parent} cannot be saved: {error.strerror}") from None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(
            error, ProcessLookupError
        )  # any other error means that the process exists but belongs to another user
    return True


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file *path*. The kernel releases it if the process dies.

    Raise BlockingIOError if *wait* is false and the file is locked. Raise LiveError if the platform has no file locks.
    """
    try:
        import fcntl
    except ImportError:
        raise LiveError("writes to a foreign server need POSIX file locks, which this platform does not have") from None
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
