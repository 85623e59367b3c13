"""Bodies with one structural defect each, generated from the schema, and the one finding that each must have."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from pytest_veeqo_alloc import Contract, Profile, load_schema
from pytest_veeqo_alloc.contract.rules import BodySide
from support.bodies import drop, fields, order, put

PROFILES = ("lenient", "documented", "strict")
WRONG_VALUES: dict[str, list[Any]] = {
    "string": [1, True, {}, []],
    "number": ["1", False, {}, []],
    "boolean": ["true", 1, {}, []],
    "object": ["{}", 1, True, []],
    "array": ["[]", 1, True, {}],
}
SEVERITIES = {
    "wrong-type": {"lenient": "error", "documented": "error", "strict": "error"},
    "null-value": {"lenient": "warning", "documented": "error", "strict": "error"},
    "absent-field": {"lenient": "warning", "documented": "error", "strict": "error"},
    "required-field": {"lenient": "error", "documented": "error", "strict": "error"},
    "undocumented-field": {"documented": "warning", "strict": "error"},
}


def typed_fields() -> list[tuple[str, str, bool]]:
    """Return pointer, type and nullability of each field of the response that has a documented type."""
    found = []
    for pointer, field in fields():
        if types := field.get("type"):
            found.append((pointer, types if isinstance(types, str) else types[0], "null" in types))
    return found


def with_wrong_type(step: int = 1) -> Iterator[tuple[Any, str, str]]:
    """Yield body, rule and pointer for every *step*-th pair of a typed field and a wrong value."""
    pairs = [(pointer, value) for pointer, json_type, _ in typed_fields() for value in WRONG_VALUES[json_type]]
    for pointer, value in pairs[::step]:
        yield put(order(), pointer, value), "wrong-type", pointer


def with_null(step: int = 1) -> Iterator[tuple[Any, str, str]]:
    """Yield body, rule and pointer for every *step*-th typed field that may not be null."""
    for pointer in [pointer for pointer, _, nullable in typed_fields() if not nullable][::step]:
        yield put(order(), pointer, None), "null-value", pointer


def with_removed_field(step: int = 1) -> Iterator[tuple[Any, str, str]]:
    """Yield body, rule and pointer for every *step*-th documented field."""
    for pointer, field in list(fields())[::step]:
        yield drop(order(), pointer), "required-field" if field["required"] is True else "absent-field", pointer


@functools.cache
def schema_validator(side: BodySide, profile: Profile | None = None) -> Draft202012Validator:
    """Return the validator of the schema of *side* in *profile*, which is not validated itself."""
    return Draft202012Validator(load_schema(side, profile))


def assert_single_finding(profile: Profile, body: Any, rule: str, pointer: str) -> None:
    """Assert that *body* has one finding, or none if the rule is off in *profile*."""
    severity = SEVERITIES[rule].get(profile)
    got = [
        (finding.rule, finding.pointer, finding.severity) for finding in Contract(profile).check_body("response", body)
    ]
    assert got == ([(rule, pointer, severity)] if severity else [])
