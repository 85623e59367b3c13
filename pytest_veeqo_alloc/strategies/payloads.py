"""Valid payloads of requests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies.arguments import MOST_UNITS, Ids, id_strategy, line_numbers, one_of, whole_number
from pytest_veeqo_alloc.strategies.palette import LARGEST_ID

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
