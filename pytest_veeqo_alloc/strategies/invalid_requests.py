"""Strategies for request bodies that break one rule, and for malformed bodies."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.requests import Payload, allocation_requests
from pytest_veeqo_alloc.strategies.values import (
    NEW_NAMES,
    NEW_VALUES,
    NOT_FINITE,
    NOT_IDS,
    deeply_nested,
    wrong_root,
    wrong_type,
)

LINES = "/allocation/line_items_attributes"


@dataclass(frozen=True, slots=True)
class Broken:
    """A payload that breaks one rule at one pointer: it has exactly that error in the profile `strict`."""

    payload: Any
    rule: str
    pointer: str


Mutation = Callable[[st.DrawFn, Payload], tuple[Any, str]]
"""Breaks one rule: takes a valid payload, which it may change, and returns the broken one with a pointer."""


def invalid_allocation_requests() -> st.SearchStrategy[Broken]:
    """Return a strategy for request bodies that break exactly one of the rules that a request body can break."""
    return mutated(allocation_requests(max_lines=4), REQUEST_MUTATIONS)


@st.composite
def mutated(draw: st.DrawFn, valid: st.SearchStrategy[Payload], mutations: Mapping[str, Mutation]) -> Broken:
    """Generate payloads of *valid*, each broken by one of the *mutations*, which are listed by rule."""
    # The rule is drawn last: Hypothesis tends to keep what it drew first, and would try only a few rules.
    payload = draw(valid)
    rule = draw(st.sampled_from(list(mutations)))
    payload, pointer = mutations[rule](draw, payload)
    return Broken(payload, rule, pointer)


def _documented_field(draw: st.DrawFn, body: Payload) -> tuple[dict[str, Any], str, str, str]:
    """Draw a documented field; return the object that has it, its name, its pointer and its type."""
    allocation = tables().request.children[0][2]
    types = {"allocation": "object"} | {field.name: str(field.type) for field in allocation.fields.values()}
    name, json_type = draw(st.sampled_from(list(types.items())))
    if name == "allocation":
        return body, name, "/allocation", json_type
    return body["allocation"], name, f"/allocation/{name}", json_type


def _line(draw: st.DrawFn, body: Payload) -> tuple[list[Any], int, str]:
    """Draw a line item; return the list of all, the index of the line, and its pointer."""
    lines = body["allocation"]["line_items_attributes"]
    index = draw(st.integers(0, len(lines) - 1))
    return lines, index, f"{LINES}/{index}"


def _wrong_type(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    if draw(st.booleans()):
        return wrong_root(draw, body), ""
    owner, name, pointer, json_type = _documented_field(draw, body)
    # Null instead of the whole allocation counts as a wrong type, too.
    owner[name] = None if name == "allocation" and draw(st.booleans()) else wrong_type(draw, json_type)
    return body, pointer


def _null(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    name = draw(st.sampled_from(list(body["allocation"])))
    body["allocation"][name] = None
    return body, f"/allocation/{name}"


def _missing(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    owner, name, pointer, _ = _documented_field(draw, body)
    del owner[name]
    return body, pointer


def _undocumented(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    lines, index, line = _line(draw, body)
    owners = [(body, ""), (body["allocation"], "/allocation"), (lines[index], line)]
    owner, pointer = draw(st.sampled_from(owners))
    name = draw(st.sampled_from(NEW_NAMES))
    owner[name] = draw(st.sampled_from(NEW_VALUES))
    return body, join(pointer, name)


def _line_shape(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    lines, index, pointer = _line(draw, body)
    name = draw(st.sampled_from(["", *lines[index]]))
    if not name:
        lines[index] = draw(st.sampled_from([None, 1, "1", [], True]))
        return body, pointer
    if draw(st.booleans()):
        del lines[index][name]
    else:
        lines[index][name] = draw(st.sampled_from(["1", None, [], {}, True]))
    return body, f"{pointer}/{name}"


def _no_lines(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    body["allocation"]["line_items_attributes"] = []
    return body, LINES


def _quantity(values: Sequence[float]) -> Mutation:
    def mutation(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
        lines, index, pointer = _line(draw, body)
        lines[index]["quantity"] = draw(st.sampled_from(values))
        return body, f"{pointer}/quantity"

    return mutation


def _duplicate(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    lines, index, _ = _line(draw, body)
    lines.append({"sellable_id": lines[index]["sellable_id"], "quantity": draw(st.integers(1, 9))})
    return body, f"{LINES}/{len(lines) - 1}/sellable_id"


def _id(values: Sequence[float]) -> Mutation:
    def mutation(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
        lines, index, line = _line(draw, body)
        ids = [(body["allocation"], "warehouse_id", "/allocation"), (lines[index], "sellable_id", line)]
        owner, name, pointer = draw(st.sampled_from(ids))
        owner[name] = draw(st.sampled_from(values))
        return body, f"{pointer}/{name}"

    return mutation


def _too_deep(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    owner, name, _, _ = _documented_field(draw, body)
    owner[name] = deeply_nested()
    return body, ""


REQUEST_MUTATIONS: Mapping[str, Mutation] = {
    "request-not-wrapped": lambda draw, body: (body["allocation"], ""),
    "wrong-type": _wrong_type,
    "null-value": _null,
    "required-field": _missing,
    "undocumented-field": _undocumented,
    "line-item-shape": _line_shape,
    "line-items-empty": _no_lines,
    "quantity-not-positive": _quantity([0, -1, -1000, 0.0, -1.0]),
    "quantity-not-integer": _quantity([0.5, 1.5, -0.5, 1e-9]),
    "duplicate-sellable": _duplicate,
    "id-not-positive-integer": _id(NOT_IDS),
    "non-finite-number": _id(NOT_FINITE),
    "too-deep": _too_deep,
}


@st.composite
def malformed_bodies(draw: st.DrawFn) -> bytes:
    """Generate bytes that break a rule about reading JSON, made from valid request bodies.

    They are empty, truncated, not JSON, not UTF-8, with a byte order mark, with a duplicate member, with a number
    that is not finite, or nested too deep.
    """
    by_defect = _malformed(json.dumps(draw(allocation_requests(max_lines=3))))
    return draw(st.sampled_from(by_defect[draw(st.sampled_from(list(by_defect)))]))


def _malformed(text: str) -> dict[str, list[bytes]]:
    """Return malformed forms of *text*, the JSON text of a request body, by defect."""
    body = text.encode()
    bad_utf8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80")
    not_finite = ("NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 5000)
    names = ("warehouse_id", "line_items_attributes", "sellable_id", "quantity")
    other = (b"", b" ", b"<html></html>", b"allocation[warehouse_id]=5", body.replace(b'"', b"'"), body + b"}")
    return {
        "truncated": [body[:length] for length in range(1, len(body))],
        "not UTF-8": [body.replace(b'"allocation"', b'"alloc' + wrong + b'ation"') for wrong in bad_utf8],
        "another encoding": [text.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32")],
        "not finite": [text.replace('"quantity": ', f'"quantity": {n}, "was": ', 1).encode() for n in not_finite],
        "duplicate member": [text.replace(f'"{n}": ', f'"{n}": 1, "{n}": ', 1).encode() for n in names],
        "too deep": _nested_bodies(),
        "not JSON": [*other],
    }


@functools.cache
def _nested_bodies() -> list[bytes]:
    by_depth = ([b"[" * n, b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n] for n in (65, 1_000, 100_000))
    return [body for bodies in by_depth for body in bodies]
