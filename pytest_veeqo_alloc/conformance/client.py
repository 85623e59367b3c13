"""The client under test: its import, calls with a time limit, and assertions. Also the reference client."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from pytest_veeqo_alloc.conformance import UnusableError
from pytest_veeqo_alloc.conformance.command_client import CommandCall, CommandClient, CommandError
from pytest_veeqo_alloc.contract.findings import Breach, Findings
from pytest_veeqo_alloc.core.text import pluralise, printable
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.story import Allocation
from pytest_veeqo_alloc.redaction.lint import mask_secrets
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.strategies.requests import allocation_requests
from pytest_veeqo_alloc.strategies.sampling import samples
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

MakeClient = Callable[[str, str], Any]
BODY: dict[str, Any] = {
    "allocation": {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}
}
LARGE_ID = LARGEST_ID - 2**31
"""An id that every JSON parser represents exactly. If it is cut to 32 bits, it becomes another positive id."""
LARGE_BODY: dict[str, Any] = {
    "allocation": {
        "warehouse_id": LARGE_ID - 2,
        "line_items_attributes": [{"sellable_id": LARGE_ID - 1, "quantity": 1}],
    }
}

_PAYLOADS = 6
_SMALL_IDS = range(1, 2**31)
_MARGIN = 1.0
"""The seconds by which a call may exceed the time limit, since a machine may be slow."""


def load_client(name: str, folder: str) -> MakeClient:
    """Import factory *name* (`module:callable`) with *folder* on the import path. Raise UnusableError on failure."""
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
    """Return why an import failed. Omit the message of *error*, since it may contain secrets."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"no module {error.name!a}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError in {error.filename!a}, line {error.lineno}"
    return type(error).__name__


def validate_client(make_client: object) -> MakeClient:
    """Return *make_client* unchanged. Raise UnusableError unless it can be called with a base URL and an API key."""
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
    """A call of the client, which sends its requests to a fake of its own.

    The attributes from `is_done` on describe the moment at which the call ended or timed out. `raised` is the client's
    exception. `sent` is the number of requests, and `findings` are about requests. `is_refused` is true if the fake
    received requests and accepted none. `command` is the call of a client that is a command, otherwise None.
    """

    order_id: int
    allocation: dict[str, Any]
    fake: Fake
    outcome: Future[Any]
    stack: ExitStack
    is_done: bool
    raised: BaseException | None
    sent: int
    is_refused: bool
    findings: Findings
    world: World
    command: CommandCall | None = None

    @property
    def made(self) -> list[tuple[int, Allocation]]:
        """Pairs of an order id and an allocation that the call made."""
        return [(order.order_id, made) for order in self.world.orders.values() for made in order.allocations]

    def differences(self) -> Iterator[str]:
        """Yield a text about each difference between the allocations made and the allocation given to the client."""
        lines = {line["sellable_id"]: line["quantity"] for line in self.allocation["line_items_attributes"]}
        for order_id, made in self.made:
            if order_id != self.order_id:
                yield f"an allocation to order {order_id}, not {self.order_id}"
            if made.warehouse_id != self.allocation["warehouse_id"]:
                yield f"an allocation in warehouse {made.warehouse_id}, not {self.allocation['warehouse_id']}"
            if dict(made.lines) != lines:
                yield f"an allocation of {dict(made.lines)} (units by sellable), not of {lines}"
        if len(self.made) != 1:
            yield f"{pluralise(len(self.made), 'allocation')} instead of 1"


