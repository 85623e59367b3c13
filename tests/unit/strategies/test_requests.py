"""Strategies for order ids and request bodies, and the checks of arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from support.bodies import allocation_request, line_items
from support.examples import examples

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.strategies import (
    allocation_interactions,
    allocation_requests,
    allocation_responses,
    order_ids,
)

STRICT = Contract("strict")


@pytest.fixture(scope="module")
def requests() -> list[dict[str, Any]]:
    return examples(allocation_requests(), 300)


def repeats_a_sellable(request: dict[str, Any]) -> bool:
    return len({line["sellable_id"] for line in line_items(request)}) < len(line_items(request))


def test_request_has_no_finding(requests: list[dict[str, Any]]) -> None:
    assert [findings for body in requests[:100] if (findings := list(STRICT.check_body("request", body)))] == []


def test_requests_have_one_to_ten_lines(requests: list[dict[str, Any]]) -> None:
    assert {len(line_items(request)) for request in requests} == set(range(1, 11))


def test_ids_exceed_32_bits_but_not_the_largest_safe_integer(requests: list[dict[str, Any]]) -> None:
    ids = examples(order_ids(), 100)
    assert all(1 <= order_id <= 2**53 - 1 for order_id in ids)
    assert any(order_id > 2**31 for order_id in ids)
    sellables = [line["sellable_id"] for request in requests for line in line_items(request)]
    assert 2**31 < max(sellables) <= 2**53 - 1


@given(
    allocation_requests(warehouse_ids=[5, 6], sellable_ids=range(100, 104), min_lines=2, max_lines=3, max_quantity=4)
)
def test_request_respects_its_pools_and_limits(request: dict[str, Any]) -> None:
    lines = line_items(request)
    assert request["allocation"]["warehouse_id"] in (5, 6)
    assert 2 <= len(lines) <= 3
    assert {line["sellable_id"] for line in lines} <= set(range(100, 104))
    assert not repeats_a_sellable(request)
    assert all(1 <= line["quantity"] <= 4 for line in lines)


def test_sellables_repeat_only_if_requested(requests: list[dict[str, Any]]) -> None:
    assert any(map(repeats_a_sellable, examples(allocation_requests(unique_sellables=False, min_lines=2), 50)))
    one = allocation_requests(unique_sellables=False, sellable_ids=[1], min_lines=2)
    assert any(map(repeats_a_sellable, examples(one, 5)))
    assert not any(map(repeats_a_sellable, requests))


def test_long_range_is_accepted_as_a_pool() -> None:
    (request,) = examples(allocation_requests(sellable_ids=range(1, 2**50)), 1)
    assert STRICT.check_body("request", request).ok


def test_requests_shrink_to_the_plainest_one() -> None:
    plainest = find(allocation_requests(), lambda request: True, settings=settings(database=None))
    assert plainest == allocation_request(warehouse_id=1, sellable_id=1)


@pytest.mark.parametrize("wrong", [st.just(0), st.none(), st.just("x"), st.booleans(), st.just(1.5), st.just(2**53)])
def test_strategy_that_generates_invalid_ids_is_rejected_by_argument_name(wrong: Any) -> None:
    message = r"_ids must generate integers from 1 to 2\*\*53 - 1, not "
    with pytest.raises(InvalidArgument, match=f"sellable{message}"):
        examples(allocation_requests(sellable_ids=wrong), 1)
    with pytest.raises(InvalidArgument, match=f"order{message}"):
        examples(allocation_responses(order_ids=wrong), 1)


IDS = "must be a collection of integers from 1 to 2**53 - 1, or a strategy for such integers"


@pytest.mark.parametrize(
    ("strategy", "arguments", "message"),
    [
        (allocation_requests, {"sellable_ids": []}, f"sellable_ids {IDS}; sellable_ids is empty"),
        (allocation_requests, {"warehouse_ids": "12"}, f"warehouse_ids {IDS}, not str"),
        (allocation_requests, {"warehouse_ids": 5}, f"warehouse_ids {IDS}, not int"),
        (allocation_requests, {"sellable_ids": [1, "2"]}, f"sellable_ids {IDS}; sellable_ids contains str"),
        (allocation_requests, {"sellable_ids": [1, True]}, "; sellable_ids contains True"),
        (allocation_responses, {"order_ids": [1.5]}, f"order_ids {IDS}; order_ids contains 1.5"),
        (allocation_responses, {"order_ids": [0]}, "; order_ids contains 0"),
        (allocation_requests, {"min_lines": 3, "max_lines": 2}, "min_lines=3 is greater than max_lines=2: increase max_lines"),
        (allocation_requests, {"min_lines": 0}, "min_lines must be an integer from 1 to 1000, not 0"),
        (allocation_requests, {"max_lines": 2.5}, "max_lines must be an integer from 1 to 1000, not 2.5"),
        (allocation_requests, {"max_quantity": 0}, "max_quantity must be an integer from 1 to 1000000000, not 0"),
        (allocation_requests, {"max_quantity": "9"}, "max_quantity must be an integer from 1 to 1000000000, not str"),
        (allocation_requests, {"sellable_ids": [1, 2, 2], "min_lines": 3}, "min_lines=3 requires 3 different sellable_ids, not 2"),
        (allocation_requests, {"unique_sellables": None}, "unique_sellables must be one of True, False, not None"),
        (allocation_responses, {"variant": "observd"}, "variant must be one of 'documented', 'observed', not 'observd'"),
        (allocation_responses, {"complete": "yes"}, "complete must be one of True, False, None, not 'yes'"),
        (allocation_responses, {"extra_fields": 1}, "extra_fields must be one of True, False, not 1"),
        (allocation_responses, {"request": {}}, "request must be a valid request body, such as allocation_requests() generates"),
        (allocation_requests, {"sellable_ids": iter([1, 2])}, "or a strategy for such integers, not list_iterator"),
        (allocation_requests, {"warehouse_ids": [2**53]}, "; warehouse_ids contains 9007199254740992"),
        (allocation_requests, {"max_lines": 2**60}, "max_lines must be an integer from 1 to 1000, not"),
        (allocation_requests, {"max_quantity": -(10**5000)}, "max_quantity must be an integer from 1 to 1000000000, not a larger number"),
        (allocation_responses, {"request": b"{}"}, "request must be a valid request body"),
        (allocation_responses, {"request": 5}, "request must be a valid request body"),
        (allocation_interactions, {"variant": []}, "variant must be one of 'documented', 'observed', not list"),
        (allocation_interactions, {"order_ids": []}, "order_ids must be a collection of integers from 1 to 2**53 - 1"),
    ],
)  # fmt: skip
def test_invalid_argument_is_rejected_in_one_line_before_the_first_example(
    strategy: Callable[..., object], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        strategy(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
