"""Payloads with exactly one thing wrong, and the name of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.core.json_pointer import join, set_value
from pytest_veeqo_alloc.spec.loader import request_shape
from pytest_veeqo_alloc.strategies.invalid_responses import ORDER_BREAKERS
from pytest_veeqo_alloc.strategies.requests import Payload, allocation_requests
from pytest_veeqo_alloc.strategies.responses import orders_to_break
from pytest_veeqo_alloc.strategies.values import (
    NEW_NAMES,
    NOT_FINITE,
    NOT_IDS,
    deeply_nested,
    wrong_root,
    wrong_type,
)

LINES = "/allocation/line_items_attributes"


@dataclass(frozen=True, slots=True)
class Broken:
    """A payload that breaks one rule, and no other, at one pointer: exactly one error in the profile `strict`."""

    payload: Any
    rule: str
    pointer: str


def invalid_allocation_requests() -> st.SearchStrategy[Broken]:
    """Bodies of requests with exactly one thing wrong. Every rule that the body of a request can break comes."""
    return broken(allocation_requests(max_lines=4), REQUEST_BREAKERS)


def invalid_allocation_responses() -> st.SearchStrategy[Broken]:
    """Bodies of responses with exactly one thing wrong. Every rule that such a body can break by itself comes."""
    return broken(orders_to_break(), ORDER_BREAKERS)


Breaker = Callable[[st.DrawFn, Any], tuple[Any, str]]


@st.composite
def broken(draw: st.DrawFn, valid: st.SearchStrategy[Any], breakers: Mapping[str, Breaker]) -> Broken:
    """A payload of *valid*, broken by one of *breakers*."""
    # The rule comes last: Hypothesis likes to keep what it drew first, and would dwell on a few rules.
    payload = draw(valid)
    rule = draw(st.sampled_from(list(breakers)))
    payload, pointer = breakers[rule](draw, payload)
    return Broken(payload, rule, pointer)


def _field(draw: st.DrawFn) -> tuple[str, str]:
    """One of the documented fields of a request, with its type."""
    allocation = request_shape().children[0][2]
    fields = {"/allocation": "object"} | {f"/allocation/{f.name}": str(f.type) for f in allocation.fields.values()}
    return draw(st.sampled_from(list(fields.items())))


def _line(draw: st.DrawFn, body: Payload) -> tuple[dict[str, Any], str]:
    lines = body["allocation"]["line_items_attributes"]
    at = draw(st.integers(0, len(lines) - 1))
    return lines[at], f"{LINES}/{at}"


def _wrong_type(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    if draw(st.booleans()):
        return wrong_root(draw, body), ""
    pointer, kind = _field(draw)
    # Null instead of the whole allocation is a wrong type, too.
    nothing = pointer == "/allocation" and draw(st.booleans())
    return set_value(body, pointer, None if nothing else wrong_type(draw, kind)), pointer


def _null(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    name = draw(st.sampled_from(list(body["allocation"])))
    body["allocation"][name] = None
    return body, f"/allocation/{name}"


def _missing(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    pointer, _ = _field(draw)
    del (body if pointer == "/allocation" else body["allocation"])[pointer.rpartition("/")[2]]
    return body, pointer


def _undocumented(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    line, here = _line(draw, body)
    owner, pointer = draw(st.sampled_from([(body, ""), (body["allocation"], "/allocation"), (line, here)]))
    name = draw(st.sampled_from(NEW_NAMES))
    owner[name] = draw(st.sampled_from([None, 0, "x", True]))
    return body, join(pointer, name)


def _line_shape(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    line, pointer = _line(draw, body)
    name = draw(st.sampled_from(["", *line]))
    if not name:
        return set_value(body, pointer, draw(st.sampled_from([None, 1, "1", [], True]))), pointer
    if draw(st.booleans()):
        del line[name]
    else:
        line[name] = draw(st.sampled_from(["1", None, [], {}, True]))
    return body, f"{pointer}/{name}"


def _quantity(values: list[float]) -> Breaker:
    def breaker(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
        line, pointer = _line(draw, body)
        line["quantity"] = draw(st.sampled_from(values))
        return body, f"{pointer}/quantity"

    return breaker


def _duplicate(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    line, _ = _line(draw, body)
    lines = body["allocation"]["line_items_attributes"]
    lines.append({"sellable_id": line["sellable_id"], "quantity": draw(st.integers(1, 9))})
    return body, f"{LINES}/{len(lines) - 1}/sellable_id"


def _number(values: list[Any]) -> Breaker:
    def breaker(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
        line, pointer = _line(draw, body)
        owner, here = draw(
            st.sampled_from([(body["allocation"], "/allocation/warehouse_id"), (line, f"{pointer}/sellable_id")])
        )
        owner[here.rpartition("/")[2]] = draw(st.sampled_from(values))
        return body, here

    return breaker


def _deep(draw: st.DrawFn, body: Payload) -> tuple[Any, str]:
    pointer, _ = _field(draw)
    return set_value(body, pointer, deeply_nested()), ""


REQUEST_BREAKERS: Mapping[str, Breaker] = {
    "request-not-wrapped": lambda draw, body: (body["allocation"], ""),
    "wrong-type": _wrong_type,
    "null-value": _null,
    "required-field": _missing,
    "undocumented-field": _undocumented,
    "line-item-shape": _line_shape,
    "line-items-empty": lambda draw, body: (set_value(body, LINES, []), LINES),
    "quantity-not-positive": _quantity([0, -1, -1000, 0.0, -1.0]),
    "quantity-not-integer": _quantity([0.5, 1.5, -0.5, 1e-9]),
    "duplicate-sellable": _duplicate,
    "id-not-positive-integer": _number(NOT_IDS),
    "non-finite-number": _number(NOT_FINITE),
    "too-deep": _deep,
}


Corruptor = Callable[[st.DrawFn, str], bytes]


def malformed_bodies() -> st.SearchStrategy[bytes]:
    """Bytes that break a rule of the reading: empty, truncated, no JSON, no UTF-8, a byte order mark, a member twice, a
    number that is not finite, or nesting without end. Made from valid bodies of requests."""
    return _malformed()


@st.composite
def _malformed(draw: st.DrawFn) -> bytes:
    spoil: Corruptor = draw(st.sampled_from(_SPOILERS))
    return spoil(draw, json.dumps(draw(allocation_requests(max_lines=3))))


def _truncated(draw: st.DrawFn, text: str) -> bytes:
    return text.encode()[: draw(st.integers(1, len(text) - 1))]


def _bad_utf8(draw: st.DrawFn, text: str) -> bytes:
    wrong = draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"]))
    return text.encode().replace(b'"allocation"', b'"alloc' + wrong + b'ation"')


def _encoded(draw: st.DrawFn, text: str) -> bytes:
    return text.encode(draw(st.sampled_from(["utf-8-sig", "utf-16", "utf-32"])))


def _not_finite(draw: st.DrawFn, text: str) -> bytes:
    number = draw(st.sampled_from(["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 5000]))
    return text.replace('"quantity": ', f'"quantity": {number}, "was": ', 1).encode()


def _twice(draw: st.DrawFn, text: str) -> bytes:
    name = draw(st.sampled_from(["warehouse_id", "line_items_attributes", "sellable_id", "quantity"]))
    return text.replace(f'"{name}": ', f'"{name}": 1, "{name}": ', 1).encode()


def _deep_text(draw: st.DrawFn, text: str) -> bytes:
    levels = draw(st.sampled_from([65, 1_000, 100_000]))
    return draw(
        st.sampled_from([b"[" * levels, b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels])
    )


def _other_text(draw: st.DrawFn, text: str) -> bytes:
    single = text.replace('"', "'")
    return draw(
        st.sampled_from(
            [b"", b" ", b"<html></html>", b"allocation[warehouse_id]=5", single.encode(), (text + "}").encode()]
        )
    )


_SPOILERS: list[Corruptor] = [
    _truncated, _bad_utf8, _encoded, _not_finite, _twice, _deep_text, _other_text,
]  # fmt: skip
