"""Values for single fields: what a documented type leaves open, from plain to odd."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.contract.field_table import Field

LARGEST_ID = 2**53 - 1
"""The largest whole number that every JSON reader keeps apart from its neighbours."""

TEXTS = (
    "",
    "x",
    " ",
    "x" * 1000,
    "quotes \" and ' and `",
    "back\\slash / slash",
    "line\nbreak\ttab",
    "</script><!--",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u202eright to left",
    "\U0001f4e6\U0001d54f",
    "e\u0301 \u00df \u0130",
    "null",
    "\u0000\u007f",
)
DATES = (
    "2017-09-25T16:04:52.266Z",
    "2026-11-23T21:18:00+01:00",
    "2016-02-29T23:59:60Z",
    "2000-01-01t00:00:00z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999-23:59",
)
NUMBERS = (-1, 0.5, 1, 10**12, -3.25, 1e-7, 2**31, 0)
AMOUNTS = (0.01, 1, 12.5, 10**9, 0.3)
IDS = (1, 2**31 - 1, 2**31, 2**32 + 1, LARGEST_ID - 16)

# Containers are made anew for each body, so that nobody changes them for the next one.
ANYTHING: tuple[Callable[[], Any], ...] = (
    lambda: "text",
    lambda: 7,
    lambda: True,
    lambda: "2016-04-06T12:25:40Z",
    dict,
    list,
    lambda: {"id": 1, "text": "note", "is_new?": False},
    lambda: [{"id": 1}, None, 0.5],
    lambda: -0.25,
    lambda: "",
)
LISTS: tuple[Callable[[], list[Any]], ...] = (
    lambda: [1],
    lambda: [{"id": 1, "name": "x"}],
    lambda: ["a", "b"],
    lambda: [None],
    lambda: [[], {}],
)


@dataclass(frozen=True, slots=True)
class ValuePool:
    """What one example drew to vary its values with."""

    texts: tuple[str, ...]
    ids: tuple[int, ...]
    numbers: tuple[float, ...]


def value_for(field: Field, example: Any, byte: int, palette: ValuePool) -> Any:
    """A value of the documented type of *field*, which is *example* in the documented order."""
    if field.type is None:
        return ANYTHING[byte % len(ANYTHING)]()
    if field.type == "boolean":
        return not example
    if field.type == "array":
        return LISTS[byte % len(LISTS)]()
    choices: tuple[Any, ...]
    if field.type == "number":
        choices = palette.ids + IDS if field.is_id else AMOUNTS if field.is_amount else palette.numbers + NUMBERS
    else:
        choices = DATES if field.is_datetime else palette.texts + TEXTS
    value = choices[byte % len(choices)]
    # A change that changes nothing would waste its byte.
    return choices[(byte + 1) % len(choices)] if value == example else value


NEW_NAMES = ("new_field", "is_new?", "with space", "a/b~c", "\u043a\u043b\u044e\u0447", "")
NOT_IDS: list[Any] = [0, -1, 0.5, -(2**53), 1e-3]
NOT_FINITE: list[Any] = [math.nan, math.inf, -math.inf]
NOT_DATES = (
    "", "yesterday", "2016-04-06", "2016-04-06 12:25:40Z", "2016-04-06T12:25:40", "2016-02-30T12:25:40Z",
    "2016-04-06T24:00:00Z", "06/04/2016", "1459945540", "2016-04-06T12:25:40+0100",
)  # fmt: skip

_OF_TYPE: dict[str, Any] = {"string": "1", "number": 1, "boolean": True, "object": {}, "array": []}


def deeply_nested() -> list[Any]:
    """A value that nests more levels than a reader must take."""
    deep: list[Any] = []
    for _ in range(70):
        deep = [deep]
    return deep


def wrong_root(draw: st.DrawFn, body: Any) -> Any:
    """What is no object in the place of a whole body."""
    return draw(st.sampled_from([None, [], [body], "text", 0, True]))


def wrong_type(draw: st.DrawFn, kind: str) -> Any:
    """A value of another JSON type than *kind*, and not null."""
    other = draw(st.sampled_from([name for name in _OF_TYPE if name != kind]))
    value = _OF_TYPE[other]
    return value.copy() if isinstance(value, (dict, list)) else value
