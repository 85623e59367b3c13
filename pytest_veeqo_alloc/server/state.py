"""What the fake does where the documentation is silent."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Self, TypeVar

from pytest_veeqo_alloc.contract.allocations import AllocationRequest
from pytest_veeqo_alloc.contract.error_responses import ERROR_ANSWERS
from pytest_veeqo_alloc.contract.rules import severities
from pytest_veeqo_alloc.core.text import unknown
from pytest_veeqo_alloc.orders.story import Allocation, Line, Stock, Story, units

MAKE_UP, PARTIAL, ADD, SKIP, ACCEPT = "make-up", "partial", "add", "skip", "accept"

_WORDS = {
    "unknown_order": MAKE_UP, "unknown_warehouse": MAKE_UP, "unknown_sellable": MAKE_UP, "short_stock": PARTIAL,
    "already_allocated": ADD, "quantity_below_one": SKIP, "malformed_json": None, "wrong_key": ACCEPT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """What the page leaves open. Each field is the one word said with it, or the name of an error answer
    (`not-found`, `unprocessable`, ...) that is given instead; ValueError for anything else.

    - `unknown_order`, `unknown_warehouse`, `unknown_sellable`: `make-up` makes it up, with stock that suffices.
    - `short_stock`: `partial` allocates what there is; where there is nothing, the answer is `unprocessable`.
    - `already_allocated`: `add` allocates more of a sellable than its order still needs.
    - `quantity_below_one`: `skip` leaves such a line out.
    - `malformed_json`: for a body that cannot be read.
    - `wrong_key`: `accept` takes any key, and none.
    - `refuses`: a profile. A request that has an error in it is refused; what cannot be carried out always is.

    Only `wrong_key`, a 401, is known from the live API (of other calls); the rest is a choice that helps a first test.
    """

    unknown_order: str = MAKE_UP
    unknown_warehouse: str = MAKE_UP
    unknown_sellable: str = MAKE_UP
    short_stock: str = PARTIAL
    already_allocated: str = ADD
    quantity_below_one: str = "unprocessable"
    malformed_json: str = "bad-request"
    wrong_key: str = "unauthorized"
    refuses: str = "lenient"

    def __post_init__(self) -> None:
        severities(self.refuses)  # refuses a profile that does not exist
        for name, word in _WORDS.items():
            value = getattr(self, name)
            if value not in (word, *ERROR_ANSWERS):
                raise ValueError(unknown(f"answer for {name}", value, [*([word] if word else []), *ERROR_ANSWERS]))

    @classmethod
    def strict(cls) -> Self:
        """Nothing is made up, nothing is done in part, and every request that the strict profile finds wrong is
        refused."""
        return cls(
            unknown_order="not-found",
            unknown_warehouse="unprocessable",
            unknown_sellable="unprocessable",
            short_stock="unprocessable",
            already_allocated="unprocessable",
            refuses="strict",
        )


POLICIES = {"default": Policy, "strict": Policy.strict}
"""The presets by name."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_PARTS = 64


