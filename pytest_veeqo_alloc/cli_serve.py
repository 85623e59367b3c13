"""The command `serve`."""

from __future__ import annotations

import argparse
import datetime
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_veeqo_alloc.cli_contract import CLEAN, COULD_NOT_RUN, ERRORS_FOUND, add_contract, contract_of
from pytest_veeqo_alloc.live.journal import JOURNAL
from pytest_veeqo_alloc.reporting.formatters import complain

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.server.request_log import Served


def add_serve(commands: Any) -> None:
    """The options of `serve`."""
    serve = commands.add_parser(
        "serve",
        help="stand in for the API, or pass calls on to it, and check each",
        description="A fake of the API, or with --upstream a proxy before it. The first line is its URL, then comes one "
        "line for each request; SIGINT or SIGTERM ends it, with status 1 if anything was wrong.",
    )
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    serve.add_argument("--port", type=_port, default=0, help="the port to listen at (default: one that is free)")
    serve.add_argument(
        "--name", action="append", default=[], help="a host name that requests may be for, beside localhost"
    )
    add_contract(serve)
    serve.add_argument(
        "--orders", default="", metavar="FILE", help="the orders that there are, or that may be written to (TOML)"
    )
    serve.add_argument(
        "--report", action="append", default=[], metavar="FILE", help="write what was seen: a .json or .html file"
    )
    fake = serve.add_argument_group("the fake")
    fake.add_argument("--policy", choices=("default", "strict"), help="what it does where the page is silent")
    proxy = serve.add_argument_group("the proxy")
    proxy.add_argument("--upstream", metavar="URL", help="the server to pass calls on to")
    proxy.add_argument("--allow-host", action="append", default=[], metavar="HOST[:PORT]", help="say its host again")
    proxy.add_argument("--max-writes", type=int, default=0, metavar="N", help="how many writes may be passed on")
    proxy.add_argument("--rate", type=float, metavar="R", help="requests a second, at most 5 (default)")
    proxy.add_argument(
        "--journal", default=JOURNAL, metavar="FILE", help=f"where every write is noted (default: {JOURNAL})"
    )
    proxy.add_argument("--allow-reads", action="store_true", help="pass on GET, HEAD and OPTIONS of any path as well")
    proxy.add_argument("--trust-env", action="store_true", help="use proxies and CA bundles of the environment")
    serve.set_defaults(command=_serve)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return int(text)


def _serve(chosen: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.coverage.listeners import Counted
    from pytest_veeqo_alloc.live import LiveError  # loads requests, which few commands need
    from pytest_veeqo_alloc.reporting.report_file import known_path
    from pytest_veeqo_alloc.serving import serve, stop_on_signals, write_reports

    for path in chosen.report:
        known_path(path)
    counted, started = Counted(), datetime.datetime.now(datetime.UTC)
    contract = contract_of(chosen).telling(counted if chosen.report else None)
    try:
        with ExitStack() as stack:
            served = _served(chosen, contract, stack)
            stop = stack.enter_context(stop_on_signals())
            is_fine = serve(served, host=chosen.host, port=chosen.port, names=tuple(chosen.name), stop=stop)
    except LiveError as error:
        raise ValueError(error.for_command().replace("--base-url", "--upstream")) from None
    trouble = write_reports(contract, counted, started, chosen.report)
    for sentence in trouble:
        complain(sentence)
    # What was found is told before what could not be written.
    return ERRORS_FOUND if not is_fine else COULD_NOT_RUN if trouble else CLEAN


def _served(chosen: argparse.Namespace, contract: Contract, stack: ExitStack) -> Served:
    from pytest_veeqo_alloc.live.permission import Wishes, load_pool
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.state import POLICIES
    from pytest_veeqo_alloc.serving import proxied, say, world_of

    if not chosen.upstream:
        if chosen.allow_host or chosen.max_writes or chosen.allow_reads:
            raise ValueError("--allow-host, --max-writes and --allow-reads are for the proxy: give --upstream URL")
        world = world_of(load_pool(chosen.orders, Path())) if chosen.orders else None
        return Fake(contract, POLICIES[chosen.policy or "default"](), world=world, tell=say)
    if chosen.policy:
        raise ValueError("--policy is for the fake; with --upstream the server behind decides")
    wishes = Wishes(
        base_url=chosen.upstream,
        allow_hosts=tuple(chosen.allow_host),
        max_writes=chosen.max_writes,
        orders=chosen.orders,
        rate=chosen.rate,
        trust_env=chosen.trust_env,
    )
    return stack.enter_context(proxied(contract, wishes, Path(chosen.journal), reads=chosen.allow_reads))
