"""HTTP requests and responses, interactions (a request with its response), and decompression of bodies."""

from __future__ import annotations

import contextlib
import functools
import http
import importlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

Headers = tuple[tuple[str, str], ...]

EXCHANGE_HEADER = "X-Veeqo-Alloc-Exchange"
"""A header that is only in responses from a cassette. Its value is an id of the response."""

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # a grammar rule, not a secret
"""A regular expression for a token (RFC 9110 section 5.6.2), such as a method or a header name."""

_CREDENTIALS = frozenset({"x-api-key", "authorization", "proxy-authorization", "cookie"})
_CODING = re.compile(rf"({TOKEN})(?:[ \t]*;[ \t]*q=([01](?:\.[0-9]{{0,3}})?))?")


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


class Secret(str):
    """A string with a repr that hides the string, so that no traceback with local variables shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(hidden)'"


class HasHeaders:
    """The base class of requests and responses. Header names are case-insensitive (RFC 9110 section 5.1)."""

    headers: Headers

    @functools.cached_property
    def _values(self) -> dict[str, list[str]]:
        """The values of all headers in their order, keyed by the header's name in lower case."""
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name.lower(), []).append(value)
        return values

    def header_values(self, name: str) -> list[str]:
        """Return the values of all headers named *name*, in the order of the headers."""
        return [*self._values.get(name.lower(), ())]

    def header(self, name: str) -> str | None:
        """Return the value of the first header named *name*, or None if there is no such header."""
        values = self._values.get(name.lower())
        return values[0] if values else None


class _Message(HasHeaders):
    body: bytes | None

    def json(self) -> Any:
        """Return the body as parsed JSON. Raise ValueError if there is no body, or if it is not JSON.

        A compressed body is decompressed first. No rule is checked: of duplicate keys, the last value counts.
        """
        if not self.body:
            raise ValueError(f"the {type(self).__name__.lower()} has no body")
        return json.loads(decode_content(self.body, self.headers) or b"")


@dataclass(frozen=True, repr=False)
class Request(_Message):
    """An HTTP request. `url` is absolute or relative. `body` is None if the request has no body.

    `is_body_known` is False if the request was read from a file without the body. If the value of a header could be a
    credential, the repr of the value hides it.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = None
    is_body_known: bool = True

    def __post_init__(self) -> None:
        _validate(self, method=str, url=str)
        if not _CREDENTIALS.isdisjoint(map(str.lower, dict(self.headers))):
            pairs = [(name, Secret(value) if name.lower() in _CREDENTIALS else value) for name, value in self.headers]
            object.__setattr__(self, "headers", tuple(pairs))

    def __repr__(self) -> str:
        return f"<Request: {_sizes(self)}>"


@dataclass(frozen=True, repr=False)
class Response(_Message):
    """An HTTP response. `body` is None if there is no body, or if it is unknown (then `is_body_known` is False)."""

    status: int
    headers: Headers = ()
    body: bytes | None = None
    is_body_known: bool = True

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
    """An HTTP request and its response. In messages, `source` says where the interaction comes from: a test or a file.

    If the request is unknown, `request` is None, and only the response is checked. `response` is None if none arrived.
    """

    request: Request | None
    response: Response | None = None
    source: str = ""

    @property
    def exchange_id(self) -> str:
        """The id of the response if a cassette played it, otherwise an empty string."""
        return (self.response is not None and self.response.header(EXCHANGE_HEADER)) or ""

    def __repr__(self) -> str:
        return f"<Interaction {self.request!r} {self.response!r}>"


def prefers_gzip(request: HasHeaders) -> bool:
    """Return whether the client's weight for gzip is at least its weight for no compression (RFC 9110 section 12.5.3).

    Return false without an Accept-Encoding header: such a client may be unable to decompress.
    """
    codings = ",".join(request.header_values("accept-encoding")).lower().split(",")
    matches = (_CODING.fullmatch(coding.strip(" \t")) for coding in codings)
    weights = {match[1]: float(match[2] or 1) for match in matches if match}
    gzip_weight = max((weights[name] for name in ("gzip", "x-gzip") if name in weights), default=weights.get("*", 0))
    return gzip_weight > 0 and gzip_weight >= weights.get("identity", 0)


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


MAX_BYTES = 20_000_000
"""The maximum size of a decompressed body, and of a response of a foreign server, in bytes."""

_GZIP = b"\x1f\x8b"
_MAX_LAYERS = 5
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))
_DECODERS = {"br": ("brotli", "brotlicffi"), "zstd": ("compression.zstd", "backports.zstd", "zstandard")}
_PACKAGES = {"br": "brotli (extra: pytest-veeqo-alloc[brotli])", "zstd": "zstandard"}
_LONG_TEXT = 200  # bytes; longer compressed data practically always contains a control character
_SLICE = 64
"""The number of bytes to decompress at a time. Some decoders have no size limit: a few bytes can become megabytes."""


class ContentDecodingError(ValueError):
    """Raised for a body that cannot be decompressed. The message describes the body: `a corrupt compressed body`."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def decode_content(body: bytes | None, headers: Headers) -> bytes | None:
    """Decompress *body* according to its `Content-Encoding`. Gzip data is also recognised without that header.

    Text is returned unchanged: the client has already decompressed it. Raise ContentDecodingError if *body* is corrupt
    or expands to more than `MAX_BYTES`, or if no decoder is installed.
    """
    declared = ",".join(value for name, value in headers if name.lower() == "content-encoding").lower()
    codings = [coding.strip() for coding in declared.split(",") if coding.strip() not in ("", "identity")]
    for _ in range(_MAX_LAYERS):
        is_gzip = body is not None and body.startswith(_GZIP)
        if not body or not (codings or is_gzip) or is_text(body):
            return body
        body = _decode_layer(body, codings.pop() if codings else "", is_gzip=is_gzip)
    return body


