"""Functions that send requests to a foreign server. No redirect is followed. Time and size of responses are limited."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import http.client
import io
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import requests
import urllib3

from pytest_veeqo_alloc.core.http import MAX_BYTES, ContentDecodingError, Headers, Request, Response, decode_content
from pytest_veeqo_alloc.live import NotSentError, SendError
from pytest_veeqo_alloc.live.permission import READS, WritePermission, may_be_forwarded

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_SET_BY_FORWARDER = frozenset({"host", "content-length", "expect", "accept-encoding"})

# Unaffected by tests that freeze the time.
_clock, _now = functools.partial(time.monotonic), functools.partial(time.time)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The limits for repeating a request after 429 responses: at most `tries` requests, the last within `total` seconds.

    The wait is that of the `Retry-After` header, otherwise `least` seconds, doubled each time. It is at least `least` and
    at most `longest` seconds.
    """

    least: float = 1.0
    longest: float = 30.0
    total: float = 120.0
    tries: int = 4
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = _clock

    def wait_after(self, response: Response, tried: int, started: float) -> float | None:
        """Return the seconds until the request is repeated, or None to stop. *tried* requests were sent so far."""
        wait = min(max(retry_after(response, self.least * 2 ** (tried - 1)), self.least), self.longest)
        is_last = response.status != 429 or tried >= self.tries or self.clock() - started + wait > self.total
        return None if is_last else wait


Timeouts = tuple[float, float]
"""The seconds to wait for a connection, and for the whole response once the request was sent."""


class ResponseTooLargeError(OSError):
    """Raised if a server sends more than `MAX_BYTES` bytes in response to one request."""


class _LimitedReader(io.RawIOBase):
    """The bytes that a server sends on *connection* in response to one request. Their number and time are limited."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._file = connection, connection.makefile("rb", buffering=0)
        seconds = connection.gettimeout()
        self._deadline = None if seconds is None else _clock() + seconds
        self._left = MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            if (seconds := self._deadline - _clock()) <= 0:
                raise TimeoutError
            self._connection.settimeout(seconds)
        size = self._file.readinto(buffer)
        self._left -= size or 0
        if self._left < 0:
            raise ResponseTooLargeError
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


class _LimitedResponse(http.client.HTTPResponse):
    """A response of limited size that must arrive, interim responses included, within the time-out of its socket."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_LimitedReader(sock))


def _limited(pool: type[urllib3.HTTPConnectionPool]) -> type[urllib3.HTTPConnectionPool]:
    connection = type("Connection", (pool.ConnectionCls,), {"response_class": _LimitedResponse})
    return type("Pool", (pool,), {"ConnectionCls": connection})


_POOLS = {"http": _limited(urllib3.HTTPConnectionPool), "https": _limited(urllib3.HTTPSConnectionPool)}


class _Adapter(requests.adapters.HTTPAdapter):
    """A transport adapter for `requests` that limits the time and the size of each response."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def new_session(permission: WritePermission) -> requests.Session:
    """Return a session with limits for responses. It uses proxies from the environment if *permission* allows it."""
    session = requests.Session()
    session.trust_env = permission.trust_env
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def forward(request: Request, permission: WritePermission, via: str, timeouts: Timeouts) -> Response:
    """Send another client's *request* once, with *via* in the `Via` header. Raise SendError if no response arrives."""
    with new_session(permission) as session:
        session.headers.clear()
        session.auth = lambda prepared: prepared  # otherwise, `requests` takes credentials from .netrc
        forwarded = replace(request, headers=_forwarded_headers(request, via))
        response = exchange(session, forwarded, permission.target, timeouts, raw=True)
    return replace(response, headers=_end_to_end_headers(response))


