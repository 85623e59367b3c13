"""Servers with one defect each, and the test that must fail for it; correct servers that differ from the usual."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.orders.story import Story
from servers.app import CorrectServer, RejectedError, Reply

ANSWERS, REFUSALS, STATE = ("test_veeqo_alloc_answers", "test_veeqo_alloc_refusals", "test_veeqo_alloc_state")
Defect = tuple[str | tuple[str, ...], Callable[[], CorrectServer]]
"""The tests that must fail, and a factory of the server."""


def with_response(**changes: Any) -> Callable[[], CorrectServer]:
    """Return a server with a changed 201: *changes* are `status`, `headers` (None removes one) and `body`, a function."""

    class DefectiveServer(CorrectServer):
        def created(self, story: Story) -> Reply:
            status, headers, body = super().created(story)
            headers = {
                name: value for name, value in {**headers, **changes.get("headers", {})}.items() if value is not None
            }
            return changes.get("status", status), headers, changes["body"](body) if "body" in changes else body

    return DefectiveServer


def with_body(payload: Any) -> Callable[[], CorrectServer]:
    """Return a server that answers valid requests with *payload*."""
    return with_response(body=lambda body: json.dumps(payload).encode())


def with_methods(**methods: Any) -> Callable[[], CorrectServer]:
    return type("DefectiveServer", (CorrectServer,), methods)


def accepting(*rules: str) -> Callable[[], CorrectServer]:
    """Return a server that accepts bodies which break *rules*."""

    def parse(self: CorrectServer, headers: dict[str, str], body: bytes) -> Any:
        errors = self.strict.check_body("request", body).errors
        if not errors or any(error.rule not in rules for error in errors):
            return CorrectServer.parse(self, headers, body)
        return EXAMPLE

    return with_methods(parse=parse)


def failing(*rules: str) -> Callable[[], CorrectServer]:
    """Return a server that answers bodies which break *rules* with a 500."""

    def parse(self: CorrectServer, headers: dict[str, str], body: bytes) -> Any:
        if any(error.rule in rules for error in self.strict.check_body("request", body).errors):
            raise RejectedError(500)
        return CorrectServer.parse(self, headers, body)

    return with_methods(parse=parse)


EXAMPLE = {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}


def broken_test(rule: str) -> str:
    """Return the test that fails if a request which breaks *rule* is accepted."""
    return f"{REFUSALS}::test_broken_request_is_refused[broken-request-accepted-{rule}]"


def refused_test(rule: str) -> str:
    """Return the test that fails if a request that breaks no documented rule is accepted."""
    return f"{REFUSALS}::test_request_is_refused[{rule}]"


def refusal_test(rule: str) -> str:
    """Return the test that checks *rule* in responses to requests that are not documented."""
    return f"{REFUSALS}::test_refusal_follows_rule[{rule}]"


def response_test(rule: str) -> str:
    """Return the test that checks *rule* in responses to documented requests."""
    return f"{ANSWERS}::test_response_follows_rule[{rule}]"


def _any_key(self: CorrectServer, headers: dict[str, str]) -> None:
    if not headers.get("HTTP_X_API_KEY"):
        raise RejectedError(401)


def _no_key(self: CorrectServer, headers: dict[str, str]) -> None:
    if headers.get("HTTP_X_API_KEY", "x") == "x":
        return
    CorrectServer.authorise(self, headers)


def _answering_get(self: CorrectServer, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
    if method == "GET" and path.endswith("/allocations"):
        method, body = "POST", json.dumps({"allocation": EXAMPLE}).encode()
    return CorrectServer.respond(self, method, path, headers, body)


def _allocating_method(*methods: str, status: int = 0) -> Callable[..., int]:
    def order_id(self: CorrectServer, method: str, path: str) -> int:
        if method in methods and path.endswith("/allocations"):
            if status:
                raise RejectedError(status)
            method = "POST"
        return CorrectServer.order_id(self, method, path)

    return order_id


def accepting_order_ids(pattern: str, status: int = 0) -> Callable[..., int]:
    def order_id(self: CorrectServer, method: str, path: str) -> int:
        segment = path.strip("/").split("/")[1]
        if re.fullmatch(pattern, segment, re.DOTALL):
            if status:
                raise RejectedError(status)
            return 7
        return CorrectServer.order_id(self, method, path)

    return order_id


def _media_type_fails(matches: Callable[[str], bool], status: int) -> Callable[..., Any]:
    def parse(self: CorrectServer, headers: dict[str, str], body: bytes) -> Any:
        if matches(headers.get("CONTENT_TYPE", "")):
            raise RejectedError(status)
        return CorrectServer.parse(self, headers, body)

    return parse


def _fails_if(condition: Callable[[Any, bytes], bool]) -> Callable[..., Any]:
    def parse(self: CorrectServer, headers: dict[str, str], body: bytes) -> Any:
        reading = read(body)
        if condition(reading.value if reading.readable else None, body):
            raise RejectedError(500)
        return CorrectServer.parse(self, headers, body)

    return parse


def _allocation(value: Any) -> Any:
    inner = value.get("allocation") if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _rejecting_with(status: int, headers: dict[str, str], body: bytes) -> Callable[..., Reply]:
    return lambda self, _status, _message: (status or _status, headers, body)


def _same_id(self: CorrectServer, order_id: int, requested: Any) -> Story:
    story = CorrectServer.allocate(self, order_id, requested)
    return replace(story, allocations=tuple(replace(allocation, id=1) for allocation in story.allocations))


def _second_fails(self: CorrectServer, order_id: int, requested: Any) -> Story:
    if order_id in self.allocations:
        raise RejectedError(500)
    return CorrectServer.allocate(self, order_id, requested)


def _booked_twice(self: CorrectServer, order_id: int, requested: Any) -> Story:
    story = CorrectServer.allocate(self, order_id, requested)
    again = tuple(replace(allocation, id=allocation.id + 10_000) for allocation in story.allocations)
    return CorrectServer.story(self, order_id, (*story.allocations, *again))


class LosesUpdates(CorrectServer):
    """A server that reads the allocations of an order, and stores them after the next request has read them as well."""

    def __init__(self) -> None:
        super().__init__()
        self.running, self.changed = 0, threading.Condition()

    def allocate(self, order_id: int, requested: Any) -> Story:
        before = self.allocations.get(order_id, ())
        with self.changed:
            self.running += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.running > 1, timeout=0.05)
            self.allocations[order_id] = before
        story = super().allocate(order_id, requested)
        with self.changed:
            self.running -= 1
        return story


def one_id_and_no_state(self: CorrectServer, order_id: int, requested: Any) -> Story:
    """Allocate to an order without earlier allocations, under the id of every other allocation."""
    self.allocations.pop(order_id, None)
    return _same_id(self, order_id, requested)


def _forgetful(self: CorrectServer, order_id: int, requested: Any) -> Story:
    story = CorrectServer.allocate(self, order_id, requested)
    self.allocations[order_id] = ()
    return story


def _many_units_fail(self: CorrectServer, order_id: int, requested: Any) -> Story:
    if any(line["quantity"] > 1 for line in requested["line_items_attributes"]):
        raise RejectedError(500)
    return CorrectServer.allocate(self, order_id, requested)


def _one_unit_more(self: CorrectServer, order_id: int, requested: Any) -> Story:
    lines = [{**line, "quantity": line["quantity"] + 1} for line in requested["line_items_attributes"]]
    return CorrectServer.allocate(self, order_id, {**requested, "line_items_attributes": lines})


def _authorising(self: CorrectServer, headers: dict[str, str], body: bytes) -> Any:
    CorrectServer.authorise(self, headers)
    return CorrectServer.parse(self, headers, body)


def _first_value(self: CorrectServer, headers: dict[str, str], body: bytes) -> Any:
    try:
        value, _ = json.JSONDecoder().raw_decode(body.decode())
    except (ValueError, RecursionError):
        value = None
    return CorrectServer.parse(self, headers, body if value is None else json.dumps(value).encode())


HTML = {"Content-Type": "text/html"}
TRACE = (
    b'{"error_messages": "Traceback (most recent call last):\\n  File \\"/srv/app/models/order.py\\", line 3, in x"}'
)
SQL = b'{"error_messages": "PG::UniqueViolation: ERROR: duplicate key value violates unique constraint"}'

DEFECTS: dict[str, Defect] = {
    "HTML answer": (response_test("response-media-type"), with_response(headers=HTML)),
    "no content type": (response_test("response-media-type"), with_response(headers={"Content-Type": None})),
    "half a body": (response_test("not-json"), with_response(body=lambda body: body[: len(body) // 2])),
    "Latin-1": (response_test("not-utf8"), with_response(body=lambda body: body.replace(b'"Sam"', b'"S\xe4m"'))),
    "byte order mark": (response_test("byte-order-mark"), with_response(body=lambda body: b"\xef\xbb\xbf" + body)),
    "member twice": (response_test("duplicate-key"), with_response(body=lambda body: b'{"id": 1, ' + body[1:])),
    "NaN": (response_test("non-finite-number"), with_response(body=lambda body: body.replace(b'"total_tax": 0', b'"total_tax": NaN'))),
    "200": (response_test("wrong-status"), with_response(status=200)),
    "202": (response_test("wrong-status"), with_response(status=202)),
    "no Location": (response_test("location-missing"), with_response(headers={"Location": None})),
    "Location with a space": (response_test("location-invalid"), with_response(headers={"Location": "/orders/4 7"})),
    "Location of the allocation": (response_test("location-order"), with_response(headers={"Location": "/allocations/901"})),
    "another order": (response_test("order-echo"), with_methods(created=lambda self, story: CorrectServer.created(self, replace(story, order_id=99)))),
    "another warehouse": (response_test("allocation-echo"), with_methods(allocate=lambda self, order_id, requested: CorrectServer.allocate(self, order_id, {**requested, "warehouse_id": 1785}))),
    "one unit too many": (response_test("allocation-quantity"), with_methods(allocate=_one_unit_more)),
    "one id for all": (f"{ANSWERS}::test_allocations_have_distinct_ids[allocation-ids-not-distinct]", with_methods(allocate=_same_id)),
    "charset rejected": (f"{ANSWERS}::test_every_json_media_type_is_accepted[json-media-type-refused]", with_methods(parse=_media_type_fails(lambda media_type: "charset" in media_type, 415))),
    "capitals rejected": (f"{ANSWERS}::test_every_json_media_type_is_accepted[json-media-type-refused]", with_methods(parse=_media_type_fails(str.isupper, 415))),
    "many units fail": (response_test("server-error"), with_methods(allocate=_many_units_fail)),
    "any key": (refused_test("key-not-required"), with_methods(authorise=_any_key)),
    "no key": (refused_test("key-not-required"), with_methods(authorise=_no_key)),
    "GET allocates": (refused_test("method-accepted"), with_methods(respond=_answering_get)),
    "PUT allocates": (refused_test("method-accepted"), with_methods(order_id=_allocating_method("PUT"))),
    "PATCH allocates": (refused_test("method-accepted"), with_methods(order_id=_allocating_method("PATCH"))),
    "DELETE fails": (refusal_test("server-error"), with_methods(order_id=_allocating_method("DELETE", status=500))),
    "order 0": (refused_test("order-id-not-positive-accepted"), with_methods(order_id=accepting_order_ids("0"))),
    "order -1": (refusal_test("server-error"), with_methods(order_id=accepting_order_ids("-1", 500))),
    "order P-447452": (refusal_test("server-error"), with_methods(order_id=accepting_order_ids("P-447452", 500))),
    "order 1.5": (broken_test("order-id-not-integer"), with_methods(order_id=accepting_order_ids(r"1\.5"))),
    "huge order": (refusal_test("server-error"), with_methods(order_id=accepting_order_ids(r"\d{20,}", 500))),
    "NUL in the path": (refusal_test("server-error"), with_methods(order_id=accepting_order_ids("\0", 500))),
    "SQL in the path": (refusal_test("server-error"), with_methods(order_id=accepting_order_ids("1' OR.*", 500))),
    "stack trace": (refusal_test("error-leaks-internals"), with_methods(rejected=_rejecting_with(0, {"Content-Type": "application/json"}, TRACE))),
    "SQL error": (refusal_test("error-leaks-internals"), with_methods(rejected=_rejecting_with(0, {"Content-Type": "application/json"}, SQL))),
    "empty body accepted": (broken_test("body-missing"), accepting("body-missing")),
    "truncated body fails": (refusal_test("server-error"), failing("not-json")),
    "form fails": (refusal_test("server-error"), failing("not-json")),
    "bad UTF-8 fails": (refusal_test("server-error"), failing("not-utf8")),
    "UTF-16 fails": (refusal_test("server-error"), failing("not-utf8", "not-json")),
    "NaN accepted": (broken_test("non-finite-number"), with_methods(parse=lambda self, headers, body: EXAMPLE if b"NaN" in body else CorrectServer.parse(self, headers, body))),
    "array fails": (refusal_test("server-error"), failing("wrong-type")),
    "null accepted": (broken_test("wrong-type"), accepting("wrong-type")),
    "deep nesting fails": (refusal_test("server-error"), failing("too-deep")),
    "huge number fails": (refusal_test("server-error"), with_methods(parse=_fails_if(lambda value, body: b"0" * 400 in body))),
    "text/plain fails": (refusal_test("server-error"), with_methods(parse=_media_type_fails(lambda media_type: media_type == "text/plain", 500))),
    "form type fails": (refusal_test("server-error"), with_methods(parse=_media_type_fails(lambda media_type: "urlencoded" in media_type, 500))),
    "multipart fails": (refusal_test("server-error"), with_methods(parse=_media_type_fails(lambda media_type: "multipart" in media_type, 500))),
    "large member fails": (refusal_test("server-error"), with_methods(parse=_fails_if(lambda value, body: len(body) > 900_000))),
    "many lines fail": (refusal_test("server-error"), with_methods(parse=_fails_if(lambda value, body: body.count(b"{") > 5000))),
    "unknown warehouse fails": (refusal_test("server-error"), with_methods(parse=_fails_if(lambda value, body: _allocation(value).get("warehouse_id") == 2**53 - 1))),
    "unknown sellable fails": (refusal_test("server-error"), with_methods(parse=_fails_if(lambda value, body: b'"sellable_id": 9007199254740991' in body))),
    "second allocation fails": (refusal_test("server-error"), with_methods(allocate=_second_fails)),
    "simultaneous allocations are lost": (f"{STATE}::test_simultaneous_allocations_are_all_kept[race-lost-update]", LosesUpdates),
    "allocations are booked twice": (tuple(f"{STATE}::{test}" for test in ("test_allocations_add_up[allocations-not-accumulated]", "test_simultaneous_allocations_are_all_kept[race-lost-update]", "test_refused_request_changes_nothing[refusal-partly-applied]")), with_methods(allocate=_booked_twice)),
    "huge order is cut": (f"{REFUSALS}::test_huge_order_id_is_refused_or_answered_exactly[unknown-order-accepted]", with_methods(order_id=accepting_order_ids(r"\d{20,}"))),
    "text after the body is ignored": (refused_test("trailing-data-accepted"), with_methods(parse=_first_value)),
    "order forgets its allocations": (f"{STATE}::test_allocations_add_up[allocations-not-accumulated]", with_methods(allocate=_forgetful)),
}  # fmt: skip
"""The defects by name. One that names several tests has a cause that contradicts the rule of each of them."""

VARIANTS: dict[str, Callable[[], CorrectServer]] = {
    "404 for everything but 411": with_methods(rejected=lambda self, status, message: (status if status == 411 else 404, {}, b"")),
    "400 for everything but 411": with_methods(rejected=lambda self, status, message: (status if status == 411 else 400, {}, b"")),
    "key checked after the order": with_methods(authorise=lambda self, headers: None, parse=_authorising),
    "501 for other methods": with_methods(order_id=_allocating_method("GET", "PUT", "PATCH", "DELETE", status=501)),
    "empty 405 with HTML": with_methods(rejected=_rejecting_with(0, HTML, b"")),
    "undocumented fields in a request are ignored": accepting("undocumented-field"),
    "any media type": with_methods(parse=lambda self, headers, body: CorrectServer.parse(self, {"CONTENT_TYPE": "application/json"}, body)),
    "+json": with_response(headers={"Content-Type": "application/vnd.api+json"}),
}  # fmt: skip
"""Correct servers by the choice that they make."""
