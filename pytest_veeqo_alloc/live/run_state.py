"""The state that all processes of a run share: writes charged, units used, and the rate.

One JSON file under a lock. A write is charged before it is sent, so that a process that is killed has rather spent too
much than too little. Times are those of `time.monotonic`, which processes on one machine share.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.live import LiveError, RefusedError

_MARGIN = 0.05
"""Seconds by which the window is longer than it need be."""
_LOST_AFTER = 60.0
"""Seconds after which a request that nobody ended no longer counts as under way."""
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` requests in any `window` seconds."""

    limit: int
    window: float

    @classmethod
    def per_second(cls, rate: float) -> Rate:
        """*rate* requests a second: whole ones in a second, or one in as many seconds as it takes."""
        return cls(math.floor(rate), 1.0) if rate >= 1 else cls(1, 1 / rate)


class Shared:
    """The shared state in *folder*. *clock* and *sleep* are those of `time`, unless a test brings its own."""

    def __init__(
        self,
        folder: Path,
        rate: Rate,
        max_writes: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._lock_path = folder / "state.json", folder / "state.lock"
        self._rate, self._max_writes = rate, max_writes
        self._clock, self._sleep = clock, sleep
        self._thread_lock = threading.Lock()

    def is_first(self, name: str) -> bool:
        """Whether nobody in the run has asked for *name* before."""
        try:
            os.close(os.open(self._path.parent / f"taken-{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def claim(self, *, charged: bool, units: Mapping[str, float], free: Mapping[str, float]) -> str:
        """Wait for a slot and take it; returns its name. With *charged* it is a write, and *units* are added to those
        used, none of which may pass what is *free*. RefusedError where budget or units do not suffice."""
        while True:
            with self._state() as state:
                if charged:
                    self._refuse(state, units, free)
                wait = self._wait(state)
                if wait <= 0:
                    return self._take(state, charged=charged, units=units)
            self._sleep(wait)

    def ended(self, slot: str) -> None:
        """The request of *slot* is over: its answer is here, or none will come."""
        with self._state() as state:
            for entry in state["slots"]:
                if entry["name"] == slot and entry["ended"] is None:
                    entry["ended"] = self._clock()

    @property
    def charged(self) -> int:
        """How many writes were charged so far."""
        with self._state() as state:
            return int(state["charged"])

    def _refuse(self, state: dict[str, Any], units: Mapping[str, float], free: Mapping[str, float]) -> None:
        if state["charged"] >= self._max_writes:
            raise RefusedError(f"the budget of {self._max_writes} writes is spent (--veeqo-alloc-max-writes)")
        for key, more in units.items():
            if key in free and state["used"].get(key, 0) + more > free[key]:
                raise RefusedError(f"the order pool has no units left of {key}")

    def _wait(self, state: dict[str, Any]) -> float:
        """Seconds until a slot may be free; nothing where one is.

        A request could arrive at any moment from the taking of its slot to its end. So its second begins to run at its
        end, and no lateness of anybody can bring two seconds together.
        """
        now, window = self._clock(), self._rate.window + _MARGIN
        for entry in state["slots"]:
            if entry["ended"] is None and not _is_alive(entry["pid"]):
                entry["ended"] = now  # nothing more will come of it
        state["slots"] = [entry for entry in state["slots"] if not self._is_past(entry, now, window)]
        if len(state["slots"]) < self._rate.limit:
            return 0
        ends = [float(entry["ended"]) + window - now for entry in state["slots"] if entry["ended"] is not None]
        return max(min([*ends, _POLL]), 0.001)

    @staticmethod
    def _is_past(entry: Mapping[str, Any], now: float, window: float) -> bool:
        if entry["ended"] is not None:
            return bool(now > entry["ended"] + window)
        return bool(now > entry["taken"] + _LOST_AFTER + window)

    def _take(self, state: dict[str, Any], *, charged: bool, units: Mapping[str, float]) -> str:
        name = uuid.uuid4().hex
        state["slots"].append({"name": name, "pid": os.getpid(), "taken": self._clock(), "ended": None})
        if charged:
            state["charged"] += 1
            for key, more in units.items():
                state["used"][key] = state["used"].get(key, 0) + more
        return name

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """The state, under the lock; what is changed in it is written, unless an exception leaves the block."""
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
            raise LiveError(f"the state of the run in {self._path.parent} cannot be kept: {error.strerror}") from None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds an exclusive lock on *path*, which the kernel frees if the process dies. LiveError where locks cannot be
    had; BlockingIOError where another holds it and *wait* is false."""
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
