"""Sequences of requests, which only a server can see."""

from __future__ import annotations

import json

import pytest
from support.bodies import BODY, order

from pytest_veeqo_alloc import Contract, Interaction, Profile, Request, Response
from pytest_veeqo_alloc.contract.http_rules import Ending, Seen
from pytest_veeqo_alloc.engine import Engine

CREATED = Response(201, (("content-type", "application/json"),), json.dumps(order()).encode())
FAILED = Response(500, (), b"")
KEY = "a-key-known-to-the-server"


def post(
    ending: Ending = "answered", response: Response | None = CREATED, *, order_id: int = 7, body: object = BODY
) -> Seen:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Interaction(Request("POST", f"/orders/{order_id}/allocations", (), raw), response), ending


def rules(*seen: Seen, profile: Profile = "documented") -> list[str]:
    return [finding.rule for finding in Engine(profile).evaluate_sequence(seen, [KEY])]


UNKNOWN = {
    "5xx": post(response=FAILED),
    "broken": post("unanswered", None),
    "truncated": post(response=Response(201, (("content-type", "application/json"),), b'{"id"')),
    "a page": post(response=Response(200, (("content-type", "text/html"),), b"{}")),
}


@pytest.mark.parametrize("first", UNKNOWN.values(), ids=UNKNOWN)
def test_post_repeated_after_an_unknown_outcome_is_found(first: Seen) -> None:
    assert rules(first, post()) == ["repeated-post"]


def test_finding_names_the_repeated_request_and_the_reason() -> None:
    (finding,) = Engine().evaluate_sequence([post(order_id=8), post(response=FAILED), post()])
    assert (finding.location, finding.pointer, finding.severity) == ("method", None, "error")
    assert finding.got == "request 3 repeats request 2 after a 500 response"


def test_equal_json_is_the_same_post() -> None:
    assert rules(post(response=FAILED), post(body=json.dumps(BODY, indent=2).encode())) == ["repeated-post"]


def test_body_that_is_not_json_is_compared_by_its_bytes() -> None:
    assert rules(post(response=FAILED, body=b"{"), post(body=b"{")) == ["repeated-post"]


SAFE = {
    "a success before": post(),
    "a 429 before": post(response=Response(429)),
    "a refusal before": post(response=Response(422)),
    "another order before": post(response=FAILED, order_id=8),
    "another body before": post(response=FAILED, body={}),
    "one whose ending is not known yet": post("pending", None),
}


@pytest.mark.parametrize("first", SAFE.values(), ids=SAFE)
def test_permitted_post_is_no_finding(first: Seen) -> None:
    assert rules(first, post()) == []


def test_post_after_a_read_of_the_order_is_no_finding() -> None:
    read: Seen = (Interaction(Request("GET", "/orders/7"), Response(200, (), b"{}")), "answered")
    assert rules(post(response=FAILED), read, post()) == []


LOOKS = {
    "a list": ("GET", "/orders?page_size=100", 200),
    "a list below a base path": ("GET", "/api/orders", 200),
    "a read that names the order in its path": ("GET", "/order-status/7", 200),
    "a read that names it in the query": ("GET", "/allocations?order_ids=6%2C7", 200),
    "a change of the order": ("PUT", "/orders/7/allocations/323498", 200),
    "an order that does not exist": ("GET", "/orders/7", 404),
}


@pytest.mark.parametrize(("method", "url", "status"), LOOKS.values(), ids=LOOKS)
def test_post_after_another_look_at_the_order_is_no_finding(method: str, url: str, status: int) -> None:
    look: Seen = (Interaction(Request(method, url), Response(status, (), b"{}")), "answered")
    assert rules(post(response=FAILED), look, post()) == []


