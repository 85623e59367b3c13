"""The shipped schemas against the documentation: counts, exceptions and examples."""

from __future__ import annotations

import builtins
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.bodies import fields, only_structure, order, request_body
from support.cases import CASES, body_of
from support.structure import schema_validator

from pytest_veeqo_alloc import load_schema
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, BodySide, Profile
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.spec.loader import load_deviations, read_shipped_text, shipped_folder


def documented_type(field: dict[str, Any]) -> str | None:
    types = field.get("type")
    return next(kind for kind in types if kind != "null") if isinstance(types, list) else types


def test_response_has_the_documented_number_of_fields_of_each_type() -> None:
    kinds = Counter("array of objects" if "items" in field else documented_type(field) for _, field in fields())
    assert kinds == {
        "string": 154, "number": 123, None: 122, "boolean": 29, "object": 25, "array": 14, "array of objects": 8,
    }  # fmt: skip
    assert kinds.total() == 475


def test_response_has_24_shapes_of_the_documented_sizes() -> None:
    schema = load_schema("response")
    sizes = {name: len(shape["properties"]) for name, shape in schema["$defs"].items()}
    assert len(schema["properties"]) == 41
    assert sizes == {
        "allocation": 10, "allocated_by": 21, "allocation_line_item": 5, "sellable": 34, "inventory": 5,
        "measurement_attributes": 5, "product": 10, "main_image": 17, "stock_entry": 12, "warehouse": 21,
        "channel": 37, "active_warehouse": 2, "channel_warehouse": 2, "created_by": 9, "company": 12,
        "subscription_plan": 4, "customer": 7, "billing_address": 12, "shipping_address": 11, "deliver_to": 11,
        "delivery_method": 4, "line_item": 8, "payment": 8,
    }  # fmt: skip


def test_eleven_fields_of_shipping_addresses_are_marked_required() -> None:
    required = [pointer for pointer, field in fields() if field["required"] is True]
    assert len(required) == 11
    assert all(pointer.startswith("/customer/shipping_addresses/0/") for pointer in required)


def test_two_typed_fields_may_be_null() -> None:
    nullable = {pointer for pointer, field in fields() if isinstance(field.get("type"), list)}
    assert nullable == {"/customer/shipping_addresses/0/address2", "/customer/shipping_addresses/0/company"}


def test_untyped_fields_are_those_that_are_null_in_the_example() -> None:
    body = order()
    nulls = {
        pointer
        for pointer, field in fields()
        if resolve(body, pointer) is None and not isinstance(field.get("type"), list)
    }
    assert nulls == {pointer for pointer, field in fields() if documented_type(field) is None}


def test_number_is_a_field_and_notes_has_no_type() -> None:
    root = load_schema("response")["properties"]
    assert root["number"]["type"] == "string"
    assert "type" not in root["notes"]


def test_request_has_the_documented_fields() -> None:
    lines = "/allocation/line_items_attributes"
    assert [(pointer, documented_type(field)) for pointer, field in fields("request")] == [
        ("/allocation", "object"),
        ("/allocation/warehouse_id", "number"),
        (lines, "array"),
        (f"{lines}/0/sellable_id", "number"),
        (f"{lines}/0/quantity", "number"),
    ]
    assert all(field["required"] for _, field in fields("request"))


def test_operation_has_the_documented_parameters_status_and_header() -> None:
    operation = json.loads(read_shipped_text("schemas/operation.json"))
    assert (operation["method"], operation["path"]) == ("POST", "/orders/{order_id}/allocations")
    assert [(p["in"], p["name"], p["required"], p["schema"]["type"]) for p in operation["parameters"]] == [
        ("path", "order_id", True, "integer"),
        ("header", "x-api-key", False, "string"),
    ]
    assert list(operation["responses"]) == ["201"]
    assert operation["responses"]["201"]["headers"]["Location"]["schema"]["type"] == "string"


@pytest.mark.parametrize("side", BODY_SIDES)
@pytest.mark.parametrize("profile", [None, "lenient", "documented", "strict"])
def test_every_schema_accepts_the_documented_example(side: BodySide, profile: Profile | None) -> None:
    body = request_body() if side == "request" else order()
    assert list(schema_validator(side, profile).iter_errors(body)) == []


@pytest.mark.parametrize("side", BODY_SIDES)
@pytest.mark.parametrize("profile", [None, "strict"])  # the battery validates that of every profile
def test_schema_is_valid(side: BodySide, profile: Profile | None) -> None:
    Draft202012Validator.check_schema(load_schema(side, profile))


@pytest.mark.parametrize("side", BODY_SIDES)
@pytest.mark.parametrize("profile", ["lenient", "documented", "strict"])
def test_every_profile_rejects_an_empty_object(side: BodySide, profile: str) -> None:
    assert not schema_validator(side, profile).is_valid({})


@pytest.mark.parametrize("side", BODY_SIDES)
def test_strict_schema_and_checker_agree_on_cases(side: BodySide) -> None:  # the battery: all, in every profile
    strict, checker = schema_validator(side, "strict"), only_structure("strict")
    bodies = [body_of(CASES[name]) for name in sorted(CASES) if CASES[name]["side"] == side][::3]
    assert [strict.is_valid(body) for body in bodies] == [checker.check_body(side, body).ok for body in bodies]


@pytest.mark.parametrize("side", BODY_SIDES)
def test_every_shape_and_field_has_a_description(side: BodySide) -> None:
    schema = load_schema(side)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:pytest-veeqo-alloc:{side}"
    for shape in (schema, *schema["$defs"].values()):
        assert shape["title"]
        assert shape["description"]
        assert all(field["description"] for field in shape["properties"].values())


def test_loaded_schema_is_a_new_copy() -> None:
    load_schema("response")["properties"].clear()
    assert len(load_schema("response")["properties"]) == 41


def test_unknown_side_or_profile_is_rejected_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"unknown side 'respons': did you mean 'response'\?"):
        load_schema("respons")  # type: ignore[arg-type]  # the wrong name is what is tested
    with pytest.raises(ValueError, match=r"unknown profile 'strcit': did you mean 'strict'\?"):
        load_schema("response", "strcit")  # type: ignore[arg-type]


def test_sanitised_examples_have_addresses_of_example_domains_only() -> None:
    text = read_shipped_text("schemas/examples/response.json")
    assert "@example.com" in text
    assert text.count("@") == text.count("@example.com")
    assert text.count("https://") == text.count("https://images.example.com/")


def test_deviations_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_bytes(b'\xef\xbb\xbf[[deviation]]\nrule = "absent-field"\nreason = "x"\npointer = "/id"\n')
    assert len(load_deviations(path)) == 1


def test_missing_package_data_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: False)  # as under a fake file system
    with pytest.raises(FileNotFoundError, match="add the real folder to that file system"):
        shipped_folder("schemas")


def test_package_data_is_found_under_a_fake_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError

    text = read_shipped_text("schemas/request.json")
    for module, names in (builtins, ["open"]), (io, ["open"]), (os, ["open", "stat", "listdir", "scandir"]):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    assert read_shipped_text("schemas/request.json") == text


def test_missing_file_of_the_package_is_explained() -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*none\.json: install the package again"):
        read_shipped_text("schemas/none.json")
