"""Newman, which runs Postman collections, passes the fake with the collection of `veeqo-alloc export postman`.

Newman is on npm. Without it, these tests are skipped.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc import Policy, build_order, serve_fake
from pytest_veeqo_alloc.cli.postman import collection
from pytest_veeqo_alloc.contract.rules import Profile
from pytest_veeqo_alloc.server.fake import Fake

NEWMAN = shutil.which("newman")
pytestmark = pytest.mark.skipif(NEWMAN is None, reason="newman is not installed: npm install -g newman")
VALID = ("--folder", "Valid requests")


def run_newman(folder: Path, server: Fake, *options: str, profile: Profile = "documented") -> tuple[set[str], int]:
    """Run the collection against *server*. Return the names of the tests that fail, and the number of requests."""
    (folder / "collection.json").write_text(json.dumps(collection(profile)), encoding="utf-8")
    command = [
        str(NEWMAN), "run", "collection.json", "--env-var", f"baseUrl={server.url}", "--env-var", f"apiKey={server.api_key}",
        "--reporters", "json", "--reporter-json-export", "out.json", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    run = json.loads((folder / "out.json").read_text(encoding="utf-8"))["run"]
    failed = {failure["error"]["test"].partition(":")[0] for failure in run["failures"]}
    assert done.returncode == bool(failed), done.stdout
    return failed, run["stats"]["requests"]["total"]


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_fake_passes(profile: Profile, tmp_path: Path) -> None:
    with serve_fake(policy=Policy(refuses=profile)) as server:
        failed, count = run_newman(tmp_path, server, profile=profile)
        server.reset()  # discard the findings about broken requests
    assert failed == set()
    assert count > 60


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in build_order().items() if key != name}


LOCATION = {"Location": "/orders/447452"}
ELSEWHERE = build_order()
ELSEWHERE["allocations"][0]["warehouse"]["id"] = 1785
DEFECTS: dict[str, dict[str, Any]] = {
    "wrong-status": {"status": 200, "body": build_order(), "headers": LOCATION},
    "response-media-type": {"body": json.dumps(build_order()).encode(), "headers": LOCATION | {"Content-Type": "text/html"}},
    "location-missing": {"body": build_order()},
    "schema": {"body": without("payment"), "headers": LOCATION},
    "order-echo": {"body": build_order() | {"id": 447453}, "headers": LOCATION},
    "allocation-echo": {"body": ELSEWHERE, "headers": LOCATION},
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_server_with_a_planted_defect_fails_the_test_named_after_it(defect: str, tmp_path: Path) -> None:
    with serve_fake() as server:
        server.respond_with(times=10**6, **{"status": 201, **DEFECTS[defect]})
        options = ("--env-var", "warehouseId=1784", "--env-var", "otherSellableId=1226615")
        failed, _ = run_newman(tmp_path, server, *VALID, *options)
        server.reset()
    assert failed == {defect}


def test_server_that_accepts_everything_fails(tmp_path: Path) -> None:
    with serve_fake() as server:
        server.respond_with(status=201, body=build_order(), headers=LOCATION, times=10**6)
        failed, _ = run_newman(tmp_path, server, "--folder", "Broken requests")
        server.reset()
    assert failed == {"broken-request-accepted"}


def test_page_works_by_copy_and_paste(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "howto" / "postman.md").read_text(encoding="utf-8")
    export, run = re.findall(r"^\$ (veeqo-alloc export .*)\n\$ npx (newman .*)$", text, flags=re.MULTILINE)[0]
    export = export.replace("veeqo-alloc", f"{shlex.quote(sys.executable)} -m pytest_veeqo_alloc", 1)
    with serve_fake() as server:
        for command in (export, f"{run} --env-var baseUrl={server.url}"):
            subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
        assert len(server.interactions) > 60
        server.reset()
