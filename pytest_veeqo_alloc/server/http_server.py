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
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, Self

from pytest_veeqo_alloc.core.http import TOKEN, HasHeaders, Headers, Request, Response, reason_phrase
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan

MAX_BODY = 10_000_000
"""The maximum size of a request body in bytes. The response to a larger body has status 413."""

_MAX_LINE = 65536
_MAX_FIELDS = 100
_MAX_CHUNK_LINE = 1000
_MAX_TRAILERS = 100
_LINE = re.compile(rf"({TOKEN}) ([^\s]+) HTTP/([0-9])\.([0-9])\r?\n")
_FIELD = re.compile(rf"({TOKEN}):[ \t]*(.*?)[ \t]*\r?\n")
_CODING = re.compile(rf"[ \t]*({TOKEN})[ \t]*(?:;[ \t]*q=([01](?:\.[0-9]{{0,3}})?))?[ \t]*")
_NO_BODY = (204, 304)
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")

_POLL_SECONDS = 0.05
# Bound here, so that a test that freezes the time by replacing the functions of `time` stops no wait.
_clock, _now = functools.partial(time.monotonic), functools.partial(time.time)
_RESET_SECONDS = 5
"""The seconds to wait for the client's next request before the connection is reset after a response."""
_DRAIN_SECONDS, _DRAIN_BYTES = 5, 200_000_000

App = Callable[[Request], Exchange]


class RefusedRequestError(Exception):
    """The HTTP server rejects a request with *status* and *sentence*, and closes the connection.

    `received` has the request line and the headers, as far as they were read.
    """

    def __init__(self, status: int, sentence: str, received: bytes = b"") -> None:
        super().__init__(sentence)
        self.status, self.received = status, received


@dataclass(frozen=True, slots=True)
class Head(HasHeaders):
    """The request line and headers of a request (RFC 9112 sections 3 and 5). `minor` is the x in HTTP/1.x."""

    method: str
    target: str
    minor: int
    headers: Headers


def read_head(stream: BufferedIOBase) -> Head | None:
    """Return the head of the next request, or None at the end. Raise RefusedRequestError if it cannot be accepted."""
    line = stream.readline(_MAX_LINE + 1)
    if line in (b"\r\n", b"\n"):  # some clients send an empty line after a body
        line = stream.readline(_MAX_LINE + 1)
    if not line:
        return None
    if len(line) > _MAX_LINE:
        raise RefusedRequestError(414, f"a request line may have at most {_MAX_LINE} bytes", line)
    if (match := _LINE.fullmatch(line.decode("latin-1"))) is None:
        raise RefusedRequestError(400, "this is not an HTTP/1.1 request", line)
    method, target, major, minor = match.groups()
    if major != "1":
        raise RefusedRequestError(505, "this server supports HTTP/1.1 only", line)
    fields: list[tuple[str, str]] = []
    try:
        _read_fields(stream, fields)
    except RefusedRequestError as refusal:
        refusal.received = _head_bytes(Head(method, target, int(minor), tuple(fields))) + refusal.received
        raise
    return Head(method, target, int(minor), tuple(fields))


def _head_bytes(head: Head) -> bytes:
    lines = [f"{head.method} {head.target}", *(f"{name}: {value}" for name, value in head.headers), ""]
    return "\r\n".join(lines).encode("latin-1")


def _read_fields(stream: BufferedIOBase, fields: list[tuple[str, str]]) -> None:
    while (line := stream.readline(_MAX_LINE + 1)) not in (b"\r\n", b"\n"):
        if len(line) > _MAX_LINE or len(fields) >= _MAX_FIELDS:
            limits = f"at most {_MAX_FIELDS} headers, of {_MAX_LINE} bytes each"
            raise RefusedRequestError(431, f"a request may have {limits}", line)
        if (match := _FIELD.fullmatch(line.decode("latin-1"))) is None:
            raise RefusedRequestError(400, "a header must be a name, a colon and a value on one line", line)
        fields.append((match[1], match[2]))


