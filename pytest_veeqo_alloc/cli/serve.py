"""`veeqo-alloc serve`: a fake or a proxy that runs until it gets a signal, or as long as a command runs."""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import inspect
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.failure import render
from pytest_veeqo_alloc.contract.http_rules import path_of
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import mask_path
from pytest_veeqo_alloc.core.text import printable, safe_method, unknown_name
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, URL_VARIABLE, OrderPool, is_loopback, read_toml
from pytest_veeqo_alloc.orders.story import Line, Stock, Story
from pytest_veeqo_alloc.reporting.formatters import print_error
from pytest_veeqo_alloc.reporting.report_file import build_run, save
from pytest_veeqo_alloc.server.control_api import with_control_api
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.proxy import Proxy
from pytest_veeqo_alloc.server.request_log import BaseServer, Record
from pytest_veeqo_alloc.server.responses import Stub, with_stub
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.spec.loader import tables

_STUB_KEYS = tuple(inspect.signature(Fake.stub).parameters)[1:]
_MAX_ERRORS = 3
_clock = functools.partial(time.monotonic)  # unaffected by tests that freeze the time
_GRACE_SECONDS = 3
_POLL_SECONDS = 0.1

_SETTLE_SECONDS = 1
_MAX_LINES, _WRITE_SECONDS = 1000, 0.5

Signals = queue.SimpleQueue[int]


class Output:
    """The lines of the standard output. A thread writes them, so that no request waits for a reader.

    A line is dropped and counted if 1000 other lines wait, or if the reader has closed the output.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._lines: queue.Queue[str] = queue.Queue(_MAX_LINES)
        self._is_closed = False

    def start(self) -> None:
        """Start the thread that writes the lines."""
        threading.Thread(target=self._write, daemon=True).start()

    def put(self, line: str) -> None:
        """Add *line* to the lines to be written, or drop it."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> bool:
        """Wait until every line is written, at most half a second. Return whether every line was written."""
        deadline = _clock() + _WRITE_SECONDS
        while self._lines.unfinished_tasks and _clock() < deadline:
            time.sleep(0.005)
        return not self._lines.unfinished_tasks and not self._is_closed

    def _write(self) -> None:
        # Not with `print`: a thread that holds the lock of `sys.stdout` would keep the interpreter from ending.
        with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as stream:
            while True:
                rest = f"{self._lines.get()}\n".encode(errors="backslashreplace")
                try:
                    while rest and not self._is_closed:
                        rest = rest[stream.write(rest) or 0 :]
                except OSError:
                    self._is_closed = True
                self.dropped += self._is_closed
                self._lines.task_done()


def world_of(pool: OrderPool) -> World:
    """Return a state for the fake that contains the orders in *pool*. All units in *pool* are ordered and in stock."""
    lines: dict[int, list[Line]] = {}
    for order in pool:
        for sellable, units in order.sellables.items():
            stock = Stock(order.warehouse_id, units, 0)
            lines.setdefault(order.id, []).append(Line(sellable, units, stock=(stock,)))
    return World.of(*(Story(order_id=order, lines=tuple(ordered), allocations=()) for order, ordered in lines.items()))


def load_stubs(name: str) -> list[Stub]:
    """Load the stubs in the TOML file *name*. Raise ValueError if the file is invalid."""
    document = read_toml(Path(name), f"the stub file {name!a}")
    tables = document.get("stub")
    if set(document) != {"stub"} or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ValueError(f"the stub file {name!a} must contain [[stub]] tables, and nothing else")
    stubs: tuple[Stub, ...] = ()
    for number, table in enumerate(tables, 1):
        try:
            stubs = with_stub(stubs, _parse_stub(table))
        except ValueError as error:
            raise ValueError(f"the stub file {name!a}: stub {number}: {error}") from None
    return list(stubs)


def _parse_stub(table: dict[str, Any]) -> Stub:
    for key in table:
        if key not in _STUB_KEYS:
            raise ValueError(unknown_name("key", key, _STUB_KEYS))
    table = {"method": "", "path": "", **table}
    return Stub(**{"value" if key == "json" else key: value for key, value in table.items()})


def serve(
    server: BaseServer, output: Output, *, host: str, port: int, names: tuple[str, ...], command: Sequence[str] = ()
) -> int:
    """Run *server* as long as *command* runs, or until SIGINT or SIGTERM arrives. Return the exit status.

    If *command* fails, return its exit status. Otherwise, return 1 if errors were found, or 0. Raise ValueError if the
    server cannot listen, or *command* cannot be run.
    """
    if not is_loopback(host):
        print_error(f"warning: {host} is not a loopback address: anyone who can reach this machine can use the server")
    if not command:  # otherwise, the output is that of the command
        server.on_refusal = lambda sentence: output.put(printable(sentence))
    with _received_signals() as signals, _listening(server, host, port, names) as url:
        if command:
            key = {KEY_VARIABLE: server.api_key} if isinstance(server, Fake) else {}
            status = run_command(command, {**os.environ, URL_VARIABLE: url, **key}, signals)
        else:
            print(url, flush=True)
            output.start()
            status = 0
            while signals.empty():  # not a single wait: some systems would handle a signal only after it
                time.sleep(_POLL_SECONDS)
        server.settle(_SETTLE_SECONDS)
        findings, problems = server.unexpected, server.problems
        server.publish()
    refused = f"refused: {server.log.refused}, " if server.log.refused else ""
    counts = f"errors: {len(findings.errors)}, warnings: {len(findings.warnings)}"
    lines = [f"requests: {len(server.log.records)}, {refused}{counts}"]
    if command and not server.log.records:
        lines.append(f"the command sent no request: its client must use the URL in {URL_VARIABLE}")
    lines += [render(findings, server.engine.hint(findings))] if len(findings) else []
    lines += map(printable, problems)
    if server.log.shortened:
        lines.append(server.notes[-1])
    is_read = not command and output.flush()
    if output.dropped:
        lines.append(f"lines dropped because the output was not read: {output.dropped}")
    for line in lines:
        print(line, file=sys.stdout if is_read else sys.stderr, flush=True)
    return status or int(not findings.ok or bool(problems))


