"""Tests of a server's responses to broken requests, and to requests about which the documentation says nothing.

Each test checks one rule. A server error, for example, fails only the test of the rule `server-error`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_veeqo_alloc.conformance.server_under_test import (
    WRONG_KEY,
    Requests,
    ServerUnderTest,
    allocation_body,
    covered,
    follows,
    named,
    response_of,
)
from pytest_veeqo_alloc.contract.allocations import as_object
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.core.http import Headers, Interaction
from pytest_veeqo_alloc.live.permission import PoolOrder
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS
from pytest_veeqo_alloc.strategies.sampling import broken_requests
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

MALFORMED: Mapping[str, tuple[bytes, ...]] = {
    "body-missing": (b"",),
    "not-json": (
        b'{"allocation": {"warehouse_id": 1, "line_items_attributes": [{"sel',
        b"allocation[warehouse_id]=1&allocation[line_items_attributes][][sellable_id]=1",
    ),
    "not-utf8": (b'{"allocation": {"\xff": 1}}', '{"allocation": {}}'.encode("utf-16")),
    "non-finite-number": (b'{"allocation": {"line_items_attributes": [{"quantity": NaN}]}}',),
    "wrong-type": (b"[]", b'"allocation"', b"1", b"null"),
    "too-deep": (b'{"allocation": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",),
}
"""Malformed bodies, keyed by the rule that they break. No body has both a warehouse and a sellable to allocate."""

NOT_INTEGERS = ("P-447452", "1.5", "%00", "1%27%20OR%201=1")
HUGE_IDS = (2**64 + 5, 10**28 + 1)
HUGE_NUMBER = b'{"allocation": {"line_items_attributes": [{"quantity": 1' + b"0" * 400 + b"}]}}"
BROKEN_RULES = [*(rule for rule in REQUEST_MUTATIONS if rule != "undocumented-field"),
                *(rule for rule in MALFORMED if rule not in REQUEST_MUTATIONS), "order-id-not-integer"]  # fmt: skip
MEDIA_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")
WRONG_KEYS = {"no API key": "", "a wrong API key": WRONG_KEY}
METHODS = ("GET", "PUT", "PATCH", "DELETE")


def _breaking(rule: str, server: ServerUnderTest) -> Requests:
    """Yield requests that break *rule* and no other rule."""
    if rule == "order-id-not-integer":
        body = allocation_body(server.any_order())
        yield from (named(f"order id {order_id}", partial(server.try_out, order_id, body)) for order_id in NOT_INTEGERS)

    def malformed(index: int, order: PoolOrder) -> bytes:
        return MALFORMED[rule][index]

    def broken(index: int, order: PoolOrder) -> Any:
        return broken_requests(order.warehouse_id, next(iter(order.sellables)))[rule][index]

    for index in range(len(MALFORMED.get(rule, ()))):
        yield named(f"{rule}, malformed body {index + 1}", partial(_post_broken, server, partial(malformed, index)))
    for index in range(len(broken_requests(1, 1).get(rule, ()))):
        yield partial(_post_broken, server, partial(broken, index))


def _post_broken(server: ServerUnderTest, body_for: Callable[[PoolOrder], Any], **options: Any) -> Interaction:
    order = server.any_order()
    return server.post(order.id, body_for(order), meant=allocation_body(order), **options)


def _trailing(server: ServerUnderTest) -> Requests:
    def body_for(after: bytes, order: PoolOrder) -> bytes:
        return json.dumps(allocation_body(order)).encode() + after

    return [
        named(f"followed by {after.decode()}", partial(_post_broken, server, partial(body_for, after)))
        for after in (b"}", b" trailing", b"{}")
    ]


def _without_key(server: ServerUnderTest) -> Requests:
    return [named(case, partial(_post_broken, server, allocation_body, key=key)) for case, key in WRONG_KEYS.items()]


def _other_methods(server: ServerUnderTest) -> Requests:
    order = server.any_order()
    bodies: dict[str, Any] = dict.fromkeys(("PUT", "PATCH"), allocation_body(order))
    return [named(method, partial(server.try_out, order.id, bodies.get(method), method)) for method in METHODS]


def _not_positive(server: ServerUnderTest) -> Requests:
    body = allocation_body(server.any_order())
    return [named(f"order id {order_id}", partial(server.try_out, order_id, body)) for order_id in ("0", "-1")]


REFUSED: Mapping[str, Callable[[ServerUnderTest], Requests]] = {
    "trailing-data-accepted": _trailing,
    "key-not-required": _without_key,
    "method-accepted": _other_methods,
    "order-id-not-positive-accepted": _not_positive,
}
"""Maps a rule to the function that builds its requests. A server that accepts one of these requests breaks the rule."""


def _huge(server: ServerUnderTest) -> Requests:
    body = allocation_body(server.any_order())
    return [named(f"order id {order_id}", partial(server.try_out, order_id, body)) for order_id in HUGE_IDS]


def _unspecified(server: ServerUnderTest) -> Requests:
    """Yield requests that a server may accept or refuse, but must not answer with a server error."""
    for content_type in MEDIA_TYPES:
        headers: Headers = (("Content-Type", content_type),) if content_type else ()
        yield partial(_post_broken, server, allocation_body, headers=headers)

    def repeat() -> Interaction:
        order = server.any_order(units=2)
        return [server.post(order.id, allocation_body(order)) for _ in range(2)][-1]

    yield repeat
    yield from _large(server)
    yield from _breaking("undocumented-field", server)


def _large(server: ServerUnderTest) -> Iterator[Callable[[], Interaction]]:
    def send(change: Callable[[dict[str, Any]], object]) -> Interaction:
        order = server.any_order()
        body = allocation_body(order)
        change(body)
        return covered(lambda: server.try_out(order.id, body))

    yield partial(
        send,
        lambda body: body["allocation"]["line_items_attributes"].extend(
            body["allocation"]["line_items_attributes"] * 9_999
        ),
    )
    yield partial(send, lambda body: body.update(note="x" * 1_000_000))
    yield partial(_post_broken, server, lambda order: HUGE_NUMBER)


def _unknown(server: ServerUnderTest) -> Requests:
    """Return requests for an unknown warehouse, an unknown sellable, and a known and an unknown sellable together."""

    def send(warehouse_id: int | None, sellables: int) -> Interaction:
        order = server.any_order()
        body = allocation_body(order)
        lines = [*body["allocation"]["line_items_attributes"], {"sellable_id": LARGEST_ID, "quantity": 1}]
        body["allocation"] = {
            "warehouse_id": warehouse_id or order.warehouse_id,
            "line_items_attributes": lines[:1] if warehouse_id else lines[-sellables:],
        }
        return server.post(order.id, body)

    return [partial(send, LARGEST_ID, 1), partial(send, None, 1), partial(send, None, 2)]


@follows("broken-request-accepted", cases=BROKEN_RULES)
def test_broken_request_is_refused(rule: str, case: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a request that breaks the rule *case* is not accepted. The severity is that of the rule *case*."""
    server = _veeqo_alloc_server_under_test
    server.assert_rule(rule, server.send_once(case, _breaking(case, server), risky=True), broken=True)


