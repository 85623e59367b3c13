"""The compiled table: accepted schemas, and the fields of the shipped ones."""

from __future__ import annotations

from typing import Any

import pytest
from support.bodies import put

from pytest_veeqo_alloc import load_schema
from pytest_veeqo_alloc.contract.field_table import Shape, compile_schema
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import read


def shapes(shape: Shape) -> dict[str, Shape]:
    found = {shape.name: shape}
    for _, _, child in shape.children:
        found |= shapes(child)
    return found


@pytest.mark.parametrize("pointer", ["/properties/id/minimum", "/pattern", "/$defs/channel/additionalProperties"])
def test_unsupported_schema_keyword_is_rejected(pointer: str) -> None:
    schema: Any = put(load_schema("response"), pointer, 1)
    with pytest.raises(ValueError, match=f"unsupported schema keyword '{pointer.rpartition('/')[2]}'"):
        compile_schema(schema, root="order")


def test_root_that_is_not_an_object_is_rejected() -> None:
    with pytest.raises(ValueError, match="the schema of order must have the type object"):
        compile_schema({"type": "array"}, root="order")


def test_table_has_every_shape_once() -> None:
    found = shapes(compile_schema(load_schema("response"), root="order"))
    assert len(found) == 24
    assert set(found) == {"order", *load_schema("response")["$defs"]}


def test_conventions_apply_to_fields_by_type_and_name() -> None:
    found = shapes(compile_schema(load_schema("response"), root="order"))
    fields = [(shape.name, field) for shape in found.values() for field in shape.fields.values()]
    amounts = {(shape, field.name) for shape, field in fields if field.is_amount}
    assert amounts == {
        ("sellable", "price"), ("sellable", "cost_price"), ("line_item", "price_per_unit"), ("order", "delivery_cost"),
        ("delivery_method", "cost"),
    }  # fmt: skip
    assert {shape for shape, field in fields if field.is_quantity} == {"line_item", "allocation_line_item"}
    assert all(field.type == "number" for _, field in fields if field.is_id)
    assert all(field.type == "string" for _, field in fields if field.is_datetime)
    assert ("order", "cancelled_at") not in {(shape, field.name) for shape, field in fields if field.is_datetime}


def test_reprs_show_no_body_and_no_pointer() -> None:
    assert "s3cret" not in repr(read(b'{"s3cret": "s3cret"}')) + repr(Breach("wrong-type", "/s3cret"))
