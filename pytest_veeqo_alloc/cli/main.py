"""The commands `report merge` and `report diff`."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_veeqo_alloc.capture.readers import KINDS
from pytest_veeqo_alloc.cli.files import FileCheckOptions, check_paths, redact_files, write_back
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, CATALOGUE, PROFILES, parse_overrides
from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.journal import JOURNAL
from pytest_veeqo_alloc.reporting.formatters import CheckRun, github_lines, json_text, print_error, terminal_lines
from pytest_veeqo_alloc.spec.loader import load_schema, openapi_document, read_shipped_text

if TYPE_CHECKING:
    from pytest_veeqo_alloc.server.request_log import BaseServer


CLEAN, ERRORS_FOUND, COULD_NOT_RUN = 0, 1, 2
"""What a command ends with."""


def add_contract(command: argparse.ArgumentParser) -> None:
    """Profile, single rules and deviations."""
    command.add_argument("--profile", default="documented", help=f"one of {', '.join(PROFILES)} (default: documented)")
    command.add_argument(
        "--rule", action="append", default=[], metavar="ID=SEVERITY", help="error, warning or off for one rule"
    )
    command.add_argument(
        "--deviations",
        "--veeqo-alloc-deviations",  # as failures advise it
        action="append",
        default=[],
        metavar="D",
        help="a file of accepted deviations, or the pack observed",
    )


def engine_of_options(chosen: argparse.Namespace) -> Engine:
    """The contract that these options describe. ValueError, in one sentence, for what does not exist."""
    return Engine(chosen.profile, rules=parse_overrides(chosen.rule), deviations=chosen.deviations)


def add_report(commands: Any) -> None:
    """The options of `report`."""
    report = commands.add_parser("report", help="put reports together, or compare two")
    kinds = report.add_subparsers(required=True, metavar="WHAT")
    merge = kinds.add_parser("merge", help="one report of several; a run that is in more than one counts once")
    merge.add_argument("reports", nargs="+", metavar="REPORT", help="a .json file of --veeqo-alloc-report")
    merge.add_argument("-o", "--output", metavar="FILE", help="a .json or .html file (default: print JSON)")
    merge.set_defaults(command=_merge)
    diff = kinds.add_parser(
        "diff",
        help="what a later report shows and an earlier one does not",
        description="Compares the drift of two reports: undocumented members, documented ones absent, nulls, other types. "
        "Exit status 1 where there is drift in NEW that is not in OLD.",
    )
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    diff.add_argument("--format", choices=("text", "json"), default="text")
    diff.set_defaults(command=_diff)


def _merge(chosen: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.coverage.report_model import merge_reports  # not before somebody reports
    from pytest_veeqo_alloc.reporting.report_file import load, save, validate_report_path

    if chosen.output:
        validate_report_path(chosen.output)
    report = merge_reports(load(each) for each in chosen.reports)
    if chosen.output:
        save(report, Path(chosen.output))
    else:
        print(json.dumps(report, separators=(",", ":")))
    return CLEAN


def _diff(chosen: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.coverage.report_model import compare_reports
    from pytest_veeqo_alloc.reporting.formatters import difference_lines, difference_rows
    from pytest_veeqo_alloc.reporting.report_file import load
    from pytest_veeqo_alloc.spec.loader import field_trees

    old, new = load(chosen.old), load(chosen.new)
    for path, report in ((chosen.old, old), (chosen.new, new)):
        if not any(run["origins"] for run in report["runs"]):
            raise ValueError(f"{path!a}: no interaction was seen in it, so there is nothing to compare")
    found = compare_reports(old, new, field_trees())
    if chosen.format == "json":
        print(json.dumps({"new": difference_rows(found.new), "gone": difference_rows(found.gone)}, indent=2))
    else:
        for line in difference_lines(found):
            print(line)
    return ERRORS_FOUND if found.new else CLEAN


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
    from pytest_veeqo_alloc.cli.serve import serve, stop_on_signals, write_reports
    from pytest_veeqo_alloc.coverage.listeners import CoverageCounter
    from pytest_veeqo_alloc.live import LiveError  # loads requests, which few commands need
    from pytest_veeqo_alloc.reporting.report_file import validate_report_path

    for path in chosen.report:
        validate_report_path(path)
    counted, started = CoverageCounter(), datetime.datetime.now(datetime.UTC)
    engine = engine_of_options(chosen).with_listener(counted if chosen.report else None)
    try:
        with ExitStack() as stack:
            served = _served(chosen, engine, stack)
            stop = stack.enter_context(stop_on_signals())
            is_fine = serve(served, host=chosen.host, port=chosen.port, names=tuple(chosen.name), stop=stop)
    except LiveError as error:
        raise ValueError(error.for_command().replace("--base-url", "--upstream")) from None
    trouble = write_reports(engine, counted, started, chosen.report)
    for sentence in trouble:
        print_error(sentence)
    # What was found is told before what could not be written.
    return ERRORS_FOUND if not is_fine else COULD_NOT_RUN if trouble else CLEAN


def _served(chosen: argparse.Namespace, engine: Engine, stack: ExitStack) -> BaseServer:
    from pytest_veeqo_alloc.cli.serve import proxied, say, world_of
    from pytest_veeqo_alloc.live.permission import WriteOptions, load_pool
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.state import POLICIES

    if not chosen.upstream:
        if chosen.allow_host or chosen.max_writes or chosen.allow_reads:
            raise ValueError("--allow-host, --max-writes and --allow-reads are for the proxy: give --upstream URL")
        world = world_of(load_pool(chosen.orders, Path())) if chosen.orders else None
        return Fake(engine, POLICIES[chosen.policy or "default"](), world=world, tell=say)
    if chosen.policy:
        raise ValueError("--policy is for the fake; with --upstream the server behind decides")
    wishes = WriteOptions(
        base_url=chosen.upstream,
        allow_hosts=tuple(chosen.allow_host),
        max_writes=chosen.max_writes,
        orders=chosen.orders,
        rate=chosen.rate,
        trust_env=chosen.trust_env,
    )
    return stack.enter_context(proxied(engine, wishes, Path(chosen.journal), reads=chosen.allow_reads))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        chosen = parser().parse_args(arguments)
        status: int = chosen.command(chosen)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except ValueError as error:
        for sentence in str(error).splitlines():
            print_error(sentence)
        return COULD_NOT_RUN
    except OSError as error:
        # Nothing more may be written, not even at exit. A reader who has seen enough is told nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print_error(f"the output cannot be written: {error.strerror}")
        return COULD_NOT_RUN


def parser() -> argparse.ArgumentParser:
    """The parser of every command and option."""
    whole = argparse.ArgumentParser(
        prog="veeqo-alloc",
        description="Holds bodies, interactions, cassettes and HAR files against the documented contract.",
    )
    whole.add_argument("--version", action="version", version=f"%(prog)s {version('pytest-veeqo-alloc')}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
    schema = commands.add_parser("schema", help="print a JSON Schema")
    schema.add_argument("side", choices=BODY_SIDES)
    schema.add_argument("--profile", help="the schema that rejects what this profile makes an error (default: open)")
    schema.set_defaults(command=_schema)
    openapi = commands.add_parser("openapi", help="print the call as an OpenAPI 3.1 document")
    openapi.add_argument("--profile", help="with the schemas of this profile (default: open)")
    openapi.set_defaults(command=_openapi)
    rules = commands.add_parser("rules", help="print every rule")
    rules.add_argument("--format", choices=("text", "json"), default="text")
    rules.set_defaults(command=_rules)
    example = commands.add_parser("example", help="print the documented example, sanitised")
    example.add_argument("side", choices=BODY_SIDES)
    example.add_argument("--seed", type=int, metavar="N", help="another valid one instead, the same for the same N")
    example.set_defaults(command=_example)
    redact = commands.add_parser("redact", help="replace what may not be shown in cassettes, HAR and interaction files")
    redact.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    redact.add_argument("--in-place", action="store_true", help="write the files anew (default: print the one file)")
    redact.set_defaults(command=_redact)
    cleanup = commands.add_parser("cleanup", help="delete what a journal says was allocated, where that is safe")
    cleanup.add_argument("journal", metavar="JOURNAL")
    cleanup.add_argument("--base-url", required=True, metavar="URL", help="the server that the journal is of")
    cleanup.add_argument("--allow-host", action="append", default=[], metavar="HOST[:PORT]", help="say its host again")
    cleanup.add_argument("--rate", type=float, metavar="R", help="requests a second, at most 5 (default)")
    cleanup.add_argument(
        "--trust-env", action="store_true", help="use proxies, .netrc and CA bundles of the environment"
    )
    cleanup.set_defaults(command=_cleanup)
    add_serve(commands)
    add_report(commands)
    return whole


def _add_check(commands: Any) -> None:
    check = commands.add_parser("check", help="check files and folders")
    check.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    check.add_argument("--as", dest="kind", choices=KINDS, help="what the files are (default: told from their content)")
    add_contract(check)
    check.add_argument("--expect-status", type=int, metavar="N", help="the status that every response should have")
    check.add_argument("--lint", action="store_true", help="also look for secrets and other formats in every call")
    check.add_argument("--max-age", type=_days, metavar="DAYS", help="with --lint: how old a recording may be")
    check.add_argument("--format", choices=("text", "json", "github"), default="text")
    check.set_defaults(command=_check)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("a whole number of days, such as 90")
    return int(text)


def _check(chosen: argparse.Namespace) -> int:
    if chosen.max_age is not None and not chosen.lint:
        raise ValueError("--max-age is looked at with --lint only: give both")
    engine = engine_of_options(chosen)
    options = FileCheckOptions(chosen.kind, chosen.expect_status, lint=chosen.lint, max_age=chosen.max_age)
    run = check_paths(chosen.paths, engine, options)
    _show(run, chosen.format)
    for file, sentence in run.unreadable:
        print_error(f"{file}: {sentence}")
    for file in run.unrecognised:
        print_error(f"{file}: skipped, since it is no body, interaction, cassette or HAR file; if it is one, use --as")
    if not run.checked and not run.unreadable:
        print_error("nothing was checked: no body and no call of the documented operation was found")
    if run.unreadable or not run.checked:
        return COULD_NOT_RUN
    return ERRORS_FOUND if run.errors else CLEAN


def _show(run: CheckRun, format_name: str) -> None:
    if format_name == "json":
        print(json_text(run))
        return
    for line in github_lines(run) if format_name == "github" else terminal_lines(run):
        print(line)


def _schema(chosen: argparse.Namespace) -> int:
    print(json.dumps(load_schema(chosen.side, chosen.profile), indent=2))
    return CLEAN


def _openapi(chosen: argparse.Namespace) -> int:
    print(json.dumps(openapi_document(chosen.profile), indent=2))
    return CLEAN


def _rules(chosen: argparse.Namespace) -> int:
    if chosen.format == "json":
        rows = [
            {"id": r.id, "sides": r.sides, "basis": r.basis, "severities": r.severities, "stored": r.stored,
             "summary": r.summary, "wanted": r.wanted, "remedies": r.remedies, "source": r.source}
            for r in CATALOGUE.values()
        ]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return CLEAN
    print(f"{'rule':<25} {'side':<8} {'basis':<10} {' / '.join(PROFILES)}: problem")
    for rule in CATALOGUE.values():
        side = rule.sides[0] if len(rule.sides) == 1 else "both"
        severities = " / ".join(rule.severities[profile] for profile in PROFILES)
        print(f"{rule.id:<25} {side:<8} {rule.basis:<10} {severities}: {rule.summary}")
    return CLEAN


def _example(chosen: argparse.Namespace) -> int:
    if chosen.seed is None:
        print(read_shipped_text(f"schemas/examples/{chosen.side}.json"), end="")
        return CLEAN
    from pytest_veeqo_alloc.strategies.sampling import sample  # loads Hypothesis, which no other command needs

    print(json.dumps(sample(chosen.side, chosen.seed), indent=2))
    return CLEAN


def _redact(chosen: argparse.Namespace) -> int:
    errors: list[tuple[str, str]] = []
    files = redact_files(chosen.paths, errors)
    if not chosen.in_place and len(files) > 1:
        raise ValueError(f"{len(files)} files cannot be printed as one: give --in-place, or one file at a time")
    for file in files:
        if chosen.in_place and file.path != "-":
            try:
                write_back(file)
            except OSError as error:
                errors.append((file.path, f"cannot be written: {error.strerror}"))
                continue
            print(f"{printable(file.path)}: {'redacted' if file.changed else 'nothing to redact'}")
        else:
            print(file.text, end="")
        if file.dropped:
            print_error(f"{file.path}: bodies that are neither JSON nor a form were dropped: {file.dropped}")
    for path, sentence in errors:
        print_error(f"{path}: {sentence}")
    if not files and not errors:
        print_error("nothing was redacted: no cassette, HAR file or interaction was found")
    return COULD_NOT_RUN if errors or not files else CLEAN


def _cleanup(chosen: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.live import LiveError
    from pytest_veeqo_alloc.live.cleanup import clean_up_file  # loads requests, which no other command needs
    from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, WriteOptions

    wishes = WriteOptions(
        base_url=chosen.base_url,
        allow_hosts=tuple(chosen.allow_host),
        api_key=os.environ.get(KEY_VARIABLE, ""),
        rate=chosen.rate,
        trust_env=chosen.trust_env,
    )
    try:
        cleaned = clean_up_file(Path(chosen.journal), wishes)
    except LiveError as error:
        raise ValueError(error.for_command()) from None
    for each in cleaned:
        print(printable(each.sentence))
    print(f"orders: {len(cleaned)}, with something left: {sum(each.is_left for each in cleaned)}")
    return ERRORS_FOUND if any(each.is_left for each in cleaned) else CLEAN


def entry() -> None:
    """The console script."""
    sys.exit(main())
