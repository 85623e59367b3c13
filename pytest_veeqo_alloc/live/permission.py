"""Permission to write to a foreign server: the user's options, and the pool of orders that may be written to."""

from __future__ import annotations

import hmac
import ipaddress
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pytest_veeqo_alloc.contract.allocations import RequestScope
from pytest_veeqo_alloc.contract.http_rules import Operation, is_json_type
from pytest_veeqo_alloc.core.http import Interaction, Request, Response, Secret
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.live import NotPermittedError, PoolError, RefusedError
from pytest_veeqo_alloc.spec.loader import tables

MAX_RATE = 5
"""The default rate, in requests per second. Only a run that may write to every order can have a higher rate."""
KEY_VARIABLE, URL_VARIABLE = "VEEQO_ALLOC_API_KEY", "VEEQO_ALLOC_URL"
READS = ("GET", "HEAD", "OPTIONS")

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
    _by_id: dict[int, list[PoolOrder]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for order in self.orders:
            self._by_id.setdefault(order.id, []).append(order)

    def __iter__(self) -> Iterator[PoolOrder]:
        return iter(self.orders)

    def __len__(self) -> int:
        return len(self.orders)

    def refusal(self, order_id: int, scope: RequestScope) -> str | None:
        """Return the reason to refuse a request with *scope* (the stock that it could affect), or None to permit it."""
        if self.is_any:
            return None
        if order_id not in self._by_id:
            return f"order {order_id} is not in the order pool; only orders in the pool may be written to"
        places = self.places(order_id, scope)
        if unknown := scope.warehouses - {place.warehouse_id for place in places}:
            return f"the order pool has no warehouse {min(unknown)} for order {order_id}"
        for sellable, quantity in scope.units.items():
            free = min(place.sellables.get(sellable, 0) for place in places)
            if not free:
                return f"the order pool has no sellable {sellable} for order {order_id} in the warehouse of the request"
            if quantity > free:
                return (
                    f"the order pool has {free} units of sellable {sellable} for order {order_id}, fewer than requested"
                )
        return None

    def places(self, order_id: int, scope: RequestScope) -> list[PoolOrder]:
        """Return every entry of the pool from which a request with this *scope* could take units."""
        places = self._by_id.get(order_id, ())
        return [place for place in places if not scope.warehouses or place.warehouse_id in scope.warehouses]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The user's options for writes to a foreign server. `rate` is in requests per second.

    `orders` is 'any', the path of an order pool relative to `folder`, or empty if the user did not set the option.
    `is_own_server` is true if the user named only a server on the loopback interface. It must not be a proxy.
    """

    base_url: str = field(default="", repr=False)  # may contain a password, until it is checked
    allow_hosts: tuple[str, ...] = ()
    api_key: str = field(default="", repr=False)
    max_writes: int = 0
    orders: str = ""
    rate: float | None = None
    trust_env: bool = False
    folder: Path = Path()
    is_own_server: bool = False


@dataclass(frozen=True, slots=True)
class WritePermission:
    """Permission to send `max_writes` writes to the orders in `pool`, with at most `rate` requests per second."""

    base_url: str
    api_key: str = field(repr=False)
    max_writes: int
    pool: OrderPool
    rate: float
    trust_env: bool
    is_own_server: bool = False

    @property
    def target(self) -> str:
        """The server as `host:port`."""
        url = urlsplit(self.base_url)
        return f"[{url.hostname}]:{port_of(url)}" if ":" in (url.hostname or "") else f"{url.hostname}:{port_of(url)}"


_METHOD = re.compile("(?!accesscontrol).*method(?:override)?")
_METHOD_PARAMETER = re.compile("(?:x|http)*method(?:override)?")
_TARGET = re.compile(
    ".*(?:original|rewrite|forwarded|request)(?:url|uri|path|prefix|host)|(?:x|http)*(?:url|uri|path|host)(?:override)?"
    "|scriptname|pathinfo"
)
_ENCODED = re.compile(r"%(?:2f|5c|3b|0[0-9a-f]|1[0-9a-f]|7f|25)|[\\;]|[\x00-\x20]", re.IGNORECASE)
"""Text in a path that servers decode differently: separators, parameters, control characters, double encoding."""


def check_request(request: Request, permission: WritePermission, operation: Operation) -> None:
    """Raise RefusedError unless *permission* allows another client's *request*: its URL, headers, API key and method.

    The caller must also check a write against the order pool.
    """
    # A server may read an underscore in the name of a header as a hyphen.
    headers = tuple((name.lower().replace("_", "-"), value) for name, value in request.headers)
    request = replace(request, headers=headers)
    _check_target(request, permission.base_url)
    _check_overrides(request)
    _check_key(request, permission, operation)
    if request.method not in READS and not operation.matches(Interaction(request)):
        raise RefusedError(f"only {operation.name} may be sent: other calls are not known to be safe")
    if request.method in READS:
        if request.body:
            raise RefusedError(f"a {request.method} request with a body may not be sent: it could be read as a write")
    elif not permission.pool.is_any:
        _check_form(request)


def _check_target(request: Request, base_url: str) -> None:
    base, url = urlsplit(base_url), urlsplit(request.url)
    same = (url.scheme, url.hostname, port_of(url)) == (base.scheme, base.hostname, port_of(base))
    # Clients resolve dot segments after this check, and may then request a path outside the base path.
    moves = _ENCODED.search(url.path) or any(unquote(segment) in (".", "..") for segment in url.path.split("/"))
    if not same or moves or not url.path.startswith(f"{base.path.rstrip('/')}/"):
        raise RefusedError(f"the request is not for a path below {base_url}, the only server that is allowed")
    hosts = map(host_and_port, request.header_values("host"))
    if any((host, port or _PORTS[url.scheme]) != (url.hostname, port_of(url)) for host, port in hosts):
        raise RefusedError("the Host header of the request names another server than its URL")


def _check_overrides(request: Request) -> None:
    """Raise RefusedError if a server could take another method or URL from a header or from the query."""
    for name, _ in request.headers:
        letters = re.sub("[^a-z]", "", name.lower())
        if name != "host" and (_METHOD.fullmatch(letters) or _TARGET.fullmatch(letters)):
            raise RefusedError(f"the header {name} may not be sent: it could replace the method or the URL")
    for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True):
        if _METHOD_PARAMETER.fullmatch(re.sub("[^a-z]", "", name.lower())):
            raise RefusedError("the query may not name a method: it could replace the method of the request")


def _check_key(request: Request, permission: WritePermission, operation: Operation) -> None:
    """Raise RefusedError unless *request* has the configured API key. Another key may be for a production account."""
    api_key = permission.api_key
    if not api_key:
        return
    sent = [*request.header_values(operation.key_header), *request.header_values("authorization")]
    keys = [Secret(value.rpartition(" ")[2]) for value in sent]
    if not keys or not all(_are_equal(key, api_key) for key in (*keys, *_keys_in_query(request.url))):
        source = "that is given with --veeqo-alloc-loopback-key" if permission.is_own_server else f"in {KEY_VARIABLE}"
        raise RefusedError(f"the request must carry the API key {source}: any other key may belong to another account")


def _are_equal(key: str, expected: str) -> bool:
    return hmac.compare_digest(key.encode("utf-8", "replace"), expected.encode())


def _keys_in_query(url: str) -> list[Secret]:
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return [Secret(value) for name, value in query if re.sub("[^a-z]", "", name.lower()).endswith("apikey")]


def _check_form(request: Request) -> None:
    """Raise RefusedError unless *request* is JSON in UTF-8 without a query: servers could read another write from it."""
    types = request.header_values("content-type") if request.body else []
    charsets = [
        charset.strip("\" '").lower() for kind in types for charset in re.findall(r"(?i)charset\s*=([^;]*)", kind)
    ]
    is_json = all(map(is_json_type, types)) and all(charset in ("utf-8", "us-ascii") for charset in charsets)
    if urlsplit(request.url).query or request.header_values("content-encoding") or not is_json:
        raise RefusedError(
            "the request could write outside the order pool: send JSON in UTF-8, without a query or a content encoding"
        )


_KEPT_HEADERS = frozenset({
    "authorization", "b3", "baggage", "cache-control", "cookie", "correlation-id", "idempotency-key", "newrelic", "origin",
    "pragma", "range", "referer", "request-id", "sentry-trace", "traceparent", "tracestate", "uber-trace-id", "user-agent",
    "via", "x-amzn-trace-id", "x-cloud-trace-context", "x-correlation-id", "x-idempotency-key", "x-request-id",
    "x-trace-id",
})  # fmt: skip
_KEPT_PREFIXES = ("accept", "access-control-request-", "content-", "if-", "x-b3-", "x-datadog-")


def may_be_forwarded(header: str) -> bool:
    """Return whether a proxy may forward the header with the name *header*. A server could obey unknown headers."""
    name = header.lower()
    return name in _KEPT_HEADERS or name.startswith(_KEPT_PREFIXES) or name == tables().operation.key_header.lower()


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
    limits = options.max_writes, pool, rate
    return WritePermission(base_url, Secret(options.api_key), *limits, options.trust_env, options.is_own_server)


_OWN_SERVER_WRITES, _OWN_SERVER_RATE = 500, 10**5
PROXY_PSEUDONYM = "veeqo-alloc-"
"""The beginning of the name of a proxy of this package in the `Via` header (RFC 9110 section 7.6.3)."""


def names_only_own_server(options: WriteOptions) -> bool:
    """Return whether *options* name a server on the loopback interface, and no option limits the writes to it."""
    try:
        url = urlsplit(options.base_url)
        host = url.hostname or ""
    except ValueError:
        return False
    is_limited = options.allow_hosts or options.max_writes or options.orders not in ("", "any")
    return is_loopback(host) and not is_limited and url.username is None


def options_for_own_server(options: WriteOptions, api_key: str) -> WriteOptions:
    """Return *options* with permission to write at most 500 times, to any order on the user's own server.

    *api_key* replaces the key in the environment variable, which could belong to a real account.
    """
    return replace(
        options,
        allow_hosts=(urlsplit(options.base_url).netloc,),
        api_key=Secret(api_key),
        max_writes=_OWN_SERVER_WRITES,
        orders="any",
        rate=_OWN_SERVER_RATE if options.rate is None else options.rate,
        is_own_server=True,
    )


def check_own_server(response: Response) -> None:
    """Raise RefusedError if a proxy of this package sent *response*: the proxy leads to another server."""
    if any(PROXY_PSEUDONYM in value for value in response.header_values("via")):
        raise RefusedError(
            "the server is a proxy of veeqo-alloc, which leads to another server: to write there, give "
            "--veeqo-alloc-allow-host, --veeqo-alloc-orders and --veeqo-alloc-max-writes"
        )


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
    """Parse the TOML file at *path*. Raise ValueError if that fails. The text *what* describes the file in the message."""
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
    """Return the port in *url*, otherwise the default of http or https, otherwise 0. Raise ValueError if invalid."""
    return url.port or _PORTS.get(url.scheme, 0)


def is_loopback(host: str) -> bool:
    """Return whether *host* is a loopback address or a name for one, such as `localhost`, without a DNS lookup."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
