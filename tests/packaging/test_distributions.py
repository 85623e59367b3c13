"""The contents of wheel and sdist, and that the data files are found after each kind of installation."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

DATA = {
    "cassettes/README.md",
    "cassettes/bad-request.yaml",
    "cassettes/created.yaml",
    "cassettes/created-observed.yaml",
    "cassettes/created-partial.yaml",
    "cassettes/created-several-lines.yaml",
    "cassettes/created-unicode.yaml",
    "cassettes/forbidden.yaml",
    "cassettes/not-found.yaml",
    "cassettes/rate-limited.yaml",
    "cassettes/server-error.yaml",
    "cassettes/unauthorized.yaml",
    "schemas/SOURCES.md",
    "schemas/deviations/observed-types.json",
    "schemas/deviations/observed.toml",
    "schemas/examples/request.json",
    "schemas/examples/response.json",
    "schemas/examples/rules.json",
    "schemas/operation.json",
    "schemas/report.json",
    "schemas/request.json",
    "schemas/response.json",
}
"""Every data file that is shipped; a new file in these folders fails a test until it is listed here."""

FIND = "from pytest_veeqo_alloc.spec.loader import read_shipped_text; print(len([read_shipped_text(name) for name in {names!r}]), 'found')"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it; return both paths."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", out, ROOT)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def code_files() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / "pytest_veeqo_alloc").rglob("*.py")} | {
        "pytest_veeqo_alloc/py.typed",
        *(str(path.relative_to(ROOT)) for path in (ROOT / "pytest_veeqo_alloc/reporting/templates").iterdir()),
    }


def finds_everything(python: Path | str, cwd: Path) -> bool:
    return run(python, "-P", "-c", FIND.format(names=sorted(DATA)), cwd=cwd).strip() == f"{len(DATA)} found"


def test_data_folders_hold_exactly_the_listed_files() -> None:
    files = {
        str(path.relative_to(ROOT))
        for folder in ("schemas", "cassettes")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert files == DATA


def test_wheel_holds_code_and_data_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = {name for name in zipfile.ZipFile(built[1]).namelist() if ".dist-info/" not in name}
    assert names == code_files() | {f"pytest_veeqo_alloc/_shipped/{name}" for name in DATA}


def test_wheel_registers_plugin_and_command(built: tuple[Path, Path]) -> None:
    wheel = zipfile.ZipFile(built[1])
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(entry_points).decode()
    assert "[pytest11]\nveeqo_alloc = pytest_veeqo_alloc.plugin" in text
    assert "veeqo-alloc = pytest_veeqo_alloc.cli.main:entry" in text


def test_sdist_holds_code_data_and_tests(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= code_files() | DATA | {"pyproject.toml", "tox.ini", "README.md", "LICENSE", "tests/conftest.py"}
    assert not [name for name in names if name.startswith((".venv", ".tox"))]


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_installation_finds_its_data(built: tuple[Path, Path], kind: str, tmp_path: Path) -> None:
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    target = [built[1]] if kind == "wheel" else ["-e", ROOT]
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", python, *target)
    assert finds_everything(python, tmp_path)


def test_unpacked_sdist_and_checkout_find_their_data(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    for tree in (unpacked, ROOT):
        code = f"import sys; sys.path.insert(0, {str(tree)!r}); {FIND.format(names=sorted(DATA))}"
        assert run(sys.executable, "-P", "-c", code, cwd=tmp_path).strip() == f"{len(DATA)} found"


def test_lowest_tested_versions_are_the_lower_bounds() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    allowed = {re.sub(r"\[.*\]", "", name): bound for name, bound in (text.split(">=") for text in dependencies)}
    lines = (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert {name: (bound + ".0.0").split(".")[:3] for name, bound in allowed.items()} == {
        name: (pin + ".0.0").split(".")[:3] for name, pin in pinned.items()
    }
