"""Text: descriptions of values, plurals, similar names, escaped characters, date-times and URI references."""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

NOTHING = "nothing"

_EXACT_BELOW = 10**15
_MAX_QUOTED = 60
_SECRET_WORDS = ("key", "token", "secret", "password", "card", "code")
_LEADING_COLONS, _COMMAND_MARK = re.compile(r"^ *::"), "##["
"""The beginnings of workflow commands in logs of GitHub and Azure: `::` at the start of a line, or `##[` anywhere."""
_SIZED = ((str, "string of", "character"), (list, "array of", "item"), (dict, "object with", "member"))


def describe(value: Any) -> str:
    """Return the JSON type and size of *value*: `string of 5 characters`, `array of 2 items`, `number`, `null`."""
    for kind, noun, unit in _SIZED:
        if isinstance(value, kind):
            return f"{noun} {pluralise(len(value), unit)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return f"Python {type(value).__name__}, not a JSON value"


def describe_number(value: float) -> str:
    """Return *value* as text, or `integer of about 20 digits` for a long integer. *value* must not be personal data."""
    if isinstance(value, int) and abs(value) >= _EXACT_BELOW:
        return f"integer of about {math.ceil(value.bit_length() * math.log10(2))} digits"
    return f"{round(value, 6):g}" if isinstance(value, float) and abs(value) < 10**5 else f"{value}"


def describe_openly(value: Any, pointer: str) -> str:
    """Describe *value*. Quote up to 60 characters of a scalar unless the last name in *pointer* suggests a secret."""
    description = describe(value)
    name = pointer.rpartition("/")[2].lower()
    if not isinstance(value, (str, int, float)) or any(word in name for word in _SECRET_WORDS):
        return description
    if isinstance(value, int) and abs(value) >= _EXACT_BELOW:
        return f"{description}: {describe_number(value)}"
    quoted = json.dumps(value)
    return f"{description}: {quoted if len(quoted) <= _MAX_QUOTED else quoted[:_MAX_QUOTED] + '...'}"


def pluralise(number: int, singular: str, plural: str = "") -> str:
    """Return *number* followed by *singular* if it is 1, otherwise by *plural* (default: *singular* with an s)."""
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return an error message for the unknown *name*. It suggests a similar *known* name, or lists the known names."""
    names = list(known)
    # A value that is not a string is not shown: it could be a body that was meant for another argument.
    shown = ascii(name) if isinstance(name, str) else f"of type {type(name).__name__}"
    sentence = f"unknown {kind} {shown if len(shown) <= _MAX_QUOTED else shown[: _MAX_QUOTED - 3] + '...'}"
    if near := nearest(name, names):
        return f"{sentence}: did you mean {near!r}?"
    if kind == "rule":
        return f"{sentence}: run 'veeqo-alloc rules' for a list"
    return f"{sentence}: expected one of {', '.join(names)}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the *known* name that is most similar to *name*, or None if no known name is similar."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), None)


def printable(text: str) -> str:
    """Return *text* for a terminal or CI log. Escape control characters and the beginnings of workflow commands."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
    return _LEADING_COLONS.sub(r"\\x3a:", shown).replace(_COMMAND_MARK, r"##\x5b")


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return *value* as JSON for a CI log: no text in it begins a workflow command."""
    separators = None if indent else (",", ":")
    return json.dumps(value, indent=indent, separators=separators).replace(_COMMAND_MARK, r"##\u005b")


def as_text(value: Any) -> str:
    """Return *value* as a string. Bytes are decoded as Latin-1, the encoding of headers."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


