"""The options of commands that hold something against the contract."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_veeqo_alloc.api import Contract, parse_overrides
from pytest_veeqo_alloc.contract.rules import PROFILES

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


def contract_of(chosen: argparse.Namespace) -> Contract:
    """The contract that these options describe. ValueError, in one sentence, for what does not exist."""
    return Contract(chosen.profile, rules=parse_overrides(chosen.rule), deviations=chosen.deviations)


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
