"""What a single value of the right type may still have wrong: conventions of ids, quantities, amounts and dates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pytest_veeqo_alloc.contract.field_table import Field, JsonType, Shape
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, too_deep
from pytest_veeqo_alloc.core.formats import is_date_time
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.core.text import NOTHING, describe, describe_number


def value_breaches(value: Any, field: Field, here: str, dates: set[str]) -> list[Breach]:
    """The conventions that *value*, which has its documented type, does not meet. Adds to *dates* what is a date."""
    if field.is_datetime:
        if value in dates or is_date_time(value):
            dates.add(value)
            return []
        return [Breach("datetime-format", here, describe(value), "an RFC 3339 date-time")]
    if field.is_id and not (value > 0 and value == int(value)):
        return [Breach("id-not-positive-integer", here, describe_number(value), "a whole number above 0")]
    if field.is_quantity and value != int(value):
        return [Breach("quantity-not-integer", here, describe_number(value), "a whole number")]
    if field.is_quantity and value <= 0:
        return [Breach("quantity-not-positive", here, describe_number(value), "1 or more")]
    if field.is_amount and value < 0:
        return [Breach("negative-amount", here, describe_number(value), "0 or more")]
    return []


_JSON_TYPES: dict[type, JsonType] = {
    str: "string", int: "number", float: "number", bool: "boolean", dict: "object", list: "array",
}  # fmt: skip


class _TooDeepError(Exception):
    """An undocumented part nests too deep."""


def walk_response(value: Any, order: Shape) -> list[Breach]:
    """Every structural breach, and every one of a single value, of the body of a response."""
    return _walk_root(value, order, _response)


def walk_request(value: Any, root: Shape) -> list[Breach]:
    """The same for the body of a request, wrapped in `allocation` or bare."""
    return _walk_root(value, root, _request)


def wrapped_allocation(value: Any) -> tuple[Any, str]:
    """The allocation in the body of a request and its pointer, also where it stands bare at the root."""
    if not isinstance(value, dict):
        return None, ""
    return (value["allocation"], "/allocation") if "allocation" in value else (value, "")


def _walk_root(value: Any, root: Shape, go: Callable[[dict[str, Any], Shape, _Walk], None]) -> list[Breach]:
    walk = _Walk()
    try:
        if isinstance(value, dict):
            go(value, root, walk)
        else:
            walk.add(Breach("wrong-type", "", describe(value), "object"))
            walk.undocumented(value, "")
    except _TooDeepError:
        return [too_deep()]
    return walk.breaches


def _response(members: dict[str, Any], order: Shape, walk: _Walk) -> None:
    if not any(name in members for name in order.fields if name != "status"):
        walk.add(Breach("not-an-order", "", describe(members), "the order"))
        walk.undocumented(members, "")
        return
    walk.members(members, order, "")


def _request(members: dict[str, Any], root: Shape, walk: _Walk) -> None:
    (_, _, allocation) = root.children[0]
    misplaced = [name for name in allocation.fields if name in members]
    if misplaced:
        got = f"{' and '.join(misplaced)} at the root"
        walk.add(Breach("request-not-wrapped", "", got, "an object with the one member allocation"))
    if misplaced and "allocation" not in members:
        walk.members(members, allocation, "")
        return
    walk.members({name: value for name, value in members.items() if name not in misplaced}, root, "")


class _Walk:
    """The breaches so far, and the texts already known to be dates."""

    def __init__(self) -> None:
        self.breaches: list[Breach] = []
        self.add = self.breaches.append
        self._dates: set[str] = set()

    def members(self, members: dict[str, Any], shape: Shape, pointer: str) -> None:
        """Look at an object of which *shape* is documented, and at everything under it."""
        if shape.is_clean(members, self._dates):
            return
        self._explain(members, shape, pointer)
        for name, is_array, child in shape.children:
            value = members.get(name)
            if is_array:
                if isinstance(value, list):
                    self._items(value, child, f"{pointer}/{name}")
            elif isinstance(value, dict):
                self.members(value, child, f"{pointer}/{name}")

    def undocumented(self, value: Any, pointer: str) -> None:
        """Look at a value of which no shape is documented: only whether it nests too deep."""
        if isinstance(value, (dict, list)) and nests_deeper(value, MAX_DEPTH - pointer.count("/")):
            raise _TooDeepError

    def _items(self, items: list[Any], shape: Shape, pointer: str) -> None:
        for index, item in enumerate(items):
            if isinstance(item, dict):
                self.members(item, shape, f"{pointer}/{index}")
            else:
                rule = shape.rule or ("null-value" if item is None else "wrong-type")
                self.add(Breach(rule, f"{pointer}/{index}", describe(item), "object"))
                self.undocumented(item, f"{pointer}/{index}")

    def _explain(self, members: dict[str, Any], shape: Shape, pointer: str) -> None:
        for name, field in shape.fields.items():
            here = f"{pointer}/{name}"
            if name in members:
                self._value(members[name], field, shape.rule, here)
            else:
                rule = shape.rule or ("required-field" if field.required else "absent-field")
                self.add(Breach(rule, here, NOTHING, _wanted(field)))
        if len(members) > len(shape.fields) or not shape.fields.keys() >= members.keys():
            for name, value in members.items():
                if name not in shape.fields:
                    here = join(pointer, name)
                    self.add(Breach("undocumented-field", here, describe(value), NOTHING))
                    self.undocumented(value, here)

    def _value(self, value: Any, field: Field, rule: str | None, here: str) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            return  # a number that is not finite has its own finding already
        if field.type is None:
            if value is not None:
                self.add(Breach("untyped-field-value", here, describe(value), "null"))
                self.undocumented(value, here)
        elif value is None:
            if not field.nullable:
                # Null in the place of a required object is not a field left empty: nothing at all was sent.
                usual = "wrong-type" if field.required and field.type == "object" else "null-value"
                self.add(Breach(rule or usual, here, "null", field.type))
        elif json_type(value) != field.type:
            self.add(_wrong_type(value, field.type, rule, here))
            self.undocumented(value, here)
        elif field.shape is None and field.type == "array":
            self.undocumented(value, here)
        else:
            self.breaches += value_breaches(value, field, here, self._dates)


def json_type(value: Any) -> JsonType | None:
    """The JSON type of *value*; subclasses count as what they derive from, but a boolean is no number."""
    plain = _JSON_TYPES.get(type(value))
    return plain or next((_JSON_TYPES[kind] for kind in type(value).__mro__ if kind in _JSON_TYPES), None)


def _wrong_type(value: Any, wanted: JsonType, rule: str | None, here: str) -> Breach:
    remedy = "send a JSON number, without quotes" if wanted == "number" and isinstance(value, str) else ""
    return Breach(rule or "wrong-type", here, describe(value), wanted, remedy="" if rule else remedy)


def _wanted(field: Field) -> str:
    return f"{field.type}, as the documentation lists it" if field.type else "the field; no type is documented"
