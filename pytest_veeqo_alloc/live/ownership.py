"""Which allocations of an order were made by the writes of a journal."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_veeqo_alloc.contract.allocated import Held
from pytest_veeqo_alloc.live.journal import Entry


def made_by(entry: Entry, held: Sequence[Held]) -> list[int]:
    """The allocations among *held*, from the answer to *entry*, that it made.

    Where it is not known what was there before, as for somebody else's client, that is the newest one, if it fits.
    """
    if entry.before is not None:
        return [each.id for each in held if each.id not in entry.before]
    newest = max(held, key=lambda each: each.id, default=None)
    return [newest.id] if newest is not None and _fits(newest, entry) else []


def owned(entries: Sequence[Entry], held: Sequence[Held]) -> tuple[set[int], int]:
    """Which of *held*, what an order holds now, were made by *entries*, and how many UNKNOWN ones that settles.

    Certain are those that an answer showed. An UNKNOWN write is taken to have made one allocation that was not there
    before it, in its warehouse and with nothing beyond what it asked for.
    """
    ours = {made for entry in entries for made in entry.made} & {each.id for each in held}
    settled = 0
    for entry in entries:
        if entry.is_unknown and entry.before is not None:
            settled += 1
            fitting = next((each.id for each in held if each.id not in ours and _fits(each, entry)), None)
            if fitting is not None:
                ours.add(fitting)
    return ours, settled


def _fits(each: Held, entry: Entry) -> bool:
    return (
        each.id not in (entry.before or ())
        and each.warehouse_id == entry.warehouse_id
        and bool(each.units)
        and all(quantity <= entry.units.get(sellable, 0) for sellable, quantity in each.units.items())
    )
