"""The order in the form that the live API returned in 2026, which lacks documented members and has undocumented ones."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.core.json_pointer import resolve_all, split
from pytest_veeqo_alloc.spec.loader import read_shipped_text

_EMPTY: Mapping[str, Any] = {"null": None, "boolean": False, "number": 0, "string": "", "object": {}, "array": []}


def as_observed(
    order: dict[str, Any], *, nulls: Iterable[str] = (), values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give *order* the members of observed orders, in place, and return it.

    Documented members that were absent are removed; undocumented ones are added, with their entry in *values* (by
    pointer) or an empty value of an observed type. The members at *nulls*, a selection of `nullable_pointers()`,
    become null. Pointers have `*` for array indexes.
    """
    for pointer in _pointers("absent-field"):
        for owner, name in _members(order, pointer):
            owner.pop(name, None)
    given = values or {}
    for pointer, types in added_types().items():
        for owner, name in _members(order, pointer):
            value = _EMPTY[types[0]]
            owner[name] = given.get(pointer, value.copy() if isinstance(value, (dict, list)) else value)
    for pointer in nulls:
        for owner, name in _members(order, pointer):
            owner[name] = None
    return order


def nullable_pointers() -> tuple[str, ...]:
    """Return the pointers of members with a documented type that were observed to be null."""
    return _pointers("null-value")


@functools.cache
def added_types() -> Mapping[str, list[str]]:
    """Return the observed JSON types of each undocumented member, by pointer."""
    added: dict[str, list[str]] = json.loads(read_shipped_text("schemas/deviations/observed-types.json"))["added"]
    return added


@functools.cache
def _pointers(rule: str) -> tuple[str, ...]:
    pack = parse(read_shipped_text("schemas/deviations/observed.toml"))
    return tuple(deviation.pointer for deviation in pack if deviation.rule == rule and deviation.pointer)


def _members(order: dict[str, Any], pointer: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each object in *order* that has, or may get, the member at *pointer*, and the member's name."""
    owners, name = resolve_all(order, pointer.rpartition("/")[0]), split(pointer)[-1]
    return ((owner, name) for owner in owners if isinstance(owner, dict))
