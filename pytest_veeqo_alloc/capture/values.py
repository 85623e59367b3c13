"""Single values as files store them: bodies as text, bytes or base64; headers in three forms; numbers of a status."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from pytest_veeqo_alloc.core.http import CodingError, Headers

MAX_NODES = 1_000_000


def body_bytes(message: Mapping[str, Any]) -> bytes | None:
    """The body of an interaction file's request or response: `body` as text, or `body_base64`; None for neither."""
    if (encoded := message.get("body_base64")) is not None:
        return base64.b64decode(encoded, validate=True)
    text = message.get("body")
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError("body is text; a JSON body is written as a string")
    return text.encode("utf-8", "surrogatepass")


def text_of(value: Any) -> str:
    """Text, or bytes of a header as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def raw(body: Any) -> bytes | None:
    """A cassette's body: text, bytes, or for some clients the value that was sent as JSON."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if _nodes_beyond(body, MAX_NODES):
        raise CodingError(f"aliases that unfold to more than {MAX_NODES:,} values")
    return json.dumps(body).encode()


def _nodes_beyond(value: Any, limit: int) -> bool:
    stack = [value]
    while stack:
        limit -= 1
        if limit < 0:
            return True
        inner = stack.pop()
        if isinstance(inner, (dict, list)):
            stack.extend(inner.values() if isinstance(inner, dict) else inner)
    return False


def pairs(message: Mapping[str, Any]) -> Headers:
    """The headers of an interaction file: a list of pairs."""
    return tuple((text(name), text(value)) for name, value in message.get("headers") or ())


def named(message: Mapping[str, Any]) -> Headers:
    """The headers of a HAR file: a list of objects with name and value."""
    return tuple((text(header["name"]), text(header["value"])) for header in message.get("headers") or ())


def mapped(message: Mapping[str, Any]) -> Headers:
    """The headers of a cassette: an object whose values are lists, or single ones."""
    return tuple(
        (text(name), text(value))
        for name, values in (message.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def grouped(headers: Headers) -> dict[str, list[str]]:
    """Header pairs as a cassette has them: lists of values by name."""
    groups: dict[str, list[str]] = {}
    for name, value in headers:
        groups.setdefault(name, []).append(value)
    return groups


def text(value: Any) -> str:
    """A scalar as text; TypeError for anything else."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError("text is due")


def status_code(value: Any) -> int:
    """A status code; TypeError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise TypeError("a status is a number of three digits")
    return value
