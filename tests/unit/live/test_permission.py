"""The options that permit writes, and the order pool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.live import KEY

from pytest_veeqo_alloc.contract.allocations import RequestScope
from pytest_veeqo_alloc.live import NotPermittedError, PoolError
from pytest_veeqo_alloc.live.permission import (
    OrderPool,
    PoolOrder,
    WriteOptions,
    grant_permission,
    host_and_port,
    load_pool,
    names_only_own_server,
    options_for_own_server,
    validate_arrange_url,
)

GOOD = WriteOptions(
    base_url="https://staging.example.com/api",
    allow_hosts=("staging.example.com",),
    api_key=KEY,
    max_writes=5,
    orders="any",
)
URL = "--veeqo-alloc-base-url"


def test_all_missing_options_are_reported_together() -> None:
    with pytest.raises(NotPermittedError) as caught:
        grant_permission(WriteOptions())
    assert str(caught.value).splitlines() == [
        "name the server: --veeqo-alloc-base-url https://staging.example.com",
        "put the API key into the environment variable VEEQO_ALLOC_API_KEY",
        "limit the number of writes: --veeqo-alloc-max-writes N, with N above 0",
        "list the orders that may be written to: --veeqo-alloc-orders pool.toml, or 'any' for a server that "
        "creates every requested order",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"base_url": "staging.example.com"}, f"write {URL} as http(s)://host[:port][/path], without user, query or fragment"),
        ({"base_url": "https://u:p@staging.example.com"}, f"write {URL} as http(s)://host[:port][/path], without user"),
        ({"base_url": "https://staging.example.com/?a=b"}, f"write {URL} as http(s)://host[:port][/path], without user"),
        ({"base_url": "https://["}, f"write {URL} as http(s)://host[:port][/path], without user"),
        ({"base_url": "ftp://staging.example.com"}, f"write {URL} as http(s)://host[:port][/path], without user"),
        ({"base_url": "http://staging.example.com", "allow_hosts": ("staging.example.com:80",)},
         f"use https in {URL}, since the API key is sent: only a loopback address may use http"),
        ({"allow_hosts": ()}, "confirm the host that may receive writes: --veeqo-alloc-allow-host staging.example.com:443"),
        ({"allow_hosts": ("api.example.com",)}, "confirm the host that may receive writes"),
        ({"allow_hosts": ("staging.example.com:8443",)}, "confirm the host that may receive writes"),
        ({"base_url": "https://staging.example.com:8443"}, "confirm the host that may receive writes"),
        ({"api_key": ""}, "put the API key into the environment variable VEEQO_ALLOC_API_KEY"),
        ({"api_key": "a\nb"}, "use printable ASCII in VEEQO_ALLOC_API_KEY: the API key has characters that a header cannot carry"),
        ({"max_writes": 0}, "limit the number of writes: --veeqo-alloc-max-writes N, with N above 0"),
        ({"orders": ""}, "list the orders that may be written to"),
        ({"orders": "no.toml"}, "the order pool 'no.toml' cannot be read: No such file or directory"),
        ({"rate": 0.0}, "give --veeqo-alloc-rate as a number of requests per second above 0"),
    ],
)  # fmt: skip
def test_missing_or_wrong_option_is_reported(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(NotPermittedError) as caught:
        grant_permission(replace(GOOD, **change))  # type: ignore[arg-type]
    (problem,) = str(caught.value).splitlines()
    assert problem.startswith(sentence)
    assert KEY not in problem


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("Staging.Example.com", "staging.example.com", None),
        (" staging.example.com:8443 ", "staging.example.com", 8443),
        ("[::1]:8443", "::1", 8443),
        ("[::1]", "::1", None),
        ("::1", "::1", None),
        ("staging.example.com:https", "staging.example.com:https", None),
        ("staging.example.com:\u00b2", "staging.example.com:\u00b2", None),
        (":80", ":80", None),
    ],
)
def test_host_and_port_are_split(text: str, host: str, port: int | None) -> None:
    assert host_and_port(text) == (host, port)


def test_complete_options_are_permitted_and_hide_the_key() -> None:
    granted = grant_permission(replace(GOOD, base_url="https://staging.example.com/api/"))
    assert (granted.base_url, granted.target) == ("https://staging.example.com/api", "staging.example.com:443")
    assert granted.rate == 5
    assert KEY not in repr(granted) + repr(GOOD)


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "http://127.9.9.9:8000"]
)
def test_loopback_may_be_http_but_must_be_confirmed(base: str) -> None:
    host = base.removeprefix("http://")
    assert grant_permission(replace(GOOD, base_url=base, allow_hosts=(host,))).target == host
    with pytest.raises(NotPermittedError, match="confirm the host that may receive writes"):
        grant_permission(replace(GOOD, base_url=base, allow_hosts=()))


def test_rate_above_five_needs_orders_any(tmp_path: Path) -> None:
    assert grant_permission(replace(GOOD, rate=50.0)).rate == 50
    (tmp_path / "pool.toml").write_text(POOL, encoding="utf-8")
    with pytest.raises(NotPermittedError, match="lower --veeqo-alloc-rate to 5 requests per second"):
        grant_permission(replace(GOOD, rate=6.0, orders="pool.toml", folder=tmp_path))
    assert grant_permission(replace(GOOD, rate=0.5, orders="pool.toml", folder=tmp_path)).rate == 0.5


def test_forwarding_needs_no_key_and_cleanup_no_budget() -> None:
    assert grant_permission(replace(GOOD, api_key=""), needs_key=False).api_key == ""
    assert grant_permission(replace(GOOD, max_writes=0, orders=""), only_cleans_up=True).max_writes == 0


POOL = """
[[order]]
id = 447452
warehouse_id = 1784
sellables = { 1226615 = 3, 1226616 = 1 }

