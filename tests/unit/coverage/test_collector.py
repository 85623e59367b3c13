"""Coverage: which fields a check counts, and which rules it could evaluate."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from support.bodies import drop, order, put, request_body
from support.examples import FEWER
from support.reports import coverage_of

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.deviations import Deviation
from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES, BodySide
from pytest_veeqo_alloc.coverage.collector import (
    FIELDS_OF_RULE,
    MAX_FINDINGS,
    OUR_SERVER,
    RULES_OF_STAGE,
    VALUES_OF_RULE,
    Coverage,
    coverage_from_row,
    evaluation_counts,
    origin_of,
)
from pytest_veeqo_alloc.coverage.field_counts import MAX_NAMES, BodyCounts, FieldTally, tally_fields
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import field_trees
from pytest_veeqo_alloc.strategies import allocation_responses, invalid_allocation_responses

JSON = ("Content-Type", "application/json")
KEY = "a-key-of-some-length"


def body_coverage(side: BodySide, body: Any) -> Coverage:
    return coverage_of(lambda contract: contract.check_body(side, body))


def response_tallies(*bodies: Any) -> dict[str, FieldTally]:
    counted = Coverage()
    for body in bodies:
        counted.add(body_coverage("response", body))
    return tally_fields(counted.bodies["response"], field_trees()["response"])


def call(
    body: Any = None, status: int = 201, url: str = "https://api.example.com/orders/447452/allocations"
) -> Interaction:
    request = Request("POST", url, (JSON, ("x-api-key", KEY)), json.dumps(body or request_body()).encode())
    located = (JSON, ("Location", "/orders/447452"))
    return Interaction(request, Response(status, located, json.dumps(order()).encode() if status == 201 else b""))


def evaluated(check: Callable[[Engine], object]) -> dict[str, int]:
    return evaluation_counts(coverage_of(check), field_trees())


def test_a_response_has_475_fields_and_a_request_has_5() -> None:
    assert (field_trees()["response"].field_count, field_trees()["request"].field_count) == (475, 5)


def test_every_field_of_the_example_is_seen_with_its_documented_type() -> None:
    found = response_tallies(order())
    assert len(found) == 475
    assert all(tally.present == tally.instances > 0 for tally in found.values())
    assert found["/id"] == FieldTally(1, 1, 1, {"number": 1})
    assert found["/customer/shipping_addresses/*/address2"] == FieldTally(3, 3, 2, {"string": 2, "null": 1})
    assert found["/due_date"] == FieldTally(1, 1, 0, {"null": 1})


@given(allocation_responses())
@FEWER
def test_clean_body_has_the_same_tallies_as_a_walked_one(body: dict[str, Any]) -> None:
    root = field_trees()["response"]
    found = body_coverage("response", body).bodies["response"]
    walked = BodyCounts()
    walked.count(body, root)
    assert tally_fields(found, root) == tally_fields(walked, root)


@given(allocation_responses(), invalid_allocation_responses())
@FEWER
def test_coverage_of_two_checks_adds_up_and_survives_json(clean: Any, broken: Any) -> None:
    shown = [body_coverage("response", body) for body in (clean, broken.payload)]
    together = Coverage()
    for coverage in shown:
        together.add(coverage_from_row(json.loads(json.dumps(coverage.as_row()))))
    assert together.interactions == 2
    assert coverage_from_row(json.loads(json.dumps(together.as_row()))) == together
    one, other, both = (
        tally_fields(coverage.bodies["response"], field_trees()["response"]) for coverage in (*shown, together)
    )
    assert all(both[pointer].present == one[pointer].present + other[pointer].present for pointer in both)


def test_departures_and_undocumented_members_are_counted_by_pointer() -> None:
    body = put(put(put(order(), "/deliver_to/zip", None), "/channel/id", "7"), "/customer/colour", [1])
    body = drop(body, "/customer/phone")
    found = body_coverage("response", body).bodies["response"]
    assert found.departures == {"null /deliver_to/zip": 1, "string /channel/id": 1, "absent /customer/phone": 1,
                         "null /customer/shipping_addresses/*/address2": 1,
                         "null /customer/shipping_addresses/*/company": 1}  # fmt: skip
    assert found.undocumented == {"array /customer/colour": 1}
    assert found.conforming == {}


def test_members_below_a_mistyped_object_are_not_counted() -> None:
    found = response_tallies(put(order(), "/deliver_to", "unknown"))
    assert found["/deliver_to"] == FieldTally(1, 1, 1, {"string": 1})
    assert found["/deliver_to/zip"] == FieldTally()


def test_members_of_an_item_that_is_not_an_object_are_not_counted() -> None:
    found = response_tallies(put(order(), "/allocations/0", 7))
    assert found["/allocations"].types == {"array": 1}
    assert found["/allocations/*/id"] == FieldTally()


def test_fields_of_an_unreadable_body_or_another_object_are_not_counted() -> None:
    for body in (b"[]", b"{", b"", b'{"status": "x"}', b"[" * 100 + b"]" * 100):
        found = body_coverage("response", body)
        assert found.interactions == 1
        assert found.bodies["response"] == BodyCounts()


def test_request_fields_are_counted_with_and_without_the_wrapper() -> None:
    for body in (request_body(), request_body()["allocation"]):
        found = body_coverage("request", body)
        assert {pointer for pointer, tally in tally_fields(found.bodies["request"], field_trees()["request"]).items() if tally.present} == {
            "/allocation", "/allocation/warehouse_id", "/allocation/line_items_attributes",
            "/allocation/line_items_attributes/*/sellable_id", "/allocation/line_items_attributes/*/quantity",
        }  # fmt: skip


def test_hostile_member_name_is_masked() -> None:
    hostile = "\x1b]0;::error::<script>"
    found = body_coverage("response", put(order(), f"/{hostile}", 1))
    assert found.bodies["response"].undocumented == {f"number /(name of {len(hostile)} characters)": 1}
    assert hostile not in json.dumps(found.as_row())


def test_array_indices_are_replaced_by_a_star() -> None:
    body = put(put(order(), "/line_items/0/quantity", "1"), "/line_items/0/colour", 1)
    found = body_coverage("response", body)
    assert sorted(found.findings) == [
        "error wrong-type response /line_items/*/quantity\n",
        "warning undocumented-field response /line_items/*/colour\n",
    ]
    assert found.types == {
        f"{kind} {key}": 1 for kind, key in zip(("string", "number"), sorted(found.findings), strict=True)
    }
    assert found.bodies["response"].undocumented == {"number /line_items/*/colour": 1}


def test_member_name_that_could_be_a_telephone_number_is_masked() -> None:
    found = body_coverage("response", put(order(), "/deliver_to/442079460000", 1))
    assert found.bodies["response"].undocumented == {"number /deliver_to/(name of 12 characters)": 1}
    assert "442079460000" not in json.dumps(found.as_row())


def test_member_name_that_contains_the_api_key_is_masked() -> None:
    interaction = call()
    body = json.dumps(put(order(), f"/x{KEY}", 1)).encode()
    answer = Interaction(interaction.request, Response(201, (JSON,), body))
    found = coverage_of(lambda contract: contract.check(answer))
    assert KEY not in json.dumps(found.as_row())


def test_undocumented_members_beyond_the_limits_are_counted_together() -> None:
    body = order() | {f"extra_{number // 100}_{number % 100}": 1 for number in range(MAX_FINDINGS + 7)}
    found = body_coverage("response", body)
    assert len(found.bodies["response"].undocumented) == MAX_NAMES + 1
    assert found.bodies["response"].undocumented["number (others)"] == MAX_FINDINGS + 7 - MAX_NAMES
    assert len(found.findings) == MAX_FINDINGS + 1
    together = Coverage()
    together.add(found)
    together.add(found)
    assert together.findings["warning undocumented-field response (others)"] == 14
    assert together.affected["warning undocumented-field response (others)"] == 14
    assert together.bodies["response"].undocumented["number (others)"] == 2 * (MAX_FINDINGS + 7 - MAX_NAMES)


def test_every_rule_about_messages_has_preconditions_that_exist() -> None:
    of_stages = {rule for rules in RULES_OF_STAGE.values() for rule in rules}
    rules = (*of_stages, *FIELDS_OF_RULE, *VALUES_OF_RULE, "untyped-field-value")
    assert sorted(rules) == sorted(rule.id for rule in CATALOGUE.values() if rule.sides != ("file",))
    names = {f"{place.shape}.{place.name}" for place in field_trees()["response"].all_places()}
    names |= {f"request {place.shape}.{place.name}" for place in field_trees()["request"].all_places()}
    assert {name for fields in FIELDS_OF_RULE.values() for name in fields} <= names


def test_successful_call_exercises_every_rule_about_success() -> None:
    found = evaluated(lambda contract: contract.check(call()))
    assert {rule for rule, count in found.items() if not count} == {
        "unexpected-status", "broken-request-accepted", "error-body-shape", "error-leaks-internals", "repeated-post",
        "key-sent-elsewhere", "unknown-call",
    } | SUITE_RULES  # fmt: skip


def test_behaviour_exercises_its_rule_alone_and_counts_no_interaction() -> None:
    found = evaluated(lambda contract: contract.check_behaviour("key-not-required", None))
    assert {rule: count for rule, count in found.items() if count} == {"key-not-required": 1}


@pytest.mark.parametrize(
    ("context", "exercised"),
    [
        (CheckContext(frozenset({404}), skips_request=True), {"unexpected-status", "error-body-shape", "error-leaks-internals"}),
        (CheckContext(broken_request=True), {"broken-request-accepted", "error-body-shape", "error-leaks-internals",
                                    "wrong-status", "undocumented-status", "server-error"}),
    ],
)  # fmt: skip
def test_request_that_is_broken_on_purpose_exercises_no_request_rule(
    context: CheckContext, exercised: set[str]
) -> None:
    found = evaluated(lambda contract: contract.check(call(status=404), context))
    assert {rule for rule, count in found.items() if count} == exercised


def test_accepted_broken_request_exercises_broken_request_accepted() -> None:
    found = evaluated(lambda contract: contract.check(call(), CheckContext(broken_request=True)))
    assert found["broken-request-accepted"] == 1
    assert found["wrong-status"] == found["order-echo"] == 0


def test_other_path_exercises_the_rules_of_the_request_line_only() -> None:
    request = Request("POST", "https://api.example.com/orders", (JSON,), b"{}")
    found = evaluated(lambda contract: contract.check(Interaction(request)))
    assert {rule for rule, count in found.items() if count} == {"wrong-method", "wrong-path", "order-id-not-integer"}


def test_equation_is_evaluated_as_often_as_its_rarest_field_is_present() -> None:
    assert evaluated(lambda contract: contract.check_body("response", order()))["subscription-plan"] == 1
    without = drop(order(), "/created_by/company")
    assert evaluated(lambda contract: contract.check_body("response", without))["subscription-plan"] == 0


def test_deviations_are_counted_by_rule_and_place() -> None:
    zips = Deviation("required-field", "left out by the clone", pointer="/customer/shipping_addresses/*/zip")
    location = Deviation("location-missing", "not sent by the clone", location="header:location")
    body = drop(drop(order(), "/customer/shipping_addresses/0/zip"), "/customer/shipping_addresses/1/zip")
    answer = Interaction(None, Response(201, (JSON,), json.dumps(body).encode()))
    found = coverage_of(lambda contract: contract.check(answer), Engine(deviations=[zips, location]))
    assert found.deviations == {
        "required-field - /customer/shipping_addresses/*/zip ": 2,
        "location-missing - header:location ": 1,
    }
    assert found.findings == {
        "accepted_error location-missing response header:location\n": 1,
        "accepted_error required-field response /customer/shipping_addresses/*/zip\n": 2,
    }
    assert set(found.affected.values()) == {1}


def test_fake_is_recognised_by_its_server_header() -> None:
    assert origin_of(Interaction(None, Response(201, (("Server", OUR_SERVER),)))) == "fake"
    assert origin_of(Interaction(None, Response(201, (("Server", "nginx"),)))) == "target"
    assert origin_of(None) == "target"


def test_body_that_is_not_known_evaluates_no_rule_about_bodies() -> None:
    whole = call()
    assert whole.request is not None
    request = replace(whole.request, body=None, is_body_known=False)
    response = Response(201, (JSON, ("location", "/orders/447452")), None, False)
    counted = coverage_of(lambda contract: contract.check(Interaction(request, response)))
    (stages,) = counted.stages
    assert stages == "request line, call, status, created, located"
