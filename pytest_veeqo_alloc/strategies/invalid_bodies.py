"""Hypothesis strategies for bodies that break one rule, and for malformed bodies."""

from __future__ import annotations

import copy
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, NamedTuple, ParamSpec

from hypothesis import strategies as st

from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.rules import BodySide
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.orders.story import units_by_sellable
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.requests import Payload, allocation_requests
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.values import NEW_NAMES, NEW_VALUES, NOT_DATES, NOT_FINITE, NOT_IDS

_OF_TYPE: dict[str, Any] = {"string": "1", "number": 1, "boolean": True, "object": {}, "array": []}

P = ParamSpec("P")

_LINKED = {
    "order.id", "allocation.order_id", "payment.order_id", "sellable.id", "warehouse.id", "stock_entry.sellable_id",
    "stock_entry.warehouse_id", "product.id", "main_image.product_id", "company.subscription_plan_id",
    "subscription_plan.id",
}  # fmt: skip
"""Fields that must equal another id of the order. An invalid id in such a field would break two rules."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An invalid body. In the profile "strict", its only error is a violation of `rule` at the JSON `pointer`."""

    payload: Any
    rule: str
    pointer: str


Mutation = Callable[[st.DrawFn, Payload], tuple[Any, str]]
"""A function that makes a valid body break one rule. It returns the changed body and the JSON pointer of the error."""


def invalid_allocation_requests() -> st.SearchStrategy[Broken]:
    """Return a strategy for request bodies. Each body breaks exactly one rule of the contract."""
    return broken_payloads(allocation_requests(max_lines=4), REQUEST_MUTATIONS)


def invalid_allocation_responses() -> st.SearchStrategy[Broken]:
    """Return a strategy for response bodies. Each body breaks exactly one rule of the contract."""
    return broken_payloads(balanced_orders(), RESPONSE_MUTATIONS)


@st.composite
def broken_payloads(draw: st.DrawFn, valid: st.SearchStrategy[Payload], mutations: Mapping[str, Mutation]) -> Broken:
    """Draw a body from *valid* and change it by one of *mutations*. Their keys are the ids of the broken rules."""
    # Draw the rule last: Hypothesis tends to keep its first draws, and would try only a few rules.
    payload = draw(valid)
    rule = draw(st.sampled_from(list(mutations)))
    payload, pointer = mutations[rule](draw, payload)
    return Broken(payload, rule, pointer)


class Member(NamedTuple):
    """A documented field of a body. `owner` is the object that contains it; `name` has the form `OBJECT_TYPE.FIELD`."""

    pointer: str
    name: str
    field: Field
    owner: dict[str, Any]


Matches = Callable[[Member], bool]


def draw_member(draw: st.DrawFn, side: BodySide, body: Payload, matches: Matches) -> Member:
    """Draw a documented field of *body* for which *matches* returns true."""

    def below(owner: Any, shape: Shape, pointer: str) -> Iterator[Member]:
        for field in shape.fields.values():
            yield Member(f"{pointer}/{field.name}", f"{shape.name}.{field.name}", field, owner)
        for name, is_array, child in shape.children:
            for index, item in enumerate(owner[name]) if is_array else [("", owner[name])]:
                yield from below(item, child, f"{pointer}/{name}/{index}" if is_array else f"{pointer}/{name}")

    root = tables().request if side == "request" else tables().response
    member: Member = draw(st.sampled_from([member for member in below(body, root, "") if matches(member)]))
    return member


def mutation(change: Callable[Concatenate[st.DrawFn, Payload, P], tuple[Any, str]]) -> Callable[P, Mutation]:
    """Turn *change* into a factory of mutations. The factory takes the arguments that follow `draw` and `body`."""

    def with_arguments(*args: P.args, **kwargs: P.kwargs) -> Mutation:
        return lambda draw, body: change(draw, body, *args, **kwargs)

    return with_arguments


@mutation
def replacement(
    draw: st.DrawFn,
    body: Payload,
    side: BodySide,
    matches: Matches,
    values: Sequence[Any],
    then: Callable[[Payload], None] | None = None,
) -> tuple[Any, str]:
    """Set a field that *matches* accepts to one of *values*, then call *then* to adapt the rest of *body*."""
    member = draw_member(draw, side, body, matches)
    member.owner[member.field.name] = copy.deepcopy(draw(st.sampled_from(values)))
    if then is not None:
        then(body)
    return body, member.pointer


