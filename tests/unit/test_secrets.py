"""No value of the package shows an API key: not by its repr, and not as a local of a frame in a traceback."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import os
import pkgutil
import reprlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import requests
from support.live import KEY, live_at, pool_request
from support.staging import staging

import pytest_veeqo_alloc
from pytest_veeqo_alloc import ServerSettings
from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError
from pytest_veeqo_alloc.live.cleanup import clean_up
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.journal import read_journal
from pytest_veeqo_alloc.recording.session import Cassettes
from pytest_veeqo_alloc.server.proxy import Proxy
from pytest_veeqo_alloc.server.runner import running

_LONG = reprlib.Repr()
_LONG.maxlevel, _LONG.maxtuple, _LONG.maxlist, _LONG.maxdict, _LONG.maxstring, _LONG.maxother = (
    8,
    50,
    50,
    50,
    2000,
    2000,
)
PACKAGE = Path(pytest_veeqo_alloc.__file__).parent
FOLDERS = ("live", "recording", "server", "conformance", "plugin")
BYTES_OF_SOCKETS = {
    "server/http_server.py": "parses what a socket receives, in threads whose errors have no locals",
    "recording/network_guard.py": "passes on what a client of the user sends, below frames that hold the same bytes",
}
_NOT_TO_IMPORT = ("__main__", "conftest", "test_veeqo")


def classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(pytest_veeqo_alloc.__path__, "pytest_veeqo_alloc."):
        if not module.name.rpartition(".")[2].startswith(_NOT_TO_IMPORT):
            yield from (
                value for value in vars(importlib.import_module(module.name)).values() if isinstance(value, type)
            )


KEYED = {
    (kind, field.name): field.repr and vars(kind)["__dataclass_params__"].repr
    for kind in classes()
    if dataclasses.is_dataclass(kind) and kind.__module__.startswith("pytest_veeqo_alloc")
    for field in dataclasses.fields(kind)
    if field.name in ("api_key", "key", "keys", "base_url", "headers", "known_keys")
}


def test_repr_of_no_dataclass_shows_a_key() -> None:
    shown = {f"{kind.__qualname__}.{name}" for (kind, name), is_shown in KEYED.items() if is_shown}
    assert shown == {"WritePermission.base_url"}  # which is checked to have no user, query or fragment
    assert KEY not in repr(ServerSettings(api_key=KEY))


@contextmanager
def watched_frames(seen: dict[str, set[str]]) -> Iterator[None]:
    """For each function of `FOLDERS` that ends in the block, add those of its locals to *seen* that show the key."""

    folders = tuple(f"{PACKAGE / folder}{os.sep}" for folder in FOLDERS)

    def profile(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "return" and file.startswith(folders):
            shown = {name for name, value in list(frame.f_locals.items()) if KEY in _LONG.repr(value)}
            seen.setdefault(f"{file[len(str(PACKAGE)) + 1 :]}:{frame.f_code.co_qualname}", set()).update(shown)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def write_and_clean_up(live: LiveClient, folder: Path) -> None:
    assert live.post(7, pool_request()).response
    with contextlib.suppress(LiveError):
        live.post(99, pool_request())
    assert clean_up(read_journal(folder / "journal.jsonl"), live)


def record(live: LiveClient, folder: Path) -> None:
    cassettes = Cassettes(Engine(), folder, "once", lambda: live)
    url = f"{live.permission.base_url}/orders/7/allocations"
    with cassettes.use("mine"):
        for headers in ({"x-api-key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"x-api-key": f"{KEY}-of-production"}):
            with contextlib.suppress(LiveError):
                requests.post(url, json=pool_request(), headers=headers, timeout=5)
    cassettes.save(datetime.date(2026, 1, 1))


def forward(live: LiveClient, _: Path) -> None:
    with running(Proxy(Engine(), live)) as server:
        url = f"{server.url}/orders/7/allocations"
        assert requests.post(url, json=pool_request(), headers={"x-api-key": KEY, "Cookie": KEY}, timeout=5).ok


def examine(live: LiveClient, _: Path) -> None:
    under_test = ServerUnderTest(live, Engine())
    assert under_test.post_in_capitals(under_test.take().id, pool_request())


@pytest.mark.parametrize("act", [write_and_clean_up, record, forward, examine])
def test_no_local_of_the_package_shows_the_key(act: Callable[[LiveClient, Path], None], tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}
    with staging() as server, watched_frames(seen), live_at(server.url, tmp_path, rate=1000, orders="any") as live:
        act(live, tmp_path)
    assert "live/client.py:LiveClient._admit" in seen
    assert {name: shown for name, shown in seen.items() if shown and not name.startswith(tuple(BYTES_OF_SOCKETS))} == {}
