"""Examples of a strategy, outside of a property test."""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st


def examples(strategy: st.SearchStrategy[Any], count: int, number: int = 0) -> list[Any]:
    """What *strategy* makes under one seed."""
    made: list[Any] = []

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate])
    @given(strategy)
    def collect(value: Any) -> None:
        made.append(value)

    collect()
    return made
