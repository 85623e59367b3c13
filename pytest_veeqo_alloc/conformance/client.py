"""The client under test: its import, calls with a time limit, and assertions. Also the reference client."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from pytest_veeqo_alloc.conformance import UnusableError
from pytest_veeqo_alloc.contract.findings import Breach, Findings
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.sampling import samples
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

MakeClient = Callable[[str, str], Any]
BODY: dict[str, Any] = {
    "allocation": {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}
}
LARGE_BODY: dict[str, Any] = {
    "allocation": {
        "warehouse_id": LARGEST_ID,
        "line_items_attributes": [{"sellable_id": LARGEST_ID, "quantity": 1}],
    }
}
"""An allocation with ids of 2**53 - 1, the largest integer that every JSON parser represents exactly."""

_PAYLOADS = 10
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


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the client with a fake of its own. If the client has not returned in time, `outcome` is not done."""

    fake: Fake
    outcome: Future[Any]
    stack: ExitStack

    @property
    def raised(self) -> BaseException | None:
        """The client's exception, or None if it returned normally or has not returned."""
        return self.outcome.exception() if self.outcome.done() else None

    @property
    def is_refused(self) -> bool:
        """Whether the fake refused all requests of the client."""
        self.fake.settle()
        answers = [interaction.response for interaction in self.fake.interactions]
        return bool(answers) and not any(answer is not None and answer.is_success for answer in answers)


class ClientUnderTest:
    """The client under test, with assertions about its behaviour. *start_fake* starts a fake on a port of its own.

    `report` is called with the findings of each assertion.
    """

    report: Callable[[Findings], object]

    def __init__(
        self, make_client: MakeClient, start_fake: Callable[[ExitStack], Fake], timeout: float, engine: Engine
    ) -> None:
        self.timeout, self.engine = timeout, engine
        self._make_client, self._start_fake = make_client, start_fake
        self._calls: list[Call] = []
        self._unfinished: list[tuple[str, int, Call]] = []
        self._payload_calls: list[tuple[int, dict[str, Any], Call]] = []

    def call(
        self,
        prepare: Callable[[Fake], object] = lambda fake: None,
        body: dict[str, Any] = BODY,
        order_id: int = 447452,
    ) -> Call:
        """Make one allocation with a new client and a new fake, which *prepare* may change first. Wait for its end.

        Raise UnusableError if the client cannot be called, or raises SystemExit or KeyboardInterrupt.
        """
        stack, outcome = ExitStack(), Future[Any]()
        call = Call(self._start_fake(stack), outcome, stack)
        self._calls.append(call)
        prepare(call.fake)
        arguments = (call.fake.url, call.fake.api_key, order_id, body["allocation"], outcome)
        threading.Thread(target=self._allocate, args=arguments, daemon=True).start()
        wait([outcome], self.timeout + _MARGIN)
        if isinstance(call.raised, UnusableError):
            raise call.raised
        if isinstance(call.raised, (SystemExit, KeyboardInterrupt)):
            raise UnusableError(f"the client raises {type(call.raised).__name__}, which ends the process") from None
        return call

    def _allocate(self, url: str, key: str, order_id: int, allocation: dict[str, Any], outcome: Future[Any]) -> None:
        arguments = (order_id, allocation["warehouse_id"], [dict(line) for line in allocation["line_items_attributes"]])
        try:
            allocate = self._make_client(url, key)
            if not callable(allocate):
                raise UnusableError(f"make_client must return a function allocate, not {type(allocate).__name__}")
            _validate_signature(allocate, arguments, "allocate(order_id, warehouse_id, line_items)")
            returned = allocate(*arguments)
            outcome.set_result(asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned)
        except BaseException as error:  # whatever it is, the client raised it
            outcome.set_exception(error)

    def payload_calls(self) -> list[tuple[int, dict[str, Any], Call]]:
        """Return calls with generated allocations: the order id, the body and the call. They are made once.

        Raise UnusableError if the first call sends no request, or does not return.
        """
        if not self._payload_calls:
            bodies = [BODY, *samples(allocation_requests(), _PAYLOADS), LARGE_BODY]
            for order_id, body in zip([*range(1, _PAYLOADS + 2), LARGEST_ID], bodies, strict=True):
                call = self.call(body=body, order_id=order_id)
                if not self._payload_calls:
                    self._validate_first(call)
                self._payload_calls.append((order_id, body, call))
        return self._payload_calls

    def _validate_first(self, call: Call) -> None:
        call.fake.settle()
        if not len(call.fake.interactions):
            kind = f": it raises {type(call.raised).__name__}" if call.raised is not None else ""
            hint = "use base_url; if the environment has a proxy, set NO_PROXY=127.0.0.1"
            raise UnusableError(f"the client sends no request to the URL that it is given{kind}; {hint}")
        if not call.outcome.done():
            raise UnusableError(f"the client does not return within {self.timeout:g} seconds of a documented response")

    def finish_calls(self, test: str) -> None:
        """Wait for the clients that *test* called, at most for their time limit, and stop the fakes of all that end."""
        calls, self._calls = self._calls, []
        for call in calls:
            call.fake.settle()
            if not call.outcome.done():
                call.fake.reset()  # without faults, a client that retries succeeds
        wait([call.outcome for call in calls], self.timeout)
        for call in calls:
            call.fake.publish()
            if call.outcome.done():
                call.stack.close()
            else:
                self._unfinished.append((test, len(call.fake.interactions), call))

    def late_requests(self) -> list[str]:
        """Stop all fakes. Return a sentence about each client that sent a request after the end of its test."""
        sentences = []
        for test, count, call in self._unfinished:
            late = len(call.fake.interactions) - count
            call.stack.close()
            if late:
                sentences.append(f"the client sent {pluralise(late, 'request')} after the end of {test}")
        return sentences

    def assert_requests_follow(self, rule: str, calls: Iterable[Call]) -> None:
        """Fail the test if a request in *calls* breaks *rule*."""
        __tracebackhide__ = True
        found = []
        for call in calls:
            call.fake.settle()
            found.append(call.fake.findings.where(lambda finding: finding.rule == rule and finding.side == "request"))
        self._conclude(found)

    def assert_behaviour(self, rule: str, got: Iterable[str]) -> None:
        """Fail the test if the client breaks *rule*. *got* has a text about each breach."""
        __tracebackhide__ = True
        breaches = [Breach(rule, None, text, location="call") for text in got]
        self._conclude([self.engine.check_behaviour(rule, breaches)])

    def _conclude(self, found: list[Findings]) -> None:
        __tracebackhide__ = True
        merged = self.engine.merge(found)
        merged = merged.with_findings(dict.fromkeys(merged), merged.accepted)
        self.report(merged)
        if not merged.ok:
            pytest.fail(f"the client: {self.engine.violation(merged)}", pytrace=False)


TIMEOUT = 1.0
"""The timeout of the reference client in seconds."""


def make_client(base_url: str, api_key: str) -> Callable[[int, int, list[dict[str, Any]]], Any]:
    """Return the reference client: a function that sends an allocation to the server at *base_url*."""

    def allocate(order_id: int, warehouse_id: int, line_items: list[dict[str, Any]]) -> Any:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment could not reach the loopback interface
            response = session.post(
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
