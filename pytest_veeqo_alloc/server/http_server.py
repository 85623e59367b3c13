"""An HTTP/1.1 server for tests. It rejects malformed or huge requests, and can delay, cut off or reset responses."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import gzip
import json
import re
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Self

import httptools

from pytest_veeqo_alloc.core.http import HasHeaders, Headers, Request, Response, prefers_gzip, reason_phrase
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan

MAX_BODY = 10_000_000
"""The maximum size of a request body in bytes. The response to a larger body has status 413."""

_MAX_HEAD = 65536
_MAX_FIELDS = 100
_HEAD_LIMITS = f"a request may have at most {_MAX_FIELDS} headers, and at most {_MAX_HEAD} bytes before its body"
_PIECE = 256
"""How many bytes are parsed at a time. The rest of a body of known length is parsed at once."""
_TARGET = re.compile(r"(?:http://([^/?#]*))?(/[^#]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
_MAX_CONNECTIONS = 256
_NO_BODY = (204, 304)
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")

_POLL_SECONDS = 0.05
# Bound when this module is loaded: a test that replaces functions of `time` to freeze the time must not stop a wait.
_clock, _now = functools.partial(time.monotonic), functools.partial(time.time)
_RESET_SECONDS = 5
"""The seconds to wait for the client's next request before the connection is reset after a response."""
_JOIN_SECONDS = 1
"""The seconds to wait for all threads of connections when the server stops."""
_DRAIN_SECONDS, _DRAIN_BYTES = 5, 200_000_000

App = Callable[[Request], Exchange]


