"""The server under test: the requests that tests may send to it, and assertions about its responses."""

from __future__ import annotations

import inspect
import json
import math
import secrets
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from pytest_veeqo_alloc.conformance import HookError, UncoveredError, UnusableError
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Breach, Findings
from pytest_veeqo_alloc.contract.http_rules import is_json_type
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.coverage.collector import Listener, origin_of
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError, RefusedError, SendError
from pytest_veeqo_alloc.live.client import JSON_HEADERS, LiveClient, open_live
from pytest_veeqo_alloc.live.in_process import BASE_URL, ApplicationAdapter, raised_at, run_awaitable
from pytest_veeqo_alloc.live.permission import PoolOrder, WriteOptions, grant_permission, is_loopback
from pytest_veeqo_alloc.live.transport import exchange
from pytest_veeqo_alloc.orders.story import Line, Stock, Story
from pytest_veeqo_alloc.reporting.formatters import curl_command
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import Policy, World
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.sampling import valid_requests

ReportRequest = Callable[[Findings, str], object]
"""A function `report(findings, command)`. The shell command repeats the request that has the first error."""

Arrange = Callable[[dict[str, Any]], object]
"""A function `arrange(order)` that creates an order in the server under test. *order* consists of JSON values."""

Requests = Iterable[Callable[[], Interaction]]
"""Functions that send one request each. If the request may not be sent, the function raises UncoveredError."""

_SIZES = ((2, 1), (1, 2))
"""Two documented allocations: for each, the number of line items, and the units in each line item."""

WRONG_KEY = "not-the-key-of-anybody"

_PAYLOADS, _MAX_UNITS = 8, 3
_FIRST_ORDER = 7_000_001
ORDERS = 2_000
"""The number of order ids that tests may use if the server accepts any order id."""
_WAREHOUSE, _SELLABLES, _UNITS = 1784, (1226615, 1226616), 8
_MAX_LINES, _WIDTH = 10, 500
_NO_ORDER = ("not-an-order", "wrong-type", "null-value")
_HINTS = {3: "redirects are not followed", 5: "find the cause in the server's log"}


