"""The hand-written bodies of tests/bodies, each with the findings that it must have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES, RuleId
from pytest_veeqo_alloc.coverage.collector import RULES_OF_STAGE
from support.bodies import drop, order, put

_MESSAGE_STAGES = (
    "request line", "call", "status", "expected status", "broken request", "created", "located", "refusal", "sequence",
)  # fmt: skip
_MESSAGE_RULES = {"request-media-type", "response-media-type"}.union(
    *(RULES_OF_STAGE[stage] for stage in _MESSAGE_STAGES)
)

CASES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parents[1] / "bodies").glob("*.json")
}
"""Hand-written bodies by name. `expect` lists rule and pointer of every finding, in order; `count` counts longer lists.
With `deviations`, there must be no finding."""


def rules_about_bodies(side: str) -> set[RuleId]:
    """Return the rules that a body of *side* can break, alone or compared with the request."""
    return {rule.id for rule in CATALOGUE.values() if side in rule.sides} - _MESSAGE_RULES - SUITE_RULES


def body_of(case: dict[str, Any]) -> Any:
    """Return the body of a case: its `body`, or the documented response with the changes of `set` and `remove`."""
    if "body" in case:
        return case["body"]
    body = order()
    for pointer in case.get("remove", ()):
        body = drop(body, pointer)
    for pointer, value in case.get("set", {}).items():
        body = put(body, pointer, value)
    return body
