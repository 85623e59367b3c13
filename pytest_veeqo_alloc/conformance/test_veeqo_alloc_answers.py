"""What the server answers to an allocation as documented: one test for each rule of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_veeqo_alloc.conformance.assertions import ServerAssertions, by_rule
from pytest_veeqo_alloc.conformance.server_under_test import SHAPES, asking
from pytest_veeqo_alloc.contract.rules import CATALOGUE

_OF_ERRORS = ("undocumented-status", "server-error", "unexpected-status", "error-body-shape", "error-leaks-internals",
              "broken-request-accepted")  # fmt: skip
PAYLOADS = 8
ANSWER_RULES = [rule for rule, each in CATALOGUE.items() if "response" in each.sides and rule not in _OF_ERRORS]


@pytest.mark.parametrize("rule", by_rule(ANSWER_RULES))
def test_an_answer_keeps(rule: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """No answer to a happy path breaks the rule."""
    for interaction in veeqo_alloc_judge.subject.successful_allocations():
        veeqo_alloc_judge.assert_ok(interaction, only=rule)


@pytest.mark.veeqo_alloc_basis(basis="documented")
@pytest.mark.parametrize("shape", SHAPES)
def test_an_allocation_is_created(shape: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """The whole answer is as documented, and a success."""
    interaction = veeqo_alloc_judge.subject.successful_allocation(shape)
    veeqo_alloc_judge.assert_ok(interaction)


@pytest.mark.veeqo_alloc_basis(basis="rfc")
@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON"], ids=["charset", "capitals"]
)
def test_a_json_request_is_taken_however_it_is_declared(content_type: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """RFC 8259 section 11 and RFC 9110 section 8.3.1: case and charset say nothing."""
    order = veeqo_alloc_judge.subject.take()
    body = asking(order)
    interaction = veeqo_alloc_judge.subject.post(order.id, body, headers=(("Content-Type", content_type),))
    assert interaction.response is not None
    assert interaction.response.is_success


@pytest.mark.veeqo_alloc_basis(basis="documented")
def test_valid_payloads_are_allocated(veeqo_alloc_judge: ServerAssertions) -> None:
    """Eight generated payloads, each for an order of its own, as far as pool and budget go."""
    for number in range(PAYLOADS):
        order, body = veeqo_alloc_judge.generated(number)
        veeqo_alloc_judge.assert_ok(veeqo_alloc_judge.subject.post(order.id, body))


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_two_orders_have_answers_of_their_own(veeqo_alloc_judge: ServerAssertions) -> None:
    """Each answer has ids of its own."""
    subject = veeqo_alloc_judge.subject
    bodies: list[Any] = [
        veeqo_alloc_judge.body(subject.successful_allocation(shape)) for shape in ("one line", "several lines")
    ]
    made = [each["id"] for body in bodies for each in body["allocations"]]
    assert len(set(made)) == len(made), "two allocations have the same id"
    assert bodies[0]["id"] != bodies[1]["id"]
