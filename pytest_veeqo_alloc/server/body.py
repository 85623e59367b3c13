"""The body of a request, read from a socket within bounds (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BufferedIOBase

from pytest_veeqo_alloc.server.head import Head, RefusedRequestError

MAX_BODY = 10_000_000
"""Bytes; a larger body is answered with 413."""

_MAX_LINE = 1000
_MAX_TRAILERS = 100


def length_of(head: Head) -> int | None:
    """The declared length; None for chunks, and 0 where nothing is declared. RefusedRequestError where that is not
    clear: what two parties read differently is how requests are smuggled."""
    lengths = head.header_values("content-length")
    coding = ",".join(head.header_values("transfer-encoding")).lower()
    if coding:
        if lengths or coding != "chunked":
            raise RefusedRequestError(400, "a body has either a Content-Length or Transfer-Encoding: chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) > 1 or re.fullmatch(r"[0-9]{1,18}", lengths[0]) is None:
        raise RefusedRequestError(400, "Content-Length is one number of bytes")
    length = int(lengths[0])
    if length > MAX_BODY:
        raise RefusedRequestError(413, f"a body has at most {MAX_BODY} bytes here")
    return length


def read_body(stream: BufferedIOBase, length: int | None) -> bytes:
    """The body of that *length*, or in chunks where it is None. RefusedRequestError for one that is too large, too short
    or no chunks."""
    try:
        return _chunks(stream) if length is None else _exactly(stream.read, length)
    except TimeoutError:
        raise RefusedRequestError(408, "the body did not come in time") from None


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    body = read(length)
    if len(body) < length:
        raise RefusedRequestError(400, f"the body ended after {len(body)} of {length} bytes")
    return body


def _chunks(stream: BufferedIOBase) -> bytes:
    chunks: list[bytes] = []
    total = 0
    while size := _size(stream.readline(_MAX_LINE)):
        total += size
        if total > MAX_BODY:
            raise RefusedRequestError(413, f"a body has at most {MAX_BODY} bytes here")
        chunks.append(_exactly(stream.read, size))
        if stream.readline(_MAX_LINE) not in (b"\r\n", b"\n"):
            raise RefusedRequestError(400, "a chunk is longer than it says")
    for _ in range(_MAX_TRAILERS):
        if stream.readline(_MAX_LINE) in (b"\r\n", b"\n", b""):
            return b"".join(chunks)
    raise RefusedRequestError(400, "the chunks do not end")


def _size(line: bytes) -> int:
    text = line.split(b";")[0].strip()
    if re.fullmatch(rb"[0-9A-Fa-f]{1,16}", text) is None:
        raise RefusedRequestError(400, "the size of a chunk is a hexadecimal number")
    return int(text, 16)
