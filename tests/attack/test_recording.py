"""Recording by several processes, and connections that were open before a cassette plays."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.live import KEY, pool_request
from support.plugins import STRICTLY
from support.staging import staging

TESTS = """
import os, time, pytest, requests

URL, READY = os.environ["SERVER_URL"], os.environ["READY"]

@pytest.mark.parametrize("number", range(4))
@pytest.mark.veeqo_alloc_cassette("mine")
def test_it(number):
    open(os.path.join(READY, str(number)), "w").close()
    while len(os.listdir(READY)) < 4:  # each process has begun, so none has recorded
        time.sleep(0.01)
    headers = {"x-api-key": os.environ["VEEQO_ALLOC_API_KEY"]}
    assert requests.post(URL + "/orders/7/allocations", json=BODY, headers=headers, timeout=5).status_code == 201
"""


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("mode", ["once", "new_episodes", "all"])
def test_four_processes_record_a_cassette_once(
    mode: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytester.makepyfile(test_it=f"BODY = {pool_request()}\n{TESTS}")
    with staging() as server:
        for name, value in (("SERVER_URL", server.url), ("READY", str(tmp_path)), ("VEEQO_ALLOC_API_KEY", KEY)):
            monkeypatch.setenv(name, value)
        result = pytester.runpytest_subprocess(
            *STRICTLY, "-n", "4", "--veeqo-alloc-orders=any", "--veeqo-alloc-max-writes=9", f"--veeqo-alloc-record-mode={mode}",
            f"--veeqo-alloc-base-url={server.url}", f"--veeqo-alloc-allow-host={server.url.partition('://')[2]}",
        )  # fmt: skip
        result.assert_outcomes(passed=1, failed=3)
        assert len(server.posts) == 1
    result.stdout.fnmatch_lines(["E *another process of this run records the cassette 'mine', so nothing was sent: *"])
    text = (pytester.path / "tests" / "cassettes" / "mine.yaml").read_text(encoding="utf-8")
    assert len(yaml.safe_load(text)["interactions"]) == 1
