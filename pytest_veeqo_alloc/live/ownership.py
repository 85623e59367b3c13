"""Which allocations of an order were made by the writes of a journal."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_veeqo_alloc.contract.allocations import Held
from pytest_veeqo_alloc.live.journal import Entry


def made_by(entry: Entry, held: Sequence[Held]) -> list[int]:
    """The allocations among *held*, from the answer to *entry*, that it made.

    That is what was not there before and fits; what does not fit could be that of a person who was quicker. Where it is
    not known what was there before, as for somebody else's client, it is the newest one, if it fits.
    """
    if entry.before is not None:
        return [each.id for each in held if _fits(each, entry)]
    newest = max(held, key=lambda each: each.id, default=None)
    return [newest.id] if newest is not None and _fits(newest, entry) else []


def owned(entries: Sequence[Entry], held: Sequence[Held]) -> set[int]:
    """Which of *held*, what an order holds now, were made by *entries*.

    Certain are those that an answer showed. An UNKNOWN write is taken to have made one allocation that was not there
    before it, in its warehouse and with nothing beyond what it asked for.
    """
    ours = {made for entry in entries for made in entry.made} & {each.id for each in held}
    for entry in entries:
        if entry.is_unknown and entry.before is not None:
            fitting = next((each.id for each in held if each.id not in ours and _fits(each, entry)), None)
            if fitting is not None:
                ours.add(fitting)
    return ours


def suspects(entries: Sequence[Entry], held: Sequence[Held]) -> list[int]:
    """Which of *held* may have been made by *entries* though that cannot be told: they were not known to be there
    before a write that is UNKNOWN, or that was answered with success and made nothing that fits."""
    open_ends = [entry for entry in entries if entry.is_unknown or (entry.has_succeeded and not entry.made)]
    known = {made for entry in entries for made in entry.made}
    return [
        each.id
        for each in held
        if each.id not in known and any(each.id not in (entry.before or ()) for entry in open_ends)
    ]


def _fits(each: Held, entry: Entry) -> bool:
    return (
        each.id not in (entry.before or ())
        and each.warehouse_id == entry.warehouse_id
        and bool(each.units)
        and all(quantity <= entry.units.get(sellable, 0) for sellable, quantity in each.units.items())
    )
