"""A correct client that uses `http.client`, and clients with one defect."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 0.4
Lines = list[dict[str, Any]]


class ClientError(Exception):
    """The allocation failed."""


class CorrectClient:
    """A client that keeps the contract; each defect overrides one method or attribute."""

    timeout: float | None = TIMEOUT
    method = "POST"

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url, self.key = base_url, api_key

    def path(self, order_id: int) -> str:
        return f"/orders/{order_id}/allocations"

    def body(self, warehouse_id: int, lines: Lines) -> bytes:
        return json.dumps({"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": lines}}).encode()

    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key, "content-type": "application/json"}

    def send(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=self.timeout)
        try:
            connection.request(self.method, path, body, self.headers())
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def decode(self, headers: dict[str, str], body: bytes) -> bytes:
        return gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body

    def parse(self, status: int, headers: dict[str, str], body: bytes) -> Any:
        if status != 201:
            raise ClientError(status)
        return json.loads(body)

    def __call__(self, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        status, headers, body = self.send(self.path(order_id), self.body(warehouse_id, line_items))
        return self.parse(status, headers, self.decode(headers, body))


def defective_client(**methods: Any) -> type[CorrectClient]:
    """Return the correct client with *methods* and attributes overridden."""
    return type("Defective", (CorrectClient,), methods)


def _retrying(times: int, when: Callable[[Any], bool]) -> Callable[..., Any]:
    """Return a call that sends up to *times* times while *when* is true of the status or error."""

    def call(self: CorrectClient, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        for attempt in range(times):
            try:
                status, headers, body = self.send(self.path(order_id), self.body(warehouse_id, line_items))
            except OSError as error:
                if attempt + 1 < times and when(error):
                    continue
                raise
            if not when(status):
                break
        return self.parse(status, headers, self.decode(headers, body))

    return call


def _following_redirects(self: CorrectClient, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    status, headers, response = CorrectClient.send(self, path, body)
    if status == 307:
        target = urlsplit(headers["location"])
        elsewhere = type(self)(f"http://{target.netloc}", self.key)
        return CorrectClient.send(elsewhere, target.path, body)
    return status, headers, response


def _hiding_errors(self: CorrectClient, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
    try:
        return CorrectClient.__call__(self, order_id, warehouse_id, line_items)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return None


def _printing_the_key(self: CorrectClient) -> dict[str, str]:
    print("using the key", self.key)
    return CorrectClient.headers(self)


def _revealing_the_key(self: CorrectClient, status: int, headers: dict[str, str], body: bytes) -> Any:
    if status != 201:
        raise ClientError(f"{status} with {self.key}")
    return json.loads(body)


def _requiring(check: Callable[[Any], bool]) -> Callable[..., Any]:
    def parse(self: CorrectClient, status: int, headers: dict[str, str], body: bytes) -> Any:
        order = CorrectClient.parse(self, status, headers, body)
        if not check(order):
            raise ClientError("the order lacks something that this client requires")
        return order

    return parse


def _accepting(is_accepted: Callable[[int], bool]) -> Callable[..., Any]:
    """Return a method that accepts certain statuses, and reads a body only if it is declared as JSON."""

    def parse(self: CorrectClient, status: int, headers: dict[str, str], body: bytes) -> Any:
        if not is_accepted(status):
            raise ClientError(status)
        return json.loads(body) if "json" in headers.get("content-type", "") else body

    return parse


def _waiting_out_429(self: CorrectClient, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
    while True:
        status, headers, body = self.send(self.path(order_id), self.body(warehouse_id, line_items))
        if status != 429:
            return self.parse(status, headers, self.decode(headers, body))
        time.sleep(0.01)


def _allocating_twice(self: CorrectClient, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
    CorrectClient.__call__(self, order_id, warehouse_id, line_items)
    return CorrectClient.__call__(self, order_id, warehouse_id, line_items)


def request_test(rule: str) -> str:
    """Return the test that checks *rule* in the requests of a client."""
    return f"test_request_follows_rule[{rule}]"


def accepting_test(case: str) -> str:
    """Return the test that fails if the client fails after *case*, a success."""
    return f"test_client_accepts_response[client-rejects-documented-answer-{case}]"


def failure_test(case: str) -> str:
    """Return the test that fails if the client reports no failure after *case*."""
    return f"test_client_reports_failure[client-hides-failure-{case}]"


CHANGES_TEST = "test_client_sends_the_given_allocation[client-changes-allocation]"
KEY_TEST = "test_client_does_not_show_the_key[client-shows-key]"
REPEAT_TEST = "test_client_does_not_repeat_post[repeated-post]"
DEFECTS: dict[str, tuple[str | tuple[str, ...], type[CorrectClient]]] = {
    "bare body": (request_test("request-not-wrapped"), defective_client(body=lambda self, warehouse_id, lines: json.dumps({"warehouse_id": warehouse_id, "line_items_attributes": lines}).encode())),
    "ids in quotes": (request_test("line-item-shape"), defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, [{**line, "sellable_id": str(line["sellable_id"])} for line in lines]))),
    "warehouse in quotes": (request_test("wrong-type"), defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, str(warehouse_id), lines))),  # type: ignore[arg-type]  # that is the defect
    "null warehouse": (request_test("null-value"), defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, None, lines))),  # type: ignore[arg-type]  # that is the defect
    "no warehouse": (request_test("required-field"), defective_client(body=lambda self, warehouse_id, lines: json.dumps({"allocation": {"line_items_attributes": lines}}).encode())),
    "undocumented note": (request_test("undocumented-field"), defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, lines)[:-1] + b', "note": ""}')),
    "no line": (request_test("line-items-empty"), defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, []))),
    "no body": (request_test("body-missing"), defective_client(body=lambda self, warehouse_id, lines: b"")),
    "form body": (request_test("not-json"), defective_client(body=lambda self, warehouse_id, lines: f"warehouse_id={warehouse_id}".encode())),
    "PUT": (request_test("wrong-method"), defective_client(method="PUT")),
    "trailing slash": (request_test("wrong-path"), defective_client(path=lambda self, order_id: f"/orders/{order_id}/allocations/")),
    "order number": (request_test("order-id-not-integer"), defective_client(path=lambda self, order_id: f"/orders/P-{order_id}/allocations")),
    "text/plain": (request_test("request-media-type"), defective_client(headers=lambda self: {**CorrectClient.headers(self), "content-type": "text/plain"})),
    "key in the URL": (request_test("key-in-url"), defective_client(path=lambda self, order_id: f"/orders/{order_id}/allocations?api_key={self.key}")),
    "query parameter": (request_test("undocumented-query"), defective_client(path=lambda self, order_id: f"/orders/{order_id}/allocations?notify=1")),
    "no key": (request_test("api-key-missing"), defective_client(headers=lambda self: {"content-type": "application/json"})),
    "one unit of everything": (CHANGES_TEST, defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, [{**line, "quantity": 1} for line in lines]))),
    "allocates twice": (CHANGES_TEST, defective_client(__call__=_allocating_twice)),
    "prints the key": (KEY_TEST, defective_client(headers=_printing_the_key)),
    "shows the key in its error": (KEY_TEST, defective_client(parse=_revealing_the_key)),
    "fails after every success": (accepting_test("documented response"), defective_client(parse=_requiring(lambda order: False))),
    "does not decode gzip": (accepting_test("compressed body"), defective_client(headers=lambda self: {**CorrectClient.headers(self), "accept-encoding": "gzip"}, decode=lambda self, headers, body: body)),
    "rejects an undocumented member": (accepting_test("undocumented member"), defective_client(parse=_requiring(lambda order: "not_documented" not in order["allocations"][0]))),
    "requires members that are gone since 2026": (accepting_test("members observed in 2026"), defective_client(parse=_requiring(lambda order: len(order) == 41))),
    "rejects a partial allocation": (accepting_test("partial allocation"), defective_client(parse=_requiring(lambda order: bool(order["allocated_completely"])))),
    "requires ASCII": (accepting_test("any Unicode"), defective_client(parse=_requiring(lambda order: ((order["deliver_to"] or {}).get("first_name") or "").isascii()))),
    "requires 32-bit integers": (accepting_test("large numbers"), defective_client(parse=_requiring(lambda order: all((line["sellable"]["stock_level_at_all_warehouses"] or 0) < 2**31 for line in order["line_items"])))),
    "accepts a 422": (failure_test("error status"), defective_client(parse=_accepting(lambda status: status in (201, 422)))),
    "accepts a redirect": (failure_test("redirect"), defective_client(parse=_accepting(lambda status: status in (201, 307)))),
    "accepts a page": (failure_test("page"), defective_client(parse=_accepting(lambda status: status in (200, 201)))),
    "does not read the response": (failure_test("incomplete response"), defective_client(parse=lambda self, status, headers, body: body if status == 201 else CorrectClient.parse(self, status, headers, body))),
    "checks nothing": (tuple(map(failure_test, ("error status", "incomplete response", "redirect", "page"))), defective_client(parse=lambda self, status, headers, body: body)),
    "hides a broken response": (failure_test("incomplete response"), defective_client(__call__=_hiding_errors)),
    "retries after a 500": (REPEAT_TEST, defective_client(__call__=_retrying(2, lambda what: what == 500))),
    "retries after a 503": (REPEAT_TEST, defective_client(__call__=_retrying(2, lambda what: what == 503))),
    "retries after a timeout": (REPEAT_TEST, defective_client(__call__=_retrying(2, lambda what: isinstance(what, TimeoutError)))),
    "retries after a reset": (REPEAT_TEST, defective_client(__call__=_retrying(2, lambda what: isinstance(what, ConnectionError)))),
    "sends the key to another host": ("test_client_sends_the_key_to_no_other_host[key-sent-elsewhere]", defective_client(send=_following_redirects)),
    "waits out every 429": ("test_client_stops_retrying[client-retries-forever]", defective_client(__call__=_waiting_out_429)),
    "has no timeout": ("test_client_gives_up_a_slow_response[client-without-timeout]", defective_client(timeout=None)),
}  # fmt: skip
"""The defects by name: the tests that must fail, and `make_client`. One that names several tests lacks what each asks for."""


def one_argument(base_url: str) -> None:
    """Have the wrong signature for `make_client`."""


def other_allocate(base_url: str, api_key: str) -> Any:
    return lambda order_id: None


def exits(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        raise SystemExit(3)

    return allocate


def sends_nothing(base_url: str, api_key: str) -> Any:
    return lambda order_id, warehouse_id, line_items: {"id": order_id}


def never_returns(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        CorrectClient(base_url, api_key)(order_id, warehouse_id, line_items)
        threading.Event().wait()

    return allocate


number = 3
