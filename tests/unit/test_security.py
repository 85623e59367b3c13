"""SECURITY.md names a test for each promise, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
_LINES = (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in _LINES if line.startswith("|")]
PROMISES = {row[0]: row for row in ROWS if row[0] not in ("promise", "---")}


def functions_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("promise", PROMISES)
def test_promise_names_tests_that_exist_and_what_is_not_promised(promise: str) -> None:
    _, tests, limits = PROMISES[promise]
    assert limits
    named = _TEST.findall(tests)
    assert named
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == tests
    assert [f"{file}::{name}" for file, name in named if name not in functions_in(file)] == []


def test_every_table_has_the_same_columns() -> None:
    headings = [row for row in ROWS if row[0] == "promise"]
    assert headings == [["promise", "tests", "not promised"]] * len(headings)
    assert len(PROMISES) > 20
