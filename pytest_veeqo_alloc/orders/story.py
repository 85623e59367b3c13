"""The story of an order: the few facts from which a complete order can be computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stock:
    """The units of a sellable in one warehouse, as they were before the allocations in the story."""

    warehouse_id: int = 1784
    physical: int = 6
    allocated: int = 1
    incoming: int = 0
    infinite: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line item of `quantity` units. Amounts are in minor units (pence, cents).

    Per unit, `price` is the list price, `paid` is what the customer pays (None: `price`), and `cost` is what the seller
    pays. `tax` is for the whole line item.
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
    """An allocation of units in one warehouse to an order. `lines` contains pairs of sellable id and quantity."""

    warehouse_id: int = 1784
    lines: tuple[tuple[int, int], ...] = ((1226615, 1),)
    id: int = 323498


@dataclass(frozen=True, slots=True)
class Customer:
    """The name, e-mail address and postal address of the person who placed the order."""

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
    """The facts of an order. The other fields of the order are computed from them. Amounts are in pence or cents."""

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
    """Add up *pairs* of sellable id and quantity. Return the total quantities, keyed by sellable id."""
    total: dict[int, int] = {}
    for sellable, quantity in pairs:
        total[sellable] = total.get(sellable, 0) + quantity
    return total
