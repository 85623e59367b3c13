"""A fake on the loopback, and raw bytes sent to one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import Exchange
from pytest_veeqo_alloc.server.runner import running
from support.bodies import BODY

PATH = "/orders/447452/allocations"


@contextmanager
def running_with_signal() -> Iterator[tuple[Fake, threading.Semaphore]]:
    """Run a fake, and yield it with a semaphore that is released for each request that it has handled."""
    fake, handled = Fake(Engine()), threading.Semaphore(0)

    def app(request: Request) -> Exchange:
        exchange = fake.handle(request)
        handled.release()
        return exchange

    with running(fake, app=app):
        yield fake, handled


def headers(fake: Fake) -> dict[str, str]:
    return {"x-api-key": fake.api_key}


def raw_post(fake: Fake, *, path: str = PATH, body: bytes | None = None, more: str = "") -> bytes:
    """Return a POST as bytes, with the required headers and the header lines *more*."""
    content = json.dumps(BODY).encode() if body is None else body
    length = (
        ""
        if "transfer-encoding" in more.lower() or "content-length" in more.lower()
        else f"Content-Length: {len(content)}\r\n"
    )
    host = "" if "host:" in more.lower() else f"Host: {urlsplit(fake.url).netloc}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\n{host}x-api-key: {fake.api_key}\r\nContent-Type: application/json\r\n{length}{more}\r\n".encode()
        + content
    )


def talk(fake: Fake, data: bytes, *, finish: bool = True, timeout: float = 10) -> bytes:
    """Send *data* and return everything that comes back; *finish* closes the sending side first."""
    address = urlsplit(fake.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=timeout) as connection:
        try:
            connection.sendall(data)
            if finish:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server stopped reading, but its response can be read
        received = b""
        while chunk := connection.recv(1 << 16):
            received += chunk
        return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
