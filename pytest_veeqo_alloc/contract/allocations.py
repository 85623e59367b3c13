"""Allocations in requests and orders, and the rules that compare them."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from pytest_veeqo_alloc.contract.arithmetic import SELLABLE_ID, number, quantities
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import Reading, read
from pytest_veeqo_alloc.contract.structure import wrapped_allocation
from pytest_veeqo_alloc.core.text import describe_number

_REQUESTED_SELLABLE_ID = attrgetter("sellable_id")

Object = dict[str, Any]
Units = dict[int, float]  # quantities by sellable id
Quantities = dict[float, float]  # quantities by sellable id; an id may be a float, as in a body


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """A requested allocation. A part that is missing or has the wrong type is left out."""

    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestScope:
    """The warehouses and units that a server might allocate. `problem` says what cannot be read, or is empty."""

    warehouses: frozenset[int] = frozenset()
    units: Units = field(default_factory=dict)
    problem: str = ""

    def union(self, other: RequestScope) -> RequestScope:
        """Return a scope with the warehouses of both, and the larger number of units of each sellable."""
        units = {
            sellable: max(self.units.get(sellable, 0), other.units.get(sellable, 0))
            for sellable in self.units | other.units
        }
        return RequestScope(self.warehouses | other.warehouses, units, self.problem or other.problem)


@dataclass(frozen=True, slots=True)
class ExistingAllocation:
    """An allocation that an order already contains."""

    id: int
    warehouse_id: int | None = None
    units: Units = field(default_factory=dict)


def requested_allocation(body: bytes | Reading | None) -> AllocationRequest:
    """Return the allocation in the request *body*. The wrapper object `allocation` may be missing."""
    reading = body if isinstance(body, Reading) else read(body)
    allocation = as_object(wrapped_allocation(reading.value)[0])
    units = _units(allocation, "line_items_attributes", lambda line: line.get("sellable_id"))
    return AllocationRequest(_integer(allocation.get("warehouse_id")), units)


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object. A repeated member occurs several times."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Members)
_SPELLINGS = {"warehouseid": "warehouse_id", "sellableid": "sellable_id", "quantity": "quantity"}
_LINES = "line_items_attributes"
_ALLOCATING = re.compile("warehouse|sellable|quantit|qty|lineitem")
_QUOTED_INTEGER = re.compile(r"[ \t]*-?[0-9]{1,15}(?:\.0*)?[ \t]*")


def request_scope(body: bytes | None) -> RequestScope:
    """Return what a lenient server might allocate for *body*.

    Every value counts: at any depth, in quotes, of repeated members, in another spelling. A value that could be an
    amount, but is not certain to be one, is a problem.
    """
    try:
        stack: list[Any] = [_DECODER.decode((body or b"").decode("utf-8-sig"))]
    except (ValueError, RecursionError):
        return RequestScope(problem="its body is not JSON in UTF-8")
    warehouses: set[int] = set()
    units: Units = {}
    problems: list[str] = []
    while stack:
        value = stack.pop()
        if isinstance(value, _Members):
            places, line = _read_members(value, problems)
            warehouses |= places
            for sellable, quantity in line.items():
                units[sellable] = units.get(sellable, 0) + quantity
            stack += (member for _, member in value)
        elif isinstance(value, list):
            stack += value
        elif isinstance(value, str) and any(mark in value for mark in "{[=:") and _ALLOCATING.search(_letters(value)):
            problems.append("a string looks like an allocation")
    if not warehouses:
        problems.append("it has no warehouse_id")
    if not units:
        problems.append("it has no line item with a sellable_id")
    return RequestScope(frozenset(warehouses), units, problems[0] if problems else "")


def _read_members(members: _Members, problems: list[str]) -> tuple[set[int], Units]:
    """Return the warehouses and units that *members* name directly. Append what is unreadable to *problems*."""
    found: dict[str, list[float]] = {name: [] for name in _SPELLINGS.values()}
    names = set()
    for name, value in members:
        letters = _letters(name)
        if known := _SPELLINGS.get(letters):
            names.add(known)
            amount = _generous_number(value)
            if amount is None or (known != "quantity" and amount != int(amount)):
                problems.append(f"a {known} is not a number")
            else:
                found[known].append(amount)
        if name == _LINES:
            items = value if type(value) is list else []
            if not isinstance(value, list) or not all(isinstance(item, _Members) for item in items):
                problems.append(f"{_LINES} is not an array of objects")
        elif name not in found and _ALLOCATING.search(letters):
            problems.append("a member is named almost like a documented one")
    if ("sellable_id" in names) != ("quantity" in names):
        problems.append("a line item does not have both a sellable_id and a quantity")
    # A server may read a quantity that is missing, or of a wrong kind, as 1.
    quantity = max((math.ceil(abs(amount)) for amount in found["quantity"]), default=1)
    return set(map(int, found["warehouse_id"])), dict.fromkeys(map(int, found["sellable_id"]), max(quantity, 1))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def existing_allocations(body: bytes | None) -> list[ExistingAllocation] | None:
    """Return the allocations of the order in *body*. Return None if *body* is no order, or an allocation has no id."""
    listed = as_object(read(body).value).get("allocations")
    if not isinstance(listed, list):
        return None
    found = []
    for allocation in map(as_object, listed):
        allocation_id = _integer(allocation.get("id"))
        if allocation_id is None:
            return None
        units = _units(allocation, "line_items", sellable_id_of)
        warehouse_id = as_object(allocation.get("warehouse")).get("id")
        found.append(ExistingAllocation(allocation_id, _integer(warehouse_id), units))
    return found


def allocated_units(body: bytes | None) -> Quantities | None:
    """Map sellable ids to allocated units for the order in *body*. Return None if any of these values is invalid."""
    allocations = as_object(read(body).value).get("allocations")
    if not isinstance(allocations, list):
        return None
    total: Quantities = {}
    for allocation in map(as_object, allocations):
        lines = allocation.get("line_items")
        if not isinstance(lines, list):
            return None
        for line in map(as_object, lines):
            sellable, quantity = number(sellable_id_of(line)), number(line.get("quantity"))
            if sellable is None or quantity is None:
                return None
            total[sellable] = total.get(sellable, 0) + quantity
    return total


def as_object(value: Any) -> Object:
    """Return *value* if it is a JSON object, otherwise an empty object."""
    return value if isinstance(value, dict) else {}


def objects_in(parent: Mapping[str, Any], name: str, pointer: str) -> Iterator[tuple[str, Object]]:
    """Yield the pointer and the value of each object in the array `parent[name]`. *pointer* is that of *parent*."""
    items = parent.get(name)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield f"{pointer}/{name}/{index}", item


def sellable_id_of(line: Mapping[str, Any]) -> Any:
    """Return the sellable id in *line*, a parsed line item from a response."""
    return as_object(line.get("sellable")).get("id")


def _units(owner: Object, name: str, sellable_id: Callable[[Object], Any]) -> Units:
    """Map sellable ids to quantities in the array `owner[name]`. An invalid quantity counts as 0."""
    units: Units = {}
    for _, line in objects_in(owner, name, ""):
        if (sellable := _integer(sellable_id(line))) is not None:
            units[sellable] = units.get(sellable, 0) + (number(line.get("quantity")) or 0)
    return units


def _generous_number(value: Any) -> float | None:
    if isinstance(value, str) and _QUOTED_INTEGER.fullmatch(value):
        value = float(value)
    return number(value)


def _integer(value: Any) -> int | None:
    known = number(value)
    return int(known) if known is not None and known == int(known) else None


def request_line_breaches(allocation: Any, pointer: str = "/allocation") -> list[Breach]:
    """Return a breach for an empty array of line items, and a breach for each line item that repeats a sellable."""
    lines = allocation.line_items_attributes
    if lines == []:
        return [Breach("line-items-empty", f"{pointer}/line_items_attributes", "array of 0 items")]
    breaches, seen = [], set()
    for index, line in enumerate(lines or ()):
        if line.sellable_id in seen and not math.isnan(line.sellable_id):
            got = f"sellable {describe_number(line.sellable_id)}, as in an earlier line item"
            breaches.append(Breach("duplicate-sellable", f"{pointer}/line_items_attributes/{index}/sellable_id", got))
        seen.add(line.sellable_id)
    return breaches


def echo_breaches(order: Any, order_id: int | None, requested: Any) -> list[Breach]:
    """Compare *order* with the request. Return a breach for a wrong order id, and a breach for wrong allocations."""
    breaches = [] if requested is None else _allocation_breaches(order, requested)
    if order_id is not None and not math.isnan(order.id) and order.id != order_id:
        wanted = f"{describe_number(order_id)}, as in the path"
        breaches.append(Breach("order-echo", "/id", describe_number(order.id), wanted))
    return breaches


def _allocation_breaches(order: Any, requested: Any) -> list[Breach]:
    """Return a breach if *order* has no allocation that can be the *requested* one. Invalid allocations always can."""
    warehouse, lines = requested.warehouse_id, quantities(requested.line_items_attributes, _REQUESTED_SELLABLE_ID)
    if math.isnan(warehouse) or not lines or order.allocations is None:
        return []
    held, here = [], []
    for allocation in order.allocations:
        units = quantities(allocation.line_items, SELLABLE_ID)
        if units is None or math.isnan(allocation.warehouse.id):
            return []
        held.append(units)
        if allocation.warehouse.id == warehouse:
            here.append(units)
    if lines in here:
        return []
    matching = [units for units in here if not lines.keys().isdisjoint(units)]
    if not matching:
        wanted = f"an allocation of a requested sellable in warehouse {describe_number(warehouse)}"
        return [Breach("allocation-echo", "/allocations", "no such allocation", wanted)]
    total = _sum(held)
    ordered = quantities(order.line_items, SELLABLE_ID) if order.allocated_completely is True else None
    if any(_may_be_new(units, lines, total, ordered) for units in (*matching, _sum(here))):
        return []
    latest = matching[-1]
    new = {sellable: quantity for sellable, quantity in latest.items() if quantity != lines.get(sellable)} or latest
    shown = [
        f"{describe_number(quantity)} of sellable {describe_number(sellable)}" for sellable, quantity in new.items()
    ]
    more = f", and {len(shown) - 1} more" if len(shown) > 1 else ""
    return [Breach("allocation-quantity", "/allocations", f"{shown[0]}{more}")]


def _may_be_new(units: Quantities, lines: Quantities, total: Quantities, ordered: Quantities | None) -> bool:
    """Return whether *units* may be an allocation of the requested *lines*.

    With *ordered* (given for a completely allocated order), each quantity must be the requested one, or all units that were open.
    """
    if any(quantity > lines.get(sellable, 0) for sellable, quantity in units.items()):
        return False
    for sellable, requested in lines.items() if ordered is not None else ():
        shown = units.get(sellable, 0)
        still_open = (ordered or {}).get(sellable, 0) - total.get(sellable, 0) + shown
        if shown not in (requested, max(still_open, 0)):
            return False
    return True


def _sum(several: Iterable[Quantities]) -> Quantities:
    """Add up the quantities by sellable id: a server may split an allocation, or merge several allocations."""
    total: Quantities = {}
    for units in several:
        for sellable, quantity in units.items():
            total[sellable] = total.get(sellable, 0) + quantity
    return total
