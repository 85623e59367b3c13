"""A strict JSON parser (RFC 8259). A fast decoder stops at the first defect; a slow one then locates every defect."""

from __future__ import annotations

import codecs
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.http import ContentDecodingError, Request, Response, decode_content
from pytest_veeqo_alloc.core.json_pointer import join

MAX_DEPTH = 64  # levels of arrays and objects
TOO_DEEP = Breach("too-deep", "", f"more than {MAX_DEPTH} levels")

_MAX_DIGITS = 4300  # of an integer
_SCALARS = {str, int, float, bool, type(None)}
_MAX_TOP = 4000  # characters: enough to recognise another format
_NOT_JSON = (
    (re.compile(r"[\w.%+-]{1,100}(?:\[[\w.%+-]{0,100}\]){0,10}="), "a form", "send JSON, not a form"),
    (re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE), "HTML", ""),
    (re.compile(r"\s*<(?:\?xml|!--|[A-Za-z])"), "XML", ""),
    (re.compile(r"HTTP/[0-9.]+ [0-9]{3}|[A-Z]+ \S+ HTTP/[0-9]"), "an HTTP message", "leave out the headers"),
    (re.compile(r"\s*[{[]\s*'"), "a Python literal", "encode the value with json.dumps()"),
)
"""For each format that is sent in place of JSON: pattern, name, and remedy (empty: the remedy of the rule)."""
_NOT_TEXT = ((b"\x1f\x8b", "gzip data"), (codecs.BOM_UTF16_LE, "UTF-16 text"), (codecs.BOM_UTF16_BE, "UTF-16 text"))


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """A parsed body and its breaches. If the body is not `readable`, `value` is None.

    If `is_plain`, all values in it have exactly the types that `json.loads` returns. Otherwise, some are subclasses.
    """

    value: Any
    breaches: tuple[Breach, ...] = ()
    readable: bool = True
    is_plain: bool = True


def read(body: bytes | None) -> Reading:
    """Parse *body* as strict JSON. The parsed value may still be nested deeper than `MAX_DEPTH`."""
    if not body:
        return _unreadable(Breach("body-missing", ""))
    breaches = []
    if body.startswith(codecs.BOM_UTF8):
        breaches.append(Breach("byte-order-mark", "", "a byte order mark"))
        body = body[len(codecs.BOM_UTF8) :]
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        got = next(
            (name for start, name in _NOT_TEXT if body.startswith(start)), f"an invalid byte at offset {error.start}"
        )
        return _unreadable(Breach("not-utf8", "", got), breaches)
    return _decode(text, breaches, _FAST)


def read_content(message: Request | Response) -> Reading:
    """Decompress the body of *message* according to its Content-Encoding, and parse it as strict JSON."""
    if not message.is_body_known:
        return Reading(None, readable=False)
    try:
        return read(decode_content(message.body, message.headers))
    except ContentDecodingError as error:
        return _unreadable(Breach("not-utf8", "", str(error), remedy=error.remedy or "send all of the compressed body"))


def from_parsed(value: Any, before: Iterable[Breach] = ()) -> Reading:
    """Return the `Reading` of *value*, parsed JSON, with the breaches *before* and those in *value*.

    Raise TypeError if the name of a member is not a string.
    """
    if nests_deeper(value, MAX_DEPTH):
        return _unreadable(TOO_DEEP, before)
    breaches, scalars = list(before), set[type]()
    plain = _plain(value, "", breaches.append, scalars.add)
    return Reading(plain, tuple(breaches), is_plain=scalars <= _SCALARS)


def nests_deeper(value: Any, levels: int) -> bool:
    """Return whether *value* has more than *levels* levels of nested arrays and objects."""
    stack = [(value, 1)]
    while stack:
        container, depth = stack.pop()
        if isinstance(container, (dict, list, tuple)):
            if depth > levels:
                return True
            children = container.values() if isinstance(container, dict) else container
            stack += [(child, depth + 1) for child in children if type(child) not in _SCALARS]
    return False


def _decode(text: str, breaches: list[Breach], decoder: json.JSONDecoder) -> Reading:
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        default = (f"a syntax error at line {error.lineno}, column {error.colno}", "")
        top = text.lstrip()[:_MAX_TOP]
        got, remedy = next(((name, remedy) for start, name, remedy in _NOT_JSON if start.match(top)), default)
        return _unreadable(Breach("not-json", "", got, remedy=remedy), breaches)
    except RecursionError:
        return _unreadable(TOO_DEEP, breaches)
    except ValueError:  # a repeated member, or a number that is not finite or too long; the slow decoder accepts both
        return _decode(text, breaches, _SLOW)
    return Reading(value, tuple(breaches)) if decoder is _FAST else from_parsed(value, breaches)


def _unreadable(breach: Breach, before: Iterable[Breach] = ()) -> Reading:
    return Reading(None, (*before, breach), readable=False)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _short_integer(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise ValueError
    return int(text)


_FAST = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_float=_finite_float,
    # Python has the same limit unless it was configured otherwise, and checks it faster.
    parse_int=None if sys.get_int_max_str_digits() == _MAX_DIGITS else _short_integer,
    parse_constant=_finite_float,  # called for NaN, Infinity and -Infinity
)


class _RepeatingObject(dict[str, Any]):
    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]


def _integer_or_infinity(text: str) -> int | float:
    try:
        return _short_integer(text)
    except ValueError:  # Python may be configured with a lower limit, too
        return math.inf


_SLOW = json.JSONDecoder(object_pairs_hook=_RepeatingObject, parse_int=_integer_or_infinity)


def _plain(value: Any, pointer: str, add: Callable[[Breach], None], add_type: Callable[[type], None]) -> Any:
    """Convert *value* to plain dicts, lists and numbers. Call *add* with each defect, *add_type* with scalar types."""
    if isinstance(value, Decimal):
        value = float(value) if value.is_finite() else math.nan
    if isinstance(value, float) and not math.isfinite(value):
        add(Breach("non-finite-number", pointer, "a number that is not finite or has too many digits"))
    elif isinstance(value, (list, tuple)):
        return [_plain(item, join(pointer, index), add, add_type) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        if isinstance(value, _RepeatingObject):
            for name in value.repeated:
                add(Breach("duplicate-key", join(pointer, name), "more than one member with this name"))
        if not all(isinstance(name, str) for name in value):
            raise TypeError("the names of members must be strings")
        return {name: _plain(item, join(pointer, name), add, add_type) for name, item in value.items()}
    add_type(type(value))
    return value
