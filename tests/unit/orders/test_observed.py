"""Orders with the members that the live API was observed to return."""

from __future__ import annotations

import json
import re

from support.bodies import fields

from pytest_veeqo_alloc import Contract, Story, build_order
from pytest_veeqo_alloc.core.json_pointer import resolve_all
from pytest_veeqo_alloc.orders.builder import as_observed, nullable_pointers, observed_types
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock
from pytest_veeqo_alloc.spec.loader import load_deviations, read_shipped_text


def test_observed_variant_is_accepted_only_with_the_observed_deviations() -> None:
    story = Story(
        lines=(Line(1, 5, stock=(Stock(7, 9, 2), Stock(8, 0, 0, 3))),),
        allocations=(Allocation(7, ((1, 3),)), Allocation(8, ((1, 2),), id=5)),
    )
    made = build_order(story, variant="observed")
    assert list(Contract(deviations="observed").check_body("response", made)) == []
    assert len(Contract().check_body("response", made).errors) > 100


def test_every_observed_null_is_accepted() -> None:
    contract = Contract(deviations="observed")
    for pointer in nullable_pointers():
        made = as_observed(build_order(), nulls=[pointer])
        assert contract.check_body("response", made).ok, pointer


def test_members_have_the_types_of_2026() -> None:
    types = {"null": type(None), "boolean": bool, "number": int, "string": str, "object": dict, "array": list}
    made, added = as_observed(build_order()), observed_types("added")
    found = {pointer: resolve_all(made, pointer) for pointer in added}
    assert {type(value) for pointer, values in found.items() for value in values} == set(types.values())
    for pointer, values in found.items():
        assert {type(value) for value in values} == {types[added[pointer][0]]}, pointer


def test_date_times_have_milliseconds_and_one_an_offset() -> None:
    made = build_order(Story(placed_at="2026-11-23T21:18:00+01:00"), variant="observed")
    assert (made["created_at"], made["line_items"][0]["sellable"]["created_at"][-5:]) == (
        "2026-11-23T21:18:00+01:00",
        ".266Z",
    )
    assert (made["allocations"][0]["preferred_shipment_date"][-6:], made["dispatch_date"][-5:]) == ("-00:00", ".000Z")
    assert not re.search(r":[0-9]{2}Z", json.dumps(made))


def test_member_that_is_set_or_null_is_kept_with_the_objects_around_it() -> None:
    setting, website = "/created_by/company/setting", "/created_by/company/referring_website"
    made = as_observed(build_order(), values={setting: {"currency_code": "GBP"}}, nulls=[website])
    company = made["created_by"]["company"]
    assert (company["setting"], company["referring_website"]) == ({"currency_code": "GBP"}, None)
    assert "pending_setup" not in made["channel"]
    assert list(Contract("strict", deviations="observed").check_body("response", made)) == []


def pack() -> dict[str, list[str]]:
    """Return the pointers of the deviations `observed`, by rule."""
    pointers: dict[str, list[str]] = {}
    for deviation in load_deviations("observed"):
        pointers.setdefault(deviation.rule, []).append(deviation.place)
    return pointers


def test_every_deviation_is_listed_once_and_has_a_source() -> None:
    assert all(len(pointers) == len(set(pointers)) for pointers in pack().values())
    assert all(deviation.source for deviation in load_deviations("observed"))


def test_no_deviation_excuses_arithmetic() -> None:
    assert set(pack()) == {"null-value", "absent-field", "undocumented-field", "untyped-field-value"}


def test_types_file_and_deviations_list_the_same_members() -> None:
    assert set(observed_types("added", "earlier")) == set(pack()["undocumented-field"])
    assert set(observed_types("untyped")) == set(pack()["untyped-field-value"])


def test_deviations_match_the_documented_fields() -> None:
    types = {pointer.replace("/0", "/*"): field.get("type") for pointer, field in fields()}
    assert all(types[pointer] is not None for pointer in pack()["null-value"])
    assert all(types[pointer] is None for pointer in pack()["untyped-field-value"])
    assert all(types[pointer] == "array" for pointer in observed_types("arrays"))
    assert set(pack()["absent-field"]) <= set(types)
    assert not set(pack()["undocumented-field"]) & set(types)


def test_members_are_below_an_observed_object_or_array() -> None:
    members = observed_types("members")
    around = observed_types("added", "earlier", "untyped", "arrays", "members")
    for pointer in members:
        parent, _, name = pointer.rpartition("/")
        assert ("array" if name == "*" else "object") in around[parent], pointer


def test_documentation_states_the_numbers_of_deviations() -> None:
    text = " ".join(read_shipped_text("schemas/SOURCES.md").split())
    nulls, absent, undocumented, untyped = (
        len(pack()[rule]) for rule in ("null-value", "absent-field", "undocumented-field", "untyped-field-value")
    )
    assert (
        f"{nulls} members that were null, {absent} that were absent although their parent was present, "
        f"{undocumented} undocumented ones, and {untyped} of the 122 without a type that had a value"
    ) in text
