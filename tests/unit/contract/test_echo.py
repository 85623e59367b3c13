"""The echo of a request in its response."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.bodies import BODY, drop, order, put

from pytest_veeqo_alloc import Contract, Interaction, Request, Response

QUANTITY = "/allocation/line_items_attributes/0/quantity"
LINE = BODY["allocation"]["line_items_attributes"][0]
CONTRACT = Contract(
    "documented", rules=dict.fromkeys(("duplicate-sellable", "completeness", "stock-entry-sellable"), "off")
)


def rules(
    request: Any = BODY, response: Any = None, path: str = "/orders/447452/allocations"
) -> list[tuple[str, str | None]]:
    body = order() if response is None else response
    headers = (("content-type", "application/json"), ("x-api-key", "k"), ("location", f"/orders/{body.get('id')}"))
    sent = Request("POST", path, headers, json.dumps(request).encode())
    got = Response(201, headers, json.dumps(body).encode())
    return [(f.rule, f.pointer) for f in CONTRACT.check(Interaction(sent, got)) if f.side == "response"]


def test_requested_order_is_accepted() -> None:
    assert rules() == []


def test_other_order_than_the_one_in_the_path_is_found() -> None:
    assert rules(path="/orders/1/allocations") == [("order-echo", "/id")]


def test_order_id_that_is_not_an_integer_is_not_compared() -> None:
    assert rules(path="/orders/x/allocations") == []


@pytest.mark.parametrize(
    "request_body",
    [put(BODY, "/allocation/warehouse_id", 5), put(BODY, "/allocation/line_items_attributes/0/sellable_id", 7)],
)
def test_order_without_a_requested_sellable_in_the_requested_warehouse_is_found(request_body: Any) -> None:
    assert rules(request_body) == [("allocation-echo", "/allocations")]


PARTIAL = put(order(), "/allocated_completely", False)


def test_partial_allocation_may_have_fewer_units_but_not_more() -> None:
    assert rules(put(BODY, QUANTITY, 2), PARTIAL) == []
    assert rules(put(BODY, QUANTITY, 0.5), PARTIAL) == [("allocation-quantity", "/allocations")]


def test_allocation_of_another_sellable_is_found() -> None:
    held = order()["allocations"][0]["line_items"]
    other = put(held[0], "/sellable/id", 7)
    body = put(PARTIAL, "/allocations/0/line_items", [*held, other])
    assert ("allocation-quantity", "/allocations") in rules(BODY, body)


def test_complete_order_may_take_the_units_that_were_open() -> None:
    assert rules(put(BODY, QUANTITY, 2)) == []
    line = {"sellable_id": 9, "quantity": 1}
    assert rules(put(BODY, "/allocation/line_items_attributes", [LINE, line])) == []


def test_complete_order_with_open_units_is_found() -> None:
    body = put(order(), "/line_items/0/quantity", 2)
    assert ("allocation-quantity", "/allocations") in rules(put(BODY, QUANTITY, 2), body)


def test_allocation_that_is_spread_over_several_is_added_up() -> None:
    half = put(order()["allocations"][0], "/line_items/0/quantity", 0.5)
    assert ("allocation-quantity", "/allocations") not in rules(BODY, put(order(), "/allocations", [half, half]))
    assert ("allocation-quantity", "/allocations") not in rules(BODY, put(PARTIAL, "/allocations", [half, half, half]))


def test_lines_with_the_same_sellable_are_added_up() -> None:
    line = {"sellable_id": 1226615, "quantity": 0.5}
    assert rules(put(BODY, "/allocation/line_items_attributes", [line, line])) == []


def test_bare_request_is_compared() -> None:
    assert rules(BODY["allocation"]) == []
    assert rules(put(BODY, "/allocation/warehouse_id", 5)["allocation"]) == [("allocation-echo", "/allocations")]


UNTOLD_REQUESTS = [
    [], {"allocation": None}, drop(BODY, "/allocation/warehouse_id"), put(BODY, QUANTITY, "1"),
    put(BODY, "/allocation/line_items_attributes", [1]), put(BODY, "/allocation/line_items_attributes", []),
    put(BODY, "/allocation/line_items_attributes", None),
]  # fmt: skip


@pytest.mark.parametrize("request_body", UNTOLD_REQUESTS)
def test_unreadable_request_is_not_compared(request_body: Any) -> None:
    assert rules(request_body) == []


@pytest.mark.parametrize(
    "pointer",
    [
        "/allocations/0/warehouse",
        "/allocations/0/warehouse/id",
        "/allocations/0/line_items",
        "/allocations",
    ],
)
def test_order_with_unreadable_allocations_is_not_compared(pointer: str) -> None:
    findings = rules(put(BODY, "/allocation/warehouse_id", 5), drop(order(), pointer))
    assert findings == [("absent-field", pointer)]


def test_allocation_that_is_not_an_object_is_not_compared() -> None:
    findings = rules(put(BODY, "/allocation/warehouse_id", 5), put(order(), "/allocations", [1]))
    assert findings == [("wrong-type", "/allocations/0")]


def test_order_without_allocations_is_found() -> None:
    body = put(put(order(), "/allocations", []), "/allocated_completely", False)
    assert rules(BODY, body) == [("allocation-echo", "/allocations")]


def test_response_that_is_not_an_order_is_not_compared() -> None:
    assert rules(BODY, {}) == [("not-an-order", "")]


def test_empty_allocation_beside_another_is_not_the_requested_one() -> None:
    held = put(order()["allocations"][0], "/line_items/0/quantity", 2)
    empty = put(held, "/line_items", [])
    assert ("allocation-echo", "/allocations") not in rules(BODY, put(PARTIAL, "/allocations", [held, empty]))
    found = rules(put(BODY, QUANTITY, 1), put(PARTIAL, "/allocations", [empty, held]))
    assert ("allocation-quantity", "/allocations") in found


def test_many_other_sellables_are_shown_as_one_and_a_number() -> None:
    (line,) = order()["allocations"][0]["line_items"]
    lines = [line, *(put(line, "/sellable/id", number) for number in range(1, 50))]
    headers = (("content-type", "application/json"), ("x-api-key", "k"), ("location", "/orders/447452"))
    sent = Request("POST", "/orders/447452/allocations", headers, json.dumps(BODY).encode())
    body = json.dumps(put(PARTIAL, "/allocations/0/line_items", lines)).encode()
    found = CONTRACT.check(Interaction(sent, Response(201, headers, body)))
    (finding,) = [finding for finding in found if finding.rule == "allocation-quantity"]
    assert finding.got == "1 of sellable 1, and 48 more"
