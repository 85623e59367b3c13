"""From an outcome to the answer that tells it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pytest_veeqo_alloc.contract.error_responses import ERROR_ANSWERS, JSON_TYPE
from pytest_veeqo_alloc.core.http import TOKEN, Headers, Response
from pytest_veeqo_alloc.coverage.collector import OUR_SERVER
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Story
from pytest_veeqo_alloc.server.world import CREATED, METHOD_NOT_ALLOWED, Outcome
from pytest_veeqo_alloc.spec.loader import tables


def answer_to(outcome: Outcome, base_url: str = "") -> Response:
    """The whole answer: an order, or an error of the form that the API was seen to send."""
    if outcome.story is None:
        return error_answer(outcome.name, outcome.reason)
    body = order_text(outcome.story).encode()
    if outcome.name != CREATED:
        return Response(200, _HEADERS, body)
    operation = tables().operation
    # The Location of this call names the order, not the allocation.
    location = (operation.location_header, f"{base_url}/orders/{outcome.story.order_id}")
    return Response(operation.status, (*_HEADERS, location), body)


_NAME = ("Server", OUR_SERVER)
_HEADERS: Headers = (("Content-Type", JSON_TYPE), _NAME)


PLACEHOLDER = 7700770077007700
"""An id that stands for another in the text of an order: the order's own, and those after it for the allocations."""
_PLACEHOLDERS = re.compile(r"(77007700770077[0-9]{2})")


def order_text(story: Story) -> str:
    """The order of *story* as JSON. Stories of a test often differ in their ids alone, so the rest is encoded once."""
    if len(story.allocations) >= 100:  # there are no more placeholders
        return json.dumps(build_order(story), separators=(",", ":"))
    alike = tuple((each.warehouse_id, each.lines) for each in story.allocations)
    facts = (story.lines, story.discount, story.delivery, story.customer, story.placed_at)
    ids = (str(story.order_id), *(str(each.id) for each in story.allocations))
    parts = _encoded(alike, *facts)
    if not parts:
        return json.dumps(build_order(story), separators=(",", ":"))
    return "".join(part if isinstance(part, str) else ids[part] for part in parts)


@functools.lru_cache(maxsize=128)
def _encoded(
    alike: tuple[tuple[int, tuple[tuple[int, int], ...]], ...],
    lines: tuple[Line, ...],
    discount: int,
    delivery: int,
    customer: Customer,
    placed_at: str,
) -> tuple[str | int, ...]:
    """The text of an order, cut where its ids stand; each of these is told by its number. Nothing where something else in
    the order looks like a placeholder."""
    allocations = tuple(
        Allocation(warehouse, units, PLACEHOLDER + at) for at, (warehouse, units) in enumerate(alike, start=1)
    )
    story = Story(PLACEHOLDER, lines, allocations, discount, delivery, customer, placed_at)
    parts = _PLACEHOLDERS.split(json.dumps(build_order(story), separators=(",", ":")))
    # The order's own id stands in three places, and each allocation has one more of it beside its own.
    if len(parts) // 2 != 3 + 2 * len(alike):
        return ()
    return tuple(int(part) - PLACEHOLDER if at % 2 else part for at, part in enumerate(parts))


_FRAMING = ("content-length", "transfer-encoding", "connection")


def injected_answer(status: int, body: object, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Response:
    """The answer that a test asks for. ValueError, in one sentence, for what cannot be sent."""
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"status= is a final status from 200 to 599, not {status!a}")
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(text, str) and text.isprintable() and _is_latin(text) for text in pair):
            raise ValueError("headers= are names and values that are text of one line in Latin-1")
        if re.fullmatch(TOKEN, pair[0]) is None or pair[0].lower() in _FRAMING:
            raise ValueError(f"headers= has {pair[0]!a}: it is no name of a header, or the server sets it itself")
    if body is None or isinstance(body, bytes):
        return Response(status, pairs, body or b"")
    raw = body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()
    declared = any(name.lower() == "content-type" for name, _ in pairs)
    return Response(status, pairs if declared else (("Content-Type", JSON_TYPE), *pairs), raw)


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def error_answer(name: str, reason: str = "") -> Response:
    """The error answer *name*; one that nobody has seen may as well say why."""
    if name == METHOD_NOT_ALLOWED:
        return json_answer(405, {"status": 405, "error": "Method Not Allowed"}, (("Allow", tables().operation.method),))
    known = ERROR_ANSWERS[name]
    if known.seen or not reason:
        return replace(known.response, headers=(*known.response.headers, _NAME))
    return json_answer(known.response.status, {"error_messages": [reason]})


def json_answer(status: int, value: Any, headers: Headers = ()) -> Response:
    """*value* as JSON, declared as the API declares it."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(status, (*_HEADERS, *headers), body)