def decode_content_or_empty(body: bytes | None, headers: Headers) -> bytes:
    """Return *body* decompressed, or empty bytes if *body* is None or cannot be decompressed."""
    try:
        return decode_content(body, headers) or b""
    except ContentDecodingError:
        return b""


def decode_body(message: Request | Response) -> bytes:
    """Return the body of *message* decompressed, or empty bytes if it is missing or cannot be decompressed."""
    body = message.body or b""
    if message.header("content-encoding") is None and not body.startswith(_GZIP):
        return body
    return decode_content_or_empty(body, message.headers)


def is_text(body: bytes) -> bool:
    """Return whether *body* is plain text: it has no control characters, and is valid UTF-8 or at least 200 bytes long."""
    if len(body.translate(None, _CONTROL)) < len(body):
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return len(body) >= _LONG_TEXT
    return True


def _decode_layer(body: bytes, coding: str, *, is_gzip: bool) -> bytes:
    if is_gzip:
        try:
            return _inflate(body, zlib.MAX_WBITS | 16)
        except ContentDecodingError:
            if coding not in _DECODERS:  # data in another coding may begin with the same bytes
                raise
    if coding in _DECODERS:
        return _decompress(body, coding)
    if coding == "deflate":
        return _inflate(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
    return body


def _inflate(body: bytes, window: int) -> bytes:
    decompressor = zlib.decompressobj(window)
    try:
        plain = decompressor.decompress(body, MAX_BYTES)
    except zlib.error:
        raise ContentDecodingError("a corrupt compressed body") from None
    if decompressor.unconsumed_tail or not decompressor.eof:
        raise ContentDecodingError("a compressed body that is truncated or too large")
    return plain


def _decompress(body: bytes, coding: str) -> bytes:
    decompressor, plain = _decompressor(coding), bytearray()
    feed = decompressor.process if coding == "br" else decompressor.decompress
    try:
        for start in range(0, len(body), _SLICE):
            plain += feed(body[start : start + _SLICE])
            if len(plain) > MAX_BYTES:
                break
    except Exception:  # each decoder raises its own error
        raise ContentDecodingError(f"a corrupt {coding} body") from None
    is_complete = decompressor.is_finished() if coding == "br" else decompressor.eof
    if not is_complete or len(plain) > MAX_BYTES:
        raise ContentDecodingError(f"a {coding} body that is truncated or too large")
    return bytes(plain)


def _decompressor(coding: str) -> Any:
    for name in _DECODERS[coding]:
        with contextlib.suppress(ImportError):
            module: Any = importlib.import_module(name)
            if coding == "br":
                return module.Decompressor()
            decompressor = module.ZstdDecompressor()
            return decompressor.decompressobj() if hasattr(decompressor, "decompressobj") else decompressor
    raise ContentDecodingError(
        f"a body compressed with {coding} (no decoder installed)", f"install {_PACKAGES[coding]}"
    )
