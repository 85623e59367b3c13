"""Strategies for orders and interactions: what they generate is valid, varies, shrinks and is printed briefly."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.bodies import allocation_request, line_items
from support.examples import FEWER, examples

from pytest_veeqo_alloc import Contract, Interaction, build_order
from pytest_veeqo_alloc.core.json_pointer import resolve_all
from pytest_veeqo_alloc.orders.builder import nullable_pointers, observed_types
from pytest_veeqo_alloc.strategies import allocation_interactions, allocation_requests, allocation_responses
from pytest_veeqo_alloc.strategies.responses import GeneratedOrder, observed_values
from pytest_veeqo_alloc.strategies.values import DATES, REALISTIC_DATES
from pytest_veeqo_alloc.strategies.variations import ANSWER_VARIATIONS, StoryConstraints, draw_story

STRICT, DOCUMENTED = Contract("strict"), Contract("documented")
OBSERVED = Contract("strict", deviations="observed")


@pytest.fixture(scope="module")
def orders() -> list[dict[str, Any]]:
    return examples(allocation_responses(), 120)


@pytest.fixture(scope="module")
def extended_orders() -> list[dict[str, Any]]:
    return examples(allocation_responses(extra_fields=True), 20)


@pytest.fixture(scope="module")
def observed_orders() -> list[dict[str, Any]]:
    return examples(allocation_responses(variant="observed"), 300)


def bodies_of(interaction: Interaction) -> tuple[Any, Any]:
    assert interaction.request is not None
    assert interaction.response is not None
    return json.loads(interaction.request.body or b""), json.loads(interaction.response.body or b"")


def stocked_warehouses(order: dict[str, Any]) -> set[int]:
    return {entry["warehouse_id"] for line in order["line_items"] for entry in line["sellable"]["stock_entries"]}


def allocating_warehouses(order: dict[str, Any]) -> set[int]:
    return {allocation["warehouse"]["id"] for allocation in order["allocations"]}


def test_response_has_no_error(orders: list[dict[str, Any]]) -> None:
    for order in orders[:60]:
        findings = STRICT.check_body("response", order)
        assert findings.ok, findings
        assert {finding.rule for finding in findings} <= {"untyped-field-value"}


@FEWER
@given(allocation_interactions())
def test_interaction_has_no_error_and_echoes_its_request(interaction: Interaction) -> None:
    assert STRICT.check(interaction).ok


@FEWER
@given(st.data())
def test_response_answers_the_given_request(data: st.DataObject) -> None:
    request = data.draw(allocation_requests(unique_sellables=False))
    order = data.draw(allocation_responses(request=request, order_ids=[7]))
    assert order["id"] == 7
    requested = {line["sellable_id"] for line in line_items(request)}
    assert {line["sellable"]["id"] for line in order["line_items"]} == requested
    assert request["allocation"]["warehouse_id"] in allocating_warehouses(order)
    assert STRICT.check_body("response", order).ok


@FEWER
@given(allocation_responses(variant="observed"))
def test_observed_variant_is_accepted_only_with_the_observed_deviations(order: dict[str, Any]) -> None:
    assert OBSERVED.check_body("response", order).ok
    assert not DOCUMENTED.check_body("response", order).ok


def test_observed_values_have_every_observed_type() -> None:
    types = {bool: "boolean", int: "number", float: "number", str: "string", dict: "object", list: "array"}
    found: dict[str, set[str]] = {}

    def note(pointer: str, value: Any) -> None:
        found.setdefault(pointer, set()).add(types.get(type(value), "null"))
        for name, inner in value.items() if isinstance(value, dict) else ():
            note(f"{pointer}/{name}", inner)
        for inner in value if isinstance(value, list) else ():
            note(f"{pointer}/*", inner)

    for index in range(24):
        for byte in range(1, 256):
            for pointer, value in observed_values(bytes(index) + bytes([byte])).items():
                note(pointer, value)
    observed = observed_types("added", "earlier", "untyped", "arrays", "members")
    assert {pointer: sorted(kinds) for pointer, kinds in found.items()} == {
        pointer: sorted(kinds) for pointer, kinds in observed.items()
    }


TRAITS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "no delivery method": lambda order: order["delivery_method"] is None,
    "no reference number": lambda order: resolve_all(order, "/payment/reference_number") == [None],
    "over-allocation": lambda order: min(resolve_all(order, f"{_ENTRIES}/available_stock_level")) < 0,
    "an only variant": lambda order: "" in resolve_all(order, "/line_items/*/sellable/sellable_title"),
    "an id near 2**31": lambda order: abs(order["id"] - 2**31) <= 1,
    "returns": lambda order: bool(resolve_all(order, "/returns/*/line_items/*/refund_amount")),
    "tags": lambda order: bool(resolve_all(order, "/tags/*/colour")),
    "notes": lambda order: bool(resolve_all(order, "/employee_notes/*/mentions/*/login")),
    "a shipment": lambda order: {} in resolve_all(order, "/allocations/*/shipment/charges"),
    "a changed order": lambda order: bool(resolve_all(order, "/updated_by/login")),
    "a discount of 2017": lambda order: "discount_amount" in order,
    "a requested carrier account": lambda order: (
        True in resolve_all(order, f"{_ENTRIES}/warehouse/requested_carrier_account")
    ),
}
_ENTRIES = "/line_items/*/sellable/stock_entries/*"


@pytest.mark.parametrize("trait", TRAITS)
def test_observed_variant_sometimes_has(trait: str, observed_orders: list[dict[str, Any]]) -> None:
    assert any(map(TRAITS[trait], observed_orders))
    assert not all(map(TRAITS[trait], observed_orders))


@pytest.mark.parametrize("pointer", nullable_pointers())
def test_observed_variant_sometimes_has_null_at(pointer: str, observed_orders: list[dict[str, Any]]) -> None:
    assert any(None in resolve_all(order, pointer) for order in observed_orders)


def test_extra_fields_add_only_undocumented_members(extended_orders: list[dict[str, Any]]) -> None:
    for order in extended_orders:
        assert {finding.rule for finding in STRICT.check_body("response", order).errors} <= {"undocumented-field"}
        assert DOCUMENTED.check_body("response", order).ok


def test_extra_fields_occur_at_the_root_and_below(extended_orders: list[dict[str, Any]]) -> None:
    nested = {
        finding.pointer.count("/") > 1
        for order in extended_orders
        for finding in STRICT.check_body("response", order).errors
        if finding.pointer
    }
    assert nested == {True, False}


@FEWER
@given(allocation_responses(complete=True), allocation_responses(complete=False))
def test_complete_decides_whether_everything_is_allocated(whole: dict[str, Any], part: dict[str, Any]) -> None:
    assert whole["allocated_completely"] is True
    assert part["allocated_completely"] is False
    assert STRICT.check_body("response", whole).ok
    assert STRICT.check_body("response", part).ok


@FEWER
@given(
    allocation_responses(order_ids={9}, warehouse_ids=[5, 6], sellable_ids=range(100, 104), min_lines=2, max_lines=3)
)
def test_response_respects_its_pools_and_limits(order: dict[str, Any]) -> None:
    assert order["id"] == 9
    assert 2 <= len(order["line_items"]) <= 3
    assert {line["sellable"]["id"] for line in order["line_items"]} <= set(range(100, 104))
    assert allocating_warehouses(order) <= {5, 6}
    assert stocked_warehouses(order) <= {5, 6}
    assert STRICT.check_body("response", order).ok


@FEWER
@given(
    allocation_interactions(
        order_ids=st.just(3), warehouse_ids=st.just(4), sellable_ids=st.integers(1, 50), max_quantity=2
    )
)
def test_interaction_respects_strategies_given_as_pools(interaction: Interaction) -> None:
    request, order = bodies_of(interaction)
    assert interaction.request is not None
    assert interaction.request.url == "https://api.example.com/orders/3/allocations"
    assert (order["id"], request["allocation"]["warehouse_id"]) == (3, 4)
    assert STRICT.check(interaction).ok


@FEWER
@given(allocation_interactions(warehouse_ids=[7], sellable_ids=[1]))
def test_interaction_mentions_no_warehouse_outside_its_pool(interaction: Interaction) -> None:
    _, order = bodies_of(interaction)
    assert stocked_warehouses(order) | allocating_warehouses(order) == {7}


def test_texts_include_those_that_break_clients(orders: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(order, ensure_ascii=False) for order in orders)
    for piece in ('\\"', "\\\\", "\\n", "\u202e", "\u0645", "\U0001f4e6", "x" * 1000, "</script>", ': ""', "\\u0000"):
        assert piece in text


def test_answer_may_allocate_less_than_requested() -> None:
    request = allocation_request(50, warehouse_id=3, sellable_id=1)
    line_items(request).append({"sellable_id": 2, "quantity": 7})
    answers = examples(allocation_responses(request=request), 200)
    allocated = {
        tuple((line["sellable"]["id"], line["quantity"]) for line in order["allocations"][0]["line_items"])
        for order in answers
    }
    assert ((1, 50), (2, 7)) in allocated
    assert ((2, 7),) in allocated
    assert len(allocated) > 3
    assert len({order["id"] for order in answers}) > 3


def test_no_container_of_an_order_is_shared(extended_orders: list[dict[str, Any]]) -> None:
    def containers(value: Any) -> list[int]:
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        own = [id(value)] if isinstance(value, (dict, list)) else []
        return own + [container for item in inner for container in containers(item)]

    for order in extended_orders:
        found = containers(order)
        assert len(found) == len(set(found))


def test_repr_of_an_order_lists_its_differences_from_the_documented_one() -> None:
    assert repr(GeneratedOrder(build_order())) == "<the documented order>"
    order = GeneratedOrder(build_order(delivery=501))
    assert repr(order) == "<the documented order but /delivery_cost: 5.01, /total_price: 19>"
    assert type(order).__mro__[1] is dict
    del order["id"]
    order["customer"]["phone"] = "x" * 100
    order["a/b"] = {}
    order["\x1b[31m"] = 1
    assert repr(order) == (
        f"<the documented order but /customer/phone: '{'x' * 56}..., /delivery_cost: 5.01, /total_price: 19, "
        "/(name of 3 characters): {}, /(name of 5 characters): 1, /id: absent>"
    )


def test_repr_of_an_order_shows_the_objects_of_a_longer_array() -> None:
    order = GeneratedOrder(build_order())
    extra = copy.deepcopy(order["allocations"][0])
    extra["id"] = 7
    order["allocations"].append(extra)
    assert repr(order) == "<the documented order but /allocations: 2 items, /allocations/1/id: 7>"
    order["allocations"] = []
    assert repr(order) == "<the documented order but /allocations: []>"


def test_interaction_is_printed_as_its_request_and_how_the_order_differs() -> None:
    @settings(max_examples=1, database=None, phases=[Phase.generate])
    @given(allocation_interactions())
    def fails(interaction: Interaction) -> None:
        raise AssertionError(repr(interaction))

    with pytest.raises(AssertionError) as caught:
        fails()
    printed = str(caught.value)
    assert printed.startswith("<Interaction: POST https://api.example.com/orders/")
    assert "{'allocation': {'warehouse_id': " in printed
    assert ", answered with <the documented order but " in printed
    assert printed in "".join(caught.value.__notes__)  # what Hypothesis prints


def test_repr_of_an_order_stays_short() -> None:
    different = allocation_responses(min_lines=2, extra_fields=True, variant="observed")
    assert all(len(repr(order)) < 4000 for order in examples(different, 20))


@settings(FEWER)
@given(st.data(), allocation_requests(max_lines=2, max_quantity=2))
def test_answer_with_every_variation_allocates_something_that_was_requested(data: Any, body: Any) -> None:
    unlimited = StoryConstraints(None, None, None, 1, 10, 10, None)
    allocation = draw_story(data.draw, unlimited, body, set(ANSWER_VARIATIONS)).allocations[0]
    requested = {line["sellable_id"] for line in body["allocation"]["line_items_attributes"]}
    assert {sellable for sellable, _ in allocation.lines} & requested


@pytest.fixture(scope="module")
def realistic_interactions() -> list[Interaction]:
    return examples(allocation_interactions(realistic=True), 60)


def test_realistic_interaction_has_no_finding_but_untyped_nulls(realistic_interactions: list[Interaction]) -> None:
    for interaction in realistic_interactions:
        assert {finding.rule for finding in STRICT.check(interaction)} <= {"untyped-field-value"}


def test_realistic_order_has_the_ids_prices_and_dates_of_a_shop(realistic_interactions: list[Interaction]) -> None:
    orders = [*(bodies_of(interaction)[1] for interaction in realistic_interactions)]
    orders += examples(allocation_responses(realistic=True), 60)
    for order in orders:
        assert abs(order["id"] - 2**31) <= 10**8
        assert all(len(str(entry["id"])) == 9 for entry in order["allocations"])
        assert all(line["quantity"] <= 15 and line["sellable"]["price"] < 200 for line in order["line_items"])
        assert 2020 < datetime.fromisoformat(order["created_at"]).year < 2030
        assert order["deliver_to"]["first_name"] in {"Amelia", "Chlo\u00e9", "J\u00fcrgen", "Riley"}
    assert {len(order["allocations"]) for order in orders} >= {1, 2}
    assert {len(order["line_items"]) for order in orders} >= {1, 2}


def test_realistic_order_obeys_the_other_arguments() -> None:
    strategy = allocation_responses(realistic=True, order_ids=[7], warehouse_ids=[5], complete=True, variant="observed")
    for order in examples(strategy, 20):
        assert order["id"] == 7
        assert order["allocated_completely"] is True
        assert allocating_warehouses(order) <= {5}
        assert OBSERVED.check_body("response", order).ok


def test_every_generated_date_exists() -> None:
    for text in (*DATES, *REALISTIC_DATES):
        assert datetime.fromisoformat(text).tzinfo is not None