class ClientUnderTest:
    """The client under test, with assertions. An assertion fails the test only if the rule is an error in the profile.

    `start_fake` starts a new fake on a free port. `report` is called with the findings of each assertion.
    """

    report: Callable[[Findings], object]

    def __init__(
        self, make_client: MakeClient, start_fake: Callable[[ExitStack], Fake], timeout: float, engine: Engine
    ) -> None:
        self.timeout, self.engine = timeout, engine
        self._make_client, self._start_fake = make_client, start_fake
        self._calls: list[Call] = []
        self._unfinished: list[tuple[str, int, Call]] = []
        self._payload_calls: list[Call] = []
        self._shared_calls: dict[str, Call] = {}

    def call(
        self,
        prepare: Callable[[Fake], object] = lambda fake: None,
        body: dict[str, Any] = BODY,
        order_id: int = 447452,
    ) -> Call:
        """Make one allocation with a new client. Wait until it ends or times out. *prepare* configures the new fake.

        Raise UnusableError if the client cannot be called, or raises SystemExit or KeyboardInterrupt.
        """
        stack, outcome = ExitStack(), Future[Any]()
        fake = self._start_fake(stack)
        prepare(fake)
        allocation, make = body["allocation"], self._make_client
        command = make(fake.url, fake.api_key) if isinstance(make, CommandClient) else None
        arguments = (command, fake.url, fake.api_key, order_id, allocation, outcome)
        threading.Thread(target=self._allocate, args=arguments, daemon=True).start()
        try:
            wait([outcome], self.timeout + _MARGIN)
        finally:
            is_done, sent = outcome.done(), len(fake.interactions)
            if command is not None and not is_done:
                command.stop()
                wait([outcome], _MARGIN)
        fake.settle()
        answers = [interaction.response for interaction in fake.interactions]
        is_refused = bool(answers) and not any(answer is not None and answer.is_success for answer in answers)
        findings = fake.findings.where(lambda finding: finding.side == "request")
        raised = outcome.exception() if is_done else None
        ended = (is_done, raised, sent, is_refused, findings, fake.world)
        call = Call(order_id, allocation, fake, outcome, stack, *ended, command)
        self._calls.append(call)
        if isinstance(raised, UnusableError):
            raise raised
        if isinstance(raised, (SystemExit, KeyboardInterrupt)):
            raise UnusableError(f"the client raises {type(raised).__name__}, which ends the process") from None
        return call

    def shared_calls(self, prepared: Mapping[str, Callable[[Fake], object]]) -> dict[str, Call]:
        """Map each name in *prepared* to its call. Tests share calls: a later test gets the call of an earlier one."""
        for name, prepare in prepared.items():
            if name not in self._shared_calls:
                self._shared_calls[name] = self.call(prepare)
        return {name: self._shared_calls[name] for name in prepared}

    def _allocate(
        self,
        command: CommandCall | None,
        url: str,
        key: str,
        order_id: int,
        allocation: dict[str, Any],
        outcome: Future[Any],
    ) -> None:
        arguments = (order_id, allocation["warehouse_id"], [dict(line) for line in allocation["line_items_attributes"]])
        try:
            allocate = command or self._make_client(url, key)
            if not callable(allocate):
                raise UnusableError(f"make_client must return a function allocate, not {type(allocate).__name__}")
            _validate_signature(allocate, arguments, "allocate(order_id, warehouse_id, line_items)")
            returned = allocate(*arguments)
            outcome.set_result(asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned)
        except BaseException as error:  # of any kind: the client raised it
            outcome.set_exception(error)

    def payload_calls(self) -> list[Call]:
        """Return calls with generated allocations, made once in the run. The last call has large ids.

        Raise UnusableError if the first call sends no request, or does not end within the time limit.
        """
        if not self._payload_calls:
            generated = allocation_requests(warehouse_ids=_SMALL_IDS, sellable_ids=_SMALL_IDS)
            bodies = [BODY, *samples(generated, _PAYLOADS), LARGE_BODY]
            for order_id, body in zip([*range(1, _PAYLOADS + 2), LARGE_ID], bodies, strict=True):
                call = self.call(body=body, order_id=order_id)
                if not self._payload_calls:
                    self._validate_first(call)
                self._payload_calls.append(call)
        return self._payload_calls

    def _validate_first(self, call: Call) -> None:
        if not call.sent:
            kind = f": {self.failure_text(call)}" if call.raised is not None else ""
            kind = kind if call.is_done else f": no end of the call within {self.timeout:g} seconds"
            hint = f"use {getattr(self._make_client, 'url_name', 'base_url')}"
            hint += "; if the environment has a proxy, set NO_PROXY=127.0.0.1"
            raise UnusableError(f"the client sends no request to the URL that it is given{kind}; {hint}")
        if not call.is_done:
            raise UnusableError(f"the client does not return within {self.timeout:g} seconds of a documented response")
        if call.command is not None and call.command.problem:
            raise UnusableError(call.command.problem)

    def failure_text(self, call: Call) -> str:
        """Describe the exception of *call*. Quote the standard error of a command only if values may be shown."""
        if not isinstance(call.raised, CommandError) or call.command is None:
            return type(call.raised).__name__
        shown = printable(mask_secrets(call.command.stderr.strip(), call.fake.api_key))
        if shown and not self.engine.settings.show_values:
            shown = "shown with --veeqo-alloc-show-values"
        return f"{call.raised}{f' (standard error: {shown})' if shown else ''}"

    def finish_calls(self, test: str) -> None:
        """Wait until the calls of *test* end, at most for the time limit. Stop the fakes of calls that have ended."""
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
        """Stop the fakes of unfinished calls. Return a sentence for each call with requests after its test's end."""
        sentences = []
        for test, count, call in self._unfinished:
            late = len(call.fake.interactions) - count
            call.stack.close()
            if late:
                sentences.append(f"the client sent {pluralise(late, 'request')} after the end of {test}")
        return sentences

    def assert_requests_follow(self, rule: str, calls: Iterable[Call]) -> None:
        """Fail the test if a request of one of *calls* breaks *rule*."""
        __tracebackhide__ = True
        self._conclude([call.findings.where(lambda finding: finding.rule == rule) for call in calls])

    def assert_behaviour(self, rule: str, tried: Iterable[tuple[str, str]]) -> None:
        """Fail the test if the client breaks *rule*. *tried* has pairs of a case and a text about the breach, or ""."""
        __tracebackhide__ = True
        breaches = ((case, Breach(rule, None, text, location="call") if text else None) for case, text in tried)
        self._conclude([self.engine.check_behaviour(rule, breach, case) for case, breach in breaches])

    def _conclude(self, found: list[Findings]) -> None:
        __tracebackhide__ = True
        merged = self.engine.merge(found).distinct()
        self.report(merged)
        if not merged.ok:
            pytest.fail(f"the client: {self.engine.violation(merged)}", pytrace=False)


