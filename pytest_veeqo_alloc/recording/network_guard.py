"""While a cassette plays, no call may reach the network; while one records, only an admitted call may, and only its
target.

vcrpy takes its patches out of the whole process for a moment whenever a connection is built, so that a call from another
thread can slip past it. What slips past ends here, before a name is looked up or a connection is made.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from pytest_veeqo_alloc.live.permission import host_and_port

Allows = Callable[[str, int], bool]
"""Says of a host (a name or an address) and a port whether a connection may be made to it."""


class NetworkBlockedError(RuntimeError):
    """A call that no cassette plays was stopped before the network. Not an OSError: clients would try again."""

    trims_traceback = True


@contextmanager
def guarded(may_connect: Allows, may_look_up: Callable[[str], bool], sentence: str) -> Iterator[None]:
    """Within the block, connections and look-ups of names that are not let through raise
    NetworkBlockedError(*sentence*). Unix sockets are no network."""
    real_lookup = socket.getaddrinfo

    def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_address(host) and not may_look_up(_name(host)):
            raise NetworkBlockedError(sentence)
        return real_lookup(host, port, *args, **kwargs)

    with ExitStack() as stack:
        for method in ("connect", "connect_ex"):
            stack.enter_context(mock.patch.object(socket.socket, method, _checked(method, may_connect, sentence)))
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", lookup))
        yield


def _checked(method: str, may_connect: Allows, sentence: str) -> Callable[[socket.socket, Any], Any]:
    real = getattr(socket.socket, method)

    def connect(self: socket.socket, address: Any) -> Any:
        inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if inet and not may_connect(_name(address[0]), _port(address[1])):
            self.close()  # clients close what fails with an OSError alone
            raise NetworkBlockedError(sentence)
        return real(self, address)

    return connect


@dataclass(frozen=True, slots=True)
class Hosts:
    """Hosts that may be called, each `host` or `host:port`; a name counts for the addresses that it has."""

    entries: tuple[str, ...] = ()
    _addresses: dict[str, frozenset[str]] = field(default_factory=dict)

    def allow(self, host: str, port: int) -> bool:
        """Whether a connection may be made to the name or address *host*."""
        return any(
            wanted in (None, port) and (host == name or host in self._addresses_of(name))
            for name, wanted in map(host_and_port, self.entries)
        )

    def allow_name(self, host: str) -> bool:
        """Whether the name *host* may be looked up."""
        return any(host == name for name, _ in map(host_and_port, self.entries))

    def _addresses_of(self, name: str) -> frozenset[str]:
        if name not in self._addresses:
            try:
                found = frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(name, None))
            except OSError:
                found = frozenset()
            self._addresses[name] = found
        return self._addresses[name]


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(_name(host))
    except ValueError:
        return host in (None, "", b"")
    return True


def _name(host: Any) -> str:
    return (host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)).lower()


def _port(port: Any) -> int:
    try:
        return int(port or 0)
    except ValueError:
        return 0
