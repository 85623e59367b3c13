"""The command line program `veeqo-alloc`: the argument parser and the commands."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import sys
import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_veeqo_alloc.capture.readers import KINDS
from pytest_veeqo_alloc.capture.writers import write_atomically
from pytest_veeqo_alloc.cli.files import FileCheckOptions, check_paths, redact_files
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, CATALOGUE, PROFILES, READERS, parse_overrides
from pytest_veeqo_alloc.core.http import Secret
from pytest_veeqo_alloc.core.text import json_text, pluralise, printable, unknown_name
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import Document, merge_reports
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError
from pytest_veeqo_alloc.live.journal import default_name
from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, WriteOptions, grant_permission, load_pool
from pytest_veeqo_alloc.reporting import formatters
from pytest_veeqo_alloc.reporting.baseline import BaselineOptions, expiry_date, write_baseline
from pytest_veeqo_alloc.reporting.formatters import print_error
from pytest_veeqo_alloc.reporting.report_file import build_run, load, save, validate_report_path
from pytest_veeqo_alloc.spec.loader import field_trees, load_schema, load_uses, openapi_document, read_shipped_text

if TYPE_CHECKING:
    from pytest_veeqo_alloc.cli.serve import Output
    from pytest_veeqo_alloc.server.request_log import BaseServer

CLEAN, ERRORS_FOUND, COULD_NOT_RUN = 0, 1, 2
"""The exit statuses of the commands."""

_FORMATS = {
    "text": formatters.terminal_lines,
    "json": formatters.json_lines,
    "github": formatters.github_lines,
    "junit": formatters.junit_lines,
    "sarif": formatters.sarif_lines,
}
_REPEATABLE: dict[str, Any] = {"action": "append", "default": []}


def entry() -> None:
    """Run the program and exit with its status. The console script calls this function."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments* (default: `sys.argv[1:]`). Print errors. Return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = parser().parse_args(arguments)
        status: int = args.command(args)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except (LiveError, ValueError) as error:
        message = error.for_command() if isinstance(error, LiveError) else str(error)
        for sentence in message.splitlines():
            print_error(sentence)
        return COULD_NOT_RUN
    except OSError as error:
        # Redirect the output, so that flushing at exit does not fail as well. A closed pipe is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print_error(f"the output cannot be written: {error.strerror}")
        return COULD_NOT_RUN


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def parser() -> argparse.ArgumentParser:
    """Return the argument parser with all commands."""
    root = _Parser(
        prog="veeqo-alloc",
        description="Check request and response bodies, interactions, cassettes and HAR files against the documented "
        "contract. Exit status: 0 no errors found, 1 errors found, 2 the command could not run.",
        epilog="Example: veeqo-alloc check tests/cassettes. For help on a command: veeqo-alloc COMMAND --help",
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {version('pytest-veeqo-alloc')}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_check, _add_printers, _add_page, _add_redact, _add_record, _add_cleanup, _add_serve, _add_report):
        add(commands)
    return root


def _add_command(commands: Any, name: str, summary: str, status: str, example: str, details: str = "") -> Any:
    """Add the subcommand *name* and return its parser. The help text has the exit statuses and an example."""
    description = " ".join(filter(None, (f"{summary[0].upper()}{summary[1:]}.", details, f"Exit status: {status}.")))
    return commands.add_parser(name, help=summary, description=description, epilog=f"Example: veeqo-alloc {example}")


_JOURNAL = "default: veeqo-alloc-journal-HOST-PORT.jsonl"
_PRINTED = "0 printed, 2 an argument is invalid"


def _add_contract_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--profile", default="documented", help=f"one of {', '.join(PROFILES)} (default: documented)")
    command.add_argument(
        "--rule",
        **_REPEATABLE,
        metavar="ID=SEVERITY",
        help="severity of a rule: error, warning or off (default: that of the profile)",
    )
    names = ("--deviations", "--veeqo-alloc-deviations")  # failure messages suggest the pytest option
    text = "accept known deviations: the bundled pack 'observed', or a TOML file (default: none)"
    command.add_argument(*names, **_REPEATABLE, metavar="PACK|FILE", help=text)


