"""The state that all processes of a run share: charged writes, used units, and the slots of the rate limit.

The state is a JSON file under a lock. A write is charged before it is sent, so that a killed process has charged too
much rather than too little. Times come from `time.monotonic`, which the processes of a machine share.
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
"""The units of a write and the total of free units, by a description of the sellable that error messages show."""

_MARGIN = 0.05
"""The safety margin in seconds that is added to each window of the rate limit."""
_LOST_AFTER = 60.0
"""The number of seconds after which a request without an end no longer counts as running."""
_POLL = 0.05


class RunState:
    """The shared state in *folder*. It permits at most *rate* requests per second and *max_writes* writes in total.

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
        """Reserve *name* in this run. Return False if *name* was reserved before."""
        try:
            self._path.with_name(f"taken-{name}").touch(0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True

    def claim(self, charge: Charge | None = None) -> str:
        """Wait for a rate slot, take it and return its name. A request with a *charge* is a write.

        Raise RefusedError if the budget is spent or too few units are free.
        """
        while True:
            with self._state() as state:
                if charge is not None:
                    self._check_budget(state, charge)
                if (wait := self._wait(state)) <= 0:
                    return self._take(state, charge)
            self._sleep(wait)

    def end(self, slot: str) -> None:
        """Record that the request of *slot* has ended, with or without a response."""
        with self._state() as state:
            for entry in state["slots"]:
                if entry["name"] == slot and entry["ended"] is None:
                    entry["ended"] = self._clock()

    @property
    def charged(self) -> int:
        """The number of writes charged so far."""
        with self._state() as state:
            return int(state["charged"])

    def _check_budget(self, state: dict[str, Any], charge: Charge) -> None:
        if state["charged"] >= self._max_writes:
            raise RefusedError(f"the budget of {self._max_writes} writes is spent (--veeqo-alloc-max-writes)")
        for name, (units, free) in charge.items():
            if state["used"].get(name, 0) + units > free:
                raise RefusedError(f"the order pool has no free units left of {name}")

    def _wait(self, state: dict[str, Any]) -> float:
        """Return the seconds until a rate slot may be free, or 0 if a slot is free now.

        A request reaches the server at an unknown time between taking its slot and its end. So the window of a request
        begins at its end; otherwise delays could bring too many requests together.
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
        return not isinstance(error, ProcessLookupError)  # another error means that the process is not ours
    return True


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on *path*, which the kernel frees if the process dies.

    Raise LiveError on a platform without file locks, and BlockingIOError if the lock is taken and *wait* is false.
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