_LONGEST_NAME, _LONGEST_WORD, _LONGEST_ACRONYM = 64, 15, 9
_PART = re.compile(r"[A-Za-z]+(?:[0-9][A-Za-z]+)?[0-9]{0,2}|[0-9]{1,3}")  # address2, api2cart
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""A regular expression that finds the words in a name in snake case or camel case."""

_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{6}", re.IGNORECASE)
KEY_PREFIX = re.compile(
    r"\b(?:[prs]k[-_](?:live|test|proj)[-_]|gh[opsu]_|xox[abprs]-|AKIA|AIza|glpat-|shp(?:at|ss)_)[A-Za-z0-9_-]{8}"
)
"""A regular expression for the beginning of a key of a well-known service."""


@functools.lru_cache(maxsize=1024)
def is_plain_name(name: str) -> bool:
    """Return whether *name* may be shown: it reads like words with few digits, such as `address2`, and not like a key.

    A number of at most five digits may be shown as well: it can be an index.
    """
    if len(name) > _LONGEST_NAME or not name.isascii() or KEY_PREFIX.search(name):
        return False
    if name.isdigit():
        return len(name) <= 5
    parts = name.removeprefix("_").removesuffix("?").replace("-", "_").split("_")
    digits = sum(character.isdigit() for character in name)
    if digits > 4 or not parts[0][:1].isalpha() or not all(map(_PART.fullmatch, parts)):
        return False
    words = [word for part in parts for word in WORDS.findall(part)]
    return (
        all(map(_is_word, words))
        and not any(map(_is_hexadecimal, parts))
        and (len(name) < 12 or not _is_mixed(name, words, len(parts)))
    )


def _is_word(word: str) -> bool:
    longest = _LONGEST_ACRONYM if word.isupper() else _LONGEST_WORD
    vowels = sum(character in "aeiouy" for character in word.lower())
    return len(word) <= longest and not _CONSONANTS.search(word) and (len(word) < 8 or vowels * 5 >= len(word))


def _is_mixed(name: str, words: list[str], parts: int) -> bool:
    """Return whether upper and lower case in *name* alternate as in base64, and not as in `lineItems`."""
    return (len(words) - parts) * 5 > len(name) or any(len(word) == 1 and word.isupper() for word in words[parts > 1 :])


def _is_hexadecimal(part: str) -> bool:
    is_hexadecimal = not part.lower().strip("0123456789abcdef")
    return is_hexadecimal and (len(part) >= 12 or (len(part) >= 8 and not part.isalpha()))


def safe_method(method: str) -> str | None:
    """Return *method* if it consists of 1 to 10 letters. Otherwise return None: the text could be a secret."""
    return method if re.fullmatch(r"[A-Za-z]{1,10}", method) else None


UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    r"(?:[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    rf"|{_LEAP_YEAR}-02-29)"
)
_HOUR = "(?:[01][0-9]|2[0-3])"
is_date_time: Callable[[str], object] = re.compile(
    rf"{_DATE}[Tt]{_HOUR}:(?:[0-5][0-9]:[0-5][0-9]|59:60)(?:\.[0-9]+)?(?:[Zz]|[+-]{_HOUR}:[0-5][0-9])"
).fullmatch
"""Return a true value for a date-time (RFC 3339 section 5.6), otherwise None. Only minute 59 can have a leap second."""

_ESCAPE = r"%[0-9A-Fa-f]{2}"
_CHARACTER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPE})"
_NO_COLON = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_ESCAPE})"
_USER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_ESCAPE})*@"
_HOST = rf"(?:\[[0-9A-Fa-fv:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPE})*)"
_SEGMENTS = rf"(?:/{_CHARACTER}*)*"
_AUTHORITY = rf"//(?:{_USER})?{_HOST}(?::[0-9]*)?{_SEGMENTS}"
_ROOTED = rf"/(?:{_CHARACTER}+{_SEGMENTS})?"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}|{_ROOTED}|{_CHARACTER}+{_SEGMENTS}|)"
    rf"|{_AUTHORITY}|{_ROOTED}|{_NO_COLON}+{_SEGMENTS}|)"
    rf"(?:\?(?:{_CHARACTER}|[/?])*)?(?:#(?:{_CHARACTER}|[/?])*)?\Z"
)


def is_uri_reference(text: str) -> bool:
    """Return whether *text* is a URI reference (RFC 3986 section 4.1): a URI or a relative reference."""
    return _REFERENCE.match(text) is not None
