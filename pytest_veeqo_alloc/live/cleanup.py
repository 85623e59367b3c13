"""Functions that delete the allocations recorded in a journal. Repeated calls are safe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.live import JournalError, LiveError
from pytest_veeqo_alloc.live.client import LiveClient, allocations_in, open_live
from pytest_veeqo_alloc.live.journal import Entry, Journal, owned, read_journal, suspects
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission

_MAX_DELETIONS = 50
_INCOMPLETE = (
    "the journal has an incomplete line: a write that the line announced was not sent, unless the file was damaged later; "
    "check your orders by hand, and move the file away"
)


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """The result of the cleanup of one order. `is_left` says whether recorded allocations may still exist."""

    sentence: str
    is_left: bool


def clean_up(journal: Journal, live: LiveClient) -> list[CleanupResult]:
    """Delete the allocations recorded in *journal*. Raise JournalError if *live* is the client of another server."""
    if journal.target != live.target:
        raise JournalError(f"the journal belongs to {journal.target}, not to {live.target}: correct --base-url")
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
    if journal.incomplete:
        results.append(CleanupResult(_INCOMPLETE, True))
    return results


def clean_up_file(path: Path, options: WriteOptions) -> list[CleanupResult]:
    """Delete the allocations recorded in the journal file *path*. Raise LiveError if *options* do not permit it."""
    permission = grant_permission(options, only_cleans_up=True)
    if not path.exists():
        raise JournalError(f"the journal {path} does not exist")
    with open_live(permission, path) as live:
        return clean_up(read_journal(path), live)


def _clean_order(order_id: int, entries: Sequence[Entry], live: LiveClient) -> tuple[str, bool]:
    deleted: list[int] = []
    for _ in range(_MAX_DELETIONS):
        response = live.read_order(order_id)
        held = allocations_in(response)
        if held is None:
            return f"cannot be read (status {response.status}), so nothing was deleted", True
        ours = owned(entries, held)
        if not ours and (doubtful := suspects(entries, held)):
            return f"has {_listed(doubtful)}, possibly made by writes of this journal: check the order by hand", True
        if not ours:
            return f"deleted {_listed(deleted)}" if deleted else "no allocation of this journal is left", False
        ids = [allocation.id for allocation in held]
        # The documented delete call removes all allocations of an order.
        if others := [number for number in ids if number not in ours]:
            return (
                f"kept {_listed(sorted(ours))}: the order also has {_listed(others)}, which this journal does not "
                "list, and a deletion would remove all allocations of the order",
                True,
            )
        answer = live.delete(order_id, min(ours), ids)
        if not answer.is_success:
            return f"allocation {min(ours)} is left: the response to its deletion has status {answer.status}", True
        deleted.append(min(ours))
    return f"allocations are left after {_MAX_DELETIONS} deletions", True


def _listed(ids: Sequence[int]) -> str:
    return f"allocation{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
