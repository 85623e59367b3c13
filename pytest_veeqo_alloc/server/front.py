"""The HTTP front: HTTP/1.1 with keep-alive over the standard library, a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from typing import Any

from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.server.connection import Handler, failed
from pytest_veeqo_alloc.server.sending import Exchange

App = Callable[[Request], Exchange]

_NAMES = ("127.0.0.1", "localhost", "::1")


class Front(socketserver.ThreadingTCPServer):
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