NO_LOOKS = {
    "another resource": ("GET", "/warehouses", 200),
    "an id that contains the order's": ("GET", "/order-status/71", 200),
    "a list that failed": ("GET", "/orders", 503),
    "a list that does not exist": ("GET", "/api/orders", 404),
    "a call that does not read": ("POST", "/order-status/7", 200),
    "a call that does not exist": ("GET", "/order-status/7", 404),
}


@pytest.mark.parametrize(("method", "url", "status"), NO_LOOKS.values(), ids=NO_LOOKS)
def test_call_that_does_not_show_the_order_does_not_count(method: str, url: str, status: int) -> None:
    call: Seen = (Interaction(Request(method, url), Response(status, (), b"{}")), "answered")
    assert rules(post(response=FAILED), call, post()) == ["repeated-post"]


def test_read_of_another_order_does_not_count() -> None:
    read: Seen = (Interaction(Request("GET", "/orders/8"), Response(200, (), b"{}")), "answered")
    assert rules(post(response=FAILED), read, post()) == ["repeated-post"]


def test_read_of_an_order_with_a_similar_id_does_not_count() -> None:
    read: Seen = (Interaction(Request("GET", "/orders/77"), Response(200, (), b"{}")), "answered")
    assert rules(post(response=FAILED), read, post()) == ["repeated-post"]


@pytest.mark.parametrize(("status", "found"), [(404, []), (401, ["repeated-post"]), (500, ["repeated-post"])])
def test_failed_read_does_not_count(status: int, found: list[str]) -> None:
    read: Seen = (Interaction(Request("GET", "/orders/7"), Response(status)), "answered")
    assert rules(post(response=FAILED), read, post()) == found


def test_answered_repetition_ends_the_sequence() -> None:
    assert rules(post(response=FAILED), post(), post(), post()) == ["repeated-post"]


def test_equal_number_is_the_same_post() -> None:
    body = json.dumps(BODY).replace('"quantity": 1', '"quantity": 1.0').encode()
    assert rules(post(response=FAILED), post(body=body)) == ["repeated-post"]


def test_every_repetition_is_found() -> None:
    assert rules(post(response=FAILED), post(response=FAILED), post()) == ["repeated-post", "repeated-post"]


@pytest.mark.parametrize(("headers", "url", "place"), [
    ((("X-Api-Key", "other"),), "/", "header:x-api-key"),
    ((("Authorization", "Bearer other"),), "/", "header:authorization"),
    ((("X-Trace", KEY),), "/", "header:x-trace"),
    ((), f"/?next={KEY}", "query:next"),
    ((), "/?api_key=other", "query:api_key"),
    ((), f"/{KEY}/orders/1", "path"),
])  # fmt: skip
def test_key_sent_to_another_host_is_found_anywhere(headers: tuple[tuple[str, str], ...], url: str, place: str) -> None:
    seen: Seen = (Interaction(Request("GET", url, headers), None), "elsewhere")
    (finding,) = Engine("lenient").evaluate_sequence([seen], [KEY])
    assert (finding.rule, finding.location, finding.severity) == ("key-sent-elsewhere", place, "error")
    assert KEY not in str(finding)


def test_request_without_a_key_may_go_to_another_host() -> None:
    assert (
        rules((Interaction(Request("POST", "/orders/7/allocations", (("accept", "*/*"),), b"{}")), "elsewhere")) == []
    )


def test_unknown_request_is_ignored() -> None:
    assert rules((Interaction(None, FAILED), "answered")) == []
    assert rules((Interaction(None, FAILED), "answered"), post(response=FAILED), post()) == ["repeated-post"]


def test_known_key_is_found_in_the_url() -> None:
    request = Request(
        "POST", f"/orders/7/allocations?x={KEY}", (("content-type", "application/json"),), json.dumps(BODY).encode()
    )
    found = {finding.rule for finding in Engine().evaluate_served(request, [KEY])[0]}
    assert found == {"api-key-missing", "key-in-url"}
    assert {finding.rule for finding in Contract().check_request(request)} == {"api-key-missing", "undocumented-query"}
