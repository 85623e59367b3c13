"""Harmless text and formats."""

from __future__ import annotations

import calendar
import itertools

import pytest
from support import canaries

from pytest_veeqo_alloc.core.text import as_text, is_date_time, is_plain_name, is_uri_reference, safe_method
from pytest_veeqo_alloc.spec.loader import tables


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


def test_date_is_valid_exactly_if_the_calendar_has_it() -> None:
    months, days = [*range(14), 100], [*range(40), 311]
    years = [0, 1, 4, 99, 100, 400, 1582, 1600, *range(1896, 2108), 9999]
    for year, month, day in itertools.product(years, months, days):
        # The calendar repeats every 400 years; the calendar module lacks the year 0.
        is_valid = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year % 400 + 400, month)[1]
        assert bool(is_date_time(f"{year:04}-{month:02}-{day:02}T12:25:40Z")) is is_valid


def test_time_and_offset_are_valid_up_to_their_last_minute() -> None:
    for hour, minute, second in itertools.product(range(26), (0, 1, 58, 59, 60), (0, 59, 60, 61)):
        is_valid = hour < 24 and ((minute < 60 and second < 60) or (minute, second) == (59, 60))
        assert bool(is_date_time(f"2016-04-06T{hour:02}:{minute:02}:{second:02}Z")) is is_valid
        if second == 0:
            assert bool(is_date_time(f"2016-04-06t12:25:40-{hour:02}:{minute:02}")) is (hour < 24 and minute < 60)


def test_text_around_or_between_the_parts_makes_a_date_time_invalid() -> None:
    assert is_date_time("2016-04-06T12:25:40.123456789z")
    for text in (
        "", "2016-04-06", "2016-04-06T12:25:40", "2016-04-06T12:25:40.Z", "2016-04-06T12:25:40Z\n", " 2016-04-06T12:25:40Z",
        "12016-04-06T12:25:40Z", "2016-4-6T12:25:40Z", "2016-04-06_12:25:40Z", "2016-04-06T12:25Z", "2016-04-06T12:25:40+01",
        "2016-04-06T12:25:40+0100", "\u0662016-04-06T12:25:40Z", "201\u0666-04-06T12:25:40Z",
    ):  # fmt: skip
        assert not is_date_time(text)


@pytest.mark.parametrize("secret", canaries.NAMES.values(), ids=canaries.NAMES)
def test_secret_in_place_of_a_name_is_not_plain(secret: str) -> None:
    assert not is_plain_name(secret)


def test_documented_and_usual_names_are_plain() -> None:
    documented: set[str] = set()
    shapes = [tables().request, tables().response]
    while shapes:
        fields = shapes.pop().fields
        shapes += [field.shape for field in fields.values() if field.shape]
        documented |= fields.keys()
    assert len(documented) > 100
    usual = ["x-api-key", "X-HTTP-Method-Override", "WAREHOUSE_ID", "lineItemsAttributes", "planId", "address_2", "0", "12345", "page", "_links", "https_url"]  # fmt: skip
    assert [name for name in (*documented, *usual) if not is_plain_name(name)] == []
