"""The guard of a cassette in use: nothing reaches a guarded host, and the open sockets of other services still work."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.bodies import BODY
from support.cassettes import created, no_live, write

from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.recording.network_guard import NetworkBlockedError, NetworkRules, guard_network
from pytest_veeqo_alloc.recording.session import Cassettes

CALL = b"POST /orders/5/allocations HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n"
PATCHED = [(socket.socket, "connect"), (socket.socket, "send"), (ssl.SSLSocket, "send"), (ssl.SSLObject, "write")]


class Peer:
    """A listener on the loopback. Its `port` takes connections, and `received` returns the bytes of the latest."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.host, self.port = listener.getsockname()

    def connected(self) -> socket.socket:
        client = socket.create_connection((self.host, self.port), timeout=5)
        self._accepted = self._listener.accept()[0]
        return client

    def received(self, client: socket.socket) -> bytes:
        with contextlib.suppress(OSError):  # a TLS socket without a handshake cannot be shut down
            client.shutdown(socket.SHUT_WR)
        client.close()
        with self._accepted as accepted, accepted.makefile("rb") as stream:
            return stream.read()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield Peer(listener)


def cassettes(folder: Path, peer: Peer | None = None, target: str = "") -> Cassettes:
    """Return cassettes that play. If *peer* is given, `mine` is a recording of it."""
    if peer is not None:
        write(folder, "mine", created(host=f"http://{peer.host}:{peer.port}"))
    return Cassettes(Engine(), folder, "none", no_live, target=target)


@pytest.mark.parametrize("kind", ["cassette", "target", "call"])
def test_connection_that_was_open_before_sends_nothing(kind: str, peer: Peer, tmp_path: Path) -> None:
    shelf = cassettes(
        tmp_path,
        peer if kind == "cassette" else None,
        f"http://{peer.host}:{peer.port}/api" if kind == "target" else "",
    )
    connection = http.client.HTTPConnection(peer.host, peer.port, timeout=5)
    connection.sock = peer.connected()
    path = "/orders/447452/allocations" if kind == "call" else "/anything"
    with shelf.use("mine" if kind == "cassette" else "created"), pytest.raises(NetworkBlockedError, match="bypassed"):
        connection.request("POST", path, json.dumps(BODY))
    assert peer.received(connection.sock) == b""


SENDERS: dict[str, Callable[[socket.socket, Any], object]] = {
    "send": lambda plain, _: plain.send(b"x"),
    "sendall": lambda plain, _: plain.sendall(bytearray(b"x")),
    "sendto": lambda plain, _: plain.sendto(b"x", plain.getpeername()),
    "sendmsg": lambda plain, _: plain.sendmsg([b"", memoryview(b"x")]),
    "sendfile": lambda plain, path: plain.sendfile(path.open("rb")),
    "makefile": lambda plain, _: plain.makefile("wb", buffering=0).write(b"x"),
    "dup": lambda plain, _: plain.dup().send(b"x"),
}


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_method_of_a_socket_sends_to_a_host_of_the_cassette(sender: str, peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    plain = peer.connected()
    with cassettes(tmp_path, peer).use("mine"), pytest.raises(NetworkBlockedError):
        SENDERS[sender](plain, tmp_path / "file")
    assert peer.received(plain) == b""


@pytest.mark.parametrize("method", ["send", "sendall", "write"])
def test_tls_socket_is_known_by_the_name_of_its_host(method: str, peer: Peer, tmp_path: Path) -> None:
    context = ssl.create_default_context()
    tls = context.wrap_socket(peer.connected(), server_hostname="api.veeqo.com", do_handshake_on_connect=False)
    with cassettes(tmp_path, target=f"https://api.veeqo.com:{peer.port}").use("created"):
        with pytest.raises(NetworkBlockedError):
            getattr(tls, method)(b"x")
        memory = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="API.veeqo.com")
        with pytest.raises(NetworkBlockedError):
            memory.write(b"x")
        other = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="redis.example.com")
        with pytest.raises(ssl.SSLWantReadError):
            other.write(b"x")
    assert peer.received(tls) == b""


