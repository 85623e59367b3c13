"""JSON Pointers: built, split, resolved, compared and masked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import TEXT

from pytest_veeqo_alloc.core.json_pointer import (
    ABSENT,
    diff,
    generalise,
    join,
    locate,
    mask_key,
    mask_location,
    mask_path,
    mask_pointer,
    resolve,
    resolve_all,
    split,
)

DOCUMENT: Any = {"lines": [{"id": 1}, {"id": 2}, 3], "a/b~c": {"": None}}


@given(st.lists(TEXT))
def test_split_reverses_join(tokens: list[str]) -> None:
    pointer = ""
    for token in tokens:
        pointer = join(pointer, token)
    assert split(pointer) == tokens


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", DOCUMENT), ("/lines/1/id", 2), ("/lines/2", 3), ("/a~1b~0c", {"": None}), ("/a~1b~0c/", None)],
)
def test_pointer_is_resolved(pointer: str, value: object) -> None:
    assert resolve(DOCUMENT, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["/other", "/lines/3", "/lines/-1", "/lines/x", "/lines/\u0662", "/lines/2/id", "/a/b"]
)
def test_pointer_to_nothing_is_a_lookup_error(pointer: str) -> None:
    with pytest.raises(LookupError):
        resolve(DOCUMENT, pointer)
    with pytest.raises(LookupError):
        locate(DOCUMENT, f"{pointer}/x")


def test_pointer_without_a_leading_slash_is_rejected() -> None:
    with pytest.raises(ValueError, match="a JSON Pointer must be empty or start with '/'"):
        resolve(DOCUMENT, "lines")


def test_star_resolves_to_every_item() -> None:
    assert resolve_all(DOCUMENT, "/lines/*/id") == [1, 2]
    assert resolve_all(DOCUMENT, "/*") == resolve_all(DOCUMENT, "/lines/*/other") == []
    assert generalise("/lines/0/id/1x") == "/lines/*/id/1x"


def test_container_of_an_existing_or_new_value_is_located() -> None:
    assert locate({"a": [1, 2]}, "/a/1") == ([1, 2], 1)
    assert locate({"a": {}}, "/a/b~1c") == ({}, "b/c")


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, [("/a/1/b", 2, 3)]),
        ({"a": 1}, {"b": None}, [("/b", ABSENT, None), ("/a", 1, ABSENT)]),
        ([1, 2], [1], [("", [1, 2], [1])]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("/a", 1, True)]),
        ({"a": 0}, {"a": "0"}, [("/a", 0, "0")]),
    ],
)
def test_differences_are_found_at_their_pointers(old: Any, new: Any, differences: list[Any]) -> None:
    assert list(diff(old, new)) == differences


@given(st.lists(TEXT))
def test_masking_is_idempotent_and_leaves_harmless_characters_only(tokens: list[str]) -> None:
    pointer = "".join(join("", token) for token in tokens)
    once = mask_pointer(pointer)
    assert mask_pointer(once) == once
    assert once is not None
    assert all(character.isascii() and (character.isalnum() or character in "/_?-() ") for character in once)


def test_place_outside_the_body_is_shown_by_its_location() -> None:
    assert mask_pointer(None) is None
    assert mask_location("query:a b") == "query:(name of 3 characters)"
    assert mask_location("query:(name of 3 characters)") == "query:(name of 3 characters)"
    assert mask_location("path:order_id") == "path:order_id"
    assert mask_location("status") == "status"


def test_path_is_masked_segment_by_segment_and_shortened() -> None:
    assert mask_path("/allocations/323498/S3cret/allocation_package/") == "/allocations/*/*/allocation_package/"
    assert mask_path("/a" * 5000) == "/a" * 50 + "..."
    assert mask_path("") == ""


@pytest.mark.parametrize(
    ("place", "key", "masked"),
    [
        ("/a/xKEYy/b", "KEY", "/a/(name of 5 characters)/b"), ("query:KEY", "KEY", "query:(name of 3 characters)"),
        ("/KEY/KEYKEY", "KEY", "/(name of 3 characters)/(name of 6 characters)"), ("/xa/by/c", "a/b", "/(name of 5 characters)/c"),
        ("/a", "KEY", "/a"), (None, "KEY", None), ("/" + "k" * 2_000_000, "kkkkkkkk", "/(name of 2000000 characters)"),
    ],
)  # fmt: skip
def test_name_that_contains_the_key_is_masked_in_linear_time(place: str | None, key: str, masked: str | None) -> None:
    assert mask_key(place, key) == masked
