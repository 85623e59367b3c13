"""The server under test: the requests that a test may send to it, and assertions about its responses."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.conformance import UncoveredError, UnusableError
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import is_json_type
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.http import Headers, Interaction, Response
from pytest_veeqo_alloc.coverage.listeners import Listener
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import RefusedError, SendError
from pytest_veeqo_alloc.live.client import JSON_HEADERS, LiveClient, open_live
from pytest_veeqo_alloc.live.journal import JOURNAL
from pytest_veeqo_alloc.live.permission import PoolOrder, WriteOptions, grant_permission
from pytest_veeqo_alloc.orders.story import Line, Stock, Story
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import Policy, World
from pytest_veeqo_alloc.spec.loader import tables

SHAPES: Mapping[str, tuple[int, int]] = {"one line": (1, 1), "several lines": (2, 1), "several units": (1, 2)}
"""Map the name of each allocation that tests share to its number of line items and the units in each line item."""

_ORDERS = range(7_000_001, 7_002_001)
_WAREHOUSE, _SELLABLES, _UNITS = 1784, (1226615, 1226616), 3


class ServerUnderTest:
    """The server under test, with assertions about its responses. *live* sends requests, and *engine* checks responses.

    If `is_free` is true, tests may allocate to any order, otherwise only to those in the order pool. `warn` is called
    with the findings of each check.
    """

    warn: Callable[[Findings], object]

    def __init__(self, live: LiveClient, engine: Engine) -> None:
        pool = live.permission.pool
        self.engine, self.is_free = engine, pool.is_any
        self._live, self._unused = live, deque(_free_orders() if pool.is_any else pool)
        self._successful: dict[str, Interaction] = {}

    def take(self, lines: int = 1, units: int = 1) -> PoolOrder:
        """Take an unused order with *units* units of *lines* sellables. Raise UncoveredError if no such order is left."""
        for order in list(self._unused):
            fitting = {sellable: free for sellable, free in order.sellables.items() if free >= units}
            if len(fitting) >= lines:
                self._unused.remove(order)
                # Another process of the same run may have used the order.
                if self._live.run_state.reserve(f"order-{order.id}-{order.warehouse_id}"):
                    return PoolOrder(order.id, order.warehouse_id, fitting)
        raise UncoveredError(f"the order pool has no unused order with {lines} sellable(s) of {units} unit(s) each")

    def any_order(self) -> PoolOrder:
        """Return an order from the pool, even one in use, for a request that must be rejected."""
        pool = self._live.permission.pool
        return next(iter(pool)) if len(pool) else self.take(2, 1)

    def successful_allocation(self, shape: str) -> Interaction:
        """Return the allocation named *shape* in `SHAPES`. It is sent once and shared by all tests.

        Raise UncoveredError if it may not be sent, and UnusableError if the response is an error or not JSON.
        """
        if shape not in self._successful:
            lines, units = SHAPES[shape]
            order = self.take(lines, units)
            self._successful[shape] = self.post(order.id, allocation_body(order, lines, units))
            self._require_api(response_of(self._successful[shape]), order.id)
        return self._successful[shape]

    def successful_allocations(self) -> list[Interaction]:
        """Return every allocation in `SHAPES` that this run may send. Raise UncoveredError if it may send none."""
        sent, reasons = [], []
        for shape in SHAPES:
            try:
                sent.append(self.successful_allocation(shape))
            except UncoveredError as error:
                reasons.append(str(error))
        if not sent:
            raise UncoveredError(reasons[0])
        return sent

    def post(
        self, order_id: int, payload: Any, *, headers: Headers = JSON_HEADERS, key: str | None = None
    ) -> Interaction:
        """Send an allocation request, and return the request with its response, whatever the status."""
        return self._send(lambda: self._live.post(order_id, payload, headers=headers, key=key))

    def try_out(self, order_id: int | str, payload: Any, method: str = "POST") -> Interaction:
        """Send any request; *payload* None means no body. Raise UncoveredError without `--veeqo-alloc-orders any`."""
        path, body = tables().operation.path_for(order_id), None if payload is None else json.dumps(payload).encode()
        return self._send(lambda: self._live.try_out(method, path, body))

    def _send(self, send: Callable[[], Interaction]) -> Interaction:
        try:
            return send()
        except RefusedError as error:
            raise UncoveredError(str(error)) from None
        except SendError as error:
            raise UnusableError(str(error)) from None

    def _require_api(self, response: Response, order_id: int) -> None:
        media_type = response.header("content-type")
        is_json = media_type is None or is_json_type(media_type) or read(response.body).readable
        if response.is_success and is_json:
            return
        what = f"{response.status}{'' if is_json else ' and a body that is not JSON'}"
        hint = "redirects are not followed" if 300 <= response.status < 400 else "check the URL, order and API key"
        target = self._live.target
        raise UnusableError(f"{target} answered a documented allocation to order {order_id} with {what}: {hint}")

    def body(self, interaction: Interaction) -> Any:
        """Return the parsed body of the response. Fail the test if the body is not JSON."""
        __tracebackhide__ = True
        try:
            return json.loads(response_of(interaction).body or b"")
        except ValueError:
            pytest.fail("the response is not JSON", pytrace=False)

    def assert_ok(self, interaction: Interaction, *, only: str = "") -> None:
        """Fail the test if *interaction* has an error. If *only* names a rule, ignore errors of all other rules."""
        __tracebackhide__ = True
        found = self.engine.check(interaction)
        self._conclude(found.where(lambda finding: finding.rule == only) if only else found)

    def assert_rejected(self, interaction: Interaction) -> None:
        """Fail the test unless the response is a 4xx in a known format that exposes no server internals."""
        __tracebackhide__ = True
        self._conclude(self.engine.check(interaction, CheckContext(broken_request=True)))
        status = response_of(interaction).status
        if not 400 <= status < 500:
            pytest.fail(f"a broken request was answered with {status} instead of 4xx", pytrace=False)

    def assert_no_server_error(self, interaction: Interaction) -> None:
        """Fail unless the response is a valid success, or a 4xx in a known format that exposes no server internals."""
        __tracebackhide__ = True
        if response_of(interaction).is_success:
            # The request is left out, since the documentation does not say whether a server must accept it.
            self._conclude(self.engine.check(Interaction(None, interaction.response)))
        else:
            self.assert_rejected(interaction)

    def _conclude(self, findings: Findings) -> None:
        __tracebackhide__ = True
        self.warn(findings)
        if not findings.ok:
            pytest.fail(f"the server: {self.engine.violation(findings)}", pytrace=False)


def response_of(interaction: Interaction) -> Response:
    """Return the response of *interaction*. There always is one, since sending fails if no response arrives."""
    assert interaction.response is not None
    return interaction.response


def allocation_body(order: PoolOrder, lines: int = 1, units: int = 1) -> dict[str, Any]:
    """Build a request body that allocates *units* units of each of the first *lines* sellables of *order*."""
    attributes = [{"sellable_id": sellable, "quantity": units} for sellable in list(order.sellables)[:lines]]
    return {"allocation": {"warehouse_id": order.warehouse_id, "line_items_attributes": attributes}}


def _free_orders() -> Iterator[PoolOrder]:
    units = dict.fromkeys(_SELLABLES, _UNITS)
    return (PoolOrder(order_id, _WAREHOUSE, units) for order_id in _ORDERS)


@contextmanager
def own_fake(listener: Listener) -> Iterator[ServerUnderTest]:
    """Run the bundled fake, with strict policy and profile, as the server under test. *listener* is called after each check."""
    lines = tuple(Line(sellable, _UNITS, stock=(Stock(_WAREHOUSE, 10**6, 0),)) for sellable in _SELLABLES)
    world = World.of(*(Story(order_id=order.id, lines=lines, allocations=()) for order in _free_orders()))
    engine = Engine("strict")
    fake = Fake(engine, Policy.strict(), world=world)
    with tempfile.TemporaryDirectory(prefix="veeqo-alloc-") as folder, running(fake) as server:
        granted = grant_permission(WriteOptions(server.url, (server.netloc,), fake.api_key, 10**6, "any", 10**5))
        with open_live(granted, Path(folder, JOURNAL)) as live:
            yield ServerUnderTest(live, engine.with_listener(listener))


def rule_params(rules: Iterable[str]) -> list[Any]:
    """Return a pytest parameter for each rule, marked with the rule's basis (such as `documented`)."""
    return [pytest.param(rule, marks=pytest.mark.veeqo_alloc_basis(basis=CATALOGUE[rule].basis)) for rule in rules]
