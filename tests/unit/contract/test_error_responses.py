"""Error bodies: observed forms, and internals that leak."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest

from pytest_veeqo_alloc import Contract, Interaction, Profile, Request, Response
from pytest_veeqo_alloc.contract.error_responses import ERROR_RESPONSES


def rules(body: bytes, profile: Profile = "strict", status: int = 422) -> list[str]:
    findings = Contract(profile).check(Interaction(None, Response(status, (), body)), expect_status=status)
    return [finding.rule for finding in findings]


@pytest.mark.parametrize(
    "value",
    [
        {"error_messages": "You're not authorized"},
        {"error_messages": ["Infinity"]},
        {"error_messages": []},
        {"status": "404", "error": "Not Found"},
        {"status": 404, "error": "Not Found"},
    ],
)
def test_observed_error_form_is_accepted(value: Any) -> None:
    assert rules(json.dumps(value).encode()) == []


def test_empty_error_body_is_accepted() -> None:
    assert rules(b"") == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad Gateway</html>",
        b"[]",
        b"null",
        b'{"errors": ["x"]}',
        b'{"error_messages": null}',
        b'{"error_messages": [1]}',
        b'{"error_messages": "x", "more": 1}',
        b'{"status": true, "error": "x"}',
        b'{"status": 404, "error": null}',
        b"\xff",
        b"[" * 20_000,
        b"[" * 100 + b"]" * 100,
    ],
)
def test_other_error_form_is_a_warning_in_strict_only(body: bytes) -> None:
    assert rules(body) == ["error-body-shape"]
    assert rules(body, "documented") == []
    assert rules(body, "lenient") == []


LEAKS = [
    'Traceback (most recent call last):\n  File "/srv/app/x.py", line 3, in f',
    "app/models/order.rb:12:in `save'",
    "app/models/order.rb:12:in 'Order#save'",
    "at com.example.Orders.save(Orders.java:42)",
    "    at Object.<anonymous> (index.js:1:13)",
    "Fatal error: Uncaught x in y.php on line 3",
    "<b>Warning</b>: Division by zero in <b>/srv/x.php</b> on line <b>7</b>",
    "goroutine 1 [running]:",
    "at Shop.Orders.Save(Int32 id) in Orders.cs:line 12",
    "PG::UniqueViolation: ERROR",
    "PG::Error",
    "ActiveRecord::RecordNotFound",
    "sqlalchemy.exc.OperationalError",
    "SQLSTATE[23000]: Integrity constraint violation",
    "ORA-00942",
    "You have an error in your SQL syntax",
    "syntax error at or near",
    "/usr/src/app/orders.rb",
    "File &quot;/srv/app/x.py&quot;, line 3, in f",
    "C:\\inetpub\\shop\\orders.aspx",
]


@pytest.mark.parametrize("text", LEAKS)
def test_internals_are_found_once_in_text_and_in_json(text: str) -> None:
    assert "error-leaks-internals" in rules(text.encode())
    assert rules(json.dumps({"error_messages": text}).encode()) == ["error-leaks-internals"]


@pytest.mark.parametrize(
    "text",
    [
        "Order must have a destination address.",
        "see https://api.example.com/docs/orders.html",
        "Not enough stock at warehouse 5 (3:1)",
        "and/or the path /orders/1/allocations",
        "Traceback the parcel",
        "warning: 3 lines",
        "Please upload a JPG.",
        "AURORA. is down",
        "Warning: not enough stock on line 2",
        "No route matches /app/orders/1.json",
        "look at Foo() in the\nmanual:line 3",
    ],
)
def test_message_for_the_caller_is_not_a_leak(text: str) -> None:
    assert rules(json.dumps({"error_messages": text}).encode()) == []


@pytest.mark.parametrize(
    "body",
    [rb'{"error_messages": "File \"app.py\", line 3, in f"}', rb'{"error_messages": "see \/home\/app\/orders.rb"}'],
)
def test_internals_are_found_behind_json_escapes(body: bytes) -> None:
    assert rules(body) == ["error-leaks-internals"]


KEY = 'key-"quoted"-äöü'


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error_messages": f"no user has the key {KEY}"}).encode(),
        json.dumps({KEY: 1}, ensure_ascii=False).encode(),
        html.escape(f"<p>wrong key: {KEY}</p>").encode(),
        KEY.encode(),
    ],
)
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_error_body_that_quotes_the_key_of_the_request_is_found(header: str, body: bytes) -> None:
    value = f"Bearer {KEY}" if header == "authorization" else KEY
    request = Request("POST", "/orders/1/allocations", ((header, value),), b"{}")
    expected: list[tuple[Profile, str]] = [("lenient", "warning"), ("documented", "error"), ("strict", "error")]
    for profile, severity in expected:
        found = Contract(profile).check(Interaction(request, Response(401, (), body)), expect_status=401)
        (leak,) = [finding for finding in found if finding.rule == "error-leaks-internals"]
        assert (leak.severity, leak.got) == (severity, "the API key of the request")


def test_error_body_with_a_short_key_is_not_found() -> None:
    request = Request("POST", "/orders/1/allocations", (("x-api-key", "k"),), b"{}")
    found = Contract().check(Interaction(request, Response(401, (), b"unknown key")), expect_status=401)
    assert len(found) == 0


def test_finding_of_an_error_body_is_at_the_whole_body() -> None:
    for body in (b"[]", b"PG::Error", b'{"error_messages": "PG::Error"}'):
        found = Contract("strict").check(Interaction(None, Response(422, (), body)), expect_status=422)
        assert {finding.pointer for finding in found} == {""}


@pytest.mark.parametrize(
    "name", [name for name, error in ERROR_RESPONSES.items() if (error.response.body or b"")[:1] == b"{"]
)
def test_json_error_response_declares_its_type_and_length(name: str) -> None:
    answer = ERROR_RESPONSES[name].response
    assert answer.headers == (
        ("Content-Type", "application/json;charset=utf-8"), ("Content-Length", str(len(answer.body or b""))),
    )  # fmt: skip
    assert rules(answer.body or b"") == []


def test_several_leaks_are_one_finding() -> None:
    assert rules(json.dumps({"error_messages": " ".join(LEAKS)}).encode()) == ["error-leaks-internals"]
