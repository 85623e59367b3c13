"""A server on the loopback that answers with given bytes, also without end, or one by one."""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator

HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def endless(head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    """Return a function for the answer *head*, then *piece* again and again."""
    return lambda: itertools.chain([head], itertools.repeat(piece))


ENDLESS = {
    "body until the end of the connection": endless(HEAD + b"\r\n", b"x" * 65536),
    "chunks": endless(CHUNKED, b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
    "trailers": endless(CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000),
    "interim responses": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "interim responses with headers": endless(b"", b"HTTP/1.1 100 Continue\r\n" + b"a: b\r\n" * 90 + b"\r\n"),
}
"""Answers without end, each by the name of what does not end."""


def drip(head: bytes, stopped: threading.Event) -> Callable[[], Iterator[bytes]]:
    """Return a function for the answer *head*, then a byte every 10 ms until *stopped* is set."""

    def answer() -> Iterator[bytes]:
        yield head
        while not stopped.wait(0.01):
            yield b"x"

    return answer


@contextlib.contextmanager
def answering_with(answer: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """Answer each request with the bytes of *answer* until the client leaves. Yield the URL of the server."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while self.request.recv(65536):
                    for piece in answer():
                        self.request.sendall(piece)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
