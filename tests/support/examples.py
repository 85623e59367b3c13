"""Examples of Hypothesis strategies, outside of property tests."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies import Broken


def examples(strategy: st.SearchStrategy[Any], count: int, number: int = 0) -> list[Any]:
    """Return what *strategy* generates with *number* as the seed: at most *count* values."""
    values: list[Any] = []

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate])
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


def examples_of_rules(strategy: st.SearchStrategy[Broken], rules: Collection[str]) -> list[Broken]:
    """Return 500 broken payloads, or more until each of *rules* occurs."""
    values: list[Broken] = []
    for number in range(50):
        values += examples(strategy, 100, number)
        if len(values) >= 500 and {broken.rule for broken in values} == set(rules):
            return values
    raise AssertionError(f"never generated: {set(rules) - {broken.rule for broken in values}}")


def assert_not_shared(strategy: st.SearchStrategy[Broken]) -> None:
    """Assert that no example contains a change that was made to an earlier one."""

    def change(value: Any) -> None:
        for inner in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
            change(inner)
        if isinstance(value, dict):
            value["changed by a test"] = True

    @settings(max_examples=150, database=None)
    @given(strategy)
    def run(broken: Broken) -> None:
        assert "changed by a test" not in json.dumps(broken.payload)
        change(broken.payload)

    run()
