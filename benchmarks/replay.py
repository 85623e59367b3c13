"""Replay compared with pytest-recording, linting with YAML loading, redaction with `json.loads`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from check import compact, timed
from measure import Row, Timed, rounds

from pytest_veeqo_alloc import Interaction, Response
from pytest_veeqo_alloc.cli.files import FileCheckOptions, check_paths
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.redactor import Redactor
from pytest_veeqo_alloc.spec.loader import read_shipped_text

TESTS, LINTED = 300, 1000

_CALL = """
import requests
import responses
import pytest

RESPONSE = {response!r}
URL = "https://api.example.com/orders/447452/allocations"
LINE = {{"sellable_id": 1226615, "quantity": 1}}
BODY = {{"allocation": {{"warehouse_id": 1784, "line_items_attributes": [LINE]}}}}
HEADERS = {{"x-api-key": "test", "content-type": "application/json"}}

@pytest.mark.parametrize("number", range({tests}))
{marker}
def test_it(number):
    {body}
"""
_WITH_RESPONSES = "responses.post(URL, status=201, body=RESPONSE)\n    "
_POST = "assert requests.post(URL, json=BODY, headers=HEADERS, timeout=5).status_code == 201"


def measure_replay() -> list[Row]:
    """Measure one test that replays the documented response: a run of 300 tests, including start-up, divided by 300."""
    with tempfile.TemporaryDirectory() as folder:
        cassette = read_shipped_text("cassettes/created.yaml")
        library = Path(folder, "cassettes", "test_recording")
        library.mkdir(parents=True)
        (library / "created.yaml").write_text(cassette, encoding="utf-8")
        recording = '@pytest.mark.default_cassette("created.yaml")\n@pytest.mark.vcr'
        ours = '@pytest.mark.veeqo_alloc_cassette("created")'
        rows = {
            "pytest-recording": _run(folder, "test_recording", recording, _POST),
            "pytest-recording, again": _run(folder, "test_recording", recording, _POST),
            "veeqo_alloc_cassette, with the check": _run(folder, "test_ours", ours, _POST),
            "responses, response written by hand": _run(
                folder, "test_responses", "@responses.activate", _WITH_RESPONSES + _POST
            ),
            "the same tests without a request": _run(folder, "test_empty", "", "pass"),
        }
        return rounds(rows, 7)


def _run(folder: str, name: str, marker: str, body: str) -> Timed:
    test = Path(folder, f"{name}.py")
    test.write_text(
        _CALL.format(
            tests=TESTS, response=compact("schemas/examples/response.json").decode(), marker=marker, body=body
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(test)]

    def run() -> float:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if f"{TESTS} passed" not in done.stdout:
            raise SystemExit(done.stdout + done.stderr)
        return (time.perf_counter() - start) / TESTS

    return run


def measure_lint() -> list[Row]:
    """Measure 1,000 cassettes of the documented response."""
    with tempfile.TemporaryDirectory() as folder:
        texts = [
            read_shipped_text("cassettes/created.yaml").replace("447452", str(447452 + number))
            for number in range(LINTED)
        ]
        paths = [Path(folder, f"{number}.yaml") for number in range(LINTED)]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        contract = Engine()

        def load() -> None:
            for path in paths:
                yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)

        def lint() -> None:
            if len(check_paths([folder], contract, FileCheckOptions(lint=True)).checked) != LINTED:
                raise SystemExit("not every cassette was checked")

        return rounds({"yaml.load with the C loader": single_run(load), "check --lint": single_run(lint)}, 3)


def single_run(work: Callable[[], object]) -> Timed:
    """Return a `Timed` that runs *work* once."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def measure_redaction() -> list[Row]:
    """Measure redaction of the documented response, 12 KB."""
    body = compact("schemas/examples/response.json")
    interaction = Interaction(None, Response(201, (("content-type", "application/json"),), body))
    rows: dict[str, Callable[[], object]] = {
        "json.loads of the body": lambda: json.loads(body),
        "redaction of the body": lambda: Redactor().interaction(interaction),
    }
    return rounds({name: timed(work) for name, work in rows.items()}, 40)
