"""The documentation site: `tox run -e docs` builds it, and a warning fails the build."""

import tomllib
from importlib.metadata import version as version_of
from pathlib import Path

project = "pytest-veeqo-alloc"
author = "The pytest-veeqo-alloc authors"
copyright = "2026, the pytest-veeqo-alloc authors"  # noqa: A001  # the name that Sphinx looks for
version = release = version_of("pytest-veeqo-alloc")
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pytest-veeqo-alloc"
# The public home of the repository, from the one place that has it; without one there are no edit links.
_settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
if home := _settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["home"]:
    html_theme_options = {"source_repository": home, "source_branch": "main", "source_directory": "docs/"}
# Links to files of the repository lead nowhere inside the site; tests/end_to_end/test_docs.py looks whether the files are there.
suppress_warnings = ["myst.xref_missing"]
