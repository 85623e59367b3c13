"""Each defect of a server is caught by the test that is named after it, and by no control; a correct server is clean."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from battery.aio import aiohttp_server
from battery.app import KEY, Shop, running
from battery.defects import PLANTED, accepting, body_of, breaks, keeps
from pytest_veeqo_alloc.strategies.invalid_requests import REQUEST_MUTATIONS, mutated
from pytest_veeqo_alloc.strategies.invalid_responses import RESPONSE_MUTATIONS
from pytest_veeqo_alloc.strategies.responses import balanced_orders
from pytest_veeqo_alloc.strategies.sampling import samples

SUITE = "pytest_veeqo_alloc.conformance"
CONTROL = "test_veeqo_alloc_refusals::test_other_method_is_rejected[PUT]"
OTHER_CONTROL = "test_veeqo_alloc_answers::test_response_follows_rule[location-missing]"


def judge(url: str, folder: Path, *tests: str, profile: str = "strict") -> subprocess.CompletedProcess[str]:
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


def caught(server: Callable[[], Any], folder: Path, test: str) -> None:
    control = OTHER_CONTROL if test == CONTROL or "test_veeqo_alloc_refusals" in test else CONTROL
    with running(server()) as url:
        done = judge(url, folder, test, control)
    assert f"FAILED {test.replace('::', '.py::')}" in done.stdout, done.stdout
    assert "1 failed, 1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("framework", ["WSGI", "aiohttp"])
def test_a_correct_server_is_clean(framework: str, tmp_path: Path) -> None:
    with running(Shop()) if framework == "WSGI" else aiohttp_server(Shop()) as url:
        done = judge(url, tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("rule", RESPONSE_MUTATIONS)
def test_a_server_whose_answers_break_a_rule_is_caught(rule: str, tmp_path: Path) -> None:
    (one,) = samples(mutated(balanced_orders(), {rule: RESPONSE_MUTATIONS[rule]}), 1)
    caught(body_of(one.payload), tmp_path, keeps(rule))


@pytest.mark.parametrize("rule", REQUEST_MUTATIONS)
def test_a_server_that_takes_requests_which_break_a_rule_is_caught(rule: str, tmp_path: Path) -> None:
    caught(accepting(rule), tmp_path, breaks(rule))


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_defect_is_caught(what: str, tmp_path: Path) -> None:
    test, server = PLANTED[what]
    caught(server, tmp_path, test)
