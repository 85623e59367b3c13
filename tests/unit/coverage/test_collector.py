"""What checks count of the documented bodies and of the rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from support.bodies import drop, order, put, request_body
from support.reports import coverage_of

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.deviations import Deviation
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.coverage import collector as what_is_looked_at
from pytest_veeqo_alloc.coverage.collector import (
    _FIELDS,
    _STAGES,
    OUR_SERVER,
    RULES_WITH_PRECONDITIONS,
    Coverage,
    coverage_from_row,
    evaluation_counts,
    origin_of,
)
from pytest_veeqo_alloc.coverage.field_counts import MAX_NAMES, BodyCounts, FieldTally, tally_fields
from pytest_veeqo_alloc.coverage.report_model import documented_field_counts
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import field_trees
from pytest_veeqo_alloc.strategies import allocation_responses, invalid_allocation_responses

JSON = ("Content-Type", "application/json")
KEY = "a-key-of-some-length"


def response_tallies(*bodies: Any) -> dict[str, FieldTally]:
    counted = Coverage()
    for body in bodies:
        counted.add(coverage_of(lambda contract, body=body: contract.check_body("response", body)))
    return tally_fields(counted.response, field_trees().response)


def call(
    body: Any = None, status: int = 201, url: str = "https://api.example.com/orders/447452/allocations"
) -> Interaction:
    request = Request("POST", url, (JSON, ("x-api-key", KEY)), json.dumps(body or request_body()).encode())
    located = (JSON, ("Location", "/orders/447452"))
    return Interaction(request, Response(status, located, json.dumps(order()).encode() if status == 201 else b""))


def looked(coverage: Coverage) -> dict[str, int]:
    response, request = (
        tally_fields(getattr(coverage, side), getattr(field_trees(), side)) for side in ("response", "request")
    )
    return evaluation_counts(coverage.reached(), (field_trees().response, response), (field_trees().request, request))


def test_a_response_has_475_fields_and_a_request_has_5() -> None:
    assert documented_field_counts(field_trees()) == (475, 5)


def test_every_field_of_the_example_is_seen_with_its_documented_type() -> None:
    found = response_tallies(order())
    assert len(found) == 475
    assert all(tally.present == tally.instances > 0 for tally in found.values())
    assert found["/id"] == FieldTally(1, 1, 1, {"number": 1})
    assert found["/customer/shipping_addresses/*/address2"] == FieldTally(3, 3, 2, {"string": 2, "null": 1})
    assert found["/due_date"] == FieldTally(1, 1, 0, {"null": 1})


@given(allocation_responses())
@settings(max_examples=25)
def test_a_clean_body_is_counted_as_if_it_were_walked(body: dict[str, Any]) -> None:
    root = field_trees().response
    found = coverage_of(lambda contract: contract.check_body("response", body)).response
    walked = BodyCounts()
    walked.count(body, root)
    assert tally_fields(found, root) == tally_fields(walked, root)


@given(allocation_responses(), invalid_allocation_responses())
@settings(max_examples=25)
def test_what_two_checks_show_adds_up_and_crosses_as_json(clean: Any, broken: Any) -> None:
    shown = [
        coverage_of(lambda contract, body=body: contract.check_body("response", body))
        for body in (clean, broken.payload)
    ]
    together = Coverage()
    for each in shown:
        together.add(coverage_from_row(json.loads(json.dumps(each.as_row()))))
    assert together.interactions == 2
    assert coverage_from_row(json.loads(json.dumps(together.as_row()))) == together
    one, other, both = (tally_fields(each.response, field_trees().response) for each in (*shown, together))
    assert all(both[pointer].present == one[pointer].present + other[pointer].present for pointer in both)


def test_an_absent_a_null_a_mistyped_and_an_extra_member_are_counted_where_they_are() -> None:
    body = put(put(put(order(), "/deliver_to/zip", None), "/channel/id", "7"), "/customer/colour", [1])
    body = drop(body, "/customer/phone")
    found = coverage_of(lambda contract: contract.check_body("response", body)).response
    assert found.odd == {"null /deliver_to/zip": 1, "string /channel/id": 1, "absent /customer/phone": 1,
                         "null /customer/shipping_addresses/*/address2": 1,
                         "null /customer/shipping_addresses/*/company": 1}  # fmt: skip
    assert found.extra == {"array /customer/colour": 1}
    assert found.clean == {}


def test_what_hangs_under_a_mistyped_object_is_not_looked_at() -> None:
    found = response_tallies(put(order(), "/deliver_to", "nobody"))
    assert found["/deliver_to"] == FieldTally(1, 1, 1, {"string": 1})
    assert found["/deliver_to/zip"] == FieldTally()


def test_an_item_that_is_no_object_has_no_members_to_count() -> None:
    found = response_tallies(put(order(), "/allocations/0", 7))
    assert found["/allocations"].types == {"array": 1}
    assert found["/allocations/*/id"] == FieldTally()


def test_a_body_that_is_no_order_or_cannot_be_read_is_not_counted() -> None:
    for body in (b"[]", b"{", b"", b'{"status": "x"}', b"[" * 100 + b"]" * 100):
        found = coverage_of(lambda contract, body=body: contract.check_body("response", body))
        assert found.interactions == 1
        assert found.response == BodyCounts()


def test_the_fields_of_a_request_are_counted_wrapped_or_bare() -> None:
    for body in (request_body(), request_body()["allocation"]):
        found = coverage_of(lambda contract, body=body: contract.check_body("request", body))
        assert {pointer for pointer, tally in tally_fields(found.request, field_trees().request).items() if tally.present} == {
            "/allocation", "/allocation/warehouse_id", "/allocation/line_items_attributes",
            "/allocation/line_items_attributes/*/sellable_id", "/allocation/line_items_attributes/*/quantity",
        }  # fmt: skip


def test_no_name_that_may_not_be_shown_is_kept() -> None:
    hostile = "\x1b]0;::error::<script>"
    found = coverage_of(lambda contract: contract.check_body("response", put(order(), f"/{hostile}", 1)))
    assert found.response.extra == {f"number /(name of {len(hostile)} characters)": 1}
    assert hostile not in json.dumps(found.as_row())


def test_a_finding_and_an_undocumented_member_in_an_array_are_told_with_a_star_for_their_index() -> None:
    body = put(put(order(), "/line_items/0/quantity", "1"), "/line_items/0/colour", 1)
    found = coverage_of(lambda contract: contract.check_body("response", body))
    assert sorted(found.findings) == [
        "error wrong-type response /line_items/*/quantity",
        "warning undocumented-field response /line_items/*/colour",
    ]
    assert found.response.extra == {"number /line_items/*/colour": 1}


def test_a_name_of_digits_that_could_be_a_telephone_number_is_told_by_its_length() -> None:
    found = coverage_of(lambda contract: contract.check_body("response", put(order(), "/deliver_to/442079460000", 1)))
    assert found.response.extra == {"number /deliver_to/(name of 12 characters)": 1}
    assert "442079460000" not in json.dumps(found.as_row())


def test_no_key_that_was_sent_is_kept_where_a_name_holds_it() -> None:
    interaction = call()
    body = json.dumps(put(order(), f"/x{KEY}", 1)).encode()
    answer = Interaction(interaction.request, Response(201, (JSON,), body))
    found = coverage_of(lambda contract: contract.check(answer))
    assert KEY not in json.dumps(found.as_row())


def test_undocumented_members_beyond_the_first_500_are_counted_together() -> None:
    body = order() | {f"extra{number}": 1 for number in range(MAX_NAMES + 7)}
    found = coverage_of(lambda contract: contract.check_body("response", body))
    assert len(found.response.extra) == MAX_NAMES + 1
    assert found.response.extra["number (others)"] == 7
    assert len(found.findings) == MAX_NAMES + 1
    together = Coverage()
    together.add(found)
    together.add(found)
    assert together.findings["warning undocumented-field response (others)"] == 14
    assert together.response.extra["number (others)"] == 14


def test_every_rule_but_those_of_files_says_what_it_needs_and_all_of_that_exists() -> None:
    assert sorted(RULES_WITH_PRECONDITIONS) == sorted(rule.id for rule in CATALOGUE.values() if rule.sides != ("file",))
    stages = {
        each
        for name, each in vars(what_is_looked_at).items()
        if name.isupper() and isinstance(each, str) and name != "OUR_SERVER"
    }
    assert {stage for needs in _STAGES.values() for stage in needs} == stages
    names = {f"{place.shape}.{place.field.name}" for node in field_trees().response.nodes() for place in node.places}
    names |= {
        f"new {place.shape}.{place.field.name}" for node in field_trees().request.nodes() for place in node.places
    }
    assert {name for fields in _FIELDS.values() for name in fields} <= names


def test_a_whole_success_exercises_every_rule_of_a_success() -> None:
    found = looked(coverage_of(lambda contract: contract.check(call())))
    assert {rule for rule, count in found.items() if not count} == {
        "unexpected-status", "broken-request-accepted", "error-body-shape", "error-leaks-internals", "repeated-post",
        "key-sent-elsewhere",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("context", "exercised"),
    [
        (CheckContext(404), {"unexpected-status", "error-body-shape", "error-leaks-internals"}),
        (CheckContext(broken_request=True), {"broken-request-accepted", "error-body-shape", "error-leaks-internals",
                                    "wrong-status", "undocumented-status", "server-error"}),
    ],
)  # fmt: skip
def test_a_request_that_is_broken_on_purpose_is_not_looked_at(context: CheckContext, exercised: set[str]) -> None:
    found = looked(coverage_of(lambda contract: contract.check(call(status=404), context)))
    assert {rule for rule, count in found.items() if count} == exercised


def test_a_broken_request_that_is_taken_exercises_the_rule_about_that() -> None:
    found = looked(coverage_of(lambda contract: contract.check(call(), CheckContext(broken_request=True))))
    assert found["broken-request-accepted"] == 1
    assert found["wrong-status"] == found["order-echo"] == 0


def test_another_path_is_looked_at_for_its_line_alone() -> None:
    request = Request("POST", "https://api.example.com/orders", (JSON,), b"{}")
    found = looked(coverage_of(lambda contract: contract.check(Interaction(request))))
    assert {rule for rule, count in found.items() if count} == {"wrong-method", "wrong-path", "order-id-not-integer"}


def test_an_equation_is_looked_at_where_its_rarest_field_is_there() -> None:
    assert looked(coverage_of(lambda contract: contract.check_body("response", order())))["subscription-plan"] == 1
    without = drop(order(), "/created_by/company")
    assert looked(coverage_of(lambda contract: contract.check_body("response", without)))["subscription-plan"] == 0


def test_deviations_are_counted_under_what_they_say() -> None:
    zips = Deviation("required-field", "left out by the clone", pointer="/customer/shipping_addresses/*/zip")
    location = Deviation("location-missing", "not sent by the clone", location="header:location")
    body = drop(drop(order(), "/customer/shipping_addresses/0/zip"), "/customer/shipping_addresses/1/zip")
    answer = Interaction(None, Response(201, (JSON,), json.dumps(body).encode()))
    found = coverage_of(lambda contract: contract.check(answer), Engine(deviations=[zips, location]))
    assert found.deviations == {
        "required-field /customer/shipping_addresses/*/zip": 2,
        "location-missing header:location": 1,
    }
    assert found.findings == {}


def test_our_fake_is_told_by_its_header_and_everything_else_is_the_target() -> None:
    assert origin_of(Interaction(None, Response(201, (("Server", OUR_SERVER),)))) == "fake"
    assert origin_of(Interaction(None, Response(201, (("Server", "nginx"),)))) == "target"
    assert origin_of(None) == "target"
