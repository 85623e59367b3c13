"""One example out of many, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies.invalid_requests import REQUEST_BREAKERS, Broken, broken
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.responses import allocation_responses

_TRIES = 20


def sample(side: str, number: int) -> Any:
    """A valid body of *side*, chosen by *number*."""
    # The first examples of a run are plain ones.
    return _made(allocation_requests() if side == "request" else allocation_responses(), _TRIES, number)[-1]


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """*count* values of *strategy*, the same each time."""
    return _made(strategy, _TRIES + count)[-count:]


def broken_requests(rule: str, count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Broken]:
    """*count* bodies of requests that break *rule* and no other, for a warehouse and sellables that exist."""
    valid = _existing(warehouse_id, sellable_ids, units)
    return samples(broken(valid, {rule: REQUEST_BREAKERS[rule]}), count)


def valid_requests(count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Any]:
    """*count* valid bodies of requests for a warehouse and sellables that exist."""
    return samples(_existing(warehouse_id, sellable_ids, units), count)


def any_requests(count: int) -> list[Any]:
    """*count* valid bodies of requests."""
    return samples(allocation_requests(), count)


def _existing(warehouse_id: int, sellable_ids: Sequence[int], units: int) -> st.SearchStrategy[Any]:
    return allocation_requests(
        warehouse_ids=[warehouse_id], sellable_ids=sellable_ids, max_lines=len(sellable_ids), max_quantity=units
    )


def _made(strategy: st.SearchStrategy[Any], tries: int, number: int | None = None) -> list[Any]:
    """What a run of Hypothesis draws: the same for the same *number*, and each time where there is none."""
    made: list[Any] = []

    # Nobody waits for a property here, so its health is of no interest.
    @settings(
        max_examples=tries,
        database=None,
        deadline=None,
        derandomize=number is None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        made.append(value)

    (collect if number is None else seed(number)(collect))()
    return made
