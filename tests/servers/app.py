"""A correct server in plain WSGI; the defects override one of its methods each."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from pytest_veeqo_alloc import Contract, Story, build_order
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, units_by_sellable

KEY = "key-of-the-battery"
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body of a response."""


class RejectedError(Exception):
    """The request is rejected with this status."""

    def __init__(self, status: int, message: str = "no") -> None:
        self.status, self.message = status, message


class CorrectServer:
    """A WSGI application that allocates to any order, and keeps the contract."""

    def __init__(self) -> None:
        self.allocations: dict[int, tuple[Allocation, ...]] = {}
        self.last_id = 900
        self.lock = threading.Lock()
        self.strict = Contract("strict")

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        try:
            self.authorise(headers)
            return self.created(self.allocate(self.order_id(method, path), self.parse(headers, body)))
        except RejectedError as rejection:
            return self.rejected(rejection.status, rejection.message)

    def authorise(self, headers: dict[str, str]) -> None:
        if headers.get("HTTP_X_API_KEY") != KEY:
            raise RejectedError(401)

    def order_id(self, method: str, path: str) -> int:
        parts = path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "orders" or parts[2] != "allocations":
            raise RejectedError(404)
        if method != "POST":
            raise RejectedError(405)
        if not parts[1].isascii() or not parts[1].isdigit() or not 0 < len(parts[1]) < 16 or int(parts[1]) < 1:
            raise RejectedError(404)
        return int(parts[1])

    def parse(self, headers: dict[str, str], body: bytes) -> Any:
        """Return the members of `allocation` in a request body."""
        if headers.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/json":
            raise RejectedError(415)
        if not self.strict.check_body("request", body).ok:
            raise RejectedError(422)
        return json.loads(body)["allocation"]

    def allocate(self, order_id: int, requested: Any) -> Story:
        lines = tuple((int(line["sellable_id"]), int(line["quantity"])) for line in requested["line_items_attributes"])
        with self.lock:
            self.last_id += 1
            new = Allocation(int(requested["warehouse_id"]), lines, self.last_id)
            allocations = self.allocations[order_id] = (*self.allocations.get(order_id, ()), new)
        return self.story(order_id, allocations)

    def story(self, order_id: int, allocations: tuple[Allocation, ...]) -> Story:
        totals = units_by_sellable(pair for allocation in allocations for pair in allocation.lines)
        stock = (Stock(allocations[0].warehouse_id, 10**9, 0),)
        lines = tuple(Line(sellable, total, stock=stock) for sellable, total in totals.items())
        return Story(order_id, lines, allocations)

    def created(self, story: Story) -> Reply:
        headers = {"Content-Type": "application/json", "Location": f"/orders/{story.order_id}"}
        return 201, headers, json.dumps(build_order(story)).encode()

    def rejected(self, status: int, message: str) -> Reply:
        return status, {"Content-Type": "application/json"}, json.dumps({"error_messages": message}).encode()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            if "HTTP_TRANSFER_ENCODING" in environ:  # WSGI has no end of a body without a length
                raise RejectedError(411)
            status, headers, text = self.respond(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ, body)
        except RejectedError as rejection:
            status, headers, text = self.rejected(rejection.status, rejection.message)
        except Exception:
            status, headers, text = 500, {"Content-Type": "text/plain"}, traceback.format_exc().encode()
        start_response(f"{status} X", [*headers.items(), ("Content-Length", str(len(text)))])
        return [text]


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve *app* on the loopback until the block ends; yield the URL."""
    with make_server("127.0.0.1", 0, app, _ThreadingServer, _QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
