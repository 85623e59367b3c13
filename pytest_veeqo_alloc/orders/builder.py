"""The builder of complete orders, as documented or as the live API returned them in 2026.

The facts of an order (a story) replace values in the documented example.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal

from pytest_veeqo_alloc.contract.arithmetic import ONLY_VARIANT
from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.contract.field_table import Shape
from pytest_veeqo_alloc.core.json_pointer import resolve_all, split
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, Story
from pytest_veeqo_alloc.spec.loader import read_shipped_text, tables

Json = dict[str, Any]
Leaves = Mapping[tuple[str, str], Any]
Templates = dict[str, Json]
Reserved = dict[tuple[int, int], int]
Variant = Literal["documented", "observed"]

VARIANTS = ("documented", "observed")

_EVERYWHERE = "stock_level_at_all_warehouses"
_DEFAULT = Story()
_WHOLE_SECOND = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})Z")
_TYPES = {"null": type(None), "boolean": bool, "number": int, "string": str, "object": dict, "array": list}
_ADDRESS = ("address1", "city", "country", "first_name", "last_name", "state", "zip")


def build_order(
    story: Story | None = None, *, variant: Variant = "documented", leaves: Leaves | None = None, **changes: Any
) -> Json:
    """Build the complete order for *story* (default: the documented example). Return a new dict.

    *changes* replaces fields of the story. *leaves* sets fields of the order: it maps (object type, field name) to the
    value of that field in all objects of that type. Object types are `order` and the names in `$defs` of the response
    schema. A value computed from the story takes precedence over *leaves*. With *variant* "observed", the order has
    the members that the live API returned in 2026. Raise ValueError for an allocated sellable that is not ordered, an
    unknown field or an unknown variant.
    """
    if variant not in VARIANTS:
        raise ValueError(unknown_name("variant", variant, VARIANTS))
    for name in changes:
        if name not in _DEFAULT.__dataclass_fields__:
            raise ValueError(unknown_name("story field", name, _DEFAULT.__dataclass_fields__))
    story = replace(story or _DEFAULT, **changes)
    order = _order(story, _templates(story, leaves or {}))
    if leaves and any(isinstance(value, (dict, list)) for value in leaves.values()):
        order = _without_sharing(order)
    return order if variant == "documented" else as_observed(order)


def example_value(shape: str, name: str) -> Any:
    """Return the value of the field *name* in the first object of the type *shape* in the documented example."""
    return _example_shapes()[shape][name]


def money(minor: float) -> float:
    """Convert minor units (pence, cents) to major units (pounds, dollars). Return an int for a whole amount."""
    return int(minor) // 100 if minor % 100 == 0 else minor / 100


@functools.cache
def _example_shapes() -> Templates:
    shapes: Templates = {}

    def collect(shape: Shape, value: Json) -> None:
        shapes.setdefault(shape.name, value)
        for name, is_array, child in shape.children:
            collect(child, value[name][0] if is_array else value[name])

    collect(tables().response, json.loads(read_shipped_text("schemas/examples/response.json")))
    return shapes


def _templates(story: Story, leaves: Leaves) -> Templates:
    """Map each object type to a template for *story*. Do not change the templates: they share values with a cache."""
    templates = dict(_example_shapes())
    for (shape, name), value in leaves.items():
        if name not in templates.get(shape, {}):
            raise ValueError(f"leaves: the object type {shape!a} has no documented field {name!a}")
        templates[shape] = {**templates[shape], name: value}
    for shape, name in (("order", "id"), ("allocation", "order_id"), ("payment", "order_id")):
        templates[shape] = {**templates[shape], name: story.order_id}
    if story.placed_at != _DEFAULT.placed_at:
        for shape in ("order", "line_item", "payment", "allocation", "allocation_line_item"):
            templates[shape] = {**templates[shape], "created_at": story.placed_at, "updated_at": story.placed_at}
        templates["stock_entry"] = {**templates["stock_entry"], "updated_at": story.placed_at}
    if (customer := story.customer) != _DEFAULT.customer:
        address = {name: getattr(customer, name) for name in _ADDRESS}
        for shape in ("deliver_to", "billing_address", "shipping_address"):
            templates[shape] = {**templates[shape], **address}
        templates["customer"] = {**templates["customer"], "id": customer.id, "email": customer.email}
    return templates


def _without_sharing(value: Any) -> Any:
    """Copy *value* so that no object or array occurs in the copy more than once."""
    if isinstance(value, dict):
        return {n: _without_sharing(inner) if isinstance(inner, (dict, list)) else inner for n, inner in value.items()}
    return [_without_sharing(inner) if isinstance(inner, (dict, list)) else inner for inner in value]


def _order(story: Story, shapes: Templates) -> Json:
    ordered = {line.sellable_id: line for line in reversed(story.lines)}
    reserved = _reserved_units(story, ordered)
    warehouses = list(dict.fromkeys(warehouse for warehouse, _ in reserved)) or [1784]
    template, line_template = shapes["order"], shapes["line_item"]
    subtotal = sum(line.quantity * _charged(line) for line in story.lines) - story.discount
    tax = sum(line.tax for line in story.lines)
    number, plan = template["number"], shapes["subscription_plan"]
    company = {**shapes["company"], "subscription_plan": {**plan}, "subscription_plan_id": plan["id"]}
    return {
        **template,
        "allocated_completely": story.allocated_completely,
        "allocations": [_allocation(allocation, ordered, reserved, shapes) for allocation in story.allocations],
        "channel": _channel(warehouses, shapes),
        "created_by": {**shapes["created_by"], "company": company},
        "customer": _customer(shapes),
        "deliver_to": {**shapes["deliver_to"]},
        "delivery_cost": money(story.delivery),
        "delivery_method": {**shapes["delivery_method"]},
        "employee_notes": [*template["employee_notes"]],
        "line_items": [
            {
                **line_template,
                "id": line_template["id"] + index,
                "price_per_unit": money(_charged(line)),
                "quantity": line.quantity,
                "sellable": _sellable(line, reserved, shapes),
            }
            for index, line in enumerate(story.lines)
        ],
        "number": f"#P-{story.order_id}" if number == f"#P-{_DEFAULT.order_id}" else number,
        "payment": {**shapes["payment"]},
        "returns": [*template["returns"]],
        "subtotal_price": money(subtotal),
        "tags": [*template["tags"]],
        "total_discounts": money(story.discount),
        "total_price": money(subtotal + tax + story.delivery),
        "total_tax": money(tax),
    }


def _charged(line: Line) -> int:
    return line.price if line.paid is None else line.paid


def _reserved_units(story: Story, ordered: Mapping[int, Line]) -> Reserved:
    """Map (warehouse id, sellable id) to the number of units that the story allocates (0 if none)."""
    reserved = {(stock.warehouse_id, line.sellable_id): 0 for line in story.lines for stock in line.stock}
    for allocation in story.allocations:
        for sellable, quantity in allocation.lines:
            if sellable not in ordered:
                raise ValueError(f"sellable {sellable} is allocated but not ordered: add a line for this sellable")
            key = (allocation.warehouse_id, sellable)
            reserved[key] = reserved.get(key, 0) + quantity
    return reserved


def _allocation(allocation: Allocation, ordered: Mapping[int, Line], reserved: Reserved, shapes: Templates) -> Json:
    template = shapes["allocation_line_item"]
    return {
        **shapes["allocation"],
        "allocated_by": {**shapes["allocated_by"]},
        "id": allocation.id,
        "line_items": [
            {
                **template,
                "id": template["id"] + index,
                "quantity": quantity,
                "sellable": _sellable(ordered[sellable], reserved, shapes),
            }
            for index, (sellable, quantity) in enumerate(allocation.lines)
        ],
        "warehouse": {**shapes["warehouse"], "id": allocation.warehouse_id},
    }


def _sellable(line: Line, reserved: Reserved, shapes: Templates) -> Json:
    template, product = shapes["sellable"], shapes["product"]
    stocks = {stock.warehouse_id: stock for stock in line.stock}
    for (warehouse, sellable), quantity in reserved.items():
        if sellable == line.sellable_id and warehouse not in stocks:
            # The story has no stock in this warehouse: assume that the stock was just sufficient.
            stocks[warehouse] = Stock(warehouse, quantity, 0)
    after = [(s, s.allocated + reserved.get((s.warehouse_id, line.sellable_id), 0)) for s in stocks.values()]
    physical, allocated = sum(stock.physical for stock, _ in after), sum(units for _, units in after)
    levels = {f"allocated_{_EVERYWHERE}": allocated, f"available_{_EVERYWHERE}": physical - allocated}
    return {
        **template,
        **levels,
        "active_channels": [*template["active_channels"]],
        "channel_sellables": [*template["channel_sellables"]],
        "cost_price": money(line.cost),
        "id": line.sellable_id,
        "images": [*template["images"]],
        "inventory": {
            **shapes["inventory"],
            **levels,
            f"incoming_{_EVERYWHERE}": sum(stock.incoming for stock, _ in after),
            "infinite": any(stock.infinite for stock, _ in after),
            f"physical_{_EVERYWHERE}": physical,
        },
        "margin": _margin(line),
        "measurement_attributes": {**shapes["measurement_attributes"]},
        "on_hand_value": money(physical * line.cost),
        "price": money(line.price),
        "product": {**product, "main_image": {**shapes["main_image"], "product_id": product["id"]}},
        "product_title": product["title"],
        "profit": money(line.price - line.cost),
        "sellable_title": "" if template["title"] == ONLY_VARIANT else template["title"],
        "stock_entries": [_stock_entry(line, stock, units, shapes) for stock, units in after],
        _EVERYWHERE: physical,
        "variant_option_specifics": [*template["variant_option_specifics"]],
        "variant_property_specifics": [*template["variant_property_specifics"]],
    }


def _margin(line: Line) -> float:
    """Return the profit in percent of the price, rounded to two decimal places. A whole number becomes an int."""
    percentage = round((line.price - line.cost) / line.price * 100, 2) if line.price else 0
    return int(percentage) if percentage == int(percentage) else percentage


def _stock_entry(line: Line, stock: Stock, allocated: int, shapes: Templates) -> Json:
    return {
        **shapes["stock_entry"],
        "allocated_stock_level": allocated,
        "available_stock_level": stock.physical - allocated,
        "incoming_stock_level": stock.incoming,
        "infinite": stock.infinite,
        "physical_stock_level": stock.physical,
        "sellable_id": line.sellable_id,
        "sellable_on_hand_value": money(stock.physical * line.cost),
        "warehouse": {**shapes["warehouse"], "id": stock.warehouse_id},
        "warehouse_id": stock.warehouse_id,
    }


def _channel(warehouses: list[int], shapes: Templates) -> Json:
    template, entry = shapes["channel"], shapes["channel_warehouse"]
    named = [{**shapes["warehouse"], "id": warehouse} for warehouse in warehouses]
    return {
        **template,
        "active_warehouses": [{**shapes["active_warehouse"], "id": warehouse} for warehouse in warehouses],
        "channel_warehouses": [
            {**entry, "rank": entry["rank"] + index, "warehouse": warehouse} for index, warehouse in enumerate(named)
        ],
        "default_warehouse": {**named[0]},
        "stock_level_update_requests": [*template["stock_level_update_requests"]],
    }


def _customer(shapes: Templates) -> Json:
    template = shapes["shipping_address"]
    # The example lists three addresses: in the first, address2 and company are null; in the others they are empty.
    later = {name: "" for name in ("address2", "company") if template[name] is None}
    return {
        **shapes["customer"],
        "billing_address": {**shapes["billing_address"]},
        "shipping_addresses": [
            {**template, **(later if index else {}), "id": template["id"] + index} for index in range(3)
        ],
    }


def as_observed(
    order: dict[str, Any], *, nulls: Collection[str] = (), values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give *order* the members that the live API returned in 2026. Change *order* in place and return it.

    Documented members that the live API omits are removed, but not if they contain members from *values* or *nulls*.
    Undocumented members are added with a date-time or an empty value. Date-times get milliseconds. *values* maps
    pointers of members to values. *nulls* contains pointers of members to set to null. All pointers have `*` instead
    of array indexes.
    """
    values = values or {}
    needed = _with_parents([*values, *nulls])
    for owner_pointer, names in _omitted_names().items():
        omitted = [name for name in names if f"{owner_pointer}/{name}" not in needed]
        for owner in resolve_all(order, owner_pointer) if omitted else ():
            for name in omitted if isinstance(owner, dict) else ():
                owner.pop(name, None)
    _set_members(order, {**_added_values(), **values, **dict.fromkeys(nulls)})
    _add_milliseconds(order)
    return order


