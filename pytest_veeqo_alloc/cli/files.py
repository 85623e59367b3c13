"""Functions that find, check and redact files."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_veeqo_alloc.capture.documents import ForeignFormatError, UnreadableFileError
from pytest_veeqo_alloc.capture.readers import CassetteVersionError, Kind, LoadedFile, load
from pytest_veeqo_alloc.capture.writers import leads_out, render_redacted
from pytest_veeqo_alloc.contract.checker import expecting
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import expected_statuses, resent
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.lint import age_breaches, body_breaches, format_breach, other_breaches
from pytest_veeqo_alloc.redaction.redactor import Redactor
from pytest_veeqo_alloc.reporting.formatters import CheckRun, FileResult
from pytest_veeqo_alloc.spec.loader import operation_matches, side_of, tables

_SUFFIXES = (".json", ".yaml", ".yml", ".har", ".bru")
_OURS = (b"interactions", b"allocation", b"allocated_", b"sellable")
"""A file without any of these words contains no call of the documented operation."""
_CALL = (b"/allocations", b"\\/allocations", b'"allocations"', b"line_items_attributes")
"""A file in an unsupported format without any of these words contains no call of the documented operation."""

_SILENT_SECONDS = 2.0

Errors = list[tuple[str, str]]
"""Pairs: the path of a file, and the reason why the file cannot be used."""


@dataclass(frozen=True, slots=True)
class FileCheckOptions:
    """The options for checking files."""

    kind: Kind | None = None  # the kind of every file; None: detect the kind of each file
    expect_status: int | None = None  # the status that every response must have; None: the documented status
    lint: bool = False  # also look for secrets
    max_age: int | None = None  # the maximum age of a recording in days


def check_paths(paths: list[str], engine: Engine, options: FileCheckOptions) -> CheckRun:
    """Check the files that *paths* name. Each path is a file, a folder, or `-` for standard input."""
    run = CheckRun()
    with _showing_progress(run):
        _check_paths(run, paths, engine, options)
    return run


@contextmanager
def _showing_progress(run: CheckRun) -> Iterator[None]:
    """After two seconds, show the progress of *run* on standard error if that is a terminal. Clear it at the end."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    is_done = threading.Event()

    def show() -> None:
        line, delay = "", _SILENT_SECONDS
        while not is_done.wait(delay):
            files = pluralise(run.files, "file")
            checked = pluralise(len(run.checked), "body or interaction", "bodies and interactions")
            line, delay = f"veeqo-alloc: {files} read, {checked} checked", 0.5
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        print(f"\r{' ' * len(line)}\r" if line else "", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


def _check_paths(run: CheckRun, paths: list[str], engine: Engine, options: FileCheckOptions) -> None:
    matches = (lambda _: True) if options.lint else operation_matches
    for path, folder, data in _walk(paths, run.unreadable):
        is_named = not folder
        try:
            loaded = load(data, path, kind=options.kind, side_of=side_of, matches=matches)
        except UnreadableFileError as error:
            if options.lint and isinstance(error, CassetteVersionError):
                run.files += 1
                _add(run, engine, path, path, engine.file_findings([format_breach(error.version)]))
            elif is_named or _is_relevant(error, data):
                run.unreadable.append((path, str(error)))
            else:
                run.skipped.append(f"{path}: {error}")
            continue
        run.files += 1
        if loaded is None:
            run.skipped.append(f"{path}: not a body, interaction, cassette or HAR file")
            run.unrecognised += [path] if is_named else []
            continue
        _check(run, engine, path, loaded, options)
        if is_named or any(word in data for word in _OURS):
            run.unreadable += [(path, sentence) for sentence in loaded.broken]
        else:
            run.skipped += [f"{path}: {sentence}" for sentence in loaded.broken]


def _is_relevant(error: UnreadableFileError, data: bytes) -> bool:
    """Return whether *data*, the content of an unreadable file, may contain the documented call."""
    words = _CALL if isinstance(error, ForeignFormatError) else _OURS
    return error.is_relevant or any(word in data for word in words)


def _check(run: CheckRun, engine: Engine, path: str, loaded: LoadedFile, options: FileCheckOptions) -> None:
    run.skipped += loaded.skipped
    if options.lint and len(found := engine.file_findings(other_breaches(loaded.others()))):
        _add(run, engine, path, path, found)
    if loaded.kind in ("request", "response"):
        results = [engine.check_body(loaded.kind, loaded.body)]
        if options.lint:
            results.append(engine.file_findings(body_breaches(loaded.kind, loaded.body)))
        _add(run, engine, path, path, engine.merge(results))
    expected, intermediate = expected_statuses(options.expect_status), resent(loaded.interactions, tables().operation)
    for index, interaction in enumerate(loaded.interactions):
        results = [engine.lint(interaction)] if options.lint else []
        if operation_matches(interaction) or interaction.request is None:
            context = expecting(expected, interaction.response, stored=True)
            context = replace(context, is_final=index not in intermediate)
            results.insert(0, engine.evaluate(interaction, context))
            if engine.is_counting:
                engine.publish("cassette", interaction, results[0], context)
        messages = [message for message in (interaction.request, interaction.response) if message is not None]
        if missing := sum(not message.is_body_known for message in messages):
            run.missing_bodies[path] = run.missing_bodies.get(path, 0) + missing
            if missing == len(messages) and not any(map(len, results)):
                run.skipped.append(f"{interaction.source}: the file does not contain its bodies")
                continue
        _add(run, engine, path, interaction.source, engine.merge(results))
    if options.lint and options.max_age is not None and loaded.kind in ("cassette", "har"):
        age = engine.file_findings(age_breaches(loaded.recorded_on, engine.settings.deviations.today, options.max_age))
        if len(age):
            _add(run, engine, path, path, age)


def _add(run: CheckRun, engine: Engine, file: str, source: str, findings: Findings) -> None:
    run.checked.append(FileResult(file, source, findings, engine.hint(findings)))


@dataclass(frozen=True, slots=True)
class RedactedFile:
    """A redacted file. `dropped` is the number of bodies that were removed because they are neither JSON nor a form.

    `path` is the path for messages. `target` is the file to replace: if a link leads out of `folder`, it is not replaced.
    """

    path: str
    target: str
    folder: str
    text: str
    changed: bool
    dropped: int


def redact_files(paths: list[str], errors: Errors, skipped: Errors) -> list[RedactedFile]:
    """Return the redacted files, without writing them. A value has the same placeholder in all files.

    Add files that cannot be redacted to *errors*. Add files in unsupported formats to *skipped* if they lack the
    documented call.
    """
    files = list(_files_with_interactions(paths, errors, skipped))
    redactor = Redactor()
    for *_, loaded in files:
        for interaction in loaded.interactions:
            redactor.reserve_placeholders(interaction)
    results = []
    for path, folder, data, loaded in files:
        safe = [redactor.interaction(interaction) for interaction in loaded.interactions]
        try:
            text = render_redacted(loaded.kind, loaded.document, safe, as_json=loaded.is_json)
        except ValueError as error:
            errors.append((path, str(error)))
            continue
        dropped = sum(map(_dropped, safe)) - sum(map(_dropped, loaded.interactions))
        target = os.path.realpath(path)
        results.append(
            RedactedFile(path, target, folder or os.path.dirname(target), text, text.encode() != data, dropped)
        )
    return results


def _files_with_interactions(
    paths: list[str], errors: Errors, skipped: Errors
) -> Iterator[tuple[str, str, bytes, LoadedFile]]:
    for path, folder, data in _walk(paths, errors, follows_links_out=False):
        try:
            loaded = load(data, path, kind=None, side_of=side_of, matches=lambda _: True, decode=False)
        except UnreadableFileError as error:
            is_foreign = isinstance(error, ForeignFormatError) and folder and not _is_relevant(error, data)
            (skipped if is_foreign else errors).append((path, str(error)))
            continue
        if loaded is not None and loaded.broken:
            errors += [(path, f"not redacted: {sentence}") for sentence in loaded.broken]
        elif loaded is not None and loaded.kind not in ("request", "response"):
            yield path, folder, data, loaded
        elif not folder:
            errors.append((path, "not redacted: not a cassette, HAR file or interaction file"))


def _dropped(interaction: Interaction) -> int:
    messages = (interaction.request, interaction.response)
    return sum(bool(message and (message.body or b"").startswith(b"[redacted: ")) for message in messages)


def _walk(paths: list[str], errors: Errors, *, follows_links_out: bool = True) -> Iterator[tuple[str, str, bytes]]:
    """Yield path, folder and content of each file. The folder is the one in *paths*, or empty if *paths* has the file.

    If *follows_links_out* is false, add a link that leads out of its folder to *errors*.
    """
    for path, folder in _paths(paths, errors, follows_links_out=follows_links_out):
        if path == "-" and sys.stdin is None:
            errors.append((path, "standard input is closed"))
            continue
        try:
            data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        except OSError as error:
            errors.append((path, error.strerror or "cannot be read"))
        else:
            yield path, folder, data


def _paths(paths: list[str], errors: Errors, *, follows_links_out: bool) -> Iterator[tuple[str, str]]:
    def may_follow(link: str, folder: str) -> bool:
        if follows_links_out or not leads_out(link, folder):
            return True
        errors.append((link, f"a link leads out of {folder}: name the file, or the folder, in the command"))
        return False

    def cannot_list(error: OSError) -> None:
        errors.append((str(error.filename), error.strerror or "cannot be read"))

    for path in paths:
        if path == "-" or not os.path.isdir(path):
            yield path, ""
            continue
        first_paths = {os.path.realpath(path): path}
        for folder, inner, names in os.walk(path, followlinks=True, onerror=cannot_list):
            folders = {name: os.path.join(folder, name) for name in sorted(inner) if not name.startswith(".")}
            # Several links may lead to one folder or back to a parent, so only the first path to a folder is followed.
            inner[:] = [
                name
                for name, link in folders.items()
                if first_paths.setdefault(os.path.realpath(link), link) == link and may_follow(link, path)
            ]
            for name in sorted(names):
                file = os.path.join(folder, name)
                is_file = name.lower().endswith(_SUFFIXES) and (os.path.isfile(file) or not os.path.exists(file))
                if is_file and may_follow(file, path):
                    yield file, path
