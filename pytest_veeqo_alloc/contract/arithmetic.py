"""Checks of equations between values of an order. A value that is absent, invalid or too large breaks no equation.

The checks read contents from `content.py`. There, an unusable number is NaN, which is neither above nor below any
number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.text import describe, describe_number

_TOLERANCE = 0.005
_LARGEST = 1e150  # the product of two numbers below this limit fits a double

ONLY_VARIANT = "Default"
"""The `title` of the only variant of a product. Its `sellable_title` is empty."""

Add = Callable[[Breach], None]


def order_breaches(order: Any) -> list[Breach]:
    """Return a breach for each equation that is false for *order*, the content of a response body."""
    breaches: list[Breach] = []
    add = breaches.append
    _same(add, "payment-order", "/payment", order.payment, "order_id", order.id)
    clean: dict[float, Any] = {}
    for pointer, allocation in _items(order.allocations, "/allocations"):
        _same(add, "allocation-order", pointer, allocation, "order_id", order.id)
        _sellables(breaches, f"{pointer}/line_items", allocation.line_items, clean)
    _sellables(breaches, "/line_items", order.line_items, clean)
    _totals(add, order)
    _completeness(add, order)
    company = order.created_by.company
    plan = company.subscription_plan
    _same(add, "subscription-plan", "/created_by/company", company, "subscription_plan_id", plan.id)
    return breaches


def quantities(lines: Iterable[Any] | None, sellable_id: Callable[[Any], float]) -> dict[float, float] | None:
    """Map sellable ids to quantities in *lines*. Return None if *lines* is None, or an id or quantity is NaN."""
    if lines is None:
        return None
    totals: dict[float, float] = {}
    for line in lines:
        if math.isnan(key := sellable_id(line)) or math.isnan(line.quantity):
            return None
        totals[key] = totals.get(key, 0) + line.quantity
    return totals


SELLABLE_ID = attrgetter("sellable.id")
"""Function that returns the sellable id in a line item of a response."""


def number(value: Any) -> float | None:
    """Return *value* if it is a number between -1e150 and 1e150, otherwise None."""
    if type(value) in (int, float) and -_LARGEST < value < _LARGEST:
        return value  # type: ignore[no-any-return]  # the type was checked
    return None


def _items(items: Iterable[Any] | None, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yield each of *items* with its pointer. *pointer* is that of the array. None yields nothing."""
    for index, item in enumerate(items or ()):
        yield f"{pointer}/{index}", item


def _sellables(breaches: list[Breach], pointer: str, lines: Iterable[Any] | None, clean: dict[float, Any]) -> None:
    """Check the sellable of each of *lines*. *clean* maps ids to sellables in which no breach was found."""
    for line_pointer, line in _items(lines, pointer):
        sellable = line.sellable
        # An order repeats a sellable in each allocation. An equal copy of one without breaches is not checked again.
        if clean.get(sellable.id) != sellable:
            before = len(breaches)
            _sellable(breaches.append, f"{line_pointer}/sellable", sellable)
            if len(breaches) == before:
                clean[sellable.id] = sellable


def _sellable(add: Add, pointer: str, sellable: Any) -> None:
    price, cost = sellable.price, sellable.cost_price
    _equal(add, "profit", pointer, sellable, "profit", price - cost)
    if price:
        _equal(add, "margin", pointer, sellable, "margin", (price - cost) / price * 100)
    _stock(add, pointer, sellable)
    product = sellable.product
    if (sellable.title, sellable.sellable_title) != (ONLY_VARIANT, ""):
        _same_title(add, pointer, sellable, "sellable_title", sellable.title)
    _same_title(add, pointer, sellable, "product_title", product.title)
    image = product.main_image
    _same(add, "main-image-product", f"{pointer}/product/main_image", image, "product_id", product.id)


def _same_title(add: Add, pointer: str, sellable: Any, name: str, original: str | None) -> None:
    copy = getattr(sellable, name)
    if copy is not None and original is not None and copy != original:
        got, wanted = f"a different {describe(copy)}", f"the original {describe(original)}"
        add(Breach("title-copies", f"{pointer}/{name}", got, wanted))


