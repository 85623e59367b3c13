"""Growth of the work for more orders, writes and allocations: counted in calls, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_veeqo_alloc.contract.allocations import ExistingAllocation, RequestScope
from pytest_veeqo_alloc.live.cleanup import settle
from pytest_veeqo_alloc.live.journal import Entry, open_journal, parse_journal
from pytest_veeqo_alloc.live.permission import OrderPool, PoolOrder
from pytest_veeqo_alloc.live.run_state import RunState, SharedState

UNITS = {11: 1.0}


class Id(int):
    """An id whose comparisons are calls of Python functions, so that they are counted."""

    def __eq__(self, other: object) -> bool:
        return int(self) == other

    def __hash__(self) -> int:
        return int(self)


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Yield a list whose only item is the number of calls in the block."""
    calls = [0]

    def count(*_: object) -> None:
        calls[0] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def settle_made(number: int) -> None:
    """Settle *number* writes to one order, each after a read of the allocations so far."""
    entries = [
        Entry("post", 7, 5, UNITS, (Id(at - 1),), str(at), 201 if at % 2 else None, (Id(at),) if at % 2 else ())
        for at in range(number)
    ]
    settle(entries, [ExistingAllocation(Id(at), 5, UNITS) for at in range(number)])


def settle_doubtful(number: int) -> None:
    """Settle *number* refused writes to an order that has as many allocations of another person."""
    entries = [Entry("post", 7, 5, UNITS, (), str(at), 422) for at in range(number)]
    settle(entries, [ExistingAllocation(Id(at), 5, {11: 2.0}) for at in range(number)])


def write_to_each_order(number: int) -> None:
    """Check a write to each of *number* orders of a pool."""
    pool = OrderPool(tuple(PoolOrder(Id(at), 5, {11: 3}) for at in range(number)))
    for at in range(number):
        scope = RequestScope(frozenset({5}), UNITS)
        assert pool.refusal(at, scope) is None
        assert len(pool.places(at, scope)) == 1


@pytest.mark.parametrize("work", [settle_made, settle_doubtful, write_to_each_order])
def test_work_for_four_times_as_much_is_at_most_five_times(work: Callable[[int], None]) -> None:
    counts = []
    for number in (100, 400):
        with counted_calls() as calls:
            work(number)
        counts.append(calls[0])
    assert counts[1] <= 5 * counts[0]


def test_line_of_a_long_journal_and_claim_of_a_long_run_cost_what_the_first_ones_do(tmp_path: Path) -> None:
    counts, sizes = [], []
    shared = SharedState(tmp_path)
    shared.create()
    state = RunState(shared, 10**6, 10**6)
    with open_journal(tmp_path / "j", "staging:1") as writer:
        for at in range(60):
            with counted_calls() as calls:
                writer.intent(Entry("post", 7, 5, UNITS, (at,), str(at)))
                state.end(state.claim({f"sellable {at}": (1, 1)}))
            counts.append(calls[0])
            sizes.append((tmp_path / "j").stat().st_size)
    assert counts[-1] <= 1.2 * counts[1]
    assert sizes[-1] - sizes[-2] <= 1.2 * (sizes[1] - sizes[0])
    assert len(parse_journal((tmp_path / "j").read_bytes(), tmp_path).entries) == 60
