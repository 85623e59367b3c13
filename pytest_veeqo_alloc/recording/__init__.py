"""Cassettes: their files, recording and replay by vcrpy, a network guard."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from typing import NamedTuple

from pytest_veeqo_alloc.capture.writers import leads_out
from pytest_veeqo_alloc.core.text import nearest, unknown_name
from pytest_veeqo_alloc.spec.loader import shipped_folder

SUFFIXES = (".yaml", ".yml", ".json")
MODES = ("none", "once", "new_episodes", "all")  # the record modes of vcrpy
BUNDLED_RELAXED = frozenset({"host", "order_id", "body"})
"""The parts of a request that are not compared when a bundled cassette plays."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.\[\]-]*(?:/[A-Za-z0-9_][A-Za-z0-9 _.\[\]-]*)*")
_NOT_IN_NAME = re.compile(r"^[^A-Za-z0-9_]|[^A-Za-z0-9 _.\[\]-]|[.](?=[.])")
_MAX_NAME = 150
"""The maximum length of a file name that is made from a test name, in characters. File systems have limits."""


class CassetteError(ValueError):
    """Raised for a cassette that cannot be used. The message names the cassette and the reason."""

    trims_traceback = True


class CassetteFile(NamedTuple):
    """The name and the path of a cassette. Before the first recording, the file may not exist.

    No recording is written outside `folder`.
    """

    name: str
    path: Path
    is_bundled: bool = False
    folder: Path | None = None


def validate_mode(mode: str) -> None:
    """Raise ValueError if *mode* is not a record mode of vcrpy."""
    if mode not in MODES:
        raise ValueError(unknown_name("record mode", mode, MODES))


def name_of_test(module: PurePath, names: Iterable[str]) -> str:
    """Return the cassette name of a test: the path *module* without suffix, then *names* (class, function)."""
    return "/".join(map(_file_name, [*module.with_suffix("").parts, ".".join(names)]))


def _file_name(text: str) -> str:
    """Make *text* valid in a cassette name. If it changes, add a digest, so that `a/b` and `a:b` stay different."""
    name = _NOT_IN_NAME.sub("_", text)[:_MAX_NAME]
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:8]
    return name if name == text else f"{name}-{digest}"


@functools.cache
def _bundled_folder() -> Traversable:
    return shipped_folder("cassettes")


@functools.cache
def bundled_names() -> tuple[str, ...]:
    """Return the names of the bundled cassettes."""
    names = (entry.name for entry in _bundled_folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def cassette_files(folder: Path) -> list[Path]:
    """Return the files in *folder* and its subfolders that have a suffix of cassettes."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


def find_cassette(name: str, folder: Path, mode: str) -> CassetteFile:
    """Return the file of the cassette *name*: in *folder*, otherwise bundled (modes 'none', 'once'), otherwise new.

    Raise ValueError if *mode* is unknown. Raise CassetteError if *name* is invalid, or if the file would be
    written outside *folder*.
    """
    validate_mode(mode)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise CassetteError(
            f"invalid cassette name {name!a}: use ASCII letters, digits, spaces, '_', '-', '.', '[', ']' and '/', "
            "without '..'"
        )
    candidates = [folder / name] if name.endswith(SUFFIXES) else [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    found = next((path for path in candidates if os.path.lexists(path)), None)
    if found is None and mode in ("none", "once") and name in bundled_names():
        return CassetteFile(name, Path(str(_bundled_folder() / f"{name}.yaml")), is_bundled=True)
    path = found or candidates[0]
    may_write = mode in ("new_episodes", "all") or (mode == "once" and not path.exists())
    if may_write and leads_out(path, folder):
        raise CassetteError(
            f"the cassette {path} cannot be written: a link leads out of {folder}: replace the link with a file"
        )
    return CassetteFile(name, path, folder=folder)


def file_state(path: Path) -> tuple[int, ...] | None:
    """Return numbers that change if the file *path* is replaced or written, or None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def missing_cassette(name: str, folder: Path) -> CassetteError:
    """Return the error to raise if the cassette *name* should be played, but does not exist."""
    own = [path.relative_to(folder).with_suffix("").as_posix() for path in cassette_files(folder)]
    near = nearest(name, [*own, *bundled_names()])
    hint = f"did you mean {near!r}? Otherwise record" if near else "record"
    return CassetteError(
        f"no cassette {name!a} in {folder} or in the package: {hint} it with --veeqo-alloc-record-mode once"
    )
