"""The fake, which checks every request, compared with pytest-httpserver, which sends the same bytes unchecked.

The client is a process of its own with one thread per connection. A thread has its own order ids and keeps its connection if the
server does. pytest-httpserver runs with its default settings, which are also its fastest.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import subprocess
import sys
import threading
import time

from check import compact
from measure import Row, rounds

from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running

SECONDS = 1.5
KEY = "bench-key"
FAKE = "the fake, every request checked"
LINE = {"sellable_id": 1226615, "quantity": 1}
BODY = json.dumps({"allocation": {"warehouse_id": 1784, "line_items_attributes": [LINE]}}).encode()
HEADERS = {"x-api-key": KEY, "content-type": "application/json", "accept": "*/*", "user-agent": "bench"}


def measure_serving(connections: int, count: int = 7) -> list[Row]:
    """Measure one exchange over *connections* connections; pytest-httpserver is the base."""
    from pytest_httpserver import HTTPServer

    fake = Fake(Engine(), api_key=KEY)
    quiet = contextlib.redirect_stderr(io.StringIO())  # the peer logs every request
    with running(fake) as listener, quiet, HTTPServer() as peer:
        peer.expect_request(re.compile(r"/orders/\d+/allocations"), method="POST").respond_with_data(
            compact("schemas/examples/response.json"),
            status=201,
            headers={"Location": "/orders/447452"},
            content_type="application/json;charset=utf-8",
        )

        def fake_exchange() -> float:
            fake.reset()
            return _load(listener.port, connections)

        def peer_exchange() -> float:
            peer.clear_log()
            return _load(peer.port, connections)

        rows = rounds({"pytest-httpserver": peer_exchange, "again": peer_exchange, FAKE: fake_exchange}, count)
        if not fake.log.records or not all(record.request_findings.ok for record in fake.log.records):
            raise SystemExit("the fake found an error in a request of the benchmark")
        return rows


def _load(port: int, connections: int) -> float:
    command = [sys.executable, __file__, str(port), str(connections)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_fixture() -> list[Row]:
    """Measure what the fixture adds to a test without requests: a reset of the fake, and its check at the end."""
    fake = Fake(Engine(), api_key=KEY)

    def once() -> float:
        start = time.perf_counter()
        for _ in range(100):
            fake.reset()
            _ = fake.unexpected.ok, fake.problems
        return (time.perf_counter() - start) / 100

    return rounds({"reset and check of the fake": once}, 20)


def client(port: int, connections: int) -> float:
    """Send requests for SECONDS and return the seconds per exchange; the main function of the client process."""
    exchanges = [0] * connections
    until = time.perf_counter() + SECONDS

    def work(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < until:
            order_id = number * 1_000_000 + exchanges[number] + 1
            connection.request("POST", f"/orders/{order_id}/allocations", BODY, HEADERS)
            response = connection.getresponse()
            if response.status != 201 or len(response.read()) < 10_000:
                raise SystemExit("a response is not a complete order")
            exchanges[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - start) / sum(exchanges)


if __name__ == "__main__":
    print(client(int(sys.argv[1]), int(sys.argv[2])))
