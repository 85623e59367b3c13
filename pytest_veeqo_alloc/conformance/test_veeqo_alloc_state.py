"""Tests of the state that a server keeps between requests. An order may have allocations before a test begins."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_veeqo_alloc.conformance import UncoveredError
from pytest_veeqo_alloc.conformance.server_under_test import (
    Requests,
    ServerUnderTest,
    allocation_body,
    follows,
    response_of,
)
from pytest_veeqo_alloc.contract.allocations import (
    allocated_units,
    as_object,
    objects_in,
    requested_allocation,
    sellable_id_of,
)
from pytest_veeqo_alloc.contract.arithmetic import number
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import describe_number, pluralise
from pytest_veeqo_alloc.live.permission import PoolOrder
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

CONCURRENT = 4
LEVELS = ("available", "allocated", "physical")
STEPS = ({0: 1}, {0: 1}, {1: 1}, {0: 2}, {0: 1, 1: 2})
"""Successive allocations to an order. Each maps the index of a sellable in the order to a quantity."""
BROKEN_LINES: tuple[dict[str, Any], ...] = ({"quantity": "one"}, {"quantity": -1}, {}, {"sellable_id": LARGEST_ID})
"""Changes that make a line item impossible to allocate. `{}` leaves out the quantity; `LARGEST_ID` is unknown."""


class _Order:
    """An order to which a test allocates. `shown` maps a sellable id to the allocated units in the latest response."""

    def __init__(self, server: ServerUnderTest, order: PoolOrder) -> None:
        self.server, self.order = server, order
        self.shown: dict[int, int] = {}

    def allocate(self) -> tuple[Interaction, int | None, int | None]:
        """Allocate 1 unit. Return the interaction, and the allocated units before and after it (None: unknown)."""
        sellable = next(iter(self.order.sellables))
        interaction, ((before, after),) = self.allocate_lines({sellable: 1})
        return interaction, before, after

    def allocate_lines(self, units: dict[int, int]) -> tuple[Interaction, list[tuple[int | None, int | None]]]:
        """Allocate *units*, keyed by sellable id. Return the interaction, and the units of each before and after."""
        body = allocation_body(self.order)
        lines = [{"sellable_id": sellable, "quantity": quantity} for sellable, quantity in units.items()]
        body["allocation"]["line_items_attributes"] = lines
        interaction = self.server.post(self.order.id, body)
        pairs = [(self.shown.get(sellable), shown_units(interaction, sellable)) for sellable in units]
        self.shown |= {sellable: after for sellable, (_, after) in zip(units, pairs, strict=True) if after is not None}
        return interaction, pairs


def _orders(server: ServerUnderTest, count: int, *sizes: tuple[int, int]) -> list[_Order]:
    """Return at most *count* orders of the first available size. A size is (sellables, units of each)."""
    for lines, units in sizes:
        orders: list[_Order] = []
        try:
            while len(orders) < count:
                orders.append(_Order(server, server.take(lines, units)))
        except UncoveredError:
            if not orders:
                continue
        return orders
    lines, units = sizes[-1]
    return [_Order(server, server.any_order(lines, units))]


def shown_units(interaction: Interaction, sellable: int) -> int | None:
    """Return the allocated units of *sellable* in the response, or None unless it is a 2xx with readable units."""
    response = response_of(interaction)
    units = allocated_units(response.body) if response.is_success else None
    return None if units is None else int(units.get(sellable, 0))


@follows("allocations-not-accumulated")
def test_allocations_add_up(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that each response includes the units allocated earlier. Allocate to several orders in alternation."""
    _veeqo_alloc_server_under_test.require("allocation-quantity")
    orders = _orders(_veeqo_alloc_server_under_test, 2, (2, 5), (1, 4), (1, 2))
    tried: list[tuple[Interaction, Breach | None]] = []
    for step, order in itertools.product(STEPS, orders):
        sellables = list(order.order.sellables)
        if any(index >= len(sellables) or quantity > _left(order, index) for index, quantity in step.items()):
            continue
        units = {sellables[index]: quantity for index, quantity in step.items()}
        interaction, pairs = order.allocate_lines(units)
        for (sellable, quantity), (before, after) in zip(units.items(), pairs, strict=True):
            if after is not None:
                levels = _level_of(interaction, order.order, sellable)
                is_used_up = levels is not None and levels["available"] <= 0
                tried.append((interaction, _not_added(rule, before, after, quantity, is_used_up=is_used_up)))
    _veeqo_alloc_server_under_test.assert_behaviour(rule, tried)


