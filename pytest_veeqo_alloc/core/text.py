"""How a value is described: by its kind and size, never by its content."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

NOTHING = "nothing"

_EXACT_BELOW = 10**15
_QUOTED_CHARACTERS = 60
_SECRET_WORDS = ("key", "token", "secret", "password", "card", "code")


def describe(value: Any) -> str:
    """The JSON kind of *value* and its size: `string of 5 characters`, `array of 2 items`, `number`, `null`."""
    if isinstance(value, str):
        return f"string of {pluralise(len(value), 'character')}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return f"array of {pluralise(len(value), 'item')}"
    if isinstance(value, dict):
        return f"object with {pluralise(len(value), 'member')}"
    return f"Python {type(value).__name__}, which is no JSON value"


def describe_number(value: float) -> str:
    """A number that is no person's: shown where it is short, else by its size."""
    if isinstance(value, int) and abs(value) >= _EXACT_BELOW:
        return f"integer of about {math.ceil(value.bit_length() * math.log10(2))} digits"
    return f"{round(value, 6):g}" if isinstance(value, float) and abs(value) < 10**5 else f"{value}"


def describe_openly(value: Any, pointer: str) -> str:
    """*value* described and, where it is a scalar that is no credential by its name, quoted in ASCII and cut short."""
    words = describe(value)
    name = pointer.rpartition("/")[2].lower()
    if not isinstance(value, (str, int, float)) or any(word in name for word in _SECRET_WORDS):
        return words
    if isinstance(value, int) and abs(value) >= _EXACT_BELOW:
        return f"{words}: {describe_number(value)}"
    quoted = json.dumps(value)
    return f"{words}: {quoted if len(quoted) <= _QUOTED_CHARACTERS else quoted[:_QUOTED_CHARACTERS] + '...'}"


def pluralise(number: int, one: str, many: str = "") -> str:
    """*number* with its noun, whose plural is *many* or has an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence: that *name* is no known *kind*, and the nearest that is, or all of them; rules have a command."""
    names = list(known)
    if near := nearest(name, names):
        return f"unknown {kind} {_quoted(name)}: did you mean {near!r}?"
    if kind == "rule":
        return f"unknown rule {_quoted(name)}: see 'veeqo-alloc rules' for all of them"
    return f"unknown {kind} {_quoted(name)}: it is one of {', '.join(names)}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that *name* is most likely a slip for, or None."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), None)


def _quoted(name: object) -> str:
    # What is no text was meant for another argument, and could be a body.
    text = ascii(name) if isinstance(name, str) else f"of type {type(name).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def printable(text: str) -> str:
    """*text* without anything that a terminal could take for more than text: control characters become escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def as_text(value: Any) -> str:
    """Text, or bytes of a header as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def safe_method(method: str) -> str | None:
    """Return an HTTP method that is a short word of letters, and so harmless to show; None for any other text."""
    return method if re.fullmatch(r"[A-Za-z]{1,10}", method) else None
