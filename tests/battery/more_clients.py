"""Correct clients in nine libraries and programs, and clients with one defect in ids, decoding, or care for the key."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import os
import struct
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiohttp
import httpx
import requests
import urllib3
from support.clients import NO_CERTIFICATES

from battery.clients import (
    CHANGES_TEST,
    KEY_TEST,
    TIMEOUT,
    ClientError,
    CorrectClient,
    Lines,
    accepting_test,
    defective_client,
    failure_test,
)

SECONDS = 1.0
"""The timeout of a program in seconds, from its first request on."""

Broken = (OSError, http.client.HTTPException, ValueError)


def allocation(warehouse_id: int, line_items: Lines) -> dict[str, Any]:
    return {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}


def require_created(status: int) -> None:
    if status != 201:
        raise ClientError(status)


def with_requests(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        with requests.Session() as session:
            url, body = f"{base_url}/orders/{order_id}/allocations", allocation(warehouse_id, line_items)
            session.headers["x-api-key"] = api_key
            response = session.post(url, json=body, timeout=TIMEOUT, allow_redirects=False)
        require_created(response.status_code)
        return response.json()

    return allocate


def with_httpx(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        headers = {"x-api-key": api_key}
        with httpx.Client(base_url=base_url, headers=headers, timeout=TIMEOUT, verify=NO_CERTIFICATES) as client:
            response = client.post(f"/orders/{order_id}/allocations", json=allocation(warehouse_id, line_items))
        require_created(response.status_code)
        return response.json()

    return allocate


def with_httpx_async(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        headers = {"x-api-key": api_key}
        async with httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=TIMEOUT, verify=NO_CERTIFICATES
        ) as client:
            response = await client.post(f"/orders/{order_id}/allocations", json=allocation(warehouse_id, line_items))
        require_created(response.status_code)
        return response.json()

    return allocate


def with_aiohttp(base_url: str, api_key: str) -> Any:
    async def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        url, headers = f"{base_url}/orders/{order_id}/allocations", {"x-api-key": api_key}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
            session.post(
                url, json=allocation(warehouse_id, line_items), headers=headers, allow_redirects=False
            ) as response,
        ):
            require_created(response.status)
            return await response.json()

    return allocate


def with_urllib3(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        url, headers = f"{base_url}/orders/{order_id}/allocations", {"x-api-key": api_key}
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT) as pool:
            response = pool.request("POST", url, json=allocation(warehouse_id, line_items), headers=headers)
            require_created(response.status)
            return response.json()

    return allocate


def in_chunks(base_url: str, api_key: str) -> Any:
    """Return a client that does not know the length of its body in advance."""

    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        raw = json.dumps(allocation(warehouse_id, line_items)).encode()
        headers = {"x-api-key": api_key, "content-type": "application/json"}
        with requests.Session() as session:
            url = f"{base_url}/orders/{order_id}/allocations"
            response = session.post(
                url, data=iter([raw[:9], raw[9:]]), headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        require_created(response.status_code)
        return response.json()

    return allocate


def compressed(base_url: str, api_key: str) -> Any:
    """Return a client that compresses its body, and sends its key as a bearer token."""

    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        raw = gzip.compress(json.dumps(allocation(warehouse_id, line_items)).encode())
        headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json", "content-encoding": "gzip"}
        with requests.Session() as session:
            url = f"{base_url}/orders/{order_id}/allocations"
            response = session.post(url, data=raw, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        require_created(response.status_code)
        return response.json()

    return allocate


def after_a_look(base_url: str, api_key: str) -> Any:
    """Return a client that first asks for the order, and that sends an id of its own with each request."""

    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        with requests.Session() as session:
            session.headers.update({"x-api-key": api_key, "x-request-id": "7", "idempotency-key": str(order_id)})
            session.head(f"{base_url}/orders/{order_id}", timeout=TIMEOUT)
            url, body = f"{base_url}/orders/{order_id}/allocations", allocation(warehouse_id, line_items)
            response = session.post(url, json=body, timeout=TIMEOUT, allow_redirects=False)
        require_created(response.status_code)
        return response.json()

    return allocate


def with_urllib_request(base_url: str, api_key: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        body = json.dumps(allocation(warehouse_id, line_items)).encode()
        headers = {"x-api-key": api_key, "content-type": "application/json"}
        request = urllib.request.Request(f"{base_url}/orders/{order_id}/allocations", body, headers)
        with opener.open(request, timeout=TIMEOUT) as response:
            require_created(response.status)
            return json.load(response)

    return allocate


def run_program(*command: str, text: str) -> str:
    """Return the output of *command*, which gets *text* on its standard input. Raise ClientError if it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ClientError(done.stderr.strip() or done.returncode)
    return done.stdout


