"""What the server does over several requests. Only where it may be written to freely."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pytest_veeqo_alloc.conformance.assertions import ServerAssertions
from pytest_veeqo_alloc.conformance.server_under_test import UncoveredError, asking
from pytest_veeqo_alloc.contract.allocations import AllocationRequest, held_by
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.orders.story import units
from pytest_veeqo_alloc.server.state import CREATED, Policy, World, allocate

RACERS, MACHINES, STEPS = 4, 5, 6
"""How many requests race, and how many machines make how many steps."""


def _free(judge: ServerAssertions) -> ServerAssertions:
    if not judge.subject.is_free:
        raise UncoveredError("it needs a server that may be written to freely (orders any)")
    return judge


def _units(interaction: Interaction, sellable: int) -> float:
    """Units of *sellable* that the order of an answer holds."""
    held = held_by(interaction.response.body if interaction.response else None) or []
    return sum(each.units.get(sellable, 0) for each in held)


def _held(world: World, order_id: int, sellable: int) -> int:
    """Units of *sellable* that an order of *world* holds."""
    story = world.order(order_id)
    return units(pair for each in (story.allocations if story else ()) for pair in each.lines).get(sellable, 0)


def _is_made(interaction: Interaction) -> bool:
    return interaction.response is not None and interaction.response.is_success


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_a_repeated_allocation_is_made_again_or_refused(veeqo_alloc_judge: ServerAssertions) -> None:
    """Which of the two the page does not say; an answer is as documented, and never a 5xx."""
    judge = _free(veeqo_alloc_judge)
    order = judge.subject.take()
    for _ in range(2):
        judge.assert_no_server_error(judge.subject.post(order.id, asking(order)))


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_racing_allocations_allocate_what_was_asked_for_and_no_more(veeqo_alloc_judge: ServerAssertions) -> None:
    """As many units are held in the end as successes were told."""
    judge = _free(veeqo_alloc_judge)
    order = judge.subject.take()
    sellable = next(iter(order.sellables))
    with ThreadPoolExecutor(RACERS) as racers:
        made = list(racers.map(lambda _: judge.subject.post(order.id, asking(order)), range(RACERS)))
    for interaction in made:
        judge.assert_no_server_error(interaction)
    successes = [interaction for interaction in made if _is_made(interaction)]
    assert successes, "of requests that raced, none was carried out"
    assert max(_units(interaction, sellable) for interaction in successes) <= len(successes), (
        "more is held than was asked for"
    )


@pytest.mark.veeqo_alloc_basis(basis="convention")
def test_any_sequence_of_allocations_adds_up(veeqo_alloc_judge: ServerAssertions) -> None:
    """A machine allocates to orders in turn, and a world of ours beside it says what each must hold."""
    judge = _free(veeqo_alloc_judge)

    class Allocating(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.orders = [judge.subject.take(2) for _ in range(2)]
            self.world = World()

        @rule(at=st.integers(0, 1), line=st.integers(0, 1), quantity=st.integers(1, 2))
        def allocate(self, at: int, line: int, quantity: int) -> None:
            order = self.orders[at]
            sellable = list(order.sellables)[line]
            body: Any = asking(order)
            body["allocation"]["line_items_attributes"] = [{"sellable_id": sellable, "quantity": quantity}]
            interaction = judge.subject.post(order.id, json.dumps(body).encode())
            judge.assert_no_server_error(interaction)
            if _is_made(interaction):
                held, before = _units(interaction, sellable), _held(self.world, order.id, sellable)
                assert before < held <= before + quantity, "the order holds other than what was allocated to it"
                asked = AllocationRequest(order.warehouse_id, {sellable: held - before})
                self.world, outcome = allocate(self.world, Policy(), order.id, asked)
                assert outcome.name == CREATED

    quick = settings(max_examples=MACHINES, stateful_step_count=STEPS, database=None, deadline=None, derandomize=True,
                     phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    run_state_machine_as_test(Allocating, settings=quick)
