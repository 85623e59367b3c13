"""The order pool: which orders may be written to, and how much of what. The real guard, since a test account and that of
production may share a host."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pytest_veeqo_alloc.contract.allocations import RequestScope
from pytest_veeqo_alloc.core.text import unknown
from pytest_veeqo_alloc.live import NotPermittedError, PoolError

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

    def refusal(self, order_id: int | None, reach: RequestScope) -> str | None:
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


MAX_RATE = 5
KEY_VARIABLE = "VEEQO_ALLOC_API_KEY"

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What the user said. `orders` is a file, `any`, or empty; `folder` is where a file is looked for."""

    base_url: str = ""
    allow_hosts: tuple[str, ...] = ()
    api_key: str = field(default="", repr=False)
    max_writes: int = 0
    orders: str = ""
    rate: float | None = None
    trust_env: bool = False
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class WritePermission:
    """Leave to write: where to, with which key, how often, and to which orders."""

    base_url: str
    host: str
    port: int
    api_key: str = field(repr=False)
    max_writes: int
    pool: OrderPool
    rate: float
    trust_env: bool

    @property
    def target(self) -> str:
        """`host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def permit(wishes: WriteOptions, *, needs_key: bool = True, only_cleans_up: bool = False) -> WritePermission:
    """Leave to do what *wishes* ask for, or NotPermittedError with a sentence for each thing that is missing.

    Without *needs_key* somebody else's client brings its own. Cleaning up needs neither budget nor pool.
    """
    sentences = [*_target(wishes), *_key(wishes, needs_key)]
    pool = OrderPool()
    if not only_cleans_up:
        if wishes.max_writes <= 0:
            sentences.append("say how many writes there may be: --veeqo-alloc-max-writes N, above 0")
        try:
            pool = _pool_of_options(wishes)
        except PoolError as error:
            sentences.append(str(error))
    sentences += _rate(wishes, pool)
    if sentences:
        raise NotPermittedError("\n".join(sentences))
    url = urlsplit(wishes.base_url)
    host, port = url.hostname or "", port_of(url)
    rate = MAX_RATE if wishes.rate is None else wishes.rate
    base = wishes.base_url.rstrip("/")
    return WritePermission(base, host, port, wishes.api_key, wishes.max_writes, pool, rate, wishes.trust_env)


def _target(wishes: WriteOptions) -> Iterator[str]:
    if not wishes.base_url:
        yield "say which server: --veeqo-alloc-base-url https://staging.example.com"
        return
    try:
        url = urlsplit(wishes.base_url)
        host, port = url.hostname, port_of(url)
    except ValueError:
        host, port = None, 0
    if not host or not port or url.query or url.fragment or url.username is not None:
        yield "--veeqo-alloc-base-url is http(s)://host[:port][/path], without user, query or fragment"
        return
    if url.scheme != "https" and not is_loopback(host):
        yield "--veeqo-alloc-base-url begins with https, unless it is on the loopback: the key goes over the wire"
    wanted = f"{host}:{port}"
    if not any(_means(entry, host, port, url.scheme) for entry in wishes.allow_hosts):
        yield f"say that this host may be written to: --veeqo-alloc-allow-host {wanted}"


def _means(entry: str, host: str, port: int, scheme: str) -> bool:
    name, given = host_and_port(entry)
    return name == host.lower() and (_PORTS.get(scheme, 0) if given is None else given) == port


def host_and_port(text: str) -> tuple[str, int | None]:
    """The host of `host`, `host:port`, `[address]:port` or an address alone, in lower case, and the port if it is said."""
    name, _, port = text.strip().rpartition(":")
    is_said = port.isascii() and port.isdecimal() and (":" not in name or name.endswith("]"))
    if not name or not is_said:
        name, port = text.strip(), ""
    return name.strip("[]").lower(), int(port) if port else None


def _key(wishes: WriteOptions, needs_key: bool) -> Iterator[str]:
    if needs_key and not wishes.api_key:
        yield f"put the API key into the environment variable {KEY_VARIABLE}"
    elif wishes.api_key and not (wishes.api_key.isascii() and wishes.api_key.isprintable()):
        yield f"the API key in {KEY_VARIABLE} has characters that no header may have"


def _pool_of_options(wishes: WriteOptions) -> OrderPool:
    if not wishes.orders:
        raise PoolError(
            "say which orders may be written to: --veeqo-alloc-orders pool.toml, or any for a server that makes up "
            "whatever is asked"
        )
    return load_pool(wishes.orders, wishes.folder)


def _rate(wishes: WriteOptions, pool: OrderPool) -> Iterator[str]:
    if wishes.rate is None:
        return
    if not 0 < wishes.rate < 10**6:
        yield "--veeqo-alloc-rate is a number of requests a second above 0"
    elif wishes.rate > MAX_RATE and not pool.is_any:
        yield f"--veeqo-alloc-rate is at most {MAX_RATE} requests a second, unless --veeqo-alloc-orders is any"


def port_of(url: SplitResult) -> int:
    """The port of *url*, said or meant; 0 where there is none. ValueError for one that is no port."""
    return url.port or _PORTS.get(url.scheme, 0)


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine by its name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
