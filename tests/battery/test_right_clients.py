"""Correct clients of many kinds pass the conformance suite; each with one defect fails exactly the tests named after it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from battery.more_clients import CORRECT, DEFECTS, PROGRAMS

MODULE = "test_veeqo_alloc_client"
CALLS = 50
"""The most calls of a correct client. At 0.8 seconds each, for a program that is started anew, they take 40 seconds."""


def run_suite(folder: Path, table: str, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the client half of the suite with the client *name* of *table*, a dictionary of `battery.more_clients`."""
    hook = f"from battery import more_clients\n\ndef pytest_veeqo_alloc_client(request):\n    return more_clients.{table}[{name!r}]"
    (folder / "conftest.py").write_text(f"{hook}{'[1]' if table == 'DEFECTS' else ''}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--pyargs", f"pytest_veeqo_alloc.conformance.{MODULE}", "-q", "--tb=short", "-rsf",
               "-p", "pytest_veeqo_alloc.plugin", "-W", "error", "-p", "no:cacheprovider", *options]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    environment.pop("COV_CORE_SOURCE", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("profile", ["documented", "strict"])
@pytest.mark.parametrize("name", CORRECT)
def test_correct_client_passes(name: str, profile: str, tmp_path: Path) -> None:
    if name in PROGRAMS and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    seconds = 5 if name in PROGRAMS else 2
    done = run_suite(
        tmp_path, "CORRECT", name, f"--veeqo-alloc-profile={profile}", f"--veeqo-alloc-client-timeout={seconds}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[0-9]+ passed in", done.stdout, re.MULTILINE), done.stdout
    assert "warning" not in done.stdout, done.stdout
    (sent,) = re.findall(r"^veeqo-alloc: ([0-9]+) interactions", done.stdout, re.MULTILINE)
    assert int(sent) <= CALLS or "reads" in name


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_fails_exactly_the_tests_named_after_it(name: str, tmp_path: Path) -> None:
    done = run_suite(tmp_path, "DEFECTS", name, "--veeqo-alloc-profile=documented", "--veeqo-alloc-client-timeout=2")
    failed = re.findall(rf"^FAILED {MODULE}\.py::(.*?\])", done.stdout, re.MULTILINE)
    assert sorted(failed) == sorted(DEFECTS[name][0]), done.stdout + done.stderr
    assert "Traceback" not in done.stdout
