"""Servers with one defect each, and the test that must fail for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from battery.app import CorrectServer, RejectedError, Reply
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.orders.story import Story

ANSWERS, REFUSALS, STATE = ("test_veeqo_alloc_answers", "test_veeqo_alloc_refusals", "test_veeqo_alloc_state")
Defect = tuple[str, Callable[[], CorrectServer]]
"""The test that must fail, and a factory of the server."""


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


def request_test(rule: str) -> str:
    """Return the test that sends requests which break *rule*."""
    return f"{REFUSALS}::test_broken_request_is_rejected[{rule}]"


def response_test(rule: str) -> str:
    """Return the test that checks *rule* in responses."""
    return f"{ANSWERS}::test_response_follows_rule[{rule}]"


def _any_key(self: CorrectServer, headers: dict[str, str]) -> None:
    if not headers.get("HTTP_X_API_KEY"):
        raise RejectedError(401)


def _no_key(self: CorrectServer, headers: dict[str, str]) -> None:
    if headers.get("HTTP_X_API_KEY", "x") == "x":
        return
    CorrectServer.authorise(self, headers)


def _allocating_method(*methods: str, status: int = 0) -> Callable[..., int]:
    def order_id(self: CorrectServer, method: str, path: str) -> int:
        if method in methods and path.endswith("/allocations"):
            if status:
                raise RejectedError(status)
            method = "POST"
        return CorrectServer.order_id(self, method, path)

    return order_id


def _any_order_id(pattern: str, status: int = 0) -> Callable[..., int]:
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
    if len(story.allocations) > 1:  # from the second on, everything is booked twice
        again = tuple(replace(allocation, id=allocation.id + 10_000) for allocation in story.allocations)
        return CorrectServer.story(self, order_id, (*story.allocations, *again))
    return story


def _forgetful(self: CorrectServer, order_id: int, requested: Any) -> Story:
    story = CorrectServer.allocate(self, order_id, requested)
    self.allocations[order_id] = ()
    return story


def _first_line_only(self: CorrectServer, order_id: int, requested: Any) -> Story:
    return CorrectServer.allocate(
        self, order_id, {**requested, "line_items_attributes": requested["line_items_attributes"][:1]}
    )


def _one_unit(self: CorrectServer, order_id: int, requested: Any) -> Story:
    lines = [{**line, "quantity": 1} for line in requested["line_items_attributes"]]
    return CorrectServer.allocate(self, order_id, {**requested, "line_items_attributes": lines})


HTML = {"Content-Type": "text/html"}
TRACE = (
    b'{"error_messages": "Traceback (most recent call last):\\n  File \\"/srv/app/models/order.py\\", line 3, in x"}'
)
SQL = b'{"error_messages": "PG::UniqueViolation: ERROR: duplicate key value violates unique constraint"}'

DEFECTS: dict[str, Defect] = {
    "HTML answer": (response_test("response-media-type"), with_response(headers=HTML)),
    "no content type": (response_test("response-media-type"), with_response(headers={"Content-Type": None})),
    "no body": (response_test("body-missing"), with_response(body=lambda body: b"")),
    "half a body": (response_test("not-json"), with_response(body=lambda body: body[: len(body) // 2])),
    "Latin-1": (response_test("not-utf8"), with_response(body=lambda body: body.replace(b'"Sam"', b'"S\xe4m"'))),
    "byte order mark": (response_test("byte-order-mark"), with_response(body=lambda body: b"\xef\xbb\xbf" + body)),
    "member twice": (response_test("duplicate-key"), with_response(body=lambda body: b'{"id": 1, ' + body[1:])),
    "NaN": (response_test("non-finite-number"), with_response(body=lambda body: body.replace(b'"total_tax": 0', b'"total_tax": NaN'))),
    "200": (response_test("wrong-status"), with_response(status=200)),
    "202": (f"{ANSWERS}::test_allocation_is_created[one line]", with_response(status=202)),
    "no Location": (response_test("location-missing"), with_response(headers={"Location": None})),
    "Location with a space": (response_test("location-invalid"), with_response(headers={"Location": "/orders/4 7"})),
    "Location of the allocation": (response_test("location-order"), with_response(headers={"Location": "/allocations/901"})),
    "id of another order": (response_test("order-echo"), with_response(body=lambda body: re.sub(rb'"id": 70\d{5}', b'"id": 99', body))),
    "another warehouse": (response_test("allocation-echo"), with_methods(allocate=lambda self, order_id, requested: CorrectServer.allocate(self, order_id, {**requested, "warehouse_id": 1785}))),
    "only one unit": (response_test("allocation-echo"), with_methods(allocate=_one_unit)),
    "only the first line": (f"{ANSWERS}::test_allocation_is_created[several lines]", with_methods(allocate=_first_line_only)),
    "one id for all": (f"{ANSWERS}::test_orders_and_allocations_have_distinct_ids", with_methods(allocate=_same_id)),
    "charset rejected": (f"{ANSWERS}::test_json_media_type_is_accepted[charset]", with_methods(parse=_media_type_fails(lambda media_type: "charset" in media_type, 415))),
    "capitals rejected": (f"{ANSWERS}::test_json_media_type_is_accepted[capitals]", with_methods(parse=_media_type_fails(str.isupper, 415))),
    "payloads of many units fail": (f"{ANSWERS}::test_valid_payloads_are_allocated", with_methods(parse=_fails_if(lambda value, body: any(line.get("quantity", 0) > 1 for line in _allocation(value).get("line_items_attributes") or () if isinstance(line, dict))))),
    "any key": (f"{REFUSALS}::test_request_without_valid_key_is_rejected[wrong]", with_methods(authorise=_any_key)),
    "no key": (f"{REFUSALS}::test_request_without_valid_key_is_rejected[missing]", with_methods(authorise=_no_key)),
    "404 for a wrong key": (f"{REFUSALS}::test_request_without_valid_key_is_rejected[wrong]", with_methods(rejected=_rejecting_with(404, {}, b""))),
    "GET allocates": (f"{REFUSALS}::test_other_method_is_rejected[GET]", with_methods(order_id=_allocating_method("GET"), parse=lambda self, headers, body: EXAMPLE)),
    "PUT allocates": (f"{REFUSALS}::test_other_method_is_rejected[PUT]", with_methods(order_id=_allocating_method("PUT"))),
    "PATCH allocates": (f"{REFUSALS}::test_other_method_is_rejected[PATCH]", with_methods(order_id=_allocating_method("PATCH"))),
    "DELETE fails": (f"{REFUSALS}::test_other_method_is_rejected[DELETE]", with_methods(order_id=_allocating_method("DELETE", status=500))),
    "order 0": (f"{REFUSALS}::test_invalid_order_id_is_rejected[zero]", with_methods(order_id=_any_order_id("0"))),
    "order -1": (f"{REFUSALS}::test_invalid_order_id_is_rejected[negative]", with_methods(order_id=_any_order_id("-1", 500))),
    "order P-447452": (f"{REFUSALS}::test_invalid_order_id_is_rejected[order number]", with_methods(order_id=_any_order_id("P-447452", 500))),
    "order 1.5": (f"{REFUSALS}::test_invalid_order_id_is_rejected[fraction]", with_methods(order_id=_any_order_id(r"1\.5"))),
    "huge order": (f"{REFUSALS}::test_invalid_order_id_is_rejected[huge]", with_methods(order_id=_any_order_id("9{40}", 500))),
    "NUL in the path": (f"{REFUSALS}::test_invalid_order_id_is_rejected[NUL]", with_methods(order_id=_any_order_id("\0", 500))),
    "SQL in the path": (f"{REFUSALS}::test_invalid_order_id_is_rejected[SQL]", with_methods(order_id=_any_order_id("1' OR.*", 500))),
    "stack trace": (request_test("wrong-type"), with_methods(rejected=_rejecting_with(0, {"Content-Type": "application/json"}, TRACE))),
    "SQL error": (request_test("required-field"), with_methods(rejected=_rejecting_with(0, {"Content-Type": "application/json"}, SQL))),
    "empty body accepted": (f"{REFUSALS}::test_malformed_body_is_rejected[empty]", accepting("body-missing")),
    "truncated body fails": (f"{REFUSALS}::test_malformed_body_is_rejected[truncated]", failing("not-json")),
    "form fails": (f"{REFUSALS}::test_malformed_body_is_rejected[form]", failing("not-json")),
    "bad UTF-8 fails": (f"{REFUSALS}::test_malformed_body_is_rejected[not UTF-8]", failing("not-utf8")),
    "UTF-16 fails": (f"{REFUSALS}::test_malformed_body_is_rejected[UTF-16]", failing("not-utf8", "not-json")),
    "NaN accepted": (f"{REFUSALS}::test_malformed_body_is_rejected[NaN]", accepting("non-finite-number", "required-field", "line-item-shape")),
    "array fails": (f"{REFUSALS}::test_malformed_body_is_rejected[array]", failing("wrong-type")),
    "null accepted": (f"{REFUSALS}::test_malformed_body_is_rejected[null]", accepting("wrong-type")),
    "deep nesting fails": (f"{REFUSALS}::test_malformed_body_is_rejected[deep nesting]", failing("too-deep")),
    "huge number fails": (f"{REFUSALS}::test_malformed_body_is_rejected[huge number]", failing("required-field")),
    "text/plain fails": (f"{REFUSALS}::test_other_media_type_is_no_server_error[text]", with_methods(parse=_media_type_fails(lambda media_type: media_type == "text/plain", 500))),
    "form type fails": (f"{REFUSALS}::test_other_media_type_is_no_server_error[form]", with_methods(parse=_media_type_fails(lambda media_type: "urlencoded" in media_type, 500))),
    "multipart fails": (f"{REFUSALS}::test_other_media_type_is_no_server_error[multipart]", with_methods(parse=_media_type_fails(lambda media_type: "multipart" in media_type, 500))),
    "large member fails": (f"{REFUSALS}::test_large_body_is_no_server_error[1 MB member]", with_methods(parse=_fails_if(lambda value, body: len(body) > 900_000))),
    "many lines fail": (f"{REFUSALS}::test_large_body_is_no_server_error[10,000 lines]", with_methods(parse=_fails_if(lambda value, body: body.count(b"{") > 5000))),
    "unknown warehouse fails": (f"{REFUSALS}::test_unknown_id_is_no_server_error[warehouse_id]", with_methods(parse=_fails_if(lambda value, body: _allocation(value).get("warehouse_id") == 2**53 - 1))),
    "unknown sellable fails": (f"{REFUSALS}::test_unknown_id_is_no_server_error[sellable_id]", with_methods(parse=_fails_if(lambda value, body: b'"sellable_id": 9007199254740991' in body))),
    "second allocation fails": (f"{STATE}::test_repeated_allocation_is_no_server_error", with_methods(allocate=_second_fails)),
    "racing allocations are booked twice": (f"{STATE}::test_concurrent_allocations_allocate_no_more_than_requested", with_methods(allocate=_booked_twice)),
    "order forgets its allocations": (f"{STATE}::test_allocations_add_up", with_methods(allocate=_forgetful)),
}  # fmt: skip
"""The defects by name."""
