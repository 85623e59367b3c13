"""Every regular expression of the package, with the methods that the package calls on it."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest_veeqo_alloc
from pytest_veeqo_alloc.spec.loader import tables

PACKAGE = Path(pytest_veeqo_alloc.__file__).parent
METHODS = frozenset({"match", "search", "fullmatch", "sub", "split", "findall", "finditer"})
IN_TABLES = {"_INTERNALS": "search", "_NOT_JSON": "match"}
"""The methods of patterns in tables, by the name of the table. For other tables: fullmatch."""


@cache
def patterns() -> dict[str, tuple[re.Pattern[Any], frozenset[str]]]:
    """Map the place of each pattern to the pattern and the methods that the package calls on it."""
    found: dict[str, tuple[re.Pattern[Any], frozenset[str]]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(["pytest_veeqo_alloc", *file.relative_to(PACKAGE).with_suffix("").parts])
        if file.name.startswith(("test_", "conftest", "__main__")):
            continue
        calls, inline = _calls_in(ast.parse(file.read_text(encoding="utf-8")))
        for number, (text, method) in enumerate(inline):
            found[f"{module}: inline {number}"] = (re.compile(text), frozenset({method}))
        for name, value in vars(importlib.import_module(module.removesuffix(".__init__"))).items():
            for place, pattern in _patterns_in(name, value):
                methods = calls.get(name) or {IN_TABLES.get(name, "fullmatch")}
                found[f"{module}: {place}"] = (pattern, frozenset(methods))
    found["operation"] = (re.compile(tables().operation.pattern), frozenset({"search"}))
    return found


def _calls_in(tree: ast.Module) -> tuple[dict[str, set[str]], list[tuple[str | bytes, str]]]:
    """Return the methods that are called on each name, and the patterns of calls such as `re.sub("x", ...)`."""
    calls: dict[str, set[str]] = defaultdict(set)
    inline: list[tuple[str | bytes, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS and isinstance(node.value, ast.Name):
            calls[node.value.id].add(node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            is_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
            pattern = node.args[0] if is_re and node.args else None
            if isinstance(pattern, ast.Constant) and isinstance(pattern.value, (str, bytes)):
                inline.append((pattern.value, node.func.attr))
    return calls, inline


def _patterns_in(place: str, value: Any, depth: int = 3) -> Iterator[tuple[str, re.Pattern[Any]]]:
    if isinstance(value, re.Pattern):
        yield place, value
    elif depth and isinstance(value, (list, tuple, dict)) and not place.startswith("__"):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _patterns_in(f"{place}[{key}]", item, depth - 1)
