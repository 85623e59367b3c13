"""Taking back what the journal says was written: each order is read first, and deleted from only where that is safe.

The documentation of the delete call says that it removes all allocations of an order. So an order that holds one which
the journal does not know as its own is left as it is, and told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.contract.allocated import Held, held_by
from pytest_veeqo_alloc.live.errors import JournalError, LiveError
from pytest_veeqo_alloc.live.guard import Wishes, permit
from pytest_veeqo_alloc.live.journal import Entry, Journal, opened, read_journal
from pytest_veeqo_alloc.live.ownership import owned
from pytest_veeqo_alloc.live.session import Live
from pytest_veeqo_alloc.live.shared import Rate, Shared

_MOST_DELETES = 50


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of one order: a sentence, whether anything that the journal wrote is left or may be, and how many
    UNKNOWN writes were settled by reading it."""

    order_id: int
    sentence: str
    is_left: bool
    settled: int = 0


def clean_up(journal: Journal, live: Live) -> list[Cleaned]:
    """Each order that *journal* wrote to. It can be run again. JournalError for the journal of another server."""
    if journal.target != live.target:
        raise JournalError(f"the journal is of {journal.target}, not of {live.target}: give that as --base-url")
    orders: dict[int, list[Entry]] = {}
    for entry in journal.entries:
        if entry.kind == "post" and entry.outcome != "not sent":
            orders.setdefault(entry.order_id, []).append(entry)
    return [_clean(order_id, entries, live) for order_id, entries in orders.items()]


def clean_up_file(path: Path, wishes: Wishes) -> list[Cleaned]:
    """`clean_up` of the journal *path*, which no run may be using meanwhile. LiveError, in one sentence or one for each
    thing that is missing, where nothing can be done; then nothing was sent."""
    journal = read_journal(path)
    granted = permit(wishes, only_cleans_up=True)
    with tempfile.TemporaryDirectory(prefix="veeqo-alloc-") as folder, opened(path, granted.target) as writer:
        return clean_up(journal, Live(granted, Shared(Path(folder), Rate.per_second(granted.rate), 0), writer))


def _clean(order_id: int, entries: Sequence[Entry], live: Live) -> Cleaned:
    unknown = [entry for entry in entries if entry.is_unknown]
    deleted: list[int] = []
    try:
        for _ in range(_MOST_DELETES):
            held = _read(order_id, live)
            if isinstance(held, str):
                return Cleaned(order_id, f"order {order_id}: {held}", True)
            ours, settled = owned(entries, held)
            strangers = [each.id for each in held if each.id not in ours]
            if not ours:
                return _without_ours(order_id, deleted, strangers, unknown)
            if strangers:
                return Cleaned(order_id, _refusal(order_id, ours, strangers), True, settled)
            target = min(ours)
            answer = live.delete(order_id, target, [each.id for each in held])
            if not 200 <= answer.status < 300:
                return Cleaned(order_id, f"order {order_id}: allocation {target} is left, its deletion was answered with {answer.status}", True)  # fmt: skip
            deleted.append(target)
    except LiveError as error:
        return Cleaned(order_id, f"order {order_id}: {error}", True)
    return Cleaned(order_id, f"order {order_id}: allocations come back after {_MOST_DELETES} deletions", True)


def _read(order_id: int, live: Live) -> list[Held] | str:
    answer = live.read(order_id)
    held = held_by(answer.body) if answer.status == 200 else None
    if held is None:
        return f"cannot be read (status {answer.status}), so nothing was deleted"
    return held


def _without_ours(order_id: int, deleted: list[int], strangers: list[int], unknown: list[Entry]) -> Cleaned:
    if strangers and any(entry.before is None for entry in unknown):
        listed = ", ".join(map(str, strangers))
        sentence = f"order {order_id}: holds {listed}, which an UNKNOWN write may have made: look at it by hand"
        return Cleaned(order_id, sentence, True)
    done = f"deleted {', '.join(map(str, deleted))}" if deleted else "nothing of this journal is left"
    return Cleaned(order_id, f"order {order_id}: {done}", False, len(unknown))


def _refusal(order_id: int, ours: set[int], strangers: list[int]) -> str:
    return (
        f"order {order_id}: left {', '.join(map(str, sorted(ours)))}, since it also holds {', '.join(map(str, strangers))}, "
        "which this journal does not know as its own, and the deletion would remove all"
    )
