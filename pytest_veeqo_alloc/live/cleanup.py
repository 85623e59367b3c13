"""Functions that delete the allocations recorded in a journal. Repeated calls are safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.contract.allocations import ExistingAllocation
from pytest_veeqo_alloc.core.http import is_success
from pytest_veeqo_alloc.live import JournalError, LiveError
from pytest_veeqo_alloc.live.client import LiveClient, allocations_in, open_live
from pytest_veeqo_alloc.live.journal import Entry, Journal, fits, read_journal
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission

_MAX_DELETIONS = 50
_INCOMPLETE = (
    "the journal has an incomplete line, so the write of this line was not sent, unless the file was damaged later: check "
    "your orders by hand, and move the file away"
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
        ours, doubtful = settle(entries, held)
        if not ours and doubtful:
            return f"has {_listed(doubtful)}, possibly made by writes of this journal: check the order by hand", True
        if not ours:
            return f"deleted {_listed(deleted)}" if deleted else "no allocation of this journal is left", False
        # The documented delete call removes all allocations of an order.
        if others := [allocation.id for allocation in held if allocation.id not in ours]:
            return (
                f"kept {_listed(sorted(ours))}: the order also has {_listed(others)}, which other runs or "
                "users made, and a deletion would remove all allocations of the order",
                True,
            )
        answer = live.delete(order_id, min(ours))
        if not answer.is_success:
            return f"allocation {min(ours)} is left: the response to its deletion has status {answer.status}", True
        deleted.append(min(ours))
    return f"allocations are left after {_MAX_DELETIONS} deletions", True


def settle(entries: Sequence[Entry], held: Sequence[ExistingAllocation]) -> tuple[set[int], list[int]]:
    """Return the ids of the allocations that *entries* made, and the ids of those that *entries* may have made.

    *entries* are the writes to one order, and *held* its present allocations. Each write made at most one allocation.
    """
    makers = {made: entry for entry in entries for made in entry.made}
    for entry in sorted(entries, key=lambda entry: len(entry.candidates)):
        # Simultaneous writes have the same candidates. If the other writes made all but one, this write made that one.
        left = [candidate for candidate in entry.candidates if candidate not in makers]
        if len(left) == 1:
            makers[left[0]] = entry
    first_seen: dict[int, int] = {}
    for index, entry in enumerate(entries):
        for known in entry.before or ():
            first_seen.setdefault(known, index)
    appeared: dict[int, list[ExistingAllocation]] = {}
    for allocation in held:
        if allocation.id not in makers:
            appeared.setdefault(first_seen.get(allocation.id, len(entries)), []).append(allocation)
    for index, entry in enumerate(entries, 1):
        # An allocation that the order did not have before the write, but before the next one
        new = appeared.get(index, ()) if entry.is_unknown and entry.before is not None else ()
        if len(new) == 1 and (new[0].warehouse_id, new[0].units) == (entry.warehouse_id, entry.units):
            makers[new[0].id] = entry
    ours = {item.id for item in held if item.id in makers and fits(item, makers[item.id])}
    return ours, _doubtful(entries, [item for item in held if item.id not in ours], makers, first_seen)


def _doubtful(
    entries: Sequence[Entry],
    others: Sequence[ExistingAllocation],
    makers: Mapping[int, Entry],
    first_seen: Mapping[int, int],
) -> list[int]:
    """Return the ids in *others* that a write in *entries* may have made.

    *makers* maps the id of an allocation to the write that made it. If the allocation is in *others*, it has changed since.
    *first_seen* maps the id of an allocation to the index of the first write before which the allocation existed.
    """
    settled = {entry.name for entry in makers.values()}
    refused: dict[tuple[int | None, tuple[tuple[int, float], ...]], int] = {}
    unsettled = len(entries)
    for index, entry in reversed([*enumerate(entries)]):
        if entry.name in settled:
            continue
        if entry.is_unknown or (isinstance(entry.outcome, int) and is_success(entry.outcome)):
            unsettled = index
        else:
            refused[entry.warehouse_id, tuple(entry.units.items())] = index
    return [
        item.id
        for item in others
        if item.id in makers
        or unsettled < first_seen.get(item.id, len(entries))
        or any(
            index < first_seen.get(item.id, len(entries)) and fits(item, entries[index]) for index in refused.values()
        )
    ]


def _listed(ids: Sequence[int]) -> str:
    return f"allocation{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
