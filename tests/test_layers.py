"""Which part may import which, read from the imports themselves."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from layers import ORDER, PICTURE, picture

import pytest_veeqo_alloc

PACKAGE = Path(pytest_veeqo_alloc.__file__).parent
THIRD_PARTY = {
    "hypothesis": "strategies conformance",
    "jsonschema": "contract",
    "yaml": "capture",
    "jinja2": "reporting",
    "pytest": "options watched told report_plugin failure fixtures fixtures_cassette fixtures_live fixtures_server fixtures_conformance hooks conformance live_plugin summary plugin",
    "requests": "live conformance",
    "urllib3": "live",  # comes with requests
    "vcr": "recording",
}
LEVEL = {part: level for level, row in enumerate(ORDER) for part in row}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_parts_before_its_own(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "pytest_veeqo_alloc":
            target = rest.partition(".")[0]
            assert LEVEL[target] <= LEVEL[part], name
        elif top not in sys.stdlib_module_names:
            assert part in THIRD_PARTY[top].split(), name


IMPURE = {
    "os",
    "io",
    "pathlib",
    "socket",
    "subprocess",
    "time",
    "random",
    "urllib.request",
    "logging",
    "importlib",
    "threading",
}


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) == "contract"], ids=lambda path: path.name)
def test_the_core_touches_no_file_no_clock_and_no_data_beside_itself(path: Path) -> None:
    names = set(imports(path))
    assert not names & IMPURE
    assert "pytest_veeqo_alloc.spec.loader" not in names
    assert "today(" not in path.read_text(encoding="utf-8")


def test_every_part_has_its_place() -> None:
    assert {part_of(path) for path in MODULES} - {"__init__"} == set(LEVEL)


def test_modules_stay_small() -> None:
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > 280} == {}


def test_the_picture_of_the_architecture_is_that_of_these_imports() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture()
