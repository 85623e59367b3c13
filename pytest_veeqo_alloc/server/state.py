"""The fake's policy and state (a `World` of orders and stock), and the functions that carry out requests."""

from __future__ import annotations

import functools
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from rpds import HashTrieMap

from pytest_veeqo_alloc.contract.allocations import AllocationRequest
from pytest_veeqo_alloc.contract.error_responses import ERROR_RESPONSES
from pytest_veeqo_alloc.contract.rules import Profile, severities
from pytest_veeqo_alloc.core.text import pluralise, unknown_name
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, Story, units_by_sellable

CREATE, PARTIAL, ADD, SKIP, ACCEPT = "create", "partial", "add", "skip", "accept"

_WORDS = {
    "unknown_order": CREATE, "unknown_warehouse": CREATE, "unknown_sellable": CREATE, "short_stock": PARTIAL,
    "already_allocated": ADD, "quantity_below_one": SKIP, "malformed_json": None, "invalid_request": None,
    "wrong_key": ACCEPT,
}  # fmt: skip
_FORMER_CREATE = "make-up"


@dataclass(frozen=True, slots=True)
class Policy:
    """The behaviour of the fake where the Veeqo documentation is silent.

    `refuses` names a profile: the fake rejects a request that has a finding of severity `error` in that profile. The
    value of any other field is the word quoted below, or the name of the error response to send, such as `not-found`
    or `unprocessable`. Raise ValueError for any other value.

    - `unknown_order`, `unknown_warehouse`, `unknown_sellable`: 'create' creates the object, with enough stock.
    - `short_stock`: 'partial' allocates the available units. Without any, the response is `unprocessable`.
    - `already_allocated`: 'add' allocates more units of a sellable than the order still needs.
    - `quantity_below_one`: 'skip' ignores a line item with a quantity below 1.
    - `malformed_json`: the error response to a body that cannot be parsed.
    - `invalid_request`: the error response to a body with a missing member or a wrong value.
    - `wrong_key`: 'accept' accepts requests with any API key, and without a key.

    The default of `wrong_key` is the response of the live API to other calls with a wrong key. The remaining defaults
    let a first test run without any setup.
    """

    unknown_order: str = CREATE
    unknown_warehouse: str = CREATE
    unknown_sellable: str = CREATE
    short_stock: str = PARTIAL
    already_allocated: str = ADD
    quantity_below_one: str = "unprocessable"
    malformed_json: str = "bad-request"
    invalid_request: str = "unprocessable"
    wrong_key: str = "unauthorized"
    refuses: Profile = "documented"

    def __post_init__(self) -> None:
        severities(self.refuses)  # raises for an unknown profile
        for name, word in _WORDS.items():
            value, known = getattr(self, name), [word, *ERROR_RESPONSES] if word else list(ERROR_RESPONSES)
            if word == CREATE and value == _FORMER_CREATE:
                message = f'Policy({name}="{_FORMER_CREATE}") is deprecated: write "{CREATE}"'
                warnings.warn(message, DeprecationWarning, stacklevel=3)
                object.__setattr__(self, name, CREATE)
            elif value not in known:
                raise ValueError(unknown_name(f"value for {name}", value, known))

    @classmethod
    def strict(cls) -> Self:
        """Return a policy that creates nothing, allocates all units or none, and applies the strict profile."""
        return cls(
            unknown_order="not-found",
            unknown_warehouse="unprocessable",
            unknown_sellable="unprocessable",
            short_stock="unprocessable",
            already_allocated="unprocessable",
            refuses="strict",
        )

    @classmethod
    def vendor(cls) -> Self:
        """Return a policy with the error statuses that Veeqo's public list describes. The list has no 422.

        It describes 404 for any unknown id, even one in the request body, and 400 for a missing attribute.
        """
        return cls(
            unknown_order="not-found",
            unknown_warehouse="not-found",
            unknown_sellable="not-found",
            short_stock="bad-request",
            already_allocated="bad-request",
            quantity_below_one="bad-request",
            invalid_request="bad-request",
        )


POLICIES = {"default": Policy, "strict": Policy.strict, "vendor": Policy.vendor}
"""The predefined policies by name."""


