"""One example out of many, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies.answers import allocation_responses
from pytest_veeqo_alloc.strategies.broken import REQUEST_BREAKERS, Broken, broken
from pytest_veeqo_alloc.strategies.payloads import allocation_requests

_TRIES = 20


def sample(side: str, number: int) -> Any:
    """A valid body of *side*, chosen by *number*."""
    made: list[Any] = []

    # The first examples of a run are plain ones. Nobody waits for a property here, so its health is of no interest.
    @seed(number)
    @settings(
        max_examples=_TRIES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(allocation_requests() if side == "request" else allocation_responses())
    def collect(body: Any) -> None:
        made.append(body)

    collect()
    return made[-1]


def broken_requests(rule: str, count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Broken]:
    """*count* bodies of requests that break *rule* and no other, for a warehouse and sellables that exist."""
    valid = allocation_requests(
        warehouse_ids=[warehouse_id], sellable_ids=sellable_ids, max_lines=len(sellable_ids), max_quantity=units
    )
    return samples(broken(valid, {rule: REQUEST_BREAKERS[rule]}), count)


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """*count* values of *strategy*, the same each time."""
    made: list[Any] = []

    @settings(
        max_examples=_TRIES + count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        made.append(value)

    collect()
    return made[-count:]


def valid_requests(count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Any]:
    """*count* valid bodies of requests for a warehouse and sellables that exist."""
    strategy = allocation_requests(
        warehouse_ids=[warehouse_id], sellable_ids=sellable_ids, max_lines=len(sellable_ids), max_quantity=units
    )
    return samples(strategy, count)


def any_requests(count: int) -> list[Any]:
    """*count* valid bodies of requests."""
    return samples(allocation_requests(), count)
