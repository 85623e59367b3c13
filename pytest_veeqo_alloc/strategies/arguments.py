"""The arguments of the strategies, looked at when a strategy is made rather than when it is first drawn from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from pytest_veeqo_alloc.strategies.palette import LARGEST_ID

Ids = Collection[int] | st.SearchStrategy[int] | None


def id_strategy(name: str, given: Ids, *, highest: int = LARGEST_ID) -> st.SearchStrategy[int]:
    """A strategy for ids: *given* as it is, one of *given*, or any id. InvalidArgument that names the argument."""
    if given is None:
        return st.integers(min_value=1, max_value=highest)
    if isinstance(given, st.SearchStrategy):
        return given
    return st.sampled_from(id_list(name, given))


def id_list(name: str, given: Iterable[int]) -> list[int]:
    """The distinct ids of a sequence, in order."""
    takes = f"{name} takes a sequence of whole numbers above 0, or a strategy for them"
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidArgument(f"{takes}, not {type(given).__name__}")
    listed = list(given)
    if not listed:
        raise InvalidArgument(f"{takes}; this one is empty")
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, int) or one < 1:
            kind = one if isinstance(one, (int, float)) else type(one).__name__
            raise InvalidArgument(f"{takes}; {kind} is none")
    return list(dict.fromkeys(listed))


def line_numbers(
    minimum: int,
    maximum: int,
    sellable_ids: Ids,
    *,
    unique: bool = True,
    names: tuple[str, str] = ("min_lines", "max_lines"),
) -> tuple[int, int]:
    """How many lines there may be, no more than there are sellables to tell apart."""
    low, high = names
    whole_number(low, minimum, at_least=1)
    whole_number(high, maximum, at_least=1)
    if minimum > maximum:
        raise InvalidArgument(f"{low}={minimum} is more than {high}={maximum}")
    if unique and sellable_ids is not None and not isinstance(sellable_ids, st.SearchStrategy):
        there = len(id_list("sellable_ids", sellable_ids))
        if there < minimum:
            raise InvalidArgument(
                f"{low}={minimum} lines of unique sellables need as many sellable_ids; there are {there}"
            )
        maximum = min(maximum, there)
    return minimum, maximum


def whole_number(name: str, value: Any, *, at_least: int) -> None:
    """Refuses what is no whole number of *at_least* or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        shown = value if isinstance(value, (int, float)) else type(value).__name__
        raise InvalidArgument(f"{name} takes a whole number of {at_least} or more, not {shown}")


def one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuses what is none of *choices*."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        shown = ascii(value) if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__
        raise InvalidArgument(f"{name} is one of {', '.join(map(repr, choices))}, not {shown}")
