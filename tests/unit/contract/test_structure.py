"""The structure of bodies, generated from the schema: every field changed, nulled and removed, every object extended."""

from __future__ import annotations

from typing import Any

import pytest
from support.bodies import fields, objects, order, put, request_body, rules_at
from support.structure import (
    PROFILES,
    assert_single_finding,
    typed_fields,
    with_null,
    with_removed_field,
    with_wrong_type,
)

from pytest_veeqo_alloc import Contract, Profile
from pytest_veeqo_alloc.core.json_pointer import resolve

EVERY_PROFILE = pytest.mark.parametrize("profile", PROFILES)


# The battery tries every field, with every wrong type, in every profile.
def test_field_of_another_type_is_one_finding() -> None:
    assert len(typed_fields()) == 353
    for body, rule, pointer in with_wrong_type(step=19):
        assert_single_finding("documented", body, rule, pointer)


def test_null_is_one_finding_except_for_the_two_nullable_fields() -> None:
    assert sum(not nullable for _, _, nullable in typed_fields()) == 351
    for body, rule, pointer in with_null(step=7):
        assert_single_finding("documented", body, rule, pointer)


def test_removed_field_is_one_finding() -> None:
    assert len(list(fields())) == 475
    for body, rule, pointer in with_removed_field(step=7):
        assert_single_finding("documented", body, rule, pointer)


@EVERY_PROFILE
def test_undocumented_member_of_any_object_is_one_finding(profile: Profile) -> None:
    places = list(objects(order()))
    assert len(places) == 36
    for pointer in places:
        body = put(order(), f"{pointer}/extra", "x")
        assert_single_finding(profile, body, "undocumented-field", f"{pointer}/extra")


@pytest.mark.parametrize("pointer", list(objects(request_body())))
def test_undocumented_member_of_a_request_is_one_finding(pointer: str) -> None:
    findings = Contract("strict").check_body("request", put(request_body(), f"{pointer}/extra", "x"))
    assert rules_at(findings) == [("undocumented-field", f"{pointer}/extra")]


@EVERY_PROFILE
@pytest.mark.parametrize(("side", "body"), [("request", request_body()), ("response", order())])
def test_documented_example_has_no_finding(profile: Profile, side: Any, body: Any) -> None:
    assert list(Contract(profile).check_body(side, body)) == []


@EVERY_PROFILE
@pytest.mark.parametrize("side", ["request", "response"])
def test_empty_object_is_an_error(profile: Profile, side: Any) -> None:
    assert len(Contract(profile).check_body(side, {}).errors) == 1


def test_every_item_of_an_array_is_checked() -> None:
    body = put(order(), "/customer/shipping_addresses/2/zip", 5)
    assert rules_at(Contract().check_body("response", body)) == [("wrong-type", "/customer/shipping_addresses/2/zip")]


def test_findings_are_ordered_by_pointer_with_indices_as_numbers() -> None:
    body = order()
    body["customer"]["shipping_addresses"] = [resolve(body, "/customer/shipping_addresses/0") | {"zip": 1}] * 12
    pointers = [finding.pointer for finding in Contract().check_body("response", body)]
    assert pointers == [f"/customer/shipping_addresses/{index}/zip" for index in range(12)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [({1}, "Python set"), (b"x", "Python bytes"), (object(), "Python object")],
)
def test_python_value_that_is_not_json_is_a_wrong_type(value: Any, kind: str) -> None:
    (finding,) = Contract().check_body("response", put(order(), "/status", value))
    assert finding.rule == "wrong-type"
    assert finding.got.startswith(kind)


def test_subclasses_of_json_types_are_accepted() -> None:
    class Members(dict):  # type: ignore[type-arg]  # a plain subclass is what is tested
        pass

    class Text(str):
        __slots__ = ()

    body = Members(put(order(), "/status", Text("shipped")))
    assert list(Contract("strict").check_body("response", body)) == []
