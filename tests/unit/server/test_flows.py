"""Whole flows of clients, which run against the fake without a finding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from pytest_veeqo_alloc import Line, Policy, Request, Response, Stock, Story, World, serve_fake
from pytest_veeqo_alloc.server.fake import Fake

SHIPMENT = {"shipment": {"allocation_id": 323498, "carrier_id": 3}}


class Client:
    """A client of the API that raises for every failure."""

    def __init__(self, fake: Fake) -> None:
        self.fake, self.session = fake, requests.Session()
        self.session.headers["x-api-key"] = fake.api_key

    def call(self, method: str, path: str, body: Any = None) -> Any:
        response = self.session.request(method, self.fake.url + path, json=body, timeout=10)
        response.raise_for_status()
        return response.json() if response.content else None

    def allocate(self, order_id: int, units: int = 1) -> Any:
        lines = [{"sellable_id": 11, "quantity": units}]
        body = {"allocation": {"warehouse_id": 5, "line_items_attributes": lines}}
        return self.call("POST", f"/orders/{order_id}/allocations", body)


@pytest.fixture(params=["default", "vendor"])
def fake(request: pytest.FixtureRequest) -> Iterator[Fake]:
    policy = Policy.vendor() if request.param == "vendor" else None
    with serve_fake("strict", policy=policy) as running_fake:
        line = Line(11, 3, stock=(Stock(5, 10, 0), Stock(6, 10, 0)))
        running_fake.world = World.of(*(Story(order_id=id_, lines=(line,), allocations=()) for id_ in (7, 8)))
        running_fake.stub("GET", "/warehouses", json=[{"id": 5, "name": "London"}])
        running_fake.stub("GET", "/shipping/rates/{allocation_id}", json={"available": [{"carrier": "royal_mail"}]})
        running_fake.stub("PUT", "/allocations/{allocation_id}/allocation_package", json=echo)
        running_fake.stub("POST", "/shipments", json=lambda request: Response(201, body=request.body))
        yield running_fake
        assert len(running_fake.findings) == 0


def echo(request: Request, allocation_id: str) -> Any:
    return {"allocation_id": int(allocation_id)}


def ship_what_waits(client: Client) -> None:
    """List the orders that wait, allocate each in the first warehouse, pack it, compare rates, and ship it."""
    (warehouse,) = client.call("GET", "/warehouses?page_size=100")
    for order in client.call("GET", "/orders?status=awaiting_fulfillment&page_size=100&page=1"):
        (allocation,) = client.allocate(order["id"], 3)["allocations"]
        assert allocation["warehouse"]["id"] == warehouse["id"]
        package = {"allocation_package": {"weight": 100, "weight_unit": "g"}}
        packed = client.call("PUT", f"/allocations/{allocation['id']}/allocation_package", package)
        assert packed == {"allocation_id": allocation["id"]}
        assert client.call("GET", f"/shipping/rates/{allocation['id']}?from_allocation_package=true")["available"]
        client.call("POST", "/shipments", SHIPMENT)
    assert all(order["allocated_completely"] for order in client.call("GET", "/orders"))


def replace_an_allocation(client: Client) -> None:
    """Read the order, replace its allocation by another one, and read it again."""
    assert client.call("GET", "/orders/7")["allocations"] == []
    (allocation,) = client.allocate(7)["allocations"]
    assert client.call("DELETE", f"/orders/7/allocations/{allocation['id']}")["allocations"] == []
    (other,) = client.allocate(7, 2)["allocations"]
    assert other["id"] != allocation["id"]
    assert client.call("GET", "/orders/7")["allocations"] == [other]


def change_an_allocation(client: Client) -> None:
    """Allocate twice, change the second allocation, and find its line items as they were."""
    client.allocate(7)
    first, second = client.allocate(7)["allocations"]
    change = {"warehouse_id": 6, "line_items_attributes": [{"sellable_id": 11, "quantity": 2}]}
    changed = client.call("PUT", f"/orders/7/allocations/{second['id']}", change)
    assert (changed["id"], changed["warehouse"]["id"], changed["line_items"][0]["quantity"]) == (second["id"], 6, 1)
    allocations = client.call("GET", "/orders/7")["allocations"]
    assert [allocation["warehouse"]["id"] for allocation in allocations] == [5, 6]
    assert allocations[0]["id"] == first["id"]


def cancel_with_the_allocation_alone(client: Client) -> None:
    """Allocate, delete the allocation by its id, and find that nothing is allocated."""
    (allocation,) = client.allocate(8)["allocations"]
    client.call("DELETE", f"/allocations/{allocation['id']}")
    assert [order["allocations"] for order in client.call("GET", "/orders?query=8")] == [[], []]


def look_before_a_second_try(client: Client) -> None:
    """Post, get no answer, find in the list that nothing is allocated, and post again."""
    client.fake.inject_fault("bad-gateway")
    with pytest.raises(requests.HTTPError):
        client.allocate(7)
    (order, _) = client.call("GET", "/orders?since_id=6")
    assert order["allocations"] == []
    client.allocate(7)


FLOWS = [ship_what_waits, replace_an_allocation, change_an_allocation, cancel_with_the_allocation_alone,
         look_before_a_second_try]  # fmt: skip


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_flow_of_a_client_has_no_finding(fake: Fake, flow: Callable[[Client], None]) -> None:
    flow(Client(fake))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/allocations/7"),
        ("PUT", "/orders/7/allocations/7"),
        ("PUT", "/allocations/7/allocation_package"),
        ("GET", "/shipping/rates/allocations/7"),
    ],
)
def test_order_id_where_an_allocation_id_belongs_is_noted(fake: Fake, method: str, path: str) -> None:
    client = Client(fake)
    client.allocate(7)
    with contextlib.suppress(requests.HTTPError):  # only the stub answers with a success
        client.call(method, path)
    (note,) = fake.notes
    assert note.startswith("request 2 has the order id 7 where an allocation id belongs: the 201 response is the order")
    fake.reset()
    assert fake.notes == []


def test_allocation_id_is_not_noted(fake: Fake) -> None:
    client = Client(fake)
    allocation_id = client.allocate(7)["allocations"][0]["id"]
    client.call("DELETE", f"/allocations/{allocation_id}")
    assert fake.notes == []


def test_head_is_answered_as_a_read_without_its_body(fake: Fake) -> None:
    client = Client(fake)
    client.allocate(7)
    head, read = (client.session.request(method, f"{fake.url}/orders/7") for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == read.headers["content-length"]
    assert len(fake.findings) == 0
