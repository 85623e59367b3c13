"""Runs that write to a server: one whose controller is killed, and ones of full size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.live import KEY
from support.measured import MAX_SECONDS, run_measured
from support.plugins import disable_others
from support.staging import Staging

from pytest_veeqo_alloc.cli.main import main

TESTS = """
import pytest
LINES = [{"sellable_id": 11, "quantity": 1}]

@pytest.mark.parametrize("number", range(200))
def test_it(veeqo_alloc_target, number):
    body = {"allocation": {"warehouse_id": 5, "line_items_attributes": LINES}}
    veeqo_alloc_target.post(1000 + number, body)
"""


def test_workers_of_xdist_send_nothing_once_their_controller_is_killed(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    server.answers = [None] * 6 + ["hang"] * 2
    host = server.url.partition("://")[2]
    given = {"base-url": server.url, "allow-host": host, "orders": "any", "max-writes": 500, "rate": 40, "journal": "j"}
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *disable_others("xdist")]
    command += [f"--veeqo-alloc-{name}={value}" for name, value in given.items()]
    # The workers have the other end of the pipe, so it ends when the last of them has ended.
    controller = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not server.arrived.wait(timeout=0.1):
        assert controller.poll() is None
    controller.kill()
    controller.wait(timeout=MAX_SECONDS)
    cleanup = ["cleanup", str(tmp_path / "j"), "--base-url", server.url, "--allow-host", host, "--rate", "5"]
    assert main(cleanup) == 2
    assert "is in use by another run" in capsys.readouterr().err
    server.release.set()
    _, errors = controller.communicate(timeout=MAX_SECONDS)
    # The worker that had not yet sent its request when the controller was killed sends it or not.
    assert 7 <= len(server.posts) <= 8, errors
    assert main(cleanup) == 0
    assert capsys.readouterr().out.endswith(f"\norders: {len(server.posts)}, with allocations left: 0\n")
    assert not any(server.orders.values())


POOL = """
from pathlib import Path
from pytest_veeqo_alloc.contract.allocations import RequestScope
from pytest_veeqo_alloc.live.permission import load_pool
pool = load_pool("pool.toml", Path())
assert not any(pool.refusal(order.id, RequestScope(frozenset({5}), {11: 1})) for order in pool)
print(len(pool))
"""

CLEANUP = """
from pathlib import Path
from pytest_veeqo_alloc.contract.allocations import ExistingAllocation
from pytest_veeqo_alloc.live.cleanup import settle
from pytest_veeqo_alloc.live.journal import Entry, open_journal, read_journal
with open_journal(Path("j"), "staging:1") as writer:
    for number in range(1000):
        writer.intent(entry := Entry("post", 7, 5, {11: 1}, (number,), str(number)))
        writer.outcome(entry.name, 201, (number + 1,))
held = [ExistingAllocation(number + 1, 5, {11: 1}) for number in range(1000)]
ours, doubtful = settle(read_journal(Path("j")).entries, held)
print(len(ours), len(doubtful), Path("j").stat().st_size < 600_000)
"""


def test_pool_of_32_000_orders_and_1_000_allocations_of_one_order_take_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    order = "[[order]]\nid = {}\nwarehouse_id = 5\nsellables = {{ 11 = 3 }}\n"
    (tmp_path / "pool.toml").write_text("".join(map(order.format, range(1, 32_001))), encoding="utf-8")
    assert run_measured("-c", POOL, folder=tmp_path).out == "32000\n"
    assert run_measured("-c", CLEANUP, folder=tmp_path).out == "1000 0 True\n"
