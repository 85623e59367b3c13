"""A Hypothesis strategy for response bodies that break one rule."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.orders.story import units_by_sellable
from pytest_veeqo_alloc.strategies.invalid_requests import (
    Broken,
    Member,
    Mutation,
    addition,
    broken_payloads,
    draw_member,
    excess_depth,
    is_quantity,
    mutation,
    removal,
    replacement,
    type_change,
)
from pytest_veeqo_alloc.strategies.requests import Payload
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.values import NOT_DATES, NOT_FINITE, NOT_IDS

_LINKED = {
    "order.id", "allocation.order_id", "payment.order_id", "sellable.id", "warehouse.id", "stock_entry.sellable_id",
    "stock_entry.warehouse_id", "product.id", "main_image.product_id", "company.subscription_plan_id",
    "subscription_plan.id",
}  # fmt: skip
"""The ids that must equal another id of the order. An invalid value would break two rules."""


def invalid_allocation_responses() -> st.SearchStrategy[Broken]:
    """Return a strategy for response bodies, each of which breaks exactly one rule of the contract."""
    return broken_payloads(balanced_orders(), RESPONSE_MUTATIONS)


def _adapt_totals(order: Payload) -> None:
    """Recalculate subtotal, total and completeness from the quantities, the prices per unit and the delivery cost."""
    lines = order["line_items"]
    subtotal = sum(line["quantity"] * line["price_per_unit"] for line in lines) - order["total_discounts"]
    order["subtotal_price"] = round(subtotal, 2)
    order["total_price"] = round(order["subtotal_price"] + order["total_tax"] + order["delivery_cost"], 2)
    allocated = units_by_sellable(
        (line["sellable"]["id"], line["quantity"])
        for allocation in order["allocations"]
        for line in allocation["line_items"]
    )
    order["allocated_completely"] = all(allocated.get(line["sellable"]["id"], 0) >= line["quantity"] for line in lines)


_WHOLE = st.integers(1, 1000)
_UNITS = st.sampled_from([1, -1, 1000])
_MONEY = st.sampled_from([1, 0.01, -0.01, -250, 0.5])
_TITLES = st.sampled_from(["sellable.sellable_title", "sellable.product_title"])


@mutation
def _add(
    draw: st.DrawFn, order: Payload, name: str, *totals: str, amounts: st.SearchStrategy[Any] = _WHOLE
) -> tuple[Any, str]:
    """Add an amount to the field *name*, which breaks an equation, and to the *totals* that depend on the field."""
    member = draw_member(draw, "response", order, lambda member: member.name == name)
    amount = draw(amounts)
    member.owner[member.field.name] += amount
    for total in totals:
        order[total] += amount
    return order, member.pointer


def _completeness(draw: st.DrawFn, order: Payload) -> tuple[Any, str]:
    order["allocated_completely"] = not order["allocated_completely"]
    return order, "/allocated_completely"


def _not_ordered(draw: st.DrawFn, order: Payload) -> tuple[Any, str]:
    """Replace an allocated sellable with a sellable that was not ordered."""
    lines = order["allocations"][0]["line_items"]
    index = draw(st.integers(0, len(lines) - 1))
    sellable = lines[index]["sellable"]
    other = max(line["sellable"]["id"] for line in order["line_items"]) + draw(st.integers(1, 1000))
    for entry in sellable["stock_entries"]:
        entry["sellable_id"] = other
    sellable["id"] = other
    order["allocated_completely"] = False
    return order, f"/allocations/0/line_items/{index}/sellable/id"


def _is_typed(member: Member) -> bool:
    return member.field.type is not None


def _is_free_id(member: Member) -> bool:
    return member.field.is_id and member.name not in _LINKED


def _is_free_amount(member: Member) -> bool:
    # Each price of a sellable is in several equations; a price per unit and the delivery cost are not.
    return member.field.is_amount and not member.name.startswith("sellable.")


_NO_ORDERS: list[Any] = [{}, {"status": "created"}, {"error_messages": "Not found"}, {"order": {}}]

RESPONSE_MUTATIONS: Mapping[str, Mutation] = {
    "not-an-order": lambda draw, order: (copy.deepcopy(draw(st.sampled_from(_NO_ORDERS))), ""),
    "wrong-type": type_change("response", _is_typed),
    "null-value": replacement("response", lambda member: _is_typed(member) and not member.field.nullable, [None]),
    "required-field": removal("response", lambda member: member.field.required),
    "absent-field": removal("response", lambda member: not member.field.required),
    "undocumented-field": addition("response"),
    "id-not-positive-integer": replacement("response", _is_free_id, NOT_IDS),
    "datetime-format": replacement("response", lambda member: member.field.is_datetime, NOT_DATES),
    "quantity-not-positive": replacement("response", is_quantity, [0, -1, -7.0], _adapt_totals),
    "quantity-not-integer": replacement("response", is_quantity, [0.5, 1.25, -0.5], _adapt_totals),
    "negative-amount": replacement("response", _is_free_amount, [-0.01, -1, -1399.5], _adapt_totals),
    "non-finite-number": replacement("response", lambda member: member.field.type == "number", NOT_FINITE),
    "too-deep": excess_depth("response", lambda member: True),
    "allocation-order": _add("allocation.order_id"),
    "payment-order": _add("payment.order_id"),
    "available-stock": _add("stock_entry.available_stock_level", amounts=_UNITS),
    "stock-totals": _add("inventory.incoming_stock_level_at_all_warehouses", amounts=_UNITS),
    "stock-copies": _add("sellable.stock_level_at_all_warehouses", amounts=_UNITS),
    "stock-entry-sellable": _add("stock_entry.sellable_id"),
    "stock-entry-warehouse": _add("stock_entry.warehouse_id"),
    "profit": _add("sellable.profit", amounts=_MONEY),
    "margin": _add("sellable.margin", amounts=_MONEY),
    "on-hand-value": _add("sellable.on_hand_value", amounts=_MONEY),
    "title-copies": lambda draw, order: _add(draw(_TITLES), amounts=st.just(" copied"))(draw, order),
    "main-image-product": _add("main_image.product_id"),
    "subtotal": _add("order.subtotal_price", "total_price", amounts=_MONEY),
    "total": _add("order.total_price", amounts=_MONEY),
    "completeness": _completeness,
    "allocated-sellable": _not_ordered,
    "subscription-plan": _add("company.subscription_plan_id"),
}