def _set_members(order: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set the member at each pointer in *values* to a copy of its value, one pointer after the other."""
    owners: dict[str, list[dict[str, Any]]] = {}
    around: set[str] = set()  # the keys of `owners`, and the pointers of all objects and arrays around them
    for pointer, value in values.items():
        owner_pointer, name = _owner_and_name(pointer)
        if owner_pointer not in owners:
            owners[owner_pointer] = [o for o in resolve_all(order, owner_pointer) if isinstance(o, dict)]
            around |= _with_parents([owner_pointer])
        for owner in owners[owner_pointer]:
            owner[name] = _without_sharing(value) if isinstance(value, (dict, list)) else value
        if pointer in around:  # the member was, or is, an object or array with known owners
            owners.clear()
            around.clear()


@functools.lru_cache(4096)
def _owner_and_name(pointer: str) -> tuple[str, str]:
    return pointer.rpartition("/")[0], split(pointer)[-1]


@functools.cache
def _omitted_names() -> Mapping[str, list[str]]:
    """Map the pointers of objects to the names of their documented members that the live API omits."""
    names: dict[str, list[str]] = {}
    for owner, _, name in (pointer.rpartition("/") for pointer in _pointers("absent-field")):
        names.setdefault(owner, []).append(name)
    return names


@functools.cache
def _added_values() -> Mapping[str, Any]:
    return {pointer: _simplest_value(pointer, types[0]) for pointer, types in observed_types("added").items()}


def _simplest_value(pointer: str, json_type: str) -> Any:
    """Return a date-time for a string whose name ends in `_at` or `_date`, otherwise the empty value of *json_type*."""
    if json_type != "string" or not pointer.endswith(("_at", "_date")):
        return _TYPES[json_type]()
    # The API sends a numeric offset in this member only.
    return f"2020-01-01T00:00:00.000{'-00:00' if pointer.endswith('/preferred_shipment_date') else 'Z'}"


def _add_milliseconds(container: Any) -> None:
    """Add milliseconds to each date-time in *container*, an object or array. Change objects and arrays in place."""
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, str):
            if len(value) == 20 and value.endswith("Z"):
                container[key] = _WHOLE_SECOND.sub(r"\1.266Z", value)
        elif isinstance(value, (dict, list)):
            _add_milliseconds(value)


def with_nulls(order: dict[str, Any], pointers: Iterable[str]) -> dict[str, Any]:
    """Set the members of *order* at *pointers* to null, and return *order*. A `*` in a pointer is any array index."""
    _set_members(order, dict.fromkeys(pointers))
    return order


def nullable_pointers() -> tuple[str, ...]:
    """Return the pointers of members that were null in live responses, although the documentation allows none."""
    return _pointers("null-value")


@functools.cache
def observed_types(*tables: str) -> Mapping[str, list[str]]:
    """Map pointers to observed JSON types, from *tables* of observed-types.json. A type seen in 2026 comes first."""
    document = json.loads(read_shipped_text("schemas/deviations/observed-types.json"))
    return {pointer: types for table in tables for pointer, types in document[table].items()}


@functools.cache
def _pointers(rule: str) -> tuple[str, ...]:
    pack = parse(read_shipped_text("schemas/deviations/observed.toml"))
    return tuple(deviation.pointer for deviation in pack if deviation.rule == rule and deviation.pointer)


def _with_parents(pointers: Iterable[str]) -> set[str]:
    """Return *pointers* and the pointers of all objects and arrays around them."""
    return {parent for pointer in pointers for parent in accumulate(pointer.split("/"), "{}/{}".format)}
