"""Functions that send requests to a foreign server. Requests have a timeout and follow no redirect."""

from __future__ import annotations

import email.utils
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import requests
import urllib3

from pytest_veeqo_alloc.core.http import Headers, Request, Response
from pytest_veeqo_alloc.live import NotSentError, SendError
from pytest_veeqo_alloc.live.permission import WritePermission

READS = ("GET", "HEAD", "OPTIONS")

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_SET_BY_FORWARDER = frozenset({"host", "content-length", "expect", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits after 429 responses, in seconds: `first`, then doubled, at most `longest` each and `total` in sum."""

    first: float = 1.0
    longest: float = 30.0
    total: float = 120.0
    sleep: Callable[[float], None] = time.sleep


_now = functools.partial(time.time)  # unaffected by tests that freeze the time

Timeouts = tuple[float, float]
"""The seconds to wait for a connection, and the seconds to wait for the server to send data."""


def forward(request: Request, permission: WritePermission, via: str, timeouts: Timeouts) -> Response:
    """Send another client's *request* once, with *via* in the `Via` header. Raise SendError if no response arrives."""
    with requests.Session() as session:
        session.trust_env = permission.trust_env
        session.headers.clear()
        session.auth = lambda prepared: prepared  # otherwise, `requests` takes credentials from .netrc
        forwarded = replace(request, headers=_forwarded_headers(request, via))
        response = exchange(session, forwarded, permission.target, timeouts, raw=True)
    return replace(response, headers=_end_to_end_headers(response))


def _forwarded_headers(request: Request, via: str) -> Headers:
    """Return the headers to forward: the client's end-to-end headers, and those that a proxy must set."""
    joined: dict[str, tuple[str, list[str]]] = {}
    for name, value in _end_to_end_headers(request):
        if name.lower() not in _SET_BY_FORWARDER:
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
        answer = session.request(
            method, url, headers=headers, data=data, allow_redirects=False, timeout=timeouts, stream=raw
        )
        if answer.status_code < 200:  # the final response would follow, but cannot be read
            raise urllib3.exceptions.ProtocolError
        body = answer.raw.read(decode_content=False) if raw else answer.content
        pairs = (answer.raw.headers if raw else answer.headers).items()
        return Response(answer.status_code, tuple((str(name), str(value)) for name, value in pairs), body)
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
    if isinstance(error, requests.Timeout):
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
    """Return the seconds to wait by `Retry-After` (RFC 9110 section 10.2.3), or *default* without a valid header."""
    value = (response.header("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        return max(until.timestamp() - _now(), 0) if until.tzinfo else default
    except (ValueError, TypeError, OverflowError):  # not a date
        return default