@contextmanager
def log_records() -> Iterator[list[logging.LogRecord]]:
    """Yield a list that collects the log records of all loggers. The root logger's level becomes DEBUG meanwhile.

    The handlers of the root logger are removed meanwhile, so that a test report does not show the records.
    """
    root, make, records = logging.getLogger(), logging.getLogRecordFactory(), list[logging.LogRecord]()
    level, handlers, ignoring = root.level, root.handlers[:], logging.NullHandler()

    def collect(*args: Any, **kwargs: Any) -> logging.LogRecord:
        records.append(make(*args, **kwargs))
        return records[-1]

    logging.setLogRecordFactory(collect)
    root.setLevel(logging.DEBUG)
    root.handlers[:] = [ignoring]
    try:
        yield records
    finally:
        logging.setLogRecordFactory(make)
        root.setLevel(level)
        root.handlers[:] = [*handlers, *(handler for handler in root.handlers if handler is not ignoring)]


def record_text(record: logging.LogRecord) -> str:
    """Return what a formatter can show of *record*: its message, traceback and other attributes."""
    shown = []
    for show in (logging.Formatter().format, vars):
        with suppress(Exception):  # a wrong number of arguments, or an object that cannot be formatted
            shown.append(str(show(record)))
    return " ".join(shown)


def exception_text(error: BaseException | None) -> str:
    """Return the traceback of *error* without frames. It includes notes, causes and the exceptions of a group."""
    if error is None:
        return ""
    shown = traceback.TracebackException.from_exception(error, limit=0, max_group_width=1000, max_group_depth=1000)
    return "".join(shown.format())


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
