"""A guard against calls that bypass the cassette. While one thread connects, vcrpy does not intercept other threads."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple
from unittest import mock

Place = tuple[str, int | None]
"""A host (a name or an address) and a port. The port is None if it is unknown, or if any port is meant."""

_LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
_SOCKET: type = next((kind for kind in socket.socket.__mro__ if kind.__module__ == "socket"), socket.socket)
"""The class that all sockets of Python inherit from. Plugins such as pytest-socket replace `socket.socket` by a subclass."""
_SENDERS: dict[type, tuple[str, ...]] = {
    _SOCKET: ("send", "sendall", "sendto", "sendmsg", "sendfile"),
    ssl.SSLSocket: ("send", "sendall", "write"),  # does not send through the methods of socket.socket
    ssl.SSLObject: ("write",),  # the TLS of event loops
}
_RECEIVERS: dict[type, tuple[str, ...]] = {
    _SOCKET: ("recv", "recv_into"),
    ssl.SSLSocket: ("read",),  # its other methods call this one
}
_HEAD_BYTES = 2048

_makes_pair: ContextVar[bool] = ContextVar("veeqo_alloc_makes_pair", default=False)
"""Whether `socket.socketpair` is running. On some platforms, it connects over the loopback interface."""


class NetworkBlockedError(RuntimeError):
    """Raised for a blocked call. It is not an OSError, since HTTP clients retry after an OSError."""

    trims_traceback = True


class NetworkRules(NamedTuple):
    """Functions that return whether a connection, a look-up of a name, or sending is permitted.

    `may_send` gets the host as it is known (a name, an address or both), and the first bytes to send. `message` is the
    message of the error for a blocked call. Each time a socket has received bytes, `on_received` gets the socket, its peer
    (as `may_send` does) and the number of bytes.
    """

    may_connect: Callable[[str, int], bool]
    may_look_up: Callable[[str], bool]
    may_send: Callable[[list[Place], bytes], bool]
    message: str
    on_received: Callable[[socket.socket, list[Place], int], None] | None = None


_lock = threading.Lock()
_active: list[NetworkRules] = []
_patches = ExitStack()
_real: dict[str, Callable[..., Any]] = {}
_permitted: set[tuple[Any, int]] = set()
"""The local address and the remote port of each connection that was permitted while a guard was active."""


@contextmanager
def guard_network(rules: NetworkRules) -> Iterator[None]:
    """Raise NetworkBlockedError for each call that *rules* do not permit, in all threads, until the `with` block ends.

    Blocks may be nested, and may end in any order.
    """
    with _lock:
        if not _active:
            _patch()
        _active.append(rules)
    try:
        yield
    finally:
        with _lock:
            _active.remove(rules)
            if not _active:
                _patches.close()
                _permitted.clear()


def _patch() -> None:
    _real.update({name: getattr(socket, name) for name in (*_LOOKUPS, "socketpair")})
    functions: dict[str, Any] = {name: _guarded_lookup(_real[name]) for name in _LOOKUPS}
    _patches.enter_context(mock.patch.multiple(socket, **functions, socketpair=_make_pair))
    methods: dict[type, dict[str, Any]] = {
        owner: {name: _guarded_sender(getattr(owner, name)) for name in names if hasattr(owner, name)}  # not on Windows
        for owner, names in _SENDERS.items()
    }
    methods[_SOCKET] |= {name: _guarded_connect(getattr(_SOCKET, name)) for name in ("connect", "connect_ex")}
    for owner, names in _RECEIVERS.items():
        methods[owner] |= {name: _observed_receiver(getattr(owner, name)) for name in names}
    for owner, patched in methods.items():
        _patches.enter_context(mock.patch.multiple(owner, **patched))


def _guarded_lookup(real: Callable[..., Any]) -> Callable[..., Any]:
    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_address(host):
            _require(lambda rules: rules.may_look_up(_name(host)))
        return real(host, *args, **kwargs)

    return look_up


def _make_pair(*args: Any, **kwargs: Any) -> tuple[socket.socket, socket.socket]:
    token = _makes_pair.set(True)
    try:
        pair: tuple[socket.socket, socket.socket] = _real["socketpair"](*args, **kwargs)
        return pair
    finally:
        _makes_pair.reset(token)


def _guarded_connect(real: Callable[[Any, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if not _is_inet(self) or _makes_pair.get():
            return real(self, address)
        try:
            _require(lambda rules: rules.may_connect(_name(address[0]), address[1]))
        except NetworkBlockedError:
            self.close()  # clients close the socket only after an OSError
            raise
        try:
            return real(self, address)
        finally:
            _permitted.add((self.getsockname()[:2], address[1]))

    return connect


def _guarded_sender(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        if (places := _places_of(self)) and not _is_permitted(self, places):
            head = _head_of(data)
            _require(lambda rules: rules.may_send(places, head))
        return real(self, data, *args, **kwargs)

    return send


def _observed_receiver(real: Callable[..., Any]) -> Callable[..., Any]:
    def receive(self: Any, *args: Any, **kwargs: Any) -> Any:
        received = real(self, *args, **kwargs)
        size = received if isinstance(received, int) else len(received)
        for observe in [rules.on_received for rules in tuple(_active) if rules.on_received and size]:
            observe(self, _places_of(self), size)
        return received

    return receive


def _require(permits: Callable[[NetworkRules], bool]) -> None:
    for rules in tuple(_active):
        if not permits(rules):
            raise NetworkBlockedError(rules.message)


def _places_of(channel: Any) -> list[Place]:
    """Return the peer of a socket or a TLS object: by the name of its host if it is known, and by its address."""
    peer: Any = ()
    if _is_inet(channel):
        with suppress(OSError):  # not connected
            peer = channel.getpeername()
    port = peer[1] if peer else None
    names = [getattr(channel, "server_hostname", None), *peer[:1]]
    return [(_name(name), port) for name in names if name]


def _is_permitted(channel: Any, places: list[Place]) -> bool:
    return _is_inet(channel) and (channel.getsockname()[:2], places[0][1]) in _permitted


def _is_inet(channel: Any) -> bool:
    return getattr(channel, "family", None) in (socket.AF_INET, socket.AF_INET6)


def _head_of(data: Any) -> bytes:
    """Return the first bytes of *data*: a buffer or a sequence of buffers. For a file, return no bytes."""
    buffers = data if isinstance(data, (list, tuple)) else [data]
    with suppress(TypeError):
        return b"".join(bytes(memoryview(buffer).cast("B")[:_HEAD_BYTES]) for buffer in buffers[:2])
    return b""


class HostList:
    """A list of hosts and ports. A name also stands for its addresses, which are looked up if they are needed."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = list(dict.fromkeys(places))
        self._addresses: dict[str, set[str]] = {}

    def has(self, host: str, port: int | None) -> bool:
        """Return whether *host* (a name or an address) is in the list with *port*, or with any port."""
        return any(
            (None in (port, listed) or port == listed) and (host == name or host in self._addresses_of(name))
            for name, listed in self._places
        )

    def has_name(self, host: str) -> bool:
        """Return whether the name *host* is in the list."""
        return any(host == name for name, _ in self._places)

    def _addresses_of(self, name: str) -> set[str]:
        if name not in self._addresses:
            self._addresses[name] = set()
            with suppress(OSError):
                look_up = _real.get("getaddrinfo", socket.getaddrinfo)
                self._addresses[name] = {str(entry[4][0]) for entry in look_up(name, None)}
        return self._addresses[name]


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(_name(host))
    except ValueError:
        return host in (None, "", b"")
    return True


def _name(host: Any) -> str:
    """Return *host* in lower case. An IPv4 address that is mapped to IPv6 becomes an IPv4 address."""
    text = (host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)).lower()
    return text.removeprefix("::ffff:") if "." in text else text
