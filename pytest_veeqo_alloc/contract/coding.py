"""Content codings (RFC 9110 section 8.4.1) of bodies, undone as far as the standard library goes."""

from __future__ import annotations

import zlib

from pytest_veeqo_alloc.contract.interaction import Headers

MAX_BYTES = 200_000_000
"""A body that unpacks to more is refused."""

_GZIP = b"\x1f\x8b"
_MAX_LAYERS = 5


class CodingError(ValueError):
    """A content coding that cannot be undone, as a noun phrase."""


def decoded(body: bytes | None, headers: Headers) -> bytes | None:
    """*body* without the content codings gzip and deflate, where it still has them: a cassette may hold either form.

    CodingError for a coding that the standard library cannot undo, and for what does not unpack or unpacks too far.
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
        raise CodingError(f"a body compressed with {coding}, which is not undone here: record it decoded")
    return body


def decoded_or_nothing(body: bytes | None, headers: Headers) -> bytes:
    """*body* without content codings; nothing where there is none, or where they cannot be undone."""
    try:
        return decoded(body, headers) or b""
    except CodingError:
        return b""


def _unpack(body: bytes, window: int) -> bytes:
    unpacker = zlib.decompressobj(window)
    try:
        unpacked = unpacker.decompress(body, MAX_BYTES)
    except zlib.error:
        raise CodingError("a compressed body that does not unpack") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise CodingError("a compressed body that is cut off or too large")
    return unpacked
