"""A breach: a rule that does not hold at a place, before a profile says how bad that is."""

from __future__ import annotations

from typing import NamedTuple

from pytest_veeqo_alloc.core.text import NOTHING


class Breach(NamedTuple):
    """What a check hands on. `wanted` and `remedy` replace the rule's own words where they are given."""

    rule: str
    pointer: str | None
    got: str = NOTHING
    wanted: str = ""
    location: str = "body"
    remedy: str = ""

    def __repr__(self) -> str:
        # The pointer may name what may not be shown; a finding knows how much of it may.
        return f"<Breach of {self.rule}>"