def _forwarded_headers(request: Request, via: str) -> Headers:
    """Return the headers to forward: the client's harmless end-to-end headers, and the headers that a proxy must set."""
    joined: dict[str, tuple[str, list[str]]] = {}
    for name, value in _end_to_end_headers(request):
        if may_be_forwarded(name) and name.lower() not in _SET_BY_FORWARDER:
            joined.setdefault(name.lower(), (name, []))[1].append(value)
    _, proxies = joined.pop("via", ("Via", []))
    # Without this, urllib3 adds its own user agent.
    joined.setdefault("user-agent", ("User-Agent", [urllib3.util.SKIP_HEADER]))
    accepted = ",".join(request.header_values("accept-encoding")).lower()
    return (
        *((name, ("; " if name.lower() == "cookie" else ", ").join(values)) for name, values in joined.values()),
        ("Accept-Encoding", "gzip" if "gzip" in accepted else "identity"),
        ("Connection", "close"),
        ("Via", ", ".join([*proxies, f"1.1 {via}"])),
    )


def exchange(
    session: requests.Session, request: Request, target: str, timeouts: Timeouts, *, raw: bool = False
) -> Response:
    """Send *request* once. Raise NotSentError if no connection was made, or SendError if no response arrived.

    A request with the header `Transfer-Encoding: chunked` is sent in chunks. If *raw* is true, the body of the response
    is not decompressed. *target* names the server in error messages.
    """
    method, url, headers = request.method, request.url, dict(request.headers)
    data: Any = request.body
    if data and request.header("transfer-encoding") == "chunked":
        data = iter([data[: len(data) // 2], data[len(data) // 2 :]])
    try:
        with session.request(
            method, url, headers=headers, data=data, allow_redirects=False, timeout=timeouts, stream=True
        ) as answer:
            # The response of an application in this process has no stream.
            body = answer.content if answer.raw is None else answer.raw.read(decode_content=False)
            pairs = (answer.raw.headers if raw else answer.headers).items()
        if answer.status_code < 200:  # the final response would follow, but cannot be read
            raise urllib3.exceptions.ProtocolError
        fields = tuple((str(name), str(value)) for name, value in pairs)
        with contextlib.suppress(ContentDecodingError):  # the contract check reports it
            body = body if raw else decode_content(body, fields)
        return Response(answer.status_code, fields, body)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        problem, was_sent = describe_error(error)
    # Raised outside the `except` block to drop the original error, since its request contains the API key.
    message = f"{request.method} to {target} got no response: {problem}"
    if not was_sent:
        raise NotSentError(message)
    if request.method not in READS:
        message += "; whether the request was carried out is UNKNOWN, so it is not sent again"
    raise SendError(message)


def _end_to_end_headers(message: Request | Response) -> Headers:
    """Return the headers without the hop-by-hop headers (RFC 9110 section 7.6.1)."""
    options = ",".join(message.header_values("connection")).lower().split(",")
    hop_by_hop = _HOP_BY_HOP.union(option.strip() for option in options)
    return tuple(pair for pair in message.headers if pair[0].lower() not in hop_by_hop)


def describe_error(error: Exception) -> tuple[str, bool]:
    """Return what went wrong (without the text of *error*), and whether the request may have been sent."""
    # The classes are compared by name, since not every version of urllib3 has all of them.
    causes = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    if "SSLCertVerificationError" in causes:
        return "TLS certificate not trusted", False
    if causes & {"NameResolutionError", "gaierror"}:
        return "DNS lookup failed", False
    if isinstance(error, requests.ConnectTimeout):
        return "connection attempt timed out", False
    if "NewConnectionError" in causes:
        return "connection refused" if "ConnectionRefusedError" in causes else "connection failed", False
    if "ResponseTooLargeError" in causes:
        return f"response of more than {MAX_BYTES // 1_000_000} MB", True
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "response timed out", True
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS connection broken", True
    return "connection broken or response not HTTP", True


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    left: list[object] = [error]
    while left:
        cause = left.pop()
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            left += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
    return found


def retry_after(response: Response, default: float) -> float:
    """Return the seconds in the `Retry-After` header (RFC 9110 section 10.2.3), or *default* without a valid header."""
    value = (response.header("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        return max(until.timestamp() - _now(), 0) if until.tzinfo else default
    except (ValueError, TypeError, OverflowError):  # not a date
        return default
