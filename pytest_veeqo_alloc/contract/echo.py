"""Where a body speaks of the request: lines of a request among themselves, and an order as the answer to one."""

from __future__ import annotations

from typing import Any

from pytest_veeqo_alloc.contract.breach import Breach
from pytest_veeqo_alloc.contract.equations import number, quantities, sellable_id_of
from pytest_veeqo_alloc.contract.walk import wrapped_allocation
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.core.text import describe_number


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
