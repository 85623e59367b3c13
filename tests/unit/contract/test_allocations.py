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


def line(warehouse: object, sellable: object, quantity: object) -> bytes:
    lines = f'[{{"sellable_id": {sellable}, "quantity": {quantity}}}]'
    return f'{{"allocation": {{"warehouse_id": {warehouse}, "line_items_attributes": {lines}}}}}'.encode()


@pytest.mark.parametrize(
    ("body", "reach"),
    [
        (line(5, 1, 2), RequestScope(frozenset({5}), {1: 2})),
        (line(5, 1, 2)[15:-1], RequestScope(frozenset({5}), {1: 2})),
        (line('"5"', '" 1 "', '"2"'), RequestScope(frozenset({5}), {1: 2})),
        (line("5.0", "1.00", "1.5"), RequestScope(frozenset({5}), {1: 2})),
        (line(5, 1, -2), RequestScope(frozenset({5}), {1: 2})),
        (line(5, 1, 0), RequestScope(frozenset({5}), {1: 1})),
        (b'\xef\xbb\xbf' + line(5, 1, 2), RequestScope(frozenset({5}), {1: 2})),
        (line('5, "warehouse_id": 6', '1, "sellable_id": "3"', '2, "quantity": 9'), RequestScope(frozenset({5, 6}), {1: 9, 3: 9})),
        (line(5, 1, 2)[:-1] + b"," + line(6, 1, 3)[1:], RequestScope(frozenset({5, 6}), {1: 5})),
        (line(5, 1, 2).replace(b"[", b"").replace(b"]", b""), RequestScope(frozenset({5}), {1: 2})),
        (line(5, 1, 2).replace(b"[", b'{"0": ').replace(b"]", b"}"), RequestScope(frozenset({5}), {1: 2})),
        (b"[" + line(5, 1, 2) + b"]", RequestScope(frozenset({5}), {1: 2})),
        (line(5, 1, 2).replace(b"{", b'{"note": "all of it: [gift]", "priority": 900, ', 1), RequestScope(frozenset({5}), {1: 2})),
    ],
)  # fmt: skip
def test_scope_of_a_request_is_read_generously(body: bytes, reach: RequestScope) -> None:
    assert request_scope(body) == reach


ALMOST = "a member is named almost like a documented one"
LINES = "line_items_attributes is not an array of objects"
PAIR = "a line item does not have both a sellable_id and a quantity"
NOT_JSON = "its body is not JSON in UTF-8"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, NOT_JSON),
        (b"{", NOT_JSON),
        (line(5, 1, 2) + b"{}", NOT_JSON),
        (line(5, 1, 2).decode().encode("utf-16"), NOT_JSON),
        (b"[" * 10**5, NOT_JSON),
        (b"1" * 5000, NOT_JSON),
        (b"{}", "it has no warehouse_id"),
        (b'{"warehouse_id": 5}', "it has no line item with a sellable_id"),
        (line('null', 1, 2), "a warehouse_id is not a number"),
        (line('[5]', 1, 2), "a warehouse_id is not a number"),
        (line('5, "warehouse_id": true', 1, 2), "a warehouse_id is not a number"),
        (line('"5abc"', 1, 2), "a warehouse_id is not a number"),
        (line('"0x5"', 1, 2), "a warehouse_id is not a number"),
        (line('"\uff15"', 1, 2), "a warehouse_id is not a number"),
        (line(5.5, 1, 2), "a warehouse_id is not a number"),
        (line(5, "NaN", 2), "a sellable_id is not a number"),
        (line(5, 1, '"1e3"'), "a quantity is not a number"),
        (line(5, 1, "null"), "a quantity is not a number"),
        (line(5, 1, '2, "quantity": {}'), "a quantity is not a number"),
        (line(5, 1, '2, "Quantity": 900'), ALMOST),
        (line(5, 1, '2, "qty": 900'), ALMOST),
        (line(5, 1, 2).replace(b"warehouse_id", b"warehouseId"), ALMOST),
        (line(5, 1, 2).replace(b"sellable_id", b"Sellable-ID"), ALMOST),
        (line(5, 1, 2).replace(b"line_items_attributes", b"lineItemsAttributes"), ALMOST),
        (line(5, 1, 2).replace(b"{", b'{"allocation[warehouse_id]": 6, ', 1), ALMOST),
        (line(5, 1, 2).replace(b"{", '{"\uff57arehouse_id": 6, '.encode(), 1), ALMOST),
        (line(5, 1, 2).replace(b', "quantity": 2', b""), PAIR),
        (line(5, 1, '2}, {"quantity": 900'), PAIR),
        (line(5, 1, '2}, [11, 900], {"sellable_id": 3, "quantity": 1'), LINES),
        (line(5, 1, 2).replace(b'"line_', b'"line_items_attributes": "3 x 11", "line_'), LINES),
        (line(5, 1, 2).replace(b"{", b'{"body": "{\\"warehouse_id\\": 6}", ', 1), "a string looks like an allocation"),
        (line(5, 1, 2).replace(b"{", b'{"lines": ["sellable_id=1"], ', 1), "a string looks like an allocation"),
    ],
)  # fmt: skip
def test_amount_that_cannot_be_read_is_a_problem(body: bytes | None, problem: str) -> None:
    assert request_scope(body).problem == problem


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
