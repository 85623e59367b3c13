"""How a generated order looks when Hypothesis prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_veeqo_alloc.core.json_pointer import join, shown
from pytest_veeqo_alloc.orders.builder import build_order

_MOST, _LONGEST = 25, 60


class Order(dict[str, Any]):
    """A plain dict whose repr tells, by JSON Pointer, what differs from the documented order.

    `dict(order)` is one without it, for what takes no subclass, such as `yaml.safe_dump`. Written out, an order of two lines fills ten screens, and Hypothesis warns of it.
    """

    def __repr__(self) -> str:
        told = [f"{shown(pointer)}: {_short(value)}" for pointer, value in differences(self, build_order())]
        more = f", and {len(told) - _MOST} more" if len(told) > _MOST else ""
        return f"<the documented order{' but ' if told else ''}{', '.join(told[:_MOST])}{more}>"


def differences(value: Any, other: Any, here: str = "") -> Iterator[tuple[str, Any]]:
    """Pointer and value of everything in *value* that is not so in *other*; `absent` for what is only there."""
    if isinstance(value, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*value, *other]):
            if name not in value:
                yield join(here, name), _Absent()
            elif name not in other:
                yield join(here, name), value[name]
            else:
                yield from differences(value[name], other[name], join(here, name))
    elif isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        for at, (one, two) in enumerate(zip(value, other, strict=True)):
            yield from differences(one, two, join(here, at))
    elif type(value) is not type(other) or value != other:
        yield here, value


class _Absent:
    def __repr__(self) -> str:
        return "absent"


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} items"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
