"""HTTP requests to a foreign server: those of this package, and those that it forwards for another client.

All requests have a timeout and follow no redirect. Proxies, CA bundles and `.netrc` files from the environment are used
only with `--veeqo-alloc-trust-env`.
"""

from __future__ import annotations

import datetime
import email.utils
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

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
    """The seconds to wait before each retry after a 429 response.

    Waits start at `first` and double, or follow `Retry-After`. `longest` limits each wait, and `total` their sum.
    """

    first: float = 1.0
    longest: float = 30.0
    total: float = 120.0
    sleep: Callable[[float], None] = time.sleep


def forward(request: Request, permission: WritePermission, via: str, timeouts: tuple[float, float]) -> Response:
    """Send another client's *request* once. Return the response, with its content still encoded.

    *via* is added to the `Via` header. *timeouts* are the seconds to connect and to read. Raise SendError on failure.
    """
    with requests.Session() as session:
        session.trust_env = permission.trust_env
        session.headers.clear()
        session.auth = lambda prepared: prepared  # keeps `requests` from taking credentials from .netrc
        forwarded = replace(request, headers=_forwarded_headers(request, via))
        response = exchange(session, forwarded, permission.target, timeouts, raw=True)
    return replace(response, headers=_without_hops(response.headers))


def _forwarded_headers(request: Request, via: str) -> Headers:
    """Return the headers of the forwarded request: the client's end-to-end headers and those that a proxy sets."""
    joined: dict[str, tuple[str, list[str]]] = {}
    for name, value in _without_hops(request.headers):
        if name.lower() not in _SET_BY_FORWARDER:
            joined.setdefault(name.lower(), (name, []))[1].append(value)
    _, proxies = joined.pop("via", ("Via", []))
    # urllib3 adds a user agent of its own unless it is told to skip the header.
    joined.setdefault("user-agent", ("User-Agent", [urllib3.util.SKIP_HEADER]))
    accepted = ",".join(request.header_values("accept-encoding")).lower()
    return (
        *((name, ", ".join(values)) for name, values in joined.values()),
        ("Accept-Encoding", "gzip" if "gzip" in accepted else "identity"),
        ("Connection", "close"),
        ("Via", ", ".join([*proxies, f"1.1 {via}"])),
    )


def exchange(
    session: requests.Session, request: Request, target: str, timeouts: tuple[float, float], *, raw: bool = False
) -> Response:
    """Send *request* once. Decode the response's content unless *raw* is true. *target* names the server in errors.

    *timeouts* are the seconds to connect and to read. Raise NotSentError without a connection, otherwise SendError.
    """
    method, url, headers, data = request.method, request.url, dict(request.headers), request.body
    try:
        answer = session.request(
            method, url, headers=headers, data=data, allow_redirects=False, timeout=timeouts, stream=raw
        )
        body = answer.raw.read(decode_content=False) if raw else answer.content
        pairs = (answer.raw.headers if raw else answer.headers).items()
        return Response(answer.status_code, tuple((str(name), str(value)) for name, value in pairs), body)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        problem, was_sent = describe_error(error)
    # Raised outside the `except` block, to hide the original error: its request has the API key in the headers.
    message = f"{request.method} to {target} got no response: {problem}"
    if not was_sent:
        raise NotSentError(message)
    if request.method not in READS:
        message += "; whether the request was carried out is UNKNOWN, so it is not sent again"
    raise SendError(message)


def _without_hops(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return *headers* without the hop-by-hop headers (RFC 9110 section 7.6.1)."""
    pairs = tuple(headers)
    named = {
        token.strip().lower() for name, value in pairs if name.lower() == "connection" for token in value.split(",")
    }
    return tuple(pair for pair in pairs if pair[0].lower() not in _HOP_BY_HOP | named)


def describe_error(error: Exception) -> tuple[str, bool]:
    """Return a description of *error* that quotes nothing from it, and whether the request may have been sent."""
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
    """Return the seconds to wait according to `Retry-After` (RFC 9110 section 10.2.3), otherwise *default*."""
    value = (response.header("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        return max((until - datetime.datetime.now(datetime.UTC)).total_seconds(), 0)
    except (ValueError, TypeError):  # no date, or one without a time zone
        return default
