"""Servers with one defect each, and the test that should catch it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from battery.app import Answer, RefusedError, Shop
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.orders.story import Story

ANSWERS, REFUSALS, STATE = ("test_veeqo_alloc_answers", "test_veeqo_alloc_refusals", "test_veeqo_alloc_state")
Planted = tuple[str, Callable[[], Any]]


def answer(**changes: Any) -> Callable[[], Shop]:
    """A server whose created answer is changed: `status=`, `headers=`, `body=`."""

    class Defect(Shop):
        def created(self, story: Story) -> Answer:
            status, headers, body = super().created(story)
            headers = {
                name: value for name, value in {**headers, **changes.get("headers", {})}.items() if value is not None
            }
            return changes.get("status", status), headers, changes["body"](body) if "body" in changes else body

    return Defect


def body_of(payload: Any) -> Callable[[], Shop]:
    """A server that answers *payload* to everything that is right."""
    return answer(body=lambda body: json.dumps(payload).encode())


def override(**methods: Any) -> Callable[[], Shop]:
    return type("Defect", (Shop,), methods)


def accepting(*rules: str) -> Callable[[], Shop]:
    """A server that takes bodies which break *rules*."""

    def parsed(self: Shop, headers: dict[str, str], body: bytes) -> Any:
        errors = self.strict.check_body("request", body).errors
        if not errors or any(error.rule not in rules for error in errors):
            return Shop.parsed(self, headers, body)
        return EXAMPLE

    return override(parsed=parsed)


def failing(*rules: str) -> Callable[[], Shop]:
    """A server that answers bodies which break *rules* with a 500."""

    def parsed(self: Shop, headers: dict[str, str], body: bytes) -> Any:
        if any(error.rule in rules for error in self.strict.check_body("request", body).errors):
            raise RefusedError(500)
        return Shop.parsed(self, headers, body)

    return override(parsed=parsed)


EXAMPLE = {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}


def breaks(rule: str) -> str:
    return f"{REFUSALS}::test_broken_request_is_rejected[{rule}]"


def keeps(rule: str) -> str:
    return f"{ANSWERS}::test_response_follows_rule[{rule}]"


def _anybody(self: Shop, headers: dict[str, str]) -> None:
    if not headers.get("HTTP_X_API_KEY"):
        raise RefusedError(401)


def _nobody(self: Shop, headers: dict[str, str]) -> None:
    if headers.get("HTTP_X_API_KEY", "x") == "x":
        return
    Shop.authorise(self, headers)


def _method(*methods: str, status: int = 0) -> Callable[..., int]:
    def order_id(self: Shop, method: str, path: str) -> int:
        if method in methods and path.endswith("/allocations"):
            if status:
                raise RefusedError(status)
            method = "POST"
        return Shop.order_id(self, method, path)

    return order_id


def _any_id(pattern: str, status: int = 0) -> Callable[..., int]:
    def order_id(self: Shop, method: str, path: str) -> int:
        segment = path.strip("/").split("/")[1]
        if re.fullmatch(pattern, segment, re.DOTALL):
            if status:
                raise RefusedError(status)
            return 7
        return Shop.order_id(self, method, path)

    return order_id


def _takes(kinds: Callable[[str], bool], status: int) -> Callable[..., Any]:
    def parsed(self: Shop, headers: dict[str, str], body: bytes) -> Any:
        if kinds(headers.get("CONTENT_TYPE", "")):
            raise RefusedError(status)
        return Shop.parsed(self, headers, body)

    return parsed


def _when(condition: Callable[[Any, bytes], bool]) -> Callable[..., Any]:
    def parsed(self: Shop, headers: dict[str, str], body: bytes) -> Any:
        reading = read(body)
        if condition(reading.value if reading.readable else None, body):
            raise RefusedError(500)
        return Shop.parsed(self, headers, body)

    return parsed


def _lines(value: Any) -> Any:
    inner = value.get("allocation") if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _refusing(status: int, headers: dict[str, str], body: bytes) -> Callable[..., Answer]:
    return lambda self, _status, _message: (status or _status, headers, body)


def _same_id(self: Shop, order_id: int, asked: Any) -> Story:
    story = Shop.allocate(self, order_id, asked)
    return replace(story, allocations=tuple(replace(each, id=1) for each in story.allocations))


def _second_fails(self: Shop, order_id: int, asked: Any) -> Story:
    if order_id in self.held:
        raise RefusedError(500)
    return Shop.allocate(self, order_id, asked)


def _twice(self: Shop, order_id: int, asked: Any) -> Story:
    story = Shop.allocate(self, order_id, asked)
    if len(story.allocations) > 1:  # from the second on, everything is booked twice
        again = tuple(replace(each, id=each.id + 10_000) for each in story.allocations)
        return Shop.story(self, order_id, (*story.allocations, *again))
    return story


def _forgetful(self: Shop, order_id: int, asked: Any) -> Story:
    story = Shop.allocate(self, order_id, asked)
    self.held[order_id] = ()
    return story


def _only_first_line(self: Shop, order_id: int, asked: Any) -> Story:
    return Shop.allocate(self, order_id, {**asked, "line_items_attributes": asked["line_items_attributes"][:1]})


def _one_unit(self: Shop, order_id: int, asked: Any) -> Story:
    lines = [{**line, "quantity": 1} for line in asked["line_items_attributes"]]
    return Shop.allocate(self, order_id, {**asked, "line_items_attributes": lines})


HTML = {"Content-Type": "text/html"}
TRACE = (
    b'{"error_messages": "Traceback (most recent call last):\\n  File \\"/srv/app/models/order.py\\", line 3, in x"}'
)
SQL = b'{"error_messages": "PG::UniqueViolation: ERROR: duplicate key value violates unique constraint"}'

PLANTED: dict[str, Planted] = {
    "an HTML answer": (keeps("response-media-type"), answer(headers=HTML)),
    "no content type": (keeps("response-media-type"), answer(headers={"Content-Type": None})),
    "no body": (keeps("body-missing"), answer(body=lambda body: b"")),
    "half a body": (keeps("not-json"), answer(body=lambda body: body[: len(body) // 2])),
    "Latin-1": (keeps("not-utf8"), answer(body=lambda body: body.replace(b'"Sam"', b'"S\xe4m"'))),
    "a byte order mark": (keeps("byte-order-mark"), answer(body=lambda body: b"\xef\xbb\xbf" + body)),
    "a member twice": (keeps("duplicate-key"), answer(body=lambda body: b'{"id": 1, ' + body[1:])),
    "NaN": (keeps("non-finite-number"), answer(body=lambda body: body.replace(b'"total_tax": 0', b'"total_tax": NaN'))),
    "200": (keeps("wrong-status"), answer(status=200)),
    "202": (f"{ANSWERS}::test_allocation_is_created[one line]", answer(status=202)),
    "no Location": (keeps("location-missing"), answer(headers={"Location": None})),
    "a Location with a space": (keeps("location-invalid"), answer(headers={"Location": "/orders/4 7"})),
    "a Location of the allocation": (keeps("location-order"), answer(headers={"Location": "/allocations/901"})),
    "the id of another order": (keeps("order-echo"), answer(body=lambda body: re.sub(rb'"id": 70\d{5}', b'"id": 99', body))),
    "another warehouse": (keeps("allocation-echo"), override(allocate=lambda self, order_id, asked: Shop.allocate(self, order_id, {**asked, "warehouse_id": 1785}))),
    "only one unit": (keeps("allocation-echo"), override(allocate=_one_unit)),
    "only the first line": (f"{ANSWERS}::test_allocation_is_created[several lines]", override(allocate=_only_first_line)),
    "one id for all": (f"{ANSWERS}::test_orders_and_allocations_have_distinct_ids", override(allocate=_same_id)),
    "a charset is refused": (f"{ANSWERS}::test_json_media_type_is_accepted[charset]", override(parsed=_takes(lambda kind: "charset" in kind, 415))),
    "capitals are refused": (f"{ANSWERS}::test_json_media_type_is_accepted[capitals]", override(parsed=_takes(str.isupper, 415))),
    "payloads of many units fail": (f"{ANSWERS}::test_valid_payloads_are_allocated", override(parsed=_when(lambda value, body: any(line.get("quantity", 0) > 1 for line in _lines(value).get("line_items_attributes") or () if isinstance(line, dict))))),
    "any key": (f"{REFUSALS}::test_request_without_valid_key_is_rejected[wrong]", override(authorise=_anybody)),
    "no key": (f"{REFUSALS}::test_request_without_valid_key_is_rejected[missing]", override(authorise=_nobody)),
    "404 for a wrong key": (f"{REFUSALS}::test_request_without_valid_key_is_rejected[wrong]", override(refusal=_refusing(404, {}, b""))),
    "GET allocates": (f"{REFUSALS}::test_other_method_is_rejected[GET]", override(order_id=_method("GET"), parsed=lambda self, headers, body: EXAMPLE)),
    "PUT allocates": (f"{REFUSALS}::test_other_method_is_rejected[PUT]", override(order_id=_method("PUT"))),
    "PATCH allocates": (f"{REFUSALS}::test_other_method_is_rejected[PATCH]", override(order_id=_method("PATCH"))),
    "DELETE fails": (f"{REFUSALS}::test_other_method_is_rejected[DELETE]", override(order_id=_method("DELETE", status=500))),
    "order 0": (f"{REFUSALS}::test_invalid_order_id_is_rejected[zero]", override(order_id=_any_id("0"))),
    "order -1": (f"{REFUSALS}::test_invalid_order_id_is_rejected[negative]", override(order_id=_any_id("-1", 500))),
    "order P-447452": (f"{REFUSALS}::test_invalid_order_id_is_rejected[order number]", override(order_id=_any_id("P-447452", 500))),
    "order 1.5": (f"{REFUSALS}::test_invalid_order_id_is_rejected[fraction]", override(order_id=_any_id(r"1\.5"))),
    "a huge order": (f"{REFUSALS}::test_invalid_order_id_is_rejected[huge]", override(order_id=_any_id("9{40}", 500))),
    "a NUL in the path": (f"{REFUSALS}::test_invalid_order_id_is_rejected[NUL]", override(order_id=_any_id("\0", 500))),
    "SQL in the path": (f"{REFUSALS}::test_invalid_order_id_is_rejected[SQL]", override(order_id=_any_id("1' OR.*", 500))),
    "a stack trace": (breaks("wrong-type"), override(refusal=_refusing(0, {"Content-Type": "application/json"}, TRACE))),
    "an SQL error": (breaks("required-field"), override(refusal=_refusing(0, {"Content-Type": "application/json"}, SQL))),
    "an empty body is taken": (f"{REFUSALS}::test_malformed_body_is_rejected[empty]", accepting("body-missing")),
    "a truncated body fails": (f"{REFUSALS}::test_malformed_body_is_rejected[truncated]", failing("not-json")),
    "a form fails": (f"{REFUSALS}::test_malformed_body_is_rejected[form]", failing("not-json")),
    "bad UTF-8 fails": (f"{REFUSALS}::test_malformed_body_is_rejected[not UTF-8]", failing("not-utf8")),
    "UTF-16 fails": (f"{REFUSALS}::test_malformed_body_is_rejected[UTF-16]", failing("not-utf8", "not-json")),
    "NaN is taken": (f"{REFUSALS}::test_malformed_body_is_rejected[NaN]", accepting("non-finite-number", "required-field", "line-item-shape")),
    "an array fails": (f"{REFUSALS}::test_malformed_body_is_rejected[array]", failing("wrong-type")),
    "null is taken": (f"{REFUSALS}::test_malformed_body_is_rejected[null]", accepting("wrong-type")),
    "deep nesting fails": (f"{REFUSALS}::test_malformed_body_is_rejected[deep nesting]", failing("too-deep")),
    "a huge number fails": (f"{REFUSALS}::test_malformed_body_is_rejected[huge number]", failing("required-field")),
    "text/plain fails": (f"{REFUSALS}::test_other_media_type_is_no_server_error[text]", override(parsed=_takes(lambda kind: kind == "text/plain", 500))),
    "a form type fails": (f"{REFUSALS}::test_other_media_type_is_no_server_error[form]", override(parsed=_takes(lambda kind: "urlencoded" in kind, 500))),
    "multipart fails": (f"{REFUSALS}::test_other_media_type_is_no_server_error[multipart]", override(parsed=_takes(lambda kind: "multipart" in kind, 500))),
    "a large member fails": (f"{REFUSALS}::test_large_body_is_no_server_error[1 MB member]", override(parsed=_when(lambda value, body: len(body) > 900_000))),
    "many lines fail": (f"{REFUSALS}::test_large_body_is_no_server_error[10,000 lines]", override(parsed=_when(lambda value, body: body.count(b"{") > 5000))),
    "an unknown warehouse fails": (f"{REFUSALS}::test_unknown_id_is_no_server_error[warehouse_id]", override(parsed=_when(lambda value, body: _lines(value).get("warehouse_id") == 2**53 - 1))),
    "an unknown sellable fails": (f"{REFUSALS}::test_unknown_id_is_no_server_error[sellable_id]", override(parsed=_when(lambda value, body: b'"sellable_id": 9007199254740991' in body))),
    "a second allocation fails": (f"{STATE}::test_repeated_allocation_is_no_server_error", override(allocate=_second_fails)),
    "racing allocations are booked twice": (f"{STATE}::test_concurrent_allocations_allocate_no_more_than_requested", override(allocate=_twice)),
    "an order forgets what it held": (f"{STATE}::test_allocations_add_up", override(allocate=_forgetful)),
}  # fmt: skip
"""By what is wrong: the test that should catch it, and the server."""

__all__ = ["PLANTED", "accepting", "body_of", "breaks", "keeps"]
