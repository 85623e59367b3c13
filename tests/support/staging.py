"""A throwaway staging server: orders that hold allocations, in the documented form, and what can go wrong there."""

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
    """What it was asked is in `seen` (method, path, headers, body, time of arrival); `orders` hold allocations by order id.

    `answers` are replies to the next POSTs in the place of the usual one: (status, headers), `die` after the order
    was changed, or `hang` before anything.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes, float]] = []
        self.orders: dict[int, list[Allocation]] = {}
        self.answers: list[Any] = []
        self.lock = threading.Lock()
        self.arrived, self.release = threading.Event(), threading.Event()
        self.last_id = 5000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def posts(self) -> list[tuple[str, str, dict[str, str], bytes, float]]:
        return [each for each in self.seen if each[0] == "POST"]

    def allocate(self, order_id: int, warehouse_id: int, lines: tuple[tuple[int, int], ...]) -> None:
        self.last_id += 1
        self.orders.setdefault(order_id, []).append(Allocation(warehouse_id, lines, self.last_id))

    def order(self, order_id: int) -> bytes:
        held = tuple(self.orders.get(order_id, ()))
        sellables = {sellable: 9 for each in held for sellable, _ in each.lines} or {1226615: 9}
        lines = tuple(Line(sellable, quantity) for sellable, quantity in sellables.items())
        return json.dumps(build_order(Story(order_id, lines, held))).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Staging

    def _read(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.seen.append((self.command, self.path, dict(self.headers), body, time.monotonic()))
        return body

    def do_GET(self) -> None:  # the name that http.server looks for
        self._read()
        self._answer(200, self.server.order(int(self.path.split("/")[-1])))

    def do_DELETE(self) -> None:  # the name that http.server looks for
        self._read()
        order_id = int(self.path.split("/")[2])
        self.server.orders[order_id] = []
        self._answer(200, self.server.order(order_id))

    def do_POST(self) -> None:  # the name that http.server looks for
        body = self._read()
        with self.server.lock:
            said = self.server.answers.pop(0) if self.server.answers else None
        if said == "hang":
            self.server.arrived.set()
            self.server.release.wait()
        elif isinstance(said, tuple):
            self._answer(said[0], b"", *said[1])
            return
        order_id = int(self.path.split("/")[-2])
        asked = json.loads(body)["allocation"]
        lines = tuple((line["sellable_id"], line["quantity"]) for line in asked["line_items_attributes"])
        with self.server.lock:
            self.server.allocate(order_id, asked["warehouse_id"], lines)
        if said == "die":
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
    """A server that runs until the block is left, with TLS where *context* is given."""
    with Staging() as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()