class RefusedRequestError(Exception):
    """Raised to reject a request with *status* and *sentence*. The connection is then closed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(slots=True, repr=False)
class IncomingRequest(HasHeaders):
    """A request whose head has arrived. `minor` is the x in HTTP/1.x. `body` is None if the head declares no body.

    `missing` is the number of bytes that the body lacks, or None if the body is chunked.
    """

    method: str
    target: str
    minor: int
    headers: Headers
    body: bytearray | None = None
    missing: int | None = 0
    is_complete: bool = False


class RequestParser:
    """A parser of the requests of a connection to a server with the host names in *names*.

    `requests` has the requests whose heads have arrived, and `received` the first bytes of the latest request. httptools
    calls the methods `on_...`.
    """

    def __init__(self, names: Container[str]) -> None:
        self.requests: deque[IncomingRequest] = deque()
        self.received, self.is_open = b"", False
        self._names, self._parser = names, httptools.HttpRequestParser(self)
        self._current: IncomingRequest | None = None
        self._events, self._head_size, self._target, self._fields = 0, 0, b"", list[tuple[str, str]]()

    def feed(self, data: bytes) -> None:
        """Parse *data*. Raise RefusedRequestError if it is malformed or too large. Then the parser cannot be used again."""
        self.received = (self.received + data)[:_MAX_HEAD] if self.is_open else data
        rest = memoryview(data)
        while rest:
            current, events = self._current, self._events
            size = max(_PIECE, current.missing or 0) if current else _PIECE
            piece, rest = rest[:size], rest[size:]
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(b"".join([self._head_without_upgrade(), piece[upgrade.args[0] :], rest]))
            except httptools.HttpParserCallbackError as error:
                raise (error.__context__ or error) from None
            except httptools.HttpParserError as error:
                status = 505 if str(error) in ("Invalid HTTP version", "Pause on PRI/Upgrade") else 400
                raise RefusedRequestError(status, f"this is not an HTTP/1.1 request: {error}") from None
            if self.is_open and self._current is None:
                self._head_size += len(piece)
                if self._head_size > _MAX_HEAD:
                    status = 414 if len(self._target) > _MAX_HEAD // 2 else 431
                    raise RefusedRequestError(status, _HEAD_LIMITS)
            elif self._current and self._current is current and (events, size) == (self._events, len(piece)):
                raise RefusedRequestError(400, f"a line of a chunked body may have at most {_PIECE} bytes")

    def end(self) -> None:
        """Raise RefusedRequestError if the connection ends within a request."""
        if (request := self._current) is not None:
            arrived = len(request.body or b"")
            total = "" if request.missing is None else f" of {arrived + request.missing}"
            raise RefusedRequestError(400, f"the body ended after {arrived}{total} bytes")
        if self.is_open:
            raise RefusedRequestError(400, "this is not an HTTP/1.1 request: it ended before its body")

    def _head_without_upgrade(self) -> bytes:
        """Remove the latest request. Return its head without `Upgrade`, since no other protocol is offered."""
        request, self._current, self._parser = self.requests.pop(), None, httptools.HttpRequestParser(self)
        lines = [f"{name}: {value}" for name, value in request.headers if name.lower() != "upgrade"]
        start = f"{request.method} {request.target} HTTP/1.{request.minor}"
        return "\r\n".join([start, *lines, "", ""]).encode("latin-1")

    def on_message_begin(self) -> None:
        """Forget the head of the previous request."""
        self.is_open, self._head_size, self._target, self._fields = True, 0, b"", []

    def on_url(self, part: bytes) -> None:
        """Keep a part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header or a trailer."""
        self._events += 1
        self._fields.append((name.decode("latin-1"), value.decode("latin-1").rstrip(" \t")))
        if len(self._fields) > _MAX_FIELDS:  # trailers included
            raise RefusedRequestError(400 if self._current else 431, _HEAD_LIMITS)

    def on_headers_complete(self) -> None:
        """Append the request whose headers were just parsed. Raise RefusedRequestError if it cannot be accepted."""
        method, version = self._parser.get_method().decode(), self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise RefusedRequestError(505, "this server supports HTTP/1.1 only")
        if method == "CONNECT":
            raise RefusedRequestError(501, "this server does not tunnel to other servers")
        request = IncomingRequest(method, self._target.decode("latin-1"), int(version[2]), tuple(self._fields))
        request.target = _path(request, self._names)
        codings, lengths = request.header_values("transfer-encoding"), request.header_values("content-length")
        if codings and (not request.minor or codings[0].lower() != "chunked"):
            raise RefusedRequestError(400, "Transfer-Encoding must be chunked, and needs HTTP/1.1")
        if codings or lengths:
            request.body, request.missing = bytearray(), None if codings else int(lengths[0])
            _require_size(request.missing or 0)
        self._current = request
        self.requests.append(request)

    def on_body(self, data: bytes) -> None:
        """Add *data* to the body."""
        self._events += 1
        if (request := self._current) is not None and request.body is not None:
            _require_size(len(request.body) + len(data))
            request.body += data
            request.missing = request.missing and request.missing - len(data)

    def on_message_complete(self) -> None:
        """Mark the request as complete."""
        if self._current is not None and not self._parser.should_upgrade():
            self._current.is_complete, self._current, self.is_open = True, None, False


def _path(request: IncomingRequest, names: Container[str]) -> str:
    """Return the path and query of *request*. Raise RefusedRequestError unless its host is one of *names*."""
    hosts = request.header_values("host")
    if len(hosts) != 1 and (hosts or request.minor):  # RFC 9112 section 3.2
        raise RefusedRequestError(400, "a request must have exactly one Host header")
    if (match := _TARGET.fullmatch("/" if request.target == "*" else request.target)) is None:
        raise RefusedRequestError(400, "the target of a request must be a path, or a URL that begins with http://")
    for host in hosts if match[1] is None else [*hosts, match[1]]:
        if (name := _AUTHORITY.fullmatch(host)) is None:
            raise RefusedRequestError(400, "a host must be a name or an address, and may have a port")
        if (name[1] or name[2]).lower() not in names:
            raise RefusedRequestError(421, "the Host header names another server")
    return match[2] or "/"


def _require_size(length: int) -> None:
    if length > MAX_BODY:
        raise RefusedRequestError(413, f"a body may have at most {MAX_BODY} bytes")


class Handler(socketserver.BaseRequestHandler):
    """A connection. Requests are answered one after the other."""

    server: HTTPServer
    timeout = 30
    """The seconds in which a request must begin, and then those in which it must end. No client can hold a thread."""
    _keeps_alive = True

    def setup(self) -> None:
        """Prepare the connection: set the timeout, turn off the delay of responses, and create the parser."""
        self.connection: socket.socket = self.request
        self.connection.settimeout(self.timeout)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._parser = RequestParser(self.server.names)
        self._refusal: RefusedRequestError | None = None

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        try:
            while self._keeps_alive and not self.server.closing.is_set() and (request := self._next_request()):
                closes = any("close" in value.lower() for value in request.header_values("connection"))
                self._keeps_alive = request.minor > 0 and not closes  # RFC 9112 section 9.3
                self._answer(request)
        except RefusedRequestError as refusal:
            if refusal.status != 500:  # a bug of the server is a problem already
                self.server.on_refusal(refusal.status, str(refusal), self._parser.received)
            self._refuse(refusal, has_body=not self._parser.received.startswith(b"HEAD "))
        except OSError:
            pass  # the client has left, or was idle for too long

    def _next_request(self) -> IncomingRequest | None:
        """Return the next request, or None at the end. Raise RefusedRequestError if it cannot be accepted."""
        self._deadline = 0.0
        while not self._parser.requests:
            if not self._receive():
                return None
        request = self._parser.requests.popleft()
        if request.minor and request.body is not None and (request.header("expect") or "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not request.is_complete:
            self._receive()
        return request

    def _receive(self) -> bool:
        """Parse what the client sends next. Return False at the end of the connection."""
        if self._refusal is not None:
            raise self._refusal
        if self._parser.is_open:
            self._deadline = self._deadline or _clock() + self.timeout
            self.connection.settimeout(max(self._deadline - _clock(), 0.001))
        try:
            data = self.connection.recv(_MAX_HEAD)
            self.connection.settimeout(self.timeout)
        except TimeoutError:
            if self._parser.is_open:
                raise RefusedRequestError(408, f"the request did not arrive within {self.timeout} s") from None
            raise
        if not data:
            self._parser.end()
            if not self._parser.received:
                self.server.on_refusal(0, "an empty connection", b"")
            return False
        try:
            self._parser.feed(data)
        except RefusedRequestError as refusal:  # raised once the requests before it are answered
            self._refusal = refusal
        return True

    def _answer(self, request: IncomingRequest) -> None:
        body = None if request.body is None else bytes(request.body)
        try:
            exchange = self.server.app(
                Request(request.method, f"{self.server.url}{request.target}", request.headers, body)
            )
        except Exception as error:  # of any kind: the server stays up
            self.server.on_problem(describe_bug(error))
            raise RefusedRequestError(500, describe_bug(error)) from None
        sent = False
        try:
            sent = self._send(request, exchange.plan, exchange.aborted)
        finally:
            exchange.finish(sent)
        if exchange.plan.reset == "after body":
            # A reset discards data that the client has not read, so the server waits until the client sends again.
            self._wait(_RESET_SECONDS, exchange.aborted, data_ends_wait=True)
            self._reset()

    def _send(self, request: IncomingRequest, plan: ResponsePlan, aborted: threading.Event) -> bool:
        """Send the response as planned. Return whether all of it was sent."""
        if plan.reset == "before headers" or not self._wait(plan.headers_after, aborted):
            return self._reset()
        response = plan.response
        body = (response.body or b"") if response.status not in _NO_BODY else b""
        is_gzipped, is_chunked = plan.gzipped and prefers_gzip(request), plan.chunked and request.minor > 0
        body = gzip.compress(body, mtime=0) if is_gzipped else body
        coding = (("Content-Encoding", "gzip"),) if is_gzipped else ()
        declared = response.header("content-length") or ""
        is_kept = request.method == "HEAD" and not body and declared.isdecimal()  # the response of an upstream
        length = int(declared) if is_kept else len(body)
        top = self._response_head(response, coding, None if is_chunked else length)
        if request.method == "HEAD":
            self.connection.sendall(top)
            return True
        first, rest = body[: len(body) // 2], body[len(body) // 2 :]
        if is_chunked:
            first, rest = _chunk(first), _chunk(rest) + b"0\r\n\r\n"
        if plan.reset in ("before body", "within body"):
            self.connection.sendall(top + (first if plan.reset == "within body" else b""))
            return self._reset()
        if plan.body_after:
            self.connection.sendall(top + first)
            if not self._wait(plan.body_after, aborted):
                return self._reset()
            top = first = b""
        self.connection.sendall(top + first + rest)
        return True

    def _response_head(self, response: Response, coding: Headers, length: int | None) -> bytes:
        """Return the status line and headers for a body of *length* bytes (None: a chunked body)."""
        lines = [f"HTTP/1.1 {response.status} {reason_phrase(response.status)}"]
        if not response.header_values("date"):
            lines.append(f"Date: {_date(int(_now()))}")
        headers = (*response.headers, *coding)
        lines += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        if length is None:
            lines.append("Transfer-Encoding: chunked")
        elif response.status not in _NO_BODY:
            lines.append(f"Content-Length: {length}")
        if not self._keeps_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _wait(self, seconds: float, aborted: threading.Event, *, data_ends_wait: bool = False) -> bool:
        """Wait *seconds*, or only until data arrives. Return False if the client left or *aborted* is set."""
        deadline = _clock() + seconds
        while (left := deadline - _clock()) > 0:
            self.connection.settimeout(min(left, _POLL_SECONDS))
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return False
                if data_ends_wait:
                    break
                aborted.wait(min(left, _POLL_SECONDS))  # data has arrived, so the client is still connected
            except TimeoutError:
                pass
            except OSError:
                return False
            finally:
                self.connection.settimeout(self.timeout)
            if aborted.is_set():
                return False
        return True

    def _reset(self) -> bool:
        """End the connection with a TCP reset. Return False: the response was not sent completely."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self._keeps_alive = False
        return False

    def _refuse(self, refusal: RefusedRequestError, *, has_body: bool) -> None:
        """Send the error response, then read the rest of the request, so that the client can read the response."""
        body = json.dumps({"error_messages": str(refusal)}).encode()
        top = (
            f"HTTP/1.1 {refusal.status} {reason_phrase(refusal.status)}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):  # the client may have left
            self.connection.sendall(top.encode() + (body if has_body else b""))
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_SECONDS)
            deadline, drained = _clock() + _DRAIN_SECONDS, 0
            while _clock() < deadline and drained < _DRAIN_BYTES and (data := self.connection.recv(1 << 16)):
                drained += len(data)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b""


