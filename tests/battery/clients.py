"""Correct clients in four libraries, and defective ones that use `http.client`."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import urllib3

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


def with_urllib3(base_url: str, api_key: str) -> Any:
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        response = pool.request(
            "POST", f"{base_url}/orders/{order_id}/allocations", json=body, headers={"x-api-key": api_key}
        )
        if response.status != 201:
            raise ClientError(response.status)
        return response.json()

    return allocate


def with_aiohttp(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            # A session repeats a POST if a kept connection breaks, so each call has a connection of its own.
            url, headers = f"{base_url}/orders/{order_id}/allocations", {"x-api-key": api_key}
            async with session.post(url, json=body, headers=headers, allow_redirects=False) as response:
                if response.status != 201:
                    raise ClientError(response.status)
                return await response.json()

    return allocate


def with_httpx(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}, timeout=TIMEOUT) as client:
            response = await client.post(f"/orders/{order_id}/allocations", json=body)
            if response.status_code != 201:
                raise ClientError(response.status_code)
            return response.json()

    return allocate


CORRECT = {"http.client": "CorrectClient", "urllib3": "with_urllib3", "aiohttp": "with_aiohttp", "httpx": "with_httpx"}


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


REQUEST_TEST, RESPONSE_TEST = "test_request_follows_rule", "test_client_accepts_response"
DEFECTS: dict[str, tuple[str, type[CorrectClient]]] = {
    "bare body": (f"{REQUEST_TEST}[request-not-wrapped]", defective_client(body=lambda self, warehouse_id, lines: json.dumps({"warehouse_id": warehouse_id, "line_items_attributes": lines}).encode())),
    "ids in quotes": (f"{REQUEST_TEST}[line-item-shape]", defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, [{**line, "sellable_id": str(line["sellable_id"])} for line in lines]))),
    "warehouse in quotes": (f"{REQUEST_TEST}[wrong-type]", defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, str(warehouse_id), lines))),  # type: ignore[arg-type]  # that is the defect
    "null warehouse": (f"{REQUEST_TEST}[null-value]", defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, None, lines))),  # type: ignore[arg-type]  # that is the defect
    "no warehouse": (f"{REQUEST_TEST}[required-field]", defective_client(body=lambda self, warehouse_id, lines: json.dumps({"allocation": {"line_items_attributes": lines}}).encode())),
    "undocumented note": (f"{REQUEST_TEST}[undocumented-field]", defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, lines)[:-1] + b', "note": ""}')),
    "no line": (f"{REQUEST_TEST}[line-items-empty]", defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, []))),
    "no body": (f"{REQUEST_TEST}[body-missing]", defective_client(body=lambda self, warehouse_id, lines: b"")),
    "form body": (f"{REQUEST_TEST}[not-json]", defective_client(body=lambda self, warehouse_id, lines: f"warehouse_id={warehouse_id}".encode())),
    "PUT": (f"{REQUEST_TEST}[wrong-method]", defective_client(method="PUT")),
    "trailing slash": (f"{REQUEST_TEST}[wrong-path]", defective_client(path=lambda self, order_id: f"/orders/{order_id}/allocations/")),
    "order number": (f"{REQUEST_TEST}[order-id-not-integer]", defective_client(path=lambda self, order_id: f"/orders/P-{order_id}/allocations")),
    "text/plain": (f"{REQUEST_TEST}[request-media-type]", defective_client(headers=lambda self: {**CorrectClient.headers(self), "content-type": "text/plain"})),
    "key in the URL": (f"{REQUEST_TEST}[key-in-url]", defective_client(path=lambda self, order_id: f"/orders/{order_id}/allocations?api_key={self.key}")),
    "query parameter": (f"{REQUEST_TEST}[undocumented-query]", defective_client(path=lambda self, order_id: f"/orders/{order_id}/allocations?notify=1")),
    "no key": (f"{REQUEST_TEST}[api-key-missing]", defective_client(headers=lambda self: {"content-type": "application/json"})),
    "one unit of everything": ("test_client_sends_the_given_allocation", defective_client(body=lambda self, warehouse_id, lines: CorrectClient.body(self, warehouse_id, [{**line, "quantity": 1} for line in lines]))),
    "prints the key": ("test_client_does_not_show_the_key", defective_client(headers=_printing_the_key)),
    "shows the key in its error": ("test_client_does_not_show_the_key", defective_client(parse=_revealing_the_key)),
    "does not decode gzip": (f"{RESPONSE_TEST}[compressed body]", defective_client(decode=lambda self, headers, body: body)),
    "rejects an undocumented member": (f"{RESPONSE_TEST}[undocumented member]", defective_client(parse=_requiring(lambda order: "not_documented" not in order["allocations"][0]))),
    "requires members that are gone since 2026": (f"{RESPONSE_TEST}[members observed in 2026]", defective_client(parse=_requiring(lambda order: len(order) == 41))),
    "rejects a partial allocation": ("test_client_accepts_order[partial allocation]", defective_client(parse=_requiring(lambda order: bool(order["allocated_completely"])))),
    "requires ASCII": ("test_client_accepts_order[any Unicode]", defective_client(parse=_requiring(lambda order: order["deliver_to"]["first_name"].isascii()))),
    "requires 32-bit integers": ("test_client_accepts_order[large numbers]", defective_client(parse=_requiring(lambda order: all(line["quantity"] < 2**31 for line in order["line_items"])))),
    "accepts a 422": ("test_client_reports_error_status[422]", defective_client(parse=lambda self, status, headers, body: body)),
    "accepts any response": ("test_client_reports_html_page", defective_client(parse=lambda self, status, headers, body: body)),
    "does not read the response": ("test_client_reports_broken_response[truncated-json]", defective_client(parse=lambda self, status, headers, body: body)),
    "hides a broken response": ("test_client_reports_broken_response[reset-within-body]", defective_client(__call__=_hiding_errors)),
    "retries after a 500": ("test_client_does_not_repeat_post[server-error]", defective_client(__call__=_retrying(2, lambda what: what == 500))),
    "retries after a 503": ("test_client_does_not_repeat_post[service-unavailable]", defective_client(__call__=_retrying(2, lambda what: what == 503))),
    "retries after a timeout": ("test_client_does_not_repeat_post[slow-headers]", defective_client(__call__=_retrying(2, lambda what: isinstance(what, TimeoutError)))),
    "retries after a reset": ("test_client_does_not_repeat_post[reset-before-headers]", defective_client(__call__=_retrying(2, lambda what: isinstance(what, ConnectionError)))),
    "sends the key to another host": ("test_client_sends_the_key_to_no_other_host", defective_client(send=_following_redirects)),
    "has no timeout": ("test_client_times_out[slow-headers]", defective_client(timeout=None)),
}  # fmt: skip
"""The defects by name: the test that must fail, and `make_client`."""


def defective(name: str) -> type[CorrectClient]:
    """Return `make_client` of a defect."""
    return DEFECTS[name][1]


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


def sleeps(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        await asyncio.sleep(0)
        time.sleep(30)

    return allocate


number = 3
