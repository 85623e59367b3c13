"""One example out of many, the same for the same seed."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from pytest_veeqo_alloc.strategies.answers import allocation_responses
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
