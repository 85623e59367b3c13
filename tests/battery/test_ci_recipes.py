"""The recipes for CI services run as they stand, against a server that is started in the job."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.live import KEY
from support.pages import blocks, page
from support.recipes import RECIPES, jobs, steps

from pytest_veeqo_alloc import serve_fake

ROOT = Path(__file__).parents[2]
RECIPE = {recipe.stem: recipe for recipe in RECIPES}
POOL = "".join(
    f"[[order]]\nid = {number}\nwarehouse_id = 1784\nsellables = {{ 1226615 = 20, 1226616 = 20 }}\n" for number in range(41, 50)
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a server, cassettes, and programs of this environment in the folder bin."""
    app = (ROOT / "examples" / "server_wsgi" / "app.py").read_text(encoding="utf-8")
    (tmp_path / "app.py").write_text(app.replace('"--fixed" in sys.argv', "True"), encoding="utf-8")
    (tmp_path / "tests" / "cassettes").mkdir(parents=True)
    cassette = (ROOT / "cassettes" / "created.yaml").read_bytes()
    (tmp_path / "tests" / "cassettes" / "created.yaml").write_bytes(cassette)
    (tmp_path / "tests" / "pool.toml").write_text(POOL, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    python = shlex.quote(sys.executable)
    programs = {"python": "", "pytest": "-m pytest", "veeqo-alloc": "-m pytest_veeqo_alloc", "pip": "-c ''"}
    for name, module in programs.items():
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {python} {module} "$@"\n', encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o700)
    return tmp_path


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def run_script(project: Path, script: str, **variables: str) -> tuple[int, str]:
    """Run *script* in bash. Return its exit status and its output, and end what it has left running."""
    path, log = f"{project / 'bin'}:{os.environ['PATH']}", project / "job.log"
    environment = {**os.environ, **variables, "PATH": path, "GITHUB_STEP_SUMMARY": str(project / "summary.md")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=project, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status = process.wait(300)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, log.read_text(encoding="utf-8")


def run_job(project: Path, recipe: str, name: str, staging: str = "") -> tuple[int, str]:
    """Run the steps of a job as its service does. *staging* is the URL of the staging server."""
    job, script = jobs(RECIPE[recipe])[name], ""
    for step, is_always in steps(job):
        condition = "true" if is_always else '[ -z "$failed" ]'
        script += f"if {condition}; then bash -eo pipefail -c {shlex.quote(step)} || failed=1; fi\n"
    variables = {**job.get("env", {}), **job.get("variables", {})}
    if staging:
        variables["VEEQO_ALLOC_API_KEY"] = KEY
    return run_script(project, at(staging, f"{script}exit ${{failed:-0}}").replace("8000", free_port()), **variables)


def at(staging: str, text: str) -> str:
    """Return *text* with the URL *staging* instead of that of the staging server."""
    return text.replace("https://staging.example.com", staging).replace(
        "staging.example.com", staging.partition("://")[2]
    )


SERVER_JOBS = [("github-contract", "server"), ("gitlab", "server")]
CASSETTE_JOBS = [("github-contract", "cassettes", "contract.sarif"), ("gitlab", "cassettes", "cassettes.xml")]


@pytest.mark.parametrize(("recipe", "job"), SERVER_JOBS)
def test_job_starts_the_server_and_tests_it(recipe: str, job: str, project: Path) -> None:
    status, output = run_job(project, recipe, job)
    assert status == 0, output
    assert len(list(ElementTree.parse(project / "report.xml").iter("testcase"))) > 80
    if recipe == "github-contract":
        summary = (project / "summary.md").read_text(encoding="utf-8")
        assert summary.startswith("## Contract coverage\n```text\n")
        assert "475 of 475 fields seen from the target" in summary


def test_server_with_a_defect_fails_the_job_and_the_summary_is_written(project: Path) -> None:
    app = project / "app.py"
    app.write_text(app.read_text(encoding="utf-8").replace("FIXED = True", "FIXED = False"), encoding="utf-8")
    status, output = run_job(project, "github-contract", "server")
    assert status == 1, output
    assert "fields seen from the target" in (project / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("recipe", "job", "result"), CASSETTE_JOBS)
def test_job_checks_the_cassettes(recipe: str, job: str, result: str, project: Path) -> None:
    status, output = run_job(project, recipe, job)
    assert status == 0, output
    cassette = project / "tests" / "cassettes" / "created.yaml"
    cassette.write_text(
        cassette.read_text(encoding="utf-8").replace("code: 201\n", "code: 200\n"),
        encoding="utf-8",
    )
    status, output = run_job(project, recipe, job)
    assert status == 1, output
    assert "wrong-status" in (project / result).read_text(encoding="utf-8")


def test_drift_job_passes_the_baseline_of_the_page_and_fails_after_a_change(project: Path) -> None:
    (block,) = (block for block in blocks("console", page("howto/ci.md")) if "baseline.json" in block)
    with serve_fake(api_key=KEY) as server:
        status, output = run_script(project, at(server.url, block.removeprefix("$ ")), VEEQO_ALLOC_API_KEY=KEY)
        assert status == 0, output
        status, output = run_job(project, "github-drift", "drift", server.url)
        assert status == 0, output
        server.inject_fault("extra-member", 10**6, pointer="/colour")
        status, output = run_job(project, "gitlab", "drift", server.url)
        server.reset()
    assert status == 1, output
    assert "new: response /colour: undocumented" in output
