"""The structure of bodies, generated from the schema: every field changed, nulled and removed, every object extended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.bodies import drop, fields, objects, order, put, request_body, rules_at

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.core.json_pointer import resolve

OTHERS: dict[str, list[Any]] = {
    "string": [1, True, {}, []],
    "number": ["1", False, {}, []],
    "boolean": ["true", 1, {}, []],
    "object": ["{}", 1, True, []],
    "array": ["[]", 1, True, {}],
}
SEVERITIES = {
    "wrong-type": {"lenient": "error", "documented": "error", "strict": "error"},
    "null-value": {"lenient": "warning", "documented": "error", "strict": "error"},
    "absent-field": {"lenient": "warning", "documented": "error", "strict": "error"},
    "required-field": {"lenient": "error", "documented": "error", "strict": "error"},
    "undocumented-field": {"documented": "warning", "strict": "error"},
}


def typed() -> Iterator[tuple[str, str, bool]]:
    for pointer, field in fields():
        types = field.get("type")
        if types is not None:
            listed = [types] if isinstance(types, str) else types
            yield pointer, listed[0], "null" in listed


def expect(profile: str, body: Any, rule: str, pointer: str) -> None:
    findings = Contract(profile).check_body("response", body)
    severity = SEVERITIES[rule].get(profile)
    got = [(finding.rule, finding.pointer, finding.severity) for finding in findings]
    assert got == ([(rule, pointer, severity)] if severity else [])


PROFILES = pytest.mark.parametrize("profile", ["lenient", "documented", "strict"])


@PROFILES
def test_each_changed_type_is_one_finding_at_its_pointer(profile: str) -> None:
    places = list(typed())
    assert len(places) == 353
    for pointer, kind, _ in places:
        for other in OTHERS[kind]:
            expect(profile, put(order(), pointer, other), "wrong-type", pointer)


@PROFILES
def test_each_null_is_one_finding_at_its_pointer_but_for_the_two_that_may_be_null(profile: str) -> None:
    places = [pointer for pointer, _, nullable in typed() if not nullable]
    assert len(places) == 351
    for pointer in places:
        expect(profile, put(order(), pointer, None), "null-value", pointer)


@PROFILES
def test_each_removed_field_is_one_finding_at_its_pointer(profile: str) -> None:
    places = list(fields())
    assert len(places) == 475
    for pointer, field in places:
        rule = "required-field" if field["required"] is True else "absent-field"
        expect(profile, drop(order(), pointer), rule, pointer)


@PROFILES
def test_each_object_with_one_more_member_is_one_finding_at_that_member(profile: str) -> None:
    places = list(objects(order()))
    assert len(places) == 36
    for pointer in places:
        expect(profile, put(order(), f"{pointer}/extra", "x"), "undocumented-field", f"{pointer}/extra")


@pytest.mark.parametrize("pointer", list(objects(request_body())))
def test_each_object_of_a_request_with_one_more_member_is_one_finding(pointer: str) -> None:
    findings = Contract("strict").check_body("request", put(request_body(), f"{pointer}/extra", "x"))
    assert rules_at(findings) == [("undocumented-field", f"{pointer}/extra")]


@PROFILES
@pytest.mark.parametrize(("side", "body"), [("request", request_body()), ("response", order())])
def test_the_documented_example_has_no_finding(profile: str, side: Any, body: Any) -> None:
    assert list(Contract(profile).check_body(side, body)) == []


@PROFILES
@pytest.mark.parametrize("side", ["request", "response"])
def test_an_empty_object_is_an_error(profile: str, side: Any) -> None:
    assert len(Contract(profile).check_body(side, {}).errors) == 1


def test_every_item_of_a_list_is_looked_at() -> None:
    body = put(order(), "/customer/shipping_addresses/2/zip", 5)
    assert rules_at(Contract().check_body("response", body)) == [("wrong-type", "/customer/shipping_addresses/2/zip")]


def test_findings_are_ordered_by_pointer_with_indexes_as_numbers() -> None:
    body = order()
    body["customer"]["shipping_addresses"] = [resolve(body, "/customer/shipping_addresses/0") | {"zip": 1}] * 12
    pointers = [finding.pointer for finding in Contract().check_body("response", body)]
    assert pointers == [f"/customer/shipping_addresses/{index}/zip" for index in range(12)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [((1,), "Python tuple"), ({1}, "Python set"), (b"x", "Python bytes"), (object(), "Python object")],
)
def test_a_python_value_that_json_does_not_have_is_a_wrong_type(value: Any, kind: str) -> None:
    (finding,) = Contract().check_body("response", put(order(), "/status", value))
    assert finding.rule == "wrong-type"
    assert finding.got.startswith(kind)


def test_subclasses_of_json_types_count_as_what_they_derive_from() -> None:
    class Members(dict):  # type: ignore[type-arg]  # a plain subclass is what is tested
        pass

    class Text(str):
        __slots__ = ()

    body = Members(put(order(), "/status", Text("shipped")))
    assert list(Contract("strict").check_body("response", body)) == []
