"""Three judges, one verdict: our walker, jsonschema and jsonschema-rs on thousands of bodies."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from support.bodies import drop, fields, only_structure, order, put, request_body

from pytest_veeqo_alloc import load_schema
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.reporting.report_file import validator

PROFILES = ("lenient", "documented", "strict")
VALUES: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [None], [1], {}, {"id": 1}, 10**30, "\U0001f600"]


def pointers(value: Any, here: str = "") -> Iterator[str]:
    yield here
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from pointers(inner, f"{here}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from pointers(inner, f"{here}/{index}")


def mutate(body: Any, random_source: random.Random) -> Any:
    """One change somewhere: a value replaced, a member removed or added, an item added."""
    places = list(pointers(body))
    here = random_source.choice(places)
    target = resolve(body, here)
    choice = random_source.random()
    if here and choice < 0.25 and isinstance(resolve(body, here.rpartition("/")[0]), dict):
        return drop(body, here)
    if isinstance(target, dict) and choice < 0.6:
        return put(
            body,
            f"{here}/{random_source.choice(['extra', 'id', 'allocation', 'quantity', 'status'])}",
            random_source.choice(VALUES),
        )
    if isinstance(target, list) and choice < 0.6:
        changed = copy.deepcopy(body)
        resolve(changed, here).append(random_source.choice(VALUES))
        return changed
    return put(body, here, random_source.choice(VALUES)) if here else random_source.choice(VALUES)


def bodies(side: str, seed: int, count: int) -> Iterator[Any]:
    """Valid bodies, bodies with one change and bodies with several, each kind often."""
    source = random.Random(seed)
    starts = [order()] if side == "response" else [request_body(), request_body()["allocation"]]
    yield from starts
    for _ in range(count - len(starts)):
        body = source.choice(starts)
        for _ in range(source.choice([0, 1, 1, 1, 2, 3, 8])):
            body = mutate(body, source)
        yield body


def judges(side: str, profile: str) -> tuple[Any, Any, Any]:
    schema, contract = load_schema(side, profile), only_structure(profile)
    return (
        lambda body: contract.check_body(side, body).ok,
        validator(schema).is_valid,
        jsonschema_rs.validator_for(schema).is_valid,
    )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("side", "count"), [("response", 900), ("request", 1500)])
def test_all_judges_agree_on_bodies_broken_at_random(side: str, count: int, profile: str) -> None:
    ours, theirs, third = judges(side, profile)
    verdicts = []
    for body in bodies(side, seed=len(profile), count=count):
        verdict = ours(body)
        assert theirs(body) is verdict, body
        assert third(body) is verdict, body
        verdicts.append(verdict)
    # Both verdicts come often, or the agreement would say nothing.
    assert 0.05 < sum(verdicts) / count < 0.95


@pytest.mark.parametrize("profile", PROFILES)
def test_all_judges_agree_on_every_field_changed_nulled_and_removed(profile: str) -> None:
    ours, theirs, third = judges("response", profile)
    for pointer, _ in fields():
        for body in (put(order(), pointer, {"x": 1}), put(order(), pointer, None), drop(order(), pointer)):
            assert ours(body) is theirs(body) is third(body), pointer


def test_the_open_schema_takes_what_is_left_out_and_added_but_no_wrong_type() -> None:
    judge = validator(load_schema("response"))
    assert judge.is_valid({})
    assert judge.is_valid({"extra": 1})
    assert not judge.is_valid({"id": "1"})
    assert not judge.is_valid({"customer": {"shipping_addresses": [{}]}})
    assert not validator(load_schema("request")).is_valid({})
