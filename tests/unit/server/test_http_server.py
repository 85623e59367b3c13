"""The HTTP server: a malformed request gets a clear response, and the server stays up."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from support.bodies import BODY, allocation_request
from support.clients import NO_CERTIFICATES
from support.fake import PATH, headers, raw_post, status_of, talk

from pytest_veeqo_alloc import ServerSettings
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server import http_server
from pytest_veeqo_alloc.server.fake import API_KEY, Fake
from pytest_veeqo_alloc.server.http_server import Handler, HTTPServer, RequestParser
from pytest_veeqo_alloc.server.runner import running


@pytest.fixture
def fake() -> Iterator[Fake]:
    running_fake = Fake(Engine())
    with running(running_fake):
        yield running_fake


def works(fake: Fake) -> bool:
    return (
        requests.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5).status_code == 201
    )


LONG = "x" * 70_000
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "garbage": (b"\x00\x01\x02garbage\r\n\r\n", 400, "not an HTTP/1.1 request"),
    "half a line": (b"POST /orders", 400, "not an HTTP/1.1 request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\n", 400, "not an HTTP/1.1 request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not an HTTP/1.1 request"),
    "HTTP/0.9": (b"GET /\r\n", 400, "not an HTTP/1.1 request"),
    "a long line": (f"POST /{LONG} HTTP/1.1\r\n\r\n".encode(), 414, "at most 65536 bytes before its body"),
    "a long header": (f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: {LONG}\r\n\r\n".encode(), 431, "may have at most 100 headers"),
    "10 MB of header": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: " + b"y" * 10_000_000 + b"\r\n\r\n", 431, "may have at most 100 headers"),
    "many headers": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431, "may have at most 100 headers"),
    "a header without a colon": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nx\r\n\r\n", 400, "not an HTTP/1.1 request"),
    "a space before the colon": (b"POST / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400, "not an HTTP/1.1 request"),
    "a folded header": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: y\r\n z\r\n\r\n", 400, "not an HTTP/1.1 request"),
    "headers that end in the middle": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: y\r\n", 400, "not an HTTP/1.1 request"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "exactly one Host header"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "exactly one Host header"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status", "words"), REFUSED.values(), ids=REFUSED)
def test_malformed_request_is_answered_in_one_sentence(fake: Fake, data: bytes, status: int, words: str) -> None:
    answer = talk(fake, data)
    assert status_of(answer) == status
    assert words in json.loads(answer.partition(b"\r\n\r\n")[2])["error_messages"]
    assert works(fake)
    assert len(fake.interactions) == 1


MORE = {
    "a negative length": ("Content-Length: -1\r\n", 400, "Invalid character in Content-Length"),
    "a length that is no number": ("Content-Length: ten\r\n", 400, "Invalid character in Content-Length"),
    "two lengths": ("Content-Length: 1\r\nContent-Length: 2\r\n", 400, "Duplicate Content-Length"),
    "a length and chunks": ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400, "can't be present with Content-Length"),
    "another coding": ("Transfer-Encoding: gzip, chunked\r\n", 400, "Transfer-Encoding must be chunked"),
    "a large body": ("Content-Length: 100000000\r\n", 413, "may have at most 10000000 bytes"),
    "a short body": ("Content-Length: 5000\r\n", 400, "the body ended after 0 of 5000 bytes"),
    "a page of another name": ("Host: rebound.example.com\r\n", 421, "the Host header names another server"),
    "a name like the loopback": ("Host: localhost.example.com\r\n", 421, "the Host header names another server"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "status", "words"), MORE.values(), ids=MORE)
def test_ambiguous_request_is_rejected(fake: Fake, more: str, status: int, words: str) -> None:
    answer = talk(fake, raw_post(fake, body=b"", more=more))
    assert status_of(answer) == status
    assert words in json.loads(answer.partition(b"\r\n\r\n")[2])["error_messages"]
    assert works(fake)


CHUNKS = {
    "no size": (b"xyz\r\n", 400),
    "a negative size": (b"-1\r\n", 400),
    "a chunk that is too long": (b"1\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk that ends early": (b"5\r\nabc", 400),
    "a size beyond every limit": (b"ffffffff\r\n", 400),
    "chunks without end": (b"1\r\na\r\n" * 3, 400),
    "trailers without end": (b"0\r\n" + b"x: y\r\n" * 200, 400),
}


@pytest.mark.parametrize(("body", "status"), CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks_are_rejected(fake: Fake, body: bytes, status: int) -> None:
    assert status_of(talk(fake, raw_post(fake, body=body, more="Transfer-Encoding: chunked\r\n"))) == status
    assert works(fake)


def test_chunked_body_with_trailers_is_read(fake: Fake) -> None:
    raw = json.dumps(BODY).encode()
    chunks = (
        f"{len(raw[:9]):x};ext=1\r\n".encode()
        + raw[:9]
        + f"\r\n{len(raw[9:]):X}\r\n".encode()
        + raw[9:]
        + b"\r\n0\r\nx: y\r\n\r\n"
    )
    answer = talk(fake, raw_post(fake, body=chunks, more="Transfer-Encoding: Chunked\r\n"))
    assert status_of(answer) == 201
    request = fake.interactions[0].request
    assert request is not None
    assert request.body == raw


def test_large_body_is_rejected_and_drained(fake: Fake) -> None:
    answer = requests.post(fake.url + PATH, data=b"x" * 20_000_000, headers=headers(fake), timeout=30)
    assert answer.status_code == 413
    assert works(fake)


def test_large_body_is_rejected_before_it_is_sent_with_expect_continue(fake: Fake) -> None:
    answer = talk(fake, raw_post(fake, body=b"", more="Content-Length: 100000000\r\nExpect: 100-continue\r\n"))
    assert status_of(answer) == 413


def test_expect_continue_is_answered(fake: Fake) -> None:
    answer = talk(fake, raw_post(fake, more="Expect: 100-continue\r\n"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")


def after_the_timeout(fake: Fake, data: Callable[[], bytes]) -> bytes:
    """Send *data* and no more to a server that waits 50 ms; return what comes back, and check that the server works."""
    server = HTTPServer(("127.0.0.1", 0), fake.handle, fake.add_problem)
    fake.url = server.url
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, timeout=10) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handler, "timeout", 0.05)
        connection.sendall(data())
        with server:  # started last, so that on a slow machine, too, it finds the data before its time is up
            received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            patch.undo()
            assert works(fake)
    return received


def test_missing_body_is_rejected_after_the_timeout() -> None:
    fake = Fake(Engine())
    answer = after_the_timeout(fake, lambda: raw_post(fake, body=b"{", more="Content-Length: 50\r\n"))
    assert status_of(answer) == 408


def test_idle_client_is_disconnected() -> None:
    assert after_the_timeout(Fake(Engine()), lambda: b"") == b""


def test_incomplete_head_is_rejected_after_the_timeout() -> None:
    assert status_of(after_the_timeout(Fake(Engine()), lambda: b"POST / HT")) == 408


@pytest.mark.parametrize("start", [b"", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"])
def test_request_that_arrives_byte_by_byte_has_a_deadline(
    fake: Fake, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "timeout", 0.3)
    address = urlsplit(fake.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=0.05) as connection:
        connection.sendall(start + b"POST /")
        answer = b""
        for _ in range(100):
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1 << 16)
                break
    assert status_of(answer) == 408
    (note,) = fake.notes
    assert note.endswith("the request did not arrive within 0.3 s")


def test_connection_over_the_limit_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_MAX_CONNECTIONS", 1)
    address = urlsplit(fake.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10) as first:
        first.sendall(raw_post(fake))
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 201")
        assert talk(fake, raw_post(fake)) == b""
    assert fake.notes == [
        "a request was refused with 503 and is not in the log: there may be at most 1 connections at a time"
    ]


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEADS = {
    "a target for another host": ("POST http://shop/orders/1/allocations HTTP/1.1\r\nHost: localhost\r\n", 421),
    "a target with user information": ("POST http://localhost:@evil/ HTTP/1.1\r\nHost: localhost\r\n", 400),
    "a target of another scheme": ("POST https://localhost/ HTTP/1.1\r\nHost: localhost\r\n", 400),
    "a target that is an authority": ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n", 501),
    "a target with a fragment": ("POST /#a HTTP/1.1\r\nHost: localhost\r\n", 400),
    "a target with a control character": ("POST /\x01 HTTP/1.1\r\nHost: localhost\r\n", 400),
    "a host with user information": ("POST / HTTP/1.1\r\nHost: localhost:@evil\r\n", 400),
    "a host with a path": ("POST / HTTP/1.1\r\nHost: localhost/evil\r\n", 400),
    "an open bracket": ("POST / HTTP/1.1\r\nHost: [::1\r\n", 400),
    "text after the bracket": ("POST / HTTP/1.1\r\nHost: [::1]evil\r\n", 400),
    "two hosts in one header": ("POST / HTTP/1.1\r\nHost: localhost, evil\r\n", 400),
    "an empty host": ("POST / HTTP/1.1\r\nHost:\r\n", 400),
    "a bare CR": ("POST / HTTP/1.1\r\nHost: localhost\r\nx: a\rb\r\n", 400),
    "a bare LF": ("POST / HTTP/1.1\nHost: localhost\n", 400),
    "a NUL": ("POST / HTTP/1.1\r\nHost: localhost\r\nx: a\0b\r\n", 400),
    "an empty coding": ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n", 400),
    "an unknown coding": ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n", 400),
    "a coding twice": ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n", 400),
    "a coding with HTTP/1.0": ("POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n", 400),
    "a signed length": ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n", 400),
    "a length of 30 digits": (f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {'9' * 30}\r\n", 400),
    "an unknown method": ("BREW / HTTP/1.1\r\nHost: localhost\r\n", 400),
    "HTTP/2 without its preface": ("POST / HTTP/2.0\r\nHost: localhost\r\n", 505),
}  # fmt: skip


@pytest.mark.parametrize(("head", "status"), HEADS.values(), ids=HEADS)
def test_malformed_or_foreign_head_is_rejected_and_listed(fake: Fake, head: str, status: int) -> None:
    answer = talk(fake, head.encode("latin-1") + b"\r\n" + HIDDEN)
    assert (status_of(answer), answer.count(b"\r\n\r\n")) == (status, 1)
    assert len(fake.notes + fake.problems) == 1
    assert len(fake.interactions) == 0
    assert works(fake)


BODIES = {
    "a long extension": b"3;" + b"x" * 1000 + b"\r\nabc\r\n0\r\n\r\n",
    "a long extension in front of a request": b"3;" + b"x" * 998 + HIDDEN + b"abc\r\n0\r\n\r\n",
    "a long trailer": b"0\r\nx: " + b"y" * 1000 + b"\r\n\r\n",
    "a long size": b"0" * 1000 + b"3\r\nabc\r\n0\r\n\r\n",
    "a size of 17 digits": b"1" * 17 + b"\r\n",
    "data behind a chunk": b"1\r\nabc\r\n0\r\n\r\n",
    "a chunk that ends with a bare LF": b"1\na\n0\n\n",
    "a size with a sign": b"+1\r\na\r\n0\r\n\r\n",
    "a length among the trailers": b"1\r\na\r\n0\r\nContent-Length: 5\r\n\r\n",
    "no last chunk": b"3\r\nabc\r\n",
    "no end of the trailers": b"3\r\nabc\r\n0\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_malformed_chunked_body_hides_no_request(fake: Fake, body: bytes) -> None:
    more = "" if body.endswith((b"abc\r\n", b"0\r\n")) else HIDDEN.decode()
    answer = talk(fake, raw_post(fake, body=body + more.encode(), more="Transfer-Encoding: chunked\r\n"))
    assert (status_of(answer), answer.count(b"\r\n\r\n")) == (400, 1)
    assert len(fake.problems) == 1
    assert len(fake.interactions) == 0


def test_body_that_grows_beyond_the_limit_in_chunks_is_rejected(fake: Fake) -> None:
    chunks = (b"%x\r\n" % 1_000_000 + b"x" * 1_000_000 + b"\r\n") * 11
    assert status_of(talk(fake, raw_post(fake, body=chunks, more="Transfer-Encoding: chunked\r\n"))) == 413


def test_requests_before_a_malformed_one_are_answered(fake: Fake) -> None:
    answer = talk(fake, raw_post(fake) + raw_post(fake) + b"\0\r\n\r\n")
    assert (answer.count(b"HTTP/1.1 201 "), answer.count(b"HTTP/1.1 400 ")) == (2, 1)


@pytest.mark.parametrize("size", [1, 7, 100, 257])
def test_request_in_pieces_is_read_like_a_whole_one(size: int) -> None:
    data = b"\r\nPOST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n" + b"z" * 300
    data += (
        b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n12c;e\r\n"
        + b"z" * 300
        + b"\r\n0\r\nt: u\r\n\r\n"
    )
    parser = RequestParser({"x"})
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    parser.end()
    assert [(request.target, bytes(request.body or b""), request.is_complete) for request in parser.requests] == [
        ("/a?b", b"z" * 300, True), ("/c", b"z" * 300, True),
    ]  # fmt: skip
    assert [name for name, _ in parser.requests[1].headers] == ["Host", "Transfer-Encoding"]


def test_offer_of_another_protocol_is_ignored_and_the_body_read(fake: Fake) -> None:
    more = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
    assert talk(fake, raw_post(fake, more=more) * 3).count(b"HTTP/1.1 201 ") == 3
    request = fake.interactions[0].request
    assert request is not None
    assert request.body == json.dumps(BODY).encode()
    parser = RequestParser({"localhost"})
    parser.feed(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" * 2000)
    assert len(parser.requests) == 2000


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:80"])
def test_every_loopback_name_is_accepted_as_host(fake: Fake, host: str) -> None:
    assert status_of(talk(fake, raw_post(fake, more=f"Host: {host}\r\n"))) == 201


def test_configured_name_is_accepted_as_host() -> None:
    fake = Fake(Engine())
    with running(fake, names=("veeqo.example.com",)):
        assert status_of(talk(fake, raw_post(fake, more="Host: Veeqo.example.com:8080\r\n"))) == 201


def test_target_in_absolute_form_is_reduced_to_its_path(fake: Fake) -> None:
    assert status_of(talk(fake, raw_post(fake, path=f"http://127.0.0.1{PATH}"))) == 201


def test_http_1_0_client_gets_its_response_and_a_close(fake: Fake) -> None:
    data = (
        raw_post(fake).replace(b"HTTP/1.1", b"HTTP/1.0").replace(f"Host: {urlsplit(fake.url).netloc}\r\n".encode(), b"")
    )
    fake.inject_fault("chunked")
    answer = talk(fake, data, finish=False)
    assert b"Connection: close" in answer
    assert b"Content-Length: " in answer


def test_connection_is_kept_until_the_client_closes_it(fake: Fake) -> None:
    answer = talk(
        fake,
        raw_post(fake) + raw_post(fake) + raw_post(fake, more="Connection: close\r\n") + raw_post(fake),
        finish=False,
    )
    assert answer.count(b"HTTP/1.1 201 ") == 3


def test_extra_line_after_a_body_is_ignored(fake: Fake) -> None:
    assert talk(fake, raw_post(fake) + b"\r\n" + raw_post(fake)).count(b"HTTP/1.1 201 ") == 2


UNKNOWN = {
    "an allocation at another path": ("POST", "/orders/7/shipments", 404, "wrong-path"),
    "the root": ("GET", "/", 404, "unknown-call"),
    "a GET of the documented path": ("GET", PATH, 405, "wrong-method"),
    "a PUT of it": ("PUT", PATH, 405, "wrong-method"),
    "a DELETE of it": ("DELETE", PATH, 405, "wrong-method"),
    "a call of another page": ("PUT", "/allocations/1/allocation_package", 404, "unknown-call"),
    "an order id that is none": ("POST", "/orders/P-1/allocations", 404, "order-id-not-integer"),
}


@pytest.mark.parametrize(("method", "path", "status", "rule"), UNKNOWN.values(), ids=UNKNOWN)
def test_other_call_is_answered_and_found(fake: Fake, method: str, path: str, status: int, rule: str) -> None:
    answer = httpx.request(
        method, fake.url + path, json=allocation_request(), headers=headers(fake), verify=NO_CERTIFICATES
    )
    assert answer.status_code == status
    assert rule in [finding.rule for finding in fake.findings]
    assert fake.findings.operation == "POST /orders/{order_id}/allocations"


def test_405_has_an_allow_header(fake: Fake) -> None:
    assert httpx.put(fake.url + PATH, json=allocation_request(), verify=NO_CERTIFICATES).headers["allow"] == "POST"


def test_response_to_head_has_no_body(fake: Fake) -> None:
    answer = talk(fake, raw_post(fake).replace(b"POST", b"HEAD"))
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 43" in answer


def test_204_has_no_content_length(fake: Fake) -> None:
    fake.respond_with(status=204, body={"ignored": True})
    answer = talk(fake, raw_post(fake))
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in answer


def test_port_in_use_is_an_os_error(fake: Fake) -> None:
    with pytest.raises(OSError, match="in use"), running(Fake(Engine()), port=int(urlsplit(fake.url).port or 0)):
        pass


def test_exception_of_the_app_is_reported_and_the_server_stays_up() -> None:
    def broken(request: object) -> None:
        raise RuntimeError("secret")

    problems: list[str] = []
    with HTTPServer(("127.0.0.1", 0), broken, on_problem=problems.append) as front:  # type: ignore[arg-type]  # it breaks before it answers
        for _ in range(2):
            answer = requests.post(front.url, timeout=5)
            assert (answer.status_code, "secret" in answer.text) == (500, False)
        assert problems == ["the server failed with RuntimeError: this is a bug in the server"] * 2


def test_exception_outside_the_app_is_reported_unless_the_connection_broke() -> None:
    problems: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), lambda request: None, on_problem=problems.append)  # type: ignore[arg-type,return-value]  # never called
    try:
        for error in (ValueError("secret"), ConnectionResetError()):
            try:
                raise error
            except Exception:
                server.handle_error(None, None)
    finally:
        server.server_close()
    assert problems == ["the server failed with ValueError: this is a bug in the server"]


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_ipv6_address_is_bracketed_in_the_url() -> None:
    fake = Fake(Engine())
    try:
        with running(fake, host="::1"):
            assert fake.url.startswith("http://[::1]:")
            assert works(fake)
    except OSError:
        pytest.skip("there is no IPv6 address on this machine")


def test_closing_leaves_no_thread_and_no_socket() -> None:
    before = set(threading.enumerate())
    fake = Fake(Engine())
    with running(fake) as server:
        fake.inject_fault("slow-body")
        idle, slow = (socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(2))
        slow.sendall(raw_post(fake))
        assert slow.recv(20).startswith(b"HTTP/1.1 201")
    assert set(threading.enumerate()) == before
    assert idle.recv(1) == b""
    idle.close()
    slow.close()
    assert server.socket.fileno() == -1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_leaves_the_block_without_waiting() -> None:
    code = """