@contextmanager
def _listening(server: BaseServer, host: str, port: int, names: tuple[str, ...]) -> Iterator[str]:
    """Run *server* with its control API in the `with` block. Yield its URL. Raise ValueError if it cannot listen."""
    with ExitStack() as stack:
        try:
            http_server = stack.enter_context(
                running(server, host=host, port=port, names=names, app=with_control_api(server))
            )
        except OSError as error:
            is_used = error.errno == errno.EADDRINUSE
            remedy = "; choose another --port, or omit --port to use a free port" if is_used else ""
            raise ValueError(f"cannot listen at {host}:{port}: {error.strerror or error}{remedy}") from None
        if isinstance(server, Proxy) and server.leads_to(http_server.netloc):
            raise ValueError("the upstream URL is that of this proxy: give the URL of the server behind the proxy")
        yield http_server.url


def run_command(command: Sequence[str], environment: dict[str, str], signals: Signals) -> int:
    """Run *command* in a new process group, and forward *signals* to the group. End the group. Return the exit status.

    As in a shell, the exit status is 128 + N if signal N ended *command*. Raise ValueError if it cannot be run.
    """
    if (program := shutil.which(command[0])) is None:
        raise ValueError(f"the command {command[0]!a} does not exist, or may not be executed")
    try:
        process = _start([program, *command[1:]], environment)
    except OSError as error:
        raise ValueError(f"the command {command[0]!a} cannot be run: {error.strerror}") from None
    try:
        while True:
            while not signals.empty():
                _pass_on(signals.get(), process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=_POLL_SECONDS)
                return 128 - status if status < 0 else status
    finally:
        _end_group(process)


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        flags, is_session = subprocess.CREATE_NEW_PROCESS_GROUP, False
    else:  # In a session of its own, Ctrl-C reaches the command once, and reading from the terminal does not stop it.
        flags, is_session = 0, True
    return subprocess.Popen(command, env=environment, creationflags=flags, start_new_session=is_session)  # noqa: S603


def _pass_on(number: int, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):  # the command may have ended
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)  # the only signal for a process group
        else:
            os.killpg(process.pid, number)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End all processes that still run in the group of *process*. On Windows, end *process* only."""
    if sys.platform == "win32":
        process.kill()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = _clock() + _GRACE_SECONDS
        try:
            os.killpg(process.pid, number)
            while _clock() < deadline:
                os.killpg(process.pid, 0)
                time.sleep(0.02)
        except OSError:  # no process is left
            return


def write_reports(engine: Engine, counter: CoverageCounter, started: datetime.datetime, paths: list[str]) -> bool:
    """Write the report to each of *paths*, and print errors. Return true if all files were written."""
    report = build_run(engine, counter.by_origin, "veeqo-alloc serve", started, uuid.uuid4().hex).report
    are_written = True
    for path in paths:
        try:
            save(report, Path(path))
        except ValueError as error:
            print_error(str(error))
            are_written = False
    return are_written


@contextmanager
def _received_signals() -> Iterator[Signals]:
    """Yield a queue. Put the number of each SIGINT, SIGTERM and SIGHUP into it until the `with` block ends."""
    signals: Signals = queue.SimpleQueue()
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Windows has no SIGHUP, and nohup ignores it.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    with ExitStack() as stack:
        for number in numbers:
            stack.callback(signal.signal, number, signal.signal(number, lambda number, _: signals.put(number)))
        yield signals


def describe_record(record: Record) -> str:
    """Return a line such as `POST /orders/447452/allocations 201`, with the injected fault and the errors."""
    request, operation = record.request, tables().operation
    is_known = operation.matches(Interaction(request)) and operation.order_id(request.url) is not None
    path = path_of(request.url)
    # Any other path could contain a secret.
    place = f"/orders/{path.rpartition('/orders/')[2]}" if is_known else mask_path(path)
    response = record.interaction().response
    status = str(response.status) if response else "no response"
    parts = [safe_method(request.method) or "(another method)", place, status]
    if fault := record.source.partition(", ")[2]:
        parts.append(f"({fault})")
    if errors := [*record.request_findings.errors, *record.response_findings.errors]:
        shown = "; ".join(f"{error.rule} at {error.side} {error.place}" for error in errors[:_MAX_ERRORS])
        more = f" and {len(errors) - _MAX_ERRORS} more" if len(errors) > _MAX_ERRORS else ""
        parts.append(f"error: {shown}{more}")
    return printable(" ".join(parts))
