"""schemathesis, driven by the OpenAPI document of `veeqo-alloc openapi`, passes the fake and fails planted defects.

The schemas permit requests that a server may reject (no line items, an unknown order). The document has 4XX and 5XX for that
reason, although the page has no status but 201.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc import Profile, build_order, serve_fake
from pytest_veeqo_alloc.spec.loader import openapi_document

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)
MISTYPED = {**build_order(), "id": "447452"}
INCOMPLETE = {name: value for name, value in build_order().items() if name != "payment"}
DEFECTS: dict[str, dict[str, Any]] = {
    "number as text": {"body": MISTYPED},
    "missing field": {"body": INCOMPLETE},
    "HTML page": {"body": b"<html></html>", "headers": {"Content-Type": "text/html"}},
    "server error": {"status": 500, "body": {"status": 500}},
    "undocumented status": {"status": 200, "body": build_order()},
}


def run_schemathesis(
    folder: Path, response: dict[str, Any] | None, profile: Profile = "documented"
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run schemathesis against a fake that gives *response*, and return the run and the number of requests."""
    (folder / "openapi.json").write_text(json.dumps(openapi_document(profile)), encoding="utf-8")
    with serve_fake() as server:
        if response is not None:
            server.respond_with(times=10**6, **response)
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", server.url,
            "-H", f"x-api-key: {server.api_key}", "--mode", "positive", "--phases", "examples,fuzzing",
            "--max-examples", "50", "--seed", "1", "--checks", CHECKS, "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        count = len(server.interactions)
        server.reset()  # discard the findings about the requests of schemathesis
    return done, count


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_fake_passes(tmp_path: Path, profile: Profile) -> None:
    done, count = run_schemathesis(tmp_path, None, profile)
    assert done.returncode == 0, done.stdout
    assert count > 10, done.stdout


@pytest.mark.parametrize("defect", DEFECTS)
def test_server_with_a_planted_defect_fails(tmp_path: Path, defect: str) -> None:
    done, _ = run_schemathesis(tmp_path, DEFECTS[defect])
    assert done.returncode == 1, done.stdout
    assert "FAILURES" in done.stdout
