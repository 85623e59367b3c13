"""The shapes of an order as the documented example has them, and which of their fields a story decides."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from pytest_veeqo_alloc.spec.loader import read_text

Json = dict[str, Any]
Leaves = Mapping[tuple[str, str], Any]

DERIVED: Mapping[str, frozenset[str]] = {
    "order": frozenset({
        "allocated_completely", "allocations", "channel", "created_by", "customer", "deliver_to", "delivery_cost",
        "delivery_method", "id", "line_items", "payment", "subtotal_price", "total_discounts", "total_price",
        "total_tax",
    }),
    "allocation": frozenset({"allocated_by", "id", "line_items", "order_id", "warehouse"}),
    "allocation_line_item": frozenset({"quantity", "sellable"}),
    "line_item": frozenset({"price_per_unit", "quantity", "sellable"}),
    "sellable": frozenset({
        "allocated_stock_level_at_all_warehouses", "available_stock_level_at_all_warehouses", "cost_price", "id",
        "inventory", "margin", "measurement_attributes", "on_hand_value", "price", "product", "product_title",
        "profit", "sellable_title", "stock_entries", "stock_level_at_all_warehouses",
    }),
    "inventory": frozenset({
        "allocated_stock_level_at_all_warehouses", "available_stock_level_at_all_warehouses",
        "incoming_stock_level_at_all_warehouses", "infinite", "physical_stock_level_at_all_warehouses",
    }),
    "product": frozenset({"main_image"}),
    "main_image": frozenset({"product_id"}),
    "stock_entry": frozenset({
        "allocated_stock_level", "available_stock_level", "incoming_stock_level", "infinite", "physical_stock_level",
        "sellable_id", "sellable_on_hand_value", "warehouse", "warehouse_id",
    }),
    "warehouse": frozenset({"id"}),
    "channel": frozenset({"active_warehouses", "channel_warehouses", "default_warehouse"}),
    "active_warehouse": frozenset({"id"}),
    "channel_warehouse": frozenset({"warehouse"}),
    "created_by": frozenset({"company"}),
    "company": frozenset({"subscription_plan", "subscription_plan_id"}),
    "customer": frozenset({"billing_address", "shipping_addresses"}),
    "payment": frozenset({"order_id"}),
}  # fmt: skip
"""The fields of each shape that follow from the story; every other may be set by `leaves`."""


def example_value(shape: str, name: str) -> Any:
    """What the documented example has for one field of a shape."""
    return _example_shapes()[shape][name]


def templates(leaves: Leaves | None) -> dict[str, Json]:
    """The members of each shape, with single ones replaced by *leaves*; not to be changed."""
    plain = _example_shapes()
    if not leaves:
        return plain
    changed = dict(plain)
    for (shape, name), value in leaves.items():
        if name not in plain.get(shape, {}):
            raise ValueError(f"there is no documented field {name!a} of {shape!a} to set")
        if changed[shape] is plain[shape]:
            changed[shape] = dict(plain[shape])
        changed[shape][name] = value
    return changed


@functools.cache
def _example_shapes() -> dict[str, Json]:
    """The members of each shape in the documented example, containers included."""
    order = json.loads(read_text("schemas/examples/response.json"))
    allocation, channel, customer = order["allocations"][0], order["channel"], order["customer"]
    sellable = order["line_items"][0]["sellable"]
    return {
        "order": order,
        "allocation": allocation,
        "allocated_by": allocation["allocated_by"],
        "allocation_line_item": allocation["line_items"][0],
        "line_item": order["line_items"][0],
        "sellable": sellable,
        "inventory": sellable["inventory"],
        "measurement_attributes": sellable["measurement_attributes"],
        "product": sellable["product"],
        "main_image": sellable["product"]["main_image"],
        "stock_entry": sellable["stock_entries"][0],
        "warehouse": allocation["warehouse"],
        "channel": channel,
        "active_warehouse": channel["active_warehouses"][0],
        "channel_warehouse": channel["channel_warehouses"][0],
        "created_by": order["created_by"],
        "company": order["created_by"]["company"],
        "subscription_plan": order["created_by"]["company"]["subscription_plan"],
        "customer": customer,
        "billing_address": customer["billing_address"],
        "shipping_address": customer["shipping_addresses"][0],
        "deliver_to": order["deliver_to"],
        "delivery_method": order["delivery_method"],
        "payment": order["payment"],
    }
