"""Tests of the state that a server keeps between requests. They run only with `--veeqo-alloc-orders any`."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pytest_veeqo_alloc.conformance import UncoveredError
from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest, allocation_body, follows, response_of
from pytest_veeqo_alloc.contract.allocations import existing_allocations
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import pluralise

CONCURRENT = 4
STEPS = tuple(itertools.product((0, 1), (0, 1), (1, 2)))
"""Allocations to two orders: the index of the order, the index of the sellable, and the quantity."""


def _free_server(server: ServerUnderTest) -> ServerUnderTest:
    if not server.is_free:
        raise UncoveredError("the test needs --veeqo-alloc-orders any")
    return server


def _shown_units(interaction: Interaction, sellable: int) -> int | None:
    """Return the allocated units of *sellable* in the order of the response, or None if there is no order."""
    held = existing_allocations(response_of(interaction).body)
    return None if held is None else int(sum(allocation.units.get(sellable, 0) for allocation in held))


@follows("allocations-not-accumulated")
def test_allocations_add_up(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that responses show all units that were allocated to the order, with two orders in turn."""
    server = _free_server(_veeqo_alloc_server_under_test)
    orders, allocated = [server.take(2) for _ in range(2)], Counter[tuple[int, int]]()
    tried: list[tuple[Interaction, Breach | None]] = []
    for order_index, line_index, quantity in sorted(STEPS, key=lambda step: -step[2]):
        order = orders[order_index]
        sellable = list(order.sellables)[line_index]
        body = allocation_body(order)
        body["allocation"]["line_items_attributes"] = [{"sellable_id": sellable, "quantity": quantity}]
        interaction = server.post(order.id, body)
        shown, before = _shown_units(interaction, sellable), allocated[order.id, sellable]
        if not response_of(interaction).is_success or shown is None:
            continue
        is_kept = before < shown <= before + quantity
        got = f"{pluralise(shown, 'unit')} after {pluralise(before, 'unit')} and then {quantity} were allocated"
        tried.append((interaction, None if is_kept else Breach(rule, "/allocations", got)))
        # A server may allocate only a part of the units.
        allocated[order.id, sellable] = shown if is_kept else before + quantity
    server.assert_behaviour(rule, tried)


@follows("race-lost-update")
def test_simultaneous_allocations_are_all_kept(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that the order shows one unit for each simultaneous allocation of one unit that succeeded."""
    server = _free_server(_veeqo_alloc_server_under_test)
    order = server.take(2)
    sellable, other = list(order.sellables)[:2]
    with ThreadPoolExecutor(CONCURRENT) as executor:
        interactions = list(executor.map(lambda _: server.post(order.id, allocation_body(order)), range(CONCURRENT)))
    successes = [interaction for interaction in interactions if response_of(interaction).is_success]
    last = server.post(order.id, allocation_body(replace(order, sellables={other: 1})))
    shown = _shown_units(last, sellable)
    if not successes or not shown or not response_of(last).is_success:
        return  # a server that shows no unit keeps no state, which is the subject of another test
    got = f"{pluralise(shown, 'unit')} after {len(successes)} simultaneous allocations of 1 unit"
    breach = None if shown == len(successes) else Breach(rule, "/allocations", got)
    server.assert_behaviour(rule, [(successes[0], breach)])
