"""What bodies say of allocations: what a request asks for, and what an order holds. Facts, no judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_veeqo_alloc.contract.equations import number, sellable_id_of
from pytest_veeqo_alloc.contract.reading import read
from pytest_veeqo_alloc.contract.walk import wrapped_allocation

Units = dict[int, float]
"""Quantities by sellable id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request names, as far as it can be read: a warehouse, and units of sellables."""

    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """One allocation that an order holds."""

    id: int
    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


def asked_for(body: bytes | None) -> Asked:
    """What the body of a request asks for, wrapped in `allocation` or bare; nothing where it cannot be read."""
    reading = read(body)
    asked, _ = wrapped_allocation(reading.value) if reading.readable else (None, "")
    if not isinstance(asked, dict):
        return Asked()
    return Asked(_integer(asked.get("warehouse_id")), _units(asked.get("line_items_attributes"), bare=True))


def held_by(body: bytes | None) -> list[Held] | None:
    """The allocations of the order in *body*; None where it is no order that tells them."""
    reading = read(body)
    order = reading.value if reading.readable else None
    listed = order.get("allocations") if isinstance(order, dict) else None
    if not isinstance(listed, list):
        return None
    held = [_held(each) for each in listed]
    return None if None in held else [each for each in held if each is not None]


def _held(allocation: Any) -> Held | None:
    own = _integer(allocation.get("id")) if isinstance(allocation, dict) else None
    if own is None:
        return None
    place = allocation.get("warehouse")
    warehouse = _integer(place.get("id")) if isinstance(place, dict) else None
    return Held(own, warehouse, _units(allocation.get("line_items"), bare=False))


def _units(lines: Any, *, bare: bool) -> Units:
    units: Units = {}
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, dict):
            sellable = _integer(line.get("sellable_id") if bare else sellable_id_of(line))
            quantity = number(line.get("quantity"))
            if sellable is not None:
                units[sellable] = units.get(sellable, 0) + (quantity or 0)
    return units


def _integer(value: Any) -> int | None:
    known = number(value)
    return int(known) if known is not None and known == int(known) else None
