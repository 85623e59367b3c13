"""Ways to break an order in exactly one place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.core.json_pointer import join, set_value
from pytest_veeqo_alloc.spec.loader import response_shape
from pytest_veeqo_alloc.strategies.values import (
    NEW_NAMES,
    NOT_DATES,
    NOT_FINITE,
    NOT_IDS,
    deeply_nested,
    wrong_root,
    wrong_type,
)

GeneratedOrder = dict[str, Any]
Breaker = Callable[[st.DrawFn, GeneratedOrder], tuple[Any, str]]
Place = tuple[str, str, Field, dict[str, Any]]
"""Pointer, name of the shape, field, and the object that has it."""

_LINKED = {
    ("order", "id"), ("allocation", "order_id"), ("payment", "order_id"), ("sellable", "id"), ("warehouse", "id"),
    ("stock_entry", "sellable_id"), ("stock_entry", "warehouse_id"), ("product", "id"), ("main_image", "product_id"),
    ("company", "subscription_plan_id"), ("subscription_plan", "id"),
}  # fmt: skip
"""Ids that stand in an equation, which would be broken as well."""


def places(order: GeneratedOrder) -> Iterator[Place]:
    """Every documented field of *order*."""

    def below(owner: Any, shape: Shape, pointer: str) -> Iterator[Place]:
        for field in shape.fields.values():
            yield f"{pointer}/{field.name}", shape.name, field, owner
        for name, is_array, child in shape.children:
            if is_array:
                for at, item in enumerate(owner[name]):
                    yield from below(item, child, f"{pointer}/{name}/{at}")
            else:
                yield from below(owner[name], child, f"{pointer}/{name}")

    return below(order, response_shape(), "")


def _one(draw: st.DrawFn, order: GeneratedOrder, fits: Callable[[Place], bool]) -> Place:
    return draw(st.sampled_from([place for place in places(order) if fits(place)]))


def _typed(place: Place) -> bool:
    return place[2].type is not None


def _wrong_type(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    if draw(st.integers(0, 9)) == 9:
        return wrong_root(draw, order), ""
    pointer, _, field, _ = _one(draw, order, _typed)
    return set_value(order, pointer, wrong_type(draw, str(field.type))), pointer


def _null(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    pointer, *_ = _one(draw, order, lambda place: _typed(place) and not place[2].nullable)
    return set_value(order, pointer, None), pointer


def _missing(required: bool) -> Breaker:
    def breaker(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
        pointer, _, field, owner = _one(draw, order, lambda place: place[2].required is required)
        del owner[field.name]
        return order, pointer

    return breaker


def _undocumented(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    pointer, _, _, owner = _one(draw, order, lambda place: True)
    name = draw(st.sampled_from(NEW_NAMES))
    owner[name] = draw(st.sampled_from([None, 0, "x", True]))
    return order, join(pointer.rpartition("/")[0], name)


def _field_of(fits: Callable[[Place], bool], values: list[Any]) -> Breaker:
    def breaker(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
        pointer, *_ = _one(draw, order, fits)
        return set_value(order, pointer, draw(st.sampled_from(values))), pointer

    return breaker


def _settled(order: GeneratedOrder, owner: dict[str, Any], name: str, value: float) -> GeneratedOrder:
    """*order* with one operand changed, and all that follows from it."""
    owner[name] = value
    lines = order["line_items"]
    subtotal = sum(line["quantity"] * line["price_per_unit"] for line in lines) - order["total_discounts"]
    order["subtotal_price"] = round(subtotal, 2)
    order["total_price"] = round(order["subtotal_price"] + order["total_tax"] + order["delivery_cost"], 2)
    allocated: dict[int, float] = {}
    for allocation in order["allocations"]:
        for line in allocation["line_items"]:
            sellable = line["sellable"]["id"]
            allocated[sellable] = allocated.get(sellable, 0) + line["quantity"]
    order["allocated_completely"] = all(allocated.get(line["sellable"]["id"], 0) >= line["quantity"] for line in lines)
    return order


def _quantity(values: list[float]) -> Breaker:
    def breaker(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
        pointer, _, _, owner = _one(draw, order, lambda place: place[2].is_quantity)
        return _settled(order, owner, "quantity", draw(st.sampled_from(values))), pointer

    return breaker


def _negative(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    # Prices of a sellable stand in several equations at once; what is charged and for delivery does not.
    pointer, _, field, owner = _one(draw, order, lambda place: place[2].is_amount and place[1] != "sellable")
    return _settled(order, owner, field.name, draw(st.sampled_from([-0.01, -1, -1399.5]))), pointer


_WHOLE: st.SearchStrategy[float] = st.integers(1, 1000)
_UNITS: st.SearchStrategy[float] = st.sampled_from([1, -1, 1000])
_MONEY: st.SearchStrategy[float] = st.sampled_from([1, 0.01, -0.01, -250, 0.5])


def _changed(shape: str, name: str, *follow: str, by: st.SearchStrategy[float] = _WHOLE) -> Breaker:
    """One side of an equation changed by a number; the root members *follow* change along."""

    def breaker(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
        pointer, *_, owner = _one(draw, order, lambda place: place[1] == shape and place[2].name == name)
        more = draw(by)
        owner[name] += more
        for other in follow:
            order[other] += more
        return order, pointer

    return breaker


def _title(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    name = draw(st.sampled_from(["sellable_title", "product_title"]))
    pointer, *_, owner = _one(draw, order, lambda place: place[1] == "sellable" and place[2].name == name)
    owner[name] += " copied"
    return order, pointer


def _completeness(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    order["allocated_completely"] = not order["allocated_completely"]
    return order, "/allocated_completely"


def _stranger(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    """An allocated sellable becomes one that nobody ordered."""
    at = draw(st.integers(0, len(order["allocations"][0]["line_items"]) - 1))
    sellable = order["allocations"][0]["line_items"][at]["sellable"]
    stranger = max(line["sellable"]["id"] for line in order["line_items"]) + draw(st.integers(1, 1000))
    for entry in sellable["stock_entries"]:
        entry["sellable_id"] = stranger
    sellable["id"] = stranger
    order["allocated_completely"] = False
    return order, f"/allocations/0/line_items/{at}/sellable/id"


def _deep(draw: st.DrawFn, order: GeneratedOrder) -> tuple[Any, str]:
    pointer, *_ = _one(draw, order, lambda place: True)
    return set_value(order, pointer, deeply_nested()), ""


_NO_ORDERS: list[Any] = [{}, {"status": "created"}, {"error_messages": "Not found"}, {"order": {}}]

ORDER_BREAKERS: Mapping[str, Breaker] = {
    "not-an-order": lambda draw, order: (copy.deepcopy(draw(st.sampled_from(_NO_ORDERS))), ""),
    "wrong-type": _wrong_type,
    "null-value": _null,
    "required-field": _missing(True),
    "absent-field": _missing(False),
    "undocumented-field": _undocumented,
    "id-not-positive-integer": _field_of(lambda p: p[2].is_id and (p[1], p[2].name) not in _LINKED, NOT_IDS),
    "datetime-format": _field_of(lambda place: place[2].is_datetime, list(NOT_DATES)),
    "quantity-not-positive": _quantity([0, -1, -7.0]),
    "quantity-not-integer": _quantity([0.5, 1.25, -0.5]),
    "negative-amount": _negative,
    "non-finite-number": _field_of(lambda place: place[2].type == "number", NOT_FINITE),
    "too-deep": _deep,
    "allocation-order": _changed("allocation", "order_id"),
    "payment-order": _changed("payment", "order_id"),
    "available-stock": _changed("stock_entry", "available_stock_level", by=_UNITS),
    "stock-totals": _changed("inventory", "incoming_stock_level_at_all_warehouses", by=_UNITS),
    "stock-copies": _changed("sellable", "stock_level_at_all_warehouses", by=_UNITS),
    "stock-entry-sellable": _changed("stock_entry", "sellable_id"),
    "stock-entry-warehouse": _changed("stock_entry", "warehouse_id"),
    "profit": _changed("sellable", "profit", by=_MONEY),
    "margin": _changed("sellable", "margin", by=_MONEY),
    "on-hand-value": _changed("sellable", "on_hand_value", by=_MONEY),
    "title-copies": _title,
    "main-image-product": _changed("main_image", "product_id"),
    "subtotal": _changed("order", "subtotal_price", "total_price", by=_MONEY),
    "total": _changed("order", "total_price", by=_MONEY),
    "completeness": _completeness,
    "allocated-sellable": _stranger,
    "subscription-plan": _changed("company", "subscription_plan_id"),
}
