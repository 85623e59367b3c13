"""One connection: requests taken in one after the other, and their answers sent with what is done to them."""

from __future__ import annotations

import email.utils
import functools
import gzip
import json
import socket
import socketserver
import struct
import threading
import time
from typing import TYPE_CHECKING

from pytest_veeqo_alloc.core.http import Request, reason_phrase
from pytest_veeqo_alloc.server.body import length_of, read_body
from pytest_veeqo_alloc.server.head import Head, RefusedRequestError, read_head
from pytest_veeqo_alloc.server.sending import Sending

if TYPE_CHECKING:
    from pytest_veeqo_alloc.server.front import Front

_SLICE, _GRACE = 0.05, 5
_LINGER_SECONDS, _LINGER_BYTES = 5, 200_000_000
_NO_BODY = (204, 304)


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    server: Front
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

    def _send(self, head: Head, sending: Sending, over: threading.Event) -> bool:
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

    def _top(self, sending: Sending, length: int, *, chunked: bool) -> bytes:
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
