"""Orders built from stories."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.bodies import order

from pytest_veeqo_alloc import Contract, Story, build_order, load_schema
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.orders.builder import example_value, money
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock
from pytest_veeqo_alloc.strategies.responses import free_fields

STRICT = Contract("strict")


def test_default_order_is_the_documented_example() -> None:
    assert json.dumps(build_order()) == json.dumps(order())


def test_orders_share_no_containers() -> None:
    def change(value: Any) -> None:
        for inner in list(value.values()) if isinstance(value, dict) else list(value):
            if isinstance(inner, (dict, list)):
                change(inner)
        if isinstance(value, dict):
            value.clear()
        else:
            value.append("changed")

    change(build_order())
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
    "price of 0": Story(lines=(Line(1, 1, price=0, cost=5, stock=()),), allocations=()),
    "another customer and time": Story(customer=Customer(9, "Ada", city="\u0645"), placed_at="2020-02-29T00:00:00.5+01:00"),
    "stock that is not in the story": Story(lines=(Line(1, 1, stock=()),), allocations=(Allocation(99, ((1, 1),)),)),
    "infinite stock": Story(lines=(Line(1, 1, stock=(Stock(5, infinite=True),)),), allocations=()),
    "one sellable in two lines": Story(lines=(Line(1, 1), Line(1, 2, price=5)), allocations=(Allocation(1784, ((1, 3),)),)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STORIES))
def test_order_of_a_story_satisfies_every_equation(name: str) -> None:
    assert list(STRICT.check_body("response", build_order(STORIES[name]))) == []


def test_order_contains_the_facts_of_its_story() -> None:
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
    assert made["deliver_to"]["city"] == made["customer"]["billing_address"]["city"] == "Otherton"
    assert made["created_at"] == made["line_items"][0]["updated_at"] == stock["updated_at"] == "2020-01-01T00:00:00Z"


def test_only_variant_of_a_product_has_no_sellable_title() -> None:
    made = build_order(leaves={("sellable", "title"): "Default"})
    sellable = made["line_items"][0]["sellable"]
    assert (sellable["title"], sellable["sellable_title"]) == ("Default", "")
    assert list(STRICT.check_body("response", made)) == []


def test_allocation_of_more_units_than_are_in_stock_makes_the_available_stock_negative() -> None:
    made = build_order(lines=(Line(stock=(Stock(physical=0, allocated=0),)),))
    sellable = made["line_items"][0]["sellable"]
    assert sellable["stock_entries"][0]["available_stock_level"] == -1
    assert sellable["inventory"]["available_stock_level_at_all_warehouses"] == -1
    assert made["allocated_completely"] is True
    assert list(STRICT.check_body("response", made)) == []


def test_allocation_of_a_sellable_that_was_not_ordered_is_rejected() -> None:
    with pytest.raises(ValueError, match="sellable 5 is allocated but not ordered: add a line for this sellable"):
        build_order(allocations=(Allocation(1, ((5, 1),)),))


def test_unknown_field_is_rejected() -> None:
    with pytest.raises(ValueError, match="unknown story field 'line': did you mean 'lines'"):
        build_order(line=())
    for key in (("order", "nope"), ("nope", "id")):
        with pytest.raises(ValueError, match="has no documented field"):
            build_order(leaves={key: 1})


def test_unknown_variant_is_rejected() -> None:
    with pytest.raises(ValueError, match="unknown variant 'observd': did you mean 'observed'"):
        build_order(variant="observd")  # type: ignore[arg-type]  # the wrong name is what is tested


@pytest.mark.parametrize(
    ("minor", "amount"), [(0, "0"), (100, "1"), (1399, "13.99"), (-5, "-0.05"), (-100, "-1"), (10**17, str(10**15))]
)
def test_whole_amount_of_money_is_an_integer(minor: int, amount: str) -> None:
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


def test_fields_that_are_not_free_follow_from_the_story() -> None:
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


def test_free_field_is_set_wherever_its_shape_occurs() -> None:
    documented = json.dumps(order())
    for shape, field in free_fields():
        value = 77 if field.type == "number" else [77] if field.type == "array" else "changed"
        made = json.dumps(build_order(leaves={(shape, field.name): value}))
        assert made != documented, (shape, field.name)
    named = build_order(leaves={("warehouse", "name"): "Other"})
    assert [
        resolve(named, p)["name"]
        for p in ("/allocations/0/warehouse", "/channel/default_warehouse", "/channel/channel_warehouses/0/warehouse")
    ] == ["Other"] * 3
    assert example_value("warehouse", "name") == "Example Warehouse"
