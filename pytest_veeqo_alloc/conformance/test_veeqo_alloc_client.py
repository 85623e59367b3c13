"""Tests of a client: requests it must send correctly, responses it must accept, and failures it must report."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_veeqo_alloc.conformance.client import ClientAssertions
from pytest_veeqo_alloc.conformance.server_under_test import rule_params
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.observed import as_observed, nullable_pointers
from pytest_veeqo_alloc.orders.story import Customer, Line, Stock, Story
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.sampling import samples
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

PAYLOADS = 10
REQUEST_RULES = [rule for rule, entry in CATALOGUE.items() if "request" in entry.sides and rule not in SEQUENCE_RULES]


@pytest.mark.parametrize("rule", rule_params(REQUEST_RULES))
def test_request_follows_rule(rule: str, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client's requests for generated payloads do not break *rule*."""
    for order_id, body in enumerate(samples(allocation_requests(), PAYLOADS), start=1):
        _veeqo_alloc_client_assertions.call(body, order_id)
    _veeqo_alloc_client_assertions.assert_request_ok(only=rule)


@pytest.mark.veeqo_alloc_basis(basis="documented")
def test_client_sends_the_given_allocation(_veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client sends the given order id, warehouse, sellables and quantities."""
    for order_id, body in enumerate(samples(allocation_requests(), 3), start=1):
        outcome = _veeqo_alloc_client_assertions.call(body, order_id)
        _veeqo_alloc_client_assertions.assert_success(outcome, "a documented response")
        order = _veeqo_alloc_client_assertions.fake.world.order(order_id)
        assert order is not None, "the client did not allocate to the given order"
        expected = {line["sellable_id"]: line["quantity"] for line in body["allocation"]["line_items_attributes"]}
        (allocation,) = order.allocations
        assert allocation.warehouse_id == body["allocation"]["warehouse_id"]
        assert dict(allocation.lines) == expected


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_client_does_not_show_the_key(
    _veeqo_alloc_client_assertions: ClientAssertions, capfd: pytest.CaptureFixture[str]
) -> None:
    """Check that neither the client's output nor its exception contains the API key after a failure."""
    _veeqo_alloc_client_assertions.call()
    _veeqo_alloc_client_assertions.fake.inject_fault("unprocessable")
    outcome = _veeqo_alloc_client_assertions.call(order_id=8)
    _veeqo_alloc_client_assertions.assert_no_key("".join(capfd.readouterr()), "the client prints the API key")
    _veeqo_alloc_client_assertions.assert_no_key(
        str(outcome.exception()), "the client's exception contains the API key"
    )


ACCEPTABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "compressed body": ("gzip", {}),
    "chunked body": ("chunked", {}),
    "slow body": ("slow-body", {"seconds": 0.1}),
    "undocumented member": ("extra-member", {"pointer": "/allocations/0/not_documented"}),
    "members observed in 2026": ("observed", {}),
    "connection closed after the response": ("reset-after-body", {}),
}


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("what", ACCEPTABLE)
def test_client_accepts_response(what: str, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client accepts a documented response with a harmless difference, such as compression."""
    name, arguments = ACCEPTABLE[what]
    _veeqo_alloc_client_assertions.fake.inject_fault(name, **arguments)
    _veeqo_alloc_client_assertions.assert_success(_veeqo_alloc_client_assertions.call(), what)


_UNICODE = Customer(first_name="Zo\u00eb \U0001f9f5", last_name="\u202e\u05d0\u05d1", address1='\u65e5\u672c "1"\n\t\\')
_LARGE = Line(LARGEST_ID, LARGEST_ID, stock=(Stock(physical=LARGEST_ID),))
ORDERS = {
    "partial allocation": Story(447452, (Line(quantity=5, stock=(Stock(physical=3, allocated=2),)),), ()),
    "any Unicode": Story(447452, allocations=(), customer=_UNICODE),
    "large numbers": Story(447452, (Line(stock=(Stock(),)), _LARGE), ()),
}


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("what", ORDERS)
def test_client_accepts_order(what: str, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client accepts documented responses with unusual values."""
    _veeqo_alloc_client_assertions.fake.world = World.of(ORDERS[what])
    _veeqo_alloc_client_assertions.assert_success(_veeqo_alloc_client_assertions.call(), what)


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_client_accepts_large_ids(_veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client sends and accepts the id 2**53 - 1, the largest that every JSON parser represents exactly."""
    line = {"sellable_id": LARGEST_ID, "quantity": 1}
    body = {"allocation": {"warehouse_id": LARGEST_ID, "line_items_attributes": [line]}}
    outcome = _veeqo_alloc_client_assertions.call(body, LARGEST_ID)
    _veeqo_alloc_client_assertions.assert_success(outcome, "large ids")
    _veeqo_alloc_client_assertions.assert_request_ok()


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_client_accepts_observed_nulls(_veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client accepts null in every documented member for which the live API returned null."""
    everywhere = nullable_pointers()
    innermost = [pointer for pointer in everywhere if not any(other.startswith(f"{pointer}/") for other in everywhere)]
    for nulls in (everywhere, innermost):
        order = as_observed(build_order(), nulls=nulls)
        _veeqo_alloc_client_assertions.fake.respond_with(body=order, headers={"location": "/orders/447452"})
        _veeqo_alloc_client_assertions.assert_success(_veeqo_alloc_client_assertions.call(), "members that are null")


STATUSES = {
    400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 422: "unprocessable",
    429: "rate-limited", 500: "server-error", 502: "bad-gateway", 503: "service-unavailable",
}  # fmt: skip
BROKEN = ("truncated-json", "reset-before-headers", "reset-before-body", "reset-within-body")


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("status", STATUSES)
def test_client_reports_error_status(status: int, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client raises an exception for an error status. The fake repeats it, since clients may retry."""
    _veeqo_alloc_client_assertions.fake.inject_fault(STATUSES[status], times=20)
    _veeqo_alloc_client_assertions.assert_failure(_veeqo_alloc_client_assertions.call(), f"status {status}")


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("name", BROKEN)
def test_client_reports_broken_response(name: str, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client raises an exception after an incomplete response."""
    _veeqo_alloc_client_assertions.fake.inject_fault(name, times=20)
    _veeqo_alloc_client_assertions.assert_failure(_veeqo_alloc_client_assertions.call(), name)


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_client_reports_html_page(_veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client raises an exception after a 200 with an HTML page, such as the login page of a proxy."""
    page = {"content-type": "text/html"}
    _veeqo_alloc_client_assertions.fake.respond_with(status=200, body="<html>Log in</html>", headers=page, times=20)
    _veeqo_alloc_client_assertions.assert_failure(_veeqo_alloc_client_assertions.call(), "an HTML page")


UNSAFE = ("slow-headers", "slow-body", "reset-before-headers", "reset-within-body", "truncated-json", "server-error",
          "bad-gateway", "service-unavailable")  # fmt: skip


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("name", UNSAFE)
def test_client_does_not_repeat_post(name: str, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client does not resend a POST after an unknown outcome, unless it has read the order since."""
    _veeqo_alloc_client_assertions.fake.inject_fault(name)
    _veeqo_alloc_client_assertions.call()
    _veeqo_alloc_client_assertions.assert_request_ok(only="repeated-post")


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_client_sends_the_key_to_no_other_host(_veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client raises an exception after a redirect to another host, and sends no API key there."""
    _veeqo_alloc_client_assertions.fake.inject_fault("redirect-elsewhere", times=20)
    _veeqo_alloc_client_assertions.assert_failure(_veeqo_alloc_client_assertions.call(), "a redirect to another host")
    _veeqo_alloc_client_assertions.assert_request_ok(only="key-sent-elsewhere")


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("name", ["slow-headers", "slow-body"])
def test_client_times_out(name: str, _veeqo_alloc_client_assertions: ClientAssertions) -> None:
    """Check that the client raises an exception within its time limit if the response takes too long."""
    _veeqo_alloc_client_assertions.fake.inject_fault(name, times=20)
    _veeqo_alloc_client_assertions.assert_failure(_veeqo_alloc_client_assertions.call(), name)
