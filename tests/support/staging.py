"""A staging server on the loopback: documented responses, stored allocations, and failures on request."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pytest_veeqo_alloc import Story, build_order
from pytest_veeqo_alloc.orders.story import Allocation, Line


class Staging(ThreadingHTTPServer):
    """A server that allocates to any order.

    `seen` lists the requests (method, path, headers, body, time of arrival), `orders` the allocations by order id.
    `answers` replace the next responses to POSTs: (status, headers); `die` to close the connection after the
    allocation; `hang` to wait for `release` before it. `reads` replace the next responses to GETs in the same way.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes, float]] = []
        self.orders: dict[int, list[Allocation]] = {}
        self.answers: list[Any] = []
        self.reads: list[tuple[int, tuple[tuple[str, str], ...]]] = []
        self.lock = threading.Lock()
        self.arrived, self.release = threading.Event(), threading.Event()
        self.last_id = 5000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def posts(self) -> list[tuple[str, str, dict[str, str], bytes, float]]:
        return [request for request in self.seen if request[0] == "POST"]

    def allocate(self, order_id: int, warehouse_id: int, lines: tuple[tuple[int, int], ...]) -> None:
        self.last_id += 1
        self.orders.setdefault(order_id, []).append(Allocation(warehouse_id, lines, self.last_id))

    def order(self, order_id: int) -> bytes:
        allocations = tuple(self.orders.get(order_id, ()))
        sellables = {sellable for allocation in allocations for sellable, _ in allocation.lines} or {1226615}
        lines = tuple(Line(sellable, 9) for sellable in sorted(sellables))
        return json.dumps(build_order(Story(order_id, lines, allocations))).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each response waits 40 ms for the acknowledgement of its headers
    server: Staging

    def _read(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.seen.append((self.command, self.path, dict(self.headers), body, time.monotonic()))
        return body

    def do_GET(self) -> None:  # the name that http.server looks for
        self._read()
        if self.server.reads:
            status, headers = self.server.reads.pop(0)
            self._answer(status, b"", *headers)
            return
        self._answer(200, self.server.order(int(self.path.split("/")[-1])))

    def do_DELETE(self) -> None:  # the name that http.server looks for
        self._read()
        order_id = int(self.path.split("/")[2])
        self.server.orders[order_id] = []
        self._answer(200, self.server.order(order_id))

    def do_POST(self) -> None:  # the name that http.server looks for
        body = self._read()
        with self.server.lock:
            answer = self.server.answers.pop(0) if self.server.answers else None
        if answer == "hang":
            self.server.arrived.set()
            self.server.release.wait()
        elif isinstance(answer, tuple):
            self._answer(answer[0], b"", *answer[1])
            return
        order_id = int(self.path.split("/")[-2])
        requested = json.loads(body)["allocation"]
        lines = tuple((line["sellable_id"], line["quantity"]) for line in requested["line_items_attributes"])
        with self.server.lock:
            self.server.allocate(order_id, requested["warehouse_id"], lines)
        if answer == "die":
            self.close_connection = True
            return
        self._answer(201, self.server.order(order_id), ("Location", f"/orders/{order_id}"))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in (*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client is gone

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def staging(context: ssl.SSLContext | None = None) -> Iterator[Staging]:
    """Run a server until the block ends, with TLS if *context* is given."""
    with Staging() as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()
