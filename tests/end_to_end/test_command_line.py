"""The command line as a process: its streams and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bodies import drop, order

BROKEN = drop(order(), "/deliver_to/zip")


@pytest.mark.parametrize("closing", [">/dev/full", "<&-"])
def test_unusable_stream_is_one_sentence(closing: str) -> None:
    command = f"{sys.executable} -m pytest_veeqo_alloc {'rules' if 'full' in closing else 'check -'} {closing}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_dash_is_standard_input() -> None:
    command = [sys.executable, "-m", "pytest_veeqo_alloc", "check", "--format", "json", "-"]
    done = subprocess.run(command, input=json.dumps(BROKEN).encode(), capture_output=True, check=False)
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["file"] == "-"


def test_closed_pipe_is_not_a_traceback() -> None:
    command = f"{sys.executable} -m pytest_veeqo_alloc schema response | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


def test_terminal_without_unicode_gets_escapes(tmp_path: Path) -> None:
    file = tmp_path / "größe.json"
    file.write_text(json.dumps(BROKEN))
    command = [sys.executable, "-m", "pytest_veeqo_alloc", "check", str(file)]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert rb"gr\xf6\xdfe.json: response of" in done.stdout
