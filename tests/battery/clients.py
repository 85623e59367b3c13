"""Clients: correct ones in four libraries, and in `http.client` ones with a defect each."""

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


class ShopError(Exception):
    pass


class Plain:
    """The correct client. A defect overrides one method."""

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
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def unpacked(self, headers: dict[str, str], body: bytes) -> bytes:
        return gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body

    def understood(self, status: int, headers: dict[str, str], body: bytes) -> Any:
        if status != 201:
            raise ShopError(status)
        return json.loads(body)

    def __call__(self, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        status, headers, body = self.send(self.path(order_id), self.body(warehouse_id, line_items))
        return self.understood(status, headers, self.unpacked(headers, body))


def with_urllib3(base_url: str, api_key: str) -> Any:
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        answer = pool.request(
            "POST", f"{base_url}/orders/{order_id}/allocations", json=body, headers={"x-api-key": api_key}
        )
        if answer.status != 201:
            raise ShopError(answer.status)
        return answer.json()

    return allocate


def with_aiohttp(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            # A session sends a POST again where a kept connection breaks; a connection of its own is never a kept one.
            url, headers = f"{base_url}/orders/{order_id}/allocations", {"x-api-key": api_key}
            async with session.post(url, json=body, headers=headers, allow_redirects=False) as answer:
                if answer.status != 201:
                    raise ShopError(answer.status)
                return await answer.json()

    return allocate


def with_httpx(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}, timeout=TIMEOUT) as client:
            answer = await client.post(f"/orders/{order_id}/allocations", json=body)
            if answer.status_code != 201:
                raise ShopError(answer.status_code)
            return answer.json()

    return allocate


CORRECT = {"http.client": "Plain", "urllib3": "with_urllib3", "aiohttp": "with_aiohttp", "httpx": "with_httpx"}


def client(**methods: Any) -> type[Plain]:
    return type("Defective", (Plain,), methods)


def _again(times: int, when: Callable[[Any], bool]) -> Callable[..., Any]:
    """Sends again where *when* says so of a status or an error."""

    def call(self: Plain, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        for turn in range(times):
            try:
                status, headers, body = self.send(self.path(order_id), self.body(warehouse_id, line_items))
            except OSError as error:
                if turn + 1 < times and when(error):
                    continue
                raise
            if not when(status):
                break
        return self.understood(status, headers, self.unpacked(headers, body))

    return call


def _redirected(self: Plain, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    status, headers, answer = Plain.send(self, path, body)
    if status == 307:
        target = urlsplit(headers["location"])
        elsewhere = type(self)(f"http://{target.netloc}", self.key)
        return Plain.send(elsewhere, target.path, body)
    return status, headers, answer


def _swallowing(self: Plain, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
    try:
        return Plain.__call__(self, order_id, warehouse_id, line_items)
    except (OSError, http.client.HTTPException):
        return None


def _printing(self: Plain) -> dict[str, str]:
    print("using the key", self.key)
    return Plain.headers(self)


def _telling(self: Plain, status: int, headers: dict[str, str], body: bytes) -> Any:
    if status != 201:
        raise ShopError(f"{status} with {self.key}")
    return json.loads(body)


def _checking(check: Callable[[Any], bool]) -> Callable[..., Any]:
    def understood(self: Plain, status: int, headers: dict[str, str], body: bytes) -> Any:
        order = Plain.understood(self, status, headers, body)
        if not check(order):
            raise ShopError("the order is not what this client knows")
        return order

    return understood


KEEPS, COPES = "test_request_follows_rule", "test_client_accepts_response"
DEFECTS: dict[str, tuple[str, type[Plain]]] = {
    "a bare body": (f"{KEEPS}[request-not-wrapped]", client(body=lambda self, warehouse_id, lines: json.dumps({"warehouse_id": warehouse_id, "line_items_attributes": lines}).encode())),
    "ids in quotes": (f"{KEEPS}[line-item-shape]", client(body=lambda self, warehouse_id, lines: Plain.body(self, warehouse_id, [{**line, "sellable_id": str(line["sellable_id"])} for line in lines]))),
    "the warehouse in quotes": (f"{KEEPS}[wrong-type]", client(body=lambda self, warehouse_id, lines: Plain.body(self, str(warehouse_id), lines))),  # type: ignore[arg-type]  # which is the defect
    "null for the warehouse": (f"{KEEPS}[null-value]", client(body=lambda self, warehouse_id, lines: Plain.body(self, None, lines))),  # type: ignore[arg-type]  # which is the defect
    "no warehouse": (f"{KEEPS}[required-field]", client(body=lambda self, warehouse_id, lines: json.dumps({"allocation": {"line_items_attributes": lines}}).encode())),
    "a note": (f"{KEEPS}[undocumented-field]", client(body=lambda self, warehouse_id, lines: Plain.body(self, warehouse_id, lines)[:-1] + b', "note": ""}')),
    "no line": (f"{KEEPS}[line-items-empty]", client(body=lambda self, warehouse_id, lines: Plain.body(self, warehouse_id, []))),
    "no body": (f"{KEEPS}[body-missing]", client(body=lambda self, warehouse_id, lines: b"")),
    "a form": (f"{KEEPS}[not-json]", client(body=lambda self, warehouse_id, lines: f"warehouse_id={warehouse_id}".encode())),
    "PUT": (f"{KEEPS}[wrong-method]", client(method="PUT")),
    "a slash behind the path": (f"{KEEPS}[wrong-path]", client(path=lambda self, order_id: f"/orders/{order_id}/allocations/")),
    "the number of the order": (f"{KEEPS}[order-id-not-integer]", client(path=lambda self, order_id: f"/orders/P-{order_id}/allocations")),
    "text/plain": (f"{KEEPS}[request-media-type]", client(headers=lambda self: {**Plain.headers(self), "content-type": "text/plain"})),
    "the key in the URL": (f"{KEEPS}[key-in-url]", client(path=lambda self, order_id: f"/orders/{order_id}/allocations?api_key={self.key}")),
    "a parameter": (f"{KEEPS}[undocumented-query]", client(path=lambda self, order_id: f"/orders/{order_id}/allocations?notify=1")),
    "no key": (f"{KEEPS}[api-key-missing]", client(headers=lambda self: {"content-type": "application/json"})),
    "one unit of everything": ("test_client_sends_the_given_allocation", client(body=lambda self, warehouse_id, lines: Plain.body(self, warehouse_id, [{**line, "quantity": 1} for line in lines]))),
    "prints the key": ("test_client_does_not_show_the_key", client(headers=_printing)),
    "tells the key in its error": ("test_client_does_not_show_the_key", client(understood=_telling)),
    "knows no gzip": (f"{COPES}[compressed body]", client(unpacked=lambda self, headers, body: body)),
    "knows no other member": (f"{COPES}[undocumented member]", client(understood=_checking(lambda order: "not_documented" not in order["allocations"][0]))),
    "needs what 2026 has no more": (f"{COPES}[key set of 2026]", client(understood=_checking(lambda order: len(order) == 41))),
    "takes a part for a failure": ("test_client_accepts_order[partial allocation]", client(understood=_checking(lambda order: bool(order["allocated_completely"])))),
    "reads ASCII": ("test_client_accepts_order[any Unicode]", client(understood=_checking(lambda order: order["deliver_to"]["first_name"].isascii()))),
    "keeps 32 bits": ("test_client_accepts_order[large numbers]", client(understood=_checking(lambda order: all(line["quantity"] < 2**31 for line in order["line_items"])))),
    "takes a 422 for a success": ("test_client_reports_error_status[422]", client(understood=lambda self, status, headers, body: body)),
    "takes any answer": ("test_client_reports_html_page", client(understood=lambda self, status, headers, body: body)),
    "does not read the answer": ("test_client_reports_broken_response[truncated-json]", client(understood=lambda self, status, headers, body: body)),
    "swallows what breaks": ("test_client_reports_broken_response[reset-within-body]", client(__call__=_swallowing)),
    "tries again after a 500": ("test_client_does_not_repeat_post[server-error]", client(__call__=_again(2, lambda what: what == 500))),
    "tries again after a 503": ("test_client_does_not_repeat_post[service-unavailable]", client(__call__=_again(2, lambda what: what == 503))),
    "tries again after a time-out": ("test_client_does_not_repeat_post[slow-headers]", client(__call__=_again(2, lambda what: isinstance(what, TimeoutError)))),
    "tries again after a reset": ("test_client_does_not_repeat_post[reset-before-headers]", client(__call__=_again(2, lambda what: isinstance(what, ConnectionError)))),
    "takes the key elsewhere": ("test_client_sends_the_key_to_no_other_host", client(send=_redirected)),
    "never gives up": ("test_client_times_out[slow-headers]", client(timeout=None)),
}  # fmt: skip
"""By what is wrong: the test that should catch it, and `make_client`."""


def defective(name: str) -> type[Plain]:
    return DEFECTS[name][1]


def one_argument(base_url: str) -> None:
    """No `make_client`."""


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