def prefers_gzip(head: Head) -> bool:
    """Return whether the client accepts gzip at least as readily as no compression (RFC 9110 section 12.5.3).

    Without an Accept-Encoding header, the answer is no: such a client may be unable to decompress.
    """
    matches = map(_CODING.fullmatch, ",".join(head.header_values("accept-encoding")).lower().split(","))
    weights = {match[1]: float(match[2] or 1) for match in matches if match}
    gzip_weight = max((weights[name] for name in ("gzip", "x-gzip") if name in weights), default=weights.get("*", 0))
    return gzip_weight > 0 and gzip_weight >= weights.get("identity", 0)


def length_of(head: Head) -> int | None:
    """Return the declared length of a body, or None if chunked. Raise RefusedRequestError if it cannot be accepted."""
    lengths = head.header_values("content-length")
    coding = ",".join(head.header_values("transfer-encoding")).lower()
    if coding:
        if lengths or coding != "chunked":
            raise RefusedRequestError(400, "a body must have either a Content-Length or Transfer-Encoding: chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) > 1 or re.fullmatch(r"[0-9]{1,18}", lengths[0]) is None:
        raise RefusedRequestError(400, "Content-Length must be one number of bytes")
    _require_size(int(lengths[0]))
    return int(lengths[0])


def read_body(stream: BufferedIOBase, length: int | None) -> bytes:
    """Read a body, which is chunked if *length* is None. Raise RefusedRequestError if the body cannot be accepted."""
    try:
        return _read_chunks(stream) if length is None else _read_exactly(stream, length)
    except TimeoutError:
        raise RefusedRequestError(408, "the body did not arrive in time") from None


def _require_size(length: int) -> None:
    if length > MAX_BODY:
        raise RefusedRequestError(413, f"a body may have at most {MAX_BODY} bytes")


def _read_exactly(stream: BufferedIOBase, length: int) -> bytes:
    body = stream.read(length)
    if len(body) < length:
        raise RefusedRequestError(400, f"the body ended after {len(body)} of {length} bytes")
    return body


def _read_chunks(stream: BufferedIOBase) -> bytes:
    body = bytearray()
    while size := _chunk_size(stream.readline(_MAX_CHUNK_LINE)):
        _require_size(len(body) + size)
        body += _read_exactly(stream, size)
        if stream.readline(_MAX_CHUNK_LINE) not in (b"\r\n", b"\n"):
            raise RefusedRequestError(400, "a chunk is longer than its declared size")
    for _ in range(_MAX_TRAILERS):
        if stream.readline(_MAX_CHUNK_LINE) in (b"\r\n", b"\n", b""):
            return bytes(body)
    raise RefusedRequestError(400, f"a body may have at most {_MAX_TRAILERS} trailers")


def _chunk_size(line: bytes) -> int:
    text = line.split(b";")[0].strip()
    if re.fullmatch(rb"[0-9A-Fa-f]{1,16}", text) is None:
        raise RefusedRequestError(400, "the size of a chunk must be a hexadecimal number")
    return int(text, 16)


class Handler(socketserver.StreamRequestHandler):
    """A connection. Requests are answered one after the other."""

    server: HTTPServer
    disable_nagle_algorithm = True
    timeout = 30  # seconds to wait for data, so that an idle client cannot hold a thread
    _keeps_alive = True

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        head, is_empty = None, True
        try:
            while self._keeps_alive and not self.server.closing.is_set():
                head = None
                if (head := read_head(self.rfile)) is None:
                    if is_empty:
                        self.server.on_refusal(0, "an empty connection", b"")
                    break
                is_empty = False
                closes = any("close" in value.lower() for value in head.header_values("connection"))
                self._keeps_alive = head.minor > 0 and not closes  # RFC 9112 section 9.3
                self._answer(head)
        except RefusedRequestError as refusal:
            if refusal.status != 500:  # a bug of the server is a problem already
                received = refusal.received or (_head_bytes(head) if head is not None else b"")
                self.server.on_refusal(refusal.status, str(refusal), received)
            self._refuse(refusal, has_body=head is None or head.method != "HEAD")
        except OSError:
            pass  # the client has left, or was idle for too long

    def _answer(self, head: Head) -> None:
        self._require_host(head)
        length = length_of(head)  # a body that is too large is rejected before the client sends it
        if head.minor and any(value.lower() == "100-continue" for value in head.header_values("expect")):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # A request without a declared length has no body. A declared length of 0 means an empty body.
        body = read_body(self.rfile, length) if length != 0 or head.header("content-length") else None
        target = head.target
        if not target.startswith("/"):  # the absolute form, RFC 9112 section 3.2.2
            target = f"/{target.partition('://')[2].partition('/')[2]}"
        try:
            exchange = self.server.app(Request(head.method, f"{self.server.url}{target}", head.headers, body))
        except Exception as error:  # whatever the error is, the server stays up
            self.server.on_problem(describe_bug(error))
            raise RefusedRequestError(500, describe_bug(error)) from None
        sent = False
        try:
            sent = self._send(head, exchange.plan, exchange.aborted)
        finally:
            exchange.finish(sent)
        if exchange.plan.reset == "after body":
            # A reset discards data that the client has not read, so the server waits until the client sends again.
            self._wait(_RESET_SECONDS, exchange.aborted, data_ends_wait=True)
            self._reset()

    def _require_host(self, head: Head) -> None:
        """Raise RefusedRequestError unless one Host header names this server (RFC 9112, 3.2). HTTP/1.0 may omit it."""
        hosts = head.header_values("host")
        if len(hosts) != 1 and (hosts or head.minor):
            raise RefusedRequestError(400, "a request must have exactly one Host header")
        name = hosts[0].lower() if hosts else "localhost"
        name = name.partition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
        if name not in self.server.names:
            raise RefusedRequestError(421, "the Host header names another server")

    def _send(self, head: Head, plan: ResponsePlan, aborted: threading.Event) -> bool:
        """Send the response as planned. Return whether all of it was sent."""
        if plan.reset == "before headers" or not self._wait(plan.headers_after, aborted):
            return self._reset()
        response = plan.response
        body = (response.body or b"") if response.status not in _NO_BODY else b""
        is_gzipped, is_chunked = plan.gzipped and prefers_gzip(head), plan.chunked and head.minor > 0
        body = gzip.compress(body, mtime=0) if is_gzipped else body
        coding = (("Content-Encoding", "gzip"),) if is_gzipped else ()
        top = self._response_head(response, coding, None if is_chunked else len(body))
        if head.method == "HEAD":
            self.wfile.write(top)
            return True
        first, rest = body[: len(body) // 2], body[len(body) // 2 :]
        if is_chunked:
            first, rest = _chunk(first), _chunk(rest) + b"0\r\n\r\n"
        if plan.reset in ("before body", "within body"):
            self.wfile.write(top + (first if plan.reset == "within body" else b""))
            return self._reset()
        if plan.body_after:
            self.wfile.write(top + first)
            if not self._wait(plan.body_after, aborted):
                return self._reset()
            top = first = b""
        self.wfile.write(top + first + rest)
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
        """Wait *seconds*, or less if data ends the wait. Return False if the client leaves or *aborted* is set."""
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
        self.connection.close()  # once the reader is closed too, this sends the reset
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
            self.wfile.write(top.encode() + (body if has_body else b""))
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_SECONDS)
            deadline, drained = _clock() + _DRAIN_SECONDS, 0
            while _clock() < deadline and drained < _DRAIN_BYTES and (data := self.connection.recv(1 << 16)):
                drained += len(data)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    """Return a Unix time as an HTTP date (RFC 9110 section 5.6.7)."""
    return email.utils.formatdate(second, usegmt=True)


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b""


def describe_bug(error: BaseException) -> str:
    """Return a sentence about a bug in the server, without the text of *error*, which may contain secrets."""
    return f"the server failed with {type(error).__name__}: this is a bug in the server"


class HTTPServer(socketserver.ThreadingTCPServer):
    """A threaded HTTP server that passes each complete request to *app*. *on_problem* gets a sentence about each bug.

    *on_refusal* gets the status, the reason and the first bytes of each request that is refused.

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
        for thread, connection in list(self._connections.items()):
            with contextlib.suppress(OSError):  # the connection may have ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection. Keep both, to end them when the server stops."""
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