def _left(order: _Order, index: int) -> float:
    """Return how many units of the sellable at *index* may still be allocated to *order*."""
    return list(order.server.free_units(order.order).values())[index]


def _not_added(rule: str, before: int | None, after: int, quantity: int, *, is_used_up: bool) -> Breach | None:
    """Return a breach of *rule* unless *after* is *before* plus *quantity*. If *is_used_up*, fewer units are enough."""
    known = after - quantity if before is None else before
    least = 1 if is_used_up else quantity
    if known >= 0 and known + least <= after <= known + quantity:
        return None
    got = f"{pluralise(after, 'unit')} after {pluralise(max(known, 0), 'unit')} and then {quantity} were allocated"
    return Breach(rule, "/allocations", got)


def _level_of(interaction: Interaction, order: PoolOrder, sellable: int) -> dict[str, float] | None:
    """Return the stock levels of *sellable* in the warehouse of *order*, or None if the response does not show all."""
    body = as_object(read(response_of(interaction).body).value)
    for pointer, allocation in objects_in(body, "allocations", ""):
        for _, line in objects_in(allocation, "line_items", pointer):
            for _, entry in objects_in(as_object(line.get("sellable")), "stock_entries", ""):
                if sellable_id_of(line) == sellable and entry.get("warehouse_id") == order.warehouse_id:
                    levels = {name: number(entry.get(f"{name}_stock_level")) for name in LEVELS}
                    known = {name: level for name, level in levels.items() if level is not None}
                    return known if len(known) == len(LEVELS) and entry.get("infinite") is not True else None
    return None


