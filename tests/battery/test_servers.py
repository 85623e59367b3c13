"""Each defect of a server fails the conformance test that names it and no control test; a correct server passes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from battery.aiohttp_app import running_in_aiohttp
from battery.app import KEY, CorrectServer, running
from battery.defects import DEFECTS, accepting, request_test, response_test, with_body
from pytest_veeqo_alloc.strategies.invalid_requests import REQUEST_MUTATIONS, broken_payloads
from pytest_veeqo_alloc.strategies.invalid_responses import RESPONSE_MUTATIONS
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.sampling import samples

SUITE = "pytest_veeqo_alloc.conformance"
CONTROL = "test_veeqo_alloc_refusals::test_other_method_is_rejected[PUT]"
OTHER_CONTROL = "test_veeqo_alloc_answers::test_response_follows_rule[location-missing]"


def run_suite(url: str, folder: Path, *tests: str, profile: str = "strict") -> subprocess.CompletedProcess[str]:
    host = url.partition("://")[2]
    named = [f"{SUITE}.{test}" for test in tests] or [SUITE]
    command = [sys.executable, "-m", "pytest", "--pyargs", *named, "-q", "-p", "pytest_veeqo_alloc.plugin", "-W", "error", "-p", "no:cacheprovider",
               f"--veeqo-alloc-profile={profile}", f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={host}",
               "--veeqo-alloc-orders=any", "--veeqo-alloc-max-writes=500", "--veeqo-alloc-rate=1000"]  # fmt: skip
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "VEEQO_ALLOC_API_KEY": KEY}
    environment.pop("COV_CORE_SOURCE", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def assert_only_failure(server: Callable[[], Any], folder: Path, test: str) -> None:
    control = OTHER_CONTROL if test == CONTROL or "test_veeqo_alloc_refusals" in test else CONTROL
    with running(server()) as url:
        done = run_suite(url, folder, test, control)
    assert f"FAILED {test.replace('::', '.py::')}" in done.stdout, done.stdout
    assert "1 failed, 1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("framework", ["WSGI", "aiohttp"])
def test_correct_server_passes(framework: str, tmp_path: Path) -> None:
    with running(CorrectServer()) if framework == "WSGI" else running_in_aiohttp(CorrectServer()) as url:
        done = run_suite(url, tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("rule", RESPONSE_MUTATIONS)
def test_broken_response_fails_the_test_of_its_rule(rule: str, tmp_path: Path) -> None:
    (broken,) = samples(broken_payloads(balanced_orders(), {rule: RESPONSE_MUTATIONS[rule]}), 1)
    assert_only_failure(with_body(broken.payload), tmp_path, response_test(rule))


@pytest.mark.parametrize("rule", REQUEST_MUTATIONS)
def test_accepted_broken_request_fails_the_test_of_its_rule(rule: str, tmp_path: Path) -> None:
    assert_only_failure(accepting(rule), tmp_path, request_test(rule))


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_fails_the_test_that_names_it(name: str, tmp_path: Path) -> None:
    test, server = DEFECTS[name]
    assert_only_failure(server, tmp_path, test)
