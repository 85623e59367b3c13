"""HTTP messages, and interactions: a request with its response."""

from __future__ import annotations

import functools
import http
import zlib
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]

EXCHANGE_HEADER = "X-Veeqo-Alloc-Exchange"
"""The header that contains the id of a response played from a cassette, so that checks count the response only once."""

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # a grammar rule, not a secret
"""A regular expression for a token (RFC 9110 section 5.6.2), such as a method or a header name."""


def is_success(status: int) -> bool:
    """Return whether *status* is 2xx (RFC 9110 section 15.3)."""
    return 200 <= status < 300


def is_client_error(status: int) -> bool:
    """Return whether *status* is 4xx (RFC 9110 section 15.5)."""
    return 400 <= status < 500


@functools.cache
def reason_phrase(status: int) -> str:
    """Return the reason phrase for *status* (RFC 9110), or an empty string for an unassigned status."""
    return http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""


class HasHeaders:
    """The base class of requests and responses. Header names are case-insensitive (RFC 9110 section 5.1)."""

    __slots__ = ()
    headers: Headers

    def header_values(self, name: str) -> list[str]:
        """Return the values of all headers named *name*, in their order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def header(self, name: str) -> str | None:
        """Return the value of the first header named *name*, or None if there is no such header."""
        return next(iter(self.header_values(name)), None)


@dataclass(frozen=True, repr=False)
class Request(HasHeaders):
    """An HTTP request. `url` may be absolute or relative, and `body` is None if there is no body."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = None

    def __post_init__(self) -> None:
        _validate(self, method=str, url=str)

    def __repr__(self) -> str:
        return f"<Request: {_sizes(self)}>"


@dataclass(frozen=True, repr=False)
class Response(HasHeaders):
    """An HTTP response. `body` is the decompressed body, or None if there is no body."""

    status: int
    headers: Headers = ()
    body: bytes | None = None

    def __post_init__(self) -> None:
        _validate(self, status=int)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return is_success(self.status)

    def __repr__(self) -> str:
        return f"<Response {self.status}: {_sizes(self)}>"


@dataclass(frozen=True, repr=False)
class Interaction:
    """An HTTP request and its response. `source` names its origin in messages, for example a test.

    `request` is None for an unknown request: only the response is then checked. `response` is None if none arrived.
    """

    request: Request | None
    response: Response | None = None
    source: str = ""

    @property
    def exchange_id(self) -> str:
        """The id of a response that was played from a cassette, otherwise an empty string."""
        return (self.response is not None and self.response.header(EXCHANGE_HEADER)) or ""

    def __repr__(self) -> str:
        return f"<Interaction {self.request!r} {self.response!r}>"


def _validate(message: Request | Response, **types: type) -> None:
    owner = type(message).__name__
    for name, expected in types.items():
        value = getattr(message, name)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise TypeError(f"{name} of a {owner} must be {expected.__name__}, not {type(value).__name__}")
    if message.body is not None and not isinstance(message.body, bytes):
        raise TypeError(f"body of a {owner} must be bytes or None, not {type(message.body).__name__}")
    if not isinstance(message.headers, tuple) or not all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str)
        for pair in message.headers
    ):
        raise TypeError(f"headers of a {owner} must be a tuple of pairs of str")


def _sizes(message: Request | Response) -> str:  # for a repr: a message may contain keys and personal data
    body = "no body" if message.body is None else f"body of {len(message.body)} bytes"
    return f"{len(message.headers)} headers, {body}"


MAX_BYTES = 200_000_000
"""The maximum size of a decompressed body in bytes."""

_GZIP = b"\x1f\x8b"
_MAX_LAYERS = 5


class ContentDecodingError(ValueError):
    """The error for a body that cannot be decoded. The message is a noun phrase that describes the body."""


def decode_content(body: bytes | None, headers: Headers) -> bytes | None:
    """Return *body* decompressed. Raise ContentDecodingError if *body* is br, zstd, corrupt or above `MAX_BYTES`."""
    if not body:
        return body
    coding = ",".join(value for name, value in headers if name.lower() == "content-encoding").strip().lower()
    for _ in range(_MAX_LAYERS):
        if body.startswith(_GZIP):
            body = _decompress(body, zlib.MAX_WBITS | 16)
    is_json = body[:1] in (b"{", b"[")
    if coding == "deflate" and not is_json:
        return _decompress(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
    if coding in ("br", "zstd") and not is_json:
        raise ContentDecodingError(f"a body compressed with {coding} (unsupported): record the decompressed body")
    return body


def decode_content_or_empty(body: bytes | None, headers: Headers) -> bytes:
    """Return *body* decompressed, or empty bytes if *body* is None or cannot be decoded."""
    try:
        return decode_content(body, headers) or b""
    except ContentDecodingError:
        return b""


def _decompress(body: bytes, window: int) -> bytes:
    decompressor = zlib.decompressobj(window)
    try:
        plain = decompressor.decompress(body, MAX_BYTES)
    except zlib.error:
        raise ContentDecodingError("a compressed body that is corrupt") from None
    if decompressor.unconsumed_tail or not decompressor.eof:
        raise ContentDecodingError("a compressed body that is truncated or too large")
    return plain