class ServerUnderTest:
    """The server under test, with assertions. An assertion fails the test only if the rule is an error in the profile.

    *live* sends requests, and *engine* checks the responses. If `is_free` is true, tests may allocate to any order,
    otherwise only to the orders in the order pool. `report` is called with the findings of each assertion. If
    `is_free` is true, `arrange` creates each order before its first request; `run_awaitable` awaits an async `arrange`.
    `unusable` is the error for a server that cannot be tested. If `is_sequential` is true, the server handles one
    request at a time.
    """

    report: ReportRequest
    arrange: Arrange | None = None
    run_awaitable: Callable[[Any], Any] = staticmethod(run_awaitable)
    unusable: type[UnusableError] = UnusableError
    is_sequential = False

    def __init__(self, live: LiveClient, engine: Engine, first_order: int | None = None) -> None:
        pool = live.permission.pool
        first = random_first_order() if first_order is None else first_order
        self.engine, self.is_free = engine, pool.is_any
        self._live, self._unused = live, deque(_free_orders(first) if pool.is_any else pool)
        self._reserved: set[tuple[int, int]] = set()
        self._sent: dict[str, list[Interaction] | UncoveredError] = {}
        self._checked: dict[tuple[int, bool], tuple[Interaction, Findings]] = {}

    def take(self, lines: int = 1, units: int = 1) -> PoolOrder:
        """Take an order with *lines* or more sellables of *units* units each. Raise UncoveredError if none is left."""
        for order in list(self._unused):
            fitting = {sellable: free for sellable, free in order.sellables.items() if free >= units}
            if len(fitting) >= lines:
                self._unused.remove(order)
                if self._reserve(order):
                    if self.is_free and self.arrange is not None:
                        fitting = {order.id + number * 10**6: units for number, units in enumerate(fitting.values(), 1)}
                        arrange_order(
                            PoolOrder(order.id, order.warehouse_id, fitting), self.arrange, self.run_awaitable
                        )
                    return PoolOrder(order.id, order.warehouse_id, fitting)
        raise UncoveredError(f"the order pool has no unused order with {lines} sellable(s) of {units} unit(s) each")

    def _reserve(self, order: PoolOrder) -> bool:
        """Reserve *order* for this process. Return False if another process of the run has reserved it."""
        is_free = self._live.run_state.reserve(f"order-{order.id}-{order.warehouse_id}")
        if is_free:
            self._reserved.add((order.id, order.warehouse_id))
        return is_free

    def any_order(self, lines: int = 1, units: int = 1) -> PoolOrder:
        """Return an order with *lines* sellables of *units* free units each. Raise UncoveredError without such an order.

        If tests may allocate to any order, it is a new order. Otherwise, it is the pool's order with the most free units.
        """
        if self.is_free:
            return self.take(2, units)
        candidates: list[tuple[list[int], PoolOrder, dict[int, int]]] = []
        used = self._live.run_state.used
        for order in self._live.permission.pool:
            left = self._live.free_units(order, used)
            free = {sellable: int(number) for sellable, number in left.items() if number >= units}
            if len(free) >= lines:
                most_first = dict(sorted(free.items(), key=lambda item: -item[1]))
                candidates.append((list(most_first.values())[:lines], order, most_first))
        for _, order, sellables in sorted(candidates, key=lambda candidate: candidate[0], reverse=True):
            if (order.id, order.warehouse_id) in self._reserved or self._reserve(order):
                return PoolOrder(order.id, order.warehouse_id, sellables)
        raise UncoveredError(f"the order pool has no order with {lines} sellable(s) of {units} free unit(s) each")

    def free_units(self, order: PoolOrder) -> dict[int, float]:
        """Map each sellable of *order* to the units that may still be allocated."""
        return dict.fromkeys(order.sellables, math.inf) if self.is_free else self._live.free_units(order)

    @property
    def has_company(self) -> bool:
        """Whether another process of this run has just sent a request, which may have changed the same stock."""
        return self._live.run_state.other_process_active

    def send_once(self, name: str, requests: Requests, *, risky: bool = False) -> list[Interaction]:
        """Send *requests* and return the interactions. A later call with the same *name* returns them without sending.

        Requests that may not be sent are left out. If *risky* and the server has an order pool, stop after a 2xx
        response. Raise UncoveredError if nothing is sent.
        """
        if name not in self._sent:
            interactions, uncovered = [], UncoveredError("no request was sent")
            for send in requests:
                try:
                    interactions.append(send())
                except UncoveredError as error:
                    uncovered = error
                    continue
                if risky and not self.is_free and response_of(interactions[-1]).is_success:
                    break
            self._sent[name] = interactions or uncovered
        sent = self._sent[name]
        if isinstance(sent, UncoveredError):
            raise sent
        return sent

    def send_if_covered(self, name: str, requests: Requests, *, risky: bool = False) -> list[Interaction]:
        """Send *requests* as `send_once` does, but return an empty list if no request may be sent."""
        try:
            return self.send_once(name, requests, risky=risky)
        except UncoveredError:
            return []

    def require_api(self) -> None:
        """Send the first documented allocation. Raise UnusableError unless the response is a 2xx with an order."""
        self.send_if_covered("first", [self._allocate_first])

    def documented(self) -> list[Interaction]:
        """Return the interactions of documented allocations to different orders. Only the first call sends them."""
        more = [partial(self._allocate, *size) for size in _SIZES]
        more += [partial(self._allocate_generated, count) for count in range(1, _PAYLOADS + 1)]
        return [*self.send_once("first", [self._allocate_first]), *self.send_if_covered("documented", more)]

    def _allocate_first(self) -> Interaction:
        interaction = self._allocate(1, 1)
        response = response_of(interaction)
        defect = _body_defect(response, self._check(interaction, broken=False))
        if response.is_success and not defect:
            return interaction
        what = f"{response.status}{f' and {defect}' if defect else ''}"
        order_id = tables().operation.order_id(interaction.request.url) if interaction.request else None
        answered = f"{self._live.target} answered a documented allocation to order {order_id} with {what}"
        raise self.unusable(f"{answered}: {self._hint(response, order_id)}")

    def _allocate(self, lines: int, units: int) -> Interaction:
        order = self.take(lines, units)
        return self.post(order.id, allocation_body(order, lines, units))

    def _allocate_generated(self, count: int) -> Interaction:
        order = self.take()
        units = min(_MAX_UNITS, *order.sellables.values())
        *_, payload = valid_requests(count, order.warehouse_id, list(order.sellables), units)
        return self.post(order.id, payload)

    def post(self, order_id: int, payload: Any, **options: Any) -> Interaction:
        """Send an allocation request with the *options* of `LiveClient.post`. Return the interaction for any status."""
        return self._send(partial(self._live.post, order_id, payload, **options))

    def post_in_capitals(self, order_id: int, payload: Any) -> Interaction:
        """Send an allocation request whose header names are in capitals. Return the interaction."""
        headers = ((tables().operation.key_header, self._live.permission.api_key), *JSON_HEADERS)
        return self.post(order_id, payload, headers=tuple((name.upper(), value) for name, value in headers), key="")

    def try_out(self, order_id: int | str, payload: Any, method: str = "POST") -> Interaction:
        """Send a request without a body if *payload* is None. Raise UncoveredError unless any order may be used."""
        path, body = tables().operation.path_for(order_id), None if payload is None else json.dumps(payload).encode()
        return self._send(lambda: self._live.try_out(method, path, body))

    def _send(self, send: Callable[[], Interaction]) -> Interaction:
        try:
            return send()
        except RefusedError as error:
            raise UncoveredError(str(error)) from None
        except SendError as error:
            raise self.unusable(str(error)) from None

    def _hint(self, response: Response, order_id: int | None) -> str:
        """Return the probable reason why a documented allocation to *order_id* failed, with a remedy."""
        if hint := _HINTS.get(response.status // 100):
            return hint
        held = None if self.is_free or order_id is None else self._live.held(order_id)
        if held:
            what = f"the order has {pluralise(held, 'allocation')} already"
        elif held is None and not self.is_free and response.status in (409, 422):
            what = "the units of the order pool may be allocated already"
        elif self._live.permission.is_own_server:
            return "check the URL, and give the API key that your server accepts: --veeqo-alloc-loopback-key KEY"
        else:
            return "check the URL, order and API key"
        return (
            f"{what}: delete what an earlier run allocated with veeqo-alloc cleanup, and run with --veeqo-alloc-cleanup"
        )

    def assert_rule(
        self, rule: str, interactions: Iterable[Interaction], *, broken: bool = False, may_pass: bool = False
    ) -> None:
        """Fail the test if one of *interactions* breaks *rule*.

        *broken*: the requests are broken on purpose, and must be refused. *may_pass*: the requests may be refused.
        """
        __tracebackhide__ = True
        found = ((one, self._check(one, broken=broken or may_pass, may_pass=may_pass)) for one in interactions)
        self._conclude((one, findings.where(lambda finding: finding.rule == rule)) for one, findings in found)

    def require(self, rule: str) -> None:
        """Raise UncoveredError if a documented allocation shows a breach of *rule*. Another test reports that breach."""
        found = (self._check(interaction, broken=False) for interaction in self.documented())
        if any(finding.rule == rule for findings in found for finding in findings):
            raise UncoveredError(f"responses to documented allocations break the rule {rule} already")

    def _check(self, interaction: Interaction, *, broken: bool, may_pass: bool = False) -> Findings:
        """Return the findings of all rules about *interaction*. Check and count *interaction* only the first time."""
        key, context = (id(interaction), broken), CheckContext(broken_request=broken, case=interaction.source)
        if key not in self._checked:
            findings = self.engine.evaluate(interaction, context)
            if may_pass:
                findings = findings.where(lambda finding: finding.rule != "broken-request-accepted")
            if self.engine.is_counting:
                self.engine.publish(origin_of(interaction), interaction, findings, context)
            self._checked[key] = (interaction, findings)  # an id is unique only as long as its object is kept
        return self._checked[key][1]

    def assert_behaviour(self, rule: str, tried: Iterable[tuple[Interaction, Breach | None]]) -> None:
        """Fail the test if *tried* has a breach. It has pairs of an interaction and its breach of *rule*, or None."""
        __tracebackhide__ = True
        self._conclude(
            (interaction, self.engine.check_behaviour(rule, breach, interaction.source, interaction))
            for interaction, breach in tried
        )

    def assert_refused(self, rule: str, interactions: Iterable[Interaction]) -> None:
        """Fail the test if one of *interactions* has a 2xx response, which breaks *rule*."""
        __tracebackhide__ = True
        self.assert_behaviour(
            rule,
            ((sent, status_breach(rule, sent) if response_of(sent).is_success else None) for sent in interactions),
        )

    def _conclude(self, checked: Iterable[tuple[Interaction, Findings]]) -> None:
        __tracebackhide__ = True
        pairs = list(checked)
        merged = self.engine.merge(findings for _, findings in pairs).distinct()
        failed = [interaction for interaction, findings in pairs if not findings.ok]
        self.report(merged, _command(failed[0]) if failed else "")
        if failed:
            text = f"the server: {self.engine.violation(merged)}\n\n{exchange_text(failed[0], len(failed) - 1)}"
            pytest.fail(text, pytrace=False)


def named(case: str, send: Callable[[], Interaction]) -> Callable[[], Interaction]:
    """Return a function that calls *send*, and returns the interaction with *case* as its source."""
    return lambda: replace(send(), source=case)


def covered(send: Callable[[], Interaction]) -> Interaction:
    """Call *send* and return its result. Raise UncoveredError if no response arrives, such as after an early close."""
    try:
        return send()
    except UnusableError as error:
        raise UncoveredError(str(error)) from None


def status_breach(rule: str, interaction: Interaction) -> Breach:
    """Return a breach of *rule* that shows the status of the response."""
    return Breach(rule, None, str(response_of(interaction).status), location="status")


def _body_defect(response: Response, findings: Findings) -> str:
    """Return why a response body cannot be tested, such as `no body`. Return an empty string if it can be tested."""
    if not response.body:
        return "no body"
    media_type = response.header("content-type")
    if media_type is not None and not is_json_type(media_type) and not read(response.body).readable:
        return "a body that is not JSON"
    is_other = any(finding.pointer == "" and finding.rule in _NO_ORDER for finding in findings)
    return "a body that is not an order" if is_other else ""


def _command(interaction: Interaction) -> str:
    return "" if interaction.request is None else curl_command(interaction.request, shown_keys=(WRONG_KEY,))


def exchange_text(interaction: Interaction, more: int) -> str:
    """Return the request as a shell command of at most 10 lines, then the response's status and media type."""
    response, command = response_of(interaction), _command(interaction)
    lines = [line if len(line) <= _WIDTH else f"{line[:_WIDTH]} ..." for line in command.splitlines()[:_MAX_LINES]]
    if "\n".join(lines) != command:
        lines.append("... (the JUnit report has the whole command)")
    came = f"{response.status}, {response.header('content-type') or 'no content type'}"
    others = [f"  and {more} more such requests"] if more else []
    return "\n".join(["  sent", *(f"      {line}" for line in lines), f"  came    {came}", *others])


def response_of(interaction: Interaction) -> Response:
    """Return the response of *interaction*. It is never None, since sending raises an error if no response arrives."""
    assert interaction.response is not None
    return interaction.response


def allocation_body(order: PoolOrder, lines: int = 1, units: int = 1) -> dict[str, Any]:
    """Build a request body for *units* units of each of the first *lines* sellables of *order*."""
    attributes = [{"sellable_id": sellable, "quantity": units} for sellable in list(order.sellables)[:lines]]
    return {"allocation": {"warehouse_id": order.warehouse_id, "line_items_attributes": attributes}}


def random_first_order() -> int:
    """Return the first of `ORDERS` order ids that, very probably, no other run or process uses.

    A server may keep the orders of earlier runs, and several runs may use it at the same time.
    """
    return 10**6 + secrets.randbelow(10**6) * ORDERS


def _free_orders(first: int = _FIRST_ORDER) -> Iterator[PoolOrder]:
    units = dict.fromkeys(_SELLABLES, _UNITS)
    return (PoolOrder(order_id, _WAREHOUSE, units) for order_id in range(first, first + ORDERS))


def arrange_order(order: PoolOrder, arrange: Arrange, run: Callable[[Any], Any] = run_awaitable) -> None:
    """Call *arrange* to create *order*. If it returns an awaitable, complete the awaitable with *run*.

    Raise HookError if *arrange* fails, or if the returned order has another id than *order*.
    """
    lines = [
        {"sellable_id": sellable, "quantity": units, "available": units} for sellable, units in order.sellables.items()
    ]
    try:
        returned = arrange({"id": order.id, "warehouse_id": order.warehouse_id, "lines": lines})
        returned = run(returned) if inspect.isawaitable(returned) else returned
    except LiveError as error:
        raise HookError(f"order {order.id} was not arranged: {error}") from None
    except Exception as error:
        raise HookError(f"order {order.id} was not arranged: the hook raised {raised_at(error)}") from None
    made = returned.get("id") if isinstance(returned, Mapping) else getattr(returned, "id", None)
    if made not in (None, order.id):
        raise HookError(
            f"order {order.id} was not arranged: another order was returned; create the order with the id that is passed"
        )


def arrange_at(url: str, order: dict[str, Any]) -> object:
    """POST *order* to *url*, and return the JSON of the response. Raise LiveError unless the status is 2xx."""
    request, target = Request("POST", url, JSON_HEADERS, json.dumps(order).encode()), urlsplit(url).netloc
    with requests.Session() as session:
        session.trust_env = False
        response = exchange(session, request, target, (5, 30))
    if not response.is_success:
        raise LiveError(f"{target} answered with status {response.status}, where a 2xx status was expected")
    return read(response.body).value


@contextmanager
def server_of_hook(
    server: object, options: WriteOptions, engine: Engine, first_order: int
) -> Iterator[ServerUnderTest]:
    """Yield the server under test for *server*: a base URL on the loopback interface, or a WSGI or ASGI application.

    Raise HookError if *server* is something else, or if *options* do not permit writing.
    """
    base_url, run, is_sequential = server if isinstance(server, str) else BASE_URL, run_awaitable, False
    with ExitStack() as stack:
        try:
            if not is_loopback(urlsplit(base_url).hostname or ""):
                raise LiveError("its URL is not on the loopback interface: give that with --veeqo-alloc-base-url")
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="veeqo-alloc-"))
            granted = grant_permission(replace(options, base_url=base_url, allow_hosts=(urlsplit(base_url).netloc,)))
            live = stack.enter_context(open_live(granted, Path(folder, "journal.jsonl")))
            if not isinstance(server, str):
                adapter = ApplicationAdapter(server)
                stack.callback(adapter.close)
                live.mount(adapter)
                run, is_sequential = adapter.run, adapter.is_sequential
        except (LiveError, ValueError) as error:
            sentence = "; ".join(str(error).splitlines())
            raise HookError(f"the server of the hook pytest_veeqo_alloc_server cannot be tested: {sentence}") from None
        live.timeouts = (5, 10)
        under_test = ServerUnderTest(live, engine, first_order)
        under_test.unusable, under_test.is_sequential, under_test.run_awaitable = HookError, is_sequential, run
        yield under_test


