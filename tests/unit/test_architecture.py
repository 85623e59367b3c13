"""The picture of the architecture agrees with the code and with the import rules."""

from __future__ import annotations

import tomllib
from pathlib import Path
from xml.etree import ElementTree

import make_architecture
import pytest

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(make_architecture.PICTURE.read_text(encoding="utf-8"))


def text_of(group: ElementTree.Element, kind: str) -> str:
    return " ".join(text.text or "" for text in group.findall(f"{SVG}text[@class='{kind}']"))


def test_picture_shows_the_folders_of_the_layers_contract_in_its_order() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    boxes = [(float(group.find(f"{SVG}rect").get("y")), text_of(group, "name")) for group in drawn().iter(f"{SVG}g")]  # type: ignore[union-attr, arg-type]
    assert [name for _, name in sorted(boxes)] == layers


def test_picture_shows_every_folder_of_the_package() -> None:
    folders = {path.parent.name for path in make_architecture.PACKAGE.glob("*/__init__.py")}
    assert {text_of(group, "name") for group in drawn().iter(f"{SVG}g")} == folders


def test_first_line_of_every_folder_docstring_fits_its_box() -> None:
    lines = {text_of(group, "name"): group.findall(f"{SVG}text[@class='words']") for group in drawn().iter(f"{SVG}g")}
    assert {name: len(found) for name, found in lines.items() if not 1 <= len(found) <= 2} == {}


def test_imports_lead_down_only() -> None:
    folders = make_architecture.layers()
    for folder, targets in make_architecture.imports_between(folders).items():
        assert all(folders.index(folder) < folders.index(target) for target in targets), folder


def test_picture_is_what_the_tool_draws() -> None:
    current = make_architecture.PICTURE.read_text(encoding="utf-8")
    if current != make_architecture.picture():
        pytest.fail("docs/architecture.svg is out of date: run `python tools/make_architecture.py`")
