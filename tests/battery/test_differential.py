"""The contract, jsonschema and jsonschema-rs agree about thousands of bodies."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema_rs
import pytest
from hypothesis import settings
from support.bodies import BODY, drop, fields, only_structure, order, put, request_body
from support.cases import CASES, body_of
from support.examples import examples
from support.fast_path import assert_field_variants, assert_repetition_is_found, assert_same_verdict, fuzzed

from pytest_veeqo_alloc import Profile, load_schema
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.reporting.report_file import validator
from pytest_veeqo_alloc.strategies import invalid_allocation_requests, invalid_allocation_responses

Side = Literal["request", "response"]
PROFILES = ("lenient", "documented", "strict")
VALUES: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [None], [1], {}, {"id": 1}, 10**30, "\U0001f600"]


SCALE = max(settings().max_examples // 100, 1)
"""1 in a normal run, 10 with `--hypothesis-profile=thorough`."""


def pointers(value: Any, pointer: str = "") -> Iterator[str]:
    yield pointer
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from pointers(inner, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from pointers(inner, f"{pointer}/{index}")


def mutate(body: Any, random_source: random.Random) -> Any:
    """Return *body* with one change: a value replaced, a member removed or added, or an item added."""
    places = list(pointers(body))
    pointer = random_source.choice(places)
    target = resolve(body, pointer)
    choice = random_source.random()
    if pointer and choice < 0.25 and isinstance(resolve(body, pointer.rpartition("/")[0]), dict):
        return drop(body, pointer)
    if isinstance(target, dict) and choice < 0.6:
        return put(
            body,
            f"{pointer}/{random_source.choice(['extra', 'id', 'allocation', 'quantity', 'status'])}",
            random_source.choice(VALUES),
        )
    if isinstance(target, list) and choice < 0.6:
        changed = copy.deepcopy(body)
        resolve(changed, pointer).append(random_source.choice(VALUES))
        return changed
    return put(body, pointer, random_source.choice(VALUES)) if pointer else random_source.choice(VALUES)


def bodies(side: Side, seed: int, count: int) -> Iterator[Any]:
    """Yield valid bodies, bodies with one change and bodies with several changes."""
    source = random.Random(seed)
    starts = [order()] if side == "response" else [request_body(), request_body()["allocation"]]
    yield from starts
    for _ in range(count - len(starts)):
        body = source.choice(starts)
        for _ in range(source.choice([0, 1, 1, 1, 2, 3, 8])):
            body = mutate(body, source)
        yield body


def checkers(side: Side, profile: Profile) -> tuple[Any, Any, Any]:
    schema, contract = load_schema(side, profile), only_structure(profile)
    return (
        lambda body: contract.check_body(side, body).ok,
        validator(schema).is_valid,
        jsonschema_rs.validator_for(schema).is_valid,
    )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("side", "count"), [("response", 300 * SCALE), ("request", 500 * SCALE)])
def test_checkers_agree_about_randomly_changed_bodies(side: Side, count: int, profile: Profile) -> None:
    ours, jsonschema, rust = checkers(side, profile)
    verdicts = []
    for body in bodies(side, seed=len(profile), count=count):
        verdict = ours(body)
        assert jsonschema(body) is verdict, body
        assert rust(body) is verdict, body
        verdicts.append(verdict)
    # Agreement means something only if both verdicts are frequent.
    assert 0.05 < sum(verdicts) / count < 0.95


@pytest.mark.parametrize("profile", PROFILES)
def test_checkers_agree_about_every_field_changed_nulled_and_removed(profile: Profile) -> None:
    ours, jsonschema, rust = checkers("response", profile)
    for pointer, _ in fields():
        for body in (put(order(), pointer, {"x": 1}), put(order(), pointer, None), drop(order(), pointer)):
            assert ours(body) is jsonschema(body) is rust(body), pointer


def test_open_schema_accepts_missing_and_added_members_but_no_wrong_type() -> None:
    schema = validator(load_schema("response"))
    assert schema.is_valid({})
    assert schema.is_valid({"extra": 1})
    assert not schema.is_valid({"id": "1"})
    assert not schema.is_valid({"customer": {"shipping_addresses": [{}]}})
    assert not validator(load_schema("request")).is_valid({})


@pytest.mark.parametrize("side", ["request", "response"])
def test_walk_alone_finds_the_same_in_bodies_as_bytes(side: Side) -> None:
    for body in bodies(side, seed=1, count=500 * SCALE):
        assert_same_verdict(side, json.dumps(body).encode())


def test_walk_alone_finds_the_same_in_every_field_changed_or_repeated() -> None:
    spaces = itertools.cycle([b"", b" ", b"\n\t"])
    for pointer, _ in fields():
        assert_field_variants(pointer)
        assert_repetition_is_found(pointer, next(spaces))


@pytest.mark.parametrize("name", sorted(CASES))
def test_walk_alone_finds_the_same_in_fuzzed_bodies_written_by_hand(name: str) -> None:
    case, source = CASES[name], random.Random(name)
    body = json.dumps(body_of(case)).encode()
    for _ in range(20 * SCALE):
        assert_same_verdict(case["side"], fuzzed([body], source))


@pytest.mark.parametrize("number", range(SCALE))
def test_walk_alone_finds_the_same_in_generated_broken_bodies(number: int) -> None:
    strategies: dict[Side, Any] = {"request": invalid_allocation_requests(), "response": invalid_allocation_responses()}
    for side, strategy in strategies.items():
        for broken in examples(strategy, 200, number):
            raw = json.dumps(broken.payload).encode()
            _, breaches = assert_same_verdict(side, raw)
            assert broken.rule in {breach.rule for breach in breaches}


def test_walk_alone_finds_the_same_in_fuzzed_bytes() -> None:
    source, count, typed = random.Random(2), 10_000 * SCALE, 0
    seeds: dict[Side, list[bytes]] = {
        "response": [json.dumps(order()).encode(), json.dumps(order(), indent=2).encode()],
        "request": [json.dumps(body).encode() for body in (BODY, request_body())],
    }
    for number in range(count):
        side: Side = "response" if number % 2 else "request"
        typed += assert_same_verdict(side, fuzzed(seeds[side], source))[0]
    # Agreement means something only if many mutants are decoded, and many are not.
    assert 0.2 < typed / count < 0.8