def _engine(args: argparse.Namespace) -> Engine:
    return Engine(args.profile, rules=parse_overrides(args.rule), deviations=args.deviations)


def _add_live_options(command: Any, limit: str, trusted: str) -> None:
    text = "a host that may receive writes; must match the URL"
    command.add_argument("--allow-host", **_REPEATABLE, metavar="HOST[:PORT]", help=text)
    command.add_argument(
        "--rate", type=float, metavar="REQUESTS", help=f"maximum requests per second (default: 5, {limit})"
    )
    command.add_argument("--trust-env", action="store_true", help=f"use {trusted} from the environment")


def _write_options(args: argparse.Namespace, base_url: str, max_writes: int = 0, orders: str = "") -> WriteOptions:
    key, hosts = Secret(os.environ.get(KEY_VARIABLE, "")), tuple(args.allow_host)
    return WriteOptions(base_url, hosts, key, max_writes, orders, rate=args.rate, trust_env=args.trust_env)


def _whole_number(most: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {most}")
    return int(text)


_days, _port = partial(_whole_number, 36_500), partial(_whole_number, 65_535)


def _add_check(commands: Any) -> None:
    check = _add_command(
        commands,
        "check",
        "check files and folders",
        "0 no errors found, 1 errors found, 2 nothing was checked or a file could not be read",
        "check tests/cassettes",
        "Read .json, .yaml, .yml, .har and .bru files. Skip and count files without the documented call.",
    )
    check.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    check.add_argument("--as", dest="kind", choices=KINDS, help="the kind of the files (default: detected)")
    _add_contract_options(check)
    check.add_argument(
        "--expect-status", type=int, metavar="STATUS", help="the status that every response must have (default: 201)"
    )
    check.add_argument("--lint", action="store_true", help="also look for secrets, in calls of every operation")
    check.add_argument(
        "--max-age", type=_days, metavar="DAYS", help="with --lint: the maximum age of a recording (default: no limit)"
    )
    check.add_argument("-v", "--verbose", action="store_true", help="also list what was skipped, with the reason")
    _add_format(check, _FORMATS)
    check.add_argument(
        "--write-deviations", metavar="FILE", help="write a TOML file that accepts all findings, or update the file"
    )
    _add_baseline_options(check)
    check.set_defaults(command=_check)


def _add_format(command: argparse.ArgumentParser, formats: Iterable[str] = ("text", "json")) -> None:
    text = "the format of the output (default: text)"
    command.add_argument("--format", choices=tuple(formats), default="text", help=text)


def _add_baseline_options(command: argparse.ArgumentParser) -> None:
    text = "the last day on which the added entries apply, such as 2027-06-30 (default: no limit)"
    command.add_argument("--expires", metavar="DATE", help=text)
    command.add_argument(
        "--prune", action="store_true", help="remove entries that no longer match (default: mark them)"
    )
    command.add_argument("--partial", action="store_true", help="write the file even if the run is incomplete")


def _baseline_options(args: argparse.Namespace, of: str = "") -> BaselineOptions:
    expires = expiry_date(args.expires) if args.expires else None
    return BaselineOptions(expires, prune=args.prune, partial=args.partial, of=of)


def _check(args: argparse.Namespace) -> int:
    if args.max_age is not None and not args.lint:
        raise ValueError("--max-age requires --lint: give both")
    if (args.expires or args.prune or args.partial) and not args.write_deviations:
        raise ValueError("--expires, --prune and --partial require --write-deviations FILE")
    baseline = _baseline_options(args, "bodies and interactions in files")
    options = FileCheckOptions(args.kind, args.expect_status, lint=args.lint, max_age=args.max_age)
    counter, started = CoverageCounter(), datetime.datetime.now(datetime.UTC)
    engine = _engine(args).with_listener(counter if args.write_deviations else None)
    run = check_paths(args.paths, engine, options)
    for line in _FORMATS[args.format](run):
        print(line)
    for sentence in run.skipped if args.verbose else ():
        print_error(f"skipped: {sentence}")
    for file, count in run.missing_bodies.items():
        print_error(f"{file}: not checked: {pluralise(count, 'body', 'bodies')} that the file does not contain")
    for file, sentence in run.unreadable:
        print_error(f"{file}: {sentence}")
    for file in run.unrecognised:
        print_error(f"{file}: skipped: not a body, interaction, cassette or HAR file; if it is one, give --as KIND")
    if not run.checked and not run.unreadable:
        print_error("nothing was checked: no body and no interaction of the documented operation was found")
    is_written = True
    if args.write_deviations and run.checked:
        incomplete = f"{pluralise(len(run.unreadable), 'file')} could not be read" if run.unreadable else ""
        made = ("veeqo-alloc check", started, uuid.uuid4().hex)
        report = build_run(engine, counter.by_origin, *made, incomplete=incomplete).report
        is_written = _write_deviations(report, args.write_deviations, baseline)
    if run.unreadable or not run.checked or not is_written:
        return COULD_NOT_RUN
    return ERRORS_FOUND if run.errors else CLEAN


def _write_deviations(report: Document, path: str, options: BaselineOptions) -> bool:
    """Write the deviations file *path*, and print what has changed. Return true if the file was written."""
    try:
        lines, is_written = write_baseline(report, Path(path), options), True
    except ValueError as error:
        lines, is_written = [str(error)], False
    for line in lines:
        print_error(line)
    return is_written


def _add_printers(commands: Any) -> None:
    schema = _add_command(commands, "schema", "print a JSON Schema", _PRINTED, "schema response --profile strict")
    schema.add_argument("side", choices=BODY_SIDES, help="the body that the schema describes")
    schema.add_argument(
        "--profile",
        metavar="PROFILE",
        help="also apply the rules of this profile (default: allow undocumented members)",
    )
    schema.set_defaults(command=lambda args: _print_json(load_schema(args.side, args.profile)))
    summary = "print the operation as an OpenAPI 3.1 document"
    openapi = _add_command(commands, "openapi", summary, _PRINTED, "openapi > openapi.json")
    openapi.add_argument("--profile", help="use the schemas of this profile (default: allow undocumented members)")
    text = "leave out the error responses, which are not on the documentation page"
    openapi.add_argument("--strict-page", action="store_true", help=text)
    openapi.set_defaults(command=lambda args: _print_json(openapi_document(args.profile, strict_page=args.strict_page)))
    export = commands.add_parser("export", help="print requests and tests of the operation for another tool")
    formats = export.add_subparsers(required=True, metavar="FORMAT")
    summary = "print a Postman collection: valid and broken requests, with tests"
    postman = _add_command(formats, "postman", summary, _PRINTED, "export postman > collection.json")
    text = "the profile of the schema, and of the rules that a broken request breaks (default: documented)"
    postman.add_argument("--profile", default="documented", help=text)
    postman.set_defaults(command=_postman)
    rules = _add_command(commands, "rules", "print every rule, or explain one", _PRINTED, "rules wrong-type")
    rules.add_argument(
        "rule", metavar="ID", nargs="?", help="explain this rule: examples, remedies, how to turn it off"
    )
    _add_format(rules)
    rules.set_defaults(command=_rules)
    example = _add_command(commands, "example", "print an example body", _PRINTED, "example response --seed 7")
    example.add_argument("side", choices=BODY_SIDES, help="the body to print")
    example.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="print a generated body, which depends only on N (default: the documented example)",
    )
    example.set_defaults(command=_example)


