"""Stories: which facts of an order differ from the documented one. Each kind of difference is a part.

A part makes its draws only where it was chosen, so that an order in which nothing was chosen is the documented one, and
Hypothesis gets there by putting zeros into one byte string.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock, Story, units
from pytest_veeqo_alloc.strategies.requests import quantity
from pytest_veeqo_alloc.strategies.values import DATES, LARGEST_ID, TEXTS

Ids = st.SearchStrategy[int]

_AMOUNTS = st.integers(min_value=1, max_value=10_000_000)
_UNITS = st.integers(min_value=0, max_value=100_000)


@dataclass(frozen=True, slots=True)
class StoryConstraints:
    """What a story has to keep to: where ids come from (None: as documented), and how large it may be."""

    order_ids: Ids | None
    warehouse_ids: Ids | None
    sellable_ids: Ids | None
    least_lines: int
    most_lines: int
    max_quantity: int
    complete: bool | None


def documented_story(draw: st.DrawFn, terms: StoryConstraints) -> Story:
    """The story of the documented example, with ids from where the terms have them come from."""
    story = _with_order_id(draw, terms)
    warehouse = 1784 if terms.warehouse_ids is None else draw(terms.warehouse_ids)
    count = terms.least_lines
    first = story.lines[0].sellable_id
    sellables = [first + at for at in range(count)]
    if terms.sellable_ids is not None:
        sellables = draw(st.lists(terms.sellable_ids, min_size=count, max_size=count, unique=True))
    return story_of(story, warehouse, [(sellable, 1) for sellable in sellables])


def story_of(story: Story, warehouse: int, lines: list[tuple[int, int]]) -> Story:
    """*story* with these (sellable, quantity) lines, all of them allocated in *warehouse*."""
    stock = (Stock(warehouse),)
    summed = tuple(units(lines).items())
    return replace(
        story,
        lines=tuple(Line(sellable, many, stock=stock) for sellable, many in summed),
        allocations=(Allocation(warehouse, summed),),
    )


def answered_story(draw: st.DrawFn, terms: StoryConstraints, request: Mapping[str, Any]) -> Story:
    """The story of an order that answers *request*, the valid body of a request, with all that it asks for."""
    allocation = request["allocation"]
    lines = [(line["sellable_id"], line["quantity"]) for line in allocation["line_items_attributes"]]
    return story_of(_with_order_id(draw, terms), allocation["warehouse_id"], lines)


def _with_order_id(draw: st.DrawFn, terms: StoryConstraints) -> Story:
    return Story() if terms.order_ids is None else replace(Story(), order_id=draw(terms.order_ids))


def _first_line(story: Story, **changes: object) -> Story:
    return replace(story, lines=(replace(story.lines[0], **changes), *story.lines[1:]))  # type: ignore[arg-type]  # fields of Line


def _order_id(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return story if terms.order_ids is not None else replace(story, order_id=draw(st.integers(1, LARGEST_ID)))


def _quantity(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    # Ordered and allocated alike, so that what was complete stays so.
    (allocation, *others), line = story.allocations, story.lines[0]
    many = draw(st.integers(1, terms.max_quantity))
    changed = tuple((s, many if s == line.sellable_id else q) for s, q in allocation.lines)
    return replace(_first_line(story, quantity=many), allocations=(replace(allocation, lines=changed), *others))


def _price(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return _first_line(story, price=draw(_AMOUNTS))


def _cost(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return _first_line(story, cost=draw(_AMOUNTS))


def _paid(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return _first_line(story, paid=draw(_AMOUNTS))


def _tax(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return _first_line(story, tax=draw(_AMOUNTS))


def _discount(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return replace(story, discount=draw(_AMOUNTS))


def _delivery(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return replace(story, delivery=draw(_AMOUNTS))


def _sellable(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    if terms.sellable_ids is not None:
        return story
    move = draw(st.integers(1, LARGEST_ID - max(line.sellable_id for line in story.lines)))
    return replace(
        story,
        lines=tuple(replace(line, sellable_id=line.sellable_id + move) for line in story.lines),
        allocations=tuple(
            replace(one, lines=tuple((sellable + move, many) for sellable, many in one.lines))
            for one in story.allocations
        ),
    )


def _warehouse(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    if terms.warehouse_ids is not None:
        return story
    warehouse = draw(st.integers(1, LARGEST_ID))
    stock = (Stock(warehouse),)
    return replace(
        story,
        lines=tuple(replace(line, stock=stock) for line in story.lines),
        allocations=tuple(replace(one, warehouse_id=warehouse) for one in story.allocations),
    )


def _stock(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    (first, *others) = story.lines[0].stock
    changed = replace(first, physical=draw(_UNITS), allocated=draw(_UNITS))
    return _first_line(story, stock=(changed, *others))


def _incoming(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    (first, *others) = story.lines[0].stock
    return _first_line(story, stock=(replace(first, incoming=draw(_UNITS) + 1), *others))


def _endless(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    (first, *others) = story.lines[0].stock
    return _first_line(story, stock=(replace(first, infinite=True), *others))


def _more_stock(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    stock = story.lines[0].stock
    taken = {entry.warehouse_id for entry in stock}
    elsewhere = draw(terms.warehouse_ids) if terms.warehouse_ids is not None else max(taken) % LARGEST_ID + 1
    return (
        story
        if elsewhere in taken
        else _first_line(story, stock=(*stock, Stock(elsewhere, draw(_UNITS), draw(_UNITS))))
    )


def _more_lines(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    room = terms.most_lines - len(story.lines)
    if room < 1:
        return story
    sizes = draw(st.binary(min_size=1, max_size=room))
    taken = {line.sellable_id for line in story.lines}
    if terms.sellable_ids is None:
        sellables = [one for one in range(1, len(sizes) + len(taken) + 1) if one not in taken][: len(sizes)]
    else:
        fresh = terms.sellable_ids.map(lambda one: None if one in taken else one)
        sellables = [one for one in dict.fromkeys(draw(st.lists(fresh, max_size=len(sizes)))) if one is not None]
    stock = story.lines[0].stock
    more = [
        Line(one, quantity(size, terms.max_quantity), price=100 + size, stock=stock[:1])
        for one, size in zip(sellables, sizes, strict=False)
    ]
    (first, *others) = story.allocations
    allocated = (*first.lines, *((line.sellable_id, line.quantity) for line in more))
    return replace(story, lines=(*story.lines, *more), allocations=(replace(first, lines=allocated), *others))


def _earlier(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    """An earlier allocation, from another warehouse where there is a choice, of units ordered on top."""
    line, latest = story.lines[0], story.allocations[0]
    warehouse = draw(terms.warehouse_ids) if terms.warehouse_ids is not None else latest.warehouse_id % LARGEST_ID + 1
    many = draw(st.integers(1, terms.max_quantity))
    earlier = Allocation(warehouse, ((line.sellable_id, many),), id=latest.id + 1)
    return replace(_first_line(story, quantity=line.quantity + many), allocations=(*story.allocations, earlier))


def _allocation_id(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    base = draw(st.integers(1, LARGEST_ID - 2))
    return replace(story, allocations=tuple(replace(one, id=base + at) for at, one in enumerate(story.allocations)))


def _customer(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    text = draw(st.sampled_from(TEXTS))
    return replace(story, customer=Customer(draw(st.integers(1, LARGEST_ID)), *[text] * 8))


def _placed_at(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return replace(story, placed_at=draw(st.sampled_from(DATES)))


def _partly(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    """More is ordered than could be allocated."""
    if terms.complete:
        return story
    return _first_line(story, quantity=story.lines[0].quantity + draw(st.integers(1, terms.max_quantity)))


def _short(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    """Less is allocated than was asked for: fewer units of the first line, or none of it."""
    (allocation, *others) = story.allocations
    if terms.complete or not allocation.lines:
        return story
    (sellable, many), *rest = allocation.lines
    fewer = draw(st.integers(0, many - 1))
    lines = (((sellable, fewer),) if fewer else ()) + tuple(rest)
    return replace(story, allocations=(replace(allocation, lines=lines), *others))


def _nothing(draw: st.DrawFn, story: Story, terms: StoryConstraints) -> Story:
    return story if terms.complete else replace(story, allocations=())


Variation = Callable[[st.DrawFn, Story, StoryConstraints], Story]

# In this order, so that each finds what it changes: what takes allocations away comes last.
PARTS: tuple[Variation, ...] = (
    _order_id, _warehouse, _quantity, _price, _cost, _paid, _tax, _discount, _delivery, _sellable, _stock, _incoming,
    _endless, _more_lines, _earlier, _more_stock, _allocation_id, _customer, _placed_at, _partly, _short, _nothing,
)  # fmt: skip
ANSWERING: tuple[Variation, ...] = tuple(
    part for part in PARTS if part not in (_warehouse, _quantity, _sellable, _more_lines, _nothing)
)
"""The parts of a story that answers a request: what was asked for stays as it was asked for."""
BALANCED_VARIATIONS: tuple[Variation, ...] = tuple(
    part for part in PARTS if part not in (_endless, _earlier, _partly, _short, _nothing)
)
"""The parts of a story in which every equation has all its operands."""


def tell(draw: st.DrawFn, story: Story, chosen: Collection[Variation], terms: StoryConstraints) -> Story:
    """*story* with every part of *chosen*, and as complete as the terms want it."""
    for part in PARTS:
        if part in chosen or (part is _partly and terms.complete is False and story.allocations):
            story = part(draw, story, terms)
    return story
