"""Reproducible samples of Hypothesis strategies, for use outside of property tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS, Broken, broken_payloads
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.responses import allocation_responses

_QUIET = settings(database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
_SKIPPED = 20
"""The number of examples to skip, since Hypothesis begins with the simplest examples."""


def sample(side: str, number: int) -> Any:
    """Return a valid body for *side*, "request" or "response". The same *number* always gives the same body."""
    return _examples(allocation_requests() if side == "request" else allocation_responses(), _SKIPPED, number)[-1]


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return *count* values from *strategy*: the same values in every run."""
    return _examples(strategy, _SKIPPED + count)[-count:]


def broken_requests(rule: str, count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Broken]:
    """Return *count* request bodies with the given ids. Each body breaks *rule* and no other rule."""
    valid = _existing(warehouse_id, sellable_ids, units)
    return samples(broken_payloads(valid, {rule: REQUEST_MUTATIONS[rule]}), count)


def valid_requests(count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Any]:
    """Return *count* valid request bodies with the given ids and quantities up to *units*."""
    return samples(_existing(warehouse_id, sellable_ids, units), count)


def _existing(warehouse_id: int, sellable_ids: Sequence[int], units: int) -> st.SearchStrategy[Any]:
    return allocation_requests(
        warehouse_ids=[warehouse_id], sellable_ids=sellable_ids, max_lines=len(sellable_ids), max_quantity=units
    )


def _examples(strategy: st.SearchStrategy[Any], count: int, number: int | None = None) -> list[Any]:
    """Return at most *count* values from *strategy*. *number* is the seed (None: the same values in every run)."""
    values: list[Any] = []

    @settings(_QUIET, max_examples=count, derandomize=number is None)
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    (collect if number is None else seed(number)(collect))()
    return values
