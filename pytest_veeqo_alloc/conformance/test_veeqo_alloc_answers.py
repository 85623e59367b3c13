"""Tests of a server's responses to documented allocations, with one test for each rule about responses."""

from __future__ import annotations

from functools import partial

from pytest_veeqo_alloc.conformance.server_under_test import (
    ServerUnderTest,
    allocation_body,
    covered,
    follows,
    named,
    response_of,
    status_breach,
)
from pytest_veeqo_alloc.contract.allocations import Object, as_object, existing_allocations, objects_in
from pytest_veeqo_alloc.contract.arithmetic import number
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import describe_number
from pytest_veeqo_alloc.live.client import JSON_HEADERS

_OF_REFUSALS = {"unexpected-status", "broken-request-accepted", "error-body-shape", "error-leaks-internals"}
RESPONSE_RULES = [rule for rule, entry in CATALOGUE.items() if "response" in entry.sides
                  and rule not in _OF_REFUSALS | SUITE_RULES]  # fmt: skip
SPARED = 2  # so that an order pool with few units has one left for requests that must be refused
CHUNKED = ("Transfer-Encoding", "chunked")
LARGE = (2**32, 2**52)
JSON_TYPES = ("application/json; charset=utf-8", "APPLICATION/JSON")


@follows(*RESPONSE_RULES)
def test_response_follows_rule(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no response to a documented allocation breaks *rule*."""
    server = _veeqo_alloc_server_under_test
    server.assert_rule(rule, server.documented())


@follows("json-media-type-refused")
def test_every_json_media_type_is_accepted(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the JSON media type may have capitals or a charset (RFC 8259 section 11, RFC 9110 section 8.3.1)."""
    server = _veeqo_alloc_server_under_test

    def send(content_type: str) -> Interaction:
        order = server.take()
        return server.post(order.id, allocation_body(order), headers=(("Content-Type", content_type),))

    tried = server.send_once(rule, [named(content_type, partial(send, content_type)) for content_type in JSON_TYPES])
    server.assert_behaviour(rule, ((interaction, _refused(rule, interaction)) for interaction in tried))


def _refused(rule: str, interaction: Interaction, *fair: int) -> Breach | None:
    response = response_of(interaction)
    return None if response.is_success or response.status in fair else status_breach(rule, interaction)


@follows("chunked-request-refused")
def test_request_in_chunks_is_accepted_or_answered_with_411(
    rule: str, _veeqo_alloc_server_under_test: ServerUnderTest
) -> None:
    """Check that a chunked body, whose length is unknown, is accepted (RFC 9112 section 7.1) or answered with 411."""
    server = _veeqo_alloc_server_under_test

    def send() -> Interaction:
        order = server.any_order(units=SPARED)
        return covered(lambda: server.post(order.id, allocation_body(order), headers=(*JSON_HEADERS, CHUNKED)))

    tried = server.send_once(rule, [send])
    server.assert_behaviour(rule, ((interaction, _refused(rule, interaction, 411)) for interaction in tried))


@follows("undocumented-status")
def test_names_of_headers_are_known_in_any_case(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a documented allocation whose header names are in capitals is accepted (RFC 9110 section 5.1)."""
    server = _veeqo_alloc_server_under_test

    def send() -> Interaction:
        order = server.any_order(units=SPARED)
        return server.post_in_capitals(order.id, allocation_body(order))

    server.assert_rule(rule, server.send_once("capitals", [send]))


@follows("order-echo", "allocation-echo", "server-error")
def test_large_ids_are_refused_or_answered_exactly(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that ids too large for a 32-bit integer or float are not truncated or rounded."""
    server = _veeqo_alloc_server_under_test

    def send(start: int) -> Interaction:
        order_id = start + server.any_order().id
        line = {"sellable_id": order_id + 2, "quantity": 1}
        return server.post(order_id, {"allocation": {"warehouse_id": order_id + 1, "line_items_attributes": [line]}})

    server.require(rule)
    server.assert_rule(rule, server.send_once("large ids", [partial(send, start) for start in LARGE]), may_pass=True)


@follows("allocation-ids-not-distinct")
def test_allocations_have_distinct_ids(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no two allocations have the same id, and no two line items of one allocation or order."""
    server, owners, tried = _veeqo_alloc_server_under_test, dict[int, int](), list[tuple[Interaction, Breach | None]]()
    for index, interaction in enumerate(server.documented()):
        order = as_object(read(response_of(interaction).body).value)
        ids = [allocation.id for allocation in existing_allocations(response_of(interaction).body) or ()]
        repeated = [known for known in ids if owners.setdefault(known, index) != index or ids.count(known) > 1]
        breach = Breach(rule, "/allocations", f"the id {repeated[0]} twice") if repeated else None
        tried.append((interaction, breach or _repeated_line(rule, order)))
    server.assert_behaviour(rule, tried)


def _repeated_line(rule: str, order: Object) -> Breach | None:
    owners = [("", order), *objects_in(order, "allocations", "")]
    for pointer, owner in owners:
        ids = [number(line.get("id")) for _, line in objects_in(owner, "line_items", "")]
        if repeated := [known for known in ids if known is not None and ids.count(known) > 1]:
            return Breach(rule, f"{pointer}/line_items", f"the id {describe_number(repeated[0])} twice")
    return None
