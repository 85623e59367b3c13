"""A story: the few facts from which a complete order follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stock:
    """Units of a sellable in one warehouse, before the allocations of the story."""

    warehouse_id: int = 1784
    physical: int = 6
    allocated: int = 1
    incoming: int = 0
    infinite: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order: a sellable, the units ordered, and money in minor units (pence, cents).

    `price` is the selling price of one unit, `paid` what the customer pays for one (None: the price), `cost` what one
    costs the seller, `tax` the tax on the whole line.
    """

    sellable_id: int = 1226615
    quantity: int = 1
    price: int = 1399
    cost: int = 0
    tax: int = 0
    paid: int | None = None
    stock: tuple[Stock, ...] = (Stock(),)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Units allocated in one warehouse; `lines` are pairs of sellable id and quantity."""

    warehouse_id: int = 1784
    lines: tuple[tuple[int, int], ...] = ((1226615, 1),)
    id: int = 323498


@dataclass(frozen=True, slots=True)
class Customer:
    """The person who placed the order, with their address."""

    id: int = 516208
    first_name: str = "Sam"
    last_name: str = "Example"
    email: str = "customer@example.com"
    address1: str = "1 Example Street"
    city: str = "Exampletown"
    zip: str = "ZZ99 9ZZ"
    country: str = "GB"
    state: str = "Exampletown"


@dataclass(frozen=True, slots=True)
class Story:
    """The facts from which a complete order follows; money is in minor units, `placed_at` an RFC 3339 date-time."""

    order_id: int = 447452
    lines: tuple[Line, ...] = (Line(),)
    allocations: tuple[Allocation, ...] = (Allocation(),)
    discount: int = 0
    delivery: int = 0
    customer: Customer = Customer()
    placed_at: str = "2016-04-06T12:25:40Z"

    @property
    def allocated_completely(self) -> bool:
        """Whether every ordered unit is allocated."""
        ordered = units_by_sellable((line.sellable_id, line.quantity) for line in self.lines)
        allocated = units_by_sellable(pair for allocation in self.allocations for pair in allocation.lines)
        return all(allocated.get(sellable, 0) >= quantity for sellable, quantity in ordered.items())


def units_by_sellable(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Sum the quantities of *pairs* (sellable id, quantity) per sellable."""
    total: dict[int, int] = {}
    for sellable, quantity in pairs:
        total[sellable] = total.get(sellable, 0) + quantity
    return total
