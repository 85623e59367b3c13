"""Strategies for broken response bodies."""

from __future__ import annotations

from support.cases import rules_about_bodies
from support.examples import assert_not_shared, examples

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.strategies import invalid_allocation_responses
from pytest_veeqo_alloc.strategies.invalid_bodies import RESPONSE_MUTATIONS

STRICT = Contract("strict")


def test_every_rule_about_values_of_a_response_has_a_mutation() -> None:
    need_bytes = {"body-missing", "not-json", "not-utf8", "byte-order-mark", "duplicate-key"}
    need_a_request = {"order-echo", "allocation-echo", "allocation-quantity"}
    assert set(RESPONSE_MUTATIONS) == rules_about_bodies("response") - need_bytes - need_a_request - {
        "untyped-field-value"
    }
    assert {CATALOGUE[rule].severities["strict"] for rule in RESPONSE_MUTATIONS} == {"error"}


def test_broken_response_has_exactly_the_labelled_error() -> None:
    for broken in examples(invalid_allocation_responses(), 60):
        errors = STRICT.check_body("response", broken.payload).errors
        assert [(error.rule, error.pointer) for error in errors] == [(broken.rule, broken.pointer)]


def test_changes_to_a_broken_response_do_not_reach_the_next() -> None:
    assert_not_shared(invalid_allocation_responses())
