"""The order as the live API was seen to return it in 2026: less than documented in places, and more in others."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_veeqo_alloc.contract.deviations import parse
from pytest_veeqo_alloc.core.json_pointer import resolve_all, split
from pytest_veeqo_alloc.spec.loader import read_shipped_text

_EXAMPLES: Mapping[str, Any] = {"null": None, "boolean": False, "number": 0, "string": "", "object": {}, "array": []}


def as_observed(
    order: dict[str, Any], *, nulls: Iterable[str] = (), values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """*order*, changed in place, with the key set that live orders had: documented members that were absent are left
    out, undocumented ones are added with an empty value of a type that was seen.

    *nulls* are pointers with `*` for indexes, of those in `nullable_pointers`, that become null. *values* replaces the
    empty value of additions by their pointer.
    """
    for pointer in _pointers("absent-field"):
        for owner, name in _owners(order, pointer):
            owner.pop(name, None)
    given = values or {}
    for pointer, types in added_types().items():
        for owner, name in _owners(order, pointer):
            value = _EXAMPLES[types[0]]
            owner[name] = given.get(pointer, value.copy() if isinstance(value, (dict, list)) else value)
    for pointer in nulls:
        for owner, name in _owners(order, pointer):
            owner[name] = None
    return order


def nullable_pointers() -> tuple[str, ...]:
    """Members with a documented type that were seen null."""
    return _pointers("null-value")


@functools.cache
def added_types() -> Mapping[str, list[str]]:
    """Undocumented members that were seen, with the JSON types that they had."""
    added: dict[str, list[str]] = json.loads(read_shipped_text("schemas/deviations/observed-types.json"))["added"]
    return added


@functools.cache
def _pointers(rule: str) -> tuple[str, ...]:
    pack = parse(read_shipped_text("schemas/deviations/observed.toml"))
    return tuple(deviation.pointer for deviation in pack if deviation.rule == rule and deviation.pointer)


def _owners(order: dict[str, Any], pointer: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object in *order* that *pointer* leads to the member of, and that member's name."""
    owners, name = resolve_all(order, pointer.rpartition("/")[0]), split(pointer)[-1]
    return ((owner, name) for owner in owners if isinstance(owner, dict))
