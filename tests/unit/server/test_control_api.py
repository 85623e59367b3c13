"""The control API, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.bodies import allocation_request

from pytest_veeqo_alloc.cli.serve import describe_record
from pytest_veeqo_alloc.core.http import Request, Response
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.control_api import PREFIX, with_control_api
from pytest_veeqo_alloc.server.fake import API_KEY, Fake

JSON = ("content-type", "application/json")


def call(
    fake: Fake, method: str, name: str, body: bytes | None = None, *headers: tuple[str, str]
) -> tuple[int, dict[str, Any]]:
    exchange = with_control_api(fake)(Request(method, f"http://127.0.0.1{PREFIX}{name}", headers or (JSON,), body))
    exchange.finish(True)
    response = exchange.plan.response
    return response.status, json.loads(response.body or b"")


def post(fake: Fake, body: Any = None, key: str = API_KEY) -> int:
    raw = json.dumps(allocation_request() if body is None else body).encode()
    request = Request("POST", "http://127.0.0.1/orders/7/allocations", (("x-api-key", key), JSON), raw)
    exchange = with_control_api(fake)(request)
    exchange.finish(True)
    return exchange.plan.response.status


def test_other_paths_are_handled_by_the_server() -> None:
    fake = Fake(Engine())
    assert post(fake) == 201
    assert len(fake.interactions) == 1


def test_calls_of_the_control_api_are_not_logged() -> None:
    fake = Fake(Engine())
    assert call(fake, "GET", "findings") == (200, {"ok": True, "checked": 0, "findings": [], "complaints": []})
    assert len(fake.interactions) == 0


def test_findings_name_the_number_of_their_request_unless_they_are_about_several() -> None:
    fake = Fake(Engine())
    assert call(fake, "POST", "faults", b'{"name": "server-error"}') == (200, {"ok": True})
    assert [post(fake), post(fake), post(fake, allocation_request()["allocation"])] == [500, 201, 422]
    status, answer = call(fake, "GET", "findings")
    assert (status, answer["ok"], answer["checked"]) == (200, False, 3)
    assert [(row["rule"], row["request"]) for row in answer["findings"]] == [
        ("request-not-wrapped", 3),
        ("repeated-post", None),
    ]


def test_problems_are_listed_as_complaints() -> None:
    fake = Fake(Engine())
    call(fake, "POST", "faults", b'{"name": "gzip"}')
    call(fake, "POST", "expect", b'{"rule": "null-value"}')
    _, answer = call(fake, "GET", "findings")
    assert [sentence.partition(" (")[0] for sentence in answer["complaints"]] == [
        "no finding of null-value",
        "no request triggered the fault gzip",
    ]
    assert not answer["ok"]


def test_stub_is_added_and_answers() -> None:
    fake = Fake(Engine())
    stub = {"method": "GET", "path": "/warehouses/{id}", "json": {"id": 1784}, "headers": {"X-Page": "1"}, "times": 1}
    assert call(fake, "POST", "stubs", json.dumps(stub).encode()) == (200, {"ok": True})
    exchange = with_control_api(fake)(Request("GET", "http://127.0.0.1/warehouses/1784"))
    exchange.finish(True)
    assert (exchange.plan.response.status, exchange.plan.response.body) == (200, b'{"id":1784}')
    assert exchange.plan.response.header("x-page") == "1"
    assert call(fake, "GET", "findings")[1] == {"ok": True, "checked": 1, "findings": [], "complaints": []}


def test_interactions_are_redacted_documents() -> None:
    fake = Fake(Engine())
    post(fake)
    _, answer = call(fake, "GET", "interactions")
    (document,) = answer["interactions"]
    assert (document["number"], document["source"]) == (1, "request 1 of the fake")
    assert API_KEY not in json.dumps(answer)


@pytest.mark.parametrize("limit", ["_MAX_INTERACTIONS", "_MAX_BYTES"])
def test_earlier_interactions_are_omitted_and_counted(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(Engine())
    for _ in range(3):
        post(fake)
    monkeypatch.setattr(f"pytest_veeqo_alloc.server.control_api.{limit}", 1)
    _, answer = call(fake, "GET", "interactions")
    assert ([document["number"] for document in answer["interactions"]], answer["omitted"]) == ([3], 2)


def test_fault_is_for_the_requests_with_a_key_that_was_made() -> None:
    fake = Fake(Engine())
    status, answer = call(fake, "POST", "keys")
    assert (status, answer["ok"]) == (200, True)
    fault = {"name": "unprocessable", "api_key": answer["api_key"], "order_id": 7}
    assert call(fake, "POST", "faults", json.dumps(fault).encode()) == (200, {"ok": True})
    assert [post(fake), post(fake, key=answer["api_key"]), post(fake, key=answer["api_key"])] == [201, 422, 201]


def test_reset_needs_no_body() -> None:
    fake = Fake(Engine())
    post(fake)
    assert call(fake, "POST", "reset") == (200, {"ok": True})
    assert len(fake.interactions) == 0


@pytest.mark.parametrize(("method", "name", "body", "headers", "status", "words"), [
    ("POST", "faults", b'{"name": "gzipp"}', [JSON], 400, "did you mean 'gzip'"),
    ("POST", "faults", b"{}", [JSON], 400, "POST faults takes name, times"),
    ("POST", "faults", b'{"name": "gzip", "api_key": "guess"}', [JSON], 400, "api_key= is not a key of this server"),
    ("POST", "keys", b'{"name": 1}', [JSON], 400, "POST keys takes no argument"),
    ("POST", "reset", b'{"name": 1}', [JSON], 400, "POST reset takes no argument"),
    ("POST", "stubs", b'{"method": "POST", "path": "/orders/7/allocations"}', [JSON], 400, "is the documented call"),
    ("POST", "stubs", b'{"method": "GET", "path": "/x", "jsn": []}', [JSON], 400, "POST stubs takes method, path, json, body, status, headers, times"),
    ("POST", "stubs", b"{}", [JSON], 400, "POST stubs takes method, path, json"),
    ("POST", "stubs", b'{"method": "GET", "path": "/x", "headers": 1}', [JSON], 400, "headers= must be pairs"),
    ("POST", "faults", b"[]", [JSON], 400, "the body must be an object"),
    ("POST", "faults", b"{", [JSON], 400, "the body is not JSON"),
    ("POST", "faults", b"{}", [("content-type", "text/plain")], 400, "send content-type: application/json"),
    ("POST", "reset", None, [("origin", "http://example.com")], 400, "requests from a web page (with an Origin header) are not accepted"),
    ("POST", "world", b"{}", [JSON], 404, "GET findings, GET interactions, GET health, POST reset, POST faults, POST responses, POST expect, POST keys"),
    ("DELETE", "findings", None, [JSON], 404, "unknown call; the calls under /__veeqo_alloc__/ are GET findings"),
])  # fmt: skip
def test_wrong_call_is_answered_in_one_sentence(
    method: str, name: str, body: bytes | None, headers: list[tuple[str, str]], status: int, words: str
) -> None:
    answered, answer = call(Fake(Engine()), method, name, body, *headers)
    assert answered == status
    assert words in answer["error_messages"]


def test_health_is_readable_and_head_is_answered() -> None:
    fake = Fake(Engine())
    for method in ("GET", "HEAD"):
        assert call(fake, method, "health") == (200, {"ok": True})
    assert call(fake, "HEAD", "findings")[0] == 200
    assert len(fake.interactions) == 0


ORIGIN = ("Origin", "http://localhost:3000")


def cross_origin(fake: Fake, method: str, *headers: tuple[str, str], path: str = "/orders/7/allocations") -> Response:
    body = json.dumps(allocation_request()).encode() if method == "POST" else None
    exchange = with_control_api(fake)(Request(method, f"http://127.0.0.1{path}", (ORIGIN, *headers), body))
    exchange.finish(True)
    return exchange.plan.response


def test_preflight_of_a_browser_is_answered_without_a_finding() -> None:
    fake = Fake(Engine())
    asked = {"Method": "POST", "Headers": "content-type,x-api-key", "Private-Network": "true"}
    response = cross_origin(
        fake, "OPTIONS", *((f"Access-Control-Request-{name}", text) for name, text in asked.items())
    )
    assert response.status == 204
    assert response.header("access-control-allow-origin") == "*"
    assert "POST" in (response.header("access-control-allow-methods") or "")
    assert response.header("access-control-allow-headers") == "content-type,x-api-key"
    assert response.header("access-control-allow-private-network") == "true"
    assert (len(fake.interactions), len(fake.findings)) == (0, 0)


def test_call_of_a_browser_is_readable_for_its_page() -> None:
    fake = Fake(Engine())
    response = cross_origin(fake, "POST", ("x-api-key", API_KEY), JSON)
    assert (response.status, response.header("access-control-allow-origin")) == (201, "*")
    assert fake.findings.ok


def test_control_path_is_closed_to_pages() -> None:
    fake = Fake(Engine())
    response = cross_origin(fake, "OPTIONS", ("Access-Control-Request-Method", "POST"), path=f"{PREFIX}reset")
    assert (response.status, response.header("access-control-allow-origin")) == (404, None)


def test_options_of_the_documented_path_shows_its_path() -> None:
    lines: list[str] = []
    fake = Fake(Engine(), on_record=lambda record: lines.append(describe_record(record)))
    cross_origin(fake, "OPTIONS")
    assert lines[0].startswith("OPTIONS /orders/")
