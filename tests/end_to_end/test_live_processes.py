"""Budget, rate and journal of a run that has several processes, and of one that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.live import KEY
from support.staging import Staging

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.live.journal import open_journal, read_journal
from pytest_veeqo_alloc.live.run_state import RunState, SharedState

# However slow the machine is: limits only end a test that hangs, and no assertion depends on them.
LIMIT = 120


def python(code: str, *arguments: object) -> list[str]:
    """Return the command for a process that runs *code* with the import path of this one."""
    path = f"import sys; sys.path[:0] = {[folder for folder in sys.path if folder]!r}\n"
    return [sys.executable, "-c", path + code, *map(str, arguments)]


def run_twice(command: list[str]) -> list[str]:
    """Run *command* in two processes at once, and return what they print."""
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(
            lambda _: subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT), range(2)
        )
        return [run.stdout for run in runs]


KILLED_WHILE_WRITING = f"""
from pathlib import Path
from support.live import live_at, pool_request
with live_at(sys.argv[1], Path(sys.argv[2]), timeouts=({LIMIT}, {LIMIT})) as live:
    live.post(7, pool_request())
"""


def test_run_killed_while_writing_leaves_an_intent_that_cleanup_settles(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    allocated, allocate = threading.Event(), server.allocate

    def allocate_and_notify(order_id: int, warehouse_id: int, lines: tuple[tuple[int, int], ...]) -> None:
        allocate(order_id, warehouse_id, lines)
        allocated.set()

    monkeypatch.setattr(server, "allocate", allocate_and_notify)
    server.answers = ["hang"]
    child = subprocess.Popen(python(KILLED_WHILE_WRITING, server.url, tmp_path))
    while not server.arrived.wait(timeout=0.1):
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=LIMIT)
    server.release.set()
    journal = tmp_path / "journal.jsonl"
    (entry,) = read_journal(journal).entries
    assert (entry.order_id, entry.before, entry.is_unknown) == (7, (), True)
    # The server goes on with the request, although its client is gone.
    assert allocated.wait(timeout=LIMIT)
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    command = ["cleanup", str(journal), "--base-url", server.url, "--allow-host", server.url.partition("://")[2]]
    assert main(command) == 0
    assert capsys.readouterr().out == "order 7: deleted allocation 5001\norders: 1, with allocations left: 0\n"
    assert len(server.posts) == 1
    assert main(command) == 0
    assert (
        capsys.readouterr().out
        == "order 7: no allocation of this journal is left\norders: 1, with allocations left: 0\n"
    )
    assert KEY not in journal.read_text(encoding="utf-8")


JOIN = f"""
from pathlib import Path
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.journal import join_journal
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission
url, journal, folder, run = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
options = WriteOptions(url, (url.partition("://")[2],), "{KEY}", 99, "any", 1000 if "fast" in sys.argv else 5)
permission = grant_permission(options)
joined = join_journal(journal, permission.target, folder, run)
live = LiveClient(permission, joined.__enter__())
live.timeouts = ({LIMIT}, {LIMIT})
"""
EIGHT_READS = f"""
from concurrent.futures import ThreadPoolExecutor
{JOIN}
list(ThreadPoolExecutor(4).map(lambda _: live.read_order(7), range(8)))
"""


def test_no_window_of_one_second_sees_a_sixth_request(server: Staging, tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", server.url.partition("://")[2]) as writer:
        run_twice(python(EIGHT_READS, server.url, writer.path, writer.shared.folder, writer.run))
    arrivals = sorted(time for *_, time in server.seen)
    assert len(arrivals) == 16
    # A request ends after it arrives, and the next one begins a second after that.
    assert min(sixth - first for first, sixth in zip(arrivals, arrivals[5:], strict=False)) > 1


CONTROLLER = f"""
import subprocess
from pathlib import Path
from pytest_veeqo_alloc.live.journal import open_journal
with open_journal(Path(sys.argv[2]), sys.argv[1].partition("://")[2]) as writer:
    passed = [sys.argv[1], str(writer.path), str(writer.shared.folder), writer.run, "fast"]
    subprocess.run([sys.executable, "-c", sys.argv[3], *passed], timeout={LIMIT})
"""
WORKER = f"""{JOIN}
from support.bodies import allocation_request
from pytest_veeqo_alloc.live import LiveError
try:
    for order in range(10):
        live.post(order, allocation_request(1))
except LiveError as error:
    print(error)
"""


def test_workers_of_a_killed_run_send_nothing_more_and_cleanup_waits_for_them(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    server.answers = [None, "hang"]
    journal, worker = tmp_path / "j", python(WORKER)[-1]
    controller = subprocess.Popen(python(CONTROLLER, server.url, journal, worker), stdout=subprocess.PIPE, text=True)
    while not server.arrived.wait(timeout=0.1):
        assert controller.poll() is None
    controller.kill()
    controller.wait(timeout=LIMIT)
    command = ["cleanup", str(journal), "--base-url", server.url, "--allow-host", server.url.partition("://")[2]]
    assert main(command) == 2
    assert "is in use by another run" in capsys.readouterr().err
    server.release.set()
    # The worker has the other end of the pipe, so this waits until it has ended.
    assert controller.stdout is not None
    assert controller.stdout.read() == "the process that began the run has ended: nothing more is sent\n"
    controller.stdout.close()
    assert len(server.posts) == 2
    assert main(command) == 0
    assert capsys.readouterr().out.endswith("\norders: 2, with allocations left: 0\n")
    assert not any(server.orders.values())
    assert {path.name for path in tmp_path.iterdir()} == {"j"}


FORTY_WRITES = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pytest_veeqo_alloc.live import RefusedError
from pytest_veeqo_alloc.live.run_state import RunState, SharedState
state = RunState(SharedState(Path(sys.argv[1])), 10**5, 50)
def write(_):
    try:
        state.end(state.claim({}))
    except RefusedError:
        return False
    return True
print(sum(ThreadPoolExecutor(4).map(write, range(40))))
"""


def test_threads_and_processes_together_never_exceed_the_budget(tmp_path: Path) -> None:
    shared = SharedState(tmp_path)
    shared.create()
    assert sum(map(int, run_twice(python(FORTY_WRITES, tmp_path)))) == 50
    assert RunState(shared, 5, 50).charged == 50
