"""The strategies over many examples and seeds; how many follows from the Hypothesis profile."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import find, settings
from support.bodies import STRUCTURAL, fields, only_structure
from support.examples import examples

from pytest_veeqo_alloc import Contract, build_order, load_schema
from pytest_veeqo_alloc.core.json_pointer import diff, generalise
from pytest_veeqo_alloc.reporting.report_file import validator
from pytest_veeqo_alloc.strategies import (
    allocation_requests,
    allocation_responses,
    invalid_allocation_requests,
    invalid_allocation_responses,
)
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS, RESPONSE_MUTATIONS

SCALE = max(settings().max_examples // 100, 1)
"""1 in a normal run, 10 with `--hypothesis-profile=thorough`."""


def values_by_field(orders: list[dict[str, Any]]) -> dict[str, set[str]]:
    seen: dict[str, set[str]] = {}

    def collect(value: Any, pointer: str) -> None:
        found = seen.setdefault(pointer, set())
        if isinstance(value, dict):
            found.add("an object")
            for name, inner in value.items():
                collect(inner, f"{pointer}/{name}")
        elif isinstance(value, list):
            found.add(f"{len(value)} items")
            for inner in value:
                collect(inner, f"{pointer}/*")
        else:
            found.add(json.dumps(value)[:100])

    for order in orders:
        collect(order, "")
    return seen


@pytest.mark.parametrize("number", range(4 * SCALE))
def test_every_field_varies_in_300_examples(number: int) -> None:
    seen = values_by_field(examples(allocation_responses(), 300, number))
    for pointer, field in fields():
        values = seen[pointer.replace("/0", "/*")]
        if field.get("type") == "object" or "items" in field:
            continue  # its members are checked one by one
        if field.get("type") is None:
            assert values - {"null"}, pointer
        elif field["type"] == "boolean":
            assert values == {"true", "false"}, pointer
        else:
            assert len(values) >= 2, pointer


def differences(order: Any, other: Any) -> set[str]:
    return {generalise(pointer) for pointer, _, _ in diff(order, other)}


# What each variation of the story changes in the documented order; sums follow from any of them.
SUMS = {"/subtotal_price", "/total_price", "/allocated_completely"}
ALLOCATED = ("stock_level", "stock_entries", "/quantity", "warehouses", "/allocations", "/line_items")
CAUSES: dict[str, Callable[[str], bool]] = {
    "units": lambda pointer: any(word in pointer for word in ALLOCATED),
    "price": lambda pointer: pointer.rpartition("/")[2] in ("price", "price_per_unit", "profit", "margin"),
    "tax": lambda pointer: pointer == "/total_tax",
    "delivery": lambda pointer: pointer == "/delivery_cost",
    "order": lambda pointer: pointer in ("/id", "/number", "/payment/order_id", "/allocations/*/order_id"),
}


@pytest.mark.parametrize("number", range(3 * SCALE))
def test_failing_order_shrinks_to_what_causes_the_failure(number: int) -> None:
    order = find(
        allocation_responses(),
        lambda order: order["total_price"] > 100,
        random=random.Random(number),
        settings=settings(database=None, max_examples=2000),
    )
    left = differences(order, build_order()) - SUMS
    causes = {cause for cause, covers in CAUSES.items() if any(map(covers, left))}
    assert all(any(covers(pointer) for covers in CAUSES.values()) for pointer in left), left
    assert 1 <= len(causes) <= 2


def test_orders_shrink_to_the_documented_one() -> None:
    assert find(allocation_responses(), lambda order: True, settings=settings(database=None)) == build_order()


@pytest.mark.parametrize(
    ("side", "strategy", "mutations"),
    [
        ("request", invalid_allocation_requests(), REQUEST_MUTATIONS),
        ("response", invalid_allocation_responses(), RESPONSE_MUTATIONS),
    ],
    ids=["request", "response"],
)
def test_every_rule_is_broken_and_every_label_is_exact(side: Any, strategy: Any, mutations: Any) -> None:
    strict, rules = Contract("strict"), set()
    for broken in (broken for number in range(20) for broken in examples(strategy, 100, number)):
        rules.add(broken.rule)
        errors = strict.check_body(side, broken.payload).errors
        assert [(error.rule, error.pointer) for error in errors] == [(broken.rule, broken.pointer)]
    assert rules == set(mutations)


def test_shrunk_order_is_printed_as_its_cause() -> None:
    order = find(allocation_responses(), lambda order: order["delivery_cost"] > 5, settings=settings(database=None))
    assert "/delivery_cost: 5.01" in repr(order)


@pytest.mark.parametrize(
    ("side", "valid", "invalid"),
    [
        ("request", allocation_requests(), invalid_allocation_requests()),
        ("response", allocation_responses(), invalid_allocation_responses()),
    ],
)
def test_jsonschema_and_jsonschema_rs_agree_about_generated_bodies(side: Any, valid: Any, invalid: Any) -> None:
    schema = load_schema(side, "strict")
    jsonschema, rust, ours = validator(schema), jsonschema_rs.validator_for(schema), only_structure("strict")
    for body in examples(valid, 300 * SCALE):
        assert rust.is_valid(body)
    for body in examples(valid, 50 * SCALE, number=1):
        assert jsonschema.is_valid(body)
    for number, broken in enumerate(examples(invalid, 300 * SCALE)):
        if broken.rule in ("too-deep", "non-finite-number"):
            continue
        verdict = broken.rule not in STRUCTURAL
        assert rust.is_valid(broken.payload) is ours.check_body(side, broken.payload).ok is verdict, broken.rule
        if number % 5 == 0:
            assert jsonschema.is_valid(broken.payload) is verdict
