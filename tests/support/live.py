"""Permission to write to a server on the loopback, for a test."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.journal import open_journal
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission
from pytest_veeqo_alloc.live.transport import Backoff
from support.bodies import allocation_request

KEY = "canary-key-of-a-test"
POOL = "[[order]]\nid = 7\nwarehouse_id = 5\nsellables = { 11 = 3 }\n[[order]]\nid = 8\nwarehouse_id = 5\nsellables = { 11 = 9 }\n"


pool_request = functools.partial(allocation_request, warehouse_id=5, sellable_id=11)
"""Return a valid request body for an order of `POOL`; *quantity* is the first argument."""


@contextmanager
def live_at(url: str, folder: Path, *, writes: int = 9, orders: str = POOL, rate: float | None = None,
            backoff: Backoff | None = None, timeouts: tuple[float, float] = (5, 5), trust_env: bool = False, key: str = KEY, needs_key: bool = True) -> Iterator[LiveClient]:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pool.toml").write_text(orders, encoding="utf-8")
    host = url.partition("://")[2]
    named = "any" if orders == "any" else "pool.toml"
    granted = grant_permission(
        WriteOptions(url, (host,), key, writes, named, rate, trust_env, folder), needs_key=needs_key
    )
    with open_journal(folder / "journal.jsonl", granted.target) as writer:
        live = LiveClient(granted, writer)
        live.timeouts, live.backoff = timeouts, backoff or live.backoff
        yield live