@follows(*REFUSED)
def test_request_is_refused(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a server does not accept a request that it must refuse, such as a request without an API key."""
    server = _veeqo_alloc_server_under_test
    server.assert_refused(rule, server.send_once(rule, REFUSED[rule](server), risky=True))


@follows("unknown-order-accepted")
def test_huge_order_id_is_refused_or_answered_exactly(
    rule: str, _veeqo_alloc_server_under_test: ServerUnderTest
) -> None:
    """Check that an order id of more than 64 bits is refused, or that the response has exactly this id."""
    server = _veeqo_alloc_server_under_test
    huge = zip(HUGE_IDS, server.send_once(rule, _huge(server)), strict=True)
    inexact = [pair for pair in huge if as_object(read(response_of(pair[1]).body).value).get("id") != pair[0]]
    server.assert_refused(rule, [interaction for _, interaction in inexact])


@follows("allocation-echo")
def test_unknown_id_is_refused_or_allocated(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that an unknown sellable or warehouse is either refused or allocated, not left out or replaced."""
    server = _veeqo_alloc_server_under_test
    server.require(rule)
    server.assert_rule(rule, map(_of_last_line, server.send_once("unknown", _unknown(server))), may_pass=True)


def _of_last_line(interaction: Interaction) -> Interaction:
    """Return a copy of *interaction* whose request has only the last line item, so that its allocation is checked."""
    request = interaction.request
    assert request is not None
    body = read(request.body).value
    lines = body["allocation"]["line_items_attributes"][-1:]
    body = {"allocation": {**body["allocation"], "line_items_attributes": lines}}
    return replace(interaction, request=replace(request, body=json.dumps(body).encode()))


@follows("undocumented-status", "server-error", "error-body-shape", "error-leaks-internals")
def test_refusal_follows_rule(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no response to a request of this module breaks *rule*. For example, a server error is not allowed."""
    server = _veeqo_alloc_server_under_test
    unspecified = [
        *server.send_once("unspecified", _unspecified(server)),
        *server.send_if_covered("unknown", _unknown(server)),
        *server.send_if_covered("unknown-order-accepted", _huge(server)),
    ]
    broken = [
        interaction
        for name in BROKEN_RULES
        for interaction in server.send_if_covered(name, _breaking(name, server), risky=True)
    ]
    for refused, requests in REFUSED.items():  # another test checks whether these are refused
        unspecified += server.send_if_covered(refused, requests(server), risky=True)
    unspecified = [interaction for interaction in unspecified if not _is_fair_501(interaction)]
    server.assert_rule(rule, unspecified, may_pass=True)
    server.assert_rule(rule, broken, broken=True)


def _is_fair_501(interaction: Interaction) -> bool:
    """Return whether the status is 501 and the method is not POST, as RFC 9110 allows in section 15.6.2."""
    request = interaction.request
    return request is not None and request.method in METHODS and response_of(interaction).status == 501
