"""Driving the client under test: within bounds, whatever it does."""

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

from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.server.fake import Fake

MakeClient = Callable[[str, str], Any]
_MARGIN = 1.0
"""Seconds that a client may take beyond its time-out, on a slow machine."""


class ClientError(Exception):
    """The client cannot be driven, for the reason that the text gives: the run may as well stop."""

    is_of_conformance = True


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What came of a call: what was returned, or what was raised. `ended` is false where the client did not come back."""

    returned: Any = None
    raised: BaseException | None = None
    ended: bool = True


def named_client(named: str, folder: str) -> MakeClient:
    """`module:callable`, looked for in *folder* too. ClientError, in one sentence."""
    module, _, attribute = named.partition(":")
    if not module or not attribute:
        raise ClientError(f"--veeqo-alloc-client is module:callable, such as shop.veeqo:make_client, not {named!a}")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
    except BaseException as error:
        raise ClientError(f"the client {named!a} cannot be imported: {_reason(error)}") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ClientError(f"the client {named!a} cannot be imported: there is no {part!a} in it")
        found = getattr(found, part)
    return checked(found)


def _reason(error: BaseException) -> str:
    """What stands in the way of an import, by names of modules and files alone: its own text could have anything in it."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"there is no module {error.name!a}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {error.filename!a}, line {error.lineno}"
    return type(error).__name__


def checked(make_client: Any) -> MakeClient:
    """*make_client*, if it can be called as it should be; ClientError else."""
    if not callable(make_client):
        raise ClientError(f"the client is make_client(base_url, api_key), not {type(make_client).__name__}")
    _refuse_signature(make_client, ("http://127.0.0.1", "key"), "make_client(base_url, api_key)")
    made: MakeClient = make_client
    return made


def _refuse_signature(function: Callable[..., Any], arguments: tuple[Any, ...], wanted: str) -> None:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise ClientError(f"the client has another signature than {wanted}: {error}") from None
    except ValueError:
        pass  # a builtin that does not tell


def call_client(
    make_client: MakeClient, fake: Fake, order_id: int, body: dict[str, Any], timeout: float
) -> CallOutcome:
    """One allocation by a client of its own; waits no longer than *timeout* seconds and a margin."""
    allocation = body["allocation"]
    lines = [dict(line) for line in allocation["line_items_attributes"]]
    arguments = (order_id, allocation["warehouse_id"], lines)
    outcome: list[CallOutcome] = []

    def work() -> None:
        try:
            allocate = make_client(fake.url, fake.api_key)
            if not callable(allocate):
                raise ClientError(f"make_client returned no function allocate, but {type(allocate).__name__}")
            _refuse_signature(allocate, arguments, "allocate(order_id, warehouse_id, line_items)")
            returned = allocate(*arguments)
            if inspect.isawaitable(returned):
                returned = asyncio.run(_awaited(returned))
            outcome.append(CallOutcome(returned=returned))
        except BaseException as error:  # whatever it is, it is what the client did
            outcome.append(CallOutcome(raised=error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout + _MARGIN)
    return outcome[0] if outcome else CallOutcome(ended=False)


async def _awaited(returned: Any) -> Any:
    return await returned


BODY: dict[str, Any] = {
    "allocation": {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}
}


class ClientAssertions:
    """Drives the client of *make_client* against *fake*, and judges what it did. Warnings are handed to *warn*."""

    def __init__(self, make_client: MakeClient, fake: Fake, timeout: float, warn: Callable[[Findings], object]) -> None:
        self.fake, self.timeout = fake, timeout
        self._make_client, self._warn = make_client, warn

    def call(self, body: dict[str, Any] | None = None, order_id: int = 447452) -> CallOutcome:
        """One allocation. The test fails where the client cannot be driven, or ends the process."""
        __tracebackhide__ = True
        driven = call_client(self._make_client, self.fake, order_id, body or BODY, self.timeout)
        if isinstance(driven.raised, ClientError):
            raise driven.raised
        if isinstance(driven.raised, (SystemExit, KeyboardInterrupt)):
            raise ClientError(f"the client ends the process ({type(driven.raised).__name__})") from None
        if not driven.ended:
            pytest.fail(
                f"veeqo-alloc: the client did not give up within {self.timeout:g} seconds (--veeqo-alloc-client-timeout): "
                "give it a time-out",
                pytrace=False,
            )
        return driven

    def assert_success(self, driven: CallOutcome, what: str) -> None:
        """Fails the test where the client did not cope with a documented answer."""
        __tracebackhide__ = True
        if driven.raised is not None:
            kind = type(driven.raised).__name__
            pytest.fail(f"the client raises {kind} on {what}, which is a success", pytrace=False)

    def assert_failure(self, driven: CallOutcome, what: str) -> None:
        """Fails the test where the client took a failure for a success."""
        __tracebackhide__ = True
        if driven.raised is None:
            kind = type(driven.returned).__name__
            pytest.fail(f"the client returns (a value of type {kind}) after {what}: it should raise", pytrace=False)

    def assert_no_key(self, text: str, sentence: str) -> None:
        """Fails the test with *sentence* where *text* has the key in it; no assertion shows it."""
        __tracebackhide__ = True
        if self.fake.api_key in text:
            pytest.fail(sentence, pytrace=False)

    def assert_request_ok(self, only: str = "") -> None:
        """Fails the test where what the client sent has an error, of one rule or of any."""
        __tracebackhide__ = True
        self.fake.settle()
        found = self.fake.findings
        if not len(self.fake.interactions):
            pytest.fail("veeqo-alloc: the client sent nothing to the URL that it was given", pytrace=False)
        findings = found.carrying(each for each in found if each.side == "request" and only in ("", each.rule))
        self._warn(findings)
        if not findings.ok:
            pytest.fail(f"the client: {self.fake.engine.violation(findings)}", pytrace=False)


TIMEOUT = 0.5


def make_client(base_url: str, api_key: str) -> Callable[[int, int, list[dict[str, Any]]], Any]:
    """A client of the server at *base_url*."""

    def allocate(order_id: int, warehouse_id: int, line_items: list[dict[str, Any]]) -> Any:
        answer = requests.post(
            f"{base_url}/orders/{order_id}/allocations",
            json={"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}},
            headers={"x-api-key": api_key},
            allow_redirects=False,  # they would take the key to another host
            timeout=TIMEOUT,
        )
        if answer.status_code != 201:
            raise RuntimeError(f"no allocation was made: {answer.status_code}")
        return answer.json()

    return allocate
