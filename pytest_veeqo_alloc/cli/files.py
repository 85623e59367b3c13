"""Checking files: what they hold, and what is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.readers import CassetteVersionError, Kind, LoadedFile, load
from pytest_veeqo_alloc.capture.writers import render_redacted, write_atomically
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.redactor import new_redactor
from pytest_veeqo_alloc.reporting.formatters import CheckRun, FileResult
from pytest_veeqo_alloc.spec.loader import operation_matches, side_of

_OURS = (b"interactions", b"allocation", b"sellable")


@dataclass(frozen=True, slots=True)
class FileCheckOptions:
    """How to check: what the files are (None: told from their content), the status that is expected, and whether to
    look at them as files too, and at their age in days."""

    kind: Kind | None = None
    expect_status: int | None = None
    lint: bool = False
    max_age: int | None = None


def check_paths(paths: list[str], engine: Engine, options: FileCheckOptions) -> CheckRun:
    """Checks every file of *paths* (`-` is standard input; folders are walked, links included)."""
    run = CheckRun()
    for path, named, data in walk(paths, lambda file, sentence: run.unreadable.append((file, sentence))):
        try:
            matches = _everything if options.lint else operation_matches
            loaded = load(data, path, kind=options.kind, side_of=side_of, matches=matches)
        except CassetteVersionError as error:
            if options.lint:
                run.files += 1
                _add(run, engine, path, path, engine.lint_version(error.version))
            else:
                run.unreadable.append((path, str(error)))
            continue
        except UnreadableFileError as error:
            # A folder may hold anything; what cannot be read there matters where it could be one of ours.
            if named or any(word in data for word in _OURS):
                run.unreadable.append((path, str(error)))
            else:
                run.skipped += 1
            continue
        run.files += 1
        if loaded is None:
            run.skipped += 1
            run.unrecognised += [path] if named else []
            continue
        _check(run, engine, path, loaded, options)
    return run


def _everything(interaction: Interaction) -> bool:
    return True


def _check(run: CheckRun, engine: Engine, path: str, loaded: LoadedFile, options: FileCheckOptions) -> None:
    run.skipped += loaded.skipped
    if loaded.kind in ("request", "response"):
        findings = engine.check_body(loaded.kind, loaded.body)
        if options.lint:
            findings = engine.merge([findings, engine.lint_body(loaded.kind, loaded.body)])
        _add(run, engine, path, path, findings)
    for interaction in loaded.interactions:
        several = [engine.lint(interaction)] if options.lint else []
        if operation_matches(interaction) or interaction.request is None:
            several.insert(0, engine.evaluate_stored(interaction, expect_status=options.expect_status))
        _add(run, engine, path, interaction.source, engine.merge(several))
    if options.lint and options.max_age is not None and loaded.kind in ("cassette", "har"):
        age = engine.lint_age(loaded.recorded_on, options.max_age)
        if len(age):
            _add(run, engine, path, path, age)


def _add(run: CheckRun, engine: Engine, file: str, source: str, findings: Findings) -> None:
    run.checked.append(FileResult(file, source, findings, engine.hint(findings)))


@dataclass(frozen=True, slots=True)
class Redacted:
    """A file redacted: its new text, whether that differs, and how many bodies were dropped as unreadable."""

    path: str
    text: str
    changed: bool
    dropped: int


def redact_files(paths: list[str], errors: list[tuple[str, str]]) -> list[Redacted]:
    """Every file of *paths* that holds calls, redacted in one session. What cannot be is told in *troubles*, with one
    sentence; a file in a folder that holds no calls is passed over."""
    loaded = list(_loaded(paths, errors))
    redactor = new_redactor()
    for _, _, file in loaded:
        for interaction in file.interactions:
            redactor.reserve_placeholders(interaction)
    results = []
    for path, data, file in loaded:
        safe = [redactor.interaction(each) for each in file.interactions]
        try:
            text = render_redacted(file.kind, file.document, safe, as_json=file.is_json)
        except ValueError as error:
            errors.append((path, str(error)))
            continue
        dropped = sum(map(_dropped, safe)) - sum(map(_dropped, file.interactions))
        results.append(Redacted(path, text, text.encode() != data, dropped))
    return results


def write_back(redacted: Redacted) -> None:
    """Puts the redacted text in the place of its file, atomically; OSError where that cannot be done."""
    if redacted.changed:
        write_atomically(Path(redacted.path), redacted.text)


def _loaded(paths: list[str], errors: list[tuple[str, str]]) -> Iterator[tuple[str, bytes, LoadedFile]]:
    for path, named, data in walk(paths, lambda file, sentence: errors.append((file, sentence))):
        try:
            file = load(data, path, kind=None, side_of=side_of, matches=lambda _: True, decode=False)
        except UnreadableFileError as error:
            errors.append((path, str(error)))
            continue
        if file is None or file.kind in ("request", "response"):
            if named:
                errors.append((path, "no cassette, HAR file or interaction, and nothing else is redacted here"))
            continue
        yield path, data, file


def _dropped(interaction: Interaction) -> int:
    messages = (interaction.request, interaction.response)
    return sum(bool(message and (message.body or b"").startswith(b"[redacted: ")) for message in messages)


SUFFIXES = (".json", ".yaml", ".yml", ".har")


Trouble = Callable[[str, str], None]
"""Takes a path and one sentence about why it cannot be looked at."""


def walk(paths: list[str], trouble: Trouble) -> Iterator[tuple[str, bool, bytes]]:
    """Each file of *paths* (`-` is standard input; folders are walked, links included), whether it was named itself
    rather than found in a folder, and its bytes."""
    for path, named in _files(paths, trouble):
        try:
            yield path, named, _read(path)
        except OSError as error:
            trouble(path, error.strerror or "cannot be read")


def _read(path: str) -> bytes:
    if path != "-":
        return Path(path).read_bytes()
    if sys.stdin is None:
        raise OSError(0, "standard input is closed")
    return sys.stdin.buffer.read()


def _files(paths: list[str], trouble: Trouble) -> Iterator[tuple[str, bool]]:
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            yield path, True
            continue
        seen: set[str] = set()

        def untold(error: OSError) -> None:
            trouble(str(error.filename), error.strerror or "cannot be read")

        for folder, inner, names in os.walk(path, followlinks=True, onerror=untold):
            # A link may lead back to where we are.
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            inner[:] = [name for name in inner if _first_time(os.path.join(folder, name), seen)]
            for name in sorted(names):
                here = os.path.join(folder, name)
                if name.lower().endswith(SUFFIXES) and (os.path.isfile(here) or not os.path.exists(here)):
                    yield here, False


def _first_time(folder: str, seen: set[str]) -> bool:
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new
