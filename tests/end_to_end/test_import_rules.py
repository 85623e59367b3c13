"""The import rules of pyproject.toml fail when one of them is broken on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(tree: Path) -> str:
    """Run import-linter over *tree* and return what it reports."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    command = [str(LINTER), "--no-cache", "--config", str(tree / "pyproject.toml")]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package and of the rules about its imports."""
    shutil.copytree(ROOT / "pytest_veeqo_alloc", tmp_path / "pytest_veeqo_alloc")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        (
            "core/text.py",
            "import pytest_veeqo_alloc.contract.rules",
            "Each folder imports only from the folders below it",
        ),
        ("contract/rules.py", "import pytest_veeqo_alloc.contract.checker", "No circle among the modules of a folder"),
        ("server/fake.py", "import pytest_veeqo_alloc.api", "Nothing imports the public face"),
        ("engine/__init__.py", "import requests", "requests is imported by live and conformance only"),
    ],
)
def test_a_planted_import_breaks_its_rule(tree: Path, module: str, line: str, rule: str) -> None:
    path = tree / "pytest_veeqo_alloc" / module
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("\nfrom __future__ import annotations\n", f"\nfrom __future__ import annotations\n\n{line}\n")
    )
    report = lint(tree)
    assert f"{rule}" in report
    (broken,) = (found for found in report.splitlines() if found.startswith(rule) and found.endswith("BROKEN"))
    assert broken
