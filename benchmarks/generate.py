"""Our Hypothesis strategies, compared with bare `integers()` and with schemathesis."""

from __future__ import annotations

import json
import random
import statistics
import time
import timeit
from typing import Any

import schemathesis
from hypothesis import HealthCheck, find, given, seed, settings
from hypothesis import strategies as st
from measure import Row, Timed, rounds

from pytest_veeqo_alloc import build_order, load_schema
from pytest_veeqo_alloc.strategies import allocation_requests, allocation_responses

ROUNDS = 9


def per_example(strategy: st.SearchStrategy[Any], count: int, *, suppress: bool = False) -> Timed:
    """Return a `Timed` that draws *count* examples with a new seed, in seconds per example.

    *suppress* switches off the health checks of Hypothesis; our strategies run with all of them.
    """
    number = iter(range(10**6))

    def run() -> float:
        @seed(next(number))
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck) if suppress else [],
        )
        @given(strategy)
        def body(value: object) -> None:
            pass

        start = time.perf_counter()
        body()
        return (time.perf_counter() - start) / count

    return run


def schemathesis_strategy(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return the strategy of schemathesis for the request body of an operation with *schema*."""
    body = inlined(schema, schema["$defs"])
    operation = {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}
    paths = {"/x": {"post": {**operation, "responses": {"200": {"description": "x"}}}}}
    document = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": paths}
    strategy: st.SearchStrategy[Any] = schemathesis.openapi.from_dict(document)["/x"]["POST"].as_strategy()
    return strategy


def inlined(schema: Any, defs: dict[str, Any]) -> Any:
    """Return *schema* with its references replaced by what they name, since they do not resolve in another document."""
    if isinstance(schema, list):
        return [inlined(item, defs) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(defs[schema["$ref"].rpartition("/")[2]], defs)
    return {
        key: inlined(value, defs) for key, value in schema.items() if key not in ("$defs", "$id", "$schema", "x-rule")
    }


def measure_hypothesis_jsonschema() -> str:
    """Return a sentence on hypothesis-jsonschema with the strict request schema: its time, or its error."""
    from hypothesis_jsonschema import from_schema

    try:
        strategy = from_schema(inlined(load_schema("request", "strict"), load_schema("request", "strict")["$defs"]))
        seconds = per_example(strategy, 20, suppress=True)()
    except Exception as error:  # any error is the result
        return f"hypothesis-jsonschema does not run with this version of Hypothesis: {type(error).__name__}."
    return f"hypothesis-jsonschema, strict schema of the request: {seconds * 1e3:.1f} ms."


def measure_responses() -> list[Row]:
    """Measure strategies for responses, which are complete orders."""
    return rounds(
        {
            "integers()": per_example(st.integers(), 300),
            "integers(), again": per_example(st.integers(), 300),
            "allocation_responses()": per_example(allocation_responses(), 300),
            "allocation_responses(variant='observed')": per_example(allocation_responses(variant="observed"), 100),
            "schemathesis, strict schema": per_example(
                schemathesis_strategy(load_schema("response", "strict")), 5, suppress=True
            ),
        },
        ROUNDS,
    )


def measure_requests() -> list[Row]:
    """Measure strategies for requests of up to ten lines."""
    bounded = load_schema("request", "strict")
    bounded["$defs"]["allocation"]["properties"]["line_items_attributes"]["maxItems"] = 10
    return rounds(
        {
            "integers()": per_example(st.integers(), 300),
            "integers(), again": per_example(st.integers(), 300),
            "allocation_requests()": per_example(allocation_requests(), 300),
            "schemathesis, open schema": per_example(schemathesis_strategy(load_schema("request")), 100, suppress=True),
            "schemathesis, strict schema with maxItems 10": per_example(
                schemathesis_strategy(bounded), 100, suppress=True
            ),
        },
        ROUNDS,
    )


def measure_building() -> list[Row]:
    """Measure `build_order` with the default story, compared with `json.loads` of the same order."""
    text = json.dumps(build_order())
    return rounds(
        {
            "json.loads of the order": lambda: min(timeit.repeat(lambda: json.loads(text), number=50, repeat=3)) / 50,
            "build_order()": lambda: min(timeit.repeat(build_order, number=50, repeat=3)) / 50,
        },
        40,
    )


def measure_shrinking() -> tuple[float, float]:
    """Return median and worst seconds of `find(allocation_responses(), total_price > 100)` over ten seeds."""
    times = []
    for number in range(10):
        start = time.perf_counter()
        find(
            allocation_responses(),
            lambda order: order["total_price"] > 100,
            random=random.Random(number),
            settings=settings(database=None, max_examples=2000),
        )
        times.append(time.perf_counter() - start)
    return statistics.median(times), max(times)
