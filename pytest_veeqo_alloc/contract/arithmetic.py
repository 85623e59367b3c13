"""Checks of equations between values of an order. A value that is absent, invalid or too large breaks no equation.

The checks read contents from `content.py`. There, an unusable number is NaN, which is neither above nor below any
number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum, isnan
from operator import attrgetter
from typing import Any

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.text import describe, describe_number

_TOLERANCE = 0.005
_LARGEST = 1e150  # the product of two numbers below this limit fits a double

_EVERYWHERE = "stock_level_at_all_warehouses"

ONLY_VARIANT = "Default"
"""The `title` of the only variant of a product. Its `sellable_title` is empty."""

Add = Callable[[Breach], None]


def order_breaches(order: Any) -> list[Breach]:
    """Return a breach for each equation that is false for *order*, the content of a response body."""
    breaches: list[Breach] = []
    add = breaches.append
    if order.payment.order_id != order.id:
        _same(add, "payment-order", "/payment/order_id", order.payment.order_id, order.id)
    clean: dict[float, Any] = {}
    for index, allocation in enumerate(order.allocations or ()):
        pointer = f"/allocations/{index}"
        if allocation.order_id != order.id:
            _same(add, "allocation-order", f"{pointer}/order_id", allocation.order_id, order.id)
        _sellables(breaches, f"{pointer}/line_items", allocation.line_items, clean)
    _sellables(breaches, "/line_items", order.line_items, clean)
    _totals(add, order)
    _completeness(add, order)
    company = order.created_by.company
    stated, plan = company.subscription_plan_id, company.subscription_plan.id
    if stated != plan:
        _same(add, "subscription-plan", "/created_by/company/subscription_plan_id", stated, plan)
    return breaches


def quantities(lines: Iterable[Any] | None, sellable_id: Callable[[Any], float]) -> dict[float, float] | None:
    """Map sellable ids to quantities in *lines*. Return None if *lines* is None, or an id or quantity is NaN."""
    if lines is None:
        return None
    totals: dict[float, float] = {}
    for line in lines:
        key, quantity = sellable_id(line), line.quantity
        if isnan(key) or isnan(quantity):
            return None
        totals[key] = totals[key] + quantity if key in totals else quantity
    return totals


SELLABLE_ID = attrgetter("sellable.id")
"""Function that returns the sellable id in a line item of a response."""


def number(value: Any) -> float | None:
    """Return *value* if it is a number between -1e150 and 1e150, otherwise None."""
    if type(value) in (int, float) and -_LARGEST < value < _LARGEST:
        return value  # type: ignore[no-any-return]  # the type was checked
    return None


def _sellables(breaches: list[Breach], pointer: str, lines: Iterable[Any] | None, clean: dict[float, Any]) -> None:
    """Check the sellable of each of *lines*. *clean* maps ids to sellables in which no breach was found."""
    for index, line in enumerate(lines or ()):
        sellable = line.sellable
        # An order repeats a sellable in each allocation. An equal copy of one without breaches is not checked again.
        if clean.get(sellable.id) != sellable:
            before = len(breaches)
            _sellable(breaches.append, f"{pointer}/{index}/sellable", sellable)
            if len(breaches) == before:
                clean[sellable.id] = sellable


# Most equations hold exactly. Therefore, each is tested before a function is called and a pointer is built.


def _sellable(add: Add, pointer: str, sellable: Any) -> None:
    price, cost, product = sellable.price, sellable.cost_price, sellable.product
    if sellable.profit != (wanted := price - cost):
        _equal(add, "profit", f"{pointer}/profit", sellable.profit, wanted)
    if price and sellable.margin != (wanted := (price - cost) / price * 100):
        _equal(add, "margin", f"{pointer}/margin", sellable.margin, wanted)
    _stock(add, pointer, sellable, sellable.inventory)
    copy, title = sellable.sellable_title, sellable.title
    if copy != title and (copy, title) != ("", ONLY_VARIANT):
        _same_title(add, f"{pointer}/sellable_title", copy, title)
    if sellable.product_title != product.title:
        _same_title(add, f"{pointer}/product_title", sellable.product_title, product.title)
    if (product_id := product.main_image.product_id) != product.id:
        _same(add, "main-image-product", f"{pointer}/product/main_image/product_id", product_id, product.id)


def _same_title(add: Add, pointer: str, copy: str | None, original: str | None) -> None:
    if copy is not None and original is not None:
        add(Breach("title-copies", pointer, f"a different {describe(copy)}", f"the original {describe(original)}"))


def _stock_entry(add: Add, pointer: str, entry: Any, sellable: Any) -> None:
    if entry.sellable_id != sellable.id:
        _same(add, "stock-entry-sellable", f"{pointer}/sellable_id", entry.sellable_id, sellable.id)
    if entry.warehouse_id != entry.warehouse.id:
        _same(add, "stock-entry-warehouse", f"{pointer}/warehouse_id", entry.warehouse_id, entry.warehouse.id)
    if entry.infinite is True:
        return
    physical, available, value = entry.physical_stock_level, entry.available_stock_level, entry.sellable_on_hand_value
    if available != (wanted := physical - entry.allocated_stock_level):
        _equal(add, "available-stock", f"{pointer}/available_stock_level", available, wanted)
    if value != (wanted := physical * sellable.cost_price):
        _equal(add, "on-hand-value", f"{pointer}/sellable_on_hand_value", value, wanted)


def _stock(add: Add, pointer: str, sellable: Any, inventory: Any) -> None:
    physical = allocated = incoming = 0
    values: list[float] = []
    has_sums = sellable.stock_entries is not None  # a sum needs all entries, and infinite stock has no sum
    for index, entry in enumerate(sellable.stock_entries or ()):
        _stock_entry(add, f"{pointer}/stock_entries/{index}", entry, sellable)
        if entry.infinite is True:
            has_sums = False
        physical += entry.physical_stock_level
        allocated += entry.allocated_stock_level
        incoming += entry.incoming_stock_level
        values.append(entry.sellable_on_hand_value)
    if inventory.infinite is not True:
        _stock_copies(add, pointer, sellable, inventory)
        if has_sums:
            _stock_sums(add, pointer, sellable, physical, allocated, incoming, fsum(values))


def _stock_sums(
    add: Add, pointer: str, sellable: Any, physical: float, allocated: float, incoming: float, value: float
) -> None:
    inventory = sellable.inventory
    if (total := inventory.physical_stock_level_at_all_warehouses) != physical:
        _equal(add, "stock-totals", f"{pointer}/inventory/physical_{_EVERYWHERE}", total, physical)
    if (total := inventory.allocated_stock_level_at_all_warehouses) != allocated:
        _equal(add, "stock-totals", f"{pointer}/inventory/allocated_{_EVERYWHERE}", total, allocated)
    if (total := inventory.incoming_stock_level_at_all_warehouses) != incoming:
        _equal(add, "stock-totals", f"{pointer}/inventory/incoming_{_EVERYWHERE}", total, incoming)
    if sellable.on_hand_value != value:
        _equal(add, "on-hand-value", f"{pointer}/on_hand_value", sellable.on_hand_value, value)


def _stock_copies(add: Add, pointer: str, sellable: Any, inventory: Any) -> None:
    available = inventory.available_stock_level_at_all_warehouses
    allocated = inventory.allocated_stock_level_at_all_warehouses
    physical = inventory.physical_stock_level_at_all_warehouses
    if available != (wanted := physical - allocated):
        _equal(add, "available-stock", f"{pointer}/inventory/available_{_EVERYWHERE}", available, wanted)
    if (copy := sellable.available_stock_level_at_all_warehouses) != available:
        _equal(add, "stock-copies", f"{pointer}/available_{_EVERYWHERE}", copy, available)
    if (copy := sellable.allocated_stock_level_at_all_warehouses) != allocated:
        _equal(add, "stock-copies", f"{pointer}/allocated_{_EVERYWHERE}", copy, allocated)
    if (copy := sellable.stock_level_at_all_warehouses) != physical:
        _equal(add, "stock-copies", f"{pointer}/{_EVERYWHERE}", copy, physical)


def _totals(add: Add, order: Any) -> None:
    if order.line_items is not None:
        total = fsum([line.quantity * line.price_per_unit for line in order.line_items])
        _equal(add, "subtotal", "/subtotal_price", order.subtotal_price, total - order.total_discounts)
    total = fsum((order.subtotal_price, order.total_tax, order.delivery_cost))
    _equal(add, "total", "/total_price", order.total_price, total)


def _completeness(add: Add, order: Any) -> None:
    if order.line_items is None or order.allocations is None:
        return
    open_units: dict[float, float] = {}
    for line in order.line_items:
        key, quantity = line.sellable.id, line.quantity
        if isnan(key) or isnan(quantity):
            return
        open_units[key] = open_units.get(key, 0) + quantity
    is_known = True
    for index, allocation in enumerate(order.allocations):
        if allocation.line_items is None:
            is_known = False
            continue
        for line_index, line in enumerate(allocation.line_items):
            key, quantity = line.sellable.id, line.quantity
            if isnan(key) or isnan(quantity):
                is_known = False
            if key in open_units:
                open_units[key] -= quantity
            elif not isnan(key):
                pointer = f"/allocations/{index}/line_items/{line_index}/sellable/id"
                add(Breach("allocated-sellable", pointer, "a sellable that was not ordered"))
    stated, wanted = order.allocated_completely, max(open_units.values(), default=0) <= 0
    if stated is not wanted and stated is not None and is_known:
        add(Breach("completeness", "/allocated_completely", str(stated).lower(), str(wanted).lower()))


def _equal(add: Add, rule: str, pointer: str, stated: float, wanted: float) -> None:
    """Add a breach of *rule* if *stated* and *wanted* differ by more than 0.005. NaN counts as equal to any number."""
    if stated != wanted and abs(stated - wanted) > _TOLERANCE + abs(wanted) * 1e-12:
        add(Breach(rule, pointer, describe_number(stated), describe_number(wanted)))


def _same(add: Add, rule: str, pointer: str, stated: float, wanted: float) -> None:
    """Add a breach of *rule* if the number *stated* is not *wanted*. NaN counts as equal to any number."""
    if stated < wanted or stated > wanted:
        add(Breach(rule, pointer, describe_number(stated), describe_number(wanted)))
