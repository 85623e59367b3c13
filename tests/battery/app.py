"""A server in plain WSGI that keeps the contract, and places in it where a defect can be planted."""

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
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock

KEY = "key-of-the-battery"
Answer = tuple[int, dict[str, str], bytes]


class RefusedError(Exception):
    def __init__(self, status: int, message: str = "no") -> None:
        self.status, self.message = status, message


class Shop:
    """The correct server. A defect overrides one method."""

    reserves = threading.Lock

    def __init__(self) -> None:
        self.held: dict[int, tuple[Allocation, ...]] = {}
        self.last_id = 900
        self.lock = threading.Lock()
        self.strict = Contract("strict")

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            self.authorise(headers)
            return self.created(self.allocate(self.order_id(method, path), self.parsed(headers, body)))
        except RefusedError as refusal:
            return self.refusal(refusal.status, refusal.message)

    def authorise(self, headers: dict[str, str]) -> None:
        if headers.get("HTTP_X_API_KEY") != KEY:
            raise RefusedError(401)

    def order_id(self, method: str, path: str) -> int:
        parts = path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "orders" or parts[2] != "allocations":
            raise RefusedError(404)
        if method != "POST":
            raise RefusedError(405)
        if not parts[1].isascii() or not parts[1].isdigit() or not 0 < len(parts[1]) < 16 or int(parts[1]) < 1:
            raise RefusedError(404)
        return int(parts[1])

    def parsed(self, headers: dict[str, str], body: bytes) -> Any:
        if headers.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/json":
            raise RefusedError(415)
        if not self.strict.check_body("request", body).ok:
            raise RefusedError(422)
        return json.loads(body)["allocation"]

    def allocate(self, order_id: int, asked: Any) -> Story:
        lines = tuple((int(line["sellable_id"]), int(line["quantity"])) for line in asked["line_items_attributes"])
        with self.lock:
            self.last_id += 1
            held = (*self.held.get(order_id, ()), Allocation(int(asked["warehouse_id"]), lines, self.last_id))
            self.held[order_id] = held
        return self.story(order_id, held)

    def story(self, order_id: int, held: tuple[Allocation, ...]) -> Story:
        totals: dict[int, int] = {}
        for allocation in held:
            for sellable, quantity in allocation.lines:
                totals[sellable] = totals.get(sellable, 0) + quantity
        stock = (Stock(held[0].warehouse_id, 10**9, 0),)
        return Story(order_id, tuple(Line(sellable, total, stock=stock) for sellable, total in totals.items()), held)

    def created(self, story: Story) -> Answer:
        order = self.changed(build_order(story))
        return 201, {"Content-Type": "application/json", "Location": f"/orders/{story.order_id}"}, self.written(order)

    def changed(self, order: Any) -> Any:
        return order

    def written(self, order: Any) -> bytes:
        return json.dumps(order).encode()

    def refusal(self, status: int, message: str) -> Answer:
        return status, {"Content-Type": "application/json"}, json.dumps({"error_messages": message}).encode()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"]
        try:
            status, headers, text = self.answer(environ["REQUEST_METHOD"], path, environ, body)
        except Exception:
            status, headers, text = 500, {"Content-Type": "text/plain"}, traceback.format_exc().encode()
        start_response(f"{status} X", [*headers.items(), ("Content-Length", str(len(text)))])
        return [text]


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running(app: Any) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, _Threading, _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
