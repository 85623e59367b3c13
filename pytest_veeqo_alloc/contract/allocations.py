"""What bodies say of allocations: what a request asks for, and what an order holds. Facts, no judgement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pytest_veeqo_alloc.contract.arithmetic import number, quantities, sellable_id_of
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import Reading, read
from pytest_veeqo_alloc.contract.structure import wrapped_allocation
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.core.text import describe_number

Units = dict[int, float]
"""Quantities by sellable id."""


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """What a request names, as far as it can be read: a warehouse, and units of sellables."""

    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestScope:
    """What a request could touch by the most generous reading: every warehouse and sellable that it names anywhere, in
    whatever form, and the most units. `is_bounded` is false where a value cannot be told."""

    warehouses: frozenset[int] = frozenset()
    units: Units = field(default_factory=dict)
    is_bounded: bool = True


@dataclass(frozen=True, slots=True)
class ExistingAllocation:
    """One allocation that an order holds."""

    id: int
    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


def requested_allocation(body: bytes | Reading | None) -> AllocationRequest:
    """Return what the body of a request asks for, wrapped in `allocation` or bare; nothing if it cannot be read."""
    reading = body if isinstance(body, Reading) else read(body)
    asked, _ = wrapped_allocation(reading.value) if reading.readable else (None, "")
    if not isinstance(asked, dict):
        return AllocationRequest()
    return AllocationRequest(_integer(asked.get("warehouse_id")), _units(asked.get("line_items_attributes"), bare=True))


def request_scope(body: bytes | None) -> RequestScope:
    """What the body of a request could touch. A server may take numbers in quotes, and lines in an object, so those
    count too; a body that is no JSON is not bounded, unless it is empty."""
    reading = read(body)
    if not reading.readable:
        return RequestScope(is_bounded=not body)
    warehouses: set[int] = set()
    units: Units = {}
    bounded = not reading.breaches  # a member that stands twice, or a number that is not finite
    for each in _objects(reading.value):
        named = (each.get("warehouse_id"), each.get("sellable_id"))
        warehouse, sellable = known = tuple(map(_generously, named))
        bounded = bounded and [told is None for told in named] == [value is None for value in known]
        if warehouse is not None:
            warehouses.add(int(warehouse))
        if sellable is not None:
            quantity = _generously(each.get("quantity", 0))
            bounded = bounded and quantity is not None
            units[int(sellable)] = units.get(int(sellable), 0) + abs(quantity or 0)
    return RequestScope(frozenset(warehouses), units, bounded)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in *value*, at any depth."""
    left: list[Any] = [value]
    while left:
        inner = left.pop()
        if isinstance(inner, dict):
            yield inner
            left += inner.values()
        elif isinstance(inner, list):
            left += inner


def _generously(value: Any) -> float | None:
    """A number, also one in quotes; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return number(value)


def existing_allocations(body: bytes | None) -> list[ExistingAllocation] | None:
    """The allocations of the order in *body*; None where it is no order that tells them."""
    reading = read(body)
    order = reading.value if reading.readable else None
    listed = order.get("allocations") if isinstance(order, dict) else None
    if not isinstance(listed, list):
        return None
    held = [_held(each) for each in listed]
    return None if None in held else [each for each in held if each is not None]


def _held(allocation: Any) -> ExistingAllocation | None:
    own = _integer(allocation.get("id")) if isinstance(allocation, dict) else None
    if own is None:
        return None
    place = allocation.get("warehouse")
    warehouse = _integer(place.get("id")) if isinstance(place, dict) else None
    return ExistingAllocation(own, warehouse, _units(allocation.get("line_items"), bare=False))


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


def request_line_breaches(body: Any) -> list[Breach]:
    """No line at all, and a sellable that stands in two lines."""
    allocation, here = wrapped_allocation(body)
    lines = allocation.get("line_items_attributes") if isinstance(allocation, dict) else None
    here = join(here, "line_items_attributes")
    if lines == []:
        return [Breach("line-items-empty", here, "array of 0 items", "at least one line")]
    breaches, seen = [], set()
    for index, line in enumerate(lines if isinstance(lines, list) else ()):
        sellable = number(line.get("sellable_id")) if isinstance(line, dict) else None
        if sellable is None:
            continue
        if sellable in seen:
            got = f"the sellable {describe_number(sellable)} again"
            breaches.append(Breach("duplicate-sellable", f"{here}/{index}/sellable_id", got, "each sellable once"))
        seen.add(sellable)
    return breaches


def echo_breaches(order: dict[str, Any], order_id: int | None, request_body: Any) -> list[Breach]:
    """Whether the order is the one asked for, and has the allocation asked for; skipped where that cannot be told."""
    breaches = []
    have = number(order.get("id"))
    if order_id is not None and have is not None and have != order_id:
        got, wanted = describe_number(have), f"{describe_number(order_id)}, as in the path"
        breaches.append(Breach("order-echo", "/id", got, wanted))
    return breaches + _allocation_echo(order, request_body)


def _allocation_echo(order: dict[str, Any], request_body: Any) -> list[Breach]:
    asked, _ = wrapped_allocation(request_body)
    if not isinstance(asked, dict):
        return []
    warehouse = number(asked.get("warehouse_id"))
    lines = quantities(asked.get("line_items_attributes"), lambda line: line.get("sellable_id"))
    allocations, completely = order.get("allocations"), order.get("allocated_completely")
    if warehouse is None or not lines or not isinstance(allocations, list) or not isinstance(completely, bool):
        return []
    found = [_answers(allocation, warehouse, lines, completely) for allocation in allocations]
    # True: it is there. None: an allocation does not tell what it holds, so nothing can be said.
    if True in found or None in found:
        return []
    wanted = f"an allocation in warehouse {describe_number(warehouse)} of what was asked for"
    return [Breach("allocation-echo", "/allocations", "none that answers the request", wanted)]


def _answers(allocation: Any, warehouse: float, asked: dict[float, float], completely: bool) -> bool | None:
    if not isinstance(allocation, dict):
        return None
    place = allocation.get("warehouse")
    here = number(place.get("id")) if isinstance(place, dict) else None
    given = quantities(allocation.get("line_items"), sellable_id_of)
    if here is None or given is None:
        return None
    if here != warehouse:
        return False
    if completely:
        return given == asked
    return all(key in asked and quantity <= asked[key] for key, quantity in given.items())
