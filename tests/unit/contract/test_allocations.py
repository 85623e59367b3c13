"""Allocations in request and response bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.bodies import drop, order, put, request_body

from pytest_veeqo_alloc.contract.allocations import (
    AllocationRequest,
    ExistingAllocation,
    RequestScope,
    allocated_units,
    existing_allocations,
    request_scope,
    requested_allocation,
)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (request_body(), AllocationRequest(5, {1226615: 1})),
        (request_body()["allocation"], AllocationRequest(5, {1226615: 1})),
        ({"allocation": {"line_items_attributes": [{"sellable_id": 1, "quantity": 2}, {"sellable_id": 1, "quantity": 1}]}},
         AllocationRequest(None, {1: 3})),
        ({"allocation": {"warehouse_id": "5", "line_items_attributes": [5, {"quantity": 1}, {"sellable_id": 2}]}}, AllocationRequest(None, {2: 0})),
        ({"allocation": {"warehouse_id": 5.5, "line_items_attributes": {}}}, AllocationRequest()),
        ({"allocation": None}, AllocationRequest()),
        ([], AllocationRequest()),
    ],
)  # fmt: skip
def test_requested_allocation_has_what_is_readable(body: Any, asked: AllocationRequest) -> None:
    assert requested_allocation(json.dumps(body).encode()) == asked


@pytest.mark.parametrize("body", [None, b"", b"{", b"\xff"])
def test_unreadable_body_has_no_allocation(body: bytes | None) -> None:
    assert requested_allocation(body) == AllocationRequest()
    assert existing_allocations(body) is None


def test_allocations_of_an_order_are_read() -> None:
    assert existing_allocations(json.dumps(order()).encode()) == [ExistingAllocation(323498, 1784, {1226615: 1})]
    assert existing_allocations(b'{"allocations": []}') == []
    assert existing_allocations(b'{"allocations": [{"id": 1}]}') == [ExistingAllocation(1)]


@pytest.mark.parametrize("listed", [None, {}, [1], [{"id": "1"}], [{"id": 1}, {}]])
def test_order_with_an_unreadable_allocation_has_none(listed: Any) -> None:
    assert existing_allocations(json.dumps({"allocations": listed}).encode()) is None


@pytest.mark.parametrize(
    ("body", "reach"),
    [
        (b"", RequestScope()),
        (b"{", RequestScope(is_bounded=False)),
        (b'{"allocation": {"warehouse_id": 5}, "warehouse_id": "6"}', RequestScope(frozenset({5, 6}))),
        (b'{"warehouse_id": [5]}', RequestScope(is_bounded=False)),
        (
            b'{"a": {"0": {"sellable_id": "1", "quantity": "-2"}, "1": {"sellable_id": 1, "quantity": 3}}}',
            RequestScope(units={1: 5}),
        ),
        (b'{"a": [{"sellable_id": 1}, {"sellable_id": "x"}]}', RequestScope(units={1: 0}, is_bounded=False)),
        (b'{"sellable_id": 1, "quantity": {}}', RequestScope(units={1: 0}, is_bounded=False)),
        (b'{"sellable_id": 1, "sellable_id": 2}', RequestScope(units={2: 0}, is_bounded=False)),
    ],
)
def test_scope_of_a_request_is_read_generously(body: bytes, reach: RequestScope) -> None:
    assert request_scope(body) == reach


def test_allocated_units_are_added_up_over_all_allocations() -> None:
    body = order()
    body["allocations"] *= 2
    (sellable,) = {line["sellable"]["id"] for line in body["allocations"][0]["line_items"]}
    once = allocated_units(json.dumps(order()).encode())
    assert once is not None
    assert allocated_units(json.dumps(body).encode()) == {sellable: 2 * once[sellable]}


@pytest.mark.parametrize(
    "body",
    [
        put(order(), "/allocations/0/line_items/0/quantity", "1"),
        put(order(), "/allocations/0/line_items", None),
        drop(order(), "/allocations"),
        [],
    ],
)
def test_unreadable_units_are_unknown(body: Any) -> None:
    assert allocated_units(json.dumps(body).encode()) is None
