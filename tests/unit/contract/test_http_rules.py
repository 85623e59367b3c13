"""Request line, headers and status: every rule broken alone, and near misses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.bodies import put, request_body
from support.messages import JSON_TYPE, KEY, ORDER, request, response

from pytest_veeqo_alloc import Contract, Deviation, Interaction, Profile, Request, Response
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.core.http import EXCHANGE_HEADER
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import tables

CONTRACT = Contract("strict")


def of_request(sent: Request) -> list[tuple[str, str]]:
    return [(finding.rule, finding.location) for finding in CONTRACT.check(Interaction(sent))]


def of_response(got: Response, expect_status: Any = None) -> list[tuple[str, str]]:
    return [(f.rule, f.location) for f in CONTRACT.check(Interaction(None, got), expect_status=expect_status)]


BASE = "https://api.example.com/orders/447452/allocations"


@pytest.mark.parametrize(
    "url",
    [
        BASE,
        "/orders/1/allocations",
        "http://127.0.0.1:8080/base/path/orders/1/allocations",
        "https://api.example.com/orders/%31/allocations",
        "https://api.example.com/orders/-1/allocations#fragment",
    ],
)
def test_documented_path_is_accepted_below_any_base_path(url: str) -> None:
    assert of_request(request(url)) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/orders/1/allocations/",
        "https://api.example.com/orders/1/allocations.json",
        "https://api.example.com/orders/1/allocation",
        "https://api.example.com/orders//allocations",
        "https://api.example.com/allocations",
        "https://api.example.com",
        "http://[broken/orders/1/allocations",
        "",
    ],
)
def test_wrong_path_hides_other_findings_of_the_request(url: str) -> None:
    assert of_request(request(url, headers=(), body=None)) == [("wrong-path", "path")]


def watched(sent: Request) -> list[tuple[str, str]]:
    (findings,) = Engine().evaluate_served(sent, [])
    return [(finding.rule, finding.severity) for finding in findings]


BARE = {"warehouse_id": 1784, "line_items_attributes": []}
OURS = {"with the wrapper": {"allocation": {"warehouse_id": None}}, "without the wrapper": BARE}
OTHERS: dict[str, object] = {
    "another wrapper": {"order": BARE}, "an empty allocation": {"allocation": {}}, "null": {"allocation": None},
    "one member without the wrapper": {"warehouse_id": 1784}, "an array": [BARE],
}  # fmt: skip


@pytest.mark.parametrize("body", OURS.values(), ids=OURS)
def test_server_finds_an_allocation_at_another_path(body: object) -> None:
    assert watched(request("/orders/7/allocation", body=json.dumps(body).encode())) == [("wrong-path", "error")]


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_server_warns_about_another_body_at_another_path(body: object) -> None:
    assert watched(request("/orders/7/allocation", body=json.dumps(body).encode())) == [("unknown-call", "warning")]


@pytest.mark.parametrize("body", [None, b"", b"{"])
def test_server_warns_about_an_unknown_call_without_a_readable_body(body: bytes | None) -> None:
    assert watched(request("/orders/7/shipments", body=body)) == [("unknown-call", "warning")]


def test_server_warns_about_an_allocation_with_another_method_at_another_path() -> None:
    assert watched(request("/allocations/7", method="PUT")) == [("unknown-call", "warning")]


def test_server_finds_another_method_at_the_documented_path() -> None:
    assert watched(request(BASE, method="GET", body=None)) == [("wrong-method", "error")]


def test_unknown_call_shows_the_method_and_the_path_with_unknown_segments_masked() -> None:
    sent = request("https://api.example.com/allocations/323498/allocation_package?token=s3cret", method="PUT")
    (finding,) = Engine().evaluate_served(sent, [])[0]
    assert finding.place == finding.got == "PUT /allocations/*/allocation_package"
    (finding,) = Engine().evaluate_served(request("http://[", method="s3cret value"), [])[0]
    assert finding.place == "another method another path"


def test_unknown_call_can_be_a_known_deviation() -> None:
    engine = Engine(deviations=[Deviation("unknown-call", "polled by the framework", location="GET /health")])
    (findings,) = engine.evaluate_served(request("/health", method="GET", body=None), [])
    assert (list(findings), len(findings.accepted)) == ([], 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "post", ""])
def test_wrong_method_hides_other_findings_of_the_request(method: str) -> None:
    assert of_request(request(method=method, headers=(), body=None)) == [("wrong-method", "method")]


@pytest.mark.parametrize("segment", ["P-447452", "1.0", "%23P-1", "٤٢", "1e3", "0x1"])
def test_order_id_that_is_not_an_integer_is_found(segment: str) -> None:
    assert of_request(request(f"https://h/orders/{segment}/allocations")) == [("order-id-not-integer", "path:order_id")]


def test_order_id_of_5000_digits_is_accepted() -> None:
    long = f"https://h/orders/{'9' * 5000}/allocations"
    findings = CONTRACT.check(Interaction(request(long), response(404, body=b"")))
    assert [finding.rule for finding in findings] == ["undocumented-status"]


def test_every_query_parameter_is_found() -> None:
    assert of_request(request(BASE + "?page=1&sort=&page=2")) == [
        ("undocumented-query", "query:page"),
        ("undocumented-query", "query:sort"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "x-api-key",
        "APIKEY",
        "access_token",
        "token",
        "key",
        "password",
        "Authorization",
        "refresh_token",
        "app_key",
        "api.key",
        "user_password",
        "signature",
    ],
)
def test_query_parameter_named_like_a_credential_is_found(name: str) -> None:
    assert of_request(request(f"{BASE}?{name}=1")) == [("key-in-url", f"query:{name}")]


@pytest.mark.parametrize("name", ["monkey", "keyword", "tokens", "sort_key_order", "next_page_token"])
def test_query_parameter_that_only_resembles_a_credential_is_not(name: str) -> None:
    assert of_request(request(f"{BASE}?{name}=1")) == [("undocumented-query", f"query:{name}")]


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (BASE + "?x=a-long-key-of-a-test", "query:x"),
        (BASE + "?x=prefix-a-long-key-of-a-test-suffix", "query:x"),
        (BASE + "?x=a%2Dlong%2Dkey%2Dof%2Da%2Dtest", "query:x"),
        ("https://a-long-key-of-a-test@api.example.com/orders/1/allocations", "path"),
        ("https://h/a-long-key-of-a-test/orders/1/allocations", "path"),
        ("https://h/%61-long-key-of-a-test/orders/1/allocations", "path"),
        ("https://h/a-long-key\n-of-a-test/orders/1/allocations", "path"),  # urlsplit ignores the line break
        (BASE + "#a-long-key-of-a-test", "path"),
    ],
)
def test_key_of_the_header_is_found_anywhere_in_the_url(url: str, location: str) -> None:
    assert of_request(request(url)) == [("key-in-url", location)]


def test_key_with_a_plus_is_found_in_the_query() -> None:
    headers = (JSON_TYPE, ("x-api-key", "abcd+efgh/12=="))
    for query in ("sig=abcd+efgh/12==", "sig=abcd%2Befgh%2F12%3D%3D"):
        assert of_request(request(f"{BASE}?{query}", headers=headers)) == [("key-in-url", "query:sig")]


def test_key_instead_of_the_order_id_is_found() -> None:
    headers = (JSON_TYPE, ("x-api-key", "supersecretkey"))
    assert of_request(request("https://h/orders/supersecretkey/allocations", headers=headers)) == [
        ("key-in-url", "path"),
        ("order-id-not-integer", "path:order_id"),
    ]


def test_wrong_method_hides_an_invalid_order_id() -> None:
    assert of_request(request("https://h/orders/abc/allocations", method="GET")) == [("wrong-method", "method")]


untyped_request: Any = Request
untyped_response: Any = Response
untyped_check: Any = CONTRACT.check


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: untyped_request("POST", b"/"), "url of a Request must be str, not bytes"),
        (lambda: untyped_request("POST", "/", body="text"), "body of a Request must be bytes or None, not str"),
        (lambda: untyped_response("201"), "status of a Response must be int, not str"),
        (lambda: untyped_response(True), "status of a Response must be int, not bool"),
        (lambda: untyped_response(201, None), "headers of a Response must be a tuple of pairs of str"),
        (lambda: untyped_response(201, {"a": "b"}), "headers of a Response must be a tuple of pairs of str"),
        (lambda: untyped_response(201, ((b"a", b"b"),)), "headers of a Response must be a tuple of pairs of str"),
        (lambda: untyped_check(None), "check takes an Interaction, not NoneType"),
        (lambda: untyped_check(Response(201)), "check takes an Interaction, not Response; for a client's response"),
        (
            lambda: untyped_check(Interaction(None, Response(201)), expect_status="201"),
            "expect_status must be a number such as 404, or several such as {201, 422}, not '201'",
        ),
    ],
)
def test_argument_of_the_wrong_type_is_rejected(make: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=re.escape(sentence)):
        make()


def test_short_key_that_occurs_by_chance_is_no_finding() -> None:
    for key in ("447452", "s", "api"):
        assert of_request(request(headers=(JSON_TYPE, ("x-api-key", key)))) == []
    assert of_request(request(BASE + "?x=123", headers=(JSON_TYPE, ("x-api-key", "123")))) == [
        ("key-in-url", "query:x")
    ]


@pytest.mark.parametrize(
    "headers", [(JSON_TYPE,), (JSON_TYPE, ("x-api-key", " ")), (JSON_TYPE, ("Authorization", "Basic eA=="))]
)
def test_missing_api_key_is_found(headers: object) -> None:
    assert of_request(request(headers=headers)) == [("api-key-missing", "header:x-api-key")]


def test_whole_bearer_token_is_found_in_the_url() -> None:
    bearer = (JSON_TYPE, ("Authorization", "Bearer 1234567"))
    assert of_request(request(BASE + "?x=1234567", headers=bearer)) == [("key-in-url", "query:x")]
    assert of_request(request(BASE + "?x=234567", headers=bearer)) == [("undocumented-query", "query:x")]


def test_key_used_as_a_name_is_masked_in_pointer_and_location() -> None:
    key = KEY[1]
    body = put(request_body(), f"/allocation/{key}", 1)
    sent = request(f"{BASE}?{key}=1", body=json.dumps(body).encode())
    places = [(finding.location, finding.pointer) for finding in CONTRACT.check(Interaction(sent))]
    masked = f"(name of {len(key)} characters)"
    assert places == [("body", f"/allocation/{masked}"), (f"query:{masked}", None)]


def test_key_of_eight_characters_is_found_within_other_text() -> None:
    key = (JSON_TYPE, ("x-api-key", "12345678"))
    assert of_request(request(BASE + "?x=a12345678b", headers=key)) == [("key-in-url", "query:x")]


def test_bearer_token_counts_as_a_key() -> None:
    assert of_request(request(headers=(JSON_TYPE, ("authorization", "bearer abc")))) == []


GOOD_TYPES = [
    "application/json",
    "APPLICATION/JSON ; charset=latin-1",
    "application/vnd.api+json",
    "application/problem+JSON;a=b",
]
BAD_TYPES = [
    "",
    "text/json",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "json",
    "application/+json",
    "text/html; x=application/json",
]


@pytest.mark.parametrize("value", GOOD_TYPES)
def test_json_media_type_is_accepted(value: str) -> None:
    assert of_request(request(headers=(("content-type", value), KEY))) == []


@pytest.mark.parametrize("value", BAD_TYPES)
def test_other_media_type_is_found_on_both_sides(value: str) -> None:
    assert of_request(request(headers=(("content-type", value), KEY))) == [
        ("request-media-type", "header:content-type")
    ]
    location = ("location", "/orders/447452")
    assert of_response(response(headers=(("content-type", value), location))) == [
        ("response-media-type", "header:content-type")
    ]


def test_missing_media_type_is_found() -> None:
    assert of_request(request(headers=(KEY,))) == [("request-media-type", "header:content-type")]


@pytest.mark.parametrize(
    ("status", "rules"),
    [
        (200, ["wrong-status"]),
        (202, ["wrong-status"]),
        (204, ["wrong-status"]),
        (302, ["undocumented-status"]),
        (404, ["undocumented-status"]),
        (429, ["undocumented-status"]),
        (500, ["server-error"]),
        (503, ["server-error"]),
        (101, ["undocumented-status"]),
        (999, ["undocumented-status"]),
    ],
)
def test_status_other_than_201_breaks_its_rule(status: int, rules: list[str]) -> None:
    body = ORDER if 200 <= status < 204 else b""
    assert [rule for rule, _ in of_response(response(status, body=body))] == rules


def test_expected_status_replaces_the_other_status_rules() -> None:
    assert of_response(response(404, body=b""), expect_status=404) == []
    assert of_response(response(201), expect_status=201) == []
    assert of_response(response(500, body=b""), expect_status=404) == [("unexpected-status", "status")]
    assert of_response(response(200), expect_status=200) == []


def test_request_is_not_checked_if_a_4xx_is_expected() -> None:
    broken = Interaction(request(body=b"{", headers=()), response(422, body=b""))
    assert list(CONTRACT.check(broken, expect_status=422)) == []
    assert [finding.side for finding in CONTRACT.check(broken, expect_status=201)] == ["request", "request", "response"]


def test_accepted_broken_request_is_found() -> None:
    broken = Interaction(request(body=b"{"), response())
    (finding,) = CONTRACT.check(broken, broken_request=True)
    assert (finding.rule, finding.location) == ("broken-request-accepted", "status")


def test_broken_request_must_be_rejected_with_4xx() -> None:
    def found(status: int) -> list[str]:
        answered = Interaction(request(body=b"{"), response(status, body=b""))
        return [finding.rule for finding in CONTRACT.check(answered, broken_request=True)]

    assert [found(status) for status in (400, 404, 302, 500)] == [[], [], ["undocumented-status"], ["server-error"]]


def without_location(*more: tuple[str, str]) -> Response:
    return response(headers=(JSON_TYPE, *more))


def test_location_is_required_for_201_only() -> None:
    assert of_response(without_location()) == [("location-missing", "header:location")]
    assert of_response(response(200, headers=(JSON_TYPE,)), expect_status=200) == []


@pytest.mark.parametrize(
    "value", ["/orders/447452", "https://h/base/orders/447452?x=1", "../orders/447452", "//h/orders/447452"]
)
def test_location_of_the_order_is_accepted(value: str) -> None:
    assert of_response(without_location(("LOCATION", value))) == []


@pytest.mark.parametrize("value", ["/orders/447452/allocations/323498", "/orders/44745", "/x", "/allocations/323498"])
def test_location_of_something_else_is_found(value: str) -> None:
    assert of_response(without_location(("location", value))) == [("location-order", "header:location")]


@pytest.mark.parametrize(
    "value",
    ["/orders/447452 ", "http://h/\u00e9/orders/447452", "/orders/%zz/447452", "http://[x/orders/447452", "a\\b"],
)
def test_location_that_is_not_a_uri_is_one_finding(value: str) -> None:
    assert of_response(without_location(("location", value))) == [("location-invalid", "header:location")]


@pytest.mark.parametrize("order_id", [447452, "#P-1"])
def test_path_of_the_call_has_the_order_id(order_id: object) -> None:
    assert tables().operation.path_for(order_id) == f"/orders/{order_id}/allocations"


def test_failure_is_only_a_warning_in_a_stored_file() -> None:
    stored = Interaction(request(headers=(JSON_TYPE,)), response(500, body=None))
    assert [(f.rule, f.severity) for f in Engine().evaluate(stored, CheckContext(stored=True))] == [
        ("server-error", "warning")
    ]
    assert [(f.rule, f.severity) for f in Engine().evaluate(stored)] == [
        ("api-key-missing", "warning"), ("server-error", "error"),
    ]  # fmt: skip


def test_204_without_a_body_is_only_a_wrong_status() -> None:
    assert of_response(response(204, body=None)) == [("wrong-status", "status")]


def test_headers_of_an_error_response_are_not_checked() -> None:
    assert of_response(response(404, headers=(), body=b"<html>"), expect_status=404) == [("error-body-shape", "body")]


@pytest.mark.parametrize(
    ("profile", "pointer", "value", "severity"),
    [
        ("documented", "/allocation/line_items_attributes/0/quantity", 0, "warning"),
        ("strict", "/allocation/line_items_attributes/0/quantity", 0, "error"),
        ("lenient", "/allocation/line_items_attributes/0/quantity", 0, None),
        ("documented", "/allocation/warehouse_id", "5", "error"),
        ("strict", "/note", "x", None),
    ],
)
def test_accepting_a_broken_request_is_as_severe_as_the_broken_rule(
    profile: Profile, pointer: str, value: object, severity: str | None
) -> None:
    sent = request(body=json.dumps(put(request_body(), pointer, value)).encode())
    findings = Contract(profile).check(Interaction(sent, response()), broken_request=True)
    found = [finding.severity for finding in findings if finding.rule == "broken-request-accepted"]
    assert found == ([severity] if severity else [])


def test_setting_of_the_rule_lowers_the_severity_of_an_accepted_request() -> None:
    sent = request(body=json.dumps(put(request_body(), "/allocation/warehouse_id", "5")).encode())
    contract = Contract(rules={"broken-request-accepted": "warning"})
    (finding,) = contract.check(Interaction(sent, response()), broken_request=True)
    assert finding.severity == "warning"


def test_accepting_an_unknown_broken_request_is_an_error() -> None:
    (finding,) = Contract().check(Interaction(None, response()), broken_request=True)
    assert finding.severity == "error"


@pytest.mark.parametrize("expect_status", [{201, 422}, [422, 201], (422,), frozenset({404, 422})])
def test_each_of_several_expected_statuses_is_accepted(expect_status: Any) -> None:
    assert of_response(response(422, body=b""), expect_status) == []


def test_request_is_checked_unless_an_expected_failure_came() -> None:
    unwrapped = request(body=b'{"warehouse_id": 5, "line_items_attributes": []}')
    created, refused = Interaction(unwrapped, response()), Interaction(unwrapped, response(422, body=b""))
    assert "request-not-wrapped" in [f.rule for f in CONTRACT.check(created, expect_status={201, 422})]
    assert "request-not-wrapped" not in [f.rule for f in CONTRACT.check(refused, expect_status={201, 422})]
    assert [f.rule for f in CONTRACT.check(created, expect_status=422) if f.location == "status"] == [
        "unexpected-status"
    ]


@pytest.mark.parametrize("status", [404, 500])
def test_failure_in_a_played_cassette_is_only_a_warning(status: int) -> None:
    played = response(status, headers=((EXCHANGE_HEADER, "1"),), body=b"")
    (finding,) = Contract().check(Interaction(None, played))
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    ("method", "url", "got"),
    [
        (
            "PUT",
            "https://user:pass@shop.example:8443/v1/orders/7/allocations?page=1",
            "PUT shop.example:8443/v1/orders/7/allocations",
        ),
        ("POST", "/orders/P-1/allocations", "POST /orders/P-1/allocations"),
        ("POST", "https://shop.example/Sam/example-key-1/\x1b[31m", r"POST shop.example/Sam/(API key)/\x1b[31m"),
        ("POST", "https://shop.example/" + "x" * 300, "POST shop.example/" + "x" * 182 + "..."),
        ("POST", "https://[::1", "POST "),
    ],
)
def test_method_host_and_path_are_shown_with_the_values(method: str, url: str, got: str) -> None:
    sent = Request(method, url, (("x-api-key", "example-key-1"), ("content-type", "application/json")), b"{}")
    shown = [
        finding.got for finding in Contract(show_values=True).check(Interaction(sent)) if finding.rule in TARGET_RULES
    ]
    assert shown == [got]
    hidden = [finding.got for finding in Contract().check(Interaction(sent)) if finding.rule in TARGET_RULES]
    assert "shop.example" not in hidden[0]


TARGET_RULES = ("wrong-method", "wrong-path", "order-id-not-integer")


@pytest.mark.parametrize(("value", "is_right"), [
    ("../447452", True), ("./../../orders/447452?full=1", True), ("447452", False), ("allocations/447452", False),
    ("//other.example/orders/447452", True), ("?orders/447452", False),
])  # fmt: skip
def test_relative_location_is_resolved_against_the_request(value: str, is_right: bool) -> None:
    answer = response(headers=(("content-type", "application/json"), ("location", value)))
    found = Contract("strict").check(Interaction(request(BASE, body=json.dumps(request_body()).encode()), answer))
    assert ("location-order" not in {finding.rule for finding in found}) == is_right


def test_location_is_not_resolved_against_an_invalid_url() -> None:
    answer = response(headers=(("content-type", "application/json"), ("location", "../447452")))
    found = Contract("strict").check(Interaction(request("http://[broken/orders/1/allocations"), answer))
    assert "location-order" in {finding.rule for finding in found}
