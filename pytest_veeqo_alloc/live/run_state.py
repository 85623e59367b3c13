"""The state that the processes of a run share in a file: the number of writes, allocated units, and latest requests."""

from __future__ import annotations

import contextlib
import functools
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
"""Maps the name of an order's sellable to a pair: the units that a write requests, and those that the run may use."""

_MARGIN = 0.05
"""The seconds by which each time window of the rate limit is extended, for safety."""
_LOST_AFTER = 60.0
"""The seconds after which a request counts as ended, even if its end was not recorded."""
_POLL = 0.05
_CLOCK = functools.partial(time.monotonic)  # unaffected by tests that freeze the time


class RunState:
    """The state of a test run, in *folder*. It permits *rate* requests per second and *max_writes* writes in total.

    A rate of 2.9 permits 2 requests in any second, and a rate of 0.5 permits 1 request in any 2 seconds.
    """

    def __init__(self, folder: Path, rate: float, max_writes: int) -> None:
        self._path, self._lock_path = folder / "state.json", folder / "state.lock"
        self.limit, self.window = (math.floor(rate), 1.0) if rate >= 1 else (1, 1 / rate)
        self._max_writes = max_writes
        self.clock: Callable[[], float] = _CLOCK
        self.sleep: Callable[[float], None] = time.sleep
        self._thread_lock = threading.Lock()

    def reserve(self, name: str) -> bool:
        """Reserve *name*, and return True. Return False if a process of this run has already reserved it."""
        try:
            self._path.with_name(f"taken-{name}").touch(0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True

    def claim(self, charge: Charge | None = None) -> str:
        """Wait for the rate limit. Return a new request id. Raise RefusedError if too few writes or units are left."""
        while True:
            with self._state() as state:
                if charge is not None:
                    self._check_budget(state, charge)
                if not (wait := self._wait(state)):
                    return self._start(state, charge)
            self.sleep(wait)

    def end(self, request_id: str) -> None:
        """Record that a request has ended, with or without a response."""
        with self._state() as state:
            if request := state["requests"].get(request_id):
                request["ended"] = self.clock()

    @property
    def charged(self) -> int:
        """The number of writes so far in this run."""
        with self._state() as state:
            return int(state["charged"])

    @property
    def used(self) -> dict[str, float]:
        """The units that this run has charged so far, keyed by the names of sellables in `Charge`."""
        with self._state() as state:
            return dict(state["used"])

    @property
    def other_process_active(self) -> bool:
        """Whether another process of this run has sent a request within the time window of the rate limit."""
        with self._state() as state:
            return any(request["pid"] != os.getpid() for request in state["requests"].values())

    def refund(self, charge: Charge) -> None:
        """Make the units of *charge* available again. The write itself still counts."""
        with self._state() as state:
            for name, (units, _) in charge.items():
                state["used"][name] -= units

    def _check_budget(self, state: dict[str, Any], charge: Charge) -> None:
        if state["charged"] >= self._max_writes:
            raise RefusedError(f"the budget of {self._max_writes} writes is spent (--veeqo-alloc-max-writes)")
        for name, (units, free) in charge.items():
            if state["used"].get(name, 0) + units > free:
                raise RefusedError(f"the order pool has no free units left of {name}")

    def _wait(self, state: dict[str, Any]) -> float:
        """Return the seconds to wait before the next attempt, or 0 if the rate limit permits a request now."""
        now, window = self.clock(), self.window + _MARGIN
        waits = []
        for request_id, request in list(state["requests"].items()):
            if request["ended"] is None and not _is_alive(request["pid"]):
                request["ended"] = now
            # A request can reach the server until it ends. So it counts until one time window after its end.
            ended = request["started"] + _LOST_AFTER if request["ended"] is None else request["ended"]
            if (left := ended + window - now) < 0:
                del state["requests"][request_id]
            else:
                waits.append(left)
        return 0 if len(waits) < self.limit else max(min(*waits, _POLL), 0.001)

    def _start(self, state: dict[str, Any], charge: Charge | None) -> str:
        request_id = uuid.uuid4().hex
        state["requests"][request_id] = {"pid": os.getpid(), "started": self.clock(), "ended": None}
        if charge is not None:
            state["charged"] += 1
            for key, (units, _) in charge.items():
                state["used"][key] = state["used"].get(key, 0) + units
        return request_id

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """Lock and yield the state. Save the state at the end of the block, unless the block raises."""
        try:
            with self._thread_lock, locked(self._lock_path):
                try:
                    state = json.loads(self._path.read_text(encoding="utf-8"))
                except FileNotFoundError:
                    state = {"charged": 0, "used": {}, "requests": {}}
                yield state
                temporary = self._path.with_suffix(".tmp")
                temporary.write_text(json.dumps(state), encoding="utf-8")
                os.replace(temporary, self._path)
        except OSError as error:
            raise LiveError(f"the state of the run in {self._path.parent} cannot be saved: {error.strerror}") from None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:  # such as PermissionError, if the process belongs to another user
        return not isinstance(error, ProcessLookupError)
    return True


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock the file *path* during the block. If *wait* is false and the file is locked, raise BlockingIOError."""
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
