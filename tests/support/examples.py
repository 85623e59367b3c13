"""Examples of Hypothesis strategies, outside of property tests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies import Broken

_COUNT = settings().max_examples
FEWER = settings(max_examples=_COUNT if _COUNT >= 1000 else _COUNT // 3)
"""A third of the examples, for properties of whole orders, except with `--hypothesis-profile=thorough`."""

TEXT = st.text(
    "".join(map(chr, (*range(0x700), *range(0x1F00, 0x2100), *range(0xFE00, 0x10000), *range(0x1F300, 0x1F700))))
)
"""Texts in many scripts. With all of Unicode, a fresh checkout would wait for the character table of Hypothesis."""


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


def assert_not_shared(strategy: st.SearchStrategy[Broken]) -> None:
    """Assert that no example contains a change that was made to an earlier one."""

    def change(value: Any) -> None:
        for inner in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
            change(inner)
        if isinstance(value, dict):
            value["changed by a test"] = True

    @settings(max_examples=20, database=None)
    @given(strategy)
    def run(broken: Broken) -> None:
        assert "changed by a test" not in json.dumps(broken.payload)
        change(broken.payload)

    run()
