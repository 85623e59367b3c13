"""Taking back what the journal says was written: each order is read first, and deleted from only where that is safe.

The documentation of the delete call says that it removes all allocations of an order. So an order that holds one which
the journal does not know as its own is left as it is, and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.contract.allocations import ExistingAllocation
from pytest_veeqo_alloc.live import JournalError, LiveError
from pytest_veeqo_alloc.live.client import Live, held_in, live_alone
from pytest_veeqo_alloc.live.journal import Entry, Journal, owned, read_journal, suspects
from pytest_veeqo_alloc.live.permission import WriteOptions, permit

_MOST_DELETES = 50


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of one order: a sentence, and whether anything that the journal wrote is left or may be."""

    sentence: str
    is_left: bool


def clean_up(journal: Journal, live: Live) -> list[Cleaned]:
    """Each order that *journal* wrote to. It can be run again. JournalError for the journal of another server."""
    if journal.target != live.target:
        raise JournalError(f"the journal is of {journal.target}, not of {live.target}: give that as --base-url")
    orders: dict[int, list[Entry]] = {}
    for entry in journal.entries:
        if entry.kind == "post" and entry.outcome != "not sent":
            orders.setdefault(entry.order_id, []).append(entry)
    return [_clean(order_id, entries, live) for order_id, entries in orders.items()]


def clean_up_file(path: Path, wishes: WriteOptions) -> list[Cleaned]:
    """`clean_up` of the journal *path*, which no run may be using meanwhile. LiveError, in one sentence or one for each
    thing that is missing, where nothing can be done; then nothing was sent."""
    journal = read_journal(path)
    granted = permit(wishes, only_cleans_up=True)
    with live_alone(granted, path) as live:
        return clean_up(journal, live)


def _clean(order_id: int, entries: Sequence[Entry], live: Live) -> Cleaned:
    deleted: list[int] = []
    try:
        for _ in range(_MOST_DELETES):
            held = _read(order_id, live)
            if isinstance(held, str):
                return _left(order_id, held)
            ours = owned(entries, held)
            unrecognised = [each.id for each in held if each.id not in ours]
            if not ours:
                return _without_ours(order_id, deleted, entries, held)
            if unrecognised:
                return _left(order_id, _refusal(ours, unrecognised))
            answer = live.delete(order_id, min(ours), [each.id for each in held])
            if not answer.is_success:
                return _left(
                    order_id, f"allocation {min(ours)} is left, its deletion was answered with {answer.status}"
                )
            deleted.append(min(ours))
    except LiveError as error:
        return _left(order_id, str(error))
    return _left(order_id, f"allocations come back after {_MOST_DELETES} deletions")


def _left(order_id: int, why: str) -> Cleaned:
    return Cleaned(f"order {order_id}: {why}", True)


def _read(order_id: int, live: Live) -> list[ExistingAllocation] | str:
    answer = live.read(order_id)
    held = held_in(answer)
    if held is None:
        return f"cannot be read (status {answer.status}), so nothing was deleted"
    return held


def _without_ours(
    order_id: int, deleted: list[int], entries: Sequence[Entry], held: list[ExistingAllocation]
) -> Cleaned:
    if doubtful := suspects(entries, held):
        return _left(order_id, f"holds {_listed(doubtful)}, which this journal may have made: look at it by hand")
    done = f"deleted {_listed(deleted)}" if deleted else "nothing of this journal is left"
    return Cleaned(f"order {order_id}: {done}", False)


def _refusal(ours: set[int], unrecognised: list[int]) -> str:
    return (
        f"left {_listed(sorted(ours))}, since it also holds {_listed(unrecognised)}, which none of these writes is known "
        "to have made, and the deletion would remove all"
    )


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
