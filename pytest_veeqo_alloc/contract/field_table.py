"""A compiler of JSON Schemas. It rejects every keyword that the checks do not enforce."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

JsonType = Literal["string", "number", "boolean", "object", "array"]
Schema = Mapping[str, Any]

_KEYWORDS = frozenset({
    "$schema", "$id", "$ref", "$defs", "title", "description", "type", "properties", "required", "items", "x-rule",
})  # fmt: skip
_SUFFICIENT_TYPES: Mapping[JsonType | None, type] = {
    "string": str, "number": int, "boolean": bool, None: type(None),
}  # fmt: skip
_AMOUNTS = frozenset({"price", "cost_price", "price_per_unit", "delivery_cost"})


@dataclass(frozen=True, slots=True)
class Field:
    """A documented member. `type` is None if no type is documented.

    `shape` describes the value if it is an object, or its items if they are objects. A value of the `sufficient_type`
    breaks no rule itself; values inside it may.
    """

    name: str
    type: JsonType | None
    nullable: bool = False
    required: bool = False
    shape: Shape | None = None
    is_id: bool = False
    is_quantity: bool = False
    is_amount: bool = False
    is_datetime: bool = False
    sufficient_type: object = None


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """An object type of a schema. `fields` maps the names of its documented members to fields.

    `children` has a tuple for each member that contains objects: the name, whether the value is an array, and the shape
    of the objects. A missing, null or wrongly typed member breaks `rule`, unless `rule` is None.
    """

    name: str
    fields: Mapping[str, Field]
    rule: str | None
    children: tuple[tuple[str, bool, Shape], ...]


def compile_schema(schema: Schema, *, root: str) -> Shape:
    """Compile *schema* to a shape named *root*. Raise ValueError for an unsupported keyword or type."""

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
    return Shape(name, fields, schema.get("x-rule"), children)


def _field(owner: str, name: str, schema: Schema, required: bool, referenced: Callable[[str], Shape]) -> Field:
    _check_keywords(schema)
    if "$ref" in schema:
        return Field(name, "object", required=required, shape=referenced(schema["$ref"]), sufficient_type=dict)
    types = schema.get("type")
    listed: list[Any] = [types] if isinstance(types, str) else list(types or [])
    documented: JsonType | None = next((entry for entry in listed if entry != "null"), None)
    items = schema.get("items")
    numeric = documented == "number"
    is_id = numeric and (name == "id" or name.endswith("_id"))
    is_quantity = numeric and name == "quantity"
    is_amount = numeric and (name in _AMOUNTS or (owner, name) == ("delivery_method", "cost"))
    is_datetime = documented == "string" and name.endswith("_at")
    has_convention = is_id or is_quantity or is_amount or is_datetime
    return Field(
        name,
        documented,
        nullable="null" in listed,
        required=required,
        shape=referenced(items["$ref"]) if items else None,
        is_id=is_id,
        is_quantity=is_quantity,
        is_amount=is_amount,
        is_datetime=is_datetime,
        sufficient_type=list if items else None if has_convention else _SUFFICIENT_TYPES.get(documented),
    )


def _check_keywords(schema: Schema) -> None:
    if unsupported := sorted(set(schema) - _KEYWORDS):
        raise ValueError(f"unsupported schema keyword {unsupported[0]!r}")
