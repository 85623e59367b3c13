"""Which files a command looks at, and their bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

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
