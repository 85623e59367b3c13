"""What must be said before anything is written to a foreign server. Foreign is every server that is not our own fake in
this process, the loopback included: a tunnel may end there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pytest_veeqo_alloc.live.errors import NotPermittedError, PoolError
from pytest_veeqo_alloc.live.pool import OrderPool, load_pool

MAX_RATE = 5
KEY_VARIABLE = "VEEQO_ALLOC_API_KEY"

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Wishes:
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
class Permit:
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


def permit(wishes: Wishes, *, needs_key: bool = True, only_cleans_up: bool = False) -> Permit:
    """Leave to do what *wishes* ask for, or NotPermittedError with a sentence for each thing that is missing.

    Without *needs_key* somebody else's client brings its own. Cleaning up needs neither budget nor pool.
    """
    sentences = [*_target(wishes), *_key(wishes, needs_key)]
    pool = OrderPool()
    if not only_cleans_up:
        if wishes.max_writes <= 0:
            sentences.append("say how many writes there may be: --veeqo-alloc-max-writes N, above 0")
        try:
            pool = _pool(wishes)
        except PoolError as error:
            sentences.append(str(error))
    sentences += _rate(wishes, pool)
    if sentences:
        raise NotPermittedError("\n".join(sentences))
    url = urlsplit(wishes.base_url)
    host, port = url.hostname or "", port_of(url)
    rate = MAX_RATE if wishes.rate is None else wishes.rate
    base = wishes.base_url.rstrip("/")
    return Permit(base, host, port, wishes.api_key, wishes.max_writes, pool, rate, wishes.trust_env)


def _target(wishes: Wishes) -> Iterator[str]:
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


def _key(wishes: Wishes, needs_key: bool) -> Iterator[str]:
    if needs_key and not wishes.api_key:
        yield f"put the API key into the environment variable {KEY_VARIABLE}"
    elif wishes.api_key and not (wishes.api_key.isascii() and wishes.api_key.isprintable()):
        yield f"the API key in {KEY_VARIABLE} has characters that no header may have"


def _pool(wishes: Wishes) -> OrderPool:
    if not wishes.orders:
        raise PoolError(
            "say which orders may be written to: --veeqo-alloc-orders pool.toml, or any for a server that makes up "
            "whatever is asked"
        )
    return load_pool(wishes.orders, wishes.folder)


def _rate(wishes: Wishes, pool: OrderPool) -> Iterator[str]:
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
