"""JSON Pointers (RFC 6901): build, split and resolve them, find differences, and mask names that may be secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pytest_veeqo_alloc.core.text import is_plain_name, pluralise

WHOLE_BODY = "(whole body)"
"""The text that messages show in place of the empty JSON Pointer, which refers to the whole body."""

ABSENT = object()
"""A marker. If only one of two objects has a member, `diff` yields this as the value in the other object."""


def join(pointer: str, key: str | int) -> str:
    """Return *pointer* extended by *key*, a member name or an array index."""
    if isinstance(key, int):
        return f"{pointer}/{key}"
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def split(pointer: str) -> list[str]:
    """Return the unescaped parts of *pointer* between the slashes. Raise ValueError if the leading '/' is missing."""
    if pointer and not pointer.startswith("/"):
        raise ValueError("a JSON Pointer must be empty or start with '/'")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def is_index(token: str) -> bool:
    """Return whether *token*, a part of a pointer, can be an array index."""
    return token.isdigit() and token.isascii() and len(token) < 20


def generalise(pointer: str) -> str:
    """Return *pointer* with every array index replaced with `*`."""
    return "/".join("*" if is_index(token) else token for token in pointer.split("/"))


def parents(pointer: str) -> Iterator[str]:
    """Yield the pointer of each object and array around *pointer*, the innermost first and the whole body last."""
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer


def locate(document: Any, pointer: str) -> tuple[Any, Any]:
    """Return the object or array around the value at *pointer*, and the value's key. Raise LookupError without it."""
    parent = resolve(document, pointer.rpartition("/")[0])
    return parent, _key(parent, split(pointer)[-1])


def resolve(document: Any, pointer: str) -> Any:
    """Return the value at *pointer* in *document*. Raise LookupError if there is no such value."""
    for token in split(pointer):
        document = document[_key(document, token)]
    return document


def _key(container: Any, token: str) -> Any:
    if isinstance(container, dict):
        return token
    if isinstance(container, list) and is_index(token):
        return int(token)
    raise LookupError("no value at the JSON Pointer")


def resolve_all(document: Any, pattern: str) -> list[Any]:
    """Return all values in *document* that match *pattern*, a pointer with `*` for every array index."""
    found = [document]
    for token in split(pattern):
        if token == "*":  # noqa: S105  # a wildcard, no password
            found = [item for value in found if isinstance(value, list) for item in value]
        else:
            found = [value[token] for value in found if isinstance(value, dict) and token in value]
    return found


def diff(old: Any, new: Any, pointer: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (pointer, old value, new value) for each difference. Arrays of different lengths are one difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*new, *old]):
            yield from diff(old.get(name, ABSENT), new.get(name, ABSENT), join(pointer, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from diff(one, other, join(pointer, index))
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield pointer, old, new


_MAX_PATH = 100
_SEPARATOR = re.compile(r"[/:]")
_MASKED = re.compile(r"\(name of [0-9]{1,9} characters?\)\Z")


def mask_name(name: str) -> str:
    """Return *name*, or a placeholder such as `(name of 5 characters)` if *name* may be a secret."""
    return name if is_plain_name(name) else _length_of(name)


def mask_pointer(pointer: str | None) -> str | None:
    """Return *pointer* with a placeholder for each member name that may be a secret. None stays None."""
    return pointer and "".join("/" + _mask_token(token) for token in pointer.split("/")[1:])


def mask_location(location: str) -> str:
    """Return *location*, such as `query:NAME`, with a placeholder for NAME if NAME may be a secret."""
    kind, colon, name = location.partition(":")
    return f"{kind}:{_mask_token(name)}" if colon else location


def mask_path(path: str) -> str:
    """Return a URL path with `*` for each segment that is an id or may be a secret, cut after 100 characters."""
    masked = "/".join(
        segment if not segment or (is_plain_name(segment) and _is_resource(segment)) else "*"
        for segment in path.split("/")
    )
    return masked if len(masked) <= _MAX_PATH else f"{masked[:_MAX_PATH]}..."


def _is_resource(segment: str) -> bool:
    return segment[0].isalpha() and not any(character.isupper() or character.isdigit() for character in segment[1:])


def mask_key(place: str | None, key: str) -> str | None:
    """Return *place*, a pointer or a location, with a placeholder for each name that contains the API key *key*."""
    if place is None or key not in place:
        return place
    shown, start = [], 0
    while (index := place.find(key, start)) >= 0:
        left = max(start, place.rfind("/", start, index) + 1, place.rfind(":", start, index) + 1)
        separator = _SEPARATOR.search(place, index + len(key))
        right = separator.start() if separator else len(place)
        shown += [place[start:left], _length_of(place[left:right])]
        start = right
    return "".join([*shown, place[start:]])


def _length_of(name: str) -> str:
    return f"(name of {pluralise(len(name), 'character')})"


def _mask_token(token: str) -> str:
    return token if _MASKED.match(token) else mask_name(token.replace("~1", "/").replace("~0", "~"))
