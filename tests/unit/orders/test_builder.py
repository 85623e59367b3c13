"""Orders from stories: the documented example, and what follows from each fact."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.bodies import fields, order

from pytest_veeqo_alloc import Contract, Story, build_order, load_schema
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.orders.builder import example_value, money
from pytest_veeqo_alloc.orders.observed import added_types, as_observed, nullable_pointers
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock
from pytest_veeqo_alloc.strategies.responses import free_fields

STRICT = Contract("strict")


def test_without_a_story_it_is_the_shipped_example_to_the_letter() -> None:
    assert json.dumps(build_order()) == json.dumps(order())


def test_each_order_is_the_callers_own() -> None:
    def spoil(value: Any) -> None:
        for inner in list(value.values()) if isinstance(value, dict) else list(value):
            if isinstance(inner, (dict, list)):
                spoil(inner)
        if isinstance(value, dict):
            value.clear()
        else:
            value.append("spoilt")

    spoil(build_order())
    assert build_order() == order()


STORIES = {
    "several lines from one warehouse": Story(
        lines=(Line(1, 2), Line(2, 1, price=500, cost=700)), allocations=(Allocation(1784, ((1, 2), (2, 1))),)
    ),
    "two allocations from two warehouses": Story(
        lines=(Line(1, 5, stock=(Stock(7, 9, 2), Stock(8, 0, 0, 3))),),
        allocations=(Allocation(7, ((1, 3),)), Allocation(8, ((1, 2),), id=5)),
    ),
    "allocated in part": Story(lines=(Line(1, 5), Line(2, 1)), allocations=(Allocation(1784, ((1, 2),)),)),
    "nothing allocated": Story(lines=(Line(1, 5),), allocations=()),
    "an allocation of nothing": Story(lines=(Line(1, 5),), allocations=(Allocation(5, ()),)),
    "no lines": Story(lines=(), allocations=()),
    "money": Story(lines=(Line(1, 3, price=1, cost=3, tax=17, paid=2, stock=(Stock(1, 7, 9),)),), allocations=(), discount=99, delivery=1),
    "free of charge": Story(lines=(Line(1, 1, price=0, cost=5, stock=()),), allocations=()),
    "another customer and time": Story(customer=Customer(9, "Ada", city="\u0645"), placed_at="2020-02-29T00:00:00.5+01:00"),
    "stock that nobody told of": Story(lines=(Line(1, 1, stock=()),), allocations=(Allocation(99, ((1, 1),)),)),
    "stock without end": Story(lines=(Line(1, 1, stock=(Stock(5, infinite=True),)),), allocations=()),
    "one sellable in two lines": Story(lines=(Line(1, 1), Line(1, 2, price=5)), allocations=(Allocation(1784, ((1, 3),)),)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STORIES))
def test_every_equation_holds_whatever_the_story(name: str) -> None:
    assert list(STRICT.check_body("response", build_order(STORIES[name]))) == []


def test_the_facts_of_a_story_stand_in_the_order() -> None:
    made = build_order(
        order_id=5,
        lines=(Line(1, 3, price=1050, cost=425, tax=70, stock=(Stock(7, 9, 2, 4),)),),
        allocations=(Allocation(7, ((1, 2),), id=11),),
        discount=100,
        delivery=399,
        customer=Customer(9, "Ada", "Example", "ada@example.com", "2 Example Road", "Otherton", "ZZ1 1ZZ", "FR"),
        placed_at="2020-01-01T00:00:00Z",
    )
    sellable, stock = made["line_items"][0]["sellable"], made["line_items"][0]["sellable"]["stock_entries"][0]
    assert (made["id"], made["number"], made["payment"]["order_id"]) == (5, "#P-5", 5)
    assert (made["subtotal_price"], made["total_tax"], made["total_discounts"], made["total_price"]) == (
        30.5,
        0.7,
        1,
        35.19,
    )
    assert (made["allocated_completely"], made["allocations"][0]["id"]) == (False, 11)
    assert (sellable["price"], sellable["cost_price"], sellable["profit"], sellable["margin"]) == (
        10.5,
        4.25,
        6.25,
        59.52,
    )
    assert (stock["physical_stock_level"], stock["allocated_stock_level"], stock["available_stock_level"]) == (9, 4, 5)
    assert (stock["sellable_on_hand_value"], sellable["on_hand_value"], stock["incoming_stock_level"]) == (
        38.25,
        38.25,
        4,
    )
    assert made["channel"]["default_warehouse"]["id"] == 7
    assert (made["customer"]["id"], made["customer"]["email"]) == (9, "ada@example.com")
    assert {made[a]["city"] for a in ("deliver_to",)} | {made["customer"]["billing_address"]["city"]} == {"Otherton"}
    assert made["created_at"] == made["line_items"][0]["updated_at"] == stock["updated_at"] == "2020-01-01T00:00:00Z"


def test_an_allocation_of_what_nobody_ordered_is_refused() -> None:
    with pytest.raises(ValueError, match="the story allocates sellable 5, which none of its lines orders"):
        build_order(allocations=(Allocation(1, ((5, 1),)),))


def test_a_field_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown field of a story 'line': did you mean 'lines'"):
        build_order(line=())
    for key in (("order", "nope"), ("nope", "id")):
        with pytest.raises(ValueError, match="there is no documented field"):
            build_order(leaves={key: 1})


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown variant 'observd': did you mean 'observed'"):
        build_order(variant="observd")  # type: ignore[arg-type]  # the wrong name is what is tested


@pytest.mark.parametrize(
    ("minor", "amount"), [(0, "0"), (100, "1"), (1399, "13.99"), (-5, "-0.05"), (-100, "-1"), (10**17, str(10**15))]
)
def test_money_is_whole_where_it_is_whole(minor: int, amount: str) -> None:
    assert json.dumps(money(minor)) == amount


FROM_THE_STORY = {
    "order": "allocated_completely delivery_cost id subtotal_price total_discounts total_price total_tax",
    "allocation": "id order_id",
    "allocation_line_item": "quantity",
    "line_item": "price_per_unit quantity",
    "sellable": (
        "allocated_stock_level_at_all_warehouses available_stock_level_at_all_warehouses cost_price id margin "
        "on_hand_value price product_title profit sellable_title stock_level_at_all_warehouses"
    ),
    "inventory": (
        "allocated_stock_level_at_all_warehouses available_stock_level_at_all_warehouses "
        "incoming_stock_level_at_all_warehouses infinite physical_stock_level_at_all_warehouses"
    ),
    "main_image": "product_id",
    "stock_entry": (
        "allocated_stock_level available_stock_level incoming_stock_level infinite physical_stock_level sellable_id "
        "sellable_on_hand_value warehouse_id"
    ),
    "warehouse": "id",
    "active_warehouse": "id",
    "company": "subscription_plan_id",
    "payment": "order_id",
}


def test_every_field_either_is_free_or_follows_from_the_story() -> None:
    schema = load_schema("response")
    shapes = {"order": schema, **schema["$defs"]}
    free = {(shape, field.name) for shape, field in free_fields()}
    derived = {(shape, name) for shape, names in FROM_THE_STORY.items() for name in names.split()}
    containers = {
        (shape, name)
        for shape, body in shapes.items()
        for name, field in body["properties"].items()
        if "$ref" in field or "items" in field
    }
    documented = {(shape, name) for shape, body in shapes.items() for name in body["properties"]}
    assert free | derived | containers == documented
    assert len(free) + len(derived) + len(containers) == len(documented)
    assert len(free) <= 255


def test_a_free_field_is_set_wherever_its_shape_stands() -> None:
    for shape, field in free_fields():
        value = 77 if field.type == "number" else [77] if field.type == "array" else "changed"
        made = json.dumps(build_order(leaves={(shape, field.name): value}))
        assert made != json.dumps(order()), (shape, field.name)
    named = build_order(leaves={("warehouse", "name"): "Other"})
    assert [
        resolve(named, p)["name"]
        for p in ("/allocations/0/warehouse", "/channel/default_warehouse", "/channel/channel_warehouses/0/warehouse")
    ] == ["Other"] * 3
    assert example_value("warehouse", "name") == "Example Warehouse"


def test_the_observed_variant_is_accepted_with_the_pack_and_refused_without() -> None:
    made = build_order(STORIES["two allocations from two warehouses"], variant="observed")
    assert list(Contract(deviations="observed").check_body("response", made)) == []
    assert len(Contract().check_body("response", made).errors) > 100


def test_every_null_that_was_seen_can_be_had_and_is_accepted() -> None:
    for pointer in nullable_pointers():
        made = as_observed(build_order(), nulls=[pointer])
        assert Contract(deviations="observed").check_body("response", made).ok, pointer


def test_the_additions_are_those_of_the_pack_with_the_types_that_were_seen() -> None:
    types = {"null": type(None), "boolean": bool, "number": int, "string": str, "object": dict, "array": list}
    made = as_observed(build_order())
    pack = Contract(deviations="observed").check_body("response", made).accepted
    added = {
        one.finding.pointer.replace("/0", "/*")
        for one in pack
        if one.finding.rule == "undocumented-field"
        and one.finding.pointer
        and "/1" not in one.finding.pointer
        and "/2" not in one.finding.pointer
    }
    assert added <= set(added_types())
    # Six of the additions hang under members that are absent themselves.
    assert len(added) > 230
    assert isinstance(made["currency_code"], types[added_types()["/currency_code"][0]])


def test_the_types_file_and_the_pack_name_the_same_members() -> None:
    import tomllib

    from pytest_veeqo_alloc.spec.loader import read_shipped_text

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
