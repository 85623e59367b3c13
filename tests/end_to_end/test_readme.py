"""The README in an empty folder: its first block and its ways in run as they stand, and show the printed output."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.pages import ROOT, blocks, page
from support.plugins import disable_others

from pytest_veeqo_alloc.cli.main import main

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_first_block_catches_the_shown_defect_in_an_empty_folder(tmp_path: Path) -> None:
    (block,) = blocks("bash", README)
    install, _, script = block.partition("\n\n")
    assert install.endswith("pip install pytest-veeqo-alloc")  # done: tox has installed the wheel
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTEST_ADDOPTS": " ".join(disable_others()),
    }
    command = ["bash", "-ec", script]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert blocks("text", README)[0] in run.stdout


def test_client_file_passes_as_it_stands(pytester: pytest.Pytester) -> None:
    ((name, code),) = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    (pytester.path / name).write_text(code, encoding="utf-8")
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_server_command_is_that_of_the_tutorial() -> None:
    (command,) = (block for block in blocks("console", README) if "--veeqo-alloc-base-url" in block)
    assert command in blocks("console", page("tutorial-server.md"))


def test_example_is_checked_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in blocks("console", README) if "example response" in block)
    make, check, shown = block.replace("$ veeqo-alloc ", "").split("\n", 2)
    command, _, file = make.partition(" > ")
    assert main(shlex.split(command)) == 0
    Path(file).write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(shlex.split(check)) == 0
    assert capsys.readouterr().out == shown


def test_ignored_files_include_the_journal() -> None:
    assert "veeqo-alloc-journal-*\n" in blocks("text", README)


def test_readme_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150
