"""Orders with the members that the live API returned in 2026. Some documented members are missing."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.core.json_pointer import resolve_all, split
from pytest_veeqo_alloc.spec.loader import read_shipped_text

_TYPES = {"null": type(None), "boolean": bool, "number": int, "string": str, "object": dict, "array": list}


def as_observed(
    order: dict[str, Any], *, nulls: Iterable[str] = (), values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Change *order* in place to have the members that the live API returned in 2026, and return *order*.

    *nulls* are pointers of members to set to null. *values* maps pointers of undocumented members to values (default:
    empty values). In a pointer, `*` stands for every array index.
    """
    for pointer in _pointers("absent-field"):
        for owner, name in _members(order, pointer):
            owner.pop(name, None)
    for pointer, types in added_types().items():
        for owner, name in _members(order, pointer):
            owner[name] = (values or {}).get(pointer, _TYPES[types[0]]())
    for pointer in nulls:
        for owner, name in _members(order, pointer):
            owner[name] = None
    return order


def nullable_pointers() -> tuple[str, ...]:
    """Return the pointers of members that were null in responses of the live API, although their type is documented."""
    return _pointers("null-value")


@functools.cache
def added_types() -> Mapping[str, list[str]]:
    """Map the pointer of each undocumented member to the observed JSON types."""
    added: dict[str, list[str]] = json.loads(read_shipped_text("schemas/deviations/observed-types.json"))["added"]
    return added


@functools.cache
def _pointers(rule: str) -> tuple[str, ...]:
    pack = parse(read_shipped_text("schemas/deviations/observed.toml"))
    return tuple(deviation.pointer for deviation in pack if deviation.rule == rule and deviation.pointer)


def _members(order: dict[str, Any], pointer: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield an object and a member name for each place in *order* that matches *pointer*."""
    owners, name = resolve_all(order, pointer.rpartition("/")[0]), split(pointer)[-1]
    return ((owner, name) for owner in owners if isinstance(owner, dict))
