"""Orders with the members that the live API returned in 2026. Some documented members are missing."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.core.json_pointer import resolve_all, split
from pytest_veeqo_alloc.spec.loader import read_shipped_text

_WHOLE_SECOND = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})Z")
_TYPES = {"null": type(None), "boolean": bool, "number": int, "string": str, "object": dict, "array": list}


def as_observed(
    order: dict[str, Any], *, nulls: Collection[str] = (), values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give *order* the members that the live API returned in 2026. Change *order* in place and return it.

    Documented members that the live API omits are removed, but not if they contain members from *values* or *nulls*.
    Undocumented members are added with a date-time or an empty value. Date-times get milliseconds. *values* maps
    pointers of members to values. *nulls* contains pointers of members to set to null. All pointers have `*` instead
    of array indexes.
    """
    values = values or {}
    needed = _with_parents([*values, *nulls])
    for pointer in _pointers("absent-field"):
        if pointer not in needed:
            for owner, name in _members(order, pointer):
                owner.pop(name, None)
    added = {pointer: _simplest_value(pointer, types[0]) for pointer, types in observed_types("added").items()}
    for pointer, value in {**added, **values, **dict.fromkeys(nulls)}.items():
        for owner, name in _members(order, pointer):
            owner[name] = copy.deepcopy(value)
    _add_milliseconds(order)
    return order


def _simplest_value(pointer: str, json_type: str) -> Any:
    """Return a date-time for a string whose name ends in `_at` or `_date`, otherwise the empty value of *json_type*."""
    if json_type != "string" or not pointer.endswith(("_at", "_date")):
        return _TYPES[json_type]()
    # The API sends a numeric offset in this member only.
    return f"2020-01-01T00:00:00.000{'-00:00' if pointer.endswith('/preferred_shipment_date') else 'Z'}"


def _add_milliseconds(value: Any) -> Any:
    """Add milliseconds to each date-time in *value*. Change objects and arrays in place, and return the result."""
    if isinstance(value, str):
        return _WHOLE_SECOND.sub(r"\1.266Z", value) if value.endswith("Z") and len(value) == 20 else value
    if isinstance(value, dict):
        value.update({name: _add_milliseconds(inner) for name, inner in value.items()})
    elif isinstance(value, list):
        value[:] = map(_add_milliseconds, value)
    return value


def with_nulls(order: dict[str, Any], pointers: Iterable[str]) -> dict[str, Any]:
    """Set the members of *order* at *pointers* to null, and return *order*. A `*` in a pointer is any array index."""
    for pointer in pointers:
        for owner, name in _members(order, pointer):
            owner[name] = None
    return order


def nullable_pointers() -> tuple[str, ...]:
    """Return the pointers of members that were null in live responses, although null is not documented for them."""
    return _pointers("null-value")


@functools.cache
def observed_types(*tables: str) -> Mapping[str, list[str]]:
    """Map pointers to observed JSON types, from *tables* of observed-types.json. A type seen in 2026 comes first."""
    document = json.loads(read_shipped_text("schemas/deviations/observed-types.json"))
    return {pointer: types for table in tables for pointer, types in document[table].items()}


@functools.cache
def _pointers(rule: str) -> tuple[str, ...]:
    pack = parse(read_shipped_text("schemas/deviations/observed.toml"))
    return tuple(deviation.pointer for deviation in pack if deviation.rule == rule and deviation.pointer)


def _with_parents(pointers: Iterable[str]) -> set[str]:
    """Return *pointers* and the pointers of all objects and arrays around them."""
    return {parent for pointer in pointers for parent in accumulate(pointer.split("/"), "{}/{}".format)}


def _members(order: dict[str, Any], pointer: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield (object, member name) for each place in *order* that matches *pointer*. The member may be missing."""
    owners, name = resolve_all(order, pointer.rpartition("/")[0]), split(pointer)[-1]
    return ((owner, name) for owner in owners if isinstance(owner, dict))