def with_curl(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        options = {
            "url": f"{base_url}/orders/{order_id}/allocations",
            "noproxy": "*",
            "max-time": str(SECONDS),
            "header": f"x-api-key: {api_key}",
            "data": json.dumps(allocation(warehouse_id, line_items)),
            "write-out": "\n%{http_code}",
        }
        settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())
        settings += 'header = "content-type: application/json"\ncompressed\nsilent\nshow-error\n'
        body, _, status = run_program("curl", "--config", "-", text=settings).rpartition("\n")
        require_created(int(status))
        return json.loads(body)

    return allocate


NODE_SCRIPT = """
const { url, key, body, milliseconds } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const headers = { "x-api-key": key, "content-type": "application/json" };
const signal = AbortSignal.timeout(milliseconds);
fetch(url, { method: "POST", headers, body: JSON.stringify(body), redirect: "manual", signal })
  .then(async (response) => {
    if (response.status !== 201) throw new Error(`status ${response.status}`);
    console.log(JSON.stringify(await response.json()));
  })
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
"""


def with_node(base_url: str, api_key: str) -> Any:
    def allocate(order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        given = {
            "url": f"{base_url}/orders/{order_id}/allocations",
            "key": api_key,
            "body": allocation(warehouse_id, line_items),
            "milliseconds": 1000 * SECONDS,
        }
        return json.loads(run_program("node", "--eval", NODE_SCRIPT, text=json.dumps(given)))

    return allocate


class ReadingClient(CorrectClient):
    """A client that reads the order if it cannot know whether its POST was carried out."""

    posts = 1

    def read(self, order_id: int) -> Any:
        reader = type(self)(self.base_url, self.key)
        reader.method = "GET"
        status, headers, body = reader.send(f"/orders/{order_id}", b"")
        return json.loads(self.decode(headers, body)) if status == 200 else None

    def holds(self, order: Any, warehouse_id: int, lines: Lines) -> bool:
        wanted = {line["sellable_id"]: line["quantity"] for line in lines}
        return any(
            made["warehouse"]["id"] == warehouse_id
            and {item["sellable"]["id"]: item["quantity"] for item in made["line_items"]} == wanted
            for made in (order or {}).get("allocations", ())
        )

    def __call__(self, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        for _ in range(self.posts):
            try:
                return super().__call__(order_id, warehouse_id, line_items)
            except (*Broken, ClientError):
                order = self.read(order_id)
                if self.holds(order, warehouse_id, line_items):
                    return order
        raise ClientError("the order has no such allocation")


class RepostingClient(ReadingClient):
    """A client that posts again after it has read that the units are not allocated."""

    posts = 2


CORRECT: dict[str, Callable[[str, str], Any]] = {
    "requests": with_requests,
    "httpx": with_httpx,
    "httpx async": with_httpx_async,
    "aiohttp": with_aiohttp,
    "urllib3": with_urllib3,
    "http.client": CorrectClient,
    "http.client with gzip": defective_client(
        headers=lambda self: {**CorrectClient.headers(self), "accept-encoding": "gzip"}
    ),
    "urllib.request": with_urllib_request,
    "a body in chunks": in_chunks,
    "a compressed body": compressed,
    "asks for the order first": after_a_look,
    "curl": with_curl,
    "node": with_node,
    "reads the order": ReadingClient,
    "reads the order and posts again": RepostingClient,
}
PROGRAMS = ("curl", "node")


# Defects.


def int32(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def uint32(number: int) -> int:
    return number % 2**32


def float32(number: int) -> int:
    return int(struct.unpack("f", struct.pack("f", number))[0])


def sellables(change: Callable[[int], int]) -> Any:
    def body(self: CorrectClient, warehouse_id: int, lines: Lines) -> bytes:
        changed = [{**line, "sellable_id": change(line["sellable_id"])} for line in lines]
        return CorrectClient.body(self, warehouse_id, changed)

    return defective_client(body=body)


def warehouses(change: Callable[[int], int]) -> Any:
    return defective_client(body=lambda self, warehouse, lines: CorrectClient.body(self, change(warehouse), lines))


def paths(change: Callable[[int], int]) -> Any:
    return defective_client(path=lambda self, order_id: f"/orders/{change(order_id)}/allocations")


def decoding(encoding: str) -> Any:
    def decode(self: CorrectClient, headers: dict[str, str], body: bytes) -> bytes:
        return CorrectClient.decode(self, headers, body).decode(encoding).encode()

    return defective_client(decode=decode)


def reading(use: Callable[[Any], object]) -> Any:
    """Return a client that calls *use* with the order of each success."""

    def parse(self: CorrectClient, status: int, headers: dict[str, str], body: bytes) -> Any:
        order = CorrectClient.parse(self, status, headers, body)
        use(order)
        return order

    return defective_client(parse=parse)


def whole_seconds(order: Any) -> None:
    datetime.strptime(order["created_at"], "%Y-%m-%dT%H:%M:%SZ")


def ends_in_z(order: Any) -> None:
    if not order["updated_at"].endswith("Z"):
        raise ClientError("not a time in UTC")


def single_allocation(order: Any) -> None:
    (_,) = order["allocations"]


def failing(react: Callable[[CorrectClient, Exception], object], *kinds: type[Exception]) -> Any:
    """Return a client that calls *react* after an error of one of *kinds*, and raises the error unless it raises."""

    def call(self: CorrectClient, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        try:
            return CorrectClient.__call__(self, order_id, warehouse_id, line_items)
        except kinds as error:
            react(self, error)
            raise

    return defective_client(__call__=call)


def cause(client: CorrectClient, error: Exception) -> None:
    raise ClientError("it failed") from RuntimeError(f"x-api-key: {client.key}")


def context(client: CorrectClient, error: Exception) -> None:
    try:
        raise RuntimeError(f"x-api-key: {client.key}")
    except RuntimeError:
        raise ClientError("it failed")  # noqa: B904  # that is the defect


def group(client: CorrectClient, error: Exception) -> None:
    inner = ExceptionGroup("one", [ValueError("harmless"), RuntimeError(client.headers())])
    raise ExceptionGroup("it failed", [error, inner])


def note(client: CorrectClient, error: Exception) -> None:
    error.add_note(f"sent with {client.key}")


def message(client: CorrectClient, error: Exception) -> None:
    raise ClientError(f"no answer to {client.headers()}") from None


def logging_at(level: int, name: str = "battery.shop") -> Any:
    def headers(self: CorrectClient) -> dict[str, str]:
        made = CorrectClient.headers(self)
        logging.getLogger(name).propagate = name != OWN_LOG
        logging.getLogger(name).log(level, "sending %s", made)
        return made

    return defective_client(headers=headers)


def log_traceback(client: CorrectClient, error: Exception) -> None:
    try:
        raise RuntimeError(client.key) from error
    except RuntimeError:
        logging.getLogger("battery.shop").info("it failed", exc_info=True)


def log_extra(client: CorrectClient, error: Exception) -> None:
    logging.getLogger("battery.shop").warning("it failed", extra={"headers": client.headers()})


def from_program(client: CorrectClient, error: Exception) -> None:
    subprocess.run([sys.executable, "-c", f"import os; os.write(2, b'{client.key}')"], check=True)


def hiding(*kinds: type[Exception]) -> Any:
    def call(self: CorrectClient, order_id: int, warehouse_id: int, line_items: Lines) -> Any:
        try:
            return CorrectClient.__call__(self, order_id, warehouse_id, line_items)
        except kinds:
            return None

    return defective_client(__call__=call)


def _other_warehouse(self: CorrectClient, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    status, headers, answer = CorrectClient.send(self, path, body)
    if status == 422:
        given = json.loads(body)
        given["allocation"]["warehouse_id"] += 1
        return CorrectClient.send(self, path, json.dumps(given).encode())
    return status, headers, answer


class PostsAgain(ReadingClient):
    """A client that reads the order, and posts again whatever it has read."""

    posts = 2

    def holds(self, order: Any, warehouse_id: int, lines: Lines) -> bool:
        return False


class TrustsTheOrder(ReadingClient):
    """A client that reads the order, and reports success whatever it has read."""

    def holds(self, order: Any, warehouse_id: int, lines: Lines) -> bool:
        return order is not None


_UNICODE, _DATES = accepting_test("any Unicode"), accepting_test("date-times with fractions and offsets")
_ANY = (Exception,)
OWN_LOG = "key in the log of a logger that does not propagate"
"""The defect that pytest shows in its report: it captures such a logger by itself."""

DEFECTS: dict[str, tuple[str | tuple[str, ...], Any]] = {
    "sellable ids as int32": (CHANGES_TEST, sellables(int32)),
    "sellable ids as uint32": (CHANGES_TEST, sellables(uint32)),
    "sellable ids as 32-bit floats": (CHANGES_TEST, sellables(float32)),
    "warehouse id as int32": (CHANGES_TEST, warehouses(int32)),
    "order id modulo 2**31": (CHANGES_TEST, paths(lambda order_id: order_id % 2**31)),
    "order id as a 32-bit float": (CHANGES_TEST, paths(float32)),
    "decodes ASCII": (_UNICODE, decoding("ascii")),
    "decodes Windows-1252": (_UNICODE, decoding("cp1252")),
    "dates in whole seconds": ((accepting_test("members observed in 2026"), _DATES), reading(whole_seconds)),
    "dates in UTC": (_DATES, reading(ends_in_z)),
    "a single allocation": (accepting_test("earlier allocation"), reading(single_allocation)),
    "key in the cause": (KEY_TEST, failing(cause, *_ANY)),
    "key in the context": (KEY_TEST, failing(context, *_ANY)),
    "key in a group": (KEY_TEST, failing(group, *_ANY)),
    "key in a note": (KEY_TEST, failing(note, *_ANY)),
    "key in the exception of a timeout": (KEY_TEST, failing(message, TimeoutError)),
    "key in the exception of a reset": (KEY_TEST, failing(message, ConnectionError)),
    "key in a warning of the log": (KEY_TEST, logging_at(logging.WARNING)),
    "key in a debug line of the log": (KEY_TEST, logging_at(logging.DEBUG)),
    OWN_LOG: (KEY_TEST, logging_at(logging.INFO, OWN_LOG)),
    "key in a logged traceback": (KEY_TEST, failing(log_traceback, *_ANY)),
    "key in a structured log": (KEY_TEST, failing(log_extra, *_ANY)),
    "key on stdout": (KEY_TEST, failing(lambda client, error: print(client.headers()), *_ANY)),
    "key on stderr": (KEY_TEST, failing(lambda client, error: os.write(2, client.key.encode()) and None, *_ANY)),
    "key on the stderr of a program": (KEY_TEST, failing(from_program, ClientError)),
    "key in a warning": (KEY_TEST, failing(lambda client, error: warnings.warn(client.key, stacklevel=2), *_ANY)),
    "takes another warehouse after a 422": (failure_test("error status"), defective_client(send=_other_warehouse)),
    "hides a timeout": (failure_test("slow response"), hiding(TimeoutError)),
    "hides a broken response": (failure_test("incomplete response"), hiding(ConnectionError, ValueError, http.client.HTTPException)),
    "reads the order and posts again regardless": (failure_test("lost response"), PostsAgain),
    "reads the order and does not look at it": (
        tuple(map(failure_test, ("error status", "incomplete response", "slow response", "redirect", "page"))), TrustsTheOrder,
    ),
}  # fmt: skip
"""The defects by name: the tests that must fail, and `make_client`."""
