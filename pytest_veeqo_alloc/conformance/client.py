"""The client under test: loading it, calling it within bounds, and assertions about what it did."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
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
"""Seconds that a call may take beyond the timeout, on a slow machine."""


def load_client(name: str, folder: str) -> MakeClient:
    """Import `make_client` from *name*, `module:callable`, also from *folder*; UnusableError if that fails."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UnusableError(f"--veeqo-alloc-client is module:callable, such as shop.veeqo:make_client, not {name!a}")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
    except BaseException as error:
        raise UnusableError(f"the client {name!a} cannot be imported: {_reason(error)}") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UnusableError(f"the client {name!a} cannot be imported: there is no {part!a} in it")
        found = getattr(found, part)
    return validate_client(found)


def _reason(error: BaseException) -> str:
    """Return why an import failed, by the names of modules and files: the error's own text could show anything."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"there is no module {error.name!a}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {error.filename!a}, line {error.lineno}"
    return type(error).__name__


def validate_client(make_client: Any) -> MakeClient:
    """Return *make_client* unchanged; UnusableError if it cannot be called with a base URL and a key."""
    if not callable(make_client):
        raise UnusableError(f"the client is make_client(base_url, api_key), not {type(make_client).__name__}")
    _validate_signature(make_client, ("http://127.0.0.1", "key"), "make_client(base_url, api_key)")
    valid: MakeClient = make_client
    return valid


def _validate_signature(function: Callable[..., Any], arguments: tuple[Any, ...], expected: str) -> None:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise UnusableError(f"the client has another signature than {expected}: {error}") from None
    except ValueError:
        pass  # a builtin without a signature


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What a call returned or raised; `ended` is false if it did not return in time."""

    returned: Any = None
    raised: BaseException | None = None
    ended: bool = True


def call_client(
    make_client: MakeClient, fake: Fake, order_id: int, body: dict[str, Any], timeout: float
) -> CallOutcome:
    """Allocate once with a new client, in a thread; return after *timeout* seconds and a margin at the latest."""
    allocation = body["allocation"]
    lines = [dict(line) for line in allocation["line_items_attributes"]]
    arguments = (order_id, allocation["warehouse_id"], lines)
    outcome = CallOutcome(ended=False)

    def call() -> None:
        nonlocal outcome
        try:
            allocate = make_client(fake.url, fake.api_key)
            if not callable(allocate):
                raise UnusableError(f"make_client returned no function allocate, but {type(allocate).__name__}")
            _validate_signature(allocate, arguments, "allocate(order_id, warehouse_id, line_items)")
            returned = allocate(*arguments)
            if inspect.isawaitable(returned):
                returned = asyncio.run(_awaited(returned))
            outcome = CallOutcome(returned=returned)
        except BaseException as error:  # whatever it is, the client raised it
            outcome = CallOutcome(raised=error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(timeout + _MARGIN)
    return outcome


async def _awaited(returned: Any) -> Any:
    return await returned


class ClientAssertions:
    """Calls of the client of *make_client* to *fake*, and assertions about them; warnings are passed to *warn*."""

    def __init__(self, make_client: MakeClient, fake: Fake, timeout: float, warn: Callable[[Findings], object]) -> None:
        self.fake, self.timeout = fake, timeout
        self._make_client, self._warn = make_client, warn

    def call(self, body: dict[str, Any] | None = None, order_id: int = 447452) -> CallOutcome:
        """Allocate once; the test fails if the client does not return in time.

        UnusableError if it cannot be called, or ends the process.
        """
        __tracebackhide__ = True
        outcome = call_client(self._make_client, self.fake, order_id, body or BODY, self.timeout)
        if isinstance(outcome.raised, UnusableError):
            raise outcome.raised
        if isinstance(outcome.raised, (SystemExit, KeyboardInterrupt)):
            raise UnusableError(f"the client ends the process ({type(outcome.raised).__name__})") from None
        if not outcome.ended:
            limit = f"{self.timeout:g} seconds (--veeqo-alloc-client-timeout)"
            pytest.fail(f"veeqo-alloc: the client did not give up within {limit}: give it a timeout", pytrace=False)
        return outcome

    def assert_success(self, outcome: CallOutcome, what: str) -> None:
        """Fail the test if the client raised on *what*, a documented success."""
        __tracebackhide__ = True
        if outcome.raised is not None:
            kind = type(outcome.raised).__name__
            pytest.fail(f"the client raises {kind} on {what}, which is a success", pytrace=False)

    def assert_failure(self, outcome: CallOutcome, what: str) -> None:
        """Fail the test if the client returned after *what*, a failure."""
        __tracebackhide__ = True
        if outcome.raised is None:
            kind = type(outcome.returned).__name__
            pytest.fail(f"the client returns a value of type {kind} after {what}: it should raise", pytrace=False)

    def assert_no_key(self, text: str, message: str) -> None:
        """Fail the test with *message* if *text* contains the key; a plain `assert` would show the text."""
        __tracebackhide__ = True
        if self.fake.api_key in text:
            pytest.fail(message, pytrace=False)

    def assert_request_ok(self, only: str = "") -> None:
        """Fail the test if a request of the client has an error: of the rule *only*, by default of any rule."""
        __tracebackhide__ = True
        self.fake.settle()
        if not len(self.fake.interactions):
            pytest.fail("veeqo-alloc: the client sent nothing to the URL that it was given", pytrace=False)
        findings = self.fake.findings.where(lambda finding: finding.side == "request" and only in ("", finding.rule))
        self._warn(findings)
        if not findings.ok:
            pytest.fail(f"the client: {self.fake.engine.violation(findings)}", pytrace=False)


TIMEOUT = 1.0
"""Seconds that the reference client waits for a response."""


def make_client(base_url: str, api_key: str) -> Callable[[int, int, list[dict[str, Any]]], Any]:
    """Return the reference client for the server at *base_url*."""

    def allocate(order_id: int, warehouse_id: int, line_items: list[dict[str, Any]]) -> Any:
        response = requests.post(
            f"{base_url}/orders/{order_id}/allocations",
            json={"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}},
            headers={"x-api-key": api_key},
            allow_redirects=False,  # a redirect would take the key to another host
            timeout=TIMEOUT,
        )
        if response.status_code != 201:
            raise RuntimeError(f"no allocation was made: {response.status_code}")
        return response.json()

    return allocate
