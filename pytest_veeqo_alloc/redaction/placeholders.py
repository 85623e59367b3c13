"""Placeholders: obviously fake values that replace strings and numbers that may not be shown.

A placeholder has the type and the format of the original value. It contains a counter, not a hash, since a short secret
can be guessed from its hash. RFC 2606 reserves its host names, and Ofcom its telephone numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FIRST_NUMBER = 7_946_000_000
"""The number to which the counter is added to get the placeholder for a telephone, card or tax number."""

_NUMBERS_BELOW = FIRST_NUMBER + 1_000_000
_LONG = 2048

# String formats: the pattern of originals, the template of placeholders, and the pattern of placeholders.
_FORMATS = (
    (re.compile(r"[^@\s/]+@[^@\s/]+\.[^@\s/]+"), "redacted-{number}@example.com", r"redacted-(\d{1,9})@example\.com"),
    (
        re.compile(r"(?is)https?://.*"),
        "https://example.com/redacted-{number}",
        r"https://example\.com/redacted-(\d{1,9})",
    ),
    (
        re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
        "00000000-0000-4000-8000-{number:012d}",
        r"00000000-0000-4000-8000-(\d{12})",
    ),
    # A placeholder with fewer leading zeros could be a real key.
    (re.compile(r"[0-9a-fA-F]{16,}|[0-9]{13,}"), "{number:0{width}d}", r"0{9,}(\d{1,9})"),
    (re.compile(r"\+?(?:[ ().-]*[0-9]){7,15}"), "+44 20 7946 0{number:03d}", r"\+44 20 7946 0(\d{3,9})"),
    (re.compile(r"(?s).*"), "redacted-{number}", r"redacted-(\d{1,9})"),
)
_PLACEHOLDER = re.compile("|".join(f"(?:{placeholder})" for _, _, placeholder in _FORMATS))
_NUMBER = rf"\b{str(FIRST_NUMBER)[:4]}(\d{{6}})\b"
_ANYWHERE = re.compile(rf"{_PLACEHOLDER.pattern}|{_NUMBER}")


def is_placeholder(text: str) -> bool:
    """Return whether the whole of *text* is a placeholder."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_placeholder_number(number: float) -> bool:
    """Return whether *number* is a placeholder for a telephone, card or tax number."""
    return FIRST_NUMBER < number < _NUMBERS_BELOW


def contains_placeholder(text: str) -> bool:
    """Return whether *text* contains a placeholder."""
    return _ANYWHERE.search(text) is not None


def without_placeholder_numbers(text: str) -> str:
    """Return *text* without the counters in its placeholders."""
    return _PLACEHOLDER.sub("redacted", re.sub(_NUMBER, str(FIRST_NUMBER), text))


@dataclass(slots=True, repr=False)
class Placeholders:
    """An assignment of placeholders to values. Equal values get equal placeholders."""

    _texts: dict[str, str] = field(default_factory=dict)
    _numbers: dict[float, int] = field(default_factory=dict)
    _reserved: set[int] = field(default_factory=set)
    _last: int = 0

    def reserve(self, text: str) -> None:
        """Reserve the placeholders in *text*, so that they are not assigned to other values."""
        for match in _ANYWHERE.finditer(text):
            self._reserved.update(int(number) for number in match.groups() if number)

    def text(self, text: str) -> str:
        """Return the placeholder for *text*. Placeholders and empty strings are returned unchanged."""
        if not text or is_placeholder(text):
            return text
        if text not in self._texts:
            # A very long string has no special format, and matching some patterns would take long.
            formats = _FORMATS if len(text) <= _LONG else _FORMATS[-1:]
            counters = {"number": self._next(), "width": len(text)}
            made = (template.format_map(counters) for original, template, _ in formats if original.fullmatch(text))
            self._texts[text] = next(filter(is_placeholder, made))  # the first placeholder that is long enough
        return self._texts[text]

    def number(self, number: float) -> float:
        """Return the placeholder for *number*, of the same type. Placeholders are returned unchanged."""
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
