"""Samples of the strategies outside of property tests."""

from __future__ import annotations

import pytest

from pytest_veeqo_alloc import Contract
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


def test_broken_requests_break_only_the_chosen_rule() -> None:
    for broken in broken_requests("quantity-not-positive", 5, 5, [11], 3):
        assert [error.rule for error in STRICT.check_body("request", broken.payload).errors] == [broken.rule]
        assert broken.rule == "quantity-not-positive"
