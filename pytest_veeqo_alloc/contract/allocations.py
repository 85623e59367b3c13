"""Allocations in requests and orders, and the rules that compare them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any

from pytest_veeqo_alloc.contract.arithmetic import Object, as_object, number, objects_in, quantities, sellable_id_of
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import Reading, read
from pytest_veeqo_alloc.contract.structure import wrapped_allocation
from pytest_veeqo_alloc.core.text import describe_number

_requested_sellable_id = methodcaller("get", "sellable_id")

Units = dict[int, float]  # quantities by sellable id
Quantities = dict[float, float]  # the same, with ids as a body has them


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """A requested allocation. A part that is missing or has the wrong type is left out."""

    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestScope:
    """The warehouses and units that a lenient server might allocate. If not `is_bounded`, it might allocate others."""

    warehouses: frozenset[int] = frozenset()
    units: Units = field(default_factory=dict)
    is_bounded: bool = True

    def union(self, other: RequestScope) -> RequestScope:
        """Return a scope with the warehouses of both, and the larger number of units of each sellable."""
        units = {
            sellable: max(self.units.get(sellable, 0), other.units.get(sellable, 0))
            for sellable in self.units | other.units
        }
        return RequestScope(self.warehouses | other.warehouses, units, self.is_bounded and other.is_bounded)


@dataclass(frozen=True, slots=True)
class ExistingAllocation:
    """An allocation that an order already contains."""

    id: int
    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


def requested_allocation(body: bytes | Reading | None) -> AllocationRequest:
    """Return the allocation in the request *body*, which may lack the wrapper object `allocation`."""
    reading = body if isinstance(body, Reading) else read(body)
    allocation = as_object(wrapped_allocation(reading.value)[0])
    units = _units(allocation, "line_items_attributes", _requested_sellable_id)
    return AllocationRequest(_integer(allocation.get("warehouse_id")), units)


def request_scope(body: bytes | None) -> RequestScope:
    """Return what a request with *body* might allocate. Members at any depth and numbers in quotes count as well."""
    reading = read(body)
    if not reading.readable:
        return RequestScope(is_bounded=not body)
    warehouses: set[int] = set()
    units: Units = {}
    is_bounded = not reading.breaches  # a repeated member, or a number that is not finite
    for members in _nested_objects(reading.value):
        values = (members.get("warehouse_id"), members.get("sellable_id"))
        warehouse, sellable = numbers = tuple(map(_generous_number, values))
        is_bounded = is_bounded and [value is None for value in values] == [value is None for value in numbers]
        if warehouse is not None:
            warehouses.add(int(warehouse))
        if sellable is not None:
            quantity = _generous_number(members.get("quantity", 0))
            is_bounded = is_bounded and quantity is not None
            units[int(sellable)] = units.get(int(sellable), 0) + abs(quantity or 0)
    return RequestScope(frozenset(warehouses), units, is_bounded)


def existing_allocations(body: bytes | None) -> list[ExistingAllocation] | None:
    """Return the allocations of the order in *body*, or None if it is not an order or an allocation has no id."""
    listed = as_object(read(body).value).get("allocations")
    if not isinstance(listed, list):
        return None
    found = []
    for allocation in map(as_object, listed):
        allocation_id = _integer(allocation.get("id"))
        if allocation_id is None:
            return None
        units = _units(allocation, "line_items", sellable_id_of)
        found.append(ExistingAllocation(allocation_id, _integer(_warehouse_id(allocation)), units))
    return found


def allocated_units(body: bytes | None) -> Quantities | None:
    """Return the allocated units by sellable id of the order in *body*, or None if some of them are unreadable."""
    allocations = as_object(read(body).value).get("allocations")
    if not isinstance(allocations, list):
        return None
    units = [quantities(as_object(allocation).get("line_items"), sellable_id_of) for allocation in allocations]
    readable = [known for known in units if known is not None]
    return _sum(readable) if len(readable) == len(units) else None


def _nested_objects(value: Any) -> Iterator[Object]:
    stack = [value]
    while stack:
        container = stack.pop()
        if isinstance(container, dict):
            yield container
            stack += container.values()
        elif isinstance(container, list):
            stack += container


def _units(owner: Object, name: str, sellable_id: Callable[[Object], Any]) -> Units:
    """Return the quantities in the array `owner[name]` by sellable id. Unreadable quantities count as 0."""
    units: Units = {}
    for _, line in objects_in(owner, name, ""):
        if (sellable := _integer(sellable_id(line))) is not None:
            units[sellable] = units.get(sellable, 0) + (number(line.get("quantity")) or 0)
    return units


def _warehouse_id(allocation: Object) -> Any:
    return as_object(allocation.get("warehouse")).get("id")


def _generous_number(value: Any) -> float | None:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # `number` then returns None for the string
            value = float(value)
    return number(value)


def _integer(value: Any) -> int | None:
    known = number(value)
    return int(known) if known is not None and known == int(known) else None


def request_line_breaches(body: Any) -> list[Breach]:
    """Return a breach for a request without line items, and for each line item that repeats a sellable."""
    allocation, pointer = wrapped_allocation(body)
    allocation = as_object(allocation)
    if allocation.get("line_items_attributes") == []:
        return [Breach("line-items-empty", f"{pointer}/line_items_attributes", "array of 0 items")]
    breaches, seen = [], set()
    for line_pointer, line in objects_in(allocation, "line_items_attributes", pointer):
        sellable = number(line.get("sellable_id"))
        if sellable is not None and sellable in seen:
            got = f"sellable {describe_number(sellable)}, as in an earlier line item"
            breaches.append(Breach("duplicate-sellable", f"{line_pointer}/sellable_id", got))
        seen.add(sellable)
    return breaches


def echo_breaches(order: Object, order_id: int | None, request_body: Any) -> list[Breach]:
    """Return a breach for a wrong order id, and another if the allocations do not match the request."""
    breaches = _allocation_breaches(order, request_body)
    shown = number(order.get("id"))
    if order_id is not None and shown is not None and shown != order_id:
        wanted = f"{describe_number(order_id)}, as in the path"
        breaches.append(Breach("order-echo", "/id", describe_number(shown), wanted))
    return breaches


def _allocation_breaches(order: Object, request_body: Any) -> list[Breach]:
    """Return a breach unless *order* may contain the requested allocation. Unreadable allocations may be that one."""
    requested = as_object(wrapped_allocation(request_body)[0])
    warehouse = number(requested.get("warehouse_id"))
    lines = quantities(requested.get("line_items_attributes"), _requested_sellable_id)
    allocations = order.get("allocations")
    if warehouse is None or not lines or not isinstance(allocations, list):
        return []
    held = [
        (number(_warehouse_id(allocation)), quantities(allocation.get("line_items"), sellable_id_of))
        for allocation in map(as_object, allocations)
    ]
    readable = [(place, units) for place, units in held if place is not None and units is not None]
    if len(readable) < len(held):
        return []
    here = [units for place, units in readable if place == warehouse]
    if all(lines.keys().isdisjoint(units) for units in here):
        wanted = f"an allocation of a requested sellable in warehouse {describe_number(warehouse)}"
        return [Breach("allocation-echo", "/allocations", "no such allocation", wanted)]
    total = _sum(units for _, units in readable)
    ordered = quantities(order.get("line_items"), sellable_id_of) if order.get("allocated_completely") is True else None
    if any(_may_be_new(units, lines, total, ordered) for units in (*here, _sum(here))):
        return []
    shown = " and ".join(
        f"{describe_number(quantity)} of sellable {sellable}" for sellable, quantity in here[-1].items()
    )
    return [Breach("allocation-quantity", "/allocations", shown)]


def _may_be_new(units: Quantities, lines: Quantities, total: Quantities, ordered: Quantities | None) -> bool:
    """Return whether *units* may be the requested *lines*. With *ordered*, they must be all that were still open."""
    if any(quantity > lines.get(sellable, 0) for sellable, quantity in units.items()):
        return False
    for sellable, requested in lines.items() if ordered is not None else ():
        shown = units.get(sellable, 0)
        still_open = (ordered or {}).get(sellable, 0) - total.get(sellable, 0) + shown
        if shown not in (requested, max(still_open, 0)):
            return False
    return True


def _sum(several: Iterable[Quantities]) -> Quantities:
    """Return the sums by sellable id, since a server may spread an allocation, or merge several."""
    total: Quantities = {}
    for units in several:
        for sellable, quantity in units.items():
            total[sellable] = total.get(sellable, 0) + quantity
    return total
