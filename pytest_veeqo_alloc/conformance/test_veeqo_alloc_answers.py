"""Tests of a server's responses to documented allocations, including a test of each rule about responses."""

from __future__ import annotations

import pytest

from pytest_veeqo_alloc.conformance.server_under_test import (
    SHAPES,
    ServerUnderTest,
    allocation_body,
    response_of,
    rule_params,
)
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.strategies.sampling import valid_requests

_ERROR_RULES = ("undocumented-status", "server-error", "unexpected-status", "error-body-shape", "error-leaks-internals",
                "broken-request-accepted")  # fmt: skip
RESPONSE_RULES = [rule for rule, entry in CATALOGUE.items() if "response" in entry.sides and rule not in _ERROR_RULES]
PAYLOADS = 8


@pytest.mark.parametrize("rule", rule_params(RESPONSE_RULES))
def test_response_follows_rule(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no response to a documented allocation breaks *rule*."""
    for interaction in _veeqo_alloc_server_under_test.successful_allocations():
        _veeqo_alloc_server_under_test.assert_ok(interaction, only=rule)


@pytest.mark.veeqo_alloc_basis(basis="documented")
@pytest.mark.parametrize("shape", SHAPES)
def test_allocation_is_created(shape: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the response is a success and breaks no rule."""
    interaction = _veeqo_alloc_server_under_test.successful_allocation(shape)
    _veeqo_alloc_server_under_test.assert_ok(interaction)


@pytest.mark.veeqo_alloc_basis(basis="rfc")
@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON"], ids=["charset", "capitals"]
)
def test_json_media_type_is_accepted(content_type: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the media type may have capitals or a charset (RFC 8259 section 11, RFC 9110 section 8.3.1)."""
    server = _veeqo_alloc_server_under_test
    order = server.take()
    interaction = server.post(order.id, allocation_body(order), headers=(("Content-Type", content_type),))
    assert response_of(interaction).is_success


@pytest.mark.veeqo_alloc_basis(basis="documented")
def test_valid_payloads_are_allocated(_veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that eight generated payloads are allocated. Skip the rest if the pool or the write limit is exhausted."""
    server = _veeqo_alloc_server_under_test
    for count in range(1, PAYLOADS + 1):
        order = server.take()
        sellables = order.sellables
        *_, payload = valid_requests(count, order.warehouse_id, list(sellables), min(sellables.values()))
        server.assert_ok(server.post(order.id, payload))


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_orders_and_allocations_have_distinct_ids(_veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the responses for two orders contain different order ids and different allocation ids."""
    server = _veeqo_alloc_server_under_test
    orders = [server.body(server.successful_allocation(shape)) for shape in ("one line", "several lines")]
    allocation_ids = [allocation["id"] for order in orders for allocation in order["allocations"]]
    assert len(set(allocation_ids)) == len(allocation_ids), "two allocations have the same id"
    assert orders[0]["id"] != orders[1]["id"]
