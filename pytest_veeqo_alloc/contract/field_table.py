"""A compiler of JSON Schemas. It rejects every keyword that the checks do not enforce."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

from pytest_veeqo_alloc.core.formats import is_date_time

JsonType = Literal["string", "number", "boolean", "object", "array"]
Schema = Mapping[str, Any]
CleanCheck = Callable[[dict[str, Any], set[str]], bool]

_KEYWORDS = frozenset({
    "$schema", "$id", "$ref", "$defs", "title", "description", "type", "properties", "required", "items", "x-rule",
})  # fmt: skip
_CLEAN_TYPES: Mapping[JsonType | None, type] = {
    "string": str, "number": int, "boolean": bool, "object": dict, "array": list, None: type(None),
}  # fmt: skip
_AMOUNTS = frozenset({"price", "cost_price", "price_per_unit", "delivery_cost"})
_NUMBER_TYPES = frozenset({int, float})
_NULLABLE_STRING_TYPES = frozenset({str, type(None)})


@dataclass(frozen=True, slots=True)
class Field:
    """A documented member. `type` is None if no type is documented. `shape` describes the objects in the value."""

    name: str
    type: JsonType | None
    nullable: bool = False
    required: bool = False
    shape: Shape | None = None
    is_id: bool = False
    is_quantity: bool = False
    is_amount: bool = False
    is_datetime: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """An object type of the schema, with its documented members (`fields`) by name.

    `children` has a row for each member with objects: its name, whether its value is an array, and the shape of the
    objects. A `rule` that is not None reports missing, null and wrongly typed members. `is_clean(members, dates)` is a
    fast check: True means no breach, and False that a full check is needed. It adds the date-times to *dates*.
    """

    name: str
    fields: Mapping[str, Field]
    rule: str | None
    children: tuple[tuple[str, bool, Shape], ...]
    is_clean: CleanCheck


def compile_schema(schema: Schema, *, root: str) -> Shape:
    """Compile *schema* to a shape named *root*. Raise ValueError for unsupported keywords and non-object types."""

    @functools.cache
    def referenced(reference: str) -> Shape:
        name = reference.removeprefix("#/$defs/")
        return _shape(schema["$defs"][name], name, referenced)

    return _shape(schema, root, referenced)


def _shape(schema: Schema, name: str, referenced: Callable[[str], Shape]) -> Shape:
    _check_keywords(schema)
    if schema.get("type") != "object":
        raise ValueError(f"the schema of {name} must have the type object")
    required = schema.get("required", ())
    fields = {key: _field(name, key, value, key in required, referenced) for key, value in schema["properties"].items()}
    children = tuple((f.name, f.type == "array", f.shape) for f in fields.values() if f.shape)
    return Shape(name, fields, schema.get("x-rule"), children, _clean_check(fields.values()))


def _field(owner: str, name: str, schema: Schema, required: bool, referenced: Callable[[str], Shape]) -> Field:
    _check_keywords(schema)
    if "$ref" in schema:
        return Field(name, "object", required=required, shape=referenced(schema["$ref"]))
    types = schema.get("type")
    listed: list[Any] = [types] if isinstance(types, str) else list(types or [])
    documented: JsonType | None = next((entry for entry in listed if entry != "null"), None)
    items = schema.get("items")
    numeric = documented == "number"
    return Field(
        name,
        documented,
        nullable="null" in listed,
        required=required,
        shape=referenced(items["$ref"]) if items else None,
        is_id=numeric and (name == "id" or name.endswith("_id")),
        is_quantity=numeric and name == "quantity",
        is_amount=numeric and (name in _AMOUNTS or (owner, name) == ("delivery_method", "cost")),
        is_datetime=documented == "string" and name.endswith("_at"),
    )


def _check_keywords(schema: Schema) -> None:
    if unsupported := sorted(set(schema) - _KEYWORDS):
        raise ValueError(f"unsupported schema keyword {unsupported[0]!r}")


def _clean_check(fields: Iterable[Field]) -> CleanCheck:
    """Return the function `is_clean` of a `Shape` with *fields*. For speed, it checks similar members together."""
    ordered = sorted(fields, key=_group)
    width = len(ordered)
    if width < 2:  # with a single name, itemgetter does not return a tuple
        return lambda members, dates: False
    fetch = itemgetter(*(f.name for f in ordered))
    end = {group: sum(_group(f) <= group for f in ordered) for group in range(_IDS, _PLAIN + 1)}
    fixed = [_CLEAN_TYPES[f.type] for f in ordered[: end[_FIXED]]]
    empty: tuple[list[Any], ...] = ([],) * (end[_OPEN_ARRAYS] - end[_DATES])
    ids, fixed_end, nullable_end = end[_IDS], end[_FIXED], end[_NULLABLE]
    dates_at, arrays_at = slice(ids, end[_DATES]), slice(end[_DATES], end[_OPEN_ARRAYS])
    amounts_at = slice(nullable_end, end[_MONEY])
    # The check runs for every object in every body, so it skips the kinds of fields that this object type lacks.
    has_dates, has_arrays = end[_DATES] > ids, end[_OPEN_ARRAYS] > end[_DATES]
    has_nullable, has_amounts = nullable_end > fixed_end, end[_MONEY] > nullable_end
    has_numbers = width > nullable_end
    objects = [(index, f.shape.is_clean) for index, f in enumerate(ordered) if f.shape and f.type == "object"]
    lists = [(index, f.shape.is_clean) for index, f in enumerate(ordered) if f.shape and f.type == "array"]

    def is_clean(members: dict[str, Any], dates: set[str]) -> bool:
        if len(members) != width:
            return False
        try:
            values = fetch(members)
        except KeyError:
            return False
        types = [*map(type, values)]
        if (
            types[:fixed_end] != fixed
            or (has_numbers and not _NUMBER_TYPES.issuperset(types[nullable_end:]))
            or (ids and min(values[:ids]) <= 0)
            or (has_dates and not dates.issuperset(values[dates_at]) and not _all_dates(values[dates_at], dates))
            or (has_arrays and values[arrays_at] != empty)
            or (has_amounts and min(values[amounts_at]) < 0)
            or (has_nullable and not _NULLABLE_STRING_TYPES.issuperset(types[fixed_end:nullable_end]))
        ):
            return False
        for index, check in objects:
            if not check(values[index], dates):
                return False
        for index, check in lists:
            for item in values[index]:
                if type(item) is not dict or not check(item, dates):
                    return False
        return True

    return is_clean


def _all_dates(texts: tuple[str, ...], dates: set[str]) -> bool:
    if not all(map(is_date_time, texts)):
        return False
    dates.update(texts)
    return True


# Kinds of fields, in the order in which the fast check fetches them. Each field up to _FIXED must have one exact type.
# The fields after that are strings or null (_NULLABLE), then integers or floats (_MONEY and _PLAIN).
_IDS, _DATES, _OPEN_ARRAYS, _FIXED, _NULLABLE, _MONEY, _PLAIN = range(7)


def _group(f: Field) -> int:
    if f.type == "number":
        if f.is_id or f.is_quantity:
            return _IDS
        return _MONEY if f.is_amount else _PLAIN
    if f.type == "array" and f.shape is None:
        return _OPEN_ARRAYS
    if f.nullable:
        return _NULLABLE
    return _DATES if f.is_datetime else _FIXED
