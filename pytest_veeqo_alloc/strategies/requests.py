"""Hypothesis strategies for order ids and valid request bodies, and checks of the arguments of strategies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from pytest_veeqo_alloc.strategies.values import LARGEST_ID

MAX_LINES, MAX_QUANTITY = 10, 1000
_LINES_LIMIT, _QUANTITY_LIMIT = 1000, 10**9

Ids = Collection[int] | st.SearchStrategy[int] | None
Payload = dict[str, Any]


def order_ids() -> st.SearchStrategy[int]:
    """Return a strategy for order ids: integers from 1 to 2**53 - 1."""
    return id_strategy("order_ids", None)


def allocation_requests(
    *,
    warehouse_ids: Ids = None,
    sellable_ids: Ids = None,
    min_lines: int = 1,
    max_lines: int = MAX_LINES,
    max_quantity: int = MAX_QUANTITY,
    unique_sellables: bool = True,
) -> st.SearchStrategy[Payload]:
    """Return a strategy for valid request bodies.

    A body has the form `{"allocation": {"warehouse_id": ..., "line_items_attributes": [...]}}`. *min_lines* and
    *max_lines* (at most 1000) limit the number of line items; quantities are from 1 to *max_quantity*. *warehouse_ids*
    and *sellable_ids* are collections of ids or strategies for ids. If *unique_sellables* is false, several line items
    may have the same sellable, which is an error in the profile "strict". Raise `hypothesis.errors.InvalidArgument` for
    invalid arguments, or when a strategy generates an invalid id.
    """
    check_choice("unique_sellables", unique_sellables, (True, False))
    fewest, most = check_limits(min_lines, max_lines, max_quantity, sellable_ids, unique=unique_sellables)
    warehouses = id_strategy("warehouse_ids", warehouse_ids)
    if sellable_ids is None:
        return _requests_of_near_ids(warehouses, fewest, most, max_quantity, 1 if unique_sellables else 0)
    ids = id_strategy("sellable_ids", sellable_ids)
    return _requests(warehouses, st.lists(ids, min_size=fewest, max_size=most, unique=unique_sellables), max_quantity)


@st.composite
def _requests(
    draw: st.DrawFn, warehouses: st.SearchStrategy[int], sellables: st.SearchStrategy[list[int]], max_quantity: int
) -> Payload:
    ids = draw(sellables)
    sizes = draw(st.binary(min_size=len(ids), max_size=len(ids)))
    return _request(draw(warehouses), ids, sizes, max_quantity)


@st.composite
def _requests_of_near_ids(
    draw: st.DrawFn, warehouses: st.SearchStrategy[int], fewest: int, most: int, max_quantity: int, step: int
) -> Payload:
    """Generate a request body. Its sellable ids are at most 256 apart, so that a single draw yields all of them."""
    first = draw(st.integers(min_value=1, max_value=LARGEST_ID - 256 * most)) - step
    steps_and_sizes = draw(st.binary(min_size=2 * fewest, max_size=2 * most))
    offsets = accumulate(step + byte for byte in steps_and_sizes[::2])
    return _request(draw(warehouses), (first + offset for offset in offsets), steps_and_sizes[1::2], max_quantity)


def _request(warehouse: int, sellables: Iterable[int], sizes: bytes, max_quantity: int) -> Payload:
    pairs = zip(sellables, sizes, strict=False)
    lines = [{"sellable_id": sellable, "quantity": quantity(size, max_quantity)} for sellable, size in pairs]
    return {"allocation": {"warehouse_id": warehouse, "line_items_attributes": lines}}


def quantity(byte: int, most: int) -> int:
    """Map *byte* to a quantity from 1 to *most*. Small quantities are frequent: half of all bytes give at most 128."""
    return 1 + (byte % most if byte < 128 else (byte - 127) * (most - 1) // 128)


def id_strategy(name: str, ids: Ids) -> st.SearchStrategy[int]:
    """Return a strategy for *ids* (None: any id). Raise InvalidArgument for invalid ids in the argument *name*."""
    if ids is None:
        return st.integers(min_value=1, max_value=LARGEST_ID)
    if not isinstance(ids, st.SearchStrategy):
        return st.sampled_from(_distinct_ids(name, ids))

    def checked(value: Any) -> int:
        if not _is_integer(value):
            raise InvalidArgument(f"{name} must generate integers from 1 to 2**53 - 1, not {_short(value)}")
        return int(value)

    return ids.map(checked)


def _distinct_ids(name: str, ids: Collection[int]) -> Sequence[int]:
    """Return *ids* without duplicates, in order. Return a range unchanged. Raise InvalidArgument for invalid ids."""
    expected = f"{name} must be a collection of integers from 1 to 2**53 - 1, or a strategy for such integers"
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Collection):
        raise InvalidArgument(f"{expected}, not {type(ids).__name__}")
    if not ids:
        raise InvalidArgument(f"{expected}; {name} is empty")
    for value in (ids[0], ids[-1]) if isinstance(ids, range) else ids:
        if not _is_integer(value):
            raise InvalidArgument(f"{expected}; {name} contains {_short(value)}")
    return ids if isinstance(ids, range) else list(dict.fromkeys(ids))


def check_limits(
    minimum: int, maximum: int, max_quantity: int, sellable_ids: Ids, *, unique: bool = True
) -> tuple[int, int]:
    """Validate the limits. Return *minimum* and *maximum*. If *unique*, lower *maximum* to the number of ids."""
    limits = (
        ("max_quantity", max_quantity, _QUANTITY_LIMIT),
        ("min_lines", minimum, _LINES_LIMIT),
        ("max_lines", maximum, _LINES_LIMIT),
    )
    for name, value, largest in limits:
        if not _is_integer(value, largest):
            raise InvalidArgument(f"{name} must be an integer from 1 to {largest}, not {_short(value)}")
    if minimum > maximum:
        raise InvalidArgument(f"min_lines={minimum} is greater than max_lines={maximum}: increase max_lines")
    if unique and sellable_ids is not None and not isinstance(sellable_ids, st.SearchStrategy):
        count = len(_distinct_ids("sellable_ids", sellable_ids))
        if count < minimum:
            raise InvalidArgument(f"min_lines={minimum} requires {minimum} different sellable_ids, not {count}")
        maximum = min(maximum, count)
    return minimum, maximum


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise InvalidArgument unless *value* is one of *choices*. The integer 1 does not count as True."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        got = ascii(value)[:60] if isinstance(value, (str, bool)) or value is None else _short(value)
        raise InvalidArgument(f"{name} must be one of {', '.join(map(repr, choices))}, not {got}")


def _is_integer(value: Any, largest: int = LARGEST_ID) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest


def _short(value: Any) -> str:
    if isinstance(value, (int, float)) and abs(value) < 10**20:
        return str(value)
    return "a larger number" if isinstance(value, int) else type(value).__name__