[[order]]
id = 447452
warehouse_id = 1785
sellables = { 1226615 = 2 }
"""


def pool(tmp_path: Path, text: str | bytes) -> OrderPool:
    (tmp_path / "pool.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_pool("pool.toml", tmp_path)


def test_pool_lists_orders_and_warehouses(tmp_path: Path) -> None:
    known = pool(tmp_path, POOL)
    assert list(known) == [PoolOrder(447452, 1784, {1226615: 3, 1226616: 1}), PoolOrder(447452, 1785, {1226615: 2})]
    assert (len(known), known.places(447452, RequestScope(frozenset({1785})))) == (2, list(known)[1:])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"\xff", "the order pool 'pool.toml' cannot be parsed as TOML: not UTF-8"),
        ("[[order]", "the order pool 'pool.toml' cannot be parsed as TOML: "),
        ("id = " + "9" * 5000, "the order pool 'pool.toml' cannot be parsed as TOML: Exceeds the limit (4300 digits)"),
        ("id = " + "[" * 100_000, "the order pool 'pool.toml' cannot be parsed as TOML: nested too deeply"),
        ("", "the order pool 'pool.toml': no order: add [[order]] with id, warehouse_id and sellables"),
        ("[order]\nid = 1", "the order pool 'pool.toml': no order: add [[order]]"),
        ("[[ordr]]", "the order pool 'pool.toml': unknown table 'ordr': did you mean 'order'?"),
        (POOL.replace("warehouse_id = 1785", "warehose_id = 1785"), "the order pool 'pool.toml': order 2: unknown key 'warehose_id': did you mean 'warehouse_id'?"),
        (POOL.replace("warehouse_id = 1785", ""), "the order pool 'pool.toml': order 2 has no warehouse_id"),
        (POOL.replace("1785", "1784"), "the order pool 'pool.toml': order 2 repeats the id 447452 and the warehouse_id 1784: list all its sellables in one [[order]]"),
        (POOL.replace("= 2 }", "= 0 }"), "the order pool 'pool.toml': order 2: free units of '1226615' must be a whole number above 0"),
        (POOL.replace("= 2 }", "= -1 }"), "the order pool 'pool.toml': order 2: free units of '1226615' must be a whole number above 0"),
        (POOL.replace("= 2 }", "= 1.5 }"), "the order pool 'pool.toml': order 2: free units of"),
        (POOL.replace("= 2 }", "= true }"), "the order pool 'pool.toml': order 2: free units of"),
        (POOL.replace("{ 1226615 = 2 }", "{ x = 2 }"), "the order pool 'pool.toml': order 2: sellable id must be a whole number above 0"),
        (POOL.replace("{ 1226615 = 2 }", "{}"), "the order pool 'pool.toml': order 2: sellables must be a table of free units by sellable id"),
        (POOL.replace("id = 447452", 'id = "447452"'), "the order pool 'pool.toml': order 1: id must be a whole number above 0"),
    ],
)  # fmt: skip
def test_malformed_pool_is_rejected(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PoolError) as caught:
        pool(tmp_path, text)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("order_id", "scope", "reason"),
    [
        (447452, RequestScope(frozenset({1784}), {1226615: 1}), None),
        (447452, RequestScope(), None),
        (447452, RequestScope(units={1226615: 2}), None),
        (447452, RequestScope(frozenset({1784, 1785}), {1226615: 3}), "the order pool has 2 units of sellable 1226615 for order 447452, fewer than requested"),
        (447453, RequestScope(), "order 447453 is not in the order pool; only orders in the pool may be written to"),
        (447452, RequestScope(frozenset({5})), "the order pool has no warehouse 5 for order 447452"),
        (447452, RequestScope(frozenset({1784, 5})), "the order pool has no warehouse 5 for order 447452"),
        (447452, RequestScope(frozenset({1785}), {1226616: 1}), "the order pool has no sellable 1226616 for order 447452 in the warehouse of the request"),
        (447452, RequestScope(frozenset({1784}), {1226615: 4}),
         "the order pool has 3 units of sellable 1226615 for order 447452, fewer than requested"),
    ],
)  # fmt: skip
def test_pool_explains_a_refusal(order_id: int, scope: RequestScope, reason: str | None, tmp_path: Path) -> None:
    assert pool(tmp_path, POOL).refusal(order_id, scope) == reason
    assert load_pool("any", tmp_path).refusal(order_id, scope) is None


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:8000/arrange", "http://localhost", "https://shop.example.com/a", "http://[::1]:9/",
])  # fmt: skip
def test_url_that_creates_orders_is_on_the_loopback_or_confirmed(url: str) -> None:
    validate_arrange_url(url, ["shop.example.com:443"])


@pytest.mark.parametrize(("url", "problem"), [
    ("shop.example.com/a", "write --veeqo-alloc-arrange-url as"),
    ("ftp://127.0.0.1/", "write --veeqo-alloc-arrange-url as"),
    ("http://127.0.0.1:port/", "write --veeqo-alloc-arrange-url as"),
    ("https://me:secret@127.0.0.1/", "write --veeqo-alloc-arrange-url as"),
    ("https://shop.example.com/a", "confirm the host that creates orders: --veeqo-alloc-allow-host shop.example.com:443"),
])  # fmt: skip
def test_any_other_url_that_creates_orders_is_rejected(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}") as caught:
        validate_arrange_url(url, ["shop.example.com:444"])
    assert "secret" not in str(caught.value)


IDS = st.integers(1, 2**53 - 1)


@given(
    orders=st.dictionaries(
        st.tuples(IDS, IDS), st.dictionaries(IDS, IDS, min_size=1, max_size=3), min_size=1, max_size=4
    )
)
def test_pool_round_trip(
    orders: dict[tuple[int, int], dict[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "".join(
        f"[[order]]\nid = {order}\nwarehouse_id = {place}\nsellables = {{ {', '.join(f'{k} = {v}' for k, v in units.items())} }}\n"
        for (order, place), units in orders.items()
    )
    known = pool(tmp_path_factory.mktemp("pool"), text)
    assert {(order.id, order.warehouse_id): dict(order.sellables) for order in known} == orders


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://[::1]:8000/api", "http://localhost", "https://shop.localhost:8443"]
)
def test_url_on_loopback_is_enough_for_a_server_of_ones_own(url: str) -> None:
    options = WriteOptions(url, api_key=KEY)
    assert names_only_own_server(options)
    granted = grant_permission(options_for_own_server(options, "loopback-key-1"))
    assert (granted.base_url, granted.api_key, granted.max_writes, granted.pool.is_any) == (
        url,
        "loopback-key-1",
        500,
        True,
    )
    assert granted.is_own_server


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "https://staging.example.com"},
        {"base_url": "http://127.0.0.1.example.com:8000"},
        {"base_url": "http://user@127.0.0.1:8000"},
        {"base_url": "http://["},
        {"base_url": ""},
        {"allow_hosts": ("127.0.0.1:8000",)},
        {"max_writes": 1},
        {"orders": "pool.toml"},
    ],
)
def test_other_host_or_any_limit_needs_all_options(change: dict[str, Any]) -> None:
    assert not names_only_own_server(replace(WriteOptions("http://127.0.0.1:8000"), **change))
