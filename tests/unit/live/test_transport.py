"""HTTP to the foreign server: forwarded headers, delays, and what an error means."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import urllib3
from support.hostile import CHUNKED, ENDLESS, HEAD, answering_with, drip
from support.live import live_at, pool_request
from support.staging import Staging

from pytest_veeqo_alloc import Request, Response
from pytest_veeqo_alloc.live import SendError
from pytest_veeqo_alloc.live.permission import WritePermission
from pytest_veeqo_alloc.live.transport import describe_error, exchange, forward, new_session, retry_after


def _reached(reason: Exception) -> requests.ConnectionError:
    """What requests raises where urllib3 gave up for *reason*."""
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(urllib3.HTTPConnectionPool("h"), "/", reason))


def _because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


CONNECTION = urllib3.connection.HTTPConnection("h")


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "x")), ("TLS certificate not trusted", False)),
        (_reached(urllib3.exceptions.NameResolutionError("h", CONNECTION, socket.gaierror())), ("DNS lookup failed", False)),
        (_because(requests.ConnectionError("x"), socket.gaierror()), ("DNS lookup failed", False)),
        (_reached(urllib3.exceptions.NewConnectionError(CONNECTION, "x")), ("connection failed", False)),
        (_reached(_because(urllib3.exceptions.NewConnectionError(CONNECTION, "x"), ConnectionRefusedError())),
         ("connection refused", False)),
        (requests.ConnectTimeout(), ("connection attempt timed out", False)),
        (requests.ReadTimeout(), ("response timed out", True)),
        (requests.exceptions.SSLError("x"), ("TLS connection broken", True)),
        (requests.ConnectionError(OSError()), ("connection broken or response not HTTP", True)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else type(value).__name__,
)  # fmt: skip
def test_error_description_says_whether_the_request_may_have_been_sent(
    error: Exception, trouble: tuple[str, bool]
) -> None:
    assert describe_error(error) == trouble


def test_forwarded_headers_are_the_known_end_to_end_ones_and_those_of_the_proxy(
    server: Staging, tmp_path: Path
) -> None:
    with live_at(server.url, tmp_path) as live:
        permission = live.permission
    sent = Request(
        "POST",
        f"{server.url}/orders/7/allocations",
        (("Accept", "a"), ("accept", "b"), ("X-Shop", "1"), ("X_Api_Key", "2"), ("traceparent", "3"), ("Via", "1.0 first"), ("Accept-Encoding", "BR, GZIP"), ("Host", "h"),
         ("Connection", "If-Match"), ("If-Match", "1"), ("Expect", "100-continue")),
        json.dumps(pool_request()).encode(),
    )  # fmt: skip
    assert forward(sent, permission, "proxy-of-a-test", (5, 30)).status == 201
    headers = server.seen[-1][2]
    assert headers == {
        "Accept": "a, b", "traceparent": "3", "Accept-Encoding": "gzip", "Connection": "close", "Via": "1.0 first, 1.1 proxy-of-a-test",
        "Host": server.url.partition("://")[2], "Content-Length": str(len(sent.body or b"")),
    }  # fmt: skip
    forward(replace(sent, headers=(("Accept-Encoding", "br"),)), permission, "proxy-of-a-test", (5, 30))
    assert server.seen[-1][2]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("7.5", 3),
        ("soon", 3),
        ("", 3),
        ("Fri, 27 Nov 2026 10:00:00 -0000", 3),
        ("Fri, 27 Nov 2020 10:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_with_a_zone(value: str, seconds: float) -> None:
    assert retry_after(Response(429, (("Retry-After", value),)), 3) == seconds


def permission_for(url: str, folder: Path) -> WritePermission:
    with live_at(url, folder) as live:
        return live.permission


def answer_of(url: str, folder: Path, seconds: float, *, is_forwarded: bool) -> Response:
    """Return the response to a POST, sent by us or forwarded by the proxy, within *seconds*."""
    permission, sent = permission_for(url, folder), Request("POST", f"{url}/orders/7/allocations", (), b"{}")
    if is_forwarded:
        return forward(sent, permission, "proxy-of-a-test", (5, seconds))
    with new_session(permission) as session:
        return exchange(session, sent, permission.target, (5, seconds))


@pytest.mark.parametrize("is_forwarded", [False, True], ids=["sent", "forwarded"])
@pytest.mark.parametrize("name", ENDLESS)
def test_response_without_end_is_cut_off_at_the_limit(
    name: str, is_forwarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_veeqo_alloc.live.transport.MAX_BYTES", 1_000_000)
    with (
        answering_with(ENDLESS[name]) as url,
        pytest.raises(SendError, match="got no response: response of more than 1 MB; "),
    ):
        answer_of(url, tmp_path, 30, is_forwarded=is_forwarded)


@pytest.mark.parametrize("is_forwarded", [False, True], ids=["sent", "forwarded"])
@pytest.mark.parametrize(
    "head", [b"", HEAD, CHUNKED, HEAD + b"\r\n"], ids=["status line", "header", "chunk size", "body"]
)
def test_response_that_arrives_byte_by_byte_has_one_deadline(head: bytes, is_forwarded: bool, tmp_path: Path) -> None:
    stopped = threading.Event()
    with answering_with(drip(head, stopped)) as url:
        with pytest.raises(SendError, match="got no response: response timed out; "):
            answer_of(url, tmp_path, 0.1, is_forwarded=is_forwarded)
        stopped.set()


def test_compressed_response_that_expands_beyond_the_limit_stays_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_veeqo_alloc.core.http.MAX_BYTES", 1_000_000)
    for size, is_read in ((1_000_000, True), (1_000_001, False)):
        bomb = gzip.compress(b"[" + b" " * (size - 2) + b"]")
        head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        with answering_with(lambda answer=head + bomb: [answer]) as url:  # type: ignore[misc]
            answer = answer_of(url, tmp_path / str(size), 5, is_forwarded=False)
        assert answer.status == 201
        assert (answer.body != bomb) is is_read
