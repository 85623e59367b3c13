"""The order pool: which orders may be written to, and how much of what. The real guard, since a test account and that of
production may share a host."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.allocations import Reach
from pytest_veeqo_alloc.core.text import unknown
from pytest_veeqo_alloc.live.errors import PoolError

_KEYS = ("id", "warehouse_id", "sellables")
_MAX_ID = 2**53


@dataclass(frozen=True, slots=True)
class PoolOrder:
    """An order, a warehouse, and the free units of each sellable there."""

    id: int
    warehouse_id: int
    sellables: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class OrderPool:
    """The orders that may be written to. `is_any`: the server makes up whatever is asked, so any will do."""

    orders: tuple[PoolOrder, ...] = ()
    is_any: bool = False

    def __iter__(self) -> Iterator[PoolOrder]:
        return iter(self.orders)

    def __len__(self) -> int:
        return len(self.orders)

    def refusal(self, order_id: int | None, reach: Reach) -> str | None:
        """Why a request for *order_id* that could touch *reach* may not be sent, in one sentence; None where it may."""
        if self.is_any:
            return None
        known = [order for order in self.orders if order.id == order_id]
        if not known:
            return f"order {order_id} is not in the order pool, and only the orders in it may be written to"
        for warehouse in sorted(reach.warehouses):
            if not any(order.warehouse_id == warehouse for order in known):
                return f"the order pool has no warehouse {warehouse} for order {order_id}"
        if reach.warehouses:
            known = [order for order in known if order.warehouse_id in reach.warehouses]
        for sellable, quantity in reach.units.items():
            free = [order.sellables[sellable] for order in known if sellable in order.sellables]
            if not free:
                return f"the order pool has no sellable {sellable} for order {order_id} there"
            if quantity > max(free):
                return f"the order pool has {max(free)} units of sellable {sellable} for order {order_id}, and more are asked for"
        return None

    def free(self, order_id: int, warehouse_id: int, sellable_id: int) -> int | None:
        """How many units may be allocated in all; None where there is no limit."""
        for order in self.orders:
            if (order.id, order.warehouse_id) == (order_id, warehouse_id) and sellable_id in order.sellables:
                return order.sellables[sellable_id]
        return None


ANY = OrderPool(is_any=True)


def load_pool(named: str, folder: Path) -> OrderPool:
    """The pool *named*: `any`, or a TOML file, looked for from *folder*. PoolError, in one sentence with its name."""
    if named == "any":
        return ANY
    path = folder / named
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PoolError(f"the order pool {named!a} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise PoolError(f"the order pool {named!a} is no TOML: nests too deep") from None
    except ValueError as error:  # no UTF-8, no TOML, or an integer that Python does not take
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise PoolError(f"the order pool {named!a} is no TOML: {what}") from None
    try:
        return _pool(document)
    except ValueError as error:
        raise PoolError(f"the order pool {named!a}: {error}") from None


def _pool(document: Mapping[str, Any]) -> OrderPool:
    for key in document:
        if key != "order":
            raise ValueError(unknown("table", key, ["order"]))
    listed = document.get("order")
    if not isinstance(listed, list) or not listed:
        raise ValueError("has no order: write [[order]] with id, warehouse_id and sellables")
    orders = tuple(_order(entry, f"order {at}") for at, entry in enumerate(listed, 1))
    places = [(order.id, order.warehouse_id) for order in orders]
    for at, place in enumerate(places):
        if place in places[:at]:
            raise ValueError(f"order {at + 1} has the id {place[0]} and the warehouse {place[1]} of an earlier one")
    return OrderPool(orders)


def _order(entry: Any, where: str) -> PoolOrder:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} is no table: write [[order]]")
    for key in entry:
        if key not in _KEYS:
            raise ValueError(f"{where}: {unknown('key', key, _KEYS)}")
    for key in _KEYS:
        if key not in entry:
            raise ValueError(f"{where} has no {key}")
    sellables = entry["sellables"]
    if not isinstance(sellables, dict) or not sellables:
        raise ValueError(f"{where}: sellables is a table of free units by sellable id, such as {{ 1226615 = 3 }}")
    return PoolOrder(
        _positive(entry["id"], f"{where}: id"),
        _positive(entry["warehouse_id"], f"{where}: warehouse_id"),
        {
            _sellable(key, where): _positive(units, f"{where}: free units of {key!a}")
            for key, units in sellables.items()
        },
    )


def _sellable(key: str, where: str) -> int:
    if not key.isascii() or not key.isdigit():
        raise ValueError(f"{where}: {key!a} is no id of a sellable")
    return _positive(int(key), f"{where}: id of a sellable")


def _positive(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _MAX_ID:
        raise ValueError(f"{what} is a whole number above 0")
    return value
