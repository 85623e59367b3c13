"""Tests of a client: requests it must send correctly, responses it must accept, and failures it must report.

Each test checks one rule. A client without a timeout, for example, fails only the test of `client-without-timeout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from pytest_veeqo_alloc.conformance import UncoveredError
from pytest_veeqo_alloc.conformance.client import Call, ClientUnderTest
from pytest_veeqo_alloc.conformance.server_under_test import follows
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.observed import nullable_pointers, with_nulls
from pytest_veeqo_alloc.orders.story import Customer, Line, Stock, Story
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

Prepare = Callable[[Fake], object]

FOREVER = 10**6
REQUEST_RULES = [rule for rule, entry in CATALOGUE.items() if "request" in entry.sides and rule not in SEQUENCE_RULES]


@follows(*REQUEST_RULES)
def test_request_follows_rule(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client's requests for generated payloads do not break *rule*."""
    client = _veeqo_alloc_client_under_test
    client.assert_requests_follow(rule, (call for *_, call in client.payload_calls()))


@follows("client-changes-allocation")
def test_client_sends_the_given_allocation(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client sends the given order id, warehouse, sellables and quantities."""
    client = _veeqo_alloc_client_under_test
    client.assert_behaviour(rule, _changes(client.payload_calls()))


def _changes(calls: Iterable[tuple[int, dict[str, Any], Call]]) -> Iterator[str]:
    for order_id, body, call in calls:
        if call.is_refused:
            continue  # the subject of another test
        wanted = body["allocation"]
        lines = [(line["sellable_id"], line["quantity"]) for line in wanted["line_items_attributes"]]
        order = call.fake.world.order(order_id)
        allocated = () if order is None else order.allocations
        if len(call.fake.interactions) and not allocated:
            yield f"no allocation to order {order_id}"
        for allocation in allocated:
            if allocation.warehouse_id != wanted["warehouse_id"]:
                yield f"an allocation in warehouse {allocation.warehouse_id}, not {wanted['warehouse_id']}"
            if dict(allocation.lines) != dict(lines):
                yield f"an allocation of {dict(allocation.lines)} (units by sellable), not of {dict(lines)}"


@follows("client-shows-key")
def test_client_does_not_show_the_key(
    rule: str, _veeqo_alloc_client_under_test: ClientUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    """Check that neither the client's output nor its exception contains the API key after a success or a failure."""
    client = _veeqo_alloc_client_under_test
    calls = [client.call(), client.call(_fault("unprocessable"), order_id=8)]
    written = "".join(capfd.readouterr())
    got = ["the key in the client's output"] if any(call.fake.api_key in written for call in calls) else []
    got += ["the key in the client's exception"] if any(call.fake.api_key in str(call.raised) for call in calls) else []
    client.assert_behaviour(rule, got)


def _fault(name: str, times: int = FOREVER, **arguments: Any) -> Prepare:
    return lambda fake: fake.inject_fault(name, times, **arguments)


def _world(story: Story) -> Prepare:
    return lambda fake: setattr(fake, "world", World.of(story))


def _nulls(*, innermost: bool) -> Prepare:
    """Answer with null in every member for which the live API returned null. If *innermost*, no object is null."""
    everywhere = nullable_pointers()
    nulls = [
        pointer
        for pointer in everywhere
        if not innermost or not any(other.startswith(f"{pointer}/") for other in everywhere)
    ]

    def prepare(fake: Fake) -> None:
        order = with_nulls(build_order(), nulls)
        fake.respond_with(body=order, headers={"location": "/orders/447452"}, times=FOREVER)

    return prepare


_UNICODE = Customer(first_name="Zo\u00eb \U0001f9f5", last_name="\u202e\u05d0\u05d1", address1='\u65e5\u672c "1"\n\t\\')
_PLAIN = "documented response"
ACCEPTABLE: Mapping[str, Prepare] = {
    _PLAIN: lambda fake: None,
    "compressed body": _fault("gzip"),
    "chunked body": _fault("chunked"),
    "slow body": _fault("slow-body", seconds=0.1),
    "undocumented member": _fault("extra-member", pointer="/allocations/0/not_documented"),
    "members observed in 2026": _fault("observed"),
    "objects that are null": _nulls(innermost=False),
    "members that are null": _nulls(innermost=True),
    "connection closed after the response": _fault("reset-after-body"),
    "partial allocation": _world(Story(447452, (Line(quantity=5, stock=(Stock(physical=3, allocated=2),)),), ())),
    "any Unicode": _world(Story(447452, allocations=(), customer=_UNICODE)),
    "large numbers": _world(Story(447452, (Line(stock=(Stock(physical=LARGEST_ID),)),), ())),
}


@follows("client-rejects-documented-answer", cases=ACCEPTABLE)
def test_client_accepts_response(rule: str, case: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client accepts a documented response, also with a harmless difference such as compression."""
    client = _veeqo_alloc_client_under_test
    _require_documented_response(client, is_success_required=case != _PLAIN)
    raised = client.call(ACCEPTABLE[case]).raised
    client.assert_behaviour(rule, [] if raised is None else [f"{type(raised).__name__} after a success: {case}"])


def _require_documented_response(client: ClientUnderTest, *, is_success_required: bool = True) -> None:
    """Raise UncoveredError if a plain allocation gets no documented response, or if the client fails after it."""
    (_, _, plain), *_ = client.payload_calls()
    if plain.is_refused:
        raise UncoveredError("the fake refused the client's request, so there was no documented response")
    if is_success_required and plain.raised is not None:
        raise UncoveredError("the client fails even after a plain documented response")


@follows("client-rejects-documented-answer", cases=["large ids"])
def test_client_accepts_large_ids(rule: str, case: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client accepts ids up to 2**53 - 1, which every JSON parser represents exactly."""
    client = _veeqo_alloc_client_under_test
    _require_documented_response(client)
    *_, (_, _, large) = client.payload_calls()
    client.assert_behaviour(
        rule, [] if large.raised is None else [f"{type(large.raised).__name__} after a success: {case}"]
    )


STATUSES = {
    "status 400": "bad-request", "status 401": "unauthorized", "status 403": "forbidden", "status 404": "not-found",
    "status 422": "unprocessable", "status 429": "rate-limited", "status 500": "server-error",
    "status 502": "bad-gateway", "status 503": "service-unavailable",
}  # fmt: skip
INCOMPLETE = ("truncated-json", "reset-before-headers", "reset-before-body", "reset-within-body")


def _page(fake: Fake) -> None:
    fake.respond_with(status=200, body="<html>Log in</html>", headers={"content-type": "text/html"}, times=FOREVER)


FAILURES: Mapping[str, Mapping[str, Prepare]] = {
    "error status": {what: _fault(name) for what, name in STATUSES.items()},
    "incomplete response": {name: _fault(name) for name in INCOMPLETE},
    "redirect": {"a redirect to another host": _fault("redirect-elsewhere")},
    "page": {"a 200 with an HTML page": _page},
}


@follows("client-hides-failure", cases=FAILURES)
def test_client_reports_failure(rule: str, case: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client raises an exception after a failure, such as an error status or an incomplete response."""
    client, hidden = _veeqo_alloc_client_under_test, list[str]()
    for what, prepare in FAILURES[case].items():
        call = client.call(prepare)
        # A client that has not returned is the subject of the tests of time limits.
        if call.outcome.done() and call.raised is None:
            hidden.append(what)
    client.assert_behaviour(rule, [f"a return without an exception after {', '.join(hidden)}"] if hidden else [])


UNSAFE = ("slow-headers", "slow-body", "reset-before-headers", "reset-within-body", "truncated-json", "server-error",
          "bad-gateway", "service-unavailable")  # fmt: skip


@follows("repeated-post")
def test_client_does_not_repeat_post(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that a POST whose outcome is unknown is not sent again, unless the client reads the order in between."""
    client = _veeqo_alloc_client_under_test
    client.assert_requests_follow(rule, [client.call(_fault(name, 1)) for name in UNSAFE])


@follows("key-sent-elsewhere")
def test_client_sends_the_key_to_no_other_host(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client sends no API key to another host after a redirect."""
    client = _veeqo_alloc_client_under_test
    client.assert_requests_follow(rule, [client.call(_fault("redirect-elsewhere"))])


@follows("client-without-timeout")
def test_client_gives_up_a_slow_response(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client raises an exception within its time limit if the response takes too long."""
    client = _veeqo_alloc_client_under_test
    client.assert_behaviour(rule, _endless(client, ("slow-headers", "slow-body")))


@follows("client-retries-forever")
def test_client_gives_up_to_retry(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client raises an exception within its time limit if each response is a 429 or a 503."""
    client = _veeqo_alloc_client_under_test
    client.assert_behaviour(rule, _endless(client, ("rate-limited", "service-unavailable")))


def _endless(client: ClientUnderTest, faults: Iterable[str]) -> Iterator[str]:
    """Yield a text about the first of *faults* after which the client does not give up within its time limit."""
    for name in faults:
        call = client.call(_fault(name))
        if not call.outcome.done():
            sent = pluralise(len(call.fake.interactions), "request")
            yield f"no result within {client.timeout:g} seconds and after {sent} that met the fault {name}"
            return
