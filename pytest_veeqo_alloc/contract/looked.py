"""How often each rule had something to look at: by stages that an interaction reached, and by the fields of equations.

`MEANT` says of each rule what it needs. A test holds it against the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from pytest_veeqo_alloc.contract.counting import Node, Tally
from pytest_veeqo_alloc.contract.field_table import Field
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES

# What an interaction may reach.
LINE, CALL, REQUEST, REQUEST_JSON = "request line", "call", "request body", "request JSON"
STATUS, EXPECTED, BROKEN = "status", "expected status", "broken request"
RESPONSE, RESPONSE_JSON, ORDER = "response body", "response JSON", "order"
CREATED, LOCATED, REFUSAL, ECHO, SEQUENCE = "created", "located", "refusal", "echo", "sequence"

_BYTES = (REQUEST, RESPONSE)
_JSON = (REQUEST_JSON, RESPONSE_JSON)
_STAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("wrong-method", "wrong-path", "order-id-not-integer"), (LINE,)),
    **dict.fromkeys(("undocumented-query", "api-key-missing", "key-in-url"), (CALL,)),
    **dict.fromkeys(("body-missing", "not-json", "not-utf8", "byte-order-mark"), _BYTES),
    **dict.fromkeys(("too-deep", "non-finite-number", "duplicate-key", "wrong-type"), _JSON),
    **dict.fromkeys(("null-value", "required-field", "undocumented-field"), _JSON),
    "request-media-type": (REQUEST_JSON,),
    "request-not-wrapped": (REQUEST_JSON,),
    "response-media-type": (RESPONSE_JSON,),
    "not-an-order": (RESPONSE_JSON,),
    "absent-field": (ORDER,),
    **dict.fromkeys(("wrong-status", "undocumented-status", "server-error"), (STATUS,)),
    "unexpected-status": (EXPECTED,),
    "broken-request-accepted": (BROKEN,),
    "location-missing": (CREATED,),
    **dict.fromkeys(("location-invalid", "location-order"), (LOCATED,)),
    **dict.fromkeys(("error-body-shape", "error-leaks-internals"), (REFUSAL,)),
    **dict.fromkeys(("order-echo", "allocation-echo"), (ECHO,)),
    **dict.fromkeys(SEQUENCE_RULES, (SEQUENCE,)),
}

_SELLABLE = ("sellable.available_stock_level_at_all_warehouses", "inventory.available_stock_level_at_all_warehouses")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "line-item-shape": ("new allocation.line_items_attributes",),
    "line-items-empty": ("new allocation.line_items_attributes",),
    "duplicate-sellable": ("new line_item.sellable_id",),
    "allocation-order": ("allocation.order_id", "order.id"),
    "payment-order": ("payment.order_id", "order.id"),
    "available-stock": ("stock_entry.physical_stock_level", "stock_entry.allocated_stock_level"),
    "stock-totals": ("inventory.physical_stock_level_at_all_warehouses", "stock_entry.physical_stock_level"),
    "stock-copies": _SELLABLE,
    "stock-entry-sellable": ("stock_entry.sellable_id", "sellable.id"),
    "stock-entry-warehouse": ("stock_entry.warehouse_id", "warehouse.id"),
    "profit": ("sellable.profit", "sellable.price", "sellable.cost_price"),
    "margin": ("sellable.margin", "sellable.price", "sellable.cost_price"),
    "on-hand-value": ("stock_entry.sellable_on_hand_value", "stock_entry.physical_stock_level", "sellable.cost_price"),
    "title-copies": ("sellable.sellable_title", "sellable.title"),
    "main-image-product": ("main_image.product_id", "product.id"),
    "subtotal": ("order.subtotal_price", "order.total_discounts", "line_item.quantity", "line_item.price_per_unit"),
    "total": ("order.total_price", "order.subtotal_price", "order.total_tax", "order.delivery_cost"),
    "completeness": ("order.allocated_completely", "order.allocations", "line_item.quantity"),
    "allocated-sellable": ("allocation_line_item.sellable", "line_item.sellable"),
    "subscription-plan": ("company.subscription_plan_id", "subscription_plan.id"),
}
"""Fields, as SHAPE.NAME (`new` before those of a request), without any of which a rule has nothing to compare."""

_VALUES: Mapping[str, str] = {
    "id-not-positive-integer": "is_id",
    "quantity-not-positive": "is_quantity",
    "quantity-not-integer": "is_quantity",
    "datetime-format": "is_datetime",
    "negative-amount": "is_amount",
}
"""Rules of single values, and the mark of the fields that they are about."""

MEANT = (*_STAGES, *_FIELDS, *_VALUES, "untyped-field-value")


def looked_at(
    stages: Mapping[str, int], response: tuple[Node, Mapping[str, Tally]], request: tuple[Node, Mapping[str, Tally]]
) -> dict[str, int]:
    """How often each rule could be looked at. For an equation it is how often the rarest of its fields was there."""
    found = {rule: sum(stages.get(stage, 0) for stage in needs) for rule, needs in _STAGES.items()}
    fields = list(chain(_fields(*response), _fields(*request, before="new ")))
    there: dict[str, int] = {}
    for name, _, tally in fields:
        there[name] = there.get(name, 0) + tally.non_null
    found |= {rule: min(there.get(name, 0) for name in names) for rule, names in _FIELDS.items()}
    found |= {
        rule: sum(tally.non_null for _, each, tally in fields if getattr(each, mark)) for rule, mark in _VALUES.items()
    }
    found["untyped-field-value"] = sum(tally.present for _, each, tally in fields if each.type is None)
    return found


def _fields(root: Node, tallies: Mapping[str, Tally], before: str = "") -> Iterable[tuple[str, Field, Tally]]:
    for node in root.nodes():
        for place in node.places:
            yield f"{before}{place.shape}.{place.field.name}", place.field, tallies[place.pointer]