def _print_json(value: object) -> int:
    print(json_text(value, indent=2))
    return CLEAN


def _postman(args: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.cli.postman import collection  # loads Hypothesis

    return _print_json(collection(args.profile))


def _rules(args: argparse.Namespace) -> int:
    lines = [] if args.rule is None else explanation(args.rule)
    if args.format == "json":
        return _print_json([
            {"id": r.id, "sides": r.sides, "basis": r.basis, "severities": r.severities, "stored": r.stored,
             "summary": r.summary, "wanted": r.wanted, "remedies": r.remedies, "source": r.source}
            for r in CATALOGUE.values() if args.rule in (None, r.id)
        ])  # fmt: skip
    if lines:
        print("\n".join(lines))
        return CLEAN
    print(f"{'rule':<25} {'side':<8} {'basis':<10} {' / '.join(PROFILES)}: problem")
    for rule in CATALOGUE.values():
        side = rule.sides[0] if len(rule.sides) == 1 else "both"
        severities = " / ".join(rule.severities[profile] for profile in PROFILES)
        print(f"{rule.id:<25} {side:<8} {rule.basis:<10} {severities}: {rule.summary}")
    return CLEAN


def explanation(rule_id: str) -> list[str]:
    """Return lines that explain a rule, with an example that breaks it. Raise ValueError for an unknown rule."""
    if rule_id not in CATALOGUE:
        raise ValueError(unknown_name("rule", rule_id, CATALOGUE))
    rule = CATALOGUE[rule_id]
    examples = json.loads(read_shipped_text("schemas/examples/rules.json"))[rule_id]
    remedies = [(f"for the {READERS[side]}", text) for side, text in rule.general_remedies.items()]
    rows = [
        ("source", f"{rule.source} ({rule.basis})"),
        *((f"profile {profile}", rule.severities[profile]) for profile in PROFILES),
        ("wanted", rule.wanted),
        *(("breaks it", line) for line in examples["breaks"]),
        *(("is fine", line) for line in examples["close"]),
        *remedies,
        ("turn it off", f'--veeqo-alloc-rule {rule_id}=off, or Contract(rules={{"{rule_id}": "off"}})'),
        ("accept a place", "--veeqo-alloc-deviations FILE, which names the rule, the place and a reason"),
    ]
    return [f"{rule_id}: {rule.summary}", "", *(f"  {name:<22} {text}" for name, text in rows)]


def _example(args: argparse.Namespace) -> int:
    if args.seed is not None:
        from pytest_veeqo_alloc.strategies.sampling import sample  # loads Hypothesis, which no other command needs

        return _print_json(sample(args.side, args.seed))
    print(read_shipped_text(f"schemas/examples/{args.side}.json"), end="")
    return CLEAN


def _add_page(commands: Any) -> None:
    page = _add_command(
        commands,
        "page",
        "compare a copy of the documentation page with the bundled schemas",
        "0 no differences, 1 differences, 2 the file could not be read",
        "page allocations.html",
        "Compare fields, types, required fields, parameters, statuses and headers.",
    )
    text = "the text of the page as copied from a browser, its HTML, or an OpenAPI 3 document with the operation"
    page.add_argument("file", metavar="FILE", help=text)
    page.add_argument("--write", metavar="FOLDER", help="also write schema files that match the page")
    page.set_defaults(command=_page)


def _page(args: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.spec.page import differences, revised_files
    from pytest_veeqo_alloc.spec.page_reader import read_page

    try:
        page = read_page(Path(args.file).read_bytes())
        found = differences(page)
        for name, text in revised_files(page).items() if args.write else ():
            write_atomically(Path(args.write, name), text)
    except OSError as error:
        raise ValueError(f"{str(error.filename)!a}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{args.file!a}: {error}") from None
    for line in found:
        print(printable(line))
    print(f"{pluralise(len(found), 'difference')} between the page and the schemas")
    return ERRORS_FOUND if found else CLEAN


def _add_redact(commands: Any) -> None:
    redact = _add_command(
        commands,
        "redact",
        "replace secrets and personal data in recorded interactions",
        "0 redacted, 2 nothing to redact was found, or a file could not be read or written",
        "redact --in-place tests/cassettes",
    )
    redact.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    redact.add_argument("--in-place", action="store_true", help="rewrite the files (default: print a redacted file)")
    redact.set_defaults(command=_redact)


def _redact(args: argparse.Namespace) -> int:
    errors: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    files = redact_files(args.paths, errors, skipped)
    if not args.in_place and len(files) > 1:
        raise ValueError(f"{len(files)} files cannot be printed as one: give --in-place, or one file at a time")
    for file in files:
        if not args.in_place or file.path == "-":
            print(file.text, end="")
        else:
            try:
                if file.changed:
                    write_atomically(Path(file.target), file.text, folder=file.folder)
            except OSError as error:
                errors.append((file.path, f"cannot be written: {error.strerror}"))
                continue
            print(f"{printable(file.path)}: {'redacted' if file.changed else 'nothing to redact'}")
        if file.dropped:
            print_error(f"{file.path}: removed bodies (neither JSON nor a form): {file.dropped}")
    for path, sentence in (*skipped, *errors):
        print_error(f"{path}: {sentence}")
    if not files and not errors:
        print_error("nothing was redacted: no cassette, HAR file or interaction was found")
    return COULD_NOT_RUN if errors or not files else CLEAN


def _add_record(commands: Any) -> None:
    record = _add_command(
        commands,
        "record",
        "send one allocation request to a server, and record it as a cassette",
        "0 recorded without errors, 1 the response has errors or the allocation could not be deleted, 2 no cassette was written",
        "record --base-url URL --orders pool.toml -o one-unit.yaml",
        "Allocate one unit of the first sellable of the first order in a pool, and write the redacted request and response to a "
        "cassette. Show the request and ask for the name of the host first.",
    )
    record.add_argument("--base-url", required=True, metavar="URL", help="the server that receives the request")
    record.add_argument("--orders", required=True, metavar="FILE", help="a TOML file of the writable orders")
    record.add_argument("-o", "--output", required=True, metavar="FILE", help="the cassette to write, a .yaml file")
    record.add_argument("--dry-run", action="store_true", help="show the request, and send nothing")
    record.add_argument("--yes", action="store_true", help="send without asking; requires --allow-host")
    record.add_argument("--force", action="store_true", help="replace an existing cassette")
    record.add_argument("--journal", default="", metavar="FILE", help=f"the file that records the write ({_JOURNAL})")
    _add_contract_options(record)
    _add_live_options(record, "at most 5", "proxies, .netrc and CA bundles")
    record.set_defaults(command=_record)


def _record(args: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.cli.record import RecordOptions, record

    write = _write_options(args, args.base_url, 1, args.orders)
    options = RecordOptions(args.output, args.journal, dry_run=args.dry_run, yes=args.yes, force=args.force)
    return CLEAN if record(_engine(args), write, options) else ERRORS_FOUND


def _add_cleanup(commands: Any) -> None:
    cleanup = _add_command(
        commands,
        "cleanup",
        "delete the allocations that a journal lists, if deletion is safe",
        "0 no allocations are left, 1 allocations are left, 2 the command could not run",
        "cleanup JOURNAL --base-url URL --allow-host HOST",
    )
    cleanup.add_argument("journal", metavar="JOURNAL", help="the file of --veeqo-alloc-journal")
    cleanup.add_argument("--base-url", required=True, metavar="URL", help="the server that received the writes")
    _add_live_options(cleanup, "at most 5", "proxies, .netrc and CA bundles")
    cleanup.set_defaults(command=_cleanup)


def _cleanup(args: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.live.cleanup import clean_up_file  # loads requests, which few commands need

    results = clean_up_file(Path(args.journal), _write_options(args, args.base_url))
    for result in results:
        print(printable(result.sentence))
    left = sum(result.is_left for result in results)
    print(f"orders: {len(results)}, with allocations left: {left}")
    return ERRORS_FOUND if left else CLEAN


def _add_serve(commands: Any) -> None:
    serve = _add_command(
        commands,
        "serve",
        "run a fake of the API, or a proxy to a server, and check each request",
        "0 no errors found, 1 errors found, 2 the server could not start",
        "serve -- npm test",
        "Without --upstream, run the fake. The output begins with the URL, and each request adds a line. SIGINT or SIGTERM stops "
        "the server. With a COMMAND, the server runs as long as the command. If the command fails, the exit status is its own.",
    )
    text = "run this command, with VEEQO_ALLOC_URL and VEEQO_ALLOC_API_KEY set; write it last, after --"
    serve.add_argument("words", nargs="*", metavar="COMMAND", help=text)
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="the address to listen on (default: 127.0.0.1)"
    )
    serve.add_argument("--port", type=_port, default=0, help="the port to listen on (default: a free one)")
    serve.add_argument("--name", **_REPEATABLE, metavar="HOST", help="also accept requests for this host name")
    _add_contract_options(serve)
    text = "a TOML file of the orders in the fake (default: none), or of the writable orders of the upstream ('any': all orders)"
    serve.add_argument("--orders", default="", metavar="FILE|any", help=text)
    serve.add_argument("--report", **_REPEATABLE, metavar="FILE", help="write a report to a .json or .html file")
    fake = serve.add_argument_group("the fake")
    text = "how the fake behaves where the documentation is silent (default: 'default')"
    fake.add_argument("--policy", choices=("default", "strict", "vendor"), help=text)
    text = "a TOML file of responses to other calls, as [[stub]] tables with the arguments of stub()"
    fake.add_argument("--stubs", default="", metavar="FILE", help=text)
    proxy = serve.add_argument_group("the proxy")
    proxy.add_argument("--upstream", metavar="URL", help="the server to forward requests to")
    proxy.add_argument(
        "--max-writes", type=int, default=0, metavar="WRITES", help="maximum number of writes (default: 0)"
    )
    proxy.add_argument("--journal", metavar="FILE", help=f"the file that records every write ({_JOURNAL})")
    proxy.add_argument("--allow-reads", action="store_true", help="also forward GET, HEAD and OPTIONS of any path")
    text = "forward the requests of web pages of this origin, such as http://localhost:3000"
    proxy.add_argument("--allow-origin", **_REPEATABLE, metavar="ORIGIN", help=text)
    _add_live_options(proxy, "at most 5 unless --orders is 'any'", "proxies and CA bundles")
    serve.set_defaults(command=_serve)


def _serve(args: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.cli.serve import Output, serve, write_reports

    for path in args.report:
        validate_report_path(path)
    counter, started = CoverageCounter(), datetime.datetime.now(datetime.UTC)
    engine = _engine(args).with_listener(counter if args.report else None)
    try:
        with ExitStack() as stack:
            output = Output()
            server = _server(args, engine, stack, output)
            status = serve(server, output, host=args.host, port=args.port, names=tuple(args.name), command=args.words)
    except LiveError as error:
        raise ValueError(error.for_command().replace("--base-url", "--upstream")) from None
    are_written = not args.report or write_reports(engine, counter, started, args.report)
    # Findings decide the exit status even if a report cannot be written.
    return status or (CLEAN if are_written else COULD_NOT_RUN)


def _server(args: argparse.Namespace, engine: Engine, stack: ExitStack, output: Output) -> BaseServer:
    from pytest_veeqo_alloc.cli.serve import describe_record, load_stubs, world_of
    from pytest_veeqo_alloc.live.client import open_live
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.proxy import Proxy
    from pytest_veeqo_alloc.server.state import POLICIES

    # If a command runs, the output is that of the command.
    on_record = None if args.words else lambda record: output.put(describe_record(record))
    if not args.upstream:
        if args.allow_host or args.max_writes or args.allow_reads or args.allow_origin:
            given = "--allow-host, --max-writes, --allow-reads and --allow-origin"
            raise ValueError(f"{given} are for the proxy: give --upstream URL")
        world = world_of(load_pool(args.orders, Path())) if args.orders else None
        stubs = load_stubs(args.stubs) if args.stubs else []
        return Fake(engine, POLICIES[args.policy or "default"](), world=world, stubs=stubs, on_record=on_record)
    for option in ("policy", "stubs"):
        if getattr(args, option):
            raise ValueError(f"--{option} is for the fake: omit --{option}, or omit --upstream")
    options = replace(_write_options(args, args.upstream, args.max_writes, args.orders), api_key="")
    permission = grant_permission(options, needs_key=False)
    live = stack.enter_context(open_live(permission, Path(args.journal or default_name(permission.target))))
    return Proxy(engine, live, reads=args.allow_reads, allow_origins=args.allow_origin, on_record=on_record)


def _add_report(commands: Any) -> None:
    report = commands.add_parser("report", help="merge reports, or compare two reports")
    actions = report.add_subparsers(required=True, metavar="ACTION")
    merge = _add_command(
        actions,
        "merge",
        "merge reports; a run in several of the reports is counted once",
        "0 merged, 2 a report could not be read or written",
        "report merge report-1.json report-2.json -o both.html",
    )
    merge.add_argument("reports", nargs="+", metavar="REPORT", help="a .json file of --veeqo-alloc-report")
    merge.add_argument("-o", "--output", metavar="FILE", help="the .json or .html file to write (default: print JSON)")
    merge.set_defaults(command=_merge)
    deviations = _add_command(
        actions,
        "deviations",
        "write a deviations file that accepts all findings of reports",
        "0 written, 2 not written",
        "report deviations report.json -o accepted.toml",
    )
    deviations.add_argument("reports", nargs="+", metavar="REPORT", help="a .json file of --veeqo-alloc-report")
    text = "the TOML file to write; if it exists, it is updated"
    deviations.add_argument("-o", "--output", required=True, metavar="FILE", help=text)
    _add_baseline_options(deviations)
    deviations.set_defaults(command=_report_deviations)
    diff = _add_command(
        actions,
        "diff",
        "compare the drift (differences from the documentation) of two reports",
        "0 no new drift, 1 NEW has drift that OLD does not have, 2 a report could not be read",
        "report diff october.json november.json",
        "Drift: undocumented members, absent documented members, nulls and undocumented types.",
    )
    diff.add_argument("old", metavar="OLD", help="the .json file of the earlier report")
    diff.add_argument("new", metavar="NEW", help="the .json file of the later report")
    text = "a file that lists the response fields that the client uses; new drift at other fields is only counted"
    diff.add_argument("--uses", metavar="FILE", help=text)
    _add_format(diff)
    text = "also write NEW, with its drift since OLD, to this .html file"
    diff.add_argument("-o", "--output", metavar="FILE", help=text)
    diff.set_defaults(command=_diff)


def _merge(args: argparse.Namespace) -> int:
    if args.output:
        validate_report_path(args.output)
    report = merge_reports(load(path) for path in args.reports)
    if args.output:
        save(report, Path(args.output))
    else:
        print(json_text(report))
    return CLEAN


def _report_deviations(args: argparse.Namespace) -> int:
    report, options = merge_reports(load(path) for path in args.reports), _baseline_options(args)
    return CLEAN if _write_deviations(report, args.output, options) else COULD_NOT_RUN


def _diff(args: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.contract.deviations import Uses
    from pytest_veeqo_alloc.coverage.report_model import compare_reports

    if args.output:
        validate_report_path(args.output, (".html",))
    old, new = load(args.old), load(args.new)
    for path, report in ((args.old, old), (args.new, new)):
        if not any(run["origins"] for run in report["runs"]):
            raise ValueError(f"{path!a}: the report has no interaction, so there is nothing to compare")
    uses = Uses(load_uses(args.uses)) if args.uses else None
    found = compare_reports(old, new, field_trees(), uses)
    if args.output:
        save(new, Path(args.output), old, uses)
    if args.format == "json":
        rows: dict[str, Any] = {"new": formatters.drift_rows(found.new), "gone": formatters.drift_rows(found.gone)}
        _print_json(rows | ({"unused": found.unused} if args.uses else {}))
    else:
        for line in formatters.comparison_lines(found):
            print(line)
    return ERRORS_FOUND if found.new else CLEAN
