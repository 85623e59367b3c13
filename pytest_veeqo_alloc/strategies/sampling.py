"""Reproducible samples of Hypothesis strategies, for use outside of property tests."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_veeqo_alloc.contract.checker import examine_body
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.responses import allocation_responses
from pytest_veeqo_alloc.strategies.values import NOT_FINITE, NOT_IDS

Path = tuple[str | int, ...]

_QUIET = settings(database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
_SKIPPED = 20
"""The number of examples to skip: the first examples from Hypothesis are very simple."""


def sample(side: str, number: int) -> Any:
    """Return a valid body. *side* is "request" or "response". The same *number* always gives the same body."""
    return _examples(allocation_requests() if side == "request" else allocation_responses(), _SKIPPED, number)[-1]


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return *count* values from *strategy*: the same values in every run."""
    return _examples(strategy, _SKIPPED + count)[-count:]


def broken_requests(warehouse_id: int, sellable_id: int) -> dict[str, list[Any]]:
    """Return invalid request bodies, keyed by rule id. Each body has one defect and breaks only that rule."""
    line = {"sellable_id": sellable_id, "quantity": 1}
    valid = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": [line]}}
    bodies = [*_with_wrong_kinds(valid), valid["allocation"]]
    for place, value in itertools.chain.from_iterable(itertools.product(*pair) for pair in _WRONG_VALUES):
        bodies.append(_changed(valid, place, value))
    bodies.append(_changed(valid, _LINES, [line, line]))
    bodies += [_changed(valid, (*place, "new_field"), "x") for place in ((), _LINES[:1], _LINE)]
    broken: dict[str, list[Any]] = {}
    for body in bodies:
        rules = {breach.rule for _, breach, _ in examine_body("request", body, tables()).breaches}
        if len(rules) == 1:
            broken.setdefault(rules.pop(), []).append(body)
    return broken


_LINES: Path = ("allocation", "line_items_attributes")
_LINE: Path = (*_LINES, 0)
_WAREHOUSE_ID, _SELLABLE_ID, _QUANTITY = ("allocation", "warehouse_id"), (*_LINE, "sellable_id"), (*_LINE, "quantity")
_WRONG_VALUES: tuple[tuple[tuple[Path, ...], tuple[Any, ...]], ...] = (
    ((_WAREHOUSE_ID, _SELLABLE_ID), NOT_IDS),
    ((_QUANTITY,), (0, -1, -1000, 0.5, 1.5)),
    ((_WAREHOUSE_ID, _SELLABLE_ID, _QUANTITY), NOT_FINITE),
    ((_LINES,), ([],)),
    ((_WAREHOUSE_ID, _LINES), (json.loads("[" * 71 + "]" * 71),)),
)


def _with_wrong_kinds(valid: Any) -> Iterator[Any]:
    """Yield variants of *valid*. In each variant, one member is missing or has a value of a wrong kind."""
    for place in ((), _LINES[:1], _WAREHOUSE_ID, _LINES, _LINE, _SELLABLE_ID, _QUANTITY):
        value = functools.reduce(operator.getitem, place, valid)
        kinds: tuple[Any, ...] = (str(value), "", [value]) if isinstance(value, int) else ("text", 1)
        kinds += ({"0": value[0]},) if isinstance(value, list) else ([], [value]) if isinstance(value, dict) else ()
        for wrong in (None, True, *kinds, *(() if isinstance(value, dict) else ({},))):
            yield _changed(valid, place, wrong)
        if place and isinstance(place[-1], str):
            yield _changed(valid, place, ...)


def _changed(body: Any, place: Path, value: Any) -> Any:
    """Return a copy of *body* with *value* at *place*. If *value* is `...`, remove the member at *place* instead."""
    if not place:
        return value
    changed = copy.deepcopy(body)
    owner = functools.reduce(operator.getitem, place[:-1], changed)
    if value is ...:
        del owner[place[-1]]
    else:
        owner[place[-1]] = copy.deepcopy(value)
    return changed


def valid_requests(count: int, warehouse_id: int, sellable_ids: Sequence[int], units: int) -> list[Any]:
    """Return *count* valid request bodies with the given ids and with quantities from 1 to *units*."""
    strategy = allocation_requests(
        warehouse_ids=[warehouse_id], sellable_ids=sellable_ids, max_lines=len(sellable_ids), max_quantity=units
    )
    return samples(strategy, count)


def _examples(strategy: st.SearchStrategy[Any], count: int, number: int | None = None) -> list[Any]:
    """Return at most *count* values from *strategy*. *number* is the seed (None: a fixed seed)."""
    values: list[Any] = []

    @settings(_QUIET, max_examples=count, derandomize=number is None)
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    (collect if number is None else seed(number)(collect))()
    return values
