"""Strategies for broken request bodies and malformed bodies."""

from __future__ import annotations

from support.cases import rules_about_bodies
from support.examples import assert_not_shared, examples

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.strategies import invalid_allocation_requests, malformed_bodies
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS

STRICT = Contract("strict")
BYTE_RULES = {"body-missing", "not-json", "not-utf8", "byte-order-mark", "duplicate-key"}
"""Rules that only bytes can break: those of `malformed_bodies`."""


def test_every_rule_about_values_of_a_request_has_a_mutation() -> None:
    # Every field of a request is marked required, or contains such fields.
    assert set(REQUEST_MUTATIONS) == rules_about_bodies("request") - BYTE_RULES - {"absent-field"}
    assert {CATALOGUE[rule].severities["strict"] for rule in REQUEST_MUTATIONS} == {"error"}


def test_broken_request_has_exactly_the_labelled_error() -> None:
    for broken in examples(invalid_allocation_requests(), 80):
        errors = STRICT.check_body("request", broken.payload).errors
        assert [(error.rule, error.pointer) for error in errors] == [(broken.rule, broken.pointer)]


def test_changes_to_a_broken_request_do_not_reach_the_next() -> None:
    assert_not_shared(invalid_allocation_requests())


def test_malformed_bodies_break_every_rule_about_reading_json() -> None:
    broken = set()
    for body in examples(malformed_bodies(), 200):
        errors = STRICT.check_body("request", body).errors
        assert errors, body[:100]
        broken |= {error.rule for error in errors}
    assert broken >= BYTE_RULES | {"too-deep", "non-finite-number"}
