"""Equations on orders like those of 2017-18: several stock entries, negative amounts, discounts, tax, partial allocations."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from support.bodies import order, put, rules_at

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.contract.arithmetic import number
from pytest_veeqo_alloc.contract.rules import EQUATIONS
from pytest_veeqo_alloc.core.json_pointer import resolve

STRICT = Contract("strict")
ALL = "stock_level_at_all_warehouses"


def sellable(sellable_id: int, price: float, cost: float, stock: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """Return a sellable with one stock entry for each (warehouse, physical, allocated, incoming)."""
    made: dict[str, Any] = copy.deepcopy(order()["line_items"][0]["sellable"])
    template = made["stock_entries"][0]
    made |= {"id": sellable_id, "price": price, "cost_price": cost, "profit": round(price - cost, 2)}
    made["margin"] = round((price - cost) / price * 100, 2)
    made["stock_entries"] = [
        template
        | {
            "sellable_id": sellable_id,
            "warehouse_id": warehouse,
            "warehouse": template["warehouse"] | {"id": warehouse},
            "physical_stock_level": physical,
            "allocated_stock_level": allocated,
            "incoming_stock_level": incoming,
            "available_stock_level": physical - allocated,
            "sellable_on_hand_value": physical * cost,
        }
        for warehouse, physical, allocated, incoming in stock
    ]
    made["on_hand_value"] = sum(entry["sellable_on_hand_value"] for entry in made["stock_entries"])
    physical, allocated, incoming = (sum(row[column] for row in stock) for column in (1, 2, 3))
    levels = {f"available_{ALL}": physical - allocated, f"allocated_{ALL}": allocated}
    made["inventory"] |= {**levels, f"physical_{ALL}": physical, f"incoming_{ALL}": incoming}
    return made | {**levels, ALL: physical}


def order_of(
    lines: list[tuple[dict[str, Any], int, float]], allocated: list[dict[int, int]], **totals: float
) -> dict[str, Any]:
    """Return an order of (sellable, quantity, price) lines and one allocation for each mapping of sellable id to quantity."""
    body = order()
    line, allocation = body["line_items"][0], body["allocations"][0]
    inner = allocation["line_items"][0]
    body["line_items"] = [
        line | {"sellable": what, "quantity": many, "price_per_unit": price} for what, many, price in lines
    ]
    by_id = {what["id"]: what for what, _, _ in lines}
    body["allocations"] = [
        allocation
        | {
            "line_items": [
                inner | {"sellable": copy.deepcopy(by_id[which]), "quantity": many} for which, many in one.items()
            ]
        }
        for one in allocated
    ]
    covered = [sum(one.get(what["id"], 0) for one in allocated) >= many for what, many, _ in lines]
    discounts, tax, delivery = (totals.get(name, 0) for name in ("discounts", "tax", "delivery"))
    subtotal = round(sum(many * price for _, many, price in lines) - discounts, 2)
    return body | {
        "allocated_completely": all(covered),
        "total_discounts": discounts,
        "total_tax": tax,
        "delivery_cost": delivery,
        "subtotal_price": subtotal,
        "total_price": round(subtotal + tax + delivery, 2),
    }


COAT = sellable(101, 150.0, 100.0, [(5, 9, 12, 0), (6, 100, 1, 4)])
GIFT = sellable(102, 1.0, 2.0, [(5, 200, 2, 0)])
HAT = sellable(103, 75.0, 40.0, [(5, 21, 8, 0), (6, 0, 3, 10), (7, 1, 1, 0)])

ORDERS = {
    "allocated completely, in two parts": order_of([(COAT, 2, 150.0)], [{101: 1}, {101: 1}], delivery=3.0),
    "allocated in part": order_of(
        [(COAT, 1, 150.0), (HAT, 1, 75.0)], [{101: 1}], discounts=49.5, tax=35.54, delivery=2.0
    ),
    "nothing allocated, a negative margin": order_of([(COAT, 1, 150.0), (GIFT, 2, 10.0)], [], delivery=3.0),
    "more allocated than ordered": order_of([(GIFT, 1, 1.0)], [{102: 3}], tax=0.2),
    "no lines": order_of([], []),
}


@pytest.mark.parametrize("name", sorted(ORDERS))
def test_real_orders_of_2017_and_2018_satisfy_every_equation(name: str) -> None:
    assert list(STRICT.check_body("response", ORDERS[name])) == []


def test_negative_available_stock_and_margin_are_allowed() -> None:
    assert resolve(ORDERS["allocated in part"], "/line_items/0/sellable/stock_entries/0/available_stock_level") == -3
    assert resolve(ORDERS["nothing allocated, a negative margin"], "/line_items/1/sellable/margin") == -100


@pytest.mark.parametrize(
    ("pointer", "rule"),
    [
        ("/line_items/0/sellable/stock_entries/1/available_stock_level", "available-stock"),
        ("/line_items/1/sellable/inventory/incoming_stock_level_at_all_warehouses", "stock-totals"),
        ("/line_items/1/sellable/on_hand_value", "on-hand-value"),
        ("/subtotal_price", "subtotal"),
        ("/allocations/0/line_items/0/sellable/profit", "profit"),
    ],
)
def test_half_a_cent_is_rounding_and_a_cent_is_a_finding(pointer: str, rule: str) -> None:
    body = ORDERS["allocated in part"]
    assert rules_at(STRICT.check_body("response", put(body, pointer, resolve(body, pointer) + 0.0049))) == []
    found = rules_at(STRICT.check_body("response", put(body, pointer, resolve(body, pointer) + 0.01)))
    assert (rule, pointer) in found


def test_repeated_wrong_sellable_is_found_in_every_place() -> None:
    unsound = COAT | {"profit": 1.0}
    found = rules_at(STRICT.check_body("response", order_of([(unsound, 1, 150.0)], [{101: 1}])))
    assert found == [
        ("profit", "/allocations/0/line_items/0/sellable/profit"),
        ("profit", "/line_items/0/sellable/profit"),
    ]


def test_two_sellables_with_one_id_are_both_checked() -> None:
    body = order_of([(COAT, 1, 150.0)], [{101: 1}])
    found = rules_at(STRICT.check_body("response", put(body, "/line_items/0/sellable/profit", 1)))
    assert found == [("profit", "/line_items/0/sellable/profit")]


@pytest.mark.parametrize("huge", [10**400, -(10**400), 10**200, 1e308, 2**53])
def test_huge_numbers_are_ignored(huge: float) -> None:
    for pointer in (
        "/line_items/0/sellable/price",
        "/line_items/0/quantity",
        "/total_tax",
        "/line_items/0/sellable/stock_entries/0/physical_stock_level",
    ):
        body = put(order(), pointer, huge)
        json.dumps([finding.message for finding in STRICT.check_body("response", body)])


@pytest.mark.parametrize("value", [True, None, "1", [1], {}, float("nan"), float("inf"), 1e151])
def test_unusable_number_is_none(value: Any) -> None:
    assert number(value) is None


@pytest.mark.parametrize(
    "body", [None, [], "x", {"line_items": 1}, {"allocations": [1, {}], "line_items": [1, {"sellable": 1}]}]
)
def test_equation_without_operands_is_skipped(body: Any) -> None:
    assert EQUATIONS.isdisjoint(finding.rule for finding in STRICT.check_body("response", body))


@pytest.mark.parametrize("entries", [[1], [{"infinite": True}], 5])
def test_sum_with_an_unusable_entry_is_skipped(entries: Any) -> None:
    body = put(order(), "/line_items/0/sellable/stock_entries", entries)
    body = put(body, "/line_items/0/sellable/on_hand_value", 77)
    assert "on-hand-value" not in {finding.rule for finding in STRICT.check_body("response", body)}


def test_ids_of_the_wrong_type_are_not_compared() -> None:
    body = put(put(order(), "/payment/order_id", "1"), "/id", "2")
    assert {finding.rule for finding in STRICT.check_body("response", body)} == {"wrong-type"}


def test_finding_of_an_equation_shows_the_value_and_the_formula() -> None:
    (finding,) = STRICT.check_body("response", put(order(), "/total_price", 20))
    assert (finding.wanted, finding.got) == ("13.99 (total_price = subtotal_price + total_tax + delivery_cost)", "20")