@contextmanager
def own_fake(listener: Listener) -> Iterator[ServerUnderTest]:
    """Run the bundled fake, with strict policy and profile, as the server under test. *listener* gets all checks."""
    lines = tuple(Line(sellable, _UNITS, stock=(Stock(_WAREHOUSE, 10**6, 0),)) for sellable in _SELLABLES)
    world = World.of(*(Story(order_id=order.id, lines=lines, allocations=()) for order in _free_orders()))
    engine = Engine("strict")
    fake = Fake(engine, Policy.strict(), world=world)
    with tempfile.TemporaryDirectory(prefix="veeqo-alloc-") as folder, running(fake) as server:
        granted = grant_permission(WriteOptions(server.url, (server.netloc,), fake.api_key, 10**6, "any", 10**5))
        with open_live(granted, Path(folder, "journal.jsonl")) as live:
            yield ServerUnderTest(live, engine.with_listener(listener), _FIRST_ORDER)


def follows(*rules: str, cases: Collection[str] = ()) -> pytest.MarkDecorator:
    """Parametrize a test with `rule`, one of *rules*. Each parameter has a mark with the basis of its rule.

    With *cases*, the test has a second argument, `case`. It is the last part of the test's id.
    """
    arguments = [(rule, case) for rule in rules for case in cases] if cases else [(rule,) for rule in rules]
    params = [
        pytest.param(*texts, id="-".join(texts), marks=pytest.mark.veeqo_alloc_basis(basis=CATALOGUE[texts[0]].basis))
        for texts in arguments
    ]
    return pytest.mark.parametrize(("rule", "case") if cases else ("rule",), params)
