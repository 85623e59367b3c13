"""Hypothesis strategies for bodies that break one rule, and for malformed bodies."""

from __future__ import annotations

import copy
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from hypothesis import strategies as st

from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.rules import BodySide, RuleId
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.orders.story import units_by_sellable
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.requests import Payload, allocation_requests
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.values import NEW_NAMES, NEW_VALUES, NOT_DATES, NOT_FINITE, NOT_IDS

_OF_TYPE: dict[str, Any] = {"string": "1", "number": 1, "boolean": True, "object": {}, "array": []}

_LINKED = {
    "order.id", "allocation.order_id", "payment.order_id", "sellable.id", "warehouse.id", "stock_entry.sellable_id",
    "stock_entry.warehouse_id", "product.id", "main_image.product_id", "company.subscription_plan_id",
    "subscription_plan.id",
}  # fmt: skip
"""Fields that a rule compares with another id in the order. An invalid id in such a field would break two rules."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An invalid body. In the profile "strict", its only error is a violation of `rule` at the place `pointer`."""

    payload: Any
    rule: RuleId
    pointer: str


Mutation = Callable[[st.DrawFn, Payload], tuple[Any, str]]
"""A function that makes a valid body break one rule. It returns the changed body and the JSON Pointer of the error."""


def invalid_allocation_requests() -> st.SearchStrategy[Broken]:
    """Return a strategy for request bodies. Each body breaks exactly one rule of the contract."""
    return broken_payloads(allocation_requests(max_lines=4), REQUEST_MUTATIONS)


def invalid_allocation_responses() -> st.SearchStrategy[Broken]:
    """Return a strategy for response bodies. Each body breaks exactly one rule of the contract."""
    return broken_payloads(balanced_orders(), RESPONSE_MUTATIONS)


@st.composite
def broken_payloads(draw: st.DrawFn, valid: st.SearchStrategy[Payload], mutations: Mapping[RuleId, Mutation]) -> Broken:
    """Draw a valid body, and break one rule in it. *mutations* maps each rule id to a function that breaks the rule."""
    # Draw the rule last: Hypothesis tends to keep its first draws, and would otherwise try only a few rules.
    payload = draw(valid)
    rule = draw(st.sampled_from(list(mutations)))
    payload, pointer = mutations[rule](draw, payload)
    return Broken(payload, rule, pointer)


class Member(NamedTuple):
    """A documented field in a body. `owner` is the object that contains it. `name` has the form `OBJECT_TYPE.FIELD`."""

    pointer: str
    name: str
    field: Field
    owner: dict[str, Any]


Matches = Callable[[Member], bool]


def draw_member(draw: st.DrawFn, side: BodySide, body: Payload, matches: Matches) -> Member:
    """Draw a documented field of *body*. *matches* says which fields may be drawn."""

    def below(owner: Any, shape: Shape, pointer: str) -> Iterator[Member]:
        for field in shape.fields.values():
            yield Member(f"{pointer}/{field.name}", f"{shape.name}.{field.name}", field, owner)
        for name, is_array, child in shape.children:
            for index, item in enumerate(owner[name]) if is_array else [("", owner[name])]:
                yield from below(item, child, f"{pointer}/{name}/{index}" if is_array else f"{pointer}/{name}")

    root = tables().request if side == "request" else tables().response
    member: Member = draw(st.sampled_from([member for member in below(body, root, "") if matches(member)]))
    return member


