"""What a client sends, how it copes with answers, and what it makes of failures."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_veeqo_alloc.conformance.assertions import by_rule
from pytest_veeqo_alloc.conformance.client import ClientAssertions
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.observed import as_observed, nullable_pointers
from pytest_veeqo_alloc.orders.story import Customer, Line, Stock, Story
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.strategies.sampling import any_requests
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

PAYLOADS = 10
REQUEST_RULES = [rule for rule, each in CATALOGUE.items() if "request" in each.sides and rule not in SEQUENCE_RULES]


@pytest.mark.parametrize("rule", by_rule(REQUEST_RULES))
def test_a_client_keeps(rule: str, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """No request for a generated payload breaks the rule."""
    judge = veeqo_alloc_client_judge
    for number, body in enumerate(any_requests(PAYLOADS), start=1):
        judge.call(body, order_id=number)
    judge.assert_request_ok(only=rule)


@pytest.mark.veeqo_alloc_basis(basis="documented")
def test_a_client_asks_for_what_it_was_told_to(veeqo_alloc_client_judge: ClientAssertions) -> None:
    """Warehouse, sellables and quantities arrive as they were given."""
    judge = veeqo_alloc_client_judge
    for number, body in enumerate(any_requests(3), start=1):
        driven = judge.call(body, order_id=number)
        judge.assert_success(driven, "a documented answer")
        order = judge.fake.world.order(number)
        assert order is not None, "the client did not allocate to the order that it was told to"
        wanted = {line["sellable_id"]: line["quantity"] for line in body["allocation"]["line_items_attributes"]}
        (allocation,) = order.allocations
        assert allocation.warehouse_id == body["allocation"]["warehouse_id"]
        assert dict(allocation.lines) == wanted


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_a_client_does_not_print_the_key(
    veeqo_alloc_client_judge: ClientAssertions, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither to standard output nor to standard error, also where it fails."""
    judge = veeqo_alloc_client_judge
    judge.call()
    judge.fake.inject_fault("unprocessable")
    driven = judge.call(order_id=8)
    judge.assert_no_key("".join(capfd.readouterr()), "the client prints the key")
    judge.assert_no_key(str(driven.raised), "the client's exception has the key in its text")


