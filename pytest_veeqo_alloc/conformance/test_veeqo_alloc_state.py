"""Tests of the state that a server keeps between requests. They run only with `--veeqo-alloc-orders any`."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pytest_veeqo_alloc.conformance import UncoveredError
from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest, allocation_body, response_of
from pytest_veeqo_alloc.contract.allocations import existing_allocations
from pytest_veeqo_alloc.core.http import Interaction

CONCURRENT, MACHINES, STEPS = 4, 5, 6
"""The number of concurrent requests, of state machine runs, and of steps in each run."""


def _free_server(server: ServerUnderTest) -> ServerUnderTest:
    if not server.is_free:
        raise UncoveredError("the test needs --veeqo-alloc-orders any")
    return server


def _shown_units(interaction: Interaction, sellable: int) -> float:
    """Return the allocated units of *sellable* in the order that the response contains."""
    held = existing_allocations(response_of(interaction).body) or []
    return sum(allocation.units.get(sellable, 0) for allocation in held)


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_repeated_allocation_is_no_server_error(_veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a repeated request causes no 5xx. The documentation specifies no response to it."""
    server = _free_server(_veeqo_alloc_server_under_test)
    order = server.take()
    for _ in range(2):
        server.assert_no_server_error(server.post(order.id, allocation_body(order)))


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_concurrent_allocations_allocate_no_more_than_requested(
    _veeqo_alloc_server_under_test: ServerUnderTest,
) -> None:
    """Check that no response shows more allocated units than the number of successful one-unit requests."""
    server = _free_server(_veeqo_alloc_server_under_test)
    order = server.take()
    sellable = next(iter(order.sellables))
    with ThreadPoolExecutor(CONCURRENT) as executor:
        interactions = list(executor.map(lambda _: server.post(order.id, allocation_body(order)), range(CONCURRENT)))
    for interaction in interactions:
        server.assert_no_server_error(interaction)
    successes = [interaction for interaction in interactions if response_of(interaction).is_success]
    assert successes, f"none of {CONCURRENT} concurrent allocations succeeded"
    most = max(_shown_units(interaction, sellable) for interaction in successes)
    assert most <= len(successes), f"the order shows {most:g} units after {len(successes)} one-unit allocations"


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_allocations_add_up(_veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Send generated sequences of allocations to two orders, and compare the units in each response with a model."""
    server = _free_server(_veeqo_alloc_server_under_test)

    class Allocating(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.orders = [server.take(2) for _ in range(2)]
            self.units: Counter[tuple[int, int]] = Counter()

        @rule(order_index=st.integers(0, 1), line_index=st.integers(0, 1), quantity=st.integers(1, 2))
        def allocate(self, order_index: int, line_index: int, quantity: int) -> None:
            order = self.orders[order_index]
            sellable = list(order.sellables)[line_index]
            body = allocation_body(order)
            body["allocation"]["line_items_attributes"] = [{"sellable_id": sellable, "quantity": quantity}]
            interaction = server.post(order.id, body)
            server.assert_no_server_error(interaction)
            if not response_of(interaction).is_success:
                return
            before, after = self.units[order_index, line_index], _shown_units(interaction, sellable)
            assert after in range(before + 1, before + quantity + 1), (
                f"the order shows {after:g} units of a sellable after {quantity} were allocated in addition to {before}"
            )
            # A server may allocate only part of the units, so the model takes the number from the response.
            self.units[order_index, line_index] = int(after)

    quick = settings(max_examples=MACHINES, stateful_step_count=STEPS, database=None, deadline=None, derandomize=True,
                     phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    run_state_machine_as_test(Allocating, settings=quick)
