"""The README and the pages of docs/ that people wrote, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference" or path.stem == "python"
)
README = "\n".join(
    [(ROOT / "README.md").read_text(encoding="utf-8"), *(path.read_text(encoding="utf-8") for path in PAGES)]
)
"""The README and every page, as one text."""


def blocks(language: str, text: str = README) -> list[str]:
    """Return the blocks of code that are complete; those of a tutorial begin with the name of a file."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for block in found if not block.startswith("# ")]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def files_of(name: str) -> list[tuple[str, str]]:
    """Return the name and the code of each file on the page *name*."""
    return re.findall(
        r"^```(?:python|javascript)\n(?:#|//) (\S+)\n(.*?)^```$", page(name), flags=re.MULTILINE | re.DOTALL
    )


def missing_lines(shown: str, result: pytest.RunResult) -> list[str]:
    """Return the lines of *shown* that are not in the output of *result*, which may begin with other text."""
    output = [line.removeprefix("E").strip() for line in result.outlines]
    return [line for line in shown.splitlines() if not any(printed.endswith(line.strip()) for printed in output)]