class Shelf(Mapping[K, V], Generic[K, V]):
    """An immutable mapping. `having` shares all but one of its 64 parts with the mapping it is called on."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Mapping[K, V], ...] = ({},) * _PARTS) -> None:
        self._parts = parts

    def having(self, key: K, value: V) -> Self:
        """The same mapping but for *key*, which has *value*."""
        at = hash(key) % _PARTS
        return type(self)((*self._parts[:at], {**self._parts[at], key: value}, *self._parts[at + 1 :]))

    def __getitem__(self, key: K) -> V:
        return self._parts[hash(key) % _PARTS][key]

    def __iter__(self) -> Iterator[K]:
        return (key for part in self._parts for key in part)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __repr__(self) -> str:
        return f"<Shelf of {len(self)}>"


CREATED = "created"
FOUND = "found"
METHOD_NOT_ALLOWED = "method-not-allowed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: `created`, `found`, or the name of an error answer with the reason for it. `story` is the
    order as it was then."""

    name: str
    story: Story | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """Orders by id, and the stock that somebody told of by sellable: its `allocated` counts every unit reserved, whoever
    did it. Where nobody told of stock there is just enough for whatever is asked, if the policy makes it up.
    """

    orders: Shelf[int, Story] = field(default_factory=Shelf)
    stock: Shelf[int, tuple[Stock, ...]] = field(default_factory=Shelf)
    warehouses: frozenset[int] = frozenset()
    next_id: int = 323498

    @staticmethod
    def of(*orders: Story) -> World:
        """A world that has these orders, and the stock that their lines tell of."""
        world = World()
        for order in orders:
            world = world.with_order(order)
        return world

    def with_order(self, order: Story) -> World:
        """The same world with *order*, in the place of any of the same id. The stock that its lines tell of is taken over
        where none is known yet; what the order has allocated is reserved in it."""
        before = self.orders.get(order.order_id)
        world = self if before is None else _reserved(self, before.allocations, -1)
        for line in order.lines:
            for stock in line.stock:
                if world._stock_in(stock.warehouse_id, line.sellable_id) is None:
                    world = world.with_stock(line.sellable_id, stock)
        taken = max((each.id for each in order.allocations), default=0)
        world = _reserved(world, order.allocations)
        return replace(world, next_id=max(world.next_id, taken + 1), orders=world.orders.having(order.order_id, order))

    def with_stock(self, sellable_id: int, stock: Stock) -> World:
        """The same world with *stock* of a sellable in the place of any in the same warehouse."""
        others = (s for s in self.stock.get(sellable_id, ()) if s.warehouse_id != stock.warehouse_id)
        entries = self.stock.having(sellable_id, (*others, stock))
        return replace(self, stock=entries, warehouses=self.warehouses | {stock.warehouse_id})

    def order(self, order_id: int) -> Story | None:
        """The order, with stock as it is now but for its own allocations; None where there is none."""
        story = self.orders.get(order_id)
        if story is None or all(line.sellable_id not in self.stock for line in story.lines):
            return story
        own = _by_place(story.allocations)
        return replace(story, lines=tuple(replace(line, stock=self._stock_without(line, own)) for line in story.lines))

    def available(self, warehouse_id: int, sellable_id: int) -> int | None:
        """Units that can still be reserved; None where nobody told of stock there, or it is infinite."""
        stock = self._stock_in(warehouse_id, sellable_id)
        return None if stock is None or stock.infinite else stock.physical - stock.allocated

    def tells_of(self, warehouse_id: int, sellable_id: int) -> bool:
        """Whether somebody told of stock of the sellable there."""
        return self._stock_in(warehouse_id, sellable_id) is not None

    def _stock_in(self, warehouse_id: int, sellable_id: int) -> Stock | None:
        return next((s for s in self.stock.get(sellable_id, ()) if s.warehouse_id == warehouse_id), None)

    def _stock_without(self, line: Line, own: Mapping[tuple[int, int], int]) -> tuple[Stock, ...]:
        entries = self.stock.get(line.sellable_id, ())
        return tuple(
            replace(s, allocated=s.allocated - own.get((s.warehouse_id, line.sellable_id), 0)) for s in entries
        )


def allocate(world: World, policy: Policy, order_id: int, asked: AllocationRequest) -> tuple[World, Outcome]:
    """Reserves what is asked for, as far as *policy* lets it."""
    wanted = {sellable: int(quantity) for sellable, quantity in asked.units.items() if quantity > 0}
    if (refusal := _unclear(asked, wanted, policy)) is not None:
        return world, refusal
    story = world.orders.get(order_id)
    if story is None and policy.unknown_order != MAKE_UP:
        return world, Outcome(policy.unknown_order, reason="there is no such order")
    story = _ordering(story, order_id, wanted, policy)
    warehouse = asked.warehouse_id or 0
    if (refusal := _refused(world, policy, story, warehouse, wanted)) is not None:
        return world, refusal
    given = _given(world, policy, warehouse, wanted)
    if not given:
        return world, Outcome("unprocessable", reason="no stock is left of what was asked for")
    allocation = Allocation(warehouse, tuple(given.items()), world.next_id)
    allocations = (*story.allocations, allocation)
    facts = (story.discount, story.delivery, story.customer, story.placed_at)
    story = Story(order_id, story.lines, allocations, *facts)
    stock = _reserved(world, (allocation,)).stock
    world = World(world.orders.having(order_id, story), stock, world.warehouses, world.next_id + 1)
    return world, Outcome(CREATED, world.order(order_id))


def with_made_up(world: World, policy: Policy, order_id: int, asked: AllocationRequest) -> World:
    """*world* with an order of what is asked for, nothing of it allocated, where the policy makes up what nobody told of."""
    wanted = {sellable: int(quantity) for sellable, quantity in asked.units.items() if quantity >= 1}
    if order_id in world.orders or policy.unknown_order != MAKE_UP or not wanted:
        return world
    return replace(world, orders=world.orders.having(order_id, _ordering(None, order_id, wanted, policy)))


def read(world: World, policy: Policy, order_id: int) -> Outcome:
    """The order, made up like that of the documented example where the policy says so. Outside the documented page."""
    story = world.order(order_id)
    if story is None and policy.unknown_order == MAKE_UP:
        story = Story(order_id=order_id, allocations=())
    return Outcome("not-found", reason="there is no such order") if story is None else Outcome(FOUND, story)


