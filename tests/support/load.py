"""A fake under load: many connections, every fault, and what must hold afterwards."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from pytest_veeqo_alloc import Contract, Story, World, serve_fake
from pytest_veeqo_alloc.orders.story import Line, Stock
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import FAULTS
from support.bodies import allocation_request
from support.fake import headers

SLOW = {"slow-headers", "slow-body"}


def check_under_load(connections: int, requests_each: int, *, fault_rounds: int) -> None:
    """Allocate over many connections at once, with every fault *fault_rounds* times, and check that nothing is lost."""
    before = set(threading.enumerate())
    count = connections * requests_each
    with serve_fake(contract=Contract(rules={"repeated-post": "off"})) as fake:
        fake.world = World.of(
            Story(order_id=1, lines=(Line(11, 10**6, stock=(Stock(5, count // 2, 0),)),), allocations=())
        )
        inject_every_fault(fake, fault_rounds)
        statuses = allocate_over(fake, connections, requests_each)
        fake.settle()
        sent = [interaction.request.url for interaction in fake.interactions if interaction.request is not None]
        orders = Counter(int(url.split("/")[-2]) for url in sent)
        assert set(orders.values()) == {1}
        assert len(orders) == count
        left = fake.world.available(5, 11)
        reserved = sum(
            quantity
            for order in fake.world.orders.values()
            for allocation in order.allocations
            for _, quantity in allocation.lines
        )
        assert left is not None
        assert left >= 0
        assert reserved + left == count // 2
        assert {201, 422, 429, 500, 502} <= statuses.keys()
        assert fake.findings.ok
    assert set(threading.enumerate()) == before


def inject_every_fault(fake: Fake, rounds: int) -> None:
    # All but the one that also swallows the request after its own.
    names: list[Any] = list(FAULTS)
    for name in [name for name in names if name != "reset-after-body"] * rounds:
        arguments: dict[str, Any] = {}
        if FAULTS[name].argument == "pointer":
            arguments["pointer"] = "/deliver_to/new" if name == "extra-member" else "/deliver_to/zip"
        if name in SLOW:
            arguments["seconds"] = 0.05
        fake.inject_fault(name, **arguments)
        fake.respond_with(status=503)


def allocate_over(fake: Fake, connections: int, requests_each: int) -> Counter[int]:
    """Allocate to each order once, and reconnect after a broken connection; return the number of responses by status."""
    statuses: Counter[int] = Counter()
    address = urlsplit(fake.url)
    body = json.dumps(allocation_request(sellable_id=11, warehouse_id=5))

    def work(first: int) -> None:
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)
        for order_id in range(first, first + requests_each):
            sent = {**headers(fake), "content-type": "application/json"}
            try:
                connection.request("POST", f"/orders/{order_id}/allocations", body, sent)
                response = connection.getresponse()
                response.read()
                statuses[response.status] += 1
            except (http.client.HTTPException, ConnectionError):
                connection.close()
        connection.close()

    threads = [threading.Thread(target=work, args=(10_000 * number,)) for number in range(1, connections + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses
