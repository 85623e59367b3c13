"""What an order says of itself: a closed list of equations, each skipped where an operand is not there to be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.text import describe, describe_number

_TOLERANCE = 0.005
_LARGEST = 1e150
"""Products of two such numbers still fit a double; what is larger is not reckoned with."""

Add = Callable[[Breach], None]


def order_breaches(order: Any) -> list[Breach]:
    """The equations that do not hold in the body of a response."""
    breaches: list[Breach] = []
    add = breaches.append
    order = _object(order)
    order_id = order.get("id")
    for here, allocation in _each(order, "allocations", ""):
        _same(add, "allocation-order", here, allocation, "order_id", order_id)
    _same(add, "payment-order", "/payment", _object(order.get("payment")), "order_id", order_id)
    sound: dict[Any, dict[str, Any]] = {}
    for here, line in _lines(order):
        if isinstance(sellable := line.get("sellable"), dict):
            # An order shows a sellable in its own line and again in each allocation: equal ones are as sound as the first.
            key = number(sellable.get("id"))
            if sound.get(key) == sellable:
                continue
            before = len(breaches)
            _sellable(add, f"{here}/sellable", sellable)
            if len(breaches) == before:
                sound[key] = sellable
    _totals(add, order)
    _completeness(add, order)
    company = _object(_object(order.get("created_by")).get("company"))
    plan = _object(company.get("subscription_plan"))
    _same(add, "subscription-plan", "/created_by/company", company, "subscription_plan_id", plan.get("id"))
    return breaches


def quantities(lines: Any, sellable_id: Callable[[dict[str, Any]], Any]) -> dict[float, float] | None:
    """Quantities by sellable, added up; None where a line does not tell its own."""
    total: dict[float, float] = {}
    for line in lines if isinstance(lines, list) else [None]:
        key = number(sellable_id(line)) if isinstance(line, dict) else None
        quantity = number(line.get("quantity")) if isinstance(line, dict) else None
        if key is None or quantity is None:
            return None
        total[key] = total.get(key, 0) + quantity
    return total


def sellable_id_of(line: Mapping[str, Any]) -> Any:
    """The id of the sellable in a line of an order or of an allocation."""
    return _object(line.get("sellable")).get("id")


def number(value: Any) -> float | None:
    """*value* where it is a number that can be reckoned with, else None."""
    if type(value) in (int, float) and -_LARGEST < value < _LARGEST:
        return value  # type: ignore[no-any-return]  # the type was just looked at
    return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _each(parent: Mapping[str, Any], name: str, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    items = parent.get(name)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield f"{pointer}/{name}/{index}", item


def _lines(order: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for here, allocation in _each(order, "allocations", ""):
        yield from _each(allocation, "line_items", here)
    yield from _each(order, "line_items", "")


def _sellable(add: Add, here: str, sellable: dict[str, Any]) -> None:
    price, cost = number(sellable.get("price")), number(sellable.get("cost_price"))
    if price is not None and cost is not None:
        _equal(add, "profit", here, sellable, "profit", price - cost)
        if price:
            _equal(add, "margin", here, sellable, "margin", (price - cost) / price * 100)
    _stock(add, here, sellable, cost)
    product = _object(sellable.get("product"))
    _same_title(add, here, sellable, "sellable_title", sellable.get("title"))
    _same_title(add, here, sellable, "product_title", product.get("title"))
    image = _object(product.get("main_image"))
    _same(add, "main-image-product", f"{here}/product/main_image", image, "product_id", product.get("id"))


_EVERYWHERE = "stock_level_at_all_warehouses"
_COPIES = tuple(
    (mine + _EVERYWHERE, theirs + _EVERYWHERE)
    for mine, theirs in (("available_", "available_"), ("allocated_", "allocated_"), ("", "physical_"))
)
_TOTALS = tuple((f"{level}_{_EVERYWHERE}", f"{level}_stock_level") for level in ("physical", "allocated", "incoming"))


def _stock(add: Add, here: str, sellable: dict[str, Any], cost: float | None) -> None:
    inventory, listed = _object(sellable.get("inventory")), sellable.get("stock_entries")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    for at, entry in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(entry, dict):
            _stock_entry(add, f"{here}/stock_entries/{at}", entry, sellable.get("id"), cost)
    if inventory.get("infinite") is True:
        return
    _available(add, f"{here}/inventory", inventory, _EVERYWHERE)
    for mine, theirs in _COPIES:
        _equal(add, "stock-copies", here, sellable, mine, number(inventory.get(theirs)))
    # A sum needs every entry, and none without end.
    if (
        not isinstance(listed, list)
        or len(entries) != len(listed)
        or any(entry.get("infinite") is True for entry in entries)
    ):
        return
    for total, part in _TOTALS:
        wanted = _sum([number(entry.get(part)) for entry in entries])
        _equal(add, "stock-totals", f"{here}/inventory", inventory, total, wanted)
    value = _sum([number(entry.get("sellable_on_hand_value")) for entry in entries])
    _equal(add, "on-hand-value", here, sellable, "on_hand_value", value)


def _stock_entry(add: Add, here: str, entry: dict[str, Any], sellable_id: Any, cost: float | None) -> None:
    _same(add, "stock-entry-sellable", here, entry, "sellable_id", sellable_id)
    _same(add, "stock-entry-warehouse", here, entry, "warehouse_id", _object(entry.get("warehouse")).get("id"))
    if entry.get("infinite") is True:
        return
    _available(add, here, entry, "stock_level")
    physical = number(entry.get("physical_stock_level"))
    value = None if physical is None or cost is None else physical * cost
    _equal(add, "on-hand-value", here, entry, "sellable_on_hand_value", value)


def _available(add: Add, here: str, stock: dict[str, Any], suffix: str) -> None:
    physical, allocated = number(stock.get(f"physical_{suffix}")), number(stock.get(f"allocated_{suffix}"))
    if physical is not None and allocated is not None:
        _equal(add, "available-stock", here, stock, f"available_{suffix}", physical - allocated)


def _totals(add: Add, order: dict[str, Any]) -> None:
    lines, discounts = order.get("line_items"), number(order.get("total_discounts"))
    if isinstance(lines, list) and discounts is not None:
        total = _sum([_line_total(line) for line in lines])
        _equal(add, "subtotal", "", order, "subtotal_price", None if total is None else total - discounts)
    parts = [number(order.get(name)) for name in ("subtotal_price", "total_tax", "delivery_cost")]
    _equal(add, "total", "", order, "total_price", _sum(parts))


def _line_total(line: Any) -> float | None:
    quantity, price = number(_object(line).get("quantity")), number(_object(line).get("price_per_unit"))
    return None if quantity is None or price is None else quantity * price


def _completeness(add: Add, order: dict[str, Any]) -> None:
    ordered = quantities(order.get("line_items"), sellable_id_of)
    allocations = order.get("allocations")
    if ordered is None or not isinstance(allocations, list):
        return
    allocated: dict[float, float] = {}
    complete = True
    for index, allocation in enumerate(allocations):
        lines = quantities(_object(allocation).get("line_items"), sellable_id_of)
        complete = complete and lines is not None
        for key, quantity in (lines or {}).items():
            allocated[key] = allocated.get(key, 0) + quantity
        for here, line in _each(_object(allocation), "line_items", f"/allocations/{index}"):
            if (key_here := number(sellable_id_of(line))) is not None and key_here not in ordered:
                add(Breach("allocated-sellable", f"{here}/sellable/id", "a sellable that no line of the order has"))
    stated = order.get("allocated_completely")
    truth = all(allocated.get(key, 0) >= quantity for key, quantity in ordered.items())
    if complete and isinstance(stated, bool) and stated is not truth:
        add(Breach("completeness", "/allocated_completely", str(stated).lower(), str(truth).lower()))


def _sum(terms: list[float | None]) -> float | None:
    return None if None in terms else math.fsum(term for term in terms if term is not None)


def _equal(add: Add, rule: str, here: str, owner: dict[str, Any], name: str, want: float | None) -> None:
    """The amount *name* of *owner*, which is at *here*, is *want*, to half a cent."""
    have = owner.get(name)
    if have == want:
        return
    have = number(have)
    if have is None or want is None or abs(have - want) <= _TOLERANCE + abs(want) * 1e-12:
        return
    add(Breach(rule, f"{here}/{name}", describe_number(have), describe_number(want)))


def _same(add: Add, rule: str, here: str, owner: dict[str, Any], name: str, want: Any) -> None:
    """The number *name* of *owner* is exactly *want*."""
    have = owner.get(name)
    if have == want:
        return
    have, want = number(have), number(want)
    if have is not None and want is not None:
        add(Breach(rule, f"{here}/{name}", describe_number(have), describe_number(want)))


def _same_title(add: Add, here: str, owner: dict[str, Any], name: str, want: Any) -> None:
    have = owner.get(name)
    if isinstance(have, str) and isinstance(want, str) and have != want:
        add(Breach("title-copies", f"{here}/{name}", f"another {describe(have)}", f"the same {describe(want)}"))
