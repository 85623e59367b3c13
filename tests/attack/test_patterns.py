"""The time of every regular expression of the package grows in proportion to its input."""

from __future__ import annotations

import time

import pytest
from support.patterns import patterns

PUMPS = (
    " ", "a", "A", "0", "_", "-", ".", "/", ":", "=", "&", "?", "\n", "\t", "@", "(", "[", "]", "%41", "a_", "a.", "a@", "a/", "a:",
    "a=", "a&", "0 ", "0-", "aA", "A1", "key__", "test_", "x-", "//", "http://", "a;", '";', "[]", "a[", "redacted-", "/orders/",
    "\nhost:", "\n ", "at a(", 'File "', "/home/a", "A:\\a", "a.rb:1:in ", "page", "token", "<!--", "GET ", "application/",
)  # fmt: skip
SIZE, FACTOR = 4_000, 4
LEAST_SECONDS = 0.004  # below this, the clock decides and not the pattern


def seconds(place: str, method: str, text: str) -> float:
    """Return the processor time of the fastest of three calls."""
    pattern, _ = patterns()[place]
    subject = text.encode() if isinstance(pattern.pattern, bytes) else text
    arguments = ("", subject) if method == "sub" and isinstance(subject, str) else (subject,)
    call = pattern.finditer if method in ("finditer", "findall", "sub", "split") else getattr(pattern, method)
    times = []
    for _ in range(3):
        start = time.process_time()
        result = call(arguments[-1])
        if call == pattern.finditer:
            for _match in result:
                pass
        times.append(time.process_time() - start)
        if times[-1] < LEAST_SECONDS:
            break
    return min(times)


@pytest.mark.parametrize("place", patterns())
def test_four_times_the_input_takes_at_most_five_times_as_long(place: str) -> None:
    for method in patterns()[place][1]:
        for pump in PUMPS:
            for before, after in (("", "!"), ("x", "\0"), ("http://", "@")):
                small, large = (before + pump * (size // len(pump)) + after for size in (SIZE, SIZE * FACTOR))
                if (long := seconds(place, method, large)) > LEAST_SECONDS:
                    assert long <= 7 * max(seconds(place, method, small), LEAST_SECONDS / FACTOR), (method, pump)


def test_patterns_of_the_package_are_found() -> None:
    assert len(patterns()) > 100
