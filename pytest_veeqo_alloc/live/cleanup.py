"""Deletion of what a journal says was allocated: each order is read first, and deleted from only where that is safe.

As the delete call is documented, it removes all allocations of an order. So an order that holds one which the journal does
not know as its own is left alone and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.live import JournalError, LiveError
from pytest_veeqo_alloc.live.client import LiveClient, allocations_in, open_live
from pytest_veeqo_alloc.live.journal import Entry, Journal, owned, read_journal, suspects
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission

_MAX_DELETIONS = 50


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What became of one order: a sentence, and whether an allocation of the journal is left or may be."""

    sentence: str
    is_left: bool


def clean_up(journal: Journal, live: LiveClient) -> list[CleanupResult]:
    """Delete the allocations of *journal*, and raise JournalError if it is of another server. This can be repeated."""
    if journal.target != live.target:
        raise JournalError(f"the journal is of {journal.target}, not of {live.target}: give that as --base-url")
    orders: dict[int, list[Entry]] = {}
    for entry in journal.entries:
        if entry.kind == "post" and entry.outcome != "not sent":
            orders.setdefault(entry.order_id, []).append(entry)
    results = []
    for order_id, entries in orders.items():
        try:
            sentence, is_left = _clean_order(order_id, entries, live)
        except LiveError as error:
            sentence, is_left = str(error), True
        results.append(CleanupResult(f"order {order_id}: {sentence}", is_left))
    return results


def clean_up_file(path: Path, options: WriteOptions) -> list[CleanupResult]:
    """Delete the allocations of the journal *path*.

    Raise LiveError, with nothing sent, if it cannot be used, is in use by another run, or *options* do not permit it.
    """
    journal = read_journal(path)
    with open_live(grant_permission(options, only_cleans_up=True), path) as live:
        return clean_up(journal, live)


def _clean_order(order_id: int, entries: Sequence[Entry], live: LiveClient) -> tuple[str, bool]:
    deleted: list[int] = []
    for _ in range(_MAX_DELETIONS):
        response = live.read_order(order_id)
        held = allocations_in(response)
        if held is None:
            return f"cannot be read (status {response.status}), so nothing was deleted", True
        ours = owned(entries, held)
        if not ours and (doubtful := suspects(entries, held)):
            return f"holds {_listed(doubtful)}, which this journal may have made: check it by hand", True
        if not ours:
            return f"deleted {_listed(deleted)}" if deleted else "nothing of this journal is left", False
        ids = [allocation.id for allocation in held]
        if others := [number for number in ids if number not in ours]:
            return (
                f"left {_listed(sorted(ours))}, since it also holds {_listed(others)}, which none of these writes is known "
                "to have made, and the deletion would remove all",
                True,
            )
        answer = live.delete(order_id, min(ours), ids)
        if not answer.is_success:
            return f"allocation {min(ours)} is left, its deletion was answered with {answer.status}", True
        deleted.append(min(ours))
    return f"allocations come back after {_MAX_DELETIONS} deletions", True


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids))