@mutation
def type_change(draw: st.DrawFn, body: Payload, side: BodySide, matches: Matches) -> tuple[Any, str]:
    """Give a wrong type to the whole body, or to a field that *matches* accepts."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.sampled_from([None, [], [body], "text", 0, True])), ""
    member = draw_member(draw, side, body, matches)
    # Null is a wrong type for the whole allocation; for other fields it breaks the rule null-value.
    is_null = member.pointer == "/allocation" and draw(st.booleans())
    others = [value for json_type, value in _OF_TYPE.items() if json_type != member.field.type]
    member.owner[member.field.name] = None if is_null else copy.copy(draw(st.sampled_from(others)))
    return body, member.pointer


@mutation
def removal(draw: st.DrawFn, body: Payload, side: BodySide, matches: Matches) -> tuple[Any, str]:
    """Remove a field that *matches* accepts from *body*."""
    member = draw_member(draw, side, body, matches)
    del member.owner[member.field.name]
    return body, member.pointer


@mutation
def addition(draw: st.DrawFn, body: Payload, side: BodySide) -> tuple[Any, str]:
    """Add an undocumented member to an object in *body*."""
    member = draw_member(draw, side, body, lambda member: True)
    name = draw(st.sampled_from(NEW_NAMES))
    member.owner[name] = draw(st.sampled_from(NEW_VALUES))
    return body, join(member.pointer.rpartition("/")[0], name)


def excess_depth(side: BodySide, matches: Matches) -> Mutation:
    """Return a mutation that makes a body too deep. It sets a field that *matches* accepts to nested arrays."""
    nest = replacement(side, matches, [json.loads("[" * 71 + "]" * 71)])
    return lambda draw, body: (nest(draw, body)[0], "")


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


_is_id, _is_quantity = operator.attrgetter("field.is_id"), operator.attrgetter("field.is_quantity")


def _above_lines(member: Member) -> bool:
    return not member.name.startswith("line_item.")  # errors in line items belong to the rule line-item-shape


REQUEST_MUTATIONS: Mapping[str, Mutation] = {
    "request-not-wrapped": lambda draw, body: (body["allocation"], ""),
    "wrong-type": type_change("request", _above_lines),
    "null-value": replacement("request", lambda member: member.name.startswith("allocation."), [None]),
    "required-field": removal("request", _above_lines),
    "undocumented-field": addition("request"),
    "line-item-shape": _line_shape,
    "line-items-empty": replacement("request", lambda member: member.field.name == "line_items_attributes", [[]]),
    "quantity-not-positive": replacement("request", _is_quantity, [0, -1, -1000, 0.0, -1.0]),
    "quantity-not-integer": replacement("request", _is_quantity, [0.5, 1.5, -0.5, 1e-9]),
    "duplicate-sellable": _duplicate,
    "id-not-positive-integer": replacement("request", _is_id, NOT_IDS),
    "non-finite-number": replacement("request", _is_id, NOT_FINITE),
    "too-deep": excess_depth("request", _above_lines),
}


def _adapt_totals(order: Payload) -> None:
    """Recalculate the totals of *order*, and whether the order is allocated completely."""
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
    """Break one arithmetic rule: add an amount to the field *name* and to the *totals* that depend on it."""
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
    """Replace an allocated sellable with one that was not ordered."""
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
    # Several arithmetic rules use the prices of a sellable, so that a negative price would break more than one rule.
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
    "quantity-not-positive": replacement("response", _is_quantity, [0, -1, -7.0], _adapt_totals),
    "quantity-not-integer": replacement("response", _is_quantity, [0.5, 1.25, -0.5], _adapt_totals),
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

_TOO_DEEP = [
    body for n in (65, 1_000, 100_000) for body in (b"[" * n, b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n)
]


@st.composite
def malformed_bodies(draw: st.DrawFn) -> bytes:
    """Generate request bodies (bytes) that are not strict JSON.

    A body is empty, truncated, not JSON, not UTF-8 or nested too deeply, or it has a byte order mark, a duplicate
    member or a number that is not finite.
    """
    by_defect = _malformed(json.dumps(draw(allocation_requests(max_lines=3))))
    return draw(st.sampled_from(by_defect[draw(st.sampled_from(list(by_defect)))]))


def _malformed(text: str) -> dict[str, list[bytes]]:
    """Return malformed variants of *text*, a valid body as JSON, by the kind of defect."""
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