def describe_bug(error: BaseException) -> str:
    """Return a sentence about a bug in the server, without the text of *error*, which may contain secrets."""
    return f"the server failed with {type(error).__name__}: this is a bug in the server"


class HTTPServer(socketserver.ThreadingTCPServer):
    """A threaded HTTP server that passes each complete request to *app*.

    *on_problem* is called with a sentence about each bug. *on_refusal* is called with the status, the reason and the first
    bytes of each refused request.

    To prevent DNS rebinding, a Host header may name only a loopback host, the host in *address*, or one of *names*.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        app: App,
        on_problem: Callable[[str], object],
        names: tuple[str, ...] = (),
        on_refusal: Callable[[int, str, bytes], object] = lambda status, reason, received: None,
    ) -> None:
        self.app, self.on_problem, self.on_refusal = app, on_problem, on_refusal
        self.names = frozenset(name.lower().strip("[]") for name in (*_LOOPBACK_NAMES, address[0], *names))
        self.closing = threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)
        self._listening = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The base URL, with a loopback address if the server listens on all addresses."""
        return f"http://{self.netloc}"

    @property
    def netloc(self) -> str:
        """The `host:port` in the base URL."""
        host = str(self.server_address[0])
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
        return f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"

    def __enter__(self) -> Self:
        """Listen in a background thread."""
        self._listening.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop listening, end every connection, and join all threads."""
        self.closing.set()
        self.shutdown()
        self._listening.join()
        self.server_close()
        threads, deadline = list(self._connections.items()), _clock() + _JOIN_SECONDS
        for _, connection in threads:
            with contextlib.suppress(OSError):  # the connection may have ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in threads:
            thread.join(timeout=max(deadline - _clock(), 0))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection. Keep both, to end them when the server stops."""
        if len(self._connections) >= _MAX_CONNECTIONS:
            self.on_refusal(503, f"there may be at most {_MAX_CONNECTIONS} connections at a time", b"")
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report the current exception as a bug. Ignore OSError, which is raised for broken connections."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.on_problem(describe_bug(error))
