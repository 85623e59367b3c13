"""A third party's verdict: schemathesis, told of the call by `veeqo-alloc openapi`, against our fake and against defects.

The page documents no status but 201, and its schemas take what its example forbids (an allocation of nothing, an order -1), so
a refusal is right and undocumented at once: the check of status codes is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc import build_order, serve_fake
from pytest_veeqo_alloc.spec.loader import openapi_document

CHECKS = "not_a_server_error,content_type_conformance,response_headers_conformance,response_schema_conformance"
MISTYPED = {**build_order(), "id": "447452"}
LACKING = {name: value for name, value in build_order().items() if name != "payment"}
DEFECTS = {
    "a number that is text": {"body": MISTYPED},
    "a field that is left out": {"body": LACKING},
    "a page of HTML": {"body": b"<html></html>", "headers": {"Content-Type": "text/html"}},
    "a server that fails": {"status": 500, "body": {"status": 500}},
}


def verdict(
    folder: Path, answer: dict[str, Any] | None, profile: str = "documented"
) -> tuple[subprocess.CompletedProcess[str], int]:
    """The run of schemathesis, and how many requests it sent."""
    (folder / "openapi.json").write_text(json.dumps(openapi_document(profile)), encoding="utf-8")
    with serve_fake() as server:
        if answer is not None:
            server.respond_with(times=10**6, **answer)
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", server.url,
            "-H", f"x-api-key: {server.api_key}", "--mode", "positive", "--phases", "examples,fuzzing",
            "--max-examples", "50", "--seed", "1", "--checks", CHECKS, "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        asked = len(server.interactions)
        server.reset()  # what schemathesis sends is not held against anybody
    return done, asked


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_the_fake_passes(tmp_path: Path, profile: str) -> None:
    done, asked = verdict(tmp_path, None, profile)
    assert done.returncode == 0, done.stdout
    assert asked > 10, done.stdout


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_server_with_a_defect_fails(tmp_path: Path, defect: str) -> None:
    done, _ = verdict(tmp_path, DEFECTS[defect])
    assert done.returncode == 1, done.stdout
    assert "FAILURES" in done.stdout
