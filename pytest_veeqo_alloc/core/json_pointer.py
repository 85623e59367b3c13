"""JSON Pointers (RFC 6901), and how much of one may be shown.

A pointer names members, and the name of an undocumented member is data: a hostile body could carry a secret, a
terminal control sequence or a workflow command in it. What is printed, pickled or written shows such a name only where
it is harmless by its characters.
"""

from __future__ import annotations

import re

from pytest_veeqo_alloc.core.text import count_of

# A name of digits alone could be somebody's telephone number; indices of arrays are shorter.
_HARMLESS = re.compile(r"(?![0-9]{6,}\Z)[A-Za-z0-9_?-]{1,64}\Z")


def join(pointer: str, key: str | int) -> str:
    """*pointer* extended by one member or index."""
    if isinstance(key, int):
        return f"{pointer}/{key}"
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def split(pointer: str) -> list[str]:
    """The reference tokens of *pointer*, unescaped; ValueError where it is none."""
    if pointer and not pointer.startswith("/"):
        raise ValueError("a JSON Pointer is empty or starts with '/'")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def shown_name(name: str) -> str:
    """*name* where its characters are harmless, else its length in words."""
    if _HARMLESS.match(name):
        return name
    return _length_of(name)


def _length_of(name: str) -> str:
    return f"(name of {count_of(len(name), 'character')})"


def shown(pointer: str | None) -> str | None:
    """*pointer* with every name that may not be shown replaced by its length in words; the same again if repeated."""
    if pointer is None or pointer == "":
        return pointer
    return "".join("/" + _shown_token(token) for token in pointer.split("/")[1:])


def shown_method(method: str) -> str | None:
    """A method that is a short word of letters, and so may be shown; None for any other text."""
    return method if re.fullmatch(r"[A-Za-z]{1,10}", method) else None


def shown_location(location: str) -> str:
    """*location* (`query:NAME`, `header:NAME`, …) with a NAME that may not be shown replaced likewise."""
    kind, colon, name = location.partition(":")
    return f"{kind}:{_shown_token(name)}" if colon else location


def hidden(place: str | None, key: str) -> str | None:
    """*place*, a pointer or a location, with every name that holds *key* replaced by its length in words."""
    if place is None or key not in place:
        return place
    return re.sub(r"[^/:]*" + re.escape(key) + r"[^/:]*", lambda match: _length_of(match[0]), place)


WHOLE_BODY = "(whole body)"
"""How the pointer of a whole body, which is empty, is shown."""

_MASKED = re.compile(r"\(name of [0-9]{1,9} characters?\)\Z")


def _shown_token(token: str) -> str:
    if _MASKED.match(token):
        return token
    return shown_name(token.replace("~1", "/").replace("~0", "~"))
