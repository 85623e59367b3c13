"""Project links and absolute links come from one setting: a public home in pyproject.toml, or nothing."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = "https://code.example/team/project"


def metadata_of(tree: Path, out: Path) -> Message:
    """Build a wheel of *tree* and return its metadata."""
    command = [sys.executable, "-m", "build", "--installer", "uv", "--wheel", "--outdir", str(out), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_without_a_public_home_there_are_no_links_to_one(tmp_path: Path) -> None:
    metadata = metadata_of(ROOT, tmp_path)
    assert metadata.get_all("Project-URL") is None
    assert "](docs/" in str(metadata.get_payload())


def test_a_public_home_is_the_source_of_every_link(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "tests", "dist"))
    settings = (tree / "pyproject.toml").read_text(encoding="utf-8")
    (tree / "pyproject.toml").write_text(settings.replace('home = ""', f'home = "{HOME}"'), encoding="utf-8")
    metadata = metadata_of(tree, tmp_path / "out")
    assert f"Source, {HOME}" in metadata.get_all("Project-URL", [])
    readme = str(metadata.get_payload())
    assert f"]({HOME}/blob/main/docs/tutorial-client.md)" in readme
    assert f"]({HOME}/raw/main/docs/report.png)" in readme
    assert "](docs/" not in readme
