"""The documentation site: `tox run -e docs` builds it, and a warning fails the build."""

import tomllib
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes

project = "pytest-veeqo-alloc"
author = "The pytest-veeqo-alloc authors"
copyright = "2026, the pytest-veeqo-alloc authors"  # noqa: A001  # the name that Sphinx looks for
version = release = version_of("pytest-veeqo-alloc")
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_use_index = False  # the site has no index entries
html_title = "pytest-veeqo-alloc"
ROOT = Path(__file__).resolve().parents[1]
# The public home of the repository, from the one place that has it. Without a home, the pages have no edit links.
settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
home = settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["home"]
if home:
    html_theme_options = {"source_repository": home, "source_branch": "main", "source_directory": "docs/"}


def link_repository_files(app: Any, page: nodes.document) -> None:
    """Link the files of the repository that are no page of the site to its home. Without a home, keep only the text."""
    for link in list(page.findall(addnodes.pending_xref)):
        name = link["reftarget"] + (".md" if link["refdomain"] == "doc" else "")
        path = (ROOT / name).resolve()
        if path.is_file() and ROOT / "docs" not in path.parents:
            address = f"{home.rstrip('/')}/blob/main/{path.relative_to(ROOT).as_posix()}"
            link.replace_self(nodes.reference("", "", *link.children, refuri=address) if home else link.children)


def setup(app: Any) -> None:
    """Change the links of each page that Sphinx has read."""
    app.connect("doctree-read", link_repository_files)
