"""The search for cassette files by name, in the user's cassette folder and among the bundled cassettes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

from pytest_veeqo_alloc.core.text import nearest, unknown_name
from pytest_veeqo_alloc.spec.loader import shipped_folder

SUFFIXES = (".yaml", ".yml", ".json")
MODES = ("none", "once", "new_episodes", "all")  # the record modes of vcrpy
BUNDLED_RELAXED = frozenset({"host", "order_id", "body"})
"""The parts of a request that are not compared when a bundled cassette plays."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.\[\]-]*(?:/[A-Za-z0-9_][A-Za-z0-9 _.\[\]-]*)*")
_NOT_IN_NAME = re.compile(r"^[^A-Za-z0-9_]|[^A-Za-z0-9 _.\[\]-]|[.](?=[.])")
_MAX_NAME = 150
"""The maximum number of characters of a file name that is made from the name of a test; file systems have limits."""


class CassetteError(ValueError):
    """The error for a cassette that cannot be used. The message names the cassette and the reason."""


class CassetteFile(NamedTuple):
    """The file of a cassette. It need not exist before the first recording."""

    name: str
    path: Path
    is_bundled: bool = False


def validate_mode(mode: str) -> None:
    """Raise ValueError if *mode* is not a record mode of vcrpy."""
    if mode not in MODES:
        raise ValueError(unknown_name("record mode", mode, MODES))


def name_of_test(module: PurePath, names: Iterable[str]) -> str:
    """Return the name of the cassette of a test: the *names* of its class and function, in the folder *module*."""
    return "/".join(map(_file_name, [*module.with_suffix("").parts, ".".join(names)]))


def _file_name(text: str) -> str:
    """Return *text* without what a name cannot have. A digest keeps changed names apart, such as those of `a/b` and `a:b`."""
    name = _NOT_IN_NAME.sub("_", text)[:_MAX_NAME]
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:8]
    return name if name == text else f"{name}-{digest}"


def bundled_names() -> list[str]:
    """Return the names of the bundled cassettes."""
    names = (entry.name for entry in shipped_folder("cassettes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def cassette_files(folder: Path) -> list[Path]:
    """Return the files below *folder* that could be cassettes, judged by their suffix."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


def find_cassette(name: str, folder: Path, mode: str) -> CassetteFile:
    """Return the file of a cassette: in *folder*, otherwise bundled (modes 'none' and 'once'), otherwise a new file.

    Raise ValueError if *mode* is unknown, and CassetteError if *name* is invalid, or would be written out of *folder*.
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
        return CassetteFile(name, Path(str(shipped_folder("cassettes") / f"{name}.yaml")), is_bundled=True)
    path = found or candidates[0]
    root = os.path.realpath(folder)
    may_write = mode in ("new_episodes", "all") or (mode == "once" and not path.exists())
    if may_write and os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise CassetteError(
            f"the cassette {path} cannot be written: it is a link that leads out of {folder}: replace the link with a file"
        )
    return CassetteFile(name, path)


def missing_cassette(name: str, folder: Path) -> CassetteError:
    """Return the error for a cassette that should be played but does not exist."""
    own = [path.relative_to(folder).with_suffix("").as_posix() for path in cassette_files(folder)]
    near = nearest(name, [*own, *bundled_names()])
    hint = f"did you mean {near!r}? Otherwise record" if near else "record"
    return CassetteError(
        f"no cassette {name!a} in {folder} or in the package: {hint} it with --veeqo-alloc-record-mode once"
    )
