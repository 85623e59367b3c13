"""Budget, units and rate, for all processes of a run."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frozen_time import frozen_time

from pytest_veeqo_alloc.live import JournalError, LiveError, RefusedError
from pytest_veeqo_alloc.live.run_state import RunLock, RunState, SharedState


class Clock:
    """A clock that advances only when `sleep` is called, and then by *least* seconds or more."""

    def __init__(self, least: float = 0) -> None:
        self.now, self.least = 1000.0, least

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, self.least)


def shared(folder: Path) -> SharedState:
    state = SharedState(folder)
    state.create()
    return state


def run_state(folder: Path, *, rate: float = 5, writes: int = 10**6, clock: Clock | None = None) -> RunState:
    time, state = clock or Clock(), RunState(shared(folder), rate, writes)
    state.clock, state.sleep = time, time.sleep
    return state


def claim(state: RunState, *, charged: bool = False, **units: float) -> str:
    return state.claim({name: (count, {"a": 3}.get(name, 1000)) for name, count in units.items()} if charged else None)


def test_writes_are_charged_and_reads_are_not(tmp_path: Path) -> None:
    state = run_state(tmp_path, writes=2)
    for _ in range(2):
        claim(state, charged=True)
    claim(state)
    with pytest.raises(RefusedError, match="the budget of 2 writes is spent"):
        claim(state, charged=True)
    assert state.charged == 2


def test_units_beyond_the_free_ones_are_refused(tmp_path: Path) -> None:
    state = run_state(tmp_path)
    claim(state, charged=True, a=2)
    with pytest.raises(RefusedError, match="the order pool has no free units left of a"):
        claim(state, charged=True, a=2)
    claim(state, charged=True, a=1, b=100)
    assert state.charged == 2


@pytest.mark.parametrize(("rate", "limit", "window"), [(5, 5, 1), (2.9, 2, 1), (1, 1, 1), (0.5, 1, 2), (50, 50, 1)])
def test_rate_is_a_whole_number_of_requests_per_window(rate: float, limit: int, window: float, tmp_path: Path) -> None:
    state = RunState(SharedState(tmp_path), rate, 1)
    assert (state.limit, state.window) == (limit, window)


@given(durations=st.lists(st.floats(0, 3), min_size=6, max_size=30), under_way=st.integers(1, 6))
def test_no_window_has_a_sixth_request_whenever_requests_arrive(
    durations: list[float], under_way: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock = Clock()
    state = run_state(tmp_path_factory.mktemp("state"), clock=clock)
    taken: list[tuple[float, float]] = []
    running: list[tuple[str, float]] = []
    with pytest.MonkeyPatch.context() as patch:
        # No other process ends a request, so each wait may be as long as it must.
        patch.setattr("pytest_veeqo_alloc.live.run_state._POLL", 60)
        for duration in durations:
            if len(running) >= min(under_way, 5):
                name, since = running.pop(0)
                clock.now += duration
                state.end(name)
                taken.append((since, clock.now))
            running.append((claim(state), clock.now))
    taken += [(since, clock.now) for _, since in running]
    taken.sort()
    # Each arrives between its start and its end; the tightest six are the first's end and the sixth's beginning.
    for first, sixth in zip(taken, taken[5:], strict=False):
        assert sixth[0] - first[1] > 1 or sixth[0] > first[1] + 1


def test_waiting_for_the_rate_ends_under_frozen_time(tmp_path: Path) -> None:
    with frozen_time():
        state = RunState(shared(tmp_path), rate=20, max_writes=100)
        for _ in range(21):
            state.end(state.claim())


def test_request_that_was_never_ended_expires(tmp_path: Path) -> None:
    clock = Clock(least=1)
    state = run_state(tmp_path, rate=1, clock=clock)
    claim(state)
    claim(state)
    assert 60 < clock.now - 1000 < 70


def test_lock_belongs_to_one_run_until_all_its_processes_have_released_it(tmp_path: Path) -> None:
    first = RunLock(tmp_path / "j", "one", create=True)
    other = RunLock(tmp_path / "j", "one")
    for _ in range(2):
        with pytest.raises(
            JournalError, match=r"the journal .*j is in use by another run: wait, or choose another file"
        ):
            RunLock(tmp_path / "j", "two", create=True)
        first.check()
        other.check()
    with pytest.raises(JournalError, match="is in use by another run"):
        RunLock(tmp_path / "j", "two")
    first.close()
    with pytest.raises(JournalError, match="the process that began the run has ended: nothing more is sent"):
        other.check()
    with pytest.raises(JournalError, match="is in use by another run"):
        RunLock(tmp_path / "j", "two", create=True)
    other.close()
    RunLock(tmp_path / "j", "two", create=True).close()
    assert list(tmp_path.iterdir()) == []


def test_lock_that_another_run_is_about_to_take_counts_as_lost(tmp_path: Path) -> None:
    first = RunLock(tmp_path / "j", "one", create=True)
    other = RunLock(tmp_path / "j", "one")
    first.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "j.lock", timeout=0, isolation_level=None)) as taker:
        taker.execute("BEGIN IMMEDIATE")
        taker.execute("DELETE FROM owner")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            taker.execute("COMMIT")  # it is pending until the last process of the first run has ended
        with pytest.raises(JournalError, match="is in use by another run"):
            other.check()
    other.close()


def test_lock_of_a_journal_is_the_same_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tmp_path / "j")
    lock = RunLock(tmp_path / "j", "one", create=True)
    with pytest.raises(JournalError, match="is in use by another run"):
        RunLock(tmp_path / "alias", "two", create=True)
    lock.close()


def test_removed_replaced_or_foreign_lock_is_noticed(tmp_path: Path) -> None:
    first = RunLock(tmp_path / "j", "one", create=True)
    other = RunLock(tmp_path / "j", "one")
    (tmp_path / "j.lock").unlink()
    with pytest.raises(JournalError, match=r"j\.lock was removed during the run: nothing more is sent"):
        other.check()
    with pytest.raises(JournalError, match=r"j\.lock fails: unable to open database file"):
        first.check()
    with pytest.raises(JournalError, match=r"j\.lock was removed during the run"):
        RunLock(tmp_path / "j", "one")
    second = RunLock(tmp_path / "j", "two", create=True)
    for lock in (other, first):
        with pytest.raises(JournalError, match="is in use by another run: nothing more is sent"):
            lock.check()
        lock.close()
    assert (tmp_path / "j.lock").exists()
    second.check()
    second.close()
    (tmp_path / "j.lock").write_text("This is no database, but it is long enough to be one." * 9, encoding="utf-8")
    with pytest.raises(JournalError, match=r"cannot be written, since its lock .*j.lock fails: file is not a database"):
        RunLock(tmp_path / "j", "one", create=True)


def test_refunded_units_are_free_again(tmp_path: Path) -> None:
    state = run_state(tmp_path)
    claim(state, charged=True, a=2)
    state.refund({"a": (2, 3)})
    assert state.used == {"a": 0}
    claim(state, charged=True, a=3)


def test_requests_of_another_process_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = run_state(tmp_path)
    claim(state)
    assert not state.other_process_active
    other = os.getppid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: other)
        claim(state)
    assert state.other_process_active


def test_name_is_reserved_once(tmp_path: Path) -> None:
    assert run_state(tmp_path).reserve("order-7")
    assert not run_state(tmp_path).reserve("order-7")
    assert run_state(tmp_path).reserve("order-8")


def test_state_is_never_created_twice(tmp_path: Path) -> None:
    state = run_state(tmp_path, writes=2)
    claim(state, charged=True)
    (tmp_path / "run.sqlite").unlink()
    with pytest.raises(LiveError, match=r"the state of the run, .*run.sqlite, cannot be used: it was removed"):
        claim(state, charged=True)
    (tmp_path / "run.sqlite").touch()
    with pytest.raises(LiveError, match="cannot be used: no such table: "):
        claim(state, charged=True)


def test_failed_check_stops_every_request(tmp_path: Path) -> None:
    def fail() -> None:
        raise JournalError("the process that began the run has ended")

    state = RunState(shared(tmp_path), 5, 9, fail)
    with pytest.raises(JournalError):
        state.claim()
    assert state.charged == 0
