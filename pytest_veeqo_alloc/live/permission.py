"""Permission to write to a foreign server: the user's options, and the pool of orders that may be written to."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pytest_veeqo_alloc.contract.allocations import RequestScope
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.live import NotPermittedError, PoolError

MAX_RATE = 5
"""The default rate, in requests per second. Only a run that may write to every order can have a higher rate."""
KEY_VARIABLE = "VEEQO_ALLOC_API_KEY"

_MAX_ID = 2**53
_ORDER_KEYS = ("id", "warehouse_id", "sellables")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class PoolOrder:
    """An order and a warehouse. `sellables` maps sellable ids to the units that may be allocated in that warehouse."""

    id: int
    warehouse_id: int
    sellables: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class OrderPool:
    """The orders that may be written to: those in `orders`, or every order if `is_any` is true."""

    orders: tuple[PoolOrder, ...] = ()
    is_any: bool = False

    def __iter__(self) -> Iterator[PoolOrder]:
        return iter(self.orders)

    def __len__(self) -> int:
        return len(self.orders)

    def refusal(self, order_id: int, scope: RequestScope) -> str | None:
        """Return why a request with *scope* (the stock it could affect) must not be sent, or None if it may be sent."""
        if self.is_any:
            return None
        places = [order for order in self.orders if order.id == order_id]
        if not places:
            return f"order {order_id} is not in the order pool; only orders in the pool may be written to"
        if unknown := scope.warehouses - {place.warehouse_id for place in places}:
            return f"the order pool has no warehouse {min(unknown)} for order {order_id}"
        if scope.warehouses:
            places = [place for place in places if place.warehouse_id in scope.warehouses]
        for sellable, quantity in scope.units.items():
            free = max(place.sellables.get(sellable, 0) for place in places)
            if not free:
                return f"the order pool has no sellable {sellable} for order {order_id} in the warehouse of the request"
            if quantity > free:
                return (
                    f"the order pool has {free} units of sellable {sellable} for order {order_id}, fewer than requested"
                )
        return None

    def free_units(self, order_id: int, warehouse_id: int | None, sellable_id: int) -> int | None:
        """Return how many units of the sellable the whole run may allocate, or None if there is no limit."""
        places = (place for place in self.orders if (place.id, place.warehouse_id) == (order_id, warehouse_id))
        return next((place.sellables[sellable_id] for place in places if sellable_id in place.sellables), None)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The user's options for writes to a foreign server. `rate` is in requests per second.

    `orders` is 'any', the path of an order pool relative to `folder`, or empty if the user did not set the option.
    """

    base_url: str = field(default="", repr=False)  # may contain a password, until it is checked
    allow_hosts: tuple[str, ...] = ()
    api_key: str = field(default="", repr=False)
    max_writes: int = 0
    orders: str = ""
    rate: float | None = None
    trust_env: bool = False
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class WritePermission:
    """Permission to send `max_writes` writes to the orders in `pool`, with at most `rate` requests per second."""

    base_url: str
    api_key: str = field(repr=False)
    max_writes: int
    pool: OrderPool
    rate: float
    trust_env: bool

    @property
    def target(self) -> str:
        """The server as `host:port`."""
        url = urlsplit(self.base_url)
        return f"[{url.hostname}]:{port_of(url)}" if ":" in (url.hostname or "") else f"{url.hostname}:{port_of(url)}"


def grant_permission(options: WriteOptions, *, needs_key: bool = True, only_cleans_up: bool = False) -> WritePermission:
    """Return the permission that *options* grant. Raise NotPermittedError for missing or wrong options.

    If *needs_key* is true, `api_key` is required. If *only_cleans_up* is true, `max_writes` and `orders` are ignored.
    """
    problems = list(_target_problems(options))
    if needs_key and not options.api_key:
        problems.append(f"put the API key into the environment variable {KEY_VARIABLE}")
    elif options.api_key and not (options.api_key.isascii() and options.api_key.isprintable()):
        problems.append(f"use printable ASCII in {KEY_VARIABLE}: the API key has characters that a header cannot carry")
    pool = OrderPool()
    if not only_cleans_up:
        if options.max_writes <= 0:
            problems.append("limit the number of writes: --veeqo-alloc-max-writes N, with N above 0")
        try:
            pool = load_pool(options.orders, options.folder)
        except PoolError as error:
            problems.append(str(error))
    if options.rate is not None and not 0 < options.rate < 10**6:
        problems.append("give --veeqo-alloc-rate as a number of requests per second above 0")
    elif options.rate is not None and options.rate > MAX_RATE and not pool.is_any:
        problems.append(f"lower --veeqo-alloc-rate to {MAX_RATE} requests per second, or set --veeqo-alloc-orders any")
    if problems:
        raise NotPermittedError("\n".join(problems))
    base_url, rate = options.base_url.rstrip("/"), MAX_RATE if options.rate is None else options.rate
    return WritePermission(base_url, options.api_key, options.max_writes, pool, rate, options.trust_env)