@dataclass(frozen=True, slots=True)
class World:
    """The immutable state of the fake. `orders` maps order ids to orders, `stock` maps sellable ids to known stock.

    `allocated` of a `Stock` counts the units of all orders. If a warehouse has no known stock of a sellable, and the
    policy creates warehouses, any quantity can be allocated.
    """

    orders: HashTrieMap[int, Story] = field(default_factory=HashTrieMap)
    stock: HashTrieMap[int, tuple[Stock, ...]] = field(default_factory=HashTrieMap)
    warehouses: frozenset[int] = frozenset()
    next_id: int = 323498

    def __repr__(self) -> str:
        return f"<World: {pluralise(len(self.orders), 'order')}, {pluralise(len(self.stock), 'sellable')} in stock>"

    @staticmethod
    def of(*orders: Story) -> World:
        """Build a `World` that contains *orders* and the stock of their line items."""
        return functools.reduce(World.with_order, orders, World())

    def with_order(self, order: Story) -> World:
        """Return a copy that contains *order*. An order with the same id is replaced.

        The units of its allocations are reserved. The stock in its line items is added, unless it is known already.
        """
        before = self.orders.get(order.order_id)
        world = self if before is None else _reserve(self, before.allocations, -1)
        for line in order.lines:
            for stock in line.stock:
                if world.stock_in(stock.warehouse_id, line.sellable_id) is None:
                    world = world.with_stock(line.sellable_id, stock)
        world = _reserve(world, order.allocations)
        next_id = max([world.next_id, *(allocation.id + 1 for allocation in order.allocations)])
        return replace(world, next_id=next_id, orders=world.orders.insert(order.order_id, order))

    def with_stock(self, sellable_id: int, stock: Stock) -> World:
        """Return a copy with *stock* of a sellable. Known stock of the sellable in the same warehouse is replaced."""
        others = (entry for entry in self.stock.get(sellable_id, ()) if entry.warehouse_id != stock.warehouse_id)
        entries = self.stock.insert(sellable_id, (*others, stock))
        return replace(self, stock=entries, warehouses=self.warehouses | {stock.warehouse_id})

    def order(self, order_id: int) -> Story | None:
        """Return the order with the current stock of its sellables, or None for an unknown order."""
        story = self.orders.get(order_id)
        if story is None or all(line.sellable_id not in self.stock for line in story.lines):
            return story
        stock = _reserve(self, story.allocations, -1).stock  # build_order reserves these units again
        lines = (replace(line, stock=stock.get(line.sellable_id, ())) for line in story.lines)
        return replace(story, lines=tuple(lines))

    def available(self, warehouse_id: int, sellable_id: int) -> int | None:
        """Return how many units can still be allocated, or None if the stock is unknown or infinite."""
        stock = self.stock_in(warehouse_id, sellable_id)
        return None if stock is None or stock.infinite else stock.physical - stock.allocated

    def stock_in(self, warehouse_id: int, sellable_id: int) -> Stock | None:
        """Return the stock of a sellable in a warehouse, or None if the stock is unknown."""
        return next((stock for stock in self.stock.get(sellable_id, ()) if stock.warehouse_id == warehouse_id), None)


Units = Mapping[int, int]
"""Maps a sellable id to a number of units."""
CREATED = "created"
FOUND = "found"
METHOD_NOT_ALLOWED = "method-not-allowed"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list of `total` orders. The first page has `number` 1. A page has at most `size` orders."""

    orders: tuple[Story, ...]
    number: int
    size: int
    total: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a request. `name` is `created`, `found`, or the name of an error response; `reason` explains it.

    The body of the response is `page` (a part of a list of orders), otherwise the allocation `allocation_id`, otherwise
    the order `story`.
    """

    name: str
    story: Story | None = None
    reason: str = ""
    allocation_id: int | None = None
    page: Page | None = None


