"""Samples of the strategies outside of property tests."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.sampling import broken_requests, sample, samples, valid_requests

STRICT = Contract("strict")


@pytest.mark.parametrize("side", ["request", "response"])
def test_sample_of_a_number_is_valid_and_reproducible(side: str) -> None:
    first = sample(side, 3)
    assert STRICT.check_body(side, first).ok  # type: ignore[arg-type]  # a parametrised literal
    assert first == sample(side, 3)
    assert first != sample(side, 4)


def test_samples_are_the_same_in_every_run() -> None:
    assert samples(allocation_requests(), 5) == samples(allocation_requests(), 5)
    assert len(samples(allocation_requests(), 5)) == 5


def test_requests_for_existing_stock_use_only_its_warehouse_and_sellables() -> None:
    for request in valid_requests(10, 5, [11, 12], 3):
        assert STRICT.check_body("request", request).ok
        assert request["allocation"]["warehouse_id"] == 5
        assert {line["sellable_id"] for line in request["allocation"]["line_items_attributes"]} <= {11, 12}
        assert all(line["quantity"] <= 3 for line in request["allocation"]["line_items_attributes"])


def test_broken_requests_have_each_member_with_each_wrong_kind_by_rule() -> None:
    broken = broken_requests(5, 11)
    assert set(broken) == set(REQUEST_MUTATIONS)
    for rule, bodies in broken.items():
        for body in bodies:
            assert {error.rule for error in STRICT.check_body("request", body).errors} == {rule}
    shape = [body["allocation"]["line_items_attributes"][0] for body in broken["line-item-shape"]]
    lines: list[Any] = ["text", 1, True, [], None, {"sellable_id": 11}, {"quantity": 1}]
    quantities: list[Any] = ["1", True, None, [1], {}]
    sellables: list[Any] = ["11", True, None, [11], {}]
    lines += [{"sellable_id": 11, "quantity": quantity} for quantity in quantities]
    lines += [{"sellable_id": sellable, "quantity": 1} for sellable in sellables]
    assert [line for line in lines if line not in shape] == []
    assert {"allocation": None} in broken["wrong-type"]
    assert {"allocation": {"warehouse_id": 5}} in broken["required-field"]
