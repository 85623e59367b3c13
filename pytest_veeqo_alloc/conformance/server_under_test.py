"""The server under test: what may be asked of it, and what it answered."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.http_rules import is_json_type
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.core.http import Headers, Interaction
from pytest_veeqo_alloc.coverage.listeners import Listener
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import RefusedError, SendError
from pytest_veeqo_alloc.live.client import JSON_HEADERS, Live, live_alone
from pytest_veeqo_alloc.live.journal import JOURNAL
from pytest_veeqo_alloc.live.permission import PoolOrder, WriteOptions, permit
from pytest_veeqo_alloc.orders.story import Line, Stock, Story
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import Policy, World

SHAPES: Mapping[str, tuple[int, int]] = {"one line": (1, 1), "several lines": (2, 1), "several units": (1, 2)}
"""What a happy path asks for: lines, and units of each."""

_FIRST_ANY = 7_000_001
_WAREHOUSE, _SELLABLES, _UNITS = 1784, (1226615, 1226616), 3
_ORDERS = 2000


class UncoveredError(Exception):
    """Something cannot be looked at in this run, for the reason that the text gives."""

    is_of_conformance = True


class TargetError(Exception):
    """Nothing can be said of the target, for the reason that the text gives: the run may as well stop."""

    is_of_conformance = True


class ServerUnderTest:
    """The server of *live*, judged by *contract*. *orders* are those that there are, in the order in which they are
    used; *is_free* says that it may be written to freely."""

    def __init__(self, live: Live, engine: Engine, orders: Iterable[PoolOrder], *, is_free: bool) -> None:
        self.engine, self.is_free = engine, is_free
        self._live, self._left = live, deque(orders)
        self._happy: dict[str, Interaction] = {}

    def take(self, lines: int = 1, units: int = 1) -> PoolOrder:
        """An order that nobody has used in this run, with as many sellables that have as many units free."""
        for order in self._left:
            fitting = {sellable: free for sellable, free in order.sellables.items() if free >= units}
            if len(fitting) >= lines:
                self._left.remove(order)
                # Another process may have used it.
                if self._live.shared.is_first(f"order-{order.id}-{order.warehouse_id}"):
                    return PoolOrder(order.id, order.warehouse_id, fitting)
                return self.take(lines, units)
        raise UncoveredError(f"the order pool has no order left with {lines} sellable(s) of {units} unit(s)")

    def any_order(self) -> PoolOrder:
        """Some order, for a request that is to be refused."""
        pool = self._live.permit.pool
        return next(iter(pool)) if len(pool) else self.take(2, 1)

    def successful_allocation(self, shape: str) -> Interaction:
        """An allocation as documented, made once for all tests. TargetError where its answer is no success, UncoveredError
        where it cannot be made."""
        if shape not in self._happy:
            lines, units = SHAPES[shape]
            order = self.take(lines, units)
            self._happy[shape] = self.post(order.id, asking(order, lines, units))
            self._refuse_no_api(self._happy[shape], order.id)
        return self._happy[shape]

    def successful_allocations(self) -> list[Interaction]:
        """The happy paths that this run can make. UncoveredError where there is none."""
        made, reason = [], ""
        for shape in SHAPES:
            try:
                made.append(self.successful_allocation(shape))
            except UncoveredError as error:
                reason = reason or str(error)
        if not made:
            raise UncoveredError(reason)
        return made

    def post(
        self, order_id: int, payload: Any, *, headers: Headers = JSON_HEADERS, key: str | None = None
    ) -> Interaction:
        """An allocation, whatever its answer."""
        return self._told(lambda: self._live.post(order_id, payload, headers=headers, key=key))

    def try_out(self, method: str, path: str, body: bytes | None) -> Interaction:
        """Any request, where the server may be written to freely."""
        return self._told(lambda: self._live.try_out(method, path, body))

    def _told(self, send: Callable[[], Interaction]) -> Interaction:
        try:
            return send()
        except RefusedError as error:
            raise UncoveredError(str(error)) from None
        except SendError as error:
            raise TargetError(str(error)) from None

    def _refuse_no_api(self, interaction: Interaction, order_id: int) -> None:
        response = interaction.response
        if response is None:
            return
        kind = response.header("content-type")
        is_json = kind is None or is_json_type(kind) or read(response.body).readable
        if response.is_success and is_json:
            return
        what = "" if is_json else " and a body that is no JSON"
        hint = (
            "a redirect is not followed"
            if 300 <= response.status < 400
            else "is it an API of this kind, with this order and key?"
        )
        raise TargetError(
            f"{self._live.target} answers an allocation to order {order_id} as documented with {response.status}{what}: {hint}"
        )


def asking(order: PoolOrder, lines: int = 1, units: int = 1) -> dict[str, Any]:
    """A valid body for *order*."""
    attributes = [{"sellable_id": sellable, "quantity": units} for sellable in list(order.sellables)[:lines]]
    return {"allocation": {"warehouse_id": order.warehouse_id, "line_items_attributes": attributes}}


def foreign(live: Live, engine: Engine) -> ServerUnderTest:
    """The server that the options of a run name."""
    pool = live.permit.pool
    orders = _made_up() if pool.is_any else iter(pool)
    return ServerUnderTest(live, engine, orders, is_free=pool.is_any)


def _made_up() -> Iterator[PoolOrder]:
    units = dict.fromkeys(_SELLABLES, _UNITS)
    return (PoolOrder(order_id, _WAREHOUSE, units) for order_id in range(_FIRST_ANY, _FIRST_ANY + _ORDERS))


@contextmanager
def own_fake(listener: Listener | None = None) -> Iterator[ServerUnderTest]:
    """Our own fake, judged strictly: it makes nothing up, and refuses whatever is wrong. *listener* hears of every check."""
    orders = list(_made_up())
    lines = tuple(Line(sellable, _UNITS, stock=(Stock(_WAREHOUSE, 10**6, 0),)) for sellable in _SELLABLES)
    world = World.of(*(Story(order_id=order.id, lines=lines, allocations=()) for order in orders))
    engine = Engine("strict")
    fake = Fake(engine, Policy.strict(), world=world)
    with tempfile.TemporaryDirectory(prefix="veeqo-alloc-") as folder, running(fake) as front:
        granted = permit(WriteOptions(front.url, (front.netloc,), fake.api_key, 10**6, "any", 10**5))
        with live_alone(granted, Path(folder, JOURNAL)) as live:
            yield ServerUnderTest(live, engine.with_listener(listener), orders, is_free=True)