_EVERYWHERE = "stock_level_at_all_warehouses"
_COPIES = tuple(
    (own + _EVERYWHERE, original + _EVERYWHERE)
    for own, original in (("available_", "available_"), ("allocated_", "allocated_"), ("", "physical_"))
)
_TOTALS = tuple(
    (f"{level}_{_EVERYWHERE}", attrgetter(f"{level}_stock_level")) for level in ("physical", "allocated", "incoming")
)


def _stock(add: Add, pointer: str, sellable: Any) -> None:
    inventory, entries = sellable.inventory, sellable.stock_entries
    for entry_pointer, entry in _items(entries, f"{pointer}/stock_entries"):
        _stock_entry(add, entry_pointer, entry, sellable)
    if inventory.infinite is True:
        return
    _available(add, f"{pointer}/inventory", inventory, _EVERYWHERE)
    for own, original in _COPIES:
        _equal(add, "stock-copies", pointer, sellable, own, getattr(inventory, original))
    # A sum needs all entries, and infinite stock has no sum.
    if entries is None or any(entry.infinite is True for entry in entries):
        return
    for total, part in _TOTALS:
        _equal(add, "stock-totals", f"{pointer}/inventory", inventory, total, math.fsum(map(part, entries)))
    value = math.fsum(entry.sellable_on_hand_value for entry in entries)
    _equal(add, "on-hand-value", pointer, sellable, "on_hand_value", value)


def _stock_entry(add: Add, pointer: str, entry: Any, sellable: Any) -> None:
    _same(add, "stock-entry-sellable", pointer, entry, "sellable_id", sellable.id)
    _same(add, "stock-entry-warehouse", pointer, entry, "warehouse_id", entry.warehouse.id)
    if entry.infinite is not True:
        _available(add, pointer, entry, "stock_level")
        value = entry.physical_stock_level * sellable.cost_price
        _equal(add, "on-hand-value", pointer, entry, "sellable_on_hand_value", value)


def _available(add: Add, pointer: str, stock: Any, suffix: str) -> None:
    wanted = getattr(stock, f"physical_{suffix}") - getattr(stock, f"allocated_{suffix}")
    _equal(add, "available-stock", pointer, stock, f"available_{suffix}", wanted)


def _totals(add: Add, order: Any) -> None:
    if order.line_items is not None:
        total = math.fsum(line.quantity * line.price_per_unit for line in order.line_items)
        _equal(add, "subtotal", "", order, "subtotal_price", total - order.total_discounts)
    total = math.fsum((order.subtotal_price, order.total_tax, order.delivery_cost))
    _equal(add, "total", "", order, "total_price", total)


def _completeness(add: Add, order: Any) -> None:
    ordered = quantities(order.line_items, SELLABLE_ID)
    if ordered is None or order.allocations is None:
        return
    allocated: dict[float, float] = {}
    is_known = True
    for index, allocation in enumerate(order.allocations):
        lines = quantities(allocation.line_items, SELLABLE_ID)
        is_known = is_known and lines is not None
        for key, quantity in (lines or {}).items():
            allocated[key] = allocated.get(key, 0) + quantity
        for line_index, line in enumerate(allocation.line_items or ()):
            if (key := line.sellable.id) not in ordered and not math.isnan(key):
                pointer = f"/allocations/{index}/line_items/{line_index}/sellable/id"
                add(Breach("allocated-sellable", pointer, "a sellable that was not ordered"))
    stated = order.allocated_completely
    wanted = all(allocated.get(key, 0) >= quantity for key, quantity in ordered.items())
    if is_known and stated is not None and stated is not wanted:
        add(Breach("completeness", "/allocated_completely", str(stated).lower(), str(wanted).lower()))


def _equal(add: Add, rule: str, pointer: str, owner: Any, name: str, wanted: float) -> None:
    """Add a breach of *rule* if the number `owner.name` differs from *wanted* by more than 0.005."""
    stated = getattr(owner, name)
    if stated != wanted and abs(stated - wanted) > _TOLERANCE + abs(wanted) * 1e-12:
        add(Breach(rule, f"{pointer}/{name}", describe_number(stated), describe_number(wanted)))


def _same(add: Add, rule: str, pointer: str, owner: Any, name: str, wanted: float) -> None:
    """Add a breach of *rule* if the number `owner.name` is not *wanted*."""
    stated = getattr(owner, name)
    if stated < wanted or stated > wanted:
        add(Breach(rule, f"{pointer}/{name}", describe_number(stated), describe_number(wanted)))