def release(world: World, order_id: int, allocation_id: int) -> tuple[World, Outcome]:
    """Deletes every allocation of the order that holds *allocation_id*, as the documentation of that call says. Outside
    the documented page."""
    story = world.orders.get(order_id)
    if story is None or all(each.id != allocation_id for each in story.allocations):
        return world, Outcome("not-found", reason="there is no such allocation")
    bare = replace(story, allocations=())
    world = replace(_reserved(world, story.allocations, -1), orders=world.orders.having(order_id, bare))
    return world, Outcome(FOUND, world.order(order_id))


def _unclear(asked: AllocationRequest, wanted: Mapping[int, int], policy: Policy) -> Outcome | None:
    """Why nobody can tell what is to be reserved."""
    if asked.warehouse_id is None or not asked.units:
        return Outcome("unprocessable", reason="no warehouse or no line is named")
    if any(quantity % 1 for quantity in asked.units.values()):
        return Outcome("unprocessable", reason="a quantity is no whole number")
    if len(wanted) < len(asked.units) and (policy.quantity_below_one != SKIP or not wanted):
        name = "unprocessable" if policy.quantity_below_one == SKIP else policy.quantity_below_one
        return Outcome(name, reason="a quantity is below 1, or too large to be counted")
    return None


def _ordering(story: Story | None, order_id: int, wanted: Mapping[int, int], policy: Policy) -> Story:
    """The order with a line for everything that is wanted, where orders and lines may be made up."""
    if story is None:
        return Story(order_id, tuple(Line(sellable, quantity, stock=()) for sellable, quantity in wanted.items()), ())
    ordered = {line.sellable_id for line in story.lines}
    if policy.unknown_sellable != MAKE_UP or ordered >= wanted.keys():
        return story
    more = (Line(sellable, quantity, stock=()) for sellable, quantity in wanted.items() if sellable not in ordered)
    return replace(story, lines=(*story.lines, *more))


def _refused(
    world: World, policy: Policy, story: Story, warehouse_id: int, wanted: Mapping[int, int]
) -> Outcome | None:
    """Why the order may not have what is asked for."""
    ordered = units((line.sellable_id, line.quantity) for line in story.lines)
    if any(sellable not in ordered for sellable in wanted):
        return Outcome(policy.unknown_sellable, reason="the order has no line of a sellable that is asked for")
    if policy.unknown_warehouse != MAKE_UP and warehouse_id not in world.warehouses:
        return Outcome(policy.unknown_warehouse, reason="there is no such warehouse")
    if policy.already_allocated != ADD:
        already = units(pair for each in story.allocations for pair in each.lines)
        if any(already.get(s, 0) + quantity > ordered.get(s, quantity) for s, quantity in wanted.items()):
            return Outcome(policy.already_allocated, reason="more is asked for than the order still needs")
    if policy.short_stock != PARTIAL and _given(world, policy, warehouse_id, wanted) != wanted:
        return Outcome(policy.short_stock, reason="there is not enough stock")
    return None


def _given(world: World, policy: Policy, warehouse_id: int, wanted: Mapping[int, int]) -> dict[int, int]:
    """What there is of what is wanted."""
    given = {s: min(quantity, _left(world, policy, warehouse_id, s, quantity)) for s, quantity in wanted.items()}
    return {s: quantity for s, quantity in given.items() if quantity > 0}


def _left(world: World, policy: Policy, warehouse_id: int, sellable_id: int, wanted: int) -> int:
    if not world.tells_of(warehouse_id, sellable_id):
        return wanted if policy.unknown_warehouse == MAKE_UP else 0
    left = world.available(warehouse_id, sellable_id)
    return wanted if left is None else left


def _by_place(allocations: Iterable[Allocation]) -> dict[tuple[int, int], int]:
    """Units by warehouse and sellable."""
    held: dict[tuple[int, int], int] = {}
    for each in allocations:
        for sellable, quantity in each.lines:
            held[each.warehouse_id, sellable] = held.get((each.warehouse_id, sellable), 0) + quantity
    return held


def _reserved(world: World, allocations: Iterable[Allocation], sign: int = 1) -> World:
    """*world* with the units of *allocations* reserved in what stock it knows (or, with a *sign* of -1, free again)."""
    stock = world.stock
    for (warehouse, sellable), quantity in _by_place(allocations).items():
        if sellable in stock:
            stock = stock.having(sellable, tuple(
                replace(s, allocated=s.allocated + sign * quantity) if s.warehouse_id == warehouse else s
                for s in stock[sellable]
            ))  # fmt: skip
    return world if stock is world.stock else replace(world, stock=stock)