@follows("stock-not-updated")
def test_stock_follows_allocations(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the stock in each response is that of the previous response without the newly allocated units."""
    server = _veeqo_alloc_server_under_test
    (order,) = _orders(server, 1, (1, 4), (1, 2))
    sellable = next(iter(order.order.sellables))
    tried: list[tuple[Interaction, Breach | None]] = []
    levels: dict[str, float] | None = None
    is_disturbed = False
    for _ in range(int(min(4, _left(order, 0)))):
        interaction, before, after = order.allocate()
        earlier, levels = levels, _level_of(interaction, order.order, sellable)
        if earlier is None or levels is None or before is None or after != before + 1:
            continue  # no levels are shown, or the server keeps no state, which another test reports
        breach = _stock_breach(rule, earlier, levels)
        if breach is not None and server.has_company:
            is_disturbed = True
        else:
            tried.append((interaction, breach))
    if is_disturbed and not tried:
        raise UncoveredError("another process of this run allocates the same stock: run this test alone")
    server.assert_behaviour(rule, tried)


def _stock_breach(rule: str, before: dict[str, float], after: dict[str, float]) -> Breach | None:
    """Return a breach of *rule* unless *after* has 1 more allocated unit and a matching available level."""
    change = {name: after[name] - before[name] for name in after}
    if change["allocated"] == 1 and change["available"] == change["physical"] - 1:
        return None
    shown = (f"{name} from {describe_number(before[name])} to {describe_number(after[name])}" for name in LEVELS[:2])
    return Breach(rule, "/allocations", f"{' and '.join(shown)} for 1 unit")


def _race(server: ServerUnderTest) -> Requests:
    """Allocate 1 unit, then several units simultaneously, then 1 unit. Yield functions that return the interactions."""
    (order,) = _orders(server, 1, (1, CONCURRENT + 2), (1, 4))
    count = int(min(CONCURRENT, _left(order, 0) - 2))
    interactions = [order.allocate()[0]]
    with ThreadPoolExecutor(count) as executor:
        interactions += [interaction for interaction, *_ in executor.map(lambda _: order.allocate(), range(count))]
    for interaction in (*interactions, order.allocate()[0]):
        yield partial(_same, interaction)


def _same(interaction: Interaction) -> Interaction:
    return interaction


@follows("race-lost-update", "server-error")
def test_simultaneous_allocations_are_all_kept(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that no successful allocation is lost when several clients allocate 1 unit each at the same time."""
    server = _veeqo_alloc_server_under_test
    if server.is_sequential:
        raise UncoveredError(
            "a WSGI application in this process handles one request at a time: return the URL of a server"
        )
    server.require("allocation-quantity")
    first, *raced, last = server.send_once("race", _race(server))
    if rule != "race-lost-update":
        if not response_of(last).is_success:
            raise UncoveredError("the server refuses further allocations to an order")
        server.assert_rule(rule, raced)
        return
    assert first.request is not None
    (sellable,) = requested_allocation(first.request.body).units
    before, shown = shown_units(first, sellable), shown_units(last, sellable)
    kept = sum(response_of(interaction).is_success for interaction in raced)
    if before is None or shown is None or shown <= 1 or not kept:
        return  # the server refuses, or keeps no state, which another test reports
    got = f"{pluralise(shown - before - 1, 'unit')} after {kept} simultaneous allocations of 1 unit"
    is_kept = shown == before + kept + 1
    server.assert_behaviour(rule, [(last, None if is_kept else Breach(rule, "/allocations", got))])


@follows("refusal-partly-applied")
def test_refused_request_changes_nothing(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a refused request allocates and reserves nothing. Compare valid allocations before and after it."""
    server = _veeqo_alloc_server_under_test
    server.require("allocation-quantity")
    (order,) = _orders(server, 1, (2, 7), (1, 7), (1, 4))
    first, (latest, _, after) = order.allocate()[0], order.allocate()
    usual = _taken(first, latest, order.order)
    tried: list[tuple[Interaction, Breach | None]] = []
    for change in BROKEN_LINES:
        if after is None or _left(order, 0) < 2:
            break
        before, earlier, refused = after, latest, _send_with_broken_line(server, order.order, change)
        if refused is None or response_of(refused).is_success:
            continue
        latest, _, after = order.allocate()
        if after is not None and after != before:  # the same number: the server keeps no state
            taken = 0 if server.has_company else _taken(earlier, latest, order.order) - usual
            more, what = (after - before - 1, "allocated") if after > before + 1 else (int(taken), "reserved")
            got = f"{pluralise(more, 'unit')} {what} by a request that was refused"
            tried.append((refused, Breach(rule, "/allocations", got) if more > 0 else None))
    server.assert_behaviour(rule, tried)


def _taken(before: Interaction, after: Interaction, order: PoolOrder) -> float:
    """Return how many units the allocated stock of the first sellable grew from *before* to *after* (0: unknown)."""
    sellable = next(iter(order.sellables))
    levels = [_level_of(interaction, order, sellable) for interaction in (before, after)]
    shown = [level["allocated"] for level in levels if level is not None]
    return shown[1] - shown[0] if len(shown) == 2 else 0


def _send_with_broken_line(server: ServerUnderTest, order: PoolOrder, change: dict[str, Any]) -> Interaction | None:
    """Send a valid line item, then a line item with *change*, in one request. Return None if it may not be sent."""
    meant = allocation_body(order)
    *_, last = order.sellables
    broken = {"sellable_id": last, **change}
    if "sellable_id" in change:
        broken["quantity"] = 1
    lines = [*meant["allocation"]["line_items_attributes"], broken]
    body = {"allocation": {**meant["allocation"], "line_items_attributes": lines}}
    try:
        return replace(server.post(order.id, body, meant=meant), source=f"line item with {json.dumps(change)}")
    except UncoveredError:
        return None
