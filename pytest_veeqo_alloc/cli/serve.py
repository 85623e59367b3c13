"""`veeqo-alloc serve`: a fake or a proxy that runs until it gets a signal."""

from __future__ import annotations

import datetime
import errno
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pytest_veeqo_alloc.contract.failure import render
from pytest_veeqo_alloc.contract.http_rules import path_of
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import mask_path
from pytest_veeqo_alloc.core.text import printable, safe_method
from pytest_veeqo_alloc.coverage.listeners import CoverageCounter
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.permission import OrderPool, is_loopback
from pytest_veeqo_alloc.orders.story import Line, Stock, Story
from pytest_veeqo_alloc.reporting.formatters import print_error
from pytest_veeqo_alloc.reporting.report_file import build_run, save
from pytest_veeqo_alloc.server.control_api import with_control_api
from pytest_veeqo_alloc.server.proxy import Proxy
from pytest_veeqo_alloc.server.request_log import BaseServer, Record
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.spec.loader import tables

_MAX_ERRORS = 3


def world_of(pool: OrderPool) -> World:
    """Return the state of a fake with the orders of *pool*. All units in *pool* are ordered and in stock."""
    lines: dict[int, list[Line]] = {}
    for order in pool:
        for sellable, units in order.sellables.items():
            stock = Stock(order.warehouse_id, units, 0)
            lines.setdefault(order.id, []).append(Line(sellable, units, stock=(stock,)))
    return World.of(*(Story(order_id=order, lines=tuple(ordered), allocations=()) for order, ordered in lines.items()))


def serve(server: BaseServer, *, host: str, port: int, names: tuple[str, ...], stop: threading.Event) -> bool:
    """Run *server* until *stop* is set. Return False if errors were found. Raise ValueError if it cannot listen."""
    if not is_loopback(host):
        print_error(f"warning: {host} is not a loopback address: anyone who can reach this machine can use the server")
    app = with_control_api(server)
    with ExitStack() as stack:
        try:
            http_server = stack.enter_context(running(server, host=host, port=port, names=names, app=app))
        except OSError as error:
            is_used = error.errno == errno.EADDRINUSE
            remedy = "; choose another --port, or omit --port to use a free port" if is_used else ""
            raise ValueError(f"cannot listen at {host}:{port}: {error.strerror or error}{remedy}") from None
        if isinstance(server, Proxy) and server.leads_to(http_server.netloc):
            raise ValueError("the upstream is this proxy itself: give the URL of the server behind the proxy")
        print(http_server.url, flush=True)
        while not stop.wait(1):  # not a single wait: some systems would handle a signal only after it
            pass
        server.settle()
        findings, problems = server.unexpected, server.problems
        server.publish()
    lines = [f"requests: {len(server.log.records)}, errors: {len(findings.errors)}, warnings: {len(findings.warnings)}"]
    lines += [render(findings, server.engine.hint(findings))] if len(findings) else []
    for line in [*lines, *map(printable, problems)]:
        print(line, flush=True)
    return findings.ok and not problems


def write_reports(engine: Engine, counter: CoverageCounter, started: datetime.datetime, paths: list[str]) -> bool:
    """Write the report to each of *paths*, and print errors. Return whether every file was written."""
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
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT or SIGTERM sets during the block."""
    stop = threading.Event()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: stop.set()))
        yield stop


def print_record(record: Record) -> None:
    """Print a line such as `POST /orders/447452/allocations 201`, with the injected fault and the errors."""
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
    print(printable(" ".join(parts)), flush=True)