def _target_problems(options: WriteOptions) -> Iterator[str]:
    if not options.base_url:
        yield "name the server: --veeqo-alloc-base-url https://staging.example.com"
        return
    try:
        url = urlsplit(options.base_url)
        host, port = url.hostname, port_of(url)
    except ValueError:
        host, port = None, 0
    if not host or not port or url.query or url.fragment or url.username is not None:
        yield "write --veeqo-alloc-base-url as http(s)://host[:port][/path], without user, query or fragment"
        return
    if url.scheme != "https" and not is_loopback(host):
        yield "use https in --veeqo-alloc-base-url, since the API key is sent: only a loopback address may use http"
    if not _is_allowed((host, port), url.scheme, options.allow_hosts):
        yield f"confirm the host that may receive writes: --veeqo-alloc-allow-host {host}:{port}"


def _is_allowed(place: tuple[str, int], scheme: str, allow_hosts: Iterable[str]) -> bool:
    allowed = map(host_and_port, allow_hosts)
    return place in [(name, _PORTS.get(scheme) if port is None else port) for name, port in allowed]


def validate_arrange_url(url: str, allow_hosts: Iterable[str]) -> None:
    """Raise ValueError unless *url* is an HTTP URL whose host is a loopback host or is in *allow_hosts*."""
    try:
        parts = urlsplit(url)
        place = parts.hostname or "", port_of(parts)
    except ValueError:
        place = "", 0
    if not all(place) or parts.scheme not in _PORTS or parts.username is not None:
        raise ValueError("write --veeqo-alloc-arrange-url as http(s)://host[:port][/path], without a user")
    if not is_loopback(place[0]) and not _is_allowed(place, parts.scheme, allow_hosts):
        raise ValueError(f"confirm the host that creates orders: --veeqo-alloc-allow-host {place[0]}:{place[1]}")


def load_pool(name: str, folder: Path) -> OrderPool:
    """Load the order pool *name* ('any', or a TOML file in *folder*). Raise PoolError if it is missing or invalid."""
    if name == "any":
        return OrderPool(is_any=True)
    if not name:
        raise PoolError(
            "list the orders that may be written to: --veeqo-alloc-orders pool.toml, or 'any' for a server that "
            "creates every requested order"
        )
    try:
        document = read_toml(folder / name, f"the order pool {name!a}")
    except ValueError as error:
        raise PoolError(str(error)) from None
    try:
        return _parse_pool(document)
    except ValueError as error:
        raise PoolError(f"the order pool {name!a}: {error}") from None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Parse the TOML file at *path*. Raise ValueError if that fails. The message names the file by the text *what*."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{what} cannot be read: {error.strerror}") from None
    except (RecursionError, ValueError) as error:  # ValueError: also an integer with too many digits
        problem = {RecursionError: "nested too deeply", UnicodeDecodeError: "not UTF-8"}.get(type(error), str(error))
        raise ValueError(f"{what} cannot be parsed as TOML: {problem}") from None


def _parse_pool(document: Mapping[str, Any]) -> OrderPool:
    if unknown := [key for key in document if key != "order"]:
        raise ValueError(unknown_name("table", unknown[0], ["order"]))
    entries = document.get("order")
    if not isinstance(entries, list) or not entries:
        raise ValueError("no order: add [[order]] with id, warehouse_id and sellables")
    orders: dict[tuple[int, int], PoolOrder] = {}
    for number, entry in enumerate(entries, 1):
        order = _parse_order(entry, f"order {number}")
        if (order.id, order.warehouse_id) in orders:
            raise ValueError(
                f"order {number} repeats the id {order.id} and the warehouse_id {order.warehouse_id}: list all its "
                "sellables in one [[order]]"
            )
        orders[order.id, order.warehouse_id] = order
    return OrderPool(tuple(orders.values()))


def _parse_order(entry: Any, where: str) -> PoolOrder:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be a table: write [[order]]")
    if unknown := [key for key in entry if key not in _ORDER_KEYS]:
        raise ValueError(f"{where}: {unknown_name('key', unknown[0], _ORDER_KEYS)}")
    if missing := [key for key in _ORDER_KEYS if key not in entry]:
        raise ValueError(f"{where} has no {missing[0]}")
    sellables = entry["sellables"]
    if not isinstance(sellables, dict) or not sellables:
        raise ValueError(f"{where}: sellables must be a table of free units by sellable id, such as {{ 1226615 = 3 }}")
    free: dict[int, int] = {}
    for key, units in sellables.items():
        sellable = int(key) if key.isascii() and key.isdigit() else key
        free[_positive(sellable, f"{where}: sellable id")] = _positive(units, f"{where}: free units of {key!a}")
    order_id, warehouse_id = (_positive(entry[key], f"{where}: {key}") for key in ("id", "warehouse_id"))
    return PoolOrder(order_id, warehouse_id, free)


def _positive(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _MAX_ID:
        raise ValueError(f"{what} must be a whole number above 0")
    return value


def host_and_port(text: str) -> tuple[str, int | None]:
    """Parse `host`, `host:port`, `[address]:port` or an IP address. Return the host, and the port or None."""
    name, _, port = text.strip().rpartition(":")
    has_port = port.isascii() and port.isdecimal() and (":" not in name or name.endswith("]"))
    if not name or not has_port:
        name, port = text.strip(), ""
    return name.strip("[]").lower(), int(port) if port else None


def port_of(url: SplitResult) -> int:
    """Return the port in *url*, otherwise the default of http or https, otherwise 0. Raise ValueError if wrong."""
    return url.port or _PORTS.get(url.scheme, 0)


def is_loopback(host: str) -> bool:
    """Return whether *host* is a loopback address or a name for one, such as `localhost`, without a DNS lookup."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
