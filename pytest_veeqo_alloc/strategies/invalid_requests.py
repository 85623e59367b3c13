"""Hypothesis strategies for request bodies that break one rule, and for malformed bodies."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, NamedTuple, ParamSpec

from hypothesis import strategies as st

from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.rules import BodySide
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.requests import Payload, allocation_requests
from pytest_veeqo_alloc.strategies.values import (
    DEEPLY_NESTED,
    NEW_NAMES,
    NEW_VALUES,
    NOT_FINITE,
    NOT_IDS,
    VALUE_OF_TYPE,
)

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Broken:
    """An invalid body. In the profile "strict" it has exactly one error: of the rule `rule`, at `pointer`."""

    payload: Any
    rule: str
    pointer: str


Mutation = Callable[[st.DrawFn, Payload], tuple[Any, str]]
"""A function that breaks one rule. It may change the valid body that it gets; it returns the invalid body and the pointer
of the error."""


def invalid_allocation_requests() -> st.SearchStrategy[Broken]:
    """Return a strategy for request bodies, each of which breaks exactly one rule of the contract."""
    return broken_payloads(allocation_requests(max_lines=4), REQUEST_MUTATIONS)


@st.composite
def broken_payloads(draw: st.DrawFn, valid: st.SearchStrategy[Payload], mutations: Mapping[str, Mutation]) -> Broken:
    """Generate a body from *valid*, changed by one of *mutations*. The keys of *mutations* are the rules to break."""
    # Draw the rule last: Hypothesis tends to keep its first draws, and would try only a few rules.
    payload = draw(valid)
    rule = draw(st.sampled_from(list(mutations)))
    payload, pointer = mutations[rule](draw, payload)
    return Broken(payload, rule, pointer)


class Member(NamedTuple):
    """A documented field in a body. `name` is `TYPE.FIELD`; the object `owner` contains the field."""

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
    """Return a function that takes all arguments of *change* but the first two, and returns a mutation."""

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
    """Set a field to one of *values*. *then* adapts the rest of the body to the new value."""
    member = draw_member(draw, side, body, matches)
    member.owner[member.field.name] = copy.deepcopy(draw(st.sampled_from(values)))
    if then is not None:
        then(body)
    return body, member.pointer


@mutation
def type_change(draw: st.DrawFn, body: Payload, side: BodySide, matches: Matches) -> tuple[Any, str]:
    """Replace the body, or a field, with a value of a wrong type."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.sampled_from([None, [], [body], "text", 0, True])), ""
    member = draw_member(draw, side, body, matches)
    # Null is a wrong type for the whole allocation; for other fields it breaks the rule null-value.
    is_null = member.pointer == "/allocation" and draw(st.booleans())
    others = [value for json_type, value in VALUE_OF_TYPE.items() if json_type != member.field.type]
    member.owner[member.field.name] = None if is_null else copy.copy(draw(st.sampled_from(others)))
    return body, member.pointer


@mutation
def removal(draw: st.DrawFn, body: Payload, side: BodySide, matches: Matches) -> tuple[Any, str]:
    """Remove a field."""
    member = draw_member(draw, side, body, matches)
    del member.owner[member.field.name]
    return body, member.pointer


@mutation
def addition(draw: st.DrawFn, body: Payload, side: BodySide) -> tuple[Any, str]:
    """Add an undocumented member to an object."""
    member = draw_member(draw, side, body, lambda member: True)
    name = draw(st.sampled_from(NEW_NAMES))
    member.owner[name] = draw(st.sampled_from(NEW_VALUES))
    return body, join(member.pointer.rpartition("/")[0], name)


def excess_depth(side: BodySide, matches: Matches) -> Mutation:
    """Return a mutation that nests a field deeper than the limit. The finding is about the whole body."""
    nest = replacement(side, matches, [DEEPLY_NESTED])
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


def _is_id(member: Member) -> bool:
    return member.field.is_id


def is_quantity(member: Member) -> bool:
    """Return whether a field is a quantity."""
    return member.field.is_quantity


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
    "quantity-not-positive": replacement("request", is_quantity, [0, -1, -1000, 0.0, -1.0]),
    "quantity-not-integer": replacement("request", is_quantity, [0.5, 1.5, -0.5, 1e-9]),
    "duplicate-sellable": _duplicate,
    "id-not-positive-integer": replacement("request", _is_id, NOT_IDS),
    "non-finite-number": replacement("request", _is_id, NOT_FINITE),
    "too-deep": excess_depth("request", _above_lines),
}


@st.composite
def malformed_bodies(draw: st.DrawFn) -> bytes:
    """Generate malformed request bodies: bytes that are not strict JSON.

    A body is empty, truncated, not JSON, not UTF-8, or nested too deeply, or it has a byte order mark, a duplicate
    member or a number that is not finite.
    """
    by_defect = _malformed(json.dumps(draw(allocation_requests(max_lines=3))))
    return draw(st.sampled_from(by_defect[draw(st.sampled_from(list(by_defect)))]))


def _malformed(text: str) -> dict[str, list[bytes]]:
    """Return malformed bodies made from *text*, a request body as JSON, by the kind of the defect."""
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
        "too deep": _nested_bodies(),
        "not JSON": [b"", b" ", b"<html></html>", b"allocation[id]=5", body.replace(b'"', b"'"), body + b"}"],
    }


@functools.cache
def _nested_bodies() -> list[bytes]:
    by_depth = ([b"[" * n, b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n] for n in (65, 1_000, 100_000))
    return [body for bodies in by_depth for body in bodies]
