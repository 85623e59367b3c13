"""The shapes of an order as the documented example has them, and which of their fields a story decides."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.orders.observed import as_observed
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, Story, units
from pytest_veeqo_alloc.spec.loader import read_shipped_text

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
    order = json.loads(read_shipped_text("schemas/examples/response.json"))
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


Variant = Literal["documented", "observed"]

VARIANTS = ("documented", "observed")

_EVERYWHERE = "stock_level_at_all_warehouses"

_STORY = Story()


def build_order(
    story: Story | None = None, *, variant: Variant = "documented", leaves: Leaves | None = None, **changes: Any
) -> Json:
    """The full order that *story* tells (default: the documented example), with fields of the story replaced by
    *changes*. The result is the caller's own.

    *leaves* sets single fields by (shape, name) in every place where the shape stands, shapes being the `$defs` of
    the response schema and `order`; fields that follow from the story are not looked up there. *variant* `observed`
    gives the key set that the live API was seen to have. ValueError where an allocation holds what no line orders, and
    for a field or variant that does not exist.
    """
    if variant not in VARIANTS:
        raise ValueError(unknown_name("variant", variant, VARIANTS))
    for name in changes:
        if name not in _STORY.__dataclass_fields__:
            raise ValueError(unknown_name("field of a story", name, _STORY.__dataclass_fields__))
    told = story or _STORY
    order = _order(replace(told, **changes) if changes else told, templates(leaves))
    if leaves and any(isinstance(value, (dict, list)) for value in leaves.values()):
        order = _unshared(order)
    return order if variant == "documented" else as_observed(order)


_CONTAINERS = (dict, list)


def _unshared(value: Any) -> Any:
    """A copy in which nothing stands in two places: what `leaves` sets would, wherever its shape does."""
    if isinstance(value, dict):
        return {name: _unshared(inner) if type(inner) in _CONTAINERS else inner for name, inner in value.items()}
    return [_unshared(inner) if type(inner) in _CONTAINERS else inner for inner in value]


def money(minor: float) -> float:
    """Minor units as the amount that stands in an order: whole where it is whole."""
    return int(minor) // 100 if minor % 100 == 0 else minor / 100


def _order(story: Story, t: dict[str, Json]) -> Json:
    ordered = {line.sellable_id: line for line in reversed(story.lines)}
    reserved = _reserved(story, ordered)
    warehouses = list(dict.fromkeys(w for w, _ in reserved)) or [1784]
    template = t["order"]
    subtotal = sum(line.quantity * _paid(line) for line in story.lines) - story.discount
    tax = sum(line.tax for line in story.lines)
    number = template["number"]
    return {
        **template,
        **_times(story),
        "allocated_completely": story.allocated_completely,
        "allocations": [_allocation(story, one, ordered, reserved, t) for one in story.allocations],
        "channel": _channel(warehouses, t),
        "created_by": _created_by(t),
        "customer": _customer(story, t),
        "deliver_to": {**t["deliver_to"], **_person(story)},
        "delivery_cost": money(story.delivery),
        "delivery_method": {**t["delivery_method"]},
        "employee_notes": [*template["employee_notes"]],
        "id": story.order_id,
        "line_items": [
            {
                **t["line_item"],
                **_times(story),
                "id": t["line_item"]["id"] + at,
                "price_per_unit": money(_paid(line)),
                "quantity": line.quantity,
                "sellable": _sellable(line, reserved, story, t),
            }
            for at, line in enumerate(story.lines)
        ],
        "number": f"#P-{story.order_id}" if number == _EXAMPLE_NUMBER else number,
        "payment": {**t["payment"], **_times(story), "order_id": story.order_id},
        "returns": [*template["returns"]],
        "subtotal_price": money(subtotal),
        "tags": [*template["tags"]],
        "total_discounts": money(story.discount),
        "total_price": money(subtotal + tax + story.delivery),
        "total_tax": money(tax),
    }


_EXAMPLE_NUMBER = "#P-447452"


def _paid(line: Line) -> int:
    return line.price if line.paid is None else line.paid


def _times(story: Story) -> Json:
    """The times of what the order itself brought about, where the story tells another than the example."""
    if story.placed_at == _STORY.placed_at:
        return {}
    return {"created_at": story.placed_at, "updated_at": story.placed_at}


def _person(story: Story) -> Json:
    """The members of an address, where the story tells of another customer than the example."""
    who = story.customer
    if who == _STORY.customer:
        return {}
    return {
        "address1": who.address1, "city": who.city, "country": who.country, "first_name": who.first_name,
        "last_name": who.last_name, "state": who.state, "zip": who.zip,
    }  # fmt: skip


def _reserved(story: Story, ordered: Mapping[int, Line]) -> dict[tuple[int, int], int]:
    """Units that the story allocates, by warehouse and sellable, with a zero for all other stock."""
    reserved = {(stock.warehouse_id, line.sellable_id): 0 for line in story.lines for stock in line.stock}
    for allocation in story.allocations:
        for sellable, quantity in units(allocation.lines).items():
            if sellable not in ordered:
                raise ValueError(f"the story allocates sellable {sellable}, which none of its lines orders")
            key = (allocation.warehouse_id, sellable)
            reserved[key] = reserved.get(key, 0) + quantity
    return reserved


def _allocation(
    story: Story,
    one: Allocation,
    ordered: Mapping[int, Line],
    reserved: Mapping[tuple[int, int], int],
    t: dict[str, Json],
) -> Json:
    template = t["allocation_line_item"]
    return {
        **t["allocation"],
        **_times(story),
        "allocated_by": {**t["allocated_by"]},
        "id": one.id,
        "line_items": [
            {
                **template,
                **_times(story),
                "id": template["id"] + at,
                "quantity": quantity,
                "sellable": _sellable(ordered[sellable], reserved, story, t),
            }
            for at, (sellable, quantity) in enumerate(one.lines)
        ],
        "order_id": story.order_id,
        "warehouse": {**t["warehouse"], "id": one.warehouse_id},
    }


def _sellable(line: Line, reserved: Mapping[tuple[int, int], int], story: Story, t: dict[str, Json]) -> Json:
    template, product = t["sellable"], t["product"]
    stocks = {stock.warehouse_id: stock for stock in line.stock}
    for (warehouse, sellable), quantity in reserved.items():
        if sellable == line.sellable_id and warehouse not in stocks:
            # Nobody told of stock there, so there was just enough.
            stocks[warehouse] = Stock(warehouse, quantity, 0)
    after = [(s, s.allocated + reserved.get((s.warehouse_id, line.sellable_id), 0)) for s in stocks.values()]
    physical, allocated = sum(s.physical for s, _ in after), sum(units for _, units in after)
    return {
        **template,
        "active_channels": [*template["active_channels"]],
        f"allocated_{_EVERYWHERE}": allocated,
        f"available_{_EVERYWHERE}": physical - allocated,
        "channel_sellables": [*template["channel_sellables"]],
        "cost_price": money(line.cost),
        "id": line.sellable_id,
        "images": [*template["images"]],
        "inventory": {
            **t["inventory"],
            f"allocated_{_EVERYWHERE}": allocated,
            f"available_{_EVERYWHERE}": physical - allocated,
            f"incoming_{_EVERYWHERE}": sum(s.incoming for s, _ in after),
            "infinite": any(s.infinite for s, _ in after),
            f"physical_{_EVERYWHERE}": physical,
        },
        "margin": _whole(round((line.price - line.cost) / line.price * 100, 2)) if line.price else 0,
        "measurement_attributes": {**t["measurement_attributes"]},
        "on_hand_value": money(physical * line.cost),
        "price": money(line.price),
        "product": {**product, "main_image": {**t["main_image"], "product_id": product["id"]}},
        "product_title": product["title"],
        "profit": money(line.price - line.cost),
        "sellable_title": template["title"],
        "stock_entries": [_stock_entry(line, stock, units, story, t) for stock, units in after],
        _EVERYWHERE: physical,
        "variant_option_specifics": [*template["variant_option_specifics"]],
        "variant_property_specifics": [*template["variant_property_specifics"]],
    }


def _stock_entry(line: Line, stock: Stock, allocated: int, story: Story, t: dict[str, Json]) -> Json:
    entry = {
        **t["stock_entry"],
        "allocated_stock_level": allocated,
        "available_stock_level": stock.physical - allocated,
        "incoming_stock_level": stock.incoming,
        "infinite": stock.infinite,
        "physical_stock_level": stock.physical,
        "sellable_id": line.sellable_id,
        "sellable_on_hand_value": money(stock.physical * line.cost),
        "warehouse": {**t["warehouse"], "id": stock.warehouse_id},
        "warehouse_id": stock.warehouse_id,
    }
    if story.placed_at != _STORY.placed_at:
        entry["updated_at"] = story.placed_at
    return entry


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _channel(warehouses: list[int], t: dict[str, Json]) -> Json:
    template = t["channel"]
    return {
        **template,
        "active_warehouses": [{**t["active_warehouse"], "id": warehouse} for warehouse in warehouses],
        "channel_warehouses": [
            {
                **t["channel_warehouse"],
                "rank": t["channel_warehouse"]["rank"] + at,
                "warehouse": {**t["warehouse"], "id": warehouse},
            }
            for at, warehouse in enumerate(warehouses)
        ],
        "default_warehouse": {**t["warehouse"], "id": warehouses[0]},
        "stock_level_update_requests": [*template["stock_level_update_requests"]],
    }


def _created_by(t: dict[str, Json]) -> Json:
    plan = t["subscription_plan"]
    company = {**t["company"], "subscription_plan": {**plan}, "subscription_plan_id": plan["id"]}
    return {**t["created_by"], "company": company}


def _customer(story: Story, t: dict[str, Json]) -> Json:
    person = _person(story)
    template, who = t["shipping_address"], story.customer
    told = {} if who == _STORY.customer else {"id": who.id, "email": who.email}
    # The example lists three: the first without a second line and a company, the others with empty ones.
    later = {name: "" for name in ("address2", "company") if template[name] is None}
    return {
        **t["customer"],
        **told,
        "billing_address": {**t["billing_address"], **person},
        "shipping_addresses": [
            {**template, **person, **(later if at else {}), "id": template["id"] + at} for at in range(3)
        ],
    }
