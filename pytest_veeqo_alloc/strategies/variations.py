"""Variations: functions that change facts in the story of an order. The unchanged story is the documented example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock, Story, units_by_sellable
from pytest_veeqo_alloc.strategies.requests import quantity
from pytest_veeqo_alloc.strategies.values import DATES, IDS, LARGEST_ID, REALISTIC_DATES, REALISTIC_PEOPLE, TEXTS

IDs = st.SearchStrategy[int]

_ANY_ID = st.sampled_from(IDS) | st.integers(1, LARGEST_ID)
_AMOUNTS = st.integers(min_value=1, max_value=10_000_000)
_UNITS = st.integers(min_value=0, max_value=100_000)


@dataclass(frozen=True, slots=True)
class StoryConstraints:
    """Limits for a story. A field that is None sets no limit."""

    order_ids: IDs | None
    warehouse_ids: IDs | None
    sellable_ids: IDs | None
    min_lines: int
    max_lines: int
    max_quantity: int
    complete: bool | None


Variation = Callable[[st.DrawFn, Story, StoryConstraints], Story]


def _initial_story(draw: st.DrawFn, constraints: StoryConstraints, request: Mapping[str, Any] | None) -> Story:
    """Return a story with the allocation in *request*. If *request* is None, adapt the example to *constraints*."""
    story = Story() if constraints.order_ids is None else Story(draw(constraints.order_ids))
    if request is not None:
        allocation = request["allocation"]
        warehouse = allocation["warehouse_id"]
        lines = [(line["sellable_id"], line["quantity"]) for line in allocation["line_items_attributes"]]
    else:
        warehouse = 1784 if constraints.warehouse_ids is None else draw(constraints.warehouse_ids)
        count, first = constraints.min_lines, story.lines[0].sellable_id
        sellables = list(range(first, first + count))
        if constraints.sellable_ids is not None:
            sellables = draw(st.lists(constraints.sellable_ids, min_size=count, max_size=count, unique=True))
        lines = [(sellable, 1) for sellable in sellables]
    totals = tuple(units_by_sellable(lines).items())
    return replace(
        story,
        lines=tuple(Line(sellable, total, stock=(Stock(warehouse),)) for sellable, total in totals),
        allocations=(Allocation(warehouse, totals),),
    )


def _first_line(story: Story, **changes: object) -> Story:
    return replace(story, lines=(replace(story.lines[0], **changes), *story.lines[1:]))  # type: ignore[arg-type]  # fields of Line


def _first_stock(story: Story, **changes: object) -> Story:
    first, *others = story.lines[0].stock
    return _first_line(story, stock=(replace(first, **changes), *others))  # type: ignore[arg-type]  # fields of Stock


def _facts(change: Callable[..., Story], **values: st.SearchStrategy[Any]) -> Variation:
    return lambda draw, story, constraints: change(story, **{name: draw(value) for name, value in values.items()})


def _quantity(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    # Set the ordered and the allocated quantity to the same value, so that a complete order stays complete.
    (allocation,), line = story.allocations, story.lines[0]
    drawn = draw(st.integers(1, constraints.max_quantity))
    changed = tuple((s, drawn if s == line.sellable_id else q) for s, q in allocation.lines)
    return replace(_first_line(story, quantity=drawn), allocations=(replace(allocation, lines=changed),))


def _sellable(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    offset = draw(st.integers(1, LARGEST_ID - max(line.sellable_id for line in story.lines)))
    (allocation,) = story.allocations
    allocated = tuple((sellable + offset, units) for sellable, units in allocation.lines)
    lines = tuple(replace(line, sellable_id=line.sellable_id + offset) for line in story.lines)
    return replace(story, lines=lines, allocations=(replace(allocation, lines=allocated),))


def _warehouse(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    warehouse = draw(_ANY_ID)
    (allocation,) = story.allocations
    lines = tuple(replace(line, stock=(Stock(warehouse),)) for line in story.lines)
    return replace(story, lines=lines, allocations=(replace(allocation, warehouse_id=warehouse),))


def _second_warehouse(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    stock = story.lines[0].stock
    used = {entry.warehouse_id for entry in stock}
    other = max(used) % LARGEST_ID + 1 if constraints.warehouse_ids is None else draw(constraints.warehouse_ids)
    if other in used:
        return story
    return _first_line(story, stock=(*stock, Stock(other, draw(_UNITS), draw(_UNITS))))


def _more_lines(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    room = constraints.max_lines - len(story.lines)
    if room < 1:
        return story
    sizes = draw(st.binary(min_size=1, max_size=room))
    used = {line.sellable_id for line in story.lines}
    pool = constraints.sellable_ids
    ids = range(1, len(sizes) + len(used) + 1) if pool is None else draw(st.lists(pool, max_size=len(sizes)))
    sellables = [sellable for sellable in dict.fromkeys(ids) if sellable not in used]
    stock = story.lines[0].stock[:1]
    more = [
        Line(sellable, quantity(size, constraints.max_quantity), price=100 + size, stock=stock)
        for sellable, size in zip(sellables, sizes, strict=False)
    ]
    (first,) = story.allocations
    allocated = (*first.lines, *((line.sellable_id, line.quantity) for line in more))
    return replace(story, lines=(*story.lines, *more), allocations=(replace(first, lines=allocated),))


def _earlier_allocation(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    """Order more units of the first sellable. Allocate the added units, in a second warehouse if possible."""
    line, latest, pool = story.lines[0], story.allocations[0], constraints.warehouse_ids
    warehouse = latest.warehouse_id % LARGEST_ID + 1 if pool is None else draw(pool)
    units = draw(st.integers(1, constraints.max_quantity))
    earlier = Allocation(warehouse, ((line.sellable_id, units),), id=latest.id + 1)
    return replace(_first_line(story, quantity=line.quantity + units), allocations=(*story.allocations, earlier))


def _allocation_id(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    base = min(draw(_ANY_ID), LARGEST_ID - 2)
    allocations = tuple(replace(one, id=base + index) for index, one in enumerate(story.allocations))
    return replace(story, allocations=allocations)


def _ordered_more(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    """Order more units of the first sellable, without allocating them."""
    return _first_line(story, quantity=story.lines[0].quantity + draw(st.integers(1, constraints.max_quantity)))


def _allocated_less(draw: st.DrawFn, story: Story, constraints: StoryConstraints) -> Story:
    """Reduce the allocated units of the first sellable, to 0 only if the allocation has other line items."""
    allocation, *others = story.allocations
    (sellable, units), *rest = allocation.lines
    fewest = 0 if rest else 1
    if units == fewest:
        return story
    fewer = draw(st.integers(fewest, units - 1))
    lines = (((sellable, fewer),) if fewer else ()) + tuple(rest)
    return replace(story, allocations=(replace(allocation, lines=lines), *others))


_order_id = _facts(replace, order_id=_ANY_ID)
_no_allocation = _facts(replace, allocations=st.just(()))
_infinite_stock = _facts(_first_stock, infinite=st.just(True))
_CUSTOMERS = st.builds(lambda number, text: Customer(number, *[text] * 8), _ANY_ID, st.sampled_from(TEXTS))

# The order of application: variations that require a single allocation first, variations that remove allocations last.
VARIATIONS: tuple[Variation, ...] = (
    _order_id, _warehouse, _quantity, _facts(_first_line, price=_AMOUNTS), _facts(_first_line, cost=_AMOUNTS),
    _facts(_first_line, paid=_AMOUNTS), _facts(_first_line, tax=_AMOUNTS), _facts(replace, discount=_AMOUNTS),
    _facts(replace, delivery=_AMOUNTS), _sellable, _facts(_first_stock, physical=_UNITS, allocated=_UNITS),
    _facts(_first_stock, incoming=st.integers(1, 100_001)), _infinite_stock, _more_lines, _earlier_allocation,
    _second_warehouse, _allocation_id, _facts(replace, customer=_CUSTOMERS),
    _facts(replace, placed_at=st.sampled_from(DATES)), _ordered_more, _allocated_less, _no_allocation,
)  # fmt: skip
_INCOMPLETE = (_ordered_more, _allocated_less, _no_allocation)
_REQUESTED = (_warehouse, _quantity, _sellable, _more_lines, _no_allocation)
ANSWER_VARIATIONS = tuple(variation for variation in VARIATIONS if variation not in _REQUESTED)
"""The variations that keep the warehouse, the sellables and the quantities of a given request."""
_UNBALANCED = (_infinite_stock, _earlier_allocation, *_INCOMPLETE)
BALANCED_VARIATIONS = tuple(variation for variation in VARIATIONS if variation not in _UNBALANCED)
"""The variations after which an order still contains every field that an arithmetic rule uses."""


_REALISTIC_LINES, _REALISTIC_QUANTITY = 4, 5
REALISTIC_WAREHOUSES = st.integers(1000, 200_000)
NINE_DIGITS = st.integers(10**8, 10**9 - 1)
_LATEST_ORDERS = st.integers(2**31 - 10**8, 2**31 + 10**8)
_REALISTIC: tuple[Variation, ...] = (
    _quantity, _more_lines, _earlier_allocation, _second_warehouse, _ordered_more, _allocated_less,
)  # fmt: skip
_PRICES = st.integers(1, 200).map(lambda pounds: 100 * pounds - 1)


def realistic_limits(min_lines: int, max_lines: int, max_quantity: int) -> tuple[int, int]:
    """Return the most line items, and the most units of a line item, of a realistic order within these limits."""
    return max(min_lines, min(max_lines, _REALISTIC_LINES)), min(max_quantity, _REALISTIC_QUANTITY)


def draw_realistic_story(draw: st.DrawFn, constraints: StoryConstraints, request: Mapping[str, Any] | None) -> Story:
    """Draw a story such as a shop may have. It has the allocation in *request* (None: any)."""
    most, units = realistic_limits(constraints.min_lines, constraints.max_lines, constraints.max_quantity)
    limits = replace(
        constraints,
        order_ids=_LATEST_ORDERS if constraints.order_ids is None else constraints.order_ids,
        warehouse_ids=REALISTIC_WAREHOUSES if constraints.warehouse_ids is None else constraints.warehouse_ids,
        sellable_ids=NINE_DIGITS if constraints.sellable_ids is None else constraints.sellable_ids,
        max_lines=most,
        max_quantity=units,
    )
    chosen = {variation for variation in _REALISTIC if draw(st.booleans())}
    story = draw_story(draw, limits, request, chosen - set(_REQUESTED) if request is not None else chosen)
    first, last, street, city, code, country, state = draw(st.sampled_from(REALISTIC_PEOPLE))
    email = f"customer{draw(st.integers(1, 9999))}@example.com"
    base = draw(NINE_DIGITS)
    return replace(
        story,
        lines=tuple(replace(line, price=(price := draw(_PRICES)), cost=price * 2 // 5) for line in story.lines),
        allocations=tuple(replace(one, id=base + index) for index, one in enumerate(story.allocations)),
        customer=Customer(draw(NINE_DIGITS), first, last, email, street, city, code, country, state),
        placed_at=draw(st.sampled_from(REALISTIC_DATES)),
    )


def draw_story(
    draw: st.DrawFn, constraints: StoryConstraints, request: Mapping[str, Any] | None, chosen: set[Variation]
) -> Story:
    """Draw a story with the allocation in *request* (None: any). Skip *chosen* variations that break *constraints*."""
    story = _initial_story(draw, constraints, request)
    given = {
        _order_id: constraints.order_ids,
        _warehouse: constraints.warehouse_ids,
        _sellable: constraints.sellable_ids,
    }
    chosen = chosen.difference(variation for variation, ids in given.items() if ids is not None)
    if constraints.complete:
        chosen = chosen.difference(_INCOMPLETE)
    for variation in VARIATIONS:
        if variation in chosen or (variation is _ordered_more and constraints.complete is False):
            story = variation(draw, story, constraints)
    return story
