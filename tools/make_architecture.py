"""Draw docs/architecture.svg, the folders of the package and their imports: `tox run -e picture`.

The order of the folders is that of the `layers` contract in pyproject.toml, the line below a name is the first line of the
folder's docstring, and the imports are those that grimp finds. A test compares the picture with all three.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

import grimp

import pytest_veeqo_alloc

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGE = Path(pytest_veeqo_alloc.__file__).parent
MARGIN, TOP, BOX_WIDTH, BOX_HEIGHT, GAP, LANE, LINE = 12, 62, 244, 54, 8, 10, 14.5
TEXT_COLUMNS = 36
STYLE = """
.ground{fill:#fff}.box{fill:#f6f7f9;stroke:#d5dae1}.name{font:600 14px ui-monospace,Menlo,Consolas,monospace;fill:#1b1f24}
.words{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#4d5560}
.title{font:600 15px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1b1f24}
.wire{fill:none;stroke-width:1.6;stroke:hsl(var(--hue) 64% 39%)}.mark{fill:hsl(var(--hue) 64% 39%)}
.branch{fill:none;stroke:#c3cad4;stroke-width:1.2}
@media (prefers-color-scheme:dark){.ground{fill:#0f1318}.box{fill:#181d24;stroke:#323a45}.name,.title{fill:#e8ebef}
.words{fill:#a5aeba}.wire{stroke:hsl(var(--hue) 58% 66%)}.mark{fill:hsl(var(--hue) 58% 66%)}.branch{stroke:#3d4652}}
""".replace("\n", "")


def layers() -> list[str]:
    """Return the folders of the package from top to bottom, as the contract in pyproject.toml lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    folders: list[str]
    (folders,) = (contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    return folders


def imports_between(folders: list[str]) -> dict[str, list[str]]:
    """Return for each folder the folders that its modules import, in the order of *folders*."""
    graph = grimp.build_graph(PACKAGE.name, exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, set[str]] = {folder: set() for folder in folders}
    for module in sorted(graph.modules):
        for imported in graph.find_modules_directly_imported_by(module):
            importer, target = (f"{name}.".split(".")[1] for name in (module, imported))
            if importer in found and target in found and importer != target:
                found[importer].add(target)
    return {folder: sorted(targets, key=folders.index) for folder, targets in found.items()}


def summary_of(folder: str) -> str:
    """Return the first line of the docstring of *folder*, without its period and backquotes."""
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".").replace("`", "")


def _box(folder: str, top: float) -> Iterator[str]:
    yield f'<rect class="box" x="{MARGIN}" y="{top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7"/>'
    yield f'<rect class="mark" x="{MARGIN}" y="{top + 9:g}" width="4" height="{BOX_HEIGHT - 18}" rx="2"/>'
    yield f'<text class="name" x="{MARGIN + 14}" y="{top + 18.5:g}">{folder}</text>'
    for number, line in enumerate(textwrap.wrap(summary_of(folder), TEXT_COLUMNS)):
        yield f'<text class="words" x="{MARGIN + 14}" y="{top + 33 + number * LINE:g}">{escape(line)}</text>'


def picture() -> str:
    """Return the SVG: a box for each folder, and beside the boxes a lane for each folder that others import.

    A dot joins the line of an importing folder to the lane of the imported one; the lane ends with an arrow at its box.
    """
    folders = layers()
    imports = imports_between(folders)
    imported = [folder for folder in folders if any(folder in targets for targets in imports.values())]
    lanes = {folder: MARGIN + BOX_WIDTH + 22 + LANE * number for number, folder in enumerate(imported)}
    tops = {folder: TOP + (BOX_HEIGHT + GAP) * number for number, folder in enumerate(folders)}
    width, height = max(lanes.values()) + MARGIN + 4, tops[folders[-1]] + BOX_HEIGHT + MARGIN
    edge = MARGIN + BOX_WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width * 5 // 4}" role="img">',
        "<title>The folders of pytest_veeqo_alloc; each imports only from the folders below it</title>",
        f'<style>{STYLE}</style><rect class="ground" width="{width}" height="{height}" rx="10"/>',
        f'<text class="title" x="{MARGIN}" y="27">pytest_veeqo_alloc</text>',
        f'<text class="words" x="{MARGIN}" y="47">A dot marks an import: always from a folder further down.</text>',
    ]
    for folder, targets in imports.items():
        if targets:
            out = tops[folder] + 37
            parts.append(f'<path class="branch" d="M{edge} {out}H{lanes[targets[-1]]}"/>')
    for number, folder in enumerate(folders):
        parts.append(f'<g id="{folder}" style="--hue:{270 - 250 * number // len(folders)}">')
        importers = [tops[name] + 37 for name, targets in imports.items() if folder in targets]
        if importers:
            lane, end = lanes[folder], tops[folder] + 17
            parts.append(f'<path class="wire" d="M{lane} {importers[0]}V{end - 6}q0 6 -6 6H{edge + 6}"/>')
            parts.append(f'<path class="mark" d="M{edge + 1} {end}l8 -4v8z"/>')
            parts += [f'<circle class="mark" cx="{lane}" cy="{y}" r="3"/>' for y in importers]
        parts += [*_box(folder, tops[folder]), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
