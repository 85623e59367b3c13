"""Servers on the loopback that answer allocations."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pytest_veeqo_alloc.spec.loader import read_shipped_text

ORDER = read_shipped_text("schemas/examples/response.json").encode()


class Allocating(BaseHTTPRequestHandler):
    """A handler that answers every POST with 201 and the documented order, and every GET with an empty object."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each response waits 40 ms for the acknowledgement of its headers

    def do_POST(self) -> None:  # the name that http.server looks for
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(201, ORDER)

    def do_GET(self) -> None:  # the name that http.server looks for
        self.answer(200, b"{}")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "/orders/447452")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def redirecting(location: str) -> type[Allocating]:
    """Return a handler that redirects every POST to *location*."""

    class Redirecting(Allocating):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(307)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Redirecting


def recording(received: list[tuple[str, Message, bytes]]) -> type[Allocating]:
    """Return a handler that appends the path, the headers and the body of every POST to *received*."""

    class Recording(Allocating):
        def do_POST(self) -> None:  # the name that http.server looks for
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received.append((self.path, self.headers, body))
            self.answer(201, ORDER)

    return Recording


def answering(*statuses: int) -> type[Allocating]:
    """Return a handler that answers POSTs with *statuses* in turn. A 307 leads to the same path."""
    remaining = list(statuses)

    class Answering(Allocating):
        def do_POST(self) -> None:  # the name that http.server looks for
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = remaining.pop(0)
            if status == 307:
                self.send_response(307)
                self.send_header("Location", self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.answer(status, ORDER if status == 201 else b"")

    return Answering


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler] = Allocating) -> Iterator[str]:
    """Serve with *handler* until the block ends; yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield a URL where every connection is refused. Its port stays bound, so that no other process takes it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