def allocate(world: World, policy: Policy, order_id: int, requested: AllocationRequest) -> tuple[World, Outcome]:
    """Carry out the requested allocation under *policy*. Return the new state of the fake, and the outcome."""
    wanted = {sellable: int(quantity) for sellable, quantity in requested.units.items() if quantity > 0}
    if (rejection := _unclear(requested, wanted, policy)) is not None:
        return world, rejection
    story = world.orders.get(order_id)
    if story is None and policy.unknown_order != CREATE:
        return world, Outcome(policy.unknown_order, reason="no such order")
    story = _with_lines(story, order_id, wanted, policy)
    warehouse = requested.warehouse_id or 0
    allocatable = _allocatable(world, policy, warehouse, wanted)
    if (rejection := _rejection(world, policy, story, warehouse, wanted, allocatable)) is not None:
        return world, rejection
    allocation = Allocation(warehouse, tuple(allocatable.items()), world.next_id)
    # Not dataclasses.replace, which takes longer than the rest of this function.
    facts = (story.discount, story.delivery, story.customer, story.placed_at)
    story = Story(order_id, story.lines, (*story.allocations, allocation), *facts)
    stock = _reserve(world, (allocation,)).stock
    world = World(world.orders.insert(order_id, story), stock, world.warehouses, world.next_id + 1)
    return world, Outcome(CREATED, world.order(order_id))


def with_requested_order(world: World, policy: Policy, order_id: int, requested: AllocationRequest) -> World:
    """Return *world*. Add the requested order, unallocated, if it is unknown and *policy* creates orders."""
    wanted = {sellable: int(quantity) for sellable, quantity in requested.units.items() if quantity >= 1}
    if order_id in world.orders or policy.unknown_order != CREATE or not wanted:
        return world
    return replace(world, orders=world.orders.insert(order_id, _with_lines(None, order_id, wanted, policy)))


def read(world: World, policy: Policy, order_id: int) -> Outcome:
    """Return the outcome of the undocumented call `GET /orders/{order_id}`."""
    story = world.order(order_id)
    if story is None and policy.unknown_order == CREATE:
        story = Story(order_id=order_id, allocations=())
    return Outcome("not-found", reason="no such order") if story is None else Outcome(FOUND, story)


def list_orders(world: World, number: str, size: str) -> Outcome:
    """Return the outcome of the undocumented call `GET /orders`: a page of the orders, sorted by id."""
    if not all(re.fullmatch("[1-9][0-9]{0,8}", text) for text in (number, size)):
        return Outcome("bad-parameter")
    first, limit = (int(number) - 1) * int(size), int(size)
    ids = sorted(world.orders)[first : first + limit]
    stories = tuple(story for story in map(world.order, ids) if story is not None)
    return Outcome(FOUND, page=Page(stories, int(number), limit, len(world.orders)))


def move(
    world: World, policy: Policy, order_id: int, allocation_id: int, warehouse_id: int | None
) -> tuple[World, Outcome]:
    """Move an allocation to *warehouse_id* unless that is None. Return the new state of the fake, and the outcome."""
    story = _order_with(world, allocation_id, order_id)
    if story is None:
        return world, Outcome("not-found", reason="no such allocation")
    if warehouse_id is not None:
        if policy.unknown_warehouse != CREATE and warehouse_id not in world.warehouses:
            return world, Outcome(policy.unknown_warehouse, reason="no such warehouse")
        allocations = tuple(
            replace(allocation, warehouse_id=warehouse_id) if allocation.id == allocation_id else allocation
            for allocation in story.allocations
        )
        world = world.with_order(replace(story, allocations=allocations))
    return world, Outcome(FOUND, world.order(story.order_id), allocation_id=allocation_id)


def release(world: World, allocation_id: int, order_id: int | None = None) -> tuple[World, Outcome]:
    """Delete an allocation and, like the live API, all others of its order. Return the new state and the outcome."""
    story = _order_with(world, allocation_id, order_id)
    if story is None:
        return world, Outcome("not-found", reason="no such allocation")
    orders = world.orders.insert(story.order_id, replace(story, allocations=()))
    world = replace(_reserve(world, story.allocations, -1), orders=orders)
    return world, Outcome(FOUND, world.order(story.order_id))


