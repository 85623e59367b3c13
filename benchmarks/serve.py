"""Checked full answers of the fake beside pytest-httpserver, which answers the same bytes unchecked.

The client is a process of its own: as many threads as connections, each with a connection that it keeps where the server
keeps it, and with orders of its own. pytest-httpserver runs as its users get it, which is also its fastest.
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
LINE = {"sellable_id": 1226615, "quantity": 1}
BODY = json.dumps({"allocation": {"warehouse_id": 1784, "line_items_attributes": [LINE]}}).encode()
HEADERS = {"x-api-key": KEY, "content-type": "application/json", "accept": "*/*", "user-agent": "bench"}


def serving(connections: int, count: int = 7) -> list[Row]:
    """Seconds for one answer over *connections* connections, the peer first."""
    from pytest_httpserver import HTTPServer

    fake = Fake(Engine(), api_key=KEY)
    quiet = contextlib.redirect_stderr(io.StringIO())  # the peer logs every request
    with running(fake) as front, quiet, HTTPServer() as peer:
        peer.expect_request(re.compile(r"/orders/\d+/allocations"), method="POST").respond_with_data(
            compact("schemas/examples/response.json"),
            status=201,
            headers={"Location": "/orders/447452"},
            content_type="application/json;charset=utf-8",
        )

        def ours() -> float:
            fake.reset()
            return _load(front.port, connections)

        def theirs() -> float:
            peer.clear_log()
            return _load(peer.port, connections)

        rows = rounds({"pytest-httpserver": theirs, "again": theirs, "the fake, every request checked": ours}, count)
        if not fake.log.records or not all(record.found.ok for record in fake.log.records):
            raise SystemExit("the fake found an error in what the benchmark sends")
        return rows


def _load(port: int, connections: int) -> float:
    command = [sys.executable, __file__, str(port), str(connections)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def fixture_cost() -> list[Row]:
    """Seconds that a test with the fixture costs beyond one without: a reset of the fake and the judgement at the end
    of a test that made no call."""
    fake = Fake(Engine(), api_key=KEY)

    def once() -> float:
        start = time.perf_counter()
        for _ in range(100):
            fake.reset()
            _ = fake.unexpected.ok, fake.problems
        return (time.perf_counter() - start) / 100

    return rounds({"the fake, reset and judged": once}, 20)


def client(port: int, connections: int) -> float:
    """Seconds for one answer."""
    answered = [0] * connections
    until = time.perf_counter() + SECONDS

    def work(at: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < until:
            order_id = at * 1_000_000 + answered[at] + 1
            connection.request("POST", f"/orders/{order_id}/allocations", BODY, HEADERS)
            answer = connection.getresponse()
            if answer.status != 201 or len(answer.read()) < 10_000:
                raise SystemExit("an answer is not full")
            answered[at] += 1

    threads = [threading.Thread(target=work, args=(at,)) for at in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - start) / sum(answered)


if __name__ == "__main__":
    print(client(int(sys.argv[1]), int(sys.argv[2])))
