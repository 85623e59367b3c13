"""The fake under load, and the request rate of two processes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.bodies import allocation_request
from support.fake import headers
from support.live import POOL
from support.staging import staging

from pytest_veeqo_alloc import Contract, Story, World, serve_fake
from pytest_veeqo_alloc.orders.story import Line, Stock
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import FAULTS

CONNECTIONS, REQUESTS = 32, 125
SLOW_FAULTS = {"slow-headers", "slow-body"}
FAULT_NAMES = [
    name for name in FAULTS if name != "reset-after-body"
]  # which also drops the next request of the connection


def test_concurrent_requests_with_every_fault_are_each_recorded_once() -> None:
    before = set(threading.enumerate())
    with serve_fake(contract=Contract(rules={"repeated-post": "off"})) as fake:
        stock = Story(
            order_id=1, lines=(Line(11, 10**6, stock=(Stock(5, CONNECTIONS * REQUESTS // 2, 0),)),), allocations=()
        )
        fake.world = World.of(stock)
        plan(fake)
        statuses = load(fake)
        fake.settle()
        urls = [interaction.request.url for interaction in fake.interactions if interaction.request]
        orders = Counter(int(url.split("/")[-2]) for url in urls)
        assert set(orders.values()) == {1}
        assert len(orders) == CONNECTIONS * REQUESTS
        left = fake.world.available(5, 11)
        reserved = sum(q for o in fake.world.orders.values() for a in o.allocations for _, q in a.lines)
        assert left is not None
        assert left >= 0
        assert reserved + left == CONNECTIONS * REQUESTS // 2
        assert {201, 422, 429, 500, 502} <= statuses.keys()
        assert fake.findings.ok
    assert set(threading.enumerate()) == before


def plan(fake: Fake) -> None:
    """Inject every fault eight times."""
    for name in FAULT_NAMES * 8:
        fault = FAULTS[name]
        options: dict[str, Any] = {}
        if fault.needs:
            options = {"pointer": "/deliver_to/new" if name == "extra-member" else "/deliver_to/zip"}
        if name in SLOW_FAULTS:
            options = {"seconds": 0.05}
        fake.inject_fault(name, **options)
        fake.respond_with(status=503)


def load(fake: Fake) -> Counter[int]:
    """Send one request per order id over several connections, and reconnect after a broken one; count the statuses."""
    statuses: Counter[int] = Counter()
    address = urlsplit(fake.url)

    def work(first: int) -> None:
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)
        for order_id in range(first, first + REQUESTS):
            sent = {**headers(fake), "content-type": "application/json"}
            try:
                connection.request(
                    "POST",
                    f"/orders/{order_id}/allocations",
                    json.dumps(allocation_request(sellable_id=11, warehouse_id=5)),
                    sent,
                )
                answer = connection.getresponse()
                answer.read()
                statuses[answer.status] += 1
            except (http.client.HTTPException, ConnectionError):
                connection.close()
        connection.close()

    threads = [threading.Thread(target=work, args=(10_000 * index,)) for index in range(1, CONNECTIONS + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def test_two_processes_send_at_most_five_requests_in_any_second(tmp_path: Path) -> None:
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
sys.path[:0] = sys.argv[3].split(":")
from support.live import KEY, POOL, WriteOptions, grant_permission, RunState, Rate, LiveClient
from pytest_veeqo_alloc.live.journal import JournalWriter
folder = Path(sys.argv[2])
granted = grant_permission(WriteOptions(sys.argv[1], (sys.argv[1].partition("://")[2],), KEY, 99, "pool.toml", None, False, folder))
live = LiveClient(granted, RunState(folder, Rate.per_second(granted.rate), 99), JournalWriter(folder / "j", "r"))
list(ThreadPoolExecutor(4).map(lambda _: live.read_order(7), range(8)))
"""
    (tmp_path / "pool.toml").write_text(POOL, encoding="utf-8")
    with staging() as server, ThreadPoolExecutor(2) as pool:
        command = [sys.executable, "-c", code, server.url, str(tmp_path), ":".join(path for path in sys.path if path)]
        list(pool.map(lambda _: subprocess.run(command, check=True), range(2)))
    arrivals = sorted(time for *_, time in server.seen)
    assert len(arrivals) == 16
    assert min(sixth - first for first, sixth in zip(arrivals, arrivals[5:], strict=False)) > 1
