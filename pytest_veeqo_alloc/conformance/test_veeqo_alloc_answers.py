"""Tests of a server's responses to documented allocations, with one test for each rule about responses."""

from __future__ import annotations

from functools import partial

from pytest_veeqo_alloc.conformance.server_under_test import (
    ServerUnderTest,
    allocation_body,
    follows,
    response_of,
)
from pytest_veeqo_alloc.contract.allocations import existing_allocations
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES
from pytest_veeqo_alloc.core.http import Interaction

_OF_REFUSALS = {"unexpected-status", "broken-request-accepted", "error-body-shape", "error-leaks-internals"}
RESPONSE_RULES = [rule for rule, entry in CATALOGUE.items() if "response" in entry.sides
                  and rule not in _OF_REFUSALS | SUITE_RULES]  # fmt: skip
JSON_TYPES = ("application/json; charset=utf-8", "APPLICATION/JSON")


@follows(*RESPONSE_RULES)
def test_response_follows_rule(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no response to a documented allocation breaks *rule*."""
    server = _veeqo_alloc_server_under_test
    server.assert_rule(rule, server.documented())


@follows("json-media-type-refused")
def test_every_json_media_type_is_accepted(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that JSON is accepted in capitals and with a charset (RFC 8259 section 11, RFC 9110 section 8.3.1)."""
    server = _veeqo_alloc_server_under_test

    def send(content_type: str) -> Interaction:
        order = server.take()
        return server.post(order.id, allocation_body(order), headers=(("Content-Type", content_type),))

    tried = server.send_once(rule, [partial(send, content_type) for content_type in JSON_TYPES])
    server.assert_behaviour(rule, ((interaction, _refused(rule, interaction)) for interaction in tried))


def _refused(rule: str, interaction: Interaction) -> Breach | None:
    response = response_of(interaction)
    return None if response.is_success else Breach(rule, None, str(response.status), location="status")


@follows("allocation-ids-not-distinct")
def test_allocations_have_distinct_ids(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the responses for different orders contain different allocation ids."""
    server, owners, tried = _veeqo_alloc_server_under_test, dict[int, int](), list[tuple[Interaction, Breach | None]]()
    for number, interaction in enumerate(server.documented()):
        ids = [allocation.id for allocation in existing_allocations(response_of(interaction).body) or ()]
        repeated = [known for known in ids if owners.setdefault(known, number) != number or ids.count(known) > 1]
        got = f"the id {repeated[0]} twice" if repeated else ""
        tried.append((interaction, Breach(rule, "/allocations", got) if repeated else None))
    server.assert_behaviour(rule, tried)
