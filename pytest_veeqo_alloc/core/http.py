"""An interaction: one HTTP request and, where there was one, its response."""

from __future__ import annotations

import functools
import http
import zlib
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


class HasHeaders:
    """What has headers, which are looked up without regard to case."""

    __slots__ = ()
    headers: Headers

    def header_values(self, name: str) -> list[str]:
        """Every value of the header *name*, in order (RFC 9110 section 5.1: names ignore case)."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def header(self, name: str) -> str | None:
        """The first value of the header *name*, or None."""
        return next(iter(self.header_values(name)), None)


# What is sent and received may hold keys and personal data: no repr shows more than sizes.


def _refuse(message: Request | Response, **kinds: type) -> None:
    """TypeError, in one sentence, for a field of another type than the ones written here."""
    for name, kind in kinds.items():
        if not isinstance(getattr(message, name), kind) or isinstance(getattr(message, name), bool):
            got = type(getattr(message, name)).__name__
            raise TypeError(f"{name} of a {type(message).__name__} is {kind.__name__}, not {got}")
    if message.body is not None and not isinstance(message.body, bytes):
        raise TypeError(f"body of a {type(message).__name__} is bytes or None, not {type(message.body).__name__}")
    if not isinstance(message.headers, tuple) or not all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str)
        for pair in message.headers
    ):
        raise TypeError(f"headers of a {type(message).__name__} are a tuple of pairs of str")


def _size(body: bytes | None) -> str:
    return "no body" if body is None else f"body of {len(body)} bytes"


def is_success(status: int) -> bool:
    """Whether *status* is 2xx (RFC 9110 section 15.3)."""
    return 200 <= status < 300


EXCHANGE_HEADER = "X-Veeqo-Alloc-Exchange"
"""The header of a played response that says which exchange it belongs to, so that no check counts it twice."""


@dataclass(frozen=True, repr=False)
class Request(HasHeaders):
    """A request: method, absolute or relative URL, header pairs, body bytes (None: there was none)."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = None

    def __post_init__(self) -> None:
        _refuse(self, method=str, url=str)

    def __repr__(self) -> str:
        return f"<Request: {len(self.headers)} headers, {_size(self.body)}>"


@dataclass(frozen=True, repr=False)
class Response(HasHeaders):
    """A response: status code, header pairs, body bytes after content decoding (None: there was none)."""

    status: int
    headers: Headers = ()
    body: bytes | None = None

    def __post_init__(self) -> None:
        _refuse(self, status=int)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx (RFC 9110 section 15.3)."""
        return is_success(self.status)

    def __repr__(self) -> str:
        return f"<Response {self.status}: {len(self.headers)} headers, {_size(self.body)}>"


@dataclass(frozen=True, repr=False)
class Interaction:
    """A request and its response.

    `request` is None where it is not known and so is not checked; `response` is None where none came. `source` says
    where it was seen, for messages: a file and place, a test.
    """

    request: Request | None
    response: Response | None = None
    source: str = ""

    @property
    def exchange_id(self) -> str:
        """The id that a cassette gave to the response it played; empty for any other response."""
        return (self.response.header(EXCHANGE_HEADER) if self.response is not None else None) or ""

    def __repr__(self) -> str:
        return f"<Interaction {self.request!r} {self.response!r}>"


MAX_BYTES = 200_000_000
"""A body that unpacks to more is refused."""

_GZIP = b"\x1f\x8b"
_MAX_LAYERS = 5


class ContentDecodingError(ValueError):
    """A content coding that cannot be undone, as a noun phrase."""


def decode_content(body: bytes | None, headers: Headers) -> bytes | None:
    """*body* without the content codings gzip and deflate, where it still has them: a cassette may hold either form.

    ContentDecodingError for a coding that the standard library cannot undo, and for what does not unpack or unpacks too far.
    """
    if not body:
        return body
    coding = ",".join(value for name, value in headers if name.lower() == "content-encoding").strip().lower()
    for _ in range(_MAX_LAYERS):
        if not body.startswith(_GZIP):
            break
        body = _unpack(body, zlib.MAX_WBITS | 16)
    if coding == "deflate" and body[:1] not in (b"{", b"["):
        return _unpack(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
    if coding in ("br", "zstd") and body[:1] not in (b"{", b"["):
        raise ContentDecodingError(f"a body compressed with {coding}, which is not undone here: record it decoded")
    return body


def decode_content_or_empty(body: bytes | None, headers: Headers) -> bytes:
    """*body* without content codings; nothing where there is none, or where they cannot be undone."""
    try:
        return decode_content(body, headers) or b""
    except ContentDecodingError:
        return b""


def _unpack(body: bytes, window: int) -> bytes:
    unpacker = zlib.decompressobj(window)
    try:
        unpacked = unpacker.decompress(body, MAX_BYTES)
    except zlib.error:
        raise ContentDecodingError("a compressed body that does not unpack") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ContentDecodingError("a compressed body that is cut off or too large")
    return unpacked


@functools.cache
def reason_phrase(status: int) -> str:
    """The reason phrase of RFC 9110: what a server wrote there instead could be anything."""
    return http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""


TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # the word of RFC 9110 section 5.6.2
