"""The fake under load, and the request rate of two processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.live import POOL
from support.load import check_under_load
from support.staging import staging


def test_concurrent_requests_with_every_fault_are_each_recorded_once() -> None:
    check_under_load(connections=32, requests_each=125, fault_rounds=8)


def test_two_processes_send_at_most_five_requests_in_any_second(tmp_path: Path) -> None:
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
sys.path[:0] = sys.argv[3].split(":")
from support.live import KEY, POOL, WriteOptions, grant_permission, RunState, Rate, LiveClient
from pytest_veeqo_alloc.live.journal import JournalWriter
folder = Path(sys.argv[2])
granted = grant_permission(WriteOptions(sys.argv[1], (sys.argv[1].partition("://")[2],), KEY, 99, "pool.toml", None, False, folder))
live = LiveClient(granted, RunState(folder, Rate.per_second(granted.rate), 99), JournalWriter(folder / "j", "r"))
list(ThreadPoolExecutor(4).map(lambda _: live.read_order(7), range(8)))
"""
    (tmp_path / "pool.toml").write_text(POOL, encoding="utf-8")
    with staging() as server, ThreadPoolExecutor(2) as pool:
        command = [sys.executable, "-c", code, server.url, str(tmp_path), ":".join(path for path in sys.path if path)]
        list(pool.map(lambda _: subprocess.run(command, check=True), range(2)))
    arrivals = sorted(time for *_, time in server.seen)
    assert len(arrivals) == 16
    assert min(sixth - first for first, sixth in zip(arrivals, arrivals[5:], strict=False)) > 1