def replace(side: BodySide, matches: Matches, values: Sequence[Any], draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    """Draw a field that *matches* accepts. Replace its value with one of *values*."""
    member = draw_member(draw, side, body, matches)
    member.owner[member.field.name] = copy.deepcopy(draw(st.sampled_from(values)))
    return body, member.pointer


def change_type(side: BodySide, matches: Matches, draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    """Draw a field that *matches* accepts, or the whole body. Replace its value with a value of a wrong type."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.sampled_from([None, [], [body], "text", 0, True])), ""
    member = draw_member(draw, side, body, matches)
    # Null is a wrong type for the whole allocation; for other fields it breaks the rule null-value.
    is_null = member.pointer == "/allocation" and draw(st.booleans())
    others = [value for json_type, value in _OF_TYPE.items() if json_type != member.field.type]
    member.owner[member.field.name] = None if is_null else copy.copy(draw(st.sampled_from(others)))
    return body, member.pointer


def remove(side: BodySide, matches: Matches, draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    """Draw a field that *matches* accepts. Remove the field."""
    member = draw_member(draw, side, body, matches)
    del member.owner[member.field.name]
    return body, member.pointer


def insert(side: BodySide, draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    """Add an undocumented member to an object in *body*."""
    member = draw_member(draw, side, body, lambda member: True)
    name = draw(st.sampled_from(NEW_NAMES))
    member.owner[name] = draw(st.sampled_from(NEW_VALUES))
    return body, join(member.pointer.rpartition("/")[0], name)


def nest(side: BodySide, matches: Matches, draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    """Draw a field that *matches* accepts. Replace its value with arrays that are nested too deeply."""
    return replace(side, matches, [json.loads("[" * 71 + "]" * 71)], draw, body)[0], ""


def _line_shape(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    lines = body["allocation"]["line_items_attributes"]
    index = draw(st.integers(0, len(lines) - 1))
    pointer = f"/allocation/line_items_attributes/{index}"
    name = draw(st.sampled_from(["", *lines[index]]))
    if not name:
        lines[index] = draw(st.sampled_from([None, 1, "1", [], True]))
        return body, pointer
    if draw(st.booleans()):
        del lines[index][name]
    else:
        lines[index][name] = draw(st.sampled_from(["1", None, [], {}, True]))
    return body, f"{pointer}/{name}"


def _duplicate(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    lines = body["allocation"]["line_items_attributes"]
    line = draw(st.sampled_from(lines))
    lines.append({"sellable_id": line["sellable_id"], "quantity": draw(st.integers(1, 9))})
    return body, f"/allocation/line_items_attributes/{len(lines) - 1}/sellable_id"


_is_id, _is_quantity, _is_typed = map(operator.attrgetter, ("field.is_id", "field.is_quantity", "field.type"))


def _above_lines(member: Member) -> bool:
    return not member.name.startswith("line_item.")  # errors in line items belong to the rule line-item-shape


REQUEST_MUTATIONS: Mapping[RuleId, Mutation] = {
    "request-not-wrapped": lambda draw, body: (body["allocation"], ""),
    "wrong-type": partial(change_type, "request", _above_lines),
    "null-value": partial(replace, "request", lambda member: member.name.startswith("allocation."), [None]),
    "required-field": partial(remove, "request", _above_lines),
    "undocumented-field": partial(insert, "request"),
    "line-item-shape": _line_shape,
    "line-items-empty": partial(replace, "request", lambda member: member.field.name == "line_items_attributes", [[]]),
    "quantity-not-positive": partial(replace, "request", _is_quantity, [0, -1, -1000, 0.0, -1.0]),
    "quantity-not-integer": partial(replace, "request", _is_quantity, [0.5, 1.5, -0.5, 1e-9]),
    "duplicate-sellable": _duplicate,
    "id-not-positive-integer": partial(replace, "request", _is_id, NOT_IDS),
    "non-finite-number": partial(replace, "request", _is_id, NOT_FINITE),
    "too-deep": partial(nest, "request", _above_lines),
}


def _replace_consistently(matches: Matches, values: Sequence[Any], draw: st.DrawFn, order: Payload) -> tuple[Any, str]:
    """Replace a field that *matches* accepts with one of *values*. Adjust the totals and `allocated_completely`."""
    _, pointer = replace("response", matches, values, draw, order)
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
    return order, pointer


_WHOLE = st.integers(1, 1000)
_UNITS = st.sampled_from([1, -1, 1000])
_MONEY = st.sampled_from([1, 0.01, -0.01, -250, 0.5])
_TITLES = st.sampled_from(["sellable.sellable_title", "sellable.product_title"])


def _add(
    name: str, draw: st.DrawFn, order: Payload, *, amounts: st.SearchStrategy[Any] = _WHOLE, total: str | None = None
) -> tuple[Any, str]:
    """Add an amount to the field *name*, to break an arithmetic rule. Also add it to the field *total*, if given."""
    member = draw_member(draw, "response", order, lambda member: member.name == name)
    amount = draw(amounts)
    member.owner[member.field.name] += amount
    if total is not None:
        order[total] += amount
    return order, member.pointer


def _completeness(draw: st.DrawFn, order: Payload) -> tuple[Any, str]:
    order["allocated_completely"] = not order["allocated_completely"]
    return order, "/allocated_completely"


def _not_ordered(draw: st.DrawFn, order: Payload) -> tuple[Any, str]:
    lines = order["allocations"][0]["line_items"]
    index = draw(st.integers(0, len(lines) - 1))
    sellable = lines[index]["sellable"]
    other = max(line["sellable"]["id"] for line in order["line_items"]) + draw(st.integers(1, 1000))
    for entry in sellable["stock_entries"]:
        entry["sellable_id"] = other
    sellable["id"] = other
    order["allocated_completely"] = False
    return order, f"/allocations/0/line_items/{index}/sellable/id"


def _is_free_id(member: Member) -> bool:
    return member.field.is_id and member.name not in _LINKED


def _is_free_amount(member: Member) -> bool:
    # Several arithmetic rules use the prices of a sellable, so a negative price would break more than one rule.
    return member.field.is_amount and not member.name.startswith("sellable.")


_NO_ORDERS: list[Any] = [{}, {"status": "created"}, {"error_messages": "Not found"}, {"order": {}}]

RESPONSE_MUTATIONS: Mapping[RuleId, Mutation] = {
    "not-an-order": lambda draw, order: (copy.deepcopy(draw(st.sampled_from(_NO_ORDERS))), ""),
    "wrong-type": partial(change_type, "response", _is_typed),
    "null-value": partial(replace, "response", lambda member: _is_typed(member) and not member.field.nullable, [None]),
    "required-field": partial(remove, "response", lambda member: member.field.required),
    "absent-field": partial(remove, "response", lambda member: not member.field.required),
    "undocumented-field": partial(insert, "response"),
    "id-not-positive-integer": partial(replace, "response", _is_free_id, NOT_IDS),
    "datetime-format": partial(replace, "response", lambda member: member.field.is_datetime, NOT_DATES),
    "quantity-not-positive": partial(_replace_consistently, _is_quantity, [0, -1, -7.0]),
    "quantity-not-integer": partial(_replace_consistently, _is_quantity, [0.5, 1.25, -0.5]),
    "negative-amount": partial(_replace_consistently, _is_free_amount, [-0.01, -1, -1399.5]),
    "non-finite-number": partial(replace, "response", lambda member: member.field.type == "number", NOT_FINITE),
    "too-deep": partial(nest, "response", lambda member: True),
    "allocation-order": partial(_add, "allocation.order_id"),
    "payment-order": partial(_add, "payment.order_id"),
    "available-stock": partial(_add, "stock_entry.available_stock_level", amounts=_UNITS),
    "stock-totals": partial(_add, "inventory.incoming_stock_level_at_all_warehouses", amounts=_UNITS),
    "stock-copies": partial(_add, "sellable.stock_level_at_all_warehouses", amounts=_UNITS),
    "stock-entry-sellable": partial(_add, "stock_entry.sellable_id"),
    "stock-entry-warehouse": partial(_add, "stock_entry.warehouse_id"),
    "profit": partial(_add, "sellable.profit", amounts=_MONEY),
    "margin": partial(_add, "sellable.margin", amounts=_MONEY),
    "on-hand-value": partial(_add, "sellable.on_hand_value", amounts=_MONEY),
    "title-copies": lambda draw, order: _add(draw(_TITLES), draw, order, amounts=st.just(" copied")),
    "main-image-product": partial(_add, "main_image.product_id"),
    "subtotal": partial(_add, "order.subtotal_price", total="total_price", amounts=_MONEY),
    "total": partial(_add, "order.total_price", amounts=_MONEY),
    "completeness": _completeness,
    "allocated-sellable": _not_ordered,
    "subscription-plan": partial(_add, "company.subscription_plan_id"),
}

_TOO_DEEP = [
    body for n in (65, 1_000, 100_000) for body in (b"[" * n, b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n)
]


@st.composite
def malformed_bodies(draw: st.DrawFn) -> bytes:
    """Return a strategy for request bodies (bytes) that are not strict JSON.

    A body is empty, truncated, not JSON, not UTF-8 or nested too deeply, or it has a byte order mark, a duplicate
    member or a number that is not finite.
    """
    by_defect = _malformed(json.dumps(draw(allocation_requests(max_lines=3))))
    return draw(st.sampled_from(by_defect[draw(st.sampled_from(list(by_defect)))]))


def _malformed(text: str) -> dict[str, list[bytes]]:
    """Map each kind of defect to malformed variants of *text*, a valid body as JSON."""
    body = text.encode()
    bad_utf8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80")
    not_finite = ("NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 5000)
    names = ("warehouse_id", "line_items_attributes", "sellable_id", "quantity")
    return {
        "truncated": [body[:length] for length in range(1, len(body))],
        "not UTF-8": [body.replace(b'"allocation"', b'"alloc' + wrong + b'ation"') for wrong in bad_utf8],
        "another encoding": [text.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32")],
        "not finite": [text.replace('"quantity": ', f'"quantity": {n}, "was": ', 1).encode() for n in not_finite],
        "duplicate member": [text.replace(f'"{n}": ', f'"{n}": 1, "{n}": ', 1).encode() for n in names],
        "too deep": _TOO_DEEP,
        "not JSON": [b"", b" ", b"<html></html>", b"allocation[id]=5", body.replace(b'"', b"'"), body + b"}"],
    }