def _order_with(world: World, allocation_id: int, order_id: int | None) -> Story | None:
    """Return the order that has the allocation, or None. Consider only the order *order_id* unless that is None."""
    found = world.orders.values() if order_id is None else filter(None, [world.orders.get(order_id)])
    return next(
        (story for story in found if allocation_id in [allocation.id for allocation in story.allocations]), None
    )


def _unclear(requested: AllocationRequest, wanted: Units, policy: Policy) -> Outcome | None:
    """Return a rejection if the request has no warehouse, no line items or an invalid quantity; otherwise None."""
    if requested.warehouse_id is None or not requested.units:
        return Outcome(policy.invalid_request, reason="the request names no warehouse or no line item")
    if any(quantity % 1 for quantity in requested.units.values()):
        return Outcome(policy.invalid_request, reason="a quantity is not a whole number")
    if len(wanted) < len(requested.units) and (policy.quantity_below_one != SKIP or not wanted):
        name = "unprocessable" if policy.quantity_below_one == SKIP else policy.quantity_below_one
        return Outcome(name, reason="a quantity is less than 1")
    return None


def _with_lines(story: Story | None, order_id: int, wanted: Units, policy: Policy) -> Story:
    """Return *story* with missing line items added if *policy* creates them. If *story* is None, return a new order."""
    if story is None:
        return Story(order_id, tuple(Line(sellable, quantity, stock=()) for sellable, quantity in wanted.items()), ())
    ordered = {line.sellable_id for line in story.lines}
    if policy.unknown_sellable != CREATE or ordered >= wanted.keys():
        return story
    more = (Line(sellable, quantity, stock=()) for sellable, quantity in wanted.items() if sellable not in ordered)
    return replace(story, lines=(*story.lines, *more))


def _rejection(
    world: World, policy: Policy, story: Story, warehouse: int, wanted: Units, allocatable: Units
) -> Outcome | None:
    """Return a rejection if *policy* forbids the allocation of the *wanted* units to the order; otherwise None."""
    ordered = units_by_sellable((line.sellable_id, line.quantity) for line in story.lines)
    if any(sellable not in ordered for sellable in wanted):
        return Outcome(policy.unknown_sellable, reason="the order has no line item with a requested sellable")
    if policy.unknown_warehouse != CREATE and warehouse not in world.warehouses:
        return Outcome(policy.unknown_warehouse, reason="no such warehouse")
    if policy.already_allocated != ADD:
        already = units_by_sellable(pair for allocation in story.allocations for pair in allocation.lines)
        if any(already.get(s, 0) + quantity > ordered.get(s, quantity) for s, quantity in wanted.items()):
            return Outcome(policy.already_allocated, reason="more is requested than the order still needs")
    if policy.short_stock != PARTIAL and allocatable != wanted:
        return Outcome(policy.short_stock, reason="not enough stock")
    if not allocatable:
        return Outcome("unprocessable", reason="the requested sellables are out of stock")
    return None


def _allocatable(world: World, policy: Policy, warehouse_id: int, wanted: Units) -> dict[int, int]:
    """Map each *wanted* sellable to the units that the warehouse can allocate. Omit sellables without such units."""
    allocatable = {}
    for sellable, quantity in wanted.items():
        if policy.unknown_warehouse != CREATE and world.stock_in(warehouse_id, sellable) is None:
            continue
        left = world.available(warehouse_id, sellable)
        if (units := quantity if left is None else min(quantity, left)) > 0:
            allocatable[sellable] = units
    return allocatable


def _reserve(world: World, allocations: Iterable[Allocation], sign: int = 1) -> World:
    """Return *world* with the units of *allocations* reserved in the known stock. If *sign* is -1, release them."""
    units: Counter[tuple[int, int]] = Counter()
    for allocation in allocations:
        for sellable, quantity in allocation.lines:
            units[allocation.warehouse_id, sellable] += quantity
    stock = world.stock
    for (warehouse, sellable), quantity in units.items():
        if sellable in stock:
            stock = stock.insert(sellable, tuple(
                replace(s, allocated=s.allocated + sign * quantity) if s.warehouse_id == warehouse else s
                for s in stock[sellable]
            ))  # fmt: skip
    return world if stock is world.stock else replace(world, stock=stock)
