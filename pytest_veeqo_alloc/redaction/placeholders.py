"""Stand-ins: obviously fake values that take the place of strings which may not be shown.

A stand-in has the type and the format of what it replaces and a number, never anything reckoned from the value: a hash
of a short secret can be guessed. The hosts are those of RFC 2606, the telephone numbers those that Ofcom keeps for
drama.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

NUMBERS_FROM = 7_946_000_000
"""Numbers that stand in for a telephone, card or tax number count up from here."""

_NUMBERS_BELOW = NUMBERS_FROM + 1_000_000
_ZEROS = 9
_LONG = 2048


class _Format(NamedTuple):
    """A format: whether a text has it, the stand-in with a number (None: there is none so short), and how to tell one."""

    has: Callable[[str], object]
    make: Callable[[int, str], str | None]
    own: re.Pattern[str]


def _zeros(number: int, text: str) -> str | None:
    """Zeros and the number in the length of *text*, where enough zeros remain to be told from a real key."""
    filled = f"{number:0{len(text)}d}"
    return filled if filled.startswith("0" * _ZEROS) else None


_FORMATS = (
    _Format(
        re.compile(r"[^@\s/]+@[^@\s/]+\.[^@\s/]+").fullmatch,
        lambda number, text: f"redacted-{number}@example.com",
        re.compile(r"redacted-(\d{1,9})@example\.com"),
    ),
    _Format(
        re.compile(r"https?://.*", re.DOTALL | re.IGNORECASE).fullmatch,
        lambda number, text: f"https://example.com/redacted-{number}",
        re.compile(r"https://example\.com/redacted-(\d{1,9})"),
    ),
    _Format(
        re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}").fullmatch,
        lambda number, text: f"00000000-0000-4000-8000-{number:012d}",
        re.compile(r"00000000-0000-4000-8000-(\d{12})"),
    ),
    _Format(
        re.compile(r"[0-9a-fA-F]{16,}|[0-9]{13,}").fullmatch,
        _zeros,
        re.compile(rf"0{{{_ZEROS},}}(\d{{1,9}})"),
    ),
    _Format(
        re.compile(r"\+?(?:[ ().-]*[0-9]){7,15}").fullmatch,
        lambda number, text: f"+44 20 7946 0{number:03d}",
        re.compile(r"\+44 20 7946 0(\d{3,9})"),
    ),
    _Format(str, lambda number, text: f"redacted-{number}", re.compile(r"redacted-(\d{1,9})")),
)

_OWN = re.compile("|".join(f"(?:{form.own.pattern})" for form in _FORMATS))
_OWN_NUMBER = rf"\b{str(NUMBERS_FROM)[:4]}(\d{{6}})\b"
_OWN_ANYWHERE = re.compile(rf"{_OWN.pattern}|{_OWN_NUMBER}")


def is_placeholder(text: str) -> bool:
    """Whether *text* is a stand-in and nothing more."""
    return _OWN.fullmatch(text) is not None


def contains_placeholder(text: str) -> bool:
    """Whether there is a stand-in anywhere in *text*."""
    return _OWN_ANYWHERE.search(text) is not None


def without_placeholder_numbers(text: str) -> str:
    """*text* with every stand-in in it made one and the same: what two sessions redacted apart is equal then."""
    return _OWN.sub("redacted", re.sub(_OWN_NUMBER, str(NUMBERS_FROM), text))


def is_placeholder_number(number: float) -> bool:
    """Whether *number* stands in for a telephone, card or tax number."""
    return NUMBERS_FROM < number < _NUMBERS_BELOW


@dataclass(slots=True, repr=False)
class Placeholders:
    """Which stand-in each value has got, for as long as equal values are to stay equal."""

    _texts: dict[str, str] = field(default_factory=dict)
    _numbers: dict[float, int] = field(default_factory=dict)
    _taken: set[int] = field(default_factory=set)
    _last: int = 0

    def reserve(self, text: str) -> None:
        """Give no number again that a stand-in anywhere in *text* has: two values must not become one."""
        for match in _OWN_ANYWHERE.finditer(text):
            self._taken.update(int(number) for number in match.groups() if number)

    def text(self, text: str) -> str:
        """The stand-in of *text*, which is itself where it is one, or empty."""
        if not text or is_placeholder(text):
            return text
        if text not in self._texts:
            self._texts[text] = _make(text, self._next())
        return self._texts[text]

    def number(self, number: float) -> float:
        """The stand-in of *number*, of the same type."""
        if is_placeholder_number(number):
            return number
        if number not in self._numbers:
            self._numbers[number] = NUMBERS_FROM + self._next()
        return type(number)(self._numbers[number])

    def _next(self) -> int:
        self._last += 1
        while self._last in self._taken:
            self._last += 1
        return self._last


def _make(text: str, number: int) -> str:
    # What is very long has no format, and some patterns would take long to find that out.
    formats = _FORMATS if len(text) <= _LONG else _FORMATS[-1:]
    made = (form.make(number, text) for form in formats if form.has(text))
    return next(stand_in for stand_in in made if stand_in is not None)