import os, warnings
from pytest_veeqo_alloc import serve_fake
with serve_fake() as fake:
    if not (child := os.fork()):
        raise SystemExit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
with serve_fake() as fake:
    child = os.fork()
if not child:
    os._exit(8)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout == "8\n"


CALLS = {
    "another name": ("Host: shop:8080\r\n", "the Host header names another server: to accept it, give --name shop, or names=('shop',) in ServerSettings"),
    "a length with a unit": ("Content-Length: 12 bytes\r\n", "this is not an HTTP/1.1 request: Invalid character in Content-Length"),
    "a short body": ("Content-Length: 5000\r\n", "the body ended after 0 of 5000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "reason"), CALLS.values(), ids=CALLS)
def test_refused_call_is_a_problem_with_the_reason(fake: Fake, more: str, reason: str) -> None:
    status = status_of(talk(fake, raw_post(fake, body=b"", more=more)))
    assert fake.problems == [f"a request was refused with {status} and is not in the log: {reason}"]
    assert fake.notes == []
    fake.reset()
    assert fake.problems == []


PROBES = {
    "a probe": (b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n", "refused with 421"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", "use http://, not https://"),
    "no HTTP": (b"HELO\r\n", "this is not an HTTP/1.1 request"),
    "a broken header": (b"GET /x HTTP/1.1\r\nHost\r\n\r\n", "this is not an HTTP/1.1 request: Invalid header token"),
}


@pytest.mark.parametrize(("data", "words"), PROBES.values(), ids=PROBES)
def test_refused_probe_is_only_noted(fake: Fake, data: bytes, words: str) -> None:
    talk(fake, data)
    assert fake.problems == []
    (note,) = fake.notes
    assert words in note


@pytest.mark.parametrize(
    "data",
    [
        b"GET /x HTTP/1.1\r\nX-API-KEY: a\r\nHost: shop\r\n\r\n",
        b"GET /x HTTP/1.1\r\nAuthorization: Bearer a\r\nHost\r\n\r\n",
        b"GET /x?key=" + API_KEY.encode() + b" HTTP/1.1\r\nHost: shop\r\n\r\n",
        b"POST /api/orders/5/allocations HTTP/9.1\r\n\r\n",
        b"POST http://shop/orders/5/allocations  HTTP/1.1\r\n\r\n",
    ],
)
def test_refused_request_with_a_key_or_the_documented_path_is_a_problem(fake: Fake, data: bytes) -> None:
    talk(fake, data)
    assert len(fake.problems) == 1
    assert API_KEY not in fake.problems[0]


def test_host_that_is_not_a_name_is_not_shown(fake: Fake) -> None:
    talk(fake, b"GET /x HTTP/1.1\r\nHost: \x1b[31m'\r\n\r\n")
    (note,) = fake.notes
    assert "refused with 400" in note
    assert "[31m" not in note


def test_settings_name_further_hosts() -> None:
    assert ServerSettings(names=("shop",)).names == ("shop",)
    for names in ("shop", (5,)):
        with pytest.raises(ValueError, match="names= must be several host names"):
            ServerSettings(names=names)  # type: ignore[arg-type]  # on purpose
