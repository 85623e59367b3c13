"""Values that are wrong, and a way to put them somewhere."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

NEW_NAMES = ("new_field", "is_new?", "with space", "a/b~c", "\u043a\u043b\u044e\u0447", "")
NOT_IDS: list[Any] = [0, -1, 0.5, -(2**53), 1e-3]
NOT_FINITE: list[Any] = [math.nan, math.inf, -math.inf]
NOT_DATES = (
    "", "yesterday", "2016-04-06", "2016-04-06 12:25:40Z", "2016-04-06T12:25:40", "2016-02-30T12:25:40Z",
    "2016-04-06T24:00:00Z", "06/04/2016", "1459945540", "2016-04-06T12:25:40+0100",
)  # fmt: skip

_OF_TYPE: dict[str, Any] = {"string": "1", "number": 1, "boolean": True, "object": {}, "array": []}


def DEEP() -> list[Any]:  # noqa: N802  # a constant, made anew because lists can be changed
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


def put(body: Any, pointer: str, value: Any) -> Any:
    """*body* with *value* at *pointer*, in place."""
    *path, last = pointer.split("/")[1:]
    owner = body
    for token in path:
        owner = owner[int(token)] if isinstance(owner, list) else owner[token]
    if isinstance(owner, list):
        owner[int(last)] = value
    else:
        owner[last] = value
    return body
