"""Orders with the members that the live API was observed to return."""

from __future__ import annotations

import json
import tomllib

from support.bodies import fields

from pytest_veeqo_alloc import Contract, Story, build_order
from pytest_veeqo_alloc.orders.observed import added_types, as_observed, nullable_pointers
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock
from pytest_veeqo_alloc.spec.loader import read_shipped_text


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


def test_added_members_have_observed_types() -> None:
    types = {"null": type(None), "boolean": bool, "number": int, "string": str, "object": dict, "array": list}
    made = as_observed(build_order())
    pack = Contract(deviations="observed").check_body("response", made).accepted
    added = {
        deviation.finding.pointer.replace("/0", "/*")
        for deviation in pack
        if deviation.finding.rule == "undocumented-field"
        and deviation.finding.pointer
        and "/1" not in deviation.finding.pointer
        and "/2" not in deviation.finding.pointer
    }
    assert added <= set(added_types())
    # Six of the additions are members of objects that are themselves absent.
    assert len(added) > 230
    assert isinstance(made["currency_code"], types[added_types()["/currency_code"][0]])


def test_types_file_and_deviations_list_the_same_members() -> None:
    pack = {
        table["rule"]: set(table["pointer"])
        for table in tomllib.loads(read_shipped_text("schemas/deviations/observed.toml"))["deviation"]
    }
    seen = json.loads(read_shipped_text("schemas/deviations/observed-types.json"))
    assert set(seen["added"]) == pack["undocumented-field"]
    assert set(seen["untyped"]) == pack["untyped-field-value"]
    assert {rule: len(pointers) for rule, pointers in pack.items()} == {
        "null-value": 18, "absent-field": 62, "undocumented-field": 239, "untyped-field-value": 20,
    }  # fmt: skip
    documented = {pointer.replace("/0", "/*") for pointer, _ in fields()}
    assert pack["absent-field"] | pack["null-value"] | pack["untyped-field-value"] <= documented
    assert not pack["undocumented-field"] & documented
