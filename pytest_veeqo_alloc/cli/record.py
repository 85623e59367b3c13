"""`veeqo-alloc record`: send one allocation request to a server, and record it as a cassette."""

from __future__ import annotations

import datetime
import json
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from pytest_veeqo_alloc.contract.checker import NO_CONTEXT
from pytest_veeqo_alloc.contract.failure import render
from pytest_veeqo_alloc.core.http import Request, is_client_error
from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.cleanup import clean_up
from pytest_veeqo_alloc.live.client import JSON_HEADERS, LiveClient, open_live
from pytest_veeqo_alloc.live.journal import default_name, read_journal
from pytest_veeqo_alloc.live.permission import PoolOrder, WriteOptions, WritePermission, grant_permission
from pytest_veeqo_alloc.live.transport import Backoff
from pytest_veeqo_alloc.recording import CassetteFile, file_state, find_cassette
from pytest_veeqo_alloc.recording.session import require_writable_cassette, write_cassette
from pytest_veeqo_alloc.reporting.formatters import curl_command
from pytest_veeqo_alloc.reporting.report_file import build_run
from pytest_veeqo_alloc.spec.loader import tables


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """The user's options for a recording. `output` and `journal` are paths; an empty `journal` means the default."""

    output: str
    journal: str = ""
    dry_run: bool = False
    yes: bool = False  # send the request without asking
    force: bool = False  # replace an existing cassette


def record(engine: Engine, write: WriteOptions, options: RecordOptions) -> bool:
    """Send one allocation request, and write the request and the response to a cassette.

    Show the request first. Ask the user to confirm it unless `options.yes` is true. Return false if the response has errors
    or the allocation could not be deleted. Raise ValueError or LiveError if no cassette is written.
    """
    file = _cassette_file(options)
    before = file_state(file.path)
    if not options.yes and not write.allow_hosts:  # the user confirms the host by typing its name
        write = replace(write, allow_hosts=(write.base_url.partition("://")[2].partition("/")[0],))
    permission = grant_permission(write, needs_key=not options.dry_run)
    order = next(iter(permission.pool), None)
    if order is None:
        raise ValueError("name the order to write to: --orders pool.toml, since 'any' names no order")
    request = _request(permission, order)
    _show(request, permission, order)
    if options.dry_run:
        print("nothing was sent (--dry-run)")
        return True
    if not options.yes and _answer("To send it, type the name of the host: ") != urlsplit(permission.base_url).hostname:
        raise ValueError("the host was not confirmed, so nothing was sent: in CI, give --yes and --allow-host")
    journal = Path(options.journal or default_name(permission.target))
    with open_live(permission, journal) as live:
        live.backoff = Backoff(tries=1)
        try:
            is_ok = _send_and_keep(engine, live, order.id, request, file, before)
        except BaseException:
            _offer_cleanup(live, ask=False)
            raise
        return _offer_cleanup(live, ask=not options.yes) and is_ok


def _cassette_file(options: RecordOptions) -> CassetteFile:
    path = Path(options.output)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"a cassette must end in .yaml or .yml, not {options.output!a}")
    file = find_cassette(path.name, path.parent, "all")
    if os.path.lexists(file.path) and not options.force:
        raise ValueError(f"{options.output!a} exists, so nothing was sent: choose another name, or give --force")
    if file.path.is_dir():
        raise ValueError(f"{options.output!a} is a folder, so nothing was sent: choose another name")
    require_writable_cassette(file)
    return file


def _request(permission: WritePermission, order: PoolOrder) -> Request:
    """Build the request for one unit of the first sellable of *order*."""
    operation = tables().operation
    line = {"sellable_id": next(iter(order.sellables)), "quantity": 1}
    body = {"allocation": {"warehouse_id": order.warehouse_id, "line_items_attributes": [line]}}
    headers = ((operation.key_header, permission.api_key), *JSON_HEADERS)
    url = f"{permission.base_url}{operation.path_for(order.id)}"
    return Request(operation.method, url, headers, json.dumps(body).encode())


def _show(request: Request, permission: WritePermission, order: PoolOrder) -> None:
    sellable = next(iter(order.sellables))
    print(curl_command(request))
    place = f"in warehouse {order.warehouse_id} for order {order.id} at {permission.target}"
    print(f"This reserves 1 unit of sellable {sellable} {place}.")
    print("The order is read first, with GET.")


def _answer(question: str) -> str:
    """Ask *question* on the terminal. Return the answer in lower case, or an empty string without an answer."""
    try:
        return input(question).strip().lower()
    except (EOFError, KeyboardInterrupt, RuntimeError):  # RuntimeError: standard input is closed
        print()
        return ""


def _send_and_keep(
    engine: Engine, live: LiveClient, order_id: int, request: Request, file: CassetteFile, before: object
) -> bool:
    """Send *request*, write the cassette, and print the result. Return whether the contract check found no error.

    *before* is the state of the file at the start of the command. If it has changed, raise ValueError.
    """
    started = datetime.datetime.now(datetime.UTC)
    interaction = live.post(order_id, request.body)
    response = interaction.response
    if response is None or not response.is_success:
        status = response.status if response else "none"
        raise ValueError(f"the cassette {file.path} was not written, since the response has the status {status}")
    if file_state(file.path) != before:
        raise ValueError(f"the cassette {file.path} was not written, since another program has changed it meanwhile")
    today = datetime.date.today()
    write_cassette(file, [interaction], today)
    print(f"wrote {printable(str(file.path))}: redacted, searched for secrets, and dated {today}")
    counter = CoverageCounter()
    engine = engine.with_listener(counter)
    findings = engine.evaluate(interaction)
    engine.publish("target", interaction, findings, NO_CONTEXT)
    run = build_run(engine, counter.by_origin, "veeqo-alloc record", started, live.writer.run)
    print(render(findings, engine.hint(findings)))
    print(f"coverage: the response has {run.seen} of {run.fields} documented fields")
    if not findings.ok:
        command = shlex.join(["veeqo-alloc", "check", str(file.path), "--write-deviations", "accepted.toml"])
        print(f"to accept these errors: {printable(command)}")
    return findings.ok


def _offer_cleanup(live: LiveClient, *, ask: bool) -> bool:
    """Delete the allocation if the user agrees, otherwise print a command if it is left. Return false if deletion failed."""
    journal = read_journal(live.writer.path).of_run(live.writer.run)
    outcomes = [entry.outcome for entry in journal.entries]
    if all(outcome == "not sent" or (isinstance(outcome, int) and is_client_error(outcome)) for outcome in outcomes):
        return True  # nothing was allocated
    is_left = is_agreed = ask and _answer("Delete the allocation? [y/N] ") in ("y", "yes")
    if is_agreed:
        results = clean_up(journal, live)
        for result in results:
            print(printable(result.sentence))
        is_left = any(result.is_left for result in results)
    if is_left or not is_agreed:
        options = ["--base-url", live.permission.base_url, "--allow-host", live.target]
        print(f"to delete the allocation: {shlex.join(['veeqo-alloc', 'cleanup', str(live.writer.path), *options])}")
    return not is_left
