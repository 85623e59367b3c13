"""The world of the fake, and what each policy does with requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_veeqo_alloc import Contract, Story
from pytest_veeqo_alloc.contract.allocations import AllocationRequest
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock
from pytest_veeqo_alloc.server.responses import response_to
from pytest_veeqo_alloc.server.state import Outcome, Policy, World, allocate, read, release

STRICT = Policy.strict()
TWO_LEFT = World.of(Story(order_id=7, lines=(Line(11, 3, stock=(Stock(5, 2, 0),)),), allocations=()))


def request(units: dict[int, float] | None = None, warehouse: int | None = 5) -> AllocationRequest:
    return AllocationRequest(warehouse, {11: 1} if units is None else units)


def test_unknown_order_is_created_with_the_requested_lines() -> None:
    world, outcome = allocate(World(), Policy(), 7, request({11: 2, 12: 1}))
    assert outcome.name == "created"
    assert outcome.story is not None
    assert outcome.story.allocated_completely
    assert {line.sellable_id: line.quantity for line in outcome.story.lines} == {11: 2, 12: 1}
    assert read(world, Policy(), 7).story == outcome.story


def test_created_stock_is_never_short() -> None:
    world = World()
    for order_id in range(1, 50):
        world, outcome = allocate(world, Policy(), order_id, request({11: 1000}))
        assert outcome.name == "created"


def test_allocating_leaves_the_world_before_unchanged() -> None:
    before = repr(TWO_LEFT.orders[7]), TWO_LEFT.available(5, 11)
    allocate(TWO_LEFT, Policy(), 7, request())
    assert (repr(TWO_LEFT.orders[7]), TWO_LEFT.available(5, 11)) == before


def test_short_stock_is_allocated_in_part() -> None:
    world, outcome = allocate(TWO_LEFT, Policy(), 7, request({11: 3}))
    assert outcome.story is not None
    assert outcome.story.allocations[0].lines == ((11, 2),)
    assert not outcome.story.allocated_completely
    assert world.available(5, 11) == 0


def test_no_stock_left_is_an_error_and_changes_nothing() -> None:
    world, _ = allocate(TWO_LEFT, Policy(), 7, request({11: 2}))
    after, outcome = allocate(world, Policy(), 8, request())
    assert outcome == Outcome("unprocessable", reason="the requested sellables are out of stock")
    assert after == world


REFUSED = {
    "unknown order": (World(), STRICT, 7, request(), "not-found"),
    "unknown warehouse": (TWO_LEFT, STRICT, 7, request(warehouse=6), "unprocessable"),
    "unknown sellable": (TWO_LEFT, STRICT, 7, request({12: 1}), "unprocessable"),
    "short stock": (TWO_LEFT, STRICT, 7, request({11: 3}), "unprocessable"),
    "more than ordered": (TWO_LEFT, STRICT, 7, request({11: 4}), "unprocessable"),
    "a quantity of 0": (TWO_LEFT, Policy(), 7, request({11: 0}), "unprocessable"),
    "a quantity below 0": (TWO_LEFT, Policy(), 7, request({11: -1}), "unprocessable"),
    "a fraction": (TWO_LEFT, Policy(), 7, request({11: 1.5}), "unprocessable"),
    "no line": (TWO_LEFT, Policy(), 7, request({}), "unprocessable"),
    "no warehouse": (TWO_LEFT, Policy(), 7, request(warehouse=None), "unprocessable"),
    "another answer for an unknown order": (World(), replace(STRICT, unknown_order="forbidden"), 7, request(), "forbidden"),
    "all lines skipped": (TWO_LEFT, Policy(quantity_below_one="skip"), 7, request({11: 0}), "unprocessable"),
    "stock in another warehouse alone": (
        World.of(
            Story(order_id=7, lines=(Line(11, 3, stock=(Stock(5, 9, 0),)), Line(12, 1, stock=(Stock(6, 9, 0),))), allocations=())
        ),
        STRICT, 7, request({12: 1}), "unprocessable",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("world", "policy", "order_id", "requested", "name"), REFUSED.values(), ids=REFUSED)
def test_rejected_request_changes_nothing(
    world: World, policy: Policy, order_id: int, requested: AllocationRequest, name: str
) -> None:
    after, outcome = allocate(world, policy, order_id, requested)
    assert outcome.name == name
    assert outcome.reason
    assert after == world


def test_line_below_one_is_skipped_by_policy() -> None:
    _, outcome = allocate(World(), Policy(quantity_below_one="skip"), 7, request({11: 0, 12: 2}))
    assert outcome.story is not None
    assert outcome.story.allocations[0].lines == ((12, 2),)


def test_allocated_order_gets_more_unless_the_policy_rejects_it() -> None:
    world, _ = allocate(World(), Policy(), 7, request())
    _, more = allocate(world, Policy(), 7, request())
    assert more.story is not None
    assert len(more.story.allocations) == 2
    assert (
        allocate(world, replace(Policy(), already_allocated="unprocessable"), 7, request())[1].name == "unprocessable"
    )


def test_releasing_one_allocation_releases_all_of_the_order_and_their_stock() -> None:
    world, first = allocate(TWO_LEFT, Policy(), 7, request())
    world, _ = allocate(world, Policy(), 7, request())
    assert first.story is not None
    world, outcome = release(world, first.story.allocations[0].id, 7)
    assert outcome.name == "found"
    assert outcome.story is not None
    assert outcome.story.allocations == ()
    assert world.available(5, 11) == 2


@pytest.mark.parametrize(("order_id", "allocation_id"), [(7, 1), (8, 323498)])
def test_unknown_allocation_cannot_be_released(order_id: int, allocation_id: int) -> None:
    assert release(TWO_LEFT, allocation_id, order_id) == (
        TWO_LEFT,
        Outcome("not-found", reason="no such allocation"),
    )


def test_unknown_order_cannot_be_read() -> None:
    assert read(World(), STRICT, 7).name == "not-found"


def test_order_added_again_replaces_the_first() -> None:
    allocated = replace(TWO_LEFT.orders[7], allocations=(Allocation(5, ((11, 2),), 900),))
    world = TWO_LEFT.with_order(allocated)
    assert world.available(5, 11) == 0
    assert world.next_id > 900
    assert world.with_order(TWO_LEFT.orders[7]).available(5, 11) == 2


def test_orders_share_the_stock_that_the_first_one_names() -> None:
    world = TWO_LEFT.with_order(Story(order_id=8, lines=(Line(11, 9, stock=(Stock(5, 99, 0),)),), allocations=()))
    world, _ = allocate(world, Policy(), 7, request({11: 2}))
    assert world.available(5, 11) == 0
    assert allocate(world, Policy(), 8, request())[1].name == "unprocessable"


def test_infinite_stock_is_never_short() -> None:
    world = World.of(Story(order_id=7, lines=(Line(11, 3, stock=(Stock(5, 0, 0, infinite=True),)),), allocations=()))
    assert allocate(world, STRICT, 7, request({11: 3}))[1].name == "created"


def test_default_story_gives_the_documented_example() -> None:
    assert build_order(read(World.of(Story()), STRICT, 447452).story) == build_order()


@pytest.mark.parametrize(("field", "value", "hint"), [
    ("unknown_order", "creat", "did you mean 'create'"),
    ("short_stock", "create", "expected one of partial, bad-request"),
    ("wrong_key", "unauthorised", "did you mean 'unauthorized'"),
    ("malformed_json", "accept", "expected one of bad-request"),
    ("refuses", "stric", "did you mean 'strict'"),
])  # fmt: skip
def test_unknown_word_in_a_policy_is_rejected(field: str, value: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        Policy(**dict[str, Any]({field: value}))


@pytest.mark.parametrize("field", ["unknown_order", "unknown_warehouse", "unknown_sellable"])
def test_former_word_for_create_is_accepted_with_a_warning(field: str) -> None:
    with pytest.warns(
        DeprecationWarning, match=f'^Policy\\({field}="make-up"\\) is deprecated: write "create"$'
    ) as caught:
        policy = Policy(**dict[str, Any]({field: "make-up"}))
    assert caught[0].filename == __file__
    assert policy == Policy(**dict[str, Any]({field: "create"})) == Policy()


ids = st.integers(1, 4)
steps = st.lists(
    st.tuples(ids, ids, st.dictionaries(ids, st.integers(-1, 4), max_size=3), st.booleans()), min_size=1, max_size=12
)
policies = st.sampled_from(
    [Policy(), STRICT, Policy(short_stock="unprocessable"), replace(STRICT, unknown_order="create")]
)


@given(steps, policies)
def test_stock_never_falls_below_zero_and_every_response_is_as_documented(
    requests: list[tuple[int, int, dict[int, float], bool]], policy: Policy
) -> None:
    world = World.of(
        Story(order_id=1, lines=(Line(1, 4, stock=(Stock(1, 3, 1), Stock(2, 1, 0))), Line(2, 2, stock=(Stock(1, 2, 0),))), allocations=()),
        Story(order_id=2, lines=(Line(1, 9, stock=()),), allocations=()),
    )  # fmt: skip
    contract = Contract("strict")
    for order_id, warehouse, units, deletes in requests:
        world, outcome = allocate(world, policy, order_id, AllocationRequest(warehouse, units))
        if outcome.story is not None:
            assert contract.check_body("response", response_to(outcome).body).ok
            if deletes:
                world, _ = release(world, outcome.story.allocations[-1].id, order_id)
        for sellable, entries in world.stock.items():
            for stock in entries:
                assert 0 <= stock.allocated <= stock.physical
                held = sum(
                    quantity
                    for order in world.orders.values()
                    for allocation in order.allocations
                    if allocation.warehouse_id == stock.warehouse_id
                    for own, quantity in allocation.lines
                    if own == sellable
                )
                assert stock.allocated == held + (1 if (stock.warehouse_id, sellable) == (1, 1) else 0)
