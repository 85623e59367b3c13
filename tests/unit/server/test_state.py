"""The world of the fake, and what its policy makes of requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_veeqo_alloc import Contract, Story
from pytest_veeqo_alloc.contract.allocations import AllocationRequest
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock
from pytest_veeqo_alloc.server.responses import answer_to
from pytest_veeqo_alloc.server.state import Outcome, Policy, World, allocate, read, release

STRICT = Policy.strict()
TWO_LEFT = World.of(Story(order_id=7, lines=(Line(11, 3, stock=(Stock(5, 2, 0),)),), allocations=()))


def ask(units: dict[int, float] | None = None, warehouse: int | None = 5) -> AllocationRequest:
    return AllocationRequest(warehouse, {11: 1} if units is None else units)


def test_an_order_that_nobody_told_of_orders_what_is_asked_for() -> None:
    world, outcome = allocate(World(), Policy(), 7, ask({11: 2, 12: 1}))
    assert outcome.name == "created"
    assert outcome.story is not None
    assert outcome.story.allocated_completely
    assert {line.sellable_id: line.quantity for line in outcome.story.lines} == {11: 2, 12: 1}
    assert read(world, Policy(), 7).story == outcome.story


def test_made_up_stock_always_suffices() -> None:
    world = World()
    for order_id in range(1, 50):
        world, outcome = allocate(world, Policy(), order_id, ask({11: 1000}))
        assert outcome.name == "created"


def test_a_world_is_a_value() -> None:
    before = repr(TWO_LEFT.orders[7]), TWO_LEFT.available(5, 11)
    allocate(TWO_LEFT, Policy(), 7, ask())
    assert (repr(TWO_LEFT.orders[7]), TWO_LEFT.available(5, 11)) == before


def test_short_stock_is_given_in_part() -> None:
    world, outcome = allocate(TWO_LEFT, Policy(), 7, ask({11: 3}))
    assert outcome.story is not None
    assert outcome.story.allocations[0].lines == ((11, 2),)
    assert not outcome.story.allocated_completely
    assert world.available(5, 11) == 0


def test_nothing_left_is_an_error_and_changes_nothing() -> None:
    world, _ = allocate(TWO_LEFT, Policy(), 7, ask({11: 2}))
    after, outcome = allocate(world, Policy(), 8, ask())
    assert outcome == Outcome("unprocessable", reason="no stock is left of what was asked for")
    assert after == world


REFUSED = {
    "unknown order": (World(), STRICT, 7, ask(), "not-found"),
    "unknown warehouse": (TWO_LEFT, STRICT, 7, ask(warehouse=6), "unprocessable"),
    "unknown sellable": (TWO_LEFT, STRICT, 7, ask({12: 1}), "unprocessable"),
    "short stock": (TWO_LEFT, STRICT, 7, ask({11: 3}), "unprocessable"),
    "more than ordered": (TWO_LEFT, STRICT, 7, ask({11: 4}), "unprocessable"),
    "a quantity of 0": (TWO_LEFT, Policy(), 7, ask({11: 0}), "unprocessable"),
    "a quantity below 0": (TWO_LEFT, Policy(), 7, ask({11: -1}), "unprocessable"),
    "a quantity that is no whole number": (TWO_LEFT, Policy(), 7, ask({11: 1.5}), "unprocessable"),
    "no line": (TWO_LEFT, Policy(), 7, ask({}), "unprocessable"),
    "no warehouse": (TWO_LEFT, Policy(), 7, ask(warehouse=None), "unprocessable"),
    "another answer for an unknown order": (World(), replace(STRICT, unknown_order="forbidden"), 7, ask(), "forbidden"),
    "every line skipped": (TWO_LEFT, Policy(quantity_below_one="skip"), 7, ask({11: 0}), "unprocessable"),
    "stock in another warehouse alone": (
        World.of(
            Story(order_id=7, lines=(Line(11, 3, stock=(Stock(5, 9, 0),)), Line(12, 1, stock=(Stock(6, 9, 0),))), allocations=())
        ),
        STRICT, 7, ask({12: 1}), "unprocessable",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("world", "policy", "order_id", "asked", "name"), REFUSED.values(), ids=REFUSED)
def test_what_the_policy_refuses_changes_nothing(
    world: World, policy: Policy, order_id: int, asked: AllocationRequest, name: str
) -> None:
    after, outcome = allocate(world, policy, order_id, asked)
    assert outcome.name == name
    assert outcome.reason
    assert after == world


def test_a_line_below_one_is_left_out_where_the_policy_says_so() -> None:
    _, outcome = allocate(World(), Policy(quantity_below_one="skip"), 7, ask({11: 0, 12: 2}))
    assert outcome.story is not None
    assert outcome.story.allocations[0].lines == ((12, 2),)


def test_an_order_that_is_allocated_already_gets_more_unless_the_policy_refuses() -> None:
    world, _ = allocate(World(), Policy(), 7, ask())
    _, more = allocate(world, Policy(), 7, ask())
    assert more.story is not None
    assert len(more.story.allocations) == 2
    assert allocate(world, replace(Policy(), already_allocated="unprocessable"), 7, ask())[1].name == "unprocessable"


def test_deleting_one_allocation_deletes_every_one_of_the_order_and_frees_their_stock() -> None:
    world, first = allocate(TWO_LEFT, Policy(), 7, ask())
    world, _ = allocate(world, Policy(), 7, ask())
    assert first.story is not None
    world, outcome = release(world, 7, first.story.allocations[0].id)
    assert outcome.name == "found"
    assert outcome.story is not None
    assert outcome.story.allocations == ()
    assert world.available(5, 11) == 2


@pytest.mark.parametrize(("order_id", "allocation_id"), [(7, 1), (8, 323498)])
def test_an_allocation_that_is_not_there_cannot_be_deleted(order_id: int, allocation_id: int) -> None:
    assert release(TWO_LEFT, order_id, allocation_id) == (
        TWO_LEFT,
        Outcome("not-found", reason="there is no such allocation"),
    )


def test_an_order_that_is_not_there_cannot_be_read() -> None:
    assert read(World(), STRICT, 7).name == "not-found"


def test_an_order_told_again_takes_the_place_of_the_first() -> None:
    allocated = replace(TWO_LEFT.orders[7], allocations=(Allocation(5, ((11, 2),), 900),))
    world = TWO_LEFT.with_order(allocated)
    assert world.available(5, 11) == 0
    assert world.next_id > 900
    assert world.with_order(TWO_LEFT.orders[7]).available(5, 11) == 2


def test_two_orders_share_the_stock_that_the_first_told_of() -> None:
    world = TWO_LEFT.with_order(Story(order_id=8, lines=(Line(11, 9, stock=(Stock(5, 99, 0),)),), allocations=()))
    world, _ = allocate(world, Policy(), 7, ask({11: 2}))
    assert world.available(5, 11) == 0
    assert allocate(world, Policy(), 8, ask())[1].name == "unprocessable"


def test_infinite_stock_never_ends() -> None:
    world = World.of(Story(order_id=7, lines=(Line(11, 3, stock=(Stock(5, 0, 0, infinite=True),)),), allocations=()))
    assert allocate(world, STRICT, 7, ask({11: 3}))[1].name == "created"


def test_the_documented_example_is_what_comes_of_its_story() -> None:
    assert build_order(read(World.of(Story()), STRICT, 447452).story) == build_order()


@pytest.mark.parametrize(("field", "value", "hint"), [
    ("unknown_order", "make-upp", "did you mean 'make-up'"),
    ("short_stock", "make-up", "it is one of partial, bad-request"),
    ("wrong_key", "unauthorised", "did you mean 'unauthorized'"),
    ("malformed_json", "accept", "it is one of bad-request"),
    ("refuses", "stric", "did you mean 'strict'"),
])  # fmt: skip
def test_a_policy_with_an_unknown_word_is_refused(field: str, value: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        Policy(**{field: value})


ids = st.integers(1, 4)
steps = st.lists(
    st.tuples(ids, ids, st.dictionaries(ids, st.integers(-1, 4), max_size=3), st.booleans()), min_size=1, max_size=12
)
policies = st.sampled_from(
    [Policy(), STRICT, Policy(short_stock="unprocessable"), replace(STRICT, unknown_order="make-up")]
)


@given(steps, policies)
def test_stock_never_falls_below_zero_and_every_answer_is_as_documented(
    asked: list[tuple[int, int, dict[int, float], bool]], policy: Policy
) -> None:
    world = World.of(
        Story(order_id=1, lines=(Line(1, 4, stock=(Stock(1, 3, 1), Stock(2, 1, 0))), Line(2, 2, stock=(Stock(1, 2, 0),))), allocations=()),
        Story(order_id=2, lines=(Line(1, 9, stock=()),), allocations=()),
    )  # fmt: skip
    contract = Contract("strict")
    for order_id, warehouse, units, deletes in asked:
        world, outcome = allocate(world, policy, order_id, AllocationRequest(warehouse, units))
        if outcome.story is not None:
            assert contract.check_body("response", answer_to(outcome).body).ok
            if deletes:
                world, _ = release(world, order_id, outcome.story.allocations[-1].id)
        for sellable, entries in world.stock.items():
            for stock in entries:
                assert 0 <= stock.allocated <= stock.physical
                held = sum(
                    quantity
                    for order in world.orders.values()
                    for each in order.allocations
                    if each.warehouse_id == stock.warehouse_id
                    for own, quantity in each.lines
                    if own == sellable
                )
                assert stock.allocated == held + (1 if (stock.warehouse_id, sellable) == (1, 1) else 0)
