"""Harmless text and formats."""

from __future__ import annotations

import pytest

from pytest_veeqo_alloc.core.text import as_text, is_uri_reference, safe_method


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        ("POST", "POST"),
        ("a" * 10, "a" * 10),
        ("a" * 11, None),
        ("", None),
        ("P0ST", None),
        ("P\u00d6ST", None),
        ("GET ", None),
    ],
)
def test_method_that_is_a_short_word_is_shown(method: str, shown: str | None) -> None:
    assert safe_method(method) == shown


def test_bytes_of_a_header_are_latin_1() -> None:
    assert [as_text(value) for value in (b"\xe9", "\u20ac", 5)] == ["\u00e9", "\u20ac", "5"]


@pytest.mark.parametrize(
    "text", ["", "a", "a/b", "./a:b", "mailto:a@example.com", "http://[::1]:80/x?y=/?#z", "?q", "#f", "//h:1"]
)
def test_uri_reference_is_accepted(text: str) -> None:
    assert is_uri_reference(text)


@pytest.mark.parametrize("text", ["1a:b", "a b", "<x>", "http://h:port/", "#a#b", "\x00", "http://h/[", "é"])
def test_other_text_is_not_a_uri_reference(text: str) -> None:
    assert not is_uri_reference(text)
