"""A guard against calls that bypass the cassette. While one thread connects, vcrpy does not intercept the others."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from unittest import mock

from pytest_veeqo_alloc.live.permission import host_and_port

ConnectionRule = Callable[[str, int], bool]
"""A function of a host (a name or an address) and a port. It returns whether a connection is permitted."""

_makes_pair: ContextVar[bool] = ContextVar("veeqo_alloc_makes_pair", default=False)
"""Whether `socket.socketpair` is running. On some platforms, it connects over the loopback interface."""


class NetworkBlockedError(RuntimeError):
    """Raised for a blocked call. It is not an OSError, since HTTP clients retry after an OSError."""

    trims_traceback = True


@contextmanager
def guard_network(may_connect: ConnectionRule, may_look_up: Callable[[str], bool], message: str) -> Iterator[None]:
    """Raise NetworkBlockedError(*message*) if the `with` block connects, or looks up a name, without permission."""
    real_lookup, real_pair = socket.getaddrinfo, socket.socketpair

    def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_address(host) and not may_look_up(_name(host)):
            raise NetworkBlockedError(message)
        return real_lookup(host, port, *args, **kwargs)

    def make_pair(*args: Any, **kwargs: Any) -> tuple[socket.socket, socket.socket]:
        token = _makes_pair.set(True)
        try:
            return real_pair(*args, **kwargs)
        finally:
            _makes_pair.reset(token)

    methods: dict[str, Any] = {name: _guarded(name, may_connect, message) for name in ("connect", "connect_ex")}
    functions: dict[str, Any] = {"getaddrinfo": lookup, "socketpair": make_pair}
    with mock.patch.multiple(socket.socket, **methods), mock.patch.multiple(socket, **functions):
        yield


def _guarded(method: str, may_connect: ConnectionRule, message: str) -> Callable[[socket.socket, Any], Any]:
    real = getattr(socket.socket, method)

    def connect(self: socket.socket, address: Any) -> Any:
        is_inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if is_inet and not _makes_pair.get() and not may_connect(_name(address[0]), address[1]):
            self.close()  # clients close the socket only after an OSError
            raise NetworkBlockedError(message)
        return real(self, address)

    return connect


class AllowedHosts:
    """Hosts that may be called. An entry is `host` (any port) or `host:port`. A name also permits its addresses."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._hosts = [host_and_port(entry) for entry in entries]
        self._addresses: dict[str, set[str]] = {}

    def allow(self, host: str, port: int) -> bool:
        """Return whether a connection to *host* (a name or an address) on *port* is permitted."""
        return any(
            allowed in (None, port) and (host == name or host in self._addresses_of(name))
            for name, allowed in self._hosts
        )

    def allow_name(self, host: str) -> bool:
        """Return whether a DNS look-up of the name *host* is permitted."""
        return any(host == name for name, _ in self._hosts)

    def _addresses_of(self, name: str) -> set[str]:
        if name not in self._addresses:
            self._addresses[name] = set()
            with suppress(OSError):
                self._addresses[name] = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
        return self._addresses[name]


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(_name(host))
    except ValueError:
        return host in (None, "", b"")
    return True


def _name(host: Any) -> str:
    return (host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)).lower()
