"""From bytes to a value: JSON as RFC 8259 has it, and what stands in the way.

The fast reading stops at the first oddity; only then is the text read again to say where the oddities are.
"""

from __future__ import annotations

import codecs
import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Never

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.json_pointer import join

MAX_DEPTH = 64
MAX_DIGITS = 4300


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """A body that was read. `value` means something only where `readable` is true."""

    value: Any
    breaches: tuple[Breach, ...] = ()
    readable: bool = True


class NonStrictJSONError(Exception):
    """There is a repeated member or a number that is not finite, somewhere."""


def read(body: bytes | None) -> Reading:
    """Read *body* once; arrays and objects that no schema describes are not looked into here (see `nests_deeper`)."""
    if not body:
        return _unreadable(Breach("body-missing", ""))
    breaches = []
    if body.startswith(codecs.BOM_UTF8):
        breaches.append(Breach("byte-order-mark", "", "a byte order mark before the JSON text"))
        body = body[len(codecs.BOM_UTF8) :]
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"bytes that are no UTF-8 from offset {error.start} on"
        return _unreadable(Breach("not-utf8", "", got), breaches)
    return _decode(text, breaches)


def _decode(text: str, breaches: list[Breach], *, locating: bool = False) -> Reading:
    try:
        value = (_SLOW if locating else _FAST).decode(text)
    except json.JSONDecodeError as error:
        got = f"text that is no JSON from line {error.lineno}, column {error.colno} on"
        return _unreadable(Breach("not-json", "", got), breaches)
    except RecursionError:
        return _unreadable(too_deep(), breaches)
    except (NonStrictJSONError, ValueError):  # which the second reading takes without a word
        return _decode(text, breaches, locating=True)
    return _locate_defects(value, breaches) if locating else Reading(value, tuple(breaches))


def from_parsed(value: Any) -> Reading:
    """A value that somebody else parsed, with its numbers looked at. TypeError for a member whose name is no text."""
    return _locate_defects(value, [])


def too_deep() -> Breach:
    """A body that nests deeper than `MAX_DEPTH`."""
    return Breach("too-deep", "", f"more than {MAX_DEPTH} levels")


def nests_deeper(value: Any, levels: int) -> bool:
    """Whether *value* has more than *levels* levels of arrays and objects; stops at the first branch that does."""
    stack = [(value, 1)]
    while stack:
        inner, depth = stack.pop()
        if isinstance(inner, (dict, list)):
            if depth > levels:
                return True
            stack.extend((child, depth + 1) for child in (inner.values() if isinstance(inner, dict) else inner))
    return False


def _unreadable(breach: Breach, before: Iterable[Breach] = ()) -> Reading:
    return Reading(None, (*before, breach), readable=False)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NonStrictJSONError
    return members


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NonStrictJSONError
    return value


def _no_constant(name: str) -> Never:
    raise NonStrictJSONError


def _short_integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise NonStrictJSONError
    return int(text)


# Where the interpreter keeps to the same limit, as it does unless told otherwise, it need not be kept twice.
_SAME_LIMIT = sys.get_int_max_str_digits() == MAX_DIGITS
_FAST = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_float=_finite,
    parse_int=None if _SAME_LIMIT else _short_integer,
    parse_constant=_no_constant,
)


class _Repeating(dict[str, Any]):
    """An object in which the names in `repeated` stand more than once."""

    repeated: tuple[str, ...] = ()


def _object_with_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = _Repeating(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = dict.fromkeys(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # set.add is None, so the name is kept only the second time
        members.repeated = tuple(twice)
    return members


def _integer(text: str) -> int | float:
    try:
        return _short_integer(text)
    except (NonStrictJSONError, ValueError):  # ValueError: an interpreter that was told to take fewer digits
        return math.inf


_SLOW = json.JSONDecoder(object_pairs_hook=_object_with_duplicates, parse_int=_integer)


def _locate_defects(value: Any, breaches: list[Breach]) -> Reading:
    if nests_deeper(value, MAX_DEPTH):
        return _unreadable(too_deep(), breaches)
    return Reading(_plain(value, "", breaches.append), tuple(breaches))


def _plain(value: Any, pointer: str, add: Callable[[Breach], None]) -> Any:
    """*value* without marks, after telling of every mark in it."""
    if isinstance(value, float) and not math.isfinite(value):
        add(Breach("non-finite-number", pointer, "a number that is not finite"))
    elif isinstance(value, list):
        return [_plain(item, join(pointer, index), add) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        if isinstance(value, _Repeating):
            for name in value.repeated:
                add(Breach("duplicate-key", join(pointer, name), "the member more than once"))
        if not all(isinstance(name, str) for name in value):
            raise TypeError("parsed JSON has text as the names of members; this object has others")
        return {name: _plain(item, join(pointer, name), add) for name, item in value.items()}
    return value