def test_name_of_a_guarded_host_stands_for_its_addresses(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def look_up(host: str, *_: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", (peer.host, 0))]

    plain, mapped = peer.connected(), f"::ffff:{peer.host}"
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with cassettes(tmp_path, target=f"http://staging.example.com:{peer.port}").use("created"):
        assert asked == []  # a replay looks nothing up
        with pytest.raises(NetworkBlockedError):
            plain.send(b"x")
        monkeypatch.setattr(plain.__class__, "getpeername", lambda _: (mapped, peer.port, 0, 0))
        with pytest.raises(NetworkBlockedError):
            plain.send(b"x")
    assert asked == ["staging.example.com"]
    assert peer.received(plain) == b""


PROTOCOLS = {
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "MySQL": b"\x01\x00\x00\x00\x0e",
    "Selenium": b"POST /session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}",
    "TLS": b"\x16\x03\x01\x00\x05hello",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_open_socket_of_another_service_still_sends(protocol: str, peer: Peer, tmp_path: Path) -> None:
    plain = peer.connected()
    with cassettes(tmp_path, target="https://staging.example.com").use("created"):
        plain.sendall(PROTOCOLS[protocol])
        assert plain.send(b"!") == 1
    assert peer.received(plain) == PROTOCOLS[protocol] + b"!"


def test_open_event_loop_and_its_streams_still_work(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    with asyncio.Runner() as runner:
        server = runner.run(asyncio.start_server(echo, "127.0.0.1", 0))
        reader, writer = runner.run(asyncio.open_connection(*server.sockets[0].getsockname()))
        with cassettes(tmp_path).use("created"):
            writer.write(b"hello\n")
            assert runner.run(asyncio.wait_for(reader.readline(), 5)) == b"hello\n"
            woken = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "woken"), runner.get_loop())
            assert runner.run(asyncio.wait_for(asyncio.wrap_future(woken), 5)) == "woken"
        writer.close()
        server.close()


def test_open_connection_to_an_allowed_host_still_sends(peer: Peer, tmp_path: Path) -> None:
    plain = peer.connected()
    with cassettes(tmp_path, peer).use("mine", allow_hosts=[f"{peer.host}:{peer.port}"]):
        plain.sendall(CALL)
    assert peer.received(plain) == CALL


def rules(*, permitted: Callable[[], bool] = lambda: False) -> NetworkRules:
    """Return rules that permit or block everything."""
    return NetworkRules(lambda *_: permitted(), lambda _: permitted(), lambda *_: permitted(), "blocked")


def test_connection_that_was_permitted_sends_after_the_permission_has_ended(peer: Peer) -> None:
    answers = [True]
    with guard_network(rules(permitted=lambda: answers[-1])):
        plain = peer.connected()
        answers.append(False)
        plain.sendall(b"x")  # such as the end of TLS, by an event loop
        with pytest.raises(NetworkBlockedError):
            peer.connected()
    assert peer.received(plain) == b"x"


def test_sockets_are_guarded_while_a_plugin_has_replaced_their_class(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Replacement(socket.socket):
        """A subclass, as that of pytest-socket."""

    plain = peer.connected()
    monkeypatch.setattr(socket, "socket", Replacement)
    with guard_network(rules()):
        with pytest.raises(NetworkBlockedError):
            plain.send(b"x")
        with Replacement() as other, pytest.raises(NetworkBlockedError):
            other.connect((peer.host, peer.port))
    assert peer.received(plain) == b""


@pytest.mark.parametrize("lookup", ["getaddrinfo", "gethostbyname", "gethostbyname_ex"])
def test_no_function_looks_a_name_up(lookup: str) -> None:
    arguments = ("staging.example.com", 443)[: 2 if lookup == "getaddrinfo" else 1]
    with guard_network(rules()), pytest.raises(NetworkBlockedError, match="blocked"):
        getattr(socket, lookup)(*arguments)


def test_guards_that_end_in_any_order_and_thread_leave_no_patch(peer: Peer) -> None:
    before = [vars(owner).get(name) for owner, name in PATCHED]
    plain, first, second = peer.connected(), ExitStack(), ExitStack()
    first.enter_context(guard_network(rules()))
    entering = threading.Thread(target=second.enter_context, args=(guard_network(rules()),))
    entering.start()
    entering.join()
    for stack in (first, second):
        with pytest.raises(NetworkBlockedError):
            plain.send(b"x")
        ending = threading.Thread(target=stack.close)
        ending.start()
        ending.join()
    assert [vars(owner).get(name) for owner, name in PATCHED] == before
    plain.send(b"y")
    assert peer.received(plain) == b"y"
