"""State that the server keeps over several requests. Only for servers that may be written to freely."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pytest_veeqo_alloc.conformance.server_under_test import (
    ServerAssertions,
    ServerUnderTest,
    UncoveredError,
    allocation_body,
)
from pytest_veeqo_alloc.contract.allocations import AllocationRequest, existing_allocations
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.orders.story import units_by_sellable
from pytest_veeqo_alloc.server.state import CREATED, Policy, World, allocate

CONCURRENT, MACHINES, STEPS = 4, 5, 6
"""The number of concurrent requests, of state machine runs, and of steps in a run."""


def _free_server(assertions: ServerAssertions) -> ServerUnderTest:
    if not assertions.server.is_free:
        raise UncoveredError("it needs a server that may be written to freely (orders any)")
    return assertions.server


def _shown_units(interaction: Interaction, sellable: int) -> float:
    """Return the units of *sellable* that are allocated to the order of a response."""
    held = existing_allocations(interaction.response.body if interaction.response else None) or []
    return sum(allocation.units.get(sellable, 0) for allocation in held)


def _expected_units(world: World, order_id: int, sellable: int) -> int:
    """Return the units of *sellable* that are allocated to an order of *world*."""
    story = world.order(order_id)
    pairs = (pair for allocation in (story.allocations if story else ()) for pair in allocation.lines)
    return units_by_sellable(pairs).get(sellable, 0)


def _is_success(interaction: Interaction) -> bool:
    return interaction.response is not None and interaction.response.is_success


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_repeated_allocation_is_no_server_error(_veeqo_alloc_server_assertions: ServerAssertions) -> None:
    """Check that a repeated request is accepted or rejected (the page leaves that open), without a 5xx."""
    server = _free_server(_veeqo_alloc_server_assertions)
    order = server.take()
    for _ in range(2):
        _veeqo_alloc_server_assertions.assert_no_server_error(server.post(order.id, allocation_body(order)))


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_concurrent_allocations_allocate_no_more_than_requested(
    _veeqo_alloc_server_assertions: ServerAssertions,
) -> None:
    """Check that no response shows more units than there were successful requests of one unit each."""
    server = _free_server(_veeqo_alloc_server_assertions)
    order = server.take()
    sellable = next(iter(order.sellables))
    with ThreadPoolExecutor(CONCURRENT) as executor:
        interactions = list(executor.map(lambda _: server.post(order.id, allocation_body(order)), range(CONCURRENT)))
    for interaction in interactions:
        _veeqo_alloc_server_assertions.assert_no_server_error(interaction)
    successes = [interaction for interaction in interactions if _is_success(interaction)]
    assert successes, f"none of {CONCURRENT} concurrent allocations was successful"
    most = max(_shown_units(interaction, sellable) for interaction in successes)
    assert most <= len(successes), f"the order shows {most:g} units after {len(successes)} one-unit allocations"


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_allocations_add_up(_veeqo_alloc_server_assertions: ServerAssertions) -> None:
    """Check generated sequences of allocations to two orders against a model of the units that each must show."""
    server = _free_server(_veeqo_alloc_server_assertions)

    class Allocating(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.orders = [server.take(2) for _ in range(2)]
            self.world = World()

        @rule(order_index=st.integers(0, 1), line_index=st.integers(0, 1), quantity=st.integers(1, 2))
        def allocate(self, order_index: int, line_index: int, quantity: int) -> None:
            order = self.orders[order_index]
            sellable = list(order.sellables)[line_index]
            body: Any = allocation_body(order)
            body["allocation"]["line_items_attributes"] = [{"sellable_id": sellable, "quantity": quantity}]
            interaction = server.post(order.id, json.dumps(body).encode())
            _veeqo_alloc_server_assertions.assert_no_server_error(interaction)
            if not _is_success(interaction):
                return
            before = _expected_units(self.world, order.id, sellable)
            after = _shown_units(interaction, sellable)
            assert before < after <= before + quantity, (
                f"the order shows {after:g} units of a sellable after an allocation of {quantity} to {before}"
            )
            # A server may allocate in part: the model follows what it showed.
            added = AllocationRequest(order.warehouse_id, {sellable: after - before})
            self.world, outcome = allocate(self.world, Policy(), order.id, added)
            assert outcome.name == CREATED

    quick = settings(max_examples=MACHINES, stateful_step_count=STEPS, database=None, deadline=None, derandomize=True,
                     phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    run_state_machine_as_test(Allocating, settings=quick)
