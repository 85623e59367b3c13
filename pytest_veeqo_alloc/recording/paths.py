"""From the name of a cassette to its text: in the user's folder, else in the shipped pack."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.capture.documents import MAX_YAML
from pytest_veeqo_alloc.core.text import nearest, unknown_name
from pytest_veeqo_alloc.spec.loader import shipped_folder

SUFFIXES = (".yaml", ".yml", ".json")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.-]*(?:/[A-Za-z0-9_][A-Za-z0-9 _.-]*)*")


class CassetteError(ValueError):
    """A cassette that cannot be used, in one sentence that names it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cassette lies, or would be written: its path, and whether it is one of the shipped pack."""

    name: str
    path: Path
    is_shipped: bool = False

    def read(self) -> bytes | None:
        """Its bytes, or None where there is no file yet. CassetteError where it cannot be read."""
        try:
            if self.path.stat().st_size > MAX_YAML:
                raise CassetteError(
                    f"the cassette {self.path} has more than {MAX_YAML // 1024**2} MB, which is not read"
                )
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CassetteError(f"the cassette {self.path} cannot be read: {error.strerror}") from None


def shipped_names() -> list[str]:
    """The names of the shipped pack."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in shipped_folder("cassettes").iterdir()
        if entry.name.endswith(".yaml")
    )


def place_of(name: str, folder: Path, *, use_pack: bool) -> Place:
    """Where the cassette *name* lies: below *folder*, else (with *use_pack*) in the shipped pack, else where it would be
    written. CassetteError for a name that leads out of the folder."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise CassetteError(
            f"{name!a} is no name of a cassette: it has ASCII letters, digits, spaces, '_', '-', '.' and '/', and stays in "
            "its folder"
        )
    candidates = [folder / name] if name.endswith(SUFFIXES) else [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    found = next((path for path in candidates if os.path.lexists(path)), None)
    if found is None and use_pack and name in shipped_names():
        return Place(name, Path(str(shipped_folder("cassettes") / f"{name}.yaml")), is_shipped=True)
    path = found or candidates[0]
    root = os.path.realpath(folder)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise CassetteError(f"the cassette {path} is a link that leads out of {folder}, so it is not touched")
    return Place(name, path)


def missing(place: Place, folder: Path) -> CassetteError:
    """The error for a cassette that is to be replayed and is nowhere."""
    near = nearest(place.name, known_names(folder))
    hint = f"did you mean {near!r}? Else record" if near else "record"
    return CassetteError(
        f"there is no cassette {place.name!a} in {folder} nor in the shipped pack: {hint} it with "
        f"--veeqo-alloc-record-mode once"
    )


def known_names(folder: Path) -> Sequence[str]:
    """Every name that could be used: those of the folder and of the pack."""
    own = [path.relative_to(folder).with_suffix("").as_posix() for path in files_in(folder)]
    return [*own, *shipped_names()]


def files_in(folder: Path) -> list[Path]:
    """The files below *folder* that could be cassettes."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


MODES = ("none", "once", "new_episodes", "all")


def validate_mode(mode: str) -> str:
    """*mode* itself; ValueError, in one sentence, for one that vcrpy does not have."""
    if mode not in MODES:
        raise ValueError(unknown_name("record mode", mode, MODES))
    return mode


PACK_RELAXED = frozenset({"host", "order_id", "body"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a cassette is used. `relaxed` names parts of a request that are not compared; `allow_hosts` are `host` or
    `host:port` that the test may call beside the cassette."""

    mode: str = "none"
    relaxed: frozenset[str] = frozenset()
    strict_play: bool = False
    allow_playback_repeats: bool = False
    allow_hosts: tuple[str, ...] = ()