COPES: dict[str, tuple[str, dict[str, Any]]] = {
    "a compressed body": ("gzip", {}),
    "a body in chunks": ("chunked", {}),
    "a body that takes its time": ("slow-body", {"seconds": 0.1}),
    "a member that is not documented": ("extra-member", {"pointer": "/allocations/0/not_documented"}),
    "the key set of 2026": ("observed", {}),
    "a connection that ends after the answer": ("reset-after-body", {}),
}


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("what", COPES)
def test_a_client_copes_with(what: str, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """A documented answer, or one that differs in what a client may not depend on."""
    name, given = COPES[what]
    veeqo_alloc_client_judge.fake.inject_fault(name, **given)
    veeqo_alloc_client_judge.assert_success(veeqo_alloc_client_judge.call(), what)


def _short() -> World:
    return World.of(
        Story(order_id=447452, lines=(Line(quantity=5, stock=(Stock(physical=3, allocated=2),)),), allocations=())
    )


def _unicode() -> World:
    names = Customer(
        first_name="Zo\u00eb \U0001f9f5", last_name="\u202e\u05d0\u05d1", address1='\u65e5\u672c "1"\n\t\\'
    )
    return World.of(Story(order_id=447452, allocations=(), customer=names))


def _big() -> World:
    big = LARGEST_ID
    line = Line(stock=(Stock(),))
    return World.of(Story(order_id=447452, lines=(line, Line(big, big, stock=(Stock(physical=big),))), allocations=()))


WORLDS = {"an allocation in part": _short, "any Unicode": _unicode, "large numbers": _big}


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("what", WORLDS)
def test_a_client_copes_with_an_order_of(what: str, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """A documented answer of a less usual content."""
    veeqo_alloc_client_judge.fake.world = WORLDS[what]()
    veeqo_alloc_client_judge.assert_success(veeqo_alloc_client_judge.call(), what)


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_a_client_copes_with_large_ids(veeqo_alloc_client_judge: ClientAssertions) -> None:
    """Ids up to 2**53 - 1, which every JSON reader can hold."""
    big = LARGEST_ID
    line = {"sellable_id": big, "quantity": 1}
    body = {"allocation": {"warehouse_id": big, "line_items_attributes": [line]}}
    veeqo_alloc_client_judge.assert_success(veeqo_alloc_client_judge.call(body, order_id=big), "large ids")
    veeqo_alloc_client_judge.assert_request_ok()


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_a_client_copes_with_the_nulls_of_2026(veeqo_alloc_client_judge: ClientAssertions) -> None:
    """Documented members that the live API was seen to leave null."""
    order = as_observed(build_order(), nulls=nullable_pointers())
    veeqo_alloc_client_judge.fake.respond_with(body=order, headers={"location": "/orders/447452"})
    veeqo_alloc_client_judge.assert_success(veeqo_alloc_client_judge.call(), "members that are null")


STATUSES = {
    400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 422: "unprocessable",
    429: "rate-limited", 500: "server-error", 502: "bad-gateway", 503: "service-unavailable",
}  # fmt: skip
BROKEN = ("truncated-json", "reset-before-headers", "reset-before-body", "reset-within-body")


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("status", STATUSES)
def test_a_client_reports_a_status_of(status: int, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """A failure is a failure, whatever its body. A 429 may be waited out, and is then no failure."""
    judge = veeqo_alloc_client_judge
    judge.fake.inject_fault(STATUSES[status], times=20)
    judge.assert_failure(judge.call(), f"a {status}")


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("name", BROKEN)
def test_a_client_reports_an_answer_that_is_broken_by(name: str, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """An answer that cannot be read is no success."""
    veeqo_alloc_client_judge.fake.inject_fault(name, times=20)
    veeqo_alloc_client_judge.assert_failure(veeqo_alloc_client_judge.call(), name)


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_a_client_reports_a_page_in_the_place_of_json(veeqo_alloc_client_judge: ClientAssertions) -> None:
    """A proxy, or a log-in page, answers with 200 and HTML."""
    page = {"content-type": "text/html"}
    veeqo_alloc_client_judge.fake.respond_with(status=200, body="<html>Log in</html>", headers=page, times=20)
    veeqo_alloc_client_judge.assert_failure(veeqo_alloc_client_judge.call(), "a page in HTML")


UNSAFE = ("slow-headers", "slow-body", "reset-before-headers", "reset-within-body", "truncated-json", "server-error",
          "bad-gateway", "service-unavailable")  # fmt: skip


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("name", UNSAFE)
def test_a_client_does_not_repeat_the_post_after(name: str, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """Nobody knows whether the first was carried out. A client may look, and then allocate."""
    judge = veeqo_alloc_client_judge
    judge.fake.inject_fault(name)
    judge.call()
    judge.assert_request_ok(only="repeated-post")


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_a_client_takes_the_key_to_no_other_host(veeqo_alloc_client_judge: ClientAssertions) -> None:
    """A redirect to another host is not followed, or without the key."""
    judge = veeqo_alloc_client_judge
    judge.fake.inject_fault("redirect-elsewhere", times=20)
    judge.assert_failure(judge.call(), "a redirect to another host")
    judge.assert_request_ok(only="key-sent-elsewhere")


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("name", ["slow-headers", "slow-body"])
def test_a_client_gives_up_within_its_time_out_on(name: str, veeqo_alloc_client_judge: ClientAssertions) -> None:
    """A server that does not answer holds nobody up."""
    judge = veeqo_alloc_client_judge
    judge.fake.inject_fault(name, times=20)
    judge.assert_failure(judge.call(), name)
