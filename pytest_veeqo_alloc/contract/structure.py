"""Checks of a body: its structure, and single values such as ids, quantities, amounts and date-times."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pytest_veeqo_alloc.contract.content import LenientContent, absent, convert
from pytest_veeqo_alloc.contract.field_table import Field, JsonType, Shape
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, TOO_DEEP, nests_deeper
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.core.text import NOTHING, describe, describe_number, is_date_time

_JSON_TYPES: dict[type, JsonType] = {
    str: "string", int: "number", float: "number", bool: "boolean", dict: "object", list: "array",
}  # fmt: skip


class Walked(NamedTuple):
    """The structural breaches in a body, and its content, as described in `content.py`.

    `content` describes the order in a response, or the allocation in a request.
    """

    breaches: list[Breach]
    content: Any
    pointer: str = ""  # of the content
    counts: tuple[int, ...] | None = None  # if the body conforms to its schema


def walk_response(value: Any, order: Shape, *, is_plain: bool) -> Walked:
    """Check *value*, a response body, by the schema *order*. *is_plain*: all its types are those of a JSON parser."""
    walk = _Walk(is_plain)
    if not isinstance(value, dict) or any(name in value for name in order.fields if name != "status"):
        content, counts = walk.body(value, order)
        return Walked(walk.result, content, counts=counts)
    walk.reject(Breach("not-an-order", "", describe(value), "an order"), value)
    return Walked(walk.result, absent(order))


def walk_request(value: Any, root: Shape, *, is_plain: bool) -> Walked:
    """Check *value*, a request body, by the schema *root*. *is_plain*: all its types are those of a JSON parser."""
    walk = _Walk(is_plain)
    ((wrapper, _, allocation),) = root.children
    misplaced = [name for name in allocation.fields if name in value] if isinstance(value, dict) else []
    if misplaced:
        walk.add(Breach("request-not-wrapped", "", f"{' and '.join(misplaced)} at the root"))
        if wrapper not in value:
            return Walked(walk.result, walk.body(value, allocation)[0])
        value = {name: member for name, member in value.items() if name not in misplaced}
    content, counts = walk.body(value, root)
    return Walked(walk.result, content.allocation, f"/{wrapper}", None if misplaced else counts)


def wrapped_allocation(value: Any) -> tuple[Any, str]:
    """Return the allocation in *value*, a request body, and its pointer: empty if the wrapper object is missing."""
    if not isinstance(value, dict):
        return None, ""
    return (value["allocation"], "/allocation") if "allocation" in value else (value, "")


def has_allocation(value: Any) -> bool:
    """Return whether *value*, a request body, has one member of an allocation or, without the wrapper object, both."""
    allocation, pointer = wrapped_allocation(value)
    if not isinstance(allocation, dict):
        return False
    found = [name in allocation for name in ("warehouse_id", "line_items_attributes")]
    return any(found) if pointer else all(found)


def json_type(value: Any) -> JsonType | None:
    """Return the JSON type of *value* by its class or base class. Return None for null and for other classes."""
    exact = _JSON_TYPES.get(type(value))
    return exact or next((_JSON_TYPES[base] for base in type(value).__mro__ if base in _JSON_TYPES), None)


class _Walk:
    def __init__(self, is_plain: bool) -> None:
        self._is_plain = is_plain
        self.breaches: list[Breach] = []
        self.add = self.breaches.append
        self._dates: set[str] = set()  # strings that are known to be date-times

    @property
    def result(self) -> list[Breach]:
        """The breaches found, or `TOO_DEEP` alone if the body nests too deeply."""
        return [TOO_DEEP] if TOO_DEEP in self.breaches else self.breaches

    def body(self, value: Any, shape: Shape) -> tuple[Any, tuple[int, ...] | None]:
        """Return the content of *value*, and the counts of `Typed` if it conforms to *shape*."""
        if not isinstance(value, dict):
            self.reject(Breach("wrong-type", "", describe(value), "object"), value)
            return absent(shape), None
        typed = convert(value, shape, self._dates) if self._is_plain else None
        return typed or (self._explain(value, shape, ""), None)

    def reject(self, breach: Breach, value: Any) -> None:
        """Add *breach*, a defect of *value*. Check the nesting depth of *value*, but nothing else in it."""
        self.add(breach)
        if value and isinstance(value, (dict, list)):
            self._check_depth(value, breach.pointer or "")

    def _members(self, members: dict[str, Any], shape: Shape, pointer: str) -> Any:
        """Return the content of *members*, the object at *pointer*. Add a breach for each difference from *shape*."""
        typed = convert(members, shape, self._dates) if self._is_plain else None
        return self._explain(members, shape, pointer) if typed is None else typed[0]

    def _explain(self, members: dict[str, Any], shape: Shape, pointer: str) -> Any:
        self._fields(members, shape, pointer)
        children = {}
        for name, is_array, child in shape.children:
            value = members.get(name)
            if is_array and isinstance(value, list):
                children[name] = self._items(value, child, f"{pointer}/{name}")
            elif not is_array and isinstance(value, dict):
                children[name] = self._members(value, child, f"{pointer}/{name}")
        return LenientContent(members, shape, children)

    def _check_depth(self, value: Any, pointer: str) -> None:
        if nests_deeper(value, MAX_DEPTH - pointer.count("/")):
            self.add(TOO_DEEP)

    def _items(self, items: list[Any], shape: Shape, pointer: str) -> list[Any]:
        contents = []
        for index, item in enumerate(items):
            if isinstance(item, dict):
                contents.append(self._members(item, shape, f"{pointer}/{index}"))
            else:
                contents.append(absent(shape))
                rule = shape.rule or ("null-value" if item is None else "wrong-type")
                self.reject(Breach(rule, f"{pointer}/{index}", describe(item), "object"), item)
        return contents

    def _fields(self, members: dict[str, Any], shape: Shape, pointer: str) -> None:
        for name, field in shape.fields.items():
            if name in members:
                value, kind = members[name], type(members[name])
                # No rule forbids a positive integer where a number is documented.
                is_sound = kind is field.sufficient_type or (kind is int and field.type == "number" and value > 0)
                if not is_sound:
                    self._value(value, field, shape.rule, f"{pointer}/{name}")
            else:
                rule = shape.rule or ("required-field" if field.required else "absent-field")
                wanted = f"the field ({field.type or 'no documented type'})"
                self.add(Breach(rule, f"{pointer}/{name}", NOTHING, wanted))
        for name, value in members.items():
            if name not in shape.fields:
                self.reject(Breach("undocumented-field", join(pointer, name), describe(value)), value)

    def _value(self, value: Any, field: Field, rule: str | None, pointer: str) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            return  # was reported when the body was read, as `non-finite-number`
        if field.type is None:
            self.reject(Breach("untyped-field-value", pointer, describe(value)), value)
        elif value is None:
            if not field.nullable:
                # Null instead of a required object is an error, not an empty field: the whole content is missing.
                null_rule = "wrong-type" if field.required and field.type == "object" else "null-value"
                self.add(Breach(rule or null_rule, pointer, "null", field.type))
        elif json_type(value) != field.type:
            quoted = field.type == "number" and isinstance(value, str) and not rule
            remedy = "send a JSON number, without quotes" if quoted else ""
            self.reject(Breach(rule or "wrong-type", pointer, describe(value), field.type, remedy=remedy), value)
        elif field.shape is None and field.type == "array":
            if value:
                self._check_depth(value, pointer)
        elif broken := self._broken_convention(value, field):
            got = describe(value) if broken == "datetime-format" else describe_number(value)
            self.add(Breach(broken, pointer, got))

    def _broken_convention(self, value: Any, field: Field) -> str | None:
        """Return the id of the rule that *value* breaks, or None. *value* has the documented type."""
        if field.is_datetime:
            if value not in self._dates and not is_date_time(value):
                return "datetime-format"
            self._dates.add(value)
        elif field.is_id and not (value > 0 and value == int(value)):
            return "id-not-positive-integer"
        elif field.is_quantity and value != int(value):
            return "quantity-not-integer"
        elif field.is_quantity and value <= 0:
            return "quantity-not-positive"
        elif field.is_amount and value < 0:
            return "negative-amount"
        return None
