"""The head of a request: its line and its header fields (RFC 9112 sections 3 and 5), read strictly and within bounds."""

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
from typing import Any

from pytest_veeqo_alloc.core.http import TOKEN, HasHeaders, Headers, Request, reason_phrase
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan

_MAX_LINE = 65536
_MAX_FIELDS = 100
_LINE = re.compile(rf"({TOKEN}) ([^\s]+) HTTP/([0-9])\.([0-9])\r?\n")
_FIELD = re.compile(rf"({TOKEN}):[ \t]*(.*?)[ \t]*\r?\n")


class RefusedRequestError(Exception):
    """A request that is not taken in: a status and a sentence. The connection ends after it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class Head(HasHeaders):
    """Method, target, minor version of HTTP/1, and header pairs in the order in which they came."""

    method: str
    target: str
    minor: int
    headers: Headers

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow (RFC 9112 section 9.3)."""
        return self.minor > 0 and not any("close" in value.lower() for value in self.header_values("connection"))


def read_head(stream: BufferedIOBase) -> Head | None:
    """The head of the next request; None where the client has left. RefusedRequestError for what is none."""
    line = stream.readline(_MAX_LINE + 1)
    if line in (b"\r\n", b"\n"):  # some clients end a body with one too many
        line = stream.readline(_MAX_LINE + 1)
    if not line:
        return None
    if len(line) > _MAX_LINE:
        raise RefusedRequestError(414, "a request line has at most 65536 bytes here")
    match = _LINE.fullmatch(line.decode("latin-1"))
    if match is None:
        raise RefusedRequestError(400, "what came is no request of HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != "1":
        raise RefusedRequestError(505, "only HTTP/1.1 is spoken here")
    return Head(method, target, int(minor), tuple(_fields(stream)))


def _fields(stream: BufferedIOBase) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    while (line := stream.readline(_MAX_LINE + 1)) not in (b"\r\n", b"\n"):
        if len(line) > _MAX_LINE or len(fields) >= _MAX_FIELDS:
            raise RefusedRequestError(431, "a request has at most 100 headers here, of 65536 bytes each")
        match = _FIELD.fullmatch(line.decode("latin-1"))
        if match is None:
            raise RefusedRequestError(400, "a header is a name, a colon and a value in one line")
        fields.append((match[1], match[2]))
    return fields


MAX_BODY = 10_000_000
"""Bytes; a larger body is answered with 413."""

_MAX_CHUNK_LINE = 1000
_MAX_TRAILERS = 100


def length_of(head: Head) -> int | None:
    """The declared length; None for chunks, and 0 where nothing is declared. RefusedRequestError where that is not
    clear: what two parties read differently is how requests are smuggled."""
    lengths = head.header_values("content-length")
    coding = ",".join(head.header_values("transfer-encoding")).lower()
    if coding:
        if lengths or coding != "chunked":
            raise RefusedRequestError(400, "a body has either a Content-Length or Transfer-Encoding: chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) > 1 or re.fullmatch(r"[0-9]{1,18}", lengths[0]) is None:
        raise RefusedRequestError(400, "Content-Length is one number of bytes")
    length = int(lengths[0])
    if length > MAX_BODY:
        raise RefusedRequestError(413, f"a body has at most {MAX_BODY} bytes here")
    return length


def read_body(stream: BufferedIOBase, length: int | None) -> bytes:
    """The body of that *length*, or in chunks where it is None. RefusedRequestError for one that is too large, too short
    or no chunks."""
    try:
        return _chunks(stream) if length is None else _exactly(stream.read, length)
    except TimeoutError:
        raise RefusedRequestError(408, "the body did not come in time") from None


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    body = read(length)
    if len(body) < length:
        raise RefusedRequestError(400, f"the body ended after {len(body)} of {length} bytes")
    return body


def _chunks(stream: BufferedIOBase) -> bytes:
    chunks: list[bytes] = []
    total = 0
    while size := _size(stream.readline(_MAX_CHUNK_LINE)):
        total += size
        if total > MAX_BODY:
            raise RefusedRequestError(413, f"a body has at most {MAX_BODY} bytes here")
        chunks.append(_exactly(stream.read, size))
        if stream.readline(_MAX_CHUNK_LINE) not in (b"\r\n", b"\n"):
            raise RefusedRequestError(400, "a chunk is longer than it says")
    for _ in range(_MAX_TRAILERS):
        if stream.readline(_MAX_CHUNK_LINE) in (b"\r\n", b"\n", b""):
            return b"".join(chunks)
    raise RefusedRequestError(400, "the chunks do not end")


def _size(line: bytes) -> int:
    text = line.split(b";")[0].strip()
    if re.fullmatch(rb"[0-9A-Fa-f]{1,16}", text) is None:
        raise RefusedRequestError(400, "the size of a chunk is a hexadecimal number")
    return int(text, 16)


_SLICE, _GRACE = 0.05, 5
_LINGER_SECONDS, _LINGER_BYTES = 5, 200_000_000
_NO_BODY = (204, 304)


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    server: HTTPServer
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Nobody may keep a thread by sending nothing."""
        self._goes_on, self._resets = True, False
        super().setup()
        self.connection.settimeout(self.server.patience)

    def handle(self) -> None:
        """Takes in one request after the other."""
        head = None
        try:
            while self._goes_on and not self.server.closing.is_set():
                head = None
                head = read_head(self.rfile)
                if head is None:
                    break
                self._goes_on = head.keeps_alive
                self._take_in(head)
        except RefusedRequestError as refusal:
            self._refuse(refusal.status, refusal.sentence, has_body=head is None or head.method != "HEAD")
        except OSError:
            pass  # the client has left, or was silent for too long

    def finish(self) -> None:
        """Where the connection is to be reset, closes it before anybody says goodbye."""
        super().finish()
        if self._resets:
            self.connection.close()

    def _take_in(self, head: Head) -> None:
        self._refuse_stranger(head)
        length = length_of(head)  # refuses a body that is too large before it is asked for
        if head.minor and any(value.lower() == "100-continue" for value in head.header_values("expect")):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # A body of no bytes that was not declared is none at all.
        body = read_body(self.rfile, length) if length != 0 or head.header("content-length") else None
        target = head.target
        if not target.startswith("/"):  # the absolute form, RFC 9112 section 3.2.2
            target = f"/{target.partition('://')[2].partition('/')[2]}"
        request = Request(head.method, f"{self.server.url}{target}", head.headers, body)
        try:
            exchange = self.server.app(request)
        except Exception as error:  # whatever it is, the server stays up and says so
            self.server.complain(failed(error))
            raise RefusedRequestError(500, failed(error)) from None
        whole = False
        try:
            whole = self._send(head, exchange.sending, exchange.over)
        finally:
            exchange.finished(whole=whole)
        if exchange.sending.cut == "after body":
            # A reset throws away what the client has not read yet, so it comes when the connection is used again.
            self._wait(_GRACE, exchange.over, until_more=True)
            self._reset()

    def _refuse_stranger(self, head: Head) -> None:
        """RFC 9112 section 3.2: a request for another host, or for none, is not answered here."""
        hosts = head.header_values("host")
        if len(hosts) != 1 and (hosts or head.minor):
            raise RefusedRequestError(400, "a request names its host once")
        name = hosts[0].lower() if hosts else "localhost"
        name = name.partition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
        if name not in self.server.names:
            raise RefusedRequestError(421, "this server is not the host that the request names")

    def _send(self, head: Head, sending: ResponsePlan, over: threading.Event) -> bool:
        """Sends the answer; whether the client got all of it."""
        if sending.cut == "before headers" or not self._wait(sending.headers_after, over):
            return self._reset()
        response = sending.response
        body = (response.body or b"") if response.status not in _NO_BODY else b""
        body = gzip.compress(body, mtime=0) if sending.gzipped else body
        chunked = sending.chunked and head.minor > 0
        top = self._top(sending, len(body), chunked=chunked)
        if head.method == "HEAD":
            self.wfile.write(top)
            return True
        middle = len(body) // 2
        first, rest = (
            (_chunk(body[:middle]), _chunk(body[middle:]) + b"0\r\n\r\n") if chunked else (body[:middle], body[middle:])
        )
        if sending.cut in ("before body", "within body"):
            self.wfile.write(top + (first if sending.cut == "within body" else b""))
            return self._reset()
        if sending.body_after:
            self.wfile.write(top + first)
            if not self._wait(sending.body_after, over):
                return self._reset()
            self.wfile.write(rest)
        else:
            self.wfile.write(top + first + rest)
        return True

    def _top(self, sending: ResponsePlan, length: int, *, chunked: bool) -> bytes:
        """Status line and headers."""
        response = sending.response
        lines = [f"HTTP/1.1 {response.status} {reason_phrase(response.status)}"]
        if not response.header_values("date"):
            lines.append(f"Date: {_date(int(time.time()))}")
        lines += [f"{name}: {value}" for name, value in response.headers if name.lower() != "content-length"]
        if sending.gzipped:
            lines.append("Content-Encoding: gzip")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif response.status not in _NO_BODY:
            lines.append(f"Content-Length: {length}")
        if not self._goes_on:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _wait(self, seconds: float, over: threading.Event, *, until_more: bool = False) -> bool:
        """Waits, or with *until_more* until the client sends more; False once the client has left or it is *over*."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.connection.settimeout(min(left, _SLICE))
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return False
                if until_more:
                    break
                over.wait(min(left, _SLICE))  # the client sends ahead, so it is there
            except TimeoutError:
                pass
            except OSError:
                return False
            finally:
                self.connection.settimeout(self.server.patience)
            if over.is_set():
                return False
        return True

    def _reset(self) -> bool:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._goes_on, self._resets = False, True
        return False

    def _refuse(self, status: int, sentence: str, *, has_body: bool) -> None:
        """Says why in one sentence, and takes in what the client still sends: who writes does not read."""
        body = json.dumps({"error_messages": sentence}).encode()
        top = (
            f"HTTP/1.1 {status} {reason_phrase(status)}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            self.wfile.write(top.encode() + (body if has_body else b""))
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.5)
            until, taken = time.monotonic() + _LINGER_SECONDS, 0
            while time.monotonic() < until and taken < _LINGER_BYTES and (data := self.connection.recv(1 << 16)):
                taken += len(data)
        except OSError:
            pass  # it has left


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    """A second since the epoch, as RFC 9110 section 5.6.7 writes it."""
    return email.utils.formatdate(second, usegmt=True)


def failed(error: BaseException) -> str:
    """What is said of a failure of our own; its text could hold anything."""
    return f"the server itself failed with {type(error).__name__}, which is a bug in it"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b""


App = Callable[[Request], Exchange]

_NAMES = ("127.0.0.1", "localhost", "::1")


class HTTPServer(socketserver.ThreadingTCPServer):
    """Listens, and gives each request that was read as a whole to *app*.

    *names* are host names that a request may be for, beside those of the loopback: a page in a browser can have its own
    name resolve to this machine, but not send another name. *patience* is seconds to wait for bytes of a request, and
    *complain* is told where the app itself fails. OSError where the address cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        app: App,
        *,
        complain: Callable[[str], object],
        names: tuple[str, ...] = (),
        patience: float = 30,
    ) -> None:
        self.app, self.complain, self.patience = app, complain, patience
        self.names = frozenset(name.lower().strip("[]") for name in (*_NAMES, address[0], *names))
        self.closing = threading.Event()
        self._open: dict[threading.Thread, socket.socket] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)
        self._listening = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        """The port that was asked for, or found."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it listens. What is bound to every address is called by that of the loopback."""
        return f"http://{self.netloc}"

    @property
    def netloc(self) -> str:
        """`host:port`, as it stands in `url`."""
        host = str(self.server_address[0])
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
        return f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"

    def start(self) -> None:
        """Listen, in a thread."""
        self._listening.start()

    def close(self) -> None:
        """Stop listening and end every connection; afterwards no thread and no socket is left."""
        self.closing.set()
        self.shutdown()
        self._listening.join()
        self.server_close()
        for thread, connection in list(self._open.items()):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, known from its start, so that closing can end it."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._open[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The life of one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is none of our trouble; anything else is a bug of ours."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.complain(failed(error))
