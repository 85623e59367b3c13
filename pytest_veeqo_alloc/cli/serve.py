"""`veeqo-alloc serve`: a fake or a proxy that runs until it is told to stop."""

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
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import path_of
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import printable, safe_method
from pytest_veeqo_alloc.coverage.listeners import CoverageCounter
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.client import open_live
from pytest_veeqo_alloc.live.permission import OrderPool, WriteOptions, grant_permission, is_loopback
from pytest_veeqo_alloc.orders.story import Line, Stock, Story
from pytest_veeqo_alloc.reporting.formatters import build_run, describe_run, print_error
from pytest_veeqo_alloc.reporting.report_file import save
from pytest_veeqo_alloc.server.control_api import controlled
from pytest_veeqo_alloc.server.http_server import HTTPServer
from pytest_veeqo_alloc.server.proxy import Proxy
from pytest_veeqo_alloc.server.request_log import BaseServer, Record
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.server.state import World
from pytest_veeqo_alloc.spec.loader import tables


def world_of(pool: OrderPool) -> World:
    """A world with the orders of *pool*: each orders its free units, and they are in stock."""
    orders: dict[int, list[Line]] = {}
    for order in pool:
        stock = ((sellable, units, Stock(order.warehouse_id, units, 0)) for sellable, units in order.sellables.items())
        orders.setdefault(order.id, []).extend(
            Line(sellable, units, stock=(entry,)) for sellable, units, entry in stock
        )
    return World.of(
        *(Story(order_id=order_id, lines=tuple(lines), allocations=()) for order_id, lines in orders.items())
    )


@contextmanager
def proxied(engine: Engine, wishes: WriteOptions, journal: Path, *, reads: bool) -> Iterator[Proxy]:
    """A proxy, with leave to write. LiveError, with a sentence for each thing that is missing. It has no key of its own:
    the client's is passed on."""
    with open_live(grant_permission(wishes, needs_key=False), journal) as live:
        yield Proxy(engine, live, reads=reads, tell=say)


def serve(served: BaseServer, *, host: str, port: int, names: tuple[str, ...], stop: threading.Event) -> bool:
    """Runs *served* until *stop* is set. Whether nothing was wrong. ValueError, in one sentence, where it cannot listen."""
    if not is_loopback(host):
        print_error(f"warning: {host} is no address of the loopback: whoever reaches this machine can use the server")
    with listening(served, host=host, port=port, names=names) as front:
        print(front.url, flush=True)
        while not stop.wait(1):  # a signal is handled between two waits on every system
            pass
        served.settle()
        findings, problems = served.unexpected, served.problems
        served.publish()
    for line in summary(served, findings, problems):
        print(line, flush=True)
    return findings.ok and not problems


def write_reports(engine: Engine, counted: CoverageCounter, started: datetime.datetime, paths: list[str]) -> list[str]:
    """Writes what was counted into each of *paths*; a sentence for each that cannot be written."""
    if not paths:
        return []
    about = describe_run(engine, "veeqo-alloc serve", started, uuid.uuid4().hex)
    report = build_run(about, counted.by_origin).report
    errors = []
    for path in paths:
        try:
            save(report, Path(path))
        except ValueError as error:
            errors.append(printable(str(error)))
    return errors


@contextmanager
def listening(served: BaseServer, *, host: str, port: int, names: tuple[str, ...]) -> Iterator[HTTPServer]:
    """*served*, with its control path, listens until the block is left. ValueError, in one sentence, where it cannot."""
    with ExitStack() as stack:
        try:
            front = stack.enter_context(running(served, host=host, port=port, names=names, take_in=controlled(served)))
        except OSError as error:
            hint = "; name another --port, or none for one that is free" if error.errno == errno.EADDRINUSE else ""
            raise ValueError(f"cannot listen at {host}:{port}: {error.strerror or error}{hint}") from None
        if isinstance(served, Proxy) and served.leads_to(front.netloc):
            raise ValueError("the upstream is this proxy itself: name the server behind it")
        yield front


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, within the block."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def say(record: Record) -> None:
    """A line for *record*: method, path, status, and what was wrong with it."""
    print(request_line_of(record), flush=True)


def request_line_of(record: Record) -> str:
    """`POST /orders/447452/allocations 201`, with the fault that was put in, and the errors in it by rule and place. The
    path of a call that is not the documented one could hold anything, so it is not told."""
    request = record.request
    is_known = tables().operation.matches(Interaction(request)) and tables().operation.order_id(request.url) is not None
    path = path_of(request.url).rpartition("/orders/")[2] if is_known else ""
    place = f"/orders/{path}" if path else "(another path)"
    method = safe_method(request.method) or "(another method)"
    response = record.interaction().response
    parts = [f"{method} {place}", str(response.status) if response else "no answer"]
    _, _, done = record.source.partition(", ")
    parts += [f"({done})"] if done else []
    found = [*record.found.errors, *(record.answered.errors if record.answered is not None else ())]
    told = "; ".join(f"{error.rule} at {error.side} {error.place}" for error in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return printable(" ".join(parts) + (f" error: {told}{more}" if found else ""))


def summary(served: BaseServer, findings: Findings, problems: list[str]) -> Iterator[str]:
    """What is left to say at the end."""
    count = len(served.log.records)
    yield f"requests: {count}, errors: {len(findings.errors)}, warnings: {len(findings.warnings)}"
    if len(findings):
        yield render(findings, served.engine.hint(findings))
    for problem in problems:
        yield printable(problem)
