"""Equations between the values of an order. Each is skipped if a value is absent, of the wrong type or too large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.text import describe, describe_number

_TOLERANCE = 0.005
_LARGEST = 1e150  # the product of two numbers below this limit fits a double

ONLY_VARIANT = "Default"
"""The `title` of the only variant of a product. Its `sellable_title` is empty."""

Object = dict[str, Any]
Add = Callable[[Breach], None]


def order_breaches(order: Any) -> list[Breach]:
    """Return a breach for each equation that does not hold in *order*, a response body."""
    breaches: list[Breach] = []
    add = breaches.append
    order = as_object(order)
    order_id = order.get("id")
    for pointer, allocation in objects_in(order, "allocations", ""):
        _same(add, "allocation-order", pointer, allocation, "order_id", order_id)
    _same(add, "payment-order", "/payment", as_object(order.get("payment")), "order_id", order_id)
    clean: dict[Any, Object] = {}
    for pointer, line in _lines(order):
        sellable = as_object(line.get("sellable"))
        # An order repeats a sellable in each allocation. An equal copy of one without breaches is not checked again.
        key = number(sellable.get("id"))
        if clean.get(key) == sellable:
            continue
        before = len(breaches)
        _sellable(add, f"{pointer}/sellable", sellable)
        if len(breaches) == before:
            clean[key] = sellable
    _totals(add, order)
    _completeness(add, order)
    company = as_object(as_object(order.get("created_by")).get("company"))
    plan = as_object(company.get("subscription_plan"))
    _same(add, "subscription-plan", "/created_by/company", company, "subscription_plan_id", plan.get("id"))
    return breaches


def quantities(lines: Any, sellable_id: Callable[[Object], Any]) -> dict[float, float] | None:
    """Return the quantities by sellable id, or None if *lines* is not an array or an id or quantity is not numeric."""
    totals: dict[float, float] = {}
    for line in map(as_object, lines if isinstance(lines, list) else [None]):
        key, quantity = number(sellable_id(line)), number(line.get("quantity"))
        if key is None or quantity is None:
            return None
        totals[key] = totals.get(key, 0) + quantity
    return totals


def sellable_id_of(line: Mapping[str, Any]) -> Any:
    """Return the sellable id in *line*, a line item from a response."""
    return as_object(line.get("sellable")).get("id")


def number(value: Any) -> float | None:
    """Return *value* if it is a number between -1e150 and 1e150, otherwise None."""
    if type(value) in (int, float) and -_LARGEST < value < _LARGEST:
        return value  # type: ignore[no-any-return]  # the type was checked
    return None


def as_object(value: Any) -> Object:
    """Return *value* if it is a JSON object, otherwise an empty object."""
    return value if isinstance(value, dict) else {}


def objects_in(parent: Mapping[str, Any], name: str, pointer: str) -> Iterator[tuple[str, Object]]:
    """Yield the pointer and the value of each object in the array `parent[name]`. *pointer* is that of *parent*."""
    items = parent.get(name)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield f"{pointer}/{name}/{index}", item


def _lines(order: Mapping[str, Any]) -> Iterator[tuple[str, Object]]:
    for pointer, allocation in objects_in(order, "allocations", ""):
        yield from objects_in(allocation, "line_items", pointer)
    yield from objects_in(order, "line_items", "")


def _amount(owner: Mapping[str, Any], name: str) -> float:
    """Return `owner[name]` if it is a number, otherwise NaN. An equation with NaN causes no breach."""
    amount = number(owner.get(name))
    return math.nan if amount is None else amount


def _sellable(add: Add, pointer: str, sellable: Object) -> None:
    price, cost = _amount(sellable, "price"), _amount(sellable, "cost_price")
    _equal(add, "profit", pointer, sellable, "profit", price - cost)
    if price:
        _equal(add, "margin", pointer, sellable, "margin", (price - cost) / price * 100)
    _stock(add, pointer, sellable, cost)
    product = as_object(sellable.get("product"))
    title = sellable.get("title")
    if (title, sellable.get("sellable_title")) != (ONLY_VARIANT, ""):
        _same_title(add, pointer, sellable, "sellable_title", title)
    _same_title(add, pointer, sellable, "product_title", product.get("title"))
    image = as_object(product.get("main_image"))
    _same(add, "main-image-product", f"{pointer}/product/main_image", image, "product_id", product.get("id"))


def _same_title(add: Add, pointer: str, sellable: Object, name: str, original: Any) -> None:
    copy = sellable.get(name)
    if isinstance(copy, str) and isinstance(original, str) and copy != original:
        got, wanted = f"a different {describe(copy)}", f"the original {describe(original)}"
        add(Breach("title-copies", f"{pointer}/{name}", got, wanted))


_EVERYWHERE = "stock_level_at_all_warehouses"
_COPIES = tuple(
    (own + _EVERYWHERE, original + _EVERYWHERE)
    for own, original in (("available_", "available_"), ("allocated_", "allocated_"), ("", "physical_"))
)
_TOTALS = tuple((f"{level}_{_EVERYWHERE}", f"{level}_stock_level") for level in ("physical", "allocated", "incoming"))


def _stock(add: Add, pointer: str, sellable: Object, cost: float) -> None:
    inventory, listed = as_object(sellable.get("inventory")), sellable.get("stock_entries")
    for entry_pointer, entry in objects_in(sellable, "stock_entries", pointer):
        _stock_entry(add, entry_pointer, entry, sellable.get("id"), cost)
    if inventory.get("infinite") is True:
        return
    _available(add, f"{pointer}/inventory", inventory, _EVERYWHERE)
    for own, original in _COPIES:
        _equal(add, "stock-copies", pointer, sellable, own, _amount(inventory, original))
    # A sum needs all entries, and infinite stock has no sum.
    if not isinstance(listed, list) or not all(isinstance(e, dict) and e.get("infinite") is not True for e in listed):
        return
    for total, part in _TOTALS:
        wanted = math.fsum(_amount(entry, part) for entry in listed)
        _equal(add, "stock-totals", f"{pointer}/inventory", inventory, total, wanted)
    value = math.fsum(_amount(entry, "sellable_on_hand_value") for entry in listed)
    _equal(add, "on-hand-value", pointer, sellable, "on_hand_value", value)


def _stock_entry(add: Add, pointer: str, entry: Object, sellable_id: Any, cost: float) -> None:
    _same(add, "stock-entry-sellable", pointer, entry, "sellable_id", sellable_id)
    _same(add, "stock-entry-warehouse", pointer, entry, "warehouse_id", as_object(entry.get("warehouse")).get("id"))
    if entry.get("infinite") is not True:
        _available(add, pointer, entry, "stock_level")
        value = _amount(entry, "physical_stock_level") * cost
        _equal(add, "on-hand-value", pointer, entry, "sellable_on_hand_value", value)


def _available(add: Add, pointer: str, stock: Object, suffix: str) -> None:
    wanted = _amount(stock, f"physical_{suffix}") - _amount(stock, f"allocated_{suffix}")
    _equal(add, "available-stock", pointer, stock, f"available_{suffix}", wanted)


def _totals(add: Add, order: Object) -> None:
    if isinstance(lines := order.get("line_items"), list):
        total = math.fsum(_amount(line, "quantity") * _amount(line, "price_per_unit") for line in map(as_object, lines))
        _equal(add, "subtotal", "", order, "subtotal_price", total - _amount(order, "total_discounts"))
    total = math.fsum(_amount(order, name) for name in ("subtotal_price", "total_tax", "delivery_cost"))
    _equal(add, "total", "", order, "total_price", total)


def _completeness(add: Add, order: Object) -> None:
    ordered = quantities(order.get("line_items"), sellable_id_of)
    allocations = order.get("allocations")
    if ordered is None or not isinstance(allocations, list):
        return
    allocated: dict[float, float] = {}
    is_known = True
    for index, allocation in enumerate(map(as_object, allocations)):
        lines = quantities(allocation.get("line_items"), sellable_id_of)
        is_known = is_known and lines is not None
        for key, quantity in (lines or {}).items():
            allocated[key] = allocated.get(key, 0) + quantity
        for pointer, line in objects_in(allocation, "line_items", f"/allocations/{index}"):
            if (sellable := number(sellable_id_of(line))) is not None and sellable not in ordered:
                add(Breach("allocated-sellable", f"{pointer}/sellable/id", "a sellable that was not ordered"))
    stated = order.get("allocated_completely")
    wanted = all(allocated.get(key, 0) >= quantity for key, quantity in ordered.items())
    if is_known and isinstance(stated, bool) and stated is not wanted:
        add(Breach("completeness", "/allocated_completely", str(stated).lower(), str(wanted).lower()))


def _equal(add: Add, rule: str, pointer: str, owner: Object, name: str, wanted: float) -> None:
    """Add a breach of *rule* if `owner[name]` is a number that differs from *wanted* by more than 0.005."""
    if owner.get(name) == wanted:
        return
    stated = _amount(owner, name)
    if abs(stated - wanted) > _TOLERANCE + abs(wanted) * 1e-12:  # never true of NaN
        add(Breach(rule, f"{pointer}/{name}", describe_number(stated), describe_number(wanted)))


def _same(add: Add, rule: str, pointer: str, owner: Object, name: str, wanted: Any) -> None:
    """Add a breach of *rule* if `owner[name]` and *wanted* are different numbers."""
    stated = owner.get(name)
    if stated == wanted:
        return
    stated, wanted = number(stated), number(wanted)
    if stated is not None and wanted is not None:
        add(Breach(rule, f"{pointer}/{name}", describe_number(stated), describe_number(wanted)))
