"""The arguments of the strategies, looked at when a strategy is made rather than when it is first drawn from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from pytest_veeqo_alloc.strategies.values import LARGEST_ID

MOST_LINES, MOST_UNITS = 1000, 10**9

Ids = Collection[int] | st.SearchStrategy[int] | None


def id_strategy(name: str, given: Ids) -> st.SearchStrategy[int]:
    """A strategy for ids: *given* as it is, one of *given*, or any id. InvalidArgument that names the argument, for a
    strategy when it draws what is no id."""
    if given is None:
        return st.integers(min_value=1, max_value=LARGEST_ID)
    if not isinstance(given, st.SearchStrategy):
        return st.sampled_from(id_pool(name, given))

    def checked(one: Any) -> int:
        if not _is_id(one):
            raise InvalidArgument(f"{name} takes ids from 1 to 2**53 - 1; this strategy made {_shown(one)}")
        return int(one)

    return given.map(checked)


def id_pool(name: str, given: Collection[int]) -> Sequence[int]:
    """The distinct ids of a sequence, in order; a range stays one, however long it is."""
    takes = f"{name} takes a sequence of whole numbers from 1 to 2**53 - 1, or a strategy for them"
    if isinstance(given, (str, bytes)) or not isinstance(given, Collection):
        raise InvalidArgument(f"{takes}, not {type(given).__name__}")
    if not given:
        raise InvalidArgument(f"{takes}; this one is empty")
    for one in (given[0], given[-1]) if isinstance(given, range) else given:
        if not _is_id(one):
            raise InvalidArgument(f"{takes}; {_shown(one)} is none")
    return given if isinstance(given, range) else list(dict.fromkeys(given))


def line_numbers(minimum: int, maximum: int, sellable_ids: Ids, *, unique: bool = True) -> tuple[int, int]:
    """How many lines there may be, no more than there are sellables to tell apart."""
    whole_number("min_lines", minimum, MOST_LINES)
    whole_number("max_lines", maximum, MOST_LINES)
    if minimum > maximum:
        raise InvalidArgument(f"min_lines={minimum} is more than max_lines={maximum}: give a larger max_lines")
    if unique and sellable_ids is not None and not isinstance(sellable_ids, st.SearchStrategy):
        there = len(id_pool("sellable_ids", sellable_ids))
        if there < minimum:
            raise InvalidArgument(
                f"min_lines={minimum} lines of unique sellables need as many sellable_ids; there are {there}"
            )
        maximum = min(maximum, there)
    return minimum, maximum


def whole_number(name: str, value: Any, at_most: int) -> None:
    """Refuses what is no whole number from 1 to *at_most*."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= at_most:
        raise InvalidArgument(f"{name} takes a whole number from 1 to {at_most}, not {_shown(value)}")


def _is_id(one: Any) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= LARGEST_ID


def _shown(value: Any) -> str:
    """A number as it is, where it is short, and anything else by its type."""
    if isinstance(value, (int, float)) and abs(value) < 10**20:
        return str(value)
    return "a larger number" if isinstance(value, int) else type(value).__name__


def one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuses what is none of *choices*."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        shown = ascii(value)[:60] if isinstance(value, (str, bool)) or value is None else _shown(value)
        raise InvalidArgument(f"{name} is one of {', '.join(map(repr, choices))}, not {shown}")


MAX_LINES, MAX_QUANTITY = 10, 1000

Payload = dict[str, Any]


def order_ids() -> st.SearchStrategy[int]:
    """Ids of orders: whole numbers from 1 to 2**53 - 1."""
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
    """Valid bodies of requests: `{"allocation": {"warehouse_id": ..., "line_items_attributes": [...]}}`.

    *warehouse_ids* and *sellable_ids* are sequences or strategies, for payloads that name what exists. Quantities go
    from 1 to *max_quantity*. With *unique_sellables* false a sellable may stand in several lines, which the profile
    `strict` refuses. Raises InvalidArgument, at once and in one sentence, where arguments do not do.
    """
    one_of("unique_sellables", unique_sellables, (True, False))
    whole_number("max_quantity", max_quantity, MOST_UNITS)
    least, most = line_numbers(min_lines, max_lines, sellable_ids, unique=unique_sellables)
    warehouses = id_strategy("warehouse_ids", warehouse_ids)
    if sellable_ids is None:
        return _near_payloads(warehouses, least, most, max_quantity, 1 if unique_sellables else 0)
    sellables = st.lists(
        id_strategy("sellable_ids", sellable_ids), min_size=least, max_size=most, unique=unique_sellables
    )
    return _payloads(warehouses, sellables, max_quantity)


@st.composite
def _payloads(
    draw: st.DrawFn, warehouses: st.SearchStrategy[int], sellables: st.SearchStrategy[list[int]], max_quantity: int
) -> Payload:
    chosen = draw(sellables)
    sizes = draw(st.binary(min_size=len(chosen), max_size=len(chosen)))
    return payload(draw(warehouses), [(s, quantity(size, max_quantity)) for s, size in zip(chosen, sizes, strict=True)])


@st.composite
def _near_payloads(
    draw: st.DrawFn, warehouses: st.SearchStrategy[int], least: int, most: int, max_quantity: int, step: int
) -> Payload:
    """Sellables that lie near one another: one draw for all of them is many times faster than a draw for each."""
    first = draw(st.integers(min_value=1, max_value=LARGEST_ID - 256 * most))
    steps_and_sizes = draw(st.binary(min_size=2 * least, max_size=2 * most))
    lines, sellable = [], first - step
    for at in range(0, len(steps_and_sizes) - 1, 2):
        sellable += step + steps_and_sizes[at]
        lines.append((sellable, quantity(steps_and_sizes[at + 1], max_quantity)))
    return payload(draw(warehouses), lines)


def payload(warehouse: int, lines: list[tuple[int, int]]) -> Payload:
    """The body of a request for (sellable, quantity) lines."""
    attributes = [{"sellable_id": sellable, "quantity": many} for sellable, many in lines]
    return {"allocation": {"warehouse_id": warehouse, "line_items_attributes": attributes}}


def quantity(byte: int, most: int) -> int:
    """A quantity from one byte: small ones for half of the bytes, any up to *most* for the others."""
    return 1 + (byte % most if byte < 128 else (byte - 127) * (most - 1) // 128)
