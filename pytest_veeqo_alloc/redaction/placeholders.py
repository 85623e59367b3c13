"""Placeholders: obviously fake values that replace strings and numbers which may not be shown.

A placeholder has the type and format of the value that it replaces, and a counter. It is never computed from the value: a
hash of a short secret can be guessed. Its hosts are reserved by RFC 2606, its telephone numbers by Ofcom for drama.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

FIRST_NUMBER = 7_946_000_000
"""The base of placeholders for telephone, card and tax numbers: the counter is added to it."""

_NUMBERS_BELOW = FIRST_NUMBER + 1_000_000
_LONG = 2048


class _Format(NamedTuple):
    """A format of strings: its pattern, its placeholder, and the pattern of its placeholders with their counter."""

    original: re.Pattern[str]
    template: str
    placeholder: str


_FORMATS = (
    _Format(
        re.compile(r"[^@\s/]+@[^@\s/]+\.[^@\s/]+"),
        "redacted-{number}@example.com",
        r"redacted-(\d{1,9})@example\.com",
    ),
    _Format(
        re.compile(r"(?is)https?://.*"),
        "https://example.com/redacted-{number}",
        r"https://example\.com/redacted-(\d{1,9})",
    ),
    _Format(
        re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
        "00000000-0000-4000-8000-{number:012d}",
        r"00000000-0000-4000-8000-(\d{12})",
    ),
    # With fewer zeros it could be a real key.
    _Format(re.compile(r"[0-9a-fA-F]{16,}|[0-9]{13,}"), "{number:0{width}d}", r"0{9,}(\d{1,9})"),
    _Format(re.compile(r"\+?(?:[ ().-]*[0-9]){7,15}"), "+44 20 7946 0{number:03d}", r"\+44 20 7946 0(\d{3,9})"),
    _Format(re.compile(r"(?s).*"), "redacted-{number}", r"redacted-(\d{1,9})"),
)
_PLACEHOLDER = re.compile("|".join(f"(?:{form.placeholder})" for form in _FORMATS))
_NUMBER = rf"\b{str(FIRST_NUMBER)[:4]}(\d{{6}})\b"
_ANYWHERE = re.compile(rf"{_PLACEHOLDER.pattern}|{_NUMBER}")


def is_placeholder(text: str) -> bool:
    """Return whether the whole of *text* is a placeholder."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_placeholder_number(number: float) -> bool:
    """Return whether *number* is the placeholder of a telephone, card or tax number."""
    return FIRST_NUMBER < number < _NUMBERS_BELOW


def contains_placeholder(text: str) -> bool:
    """Return whether *text* contains a placeholder."""
    return _ANYWHERE.search(text) is not None


def without_placeholder_numbers(text: str) -> str:
    """Return *text* with the same placeholder for all, so that texts that were redacted separately compare equal."""
    return _PLACEHOLDER.sub("redacted", re.sub(_NUMBER, str(FIRST_NUMBER), text))


@dataclass(slots=True, repr=False)
class Placeholders:
    """Assigns placeholders to values. Equal values have equal placeholders."""

    _texts: dict[str, str] = field(default_factory=dict)
    _numbers: dict[float, int] = field(default_factory=dict)
    _reserved: set[int] = field(default_factory=set)
    _last: int = 0

    def reserve(self, text: str) -> None:
        """Reserve the placeholders that *text* contains already, so that none of them is assigned to another value."""
        for match in _ANYWHERE.finditer(text):
            self._reserved.update(int(number) for number in match.groups() if number)

    def text(self, text: str) -> str:
        """Return the placeholder for *text*; placeholders and empty strings are returned unchanged."""
        if not text or is_placeholder(text):
            return text
        if text not in self._texts:
            # A very long text has no format, and some patterns would take long to find that out.
            formats = _FORMATS if len(text) <= _LONG else _FORMATS[-1:]
            counters = {"number": self._next(), "width": len(text)}
            made = (form.template.format_map(counters) for form in formats if form.original.fullmatch(text))
            self._texts[text] = next(filter(is_placeholder, made))  # the first that is long enough
        return self._texts[text]

    def number(self, number: float) -> float:
        """Return the placeholder for *number*, of the same type; placeholders are returned unchanged."""
        if is_placeholder_number(number):
            return number
        if number not in self._numbers:
            self._numbers[number] = FIRST_NUMBER + self._next()
        return type(number)(self._numbers[number])

    def _next(self) -> int:
        self._last += 1
        while self._last in self._reserved:
            self._last += 1
        return self._last
