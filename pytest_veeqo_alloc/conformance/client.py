"""The client under test: its import, calls with a time limit, and assertions. Also the reference client."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import requests

from pytest_veeqo_alloc.conformance import UnusableError
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.server.fake import Fake

MakeClient = Callable[[str, str], Any]
BODY: dict[str, Any] = {
    "allocation": {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}
}
_MARGIN = 1.0
"""The seconds by which a call may exceed the timeout, for slow machines."""


def load_client(name: str, folder: str) -> MakeClient:
    """Add *folder* to the import path, and import *name* (`module:callable`). Raise UnusableError if that fails."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UnusableError(
            f"--veeqo-alloc-client must be module:callable, such as shop.veeqo:make_client, not {name!a}"
        )
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
    except BaseException as error:
        raise UnusableError(f"the client {name!a} cannot be imported: {_reason(error)}") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UnusableError(f"the client {name!a} cannot be imported: no attribute {part!a}")
        found = getattr(found, part)
    return validate_client(found)


def _reason(error: BaseException) -> str:
    """Return why an import failed, without the message of *error*, which may contain secrets."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"no module {error.name!a}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {error.filename!a}, line {error.lineno}"
    return type(error).__name__


def validate_client(make_client: object) -> MakeClient:
    """Return *make_client* unchanged. Raise UnusableError if it does not accept a base URL and an API key."""
    if not callable(make_client):
        raise UnusableError(f"the client must be make_client(base_url, api_key), not {type(make_client).__name__}")
    _validate_signature(make_client, ("http://127.0.0.1", "key"), "make_client(base_url, api_key)")
    return make_client


def _validate_signature(function: Callable[..., Any], arguments: tuple[Any, ...], expected: str) -> None:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise UnusableError(f"the client must have the signature {expected}: {error}") from None
    except ValueError:
        pass  # a builtin without a signature


async def _awaited(returned: Any) -> Any:
    return await returned


class ClientAssertions:
    """Calls of the client under test, and assertions about them. *fake* gets its requests; *warn* gets the findings."""

    def __init__(self, make_client: MakeClient, fake: Fake, timeout: float, warn: Callable[[Findings], object]) -> None:
        self.fake, self.timeout = fake, timeout
        self._make_client, self._warn = make_client, warn

    def call(self, body: dict[str, Any] = BODY, order_id: int = 447452) -> Future[Any]:
        """Make one allocation with a new client, and return its result or exception in a future.

        Fail on timeout. Raise UnusableError if the client cannot be called, or raises SystemExit or KeyboardInterrupt.
        """
        __tracebackhide__ = True
        outcome: Future[Any] = Future()
        threading.Thread(target=self._allocate, args=(order_id, body["allocation"], outcome), daemon=True).start()
        try:
            raised = outcome.exception(self.timeout + _MARGIN)
        except TimeoutError:
            limit = f"{self.timeout:g} seconds (--veeqo-alloc-client-timeout)"
            pytest.fail(f"veeqo-alloc: the client did not give up within {limit}: give it a timeout", pytrace=False)
        if isinstance(raised, UnusableError):
            raise raised
        if isinstance(raised, (SystemExit, KeyboardInterrupt)):
            raise UnusableError(f"the client raises {type(raised).__name__}, which ends the process") from None
        return outcome

    def _allocate(self, order_id: int, allocation: dict[str, Any], outcome: Future[Any]) -> None:
        arguments = (order_id, allocation["warehouse_id"], [dict(line) for line in allocation["line_items_attributes"]])
        try:
            allocate = self._make_client(self.fake.url, self.fake.api_key)
            if not callable(allocate):
                raise UnusableError(f"make_client must return a function allocate, not {type(allocate).__name__}")
            _validate_signature(allocate, arguments, "allocate(order_id, warehouse_id, line_items)")
            returned = allocate(*arguments)
            outcome.set_result(asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned)
        except BaseException as error:  # whatever it is, the client raised it
            outcome.set_exception(error)

    def assert_success(self, outcome: Future[Any], what: str) -> None:
        """Fail the test if the client raised an exception. *what* describes the response, which was a success."""
        __tracebackhide__ = True
        if (raised := outcome.exception()) is not None:
            kind = type(raised).__name__
            pytest.fail(f"the client raises {kind} after a successful response: {what}", pytrace=False)

    def assert_failure(self, outcome: Future[Any], what: str) -> None:
        """Fail the test unless the client raised an exception. *what* describes the response, which was a failure."""
        __tracebackhide__ = True
        if outcome.exception() is None:
            kind = type(outcome.result()).__name__
            pytest.fail(f"the client returns {kind} after a failure, but must raise: {what}", pytrace=False)

    def assert_no_key(self, text: str, message: str) -> None:
        """Fail the test with *message* if *text* contains the API key, which a plain `assert` would print."""
        __tracebackhide__ = True
        if self.fake.api_key in text:
            pytest.fail(message, pytrace=False)

    def assert_request_ok(self, only: str = "") -> None:
        """Fail unless the client sent requests without errors. If *only* names a rule, ignore errors of other rules."""
        __tracebackhide__ = True
        self.fake.settle()
        if not len(self.fake.interactions):
            pytest.fail("veeqo-alloc: the client sent no request to the given base URL", pytrace=False)
        findings = self.fake.findings.where(lambda finding: finding.side == "request" and only in ("", finding.rule))
        self._warn(findings)
        if not findings.ok:
            pytest.fail(f"the client: {self.fake.engine.violation(findings)}", pytrace=False)


TIMEOUT = 1.0
"""The timeout of the reference client in seconds."""


def make_client(base_url: str, api_key: str) -> Callable[[int, int, list[dict[str, Any]]], Any]:
    """Return the reference client: a function that sends an allocation to the server at *base_url*."""

    def allocate(order_id: int, warehouse_id: int, line_items: list[dict[str, Any]]) -> Any:
        response = requests.post(
            f"{base_url}/orders/{order_id}/allocations",
            json={"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}},
            headers={"x-api-key": api_key},
            allow_redirects=False,  # a redirect would take the key to another host
            timeout=TIMEOUT,
        )
        if response.status_code != 201:
            raise RuntimeError(f"the allocation failed with status {response.status_code}")
        return response.json()

    return allocate
