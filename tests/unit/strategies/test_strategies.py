"""The strategies: what they make is valid or broken as they say, varies, and shrinks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from support.examples import examples

from pytest_veeqo_alloc import Contract, build_order
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.strategies import (
    Broken,
    allocation_interactions,
    allocation_requests,
    allocation_responses,
    invalid_allocation_requests,
    invalid_allocation_responses,
    malformed_bodies,
    order_ids,
)
from pytest_veeqo_alloc.strategies.invalid_requests import REQUEST_MUTATIONS
from pytest_veeqo_alloc.strategies.invalid_responses import RESPONSE_MUTATIONS
from pytest_veeqo_alloc.strategies.responses import GeneratedOrder

STRICT = Contract("strict")


def lines_of(payload: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = payload["allocation"]["line_items_attributes"]
    return listed


# Valid


@given(allocation_requests())
def test_a_request_has_no_finding_at_all(payload: dict[str, Any]) -> None:
    assert list(STRICT.check_body("request", payload)) == []


@given(allocation_responses())
def test_a_response_has_no_error(order: dict[str, Any]) -> None:
    findings = STRICT.check_body("response", order)
    assert findings.ok, findings
    assert {finding.rule for finding in findings} <= {"untyped-field-value"}


@given(allocation_interactions())
def test_an_interaction_has_no_error_and_no_echo_amiss(interaction: Any) -> None:
    assert STRICT.check(interaction).ok


@given(st.data())
def test_a_response_answers_the_request_that_is_given(data: st.DataObject) -> None:
    sent = data.draw(allocation_requests(unique_sellables=False))
    order = data.draw(allocation_responses(request=sent, order_ids=[7]))
    asked = {line["sellable_id"] for line in lines_of(sent)}
    assert order["id"] == 7
    assert {line["sellable"]["id"] for line in order["line_items"]} == asked
    assert any(one["warehouse"]["id"] == sent["allocation"]["warehouse_id"] for one in order["allocations"])
    assert STRICT.check_body("response", order).ok


@given(allocation_responses(variant="observed"))
def test_the_observed_variant_needs_the_pack_and_is_clean_with_it(order: dict[str, Any]) -> None:
    assert Contract("documented", deviations="observed").check_body("response", order).ok
    assert not Contract("documented").check_body("response", order).ok


@given(allocation_responses(extra_fields=True))
def test_extra_fields_are_undocumented_members_and_nothing_else(order: dict[str, Any]) -> None:
    assert {finding.rule for finding in STRICT.check_body("response", order).errors} <= {"undocumented-field"}
    assert Contract("documented").check_body("response", order).ok


def test_extra_fields_come_at_the_root_and_below() -> None:
    found = {
        finding.pointer.count("/") > 1
        for order in examples(allocation_responses(extra_fields=True), 50)
        for finding in STRICT.check_body("response", order).errors
        if finding.pointer
    }
    assert found == {True, False}


@given(allocation_responses(complete=True), allocation_responses(complete=False))
def test_complete_says_whether_everything_is_allocated(whole: dict[str, Any], part: dict[str, Any]) -> None:
    assert whole["allocated_completely"] is True
    assert part["allocated_completely"] is False
    assert STRICT.check_body("response", whole).ok
    assert STRICT.check_body("response", part).ok


POOLS: dict[str, Any] = {"warehouse_ids": [5, 6], "sellable_ids": range(100, 104)}


@given(allocation_requests(**POOLS, min_lines=2, max_lines=3, max_quantity=4))
def test_a_request_keeps_to_its_pools_and_limits(payload: dict[str, Any]) -> None:
    lines = lines_of(payload)
    assert payload["allocation"]["warehouse_id"] in (5, 6)
    assert 2 <= len(lines) <= 3
    assert {line["sellable_id"] for line in lines} <= set(range(100, 104))
    assert len({line["sellable_id"] for line in lines}) == len(lines)
    assert all(1 <= line["quantity"] <= 4 for line in lines)


@given(allocation_responses(**POOLS, order_ids={9}, min_lines=2, max_lines=3))
def test_a_response_keeps_to_its_pools_and_limits(order: dict[str, Any]) -> None:
    assert order["id"] == 9
    assert 2 <= len(order["line_items"]) <= 3
    assert {line["sellable"]["id"] for line in order["line_items"]} <= set(range(100, 104))
    assert {one["warehouse"]["id"] for one in order["allocations"]} <= {5, 6}
    assert {entry["warehouse_id"] for line in order["line_items"] for entry in line["sellable"]["stock_entries"]} <= {
        5,
        6,
    }
    assert STRICT.check_body("response", order).ok


@given(
    allocation_interactions(
        order_ids=st.just(3), warehouse_ids=st.just(4), sellable_ids=st.integers(1, 50), max_quantity=2
    )
)
def test_an_interaction_keeps_to_strategies_given_as_pools(interaction: Any) -> None:
    sent, order = json.loads(interaction.request.body), json.loads(interaction.response.body)
    assert interaction.request.url == "https://api.example.com/orders/3/allocations"
    assert (order["id"], sent["allocation"]["warehouse_id"]) == (3, 4)
    assert STRICT.check(interaction).ok


def test_a_sellable_may_repeat_only_where_that_is_asked_for() -> None:
    def repeats(payload: dict[str, Any]) -> bool:
        return len({line["sellable_id"] for line in lines_of(payload)}) < len(lines_of(payload))

    assert any(map(repeats, examples(allocation_requests(unique_sellables=False, min_lines=2), 200)))
    assert any(map(repeats, examples(allocation_requests(unique_sellables=False, sellable_ids=[1], min_lines=2), 5)))
    assert not any(map(repeats, examples(allocation_requests(), 200)))


def test_ids_go_beyond_32_bits_up_to_the_largest_that_every_reader_keeps() -> None:
    ids = examples(order_ids(), 300)
    assert all(1 <= one <= 2**53 - 1 for one in ids)
    assert any(one > 2**31 for one in ids)
    sellables = [line["sellable_id"] for payload in examples(allocation_requests(), 300) for line in lines_of(payload)]
    assert 2**31 < max(sellables) <= 2**53 - 1


def test_requests_have_one_to_ten_lines() -> None:
    assert {len(lines_of(payload)) for payload in examples(allocation_requests(), 500)} == set(range(1, 11))


def test_texts_cover_what_breaks_clients() -> None:
    orders = "".join(json.dumps(order, ensure_ascii=False) for order in examples(allocation_responses(), 300))
    for piece in ('\\"', "\\\\", "\\n", "\u202e", "\u0645", "\U0001f4e6", "x" * 1000, "</script>", ': ""', "\\u0000"):
        assert piece in orders


@given(allocation_interactions(warehouse_ids=[7], sellable_ids=[1]))
def test_an_interaction_names_no_warehouse_outside_its_pool(interaction: Any) -> None:
    order = json.loads(interaction.response.body)
    stock = {entry["warehouse_id"] for line in order["line_items"] for entry in line["sellable"]["stock_entries"]}
    assert stock | {one["warehouse"]["id"] for one in order["allocations"]} == {7}


def test_an_answer_may_fall_short_of_its_request() -> None:
    sent = {
        "allocation": {
            "warehouse_id": 3,
            "line_items_attributes": [{"sellable_id": 1, "quantity": 50}, {"sellable_id": 2, "quantity": 7}],
        }
    }
    answers = examples(allocation_responses(request=sent), 300)
    given_units = {
        tuple((line["sellable"]["id"], line["quantity"]) for line in order["allocations"][0]["line_items"])
        for order in answers
    }
    assert ((1, 50), (2, 7)) in given_units
    assert ((2, 7),) in given_units
    assert len(given_units) > 3
    assert len({order["id"] for order in answers}) > 3


def test_a_long_range_is_a_pool_like_any_other() -> None:
    (payload,) = examples(allocation_requests(sellable_ids=range(1, 2**50)), 1)
    assert STRICT.check_body("request", payload).ok


@pytest.mark.parametrize("wrong", [st.just(0), st.none(), st.just("x"), st.booleans(), st.just(1.5), st.just(2**53)])
def test_a_strategy_that_makes_no_ids_is_told_by_the_name_of_its_argument(wrong: Any) -> None:
    for make in (lambda: allocation_requests(sellable_ids=wrong), lambda: allocation_responses(order_ids=wrong)):
        with pytest.raises(
            InvalidArgument, match=r"(sellable|order)_ids takes ids from 1 to 2\*\*53 - 1; this strategy made "
        ):
            examples(make(), 1)


def test_nothing_in_an_order_stands_in_two_places() -> None:
    def containers(value: Any) -> list[int]:
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        own = [id(value)] if isinstance(value, (dict, list)) else []
        return own + [each for one in inner for each in containers(one)]

    for order in examples(allocation_responses(extra_fields=True), 100):
        found = containers(order)
        assert len(found) == len(set(found))


def test_what_a_test_does_to_an_example_is_not_seen_by_the_next() -> None:
    def spoil(value: Any) -> None:
        for inner in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
            spoil(inner)
        if isinstance(value, dict):
            value["spoilt"] = True

    @settings(max_examples=300, database=None)
    @given(st.one_of(invalid_allocation_requests(), invalid_allocation_responses()))
    def run(broken: Broken) -> None:
        assert "spoilt" not in json.dumps(broken.payload)
        spoil(broken.payload)

    run()


# Variety


# Shrinking


def test_without_a_reason_everything_shrinks_to_the_plainest() -> None:
    assert find(allocation_responses(), lambda order: True, settings=settings(database=None)) == build_order()
    assert find(allocation_requests(), lambda payload: True, settings=settings(database=None)) == {
        "allocation": {"warehouse_id": 1, "line_items_attributes": [{"sellable_id": 1, "quantity": 1}]}
    }


def test_an_order_is_printed_as_what_it_has_of_its_own() -> None:
    order = find(allocation_responses(), lambda order: order["delivery_cost"] > 5, settings=settings(database=None))
    assert type(order).__mro__[1] is dict
    assert "/delivery_cost: 5.01" in repr(order)
    plain = allocation_responses(min_lines=2, extra_fields=True, variant="observed")
    assert all(len(repr(order)) < 4000 for order in examples(plain, 50))


def test_what_differs_is_told_by_pointer_with_what_is_absent_and_what_is_more() -> None:
    order = GeneratedOrder(build_order())
    assert repr(order) == "<the documented order>"
    del order["id"]
    order["customer"]["phone"] = "x" * 100
    order["a/b"] = {}
    order["\x1b[31m"] = 1
    assert (
        repr(order)
        == f"<the documented order but /customer/phone: '{'x' * 56}..., /(name of 3 characters): {{}}, /(name of 5 characters): 1, /id: absent>"
    )


# Broken


def told(side: Any, broken: Broken) -> list[tuple[str, str | None]]:
    return [(error.rule, error.pointer) for error in STRICT.check_body(side, broken.payload).errors]


@settings(max_examples=500)
@given(invalid_allocation_requests())
def test_a_broken_request_has_exactly_the_error_of_its_label(broken: Broken) -> None:
    assert told("request", broken) == [(broken.rule, broken.pointer)]


@settings(max_examples=500)
@given(invalid_allocation_responses())
def test_a_broken_response_has_exactly_the_error_of_its_label(broken: Broken) -> None:
    assert told("response", broken) == [(broken.rule, broken.pointer)]


BYTES = {"body-missing", "not-json", "not-utf8", "byte-order-mark", "duplicate-key"}
"""Rules that bytes can break and values cannot: those of `malformed_bodies`."""


def test_every_rule_that_a_body_can_break_is_reachable() -> None:
    rows = {rule.id: rule.sides for rule in CATALOGUE.values() if rule.subject in ("body", "order")}
    # The echo needs a request beside the body, and a field without a type is never an error.
    bodily = rows.keys() - BYTES - {"order-echo", "allocation-echo", "untyped-field-value"}
    # All fields of a request are marked required, or hold such.
    assert set(REQUEST_MUTATIONS) == {rule for rule in bodily if "request" in rows[rule]} - {"absent-field"}
    assert set(RESPONSE_MUTATIONS) == {rule for rule in bodily if "response" in rows[rule]}
    for strategy, breakers in (
        (invalid_allocation_requests(), REQUEST_MUTATIONS),
        (invalid_allocation_responses(), RESPONSE_MUTATIONS),
    ):
        seen: set[str] = set()
        for number in range(20):
            seen |= {broken.rule for broken in examples(strategy, 300, number)}
            if seen == set(breakers):
                break
        assert seen == set(breakers)
    assert all(CATALOGUE[rule].severities["strict"] == "error" for rule in (*REQUEST_MUTATIONS, *RESPONSE_MUTATIONS))


def test_malformed_bodies_break_every_rule_of_the_reading() -> None:
    broken = set()
    for body in examples(malformed_bodies(), 400):
        errors = STRICT.check_body("request", body).errors
        assert errors, body[:100]
        broken |= {error.rule for error in errors}
    assert broken >= BYTES | {"too-deep", "non-finite-number"}


# Other judges


# Wrong arguments


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: allocation_requests(sellable_ids=[]), "sellable_ids takes a sequence of whole numbers from 1 to 2**53 - 1, or a strategy for them; this one is empty"),
        (lambda: allocation_requests(warehouse_ids="12"), "warehouse_ids takes a sequence of whole numbers from 1 to 2**53 - 1, or a strategy for them, not str"),
        (lambda: allocation_requests(warehouse_ids=5), "warehouse_ids takes a sequence of whole numbers from 1 to 2**53 - 1, or a strategy for them, not int"),
        (lambda: allocation_requests(sellable_ids=[1, "2"]), "sellable_ids takes a sequence of whole numbers from 1 to 2**53 - 1, or a strategy for them; str is none"),
        (lambda: allocation_requests(sellable_ids=[1, True]), "; True is none"),
        (lambda: allocation_responses(order_ids=[1.5]), "order_ids takes a sequence of whole numbers from 1 to 2**53 - 1, or a strategy for them; 1.5 is none"),
        (lambda: allocation_responses(order_ids=[0]), "; 0 is none"),
        (lambda: allocation_requests(min_lines=3, max_lines=2), "min_lines=3 is more than max_lines=2: give a larger max_lines"),
        (lambda: allocation_requests(min_lines=0), "min_lines takes a whole number from 1 to 1000, not 0"),
        (lambda: allocation_requests(max_lines=2.5), "max_lines takes a whole number from 1 to 1000, not 2.5"),
        (lambda: allocation_requests(max_quantity=0), "max_quantity takes a whole number from 1 to 1000000000, not 0"),
        (lambda: allocation_requests(max_quantity="9"), "max_quantity takes a whole number from 1 to 1000000000, not str"),
        (lambda: allocation_requests(sellable_ids=[1, 2, 2], min_lines=3), "min_lines=3 lines of unique sellables need as many sellable_ids; there are 2"),
        (lambda: allocation_requests(unique_sellables=None), "unique_sellables is one of True, False, not None"),
        (lambda: allocation_responses(variant="observd"), "variant is one of 'documented', 'observed', not 'observd'"),
        (lambda: allocation_responses(complete="yes"), "complete is one of True, False, None, not 'yes'"),
        (lambda: allocation_responses(extra_fields=1), "extra_fields is one of True, False, not 1"),
        (lambda: allocation_responses(request={}), "request takes the valid body of a request, as allocation_requests() makes them"),
        (lambda: allocation_requests(sellable_ids=iter([1, 2])), "or a strategy for them, not list_iterator"),
        (lambda: allocation_requests(warehouse_ids=[2**53]), "; 9007199254740992 is none"),
        (lambda: allocation_requests(max_lines=2**60), "max_lines takes a whole number from 1 to 1000, not"),
        (lambda: allocation_requests(max_quantity=-(10**5000)), "max_quantity takes a whole number from 1 to 1000000000, not a larger number"),
        (lambda: allocation_responses(request=b"{}"), "request takes the valid body of a request"),
        (lambda: allocation_responses(request=5), "request takes the valid body of a request"),
        (lambda: allocation_interactions(variant=[]), "variant is one of 'documented', 'observed', not list"),
        (lambda: allocation_interactions(order_ids=[]), "order_ids takes a sequence of whole numbers from 1 to 2**53 - 1"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_in_one_sentence_when_the_strategy_is_made(
    make: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


# Health


PROPERTY = """
from hypothesis import given, settings
from pytest_veeqo_alloc.strategies import *

@given(allocation_requests())
def test_requests(payload): pass

@given(allocation_responses(extra_fields=True))
def test_responses(order): pass

@given(allocation_interactions(variant="observed"))
def test_interactions(interaction): pass

@settings(derandomize=True)
@given(invalid_allocation_requests(), invalid_allocation_responses(), malformed_bodies())
def test_broken(request, response, body): pass
"""


@pytest.mark.beside("xdist", "hypothesispytest")
@pytest.mark.parametrize("options", [[], ["--hypothesis-seed=7"], ["-n", "2"], ["--hypothesis-profile=ci"]])
def test_no_health_check_and_no_warning_stands_in_the_way(pytester: pytest.Pytester, options: list[str]) -> None:
    pytester.makepyfile(PROPERTY)
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:randomly", *options)
    result.assert_outcomes(passed=4)
