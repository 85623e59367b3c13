"""Tests of a server's responses to requests that are broken, or that the documentation does not mention.

Each test checks one rule. A server error, for example, fails only the test of the rule `server-error`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pytest_veeqo_alloc.conformance.server_under_test import (
    WRONG_KEY,
    Requests,
    ServerUnderTest,
    allocation_body,
    follows,
)
from pytest_veeqo_alloc.core.http import Headers, Interaction
from pytest_veeqo_alloc.live.client import JSON_HEADERS
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
    "too-deep": (b'{"allocation": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",),
}
"""Malformed bodies by the rule that they break. None has both a warehouse and a sellable, so none can be allocated."""

HUGE_NUMBER = b'{"allocation": {"line_items_attributes": [{"quantity": 1' + b"0" * 400 + b"}]}}"
NOT_INTEGERS = ("P-447452", "1.5", "%00", "1%27%20OR%201=1")
BROKEN_RULES = [*(rule for rule in REQUEST_MUTATIONS if rule != "undocumented-field"),
                *(rule for rule in MALFORMED if rule not in REQUEST_MUTATIONS), "order-id-not-integer"]  # fmt: skip
MEDIA_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")
WRONG_KEYS = ("", WRONG_KEY)
METHODS = ("GET", "PUT", "PATCH", "DELETE")


def _broken(rule: str, server: ServerUnderTest) -> list[Interaction]:
    """Send requests that break *rule*, and no other rule."""
    return server.send_once(rule, _breaking(rule, server))


def _breaking(rule: str, server: ServerUnderTest) -> Requests:
    order = server.any_order()
    if rule == "order-id-not-integer":
        yield from (partial(server.try_out, order_id, allocation_body(order)) for order_id in NOT_INTEGERS)
    yield from (partial(server.post, order.id, body) for body in MALFORMED.get(rule, ()))
    if rule in REQUEST_MUTATIONS:
        count = 3 if server.is_free else 1
        for broken in broken_requests(rule, count, order.warehouse_id, list(order.sellables), 1):
            yield partial(server.post, order.id, broken.payload)


def _trailing(server: ServerUnderTest) -> Requests:
    order = server.any_order()
    body = str(allocation_body(order)).replace("'", '"').encode()
    yield from (partial(server.post, order.id, body + after) for after in (b"}", b" trailing", b"{}"))


def _without_key(server: ServerUnderTest) -> Requests:
    order = server.any_order()
    return [partial(server.post, order.id, allocation_body(order), key=key) for key in WRONG_KEYS]


def _other_methods(server: ServerUnderTest) -> Requests:
    order = server.any_order()
    bodies: dict[str, Any] = dict.fromkeys(("PUT", "PATCH"), allocation_body(order))
    return [partial(server.try_out, order.id, bodies.get(method), method) for method in METHODS]


def _not_positive(server: ServerUnderTest) -> Requests:
    body = allocation_body(server.any_order())
    return [partial(server.try_out, order_id, body) for order_id in ("0", "-1")]


def _unknown_order(server: ServerUnderTest) -> Requests:
    return [partial(server.try_out, "9" * 40, allocation_body(server.any_order()))]


REFUSED: Mapping[str, Callable[[ServerUnderTest], Requests]] = {
    "trailing-data-accepted": _trailing,
    "key-not-required": _without_key,
    "method-accepted": _other_methods,
    "order-id-not-positive-accepted": _not_positive,
    "unknown-order-accepted": _unknown_order,
}
"""For each rule about an accepted request, the requests to refuse."""


def _unspecified(server: ServerUnderTest) -> Requests:
    """Yield requests that a server may accept or refuse, but that must not cause a server error."""

    def send(
        change: Callable[[dict[str, Any]], object], headers: Headers = JSON_HEADERS, times: int = 1
    ) -> Interaction:
        order = server.take()
        body = allocation_body(order)
        change(body)
        return [server.post(order.id, body, headers=headers) for _ in range(times)][-1]

    def unchanged(body: dict[str, Any]) -> None:
        pass

    for content_type in MEDIA_TYPES:
        yield partial(send, unchanged, (("Content-Type", content_type),) if content_type else ())
    yield partial(send, unchanged, times=2)
    yield partial(send, lambda body: body["allocation"].update(warehouse_id=LARGEST_ID))
    yield partial(send, lambda body: body["allocation"]["line_items_attributes"][0].update(sellable_id=LARGEST_ID))
    yield from _large(server)
    yield from _breaking("undocumented-field", server)


def _large(server: ServerUnderTest) -> Iterator[Callable[[], Interaction]]:
    order = server.any_order()
    many_lines, long_member = allocation_body(order), allocation_body(order)
    many_lines["allocation"]["line_items_attributes"] *= 10_000
    long_member["note"] = "x" * 1_000_000
    yield from (partial(server.try_out, order.id, body) for body in (many_lines, long_member))
    yield partial(server.post, order.id, HUGE_NUMBER)


@follows("broken-request-accepted", cases=BROKEN_RULES)
def test_broken_request_is_refused(rule: str, case: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a request that breaks the rule *case* is not accepted. It is as severe as that rule."""
    server = _veeqo_alloc_server_under_test
    server.assert_rule(rule, _broken(case, server), broken=True)


@follows(*REFUSED)
def test_request_is_refused(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a request that a server must not carry out, such as one without an API key, is not accepted."""
    server = _veeqo_alloc_server_under_test
    server.assert_refused(rule, server.send_once(rule, REFUSED[rule](server)))


@follows("undocumented-status", "server-error", "error-body-shape", "error-leaks-internals")
def test_refusal_follows_rule(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no response to a request of this module breaks *rule*, for example as a server error."""
    server = _veeqo_alloc_server_under_test
    sent = server.send_once("unspecified", _unspecified(server))
    for broken in BROKEN_RULES:
        sent = [*sent, *server.send_if_covered(broken, _breaking(broken, server))]
    for refused, requests in REFUSED.items():
        sent = [*sent, *server.send_if_covered(refused, requests(server))]
    server.assert_rule(rule, sent, broken=True)
