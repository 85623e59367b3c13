"""Placeholders for secret values. A placeholder has the type and format of the original value, and has a counter."""

from __future__ import annotations

import itertools
import re

from pytest_veeqo_alloc.core.text import UUID

FIRST_NUMBER = 7_946_000_000
"""A placeholder for a telephone, card or tax number is this number plus a counter."""

_LONG = 2048

# String formats: the pattern of originals, the template of placeholders, and the pattern of placeholders. There are no
# hashes, since a short secret can be guessed from its hash. RFC 2606 reserves the host, Ofcom the telephone numbers.
_FORMATS = [
    (re.compile(original), template, placeholder)
    for original, template, placeholder in (
        (r"[^@\s/]+@[^@\s/]+\.[^@\s/]+", "redacted-{number}@example.com", r"redacted-(\d{1,9})@example\.com"),
        (r"(?is)https?://.*", "https://example.com/redacted-{number}", r"https://example\.com/redacted-(\d{1,9})"),
        (UUID, "00000000-0000-4000-8000-{number:012d}", r"00000000-0000-4000-8000-(\d{12})"),
        # A placeholder with fewer leading zeros could be a real key.
        (r"[0-9a-fA-F]{16,}|[0-9]{13,}", "{number:0{width}d}", r"0{9,}(\d{1,9})"),
        (r"\+?(?:[ ().-]*[0-9]){7,15}", "+44 20 7946 0{number:03d}", r"\+44 20 7946 0(\d{3,9})"),
        (r"(?s).*", "redacted-{number}", r"redacted-(\d{1,9})"),
    )
]
_PLACEHOLDER = re.compile("|".join(f"(?:{placeholder})" for _, _, placeholder in _FORMATS))
_NUMBER = rf"\b{str(FIRST_NUMBER)[:4]}(\d{{6}})\b"
_ANYWHERE = re.compile(rf"{_PLACEHOLDER.pattern}|{_NUMBER}")


def is_placeholder(text: str) -> bool:
    """Return whether the whole of *text* is a placeholder."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_placeholder_number(number: float) -> bool:
    """Return whether *number* is a placeholder for a telephone, card or tax number."""
    return FIRST_NUMBER < number < FIRST_NUMBER + 1_000_000


def contains_placeholder(text: str) -> bool:
    """Return whether *text* contains a placeholder."""
    return _ANYWHERE.search(text) is not None


def without_placeholder_numbers(text: str) -> str:
    """Return *text* without the counters in placeholders, to compare it with another redacted text."""
    return _PLACEHOLDER.sub("redacted", re.sub(_NUMBER, str(FIRST_NUMBER), text))


class Placeholders:
    """An assignment of placeholders to values. Equal values get equal placeholders."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._numbers: dict[float, int] = {}
        self._reserved: set[int] = set()
        self._counters = itertools.filterfalse(self._reserved.__contains__, itertools.count(1))

    def reserve(self, text: str) -> None:
        """Reserve the placeholders in *text*: no value gets one of them from now on."""
        for match in _ANYWHERE.finditer(text):
            self._reserved.update(int(number) for number in match.groups() if number)

    def text(self, text: str) -> str:
        """Return the placeholder for *text*. If *text* is a placeholder or empty, return it unchanged."""
        if not text or is_placeholder(text):
            return text
        if text not in self._texts:
            # A very long string has no special format, and matching some patterns would take long.
            formats = _FORMATS if len(text) <= _LONG else _FORMATS[-1:]
            counters = {"number": next(self._counters), "width": len(text)}
            made = (template.format_map(counters) for original, template, _ in formats if original.fullmatch(text))
            self._texts[text] = next(filter(is_placeholder, made))  # the first placeholder that is long enough
        return self._texts[text]

    def number(self, number: float) -> float:
        """Return the placeholder for *number*, an int or a float. If *number* is a placeholder, return it unchanged."""
        if is_placeholder_number(number):
            return number
        if number not in self._numbers:
            self._numbers[number] = FIRST_NUMBER + next(self._counters)
        return type(number)(self._numbers[number])
