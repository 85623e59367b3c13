"""Undocumented calls that the fake answers from its world, and unknown calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from support.bodies import allocation_request
from support.fake import PATH, headers

from pytest_veeqo_alloc import Policy, Story, World, build_order, serve_fake
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock
from pytest_veeqo_alloc.server.fake import Fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serve_fake() as running_fake:
        yield running_fake


def send(fake: Fake, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, fake.url + path, json=body, headers=headers(fake), timeout=10)


def order(order_id: int, *allocations: Allocation) -> Story:
    stock = (Stock(5, 4, 0), Stock(6, 4, 0))
    return Story(order_id=order_id, lines=(Line(11, 2, stock=stock),), allocations=allocations)


ONE = Allocation(5, ((11, 1),), 900)
TWO = Allocation(5, ((11, 1),), 901)


def test_orders_are_listed_by_id_with_the_counts_of_pages(fake: Fake) -> None:
    fake.world = World.of(order(9), order(7, ONE), order(8))
    answer = send(fake, "GET", "/orders?page_size=2&page=1&status=awaiting_fulfillment")
    assert answer.json() == [build_order(story) for story in map(fake.world.order, (7, 8)) if story is not None]
    counts = ("x-total-count", "x-total-pages-count", "x-page-index", "x-per-page")
    assert [answer.headers[name] for name in counts] == ["3", "2", "1", "2"]
    assert [found["id"] for found in send(fake, "GET", "/orders?page_size=2&page=2").json()] == [9]
    assert len(fake.findings) == 0


def test_page_beyond_the_last_is_empty_and_a_page_has_12_orders_by_default(fake: Fake) -> None:
    fake.world = World.of(*map(order, range(1, 14)))
    assert len(send(fake, "GET", "/api/v1/orders").json()) == 12
    assert send(fake, "GET", "/orders?page=3").json() == []


@pytest.mark.parametrize("query", ["page_size=abc", "page=0", "page=-1", "page_size=", "page=1.5"])
def test_invalid_page_is_answered_as_observed(fake: Fake, query: str) -> None:
    answer = send(fake, "GET", f"/orders?{query}")
    assert (answer.status_code, answer.json()) == (400, {"error_messages": ["Infinity"]})


def test_changed_allocation_is_the_answer_and_its_lines_stay(fake: Fake) -> None:
    fake.world = World.of(order(7, ONE, TWO))
    body = {"line_items_attributes": [{"sellable_id": 11, "quantity": 99}]}
    answer = send(fake, "PUT", "/orders/7/allocations/901", body)
    assert answer.status_code == 200
    assert answer.json() == build_order(fake.world.order(7))["allocations"][1]
    assert fake.world.orders[7].allocations == (ONE, TWO)
    assert len(fake.findings) == 0


def test_allocation_moves_to_another_warehouse_with_its_stock(fake: Fake) -> None:
    fake.world = World.of(order(7, ONE, TWO))
    answer = send(fake, "PUT", "/orders/7/allocations/901", {"allocation": {"warehouse_id": 6}})
    assert answer.json()["warehouse"]["id"] == 6
    assert [fake.world.available(warehouse, 11) for warehouse in (5, 6)] == [3, 3]
    fake.policy = Policy.strict()
    assert send(fake, "PUT", "/orders/7/allocations/901", {"warehouse_id": 99}).status_code == 422


@pytest.mark.parametrize("allocation", ["/orders/7/allocations/902", "/orders/8/allocations/900", "/allocations/902"])
def test_unknown_allocation_is_not_found(fake: Fake, allocation: str) -> None:
    fake.world = World.of(order(7, ONE))
    assert send(fake, "DELETE", allocation).status_code == 404
    if allocation.startswith("/orders"):
        assert send(fake, "PUT", allocation, {}).status_code == 404
    assert len(fake.findings) == 0


def test_change_that_is_not_json_is_rejected_by_policy(fake: Fake) -> None:
    fake.world = World.of(order(7, ONE))
    url = f"{fake.url}/orders/7/allocations/900"
    assert requests.put(url, data=b"{", headers=headers(fake), timeout=10).status_code == 400
    assert requests.put(url, headers=headers(fake), timeout=10).status_code == 200


@pytest.mark.parametrize("path", ["/orders/7/allocations/900", "/allocations/900", "/api/allocations/900"])
def test_deleting_one_allocation_deletes_all_of_the_order_with_and_without_the_order(fake: Fake, path: str) -> None:
    fake.world = World.of(order(7, ONE, TWO), order(8, replace(ONE, id=902)))
    answer = send(fake, "DELETE", path)
    assert (answer.status_code, answer.json()["id"], answer.json()["allocations"]) == (200, 7, [])
    assert fake.world.available(5, 11) == 3
    assert len(fake.findings) == 0


def test_allocation_of_an_order_that_is_no_number_is_not_deleted(fake: Fake) -> None:
    fake.world = World.of(order(7, ONE))
    assert send(fake, "DELETE", "/orders/P-7/allocations/900").status_code == 404
    assert fake.world.orders[7].allocations == (ONE,)
    assert [finding.rule for finding in fake.findings] == ["unknown-call"]


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/orders"), ("GET", "/orders/7"), ("PUT", "/orders/7/allocations/900"), ("DELETE", "/allocations/900"),
])  # fmt: skip
def test_undocumented_call_needs_the_key(fake: Fake, method: str, path: str) -> None:
    fake.world = World.of(order(7, ONE))
    assert requests.request(method, fake.url + path, timeout=10).status_code == 401
    assert fake.world.orders[7].allocations == (ONE,)


@pytest.mark.parametrize(("method", "path", "place"), [
    ("GET", "/warehouses", "GET /warehouses"),
    ("GET", "/shipping/rates/323498?api_key=s3cret", "GET /shipping/rates/*"),
    ("PUT", "/allocations/900/allocation_package", "PUT /allocations/*/allocation_package"),
    ("POST", "/shipments", "POST /shipments"),
    ("GET", "/orders/", "GET /orders/"),
    ("HEAD", "/warehouses", "HEAD /warehouses"),
    ("PUT", "/orders/7", "PUT /orders/*"),
    ("DELETE", "/orders/7", "DELETE /orders/*"),
])  # fmt: skip
def test_unknown_call_is_404_and_one_warning(fake: Fake, method: str, path: str, place: str) -> None:
    assert send(fake, method, path, {"shipment": {}}).status_code == 404
    (finding,) = fake.findings
    assert (finding.rule, finding.severity, finding.place) == ("unknown-call", "warning", place)


def test_list_between_two_posts_is_a_look_at_the_order(fake: Fake) -> None:
    fake.inject_fault("server-error")
    statuses = [send(fake, "POST", PATH, allocation_request()).status_code]
    statuses += [send(fake, "GET", "/orders?page_size=100").status_code]
    statuses += [send(fake, "POST", PATH, allocation_request()).status_code]
    assert statuses == [500, 200, 201]
    assert len(fake.findings) == 0


VENDOR = {
    "an unknown order": (8, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11, "quantity": 1}]}}, 404),
    "an unknown warehouse": (7, {"allocation": {"warehouse_id": 99, "line_items_attributes": [{"sellable_id": 11, "quantity": 1}]}}, 404),
    "an unknown sellable": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 99, "quantity": 1}]}}, 404),
    "no warehouse": (7, {"allocation": {"line_items_attributes": [{"sellable_id": 11, "quantity": 1}]}}, 400),
    "no lines": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": []}}, 400),
    "no quantity": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11}]}}, 400),
    "a quantity of 0": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11, "quantity": 0}]}}, 400),
    "half a unit": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11, "quantity": 0.5}]}}, 400),
    "too little stock": (7, {"allocation": {"warehouse_id": 6, "line_items_attributes": [{"sellable_id": 11, "quantity": 2}]}}, 400),
    "more than was ordered": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11, "quantity": 3}]}}, 400),
    "no JSON": (7, "{", 400),
    "what is there": (7, {"allocation": {"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11, "quantity": 2}]}}, 201),
}  # fmt: skip


@pytest.mark.parametrize(("order_id", "body", "status"), VENDOR.values(), ids=VENDOR)
def test_policy_of_the_vendor_has_the_statuses_of_its_list(order_id: int, body: Any, status: int) -> None:
    line = Line(11, 2, stock=(Stock(5, 4, 0), Stock(6, 1, 0)))
    with serve_fake(policy=Policy.vendor()) as fake:
        fake.world = World.of(Story(order_id=7, lines=(line,), allocations=()))
        raw = body if isinstance(body, str) else json.dumps(body)
        sent = {**headers(fake), "content-type": "application/json"}
        url = f"{fake.url}/orders/{order_id}/allocations"
        assert requests.post(url, data=raw, headers=sent, timeout=10).status_code == status
        fake.reset()
