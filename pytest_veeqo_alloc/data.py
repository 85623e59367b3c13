"""Finds the files that ship beside the code, wherever the package was installed from."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_IN_WHEEL = "_shipped"


def shipped(folder: str) -> Traversable:
    """The folder `schemas` or `cassettes`: inside the package in a wheel, beside it in a checkout, in an unpacked
    sdist and in an editable install. FileNotFoundError, in one sentence, where it is in neither place."""
    inside = files("pytest_veeqo_alloc") / _IN_WHEEL / folder
    beside = Path(__file__).resolve().parent.parent / folder
    for candidate in (inside, beside):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"pytest-veeqo-alloc is installed without its folder {folder!r}: install it anew")


def read_text(path: str) -> str:
    """The text of a shipped file such as `schemas/response.json`."""
    folder, _, rest = path.partition("/")
    return shipped(folder).joinpath(*rest.split("/")).read_text(encoding="utf-8")
