"""Beside other plugins: each test here runs one of them together with ours."""

from __future__ import annotations

import pytest
from support.bodies import BODY

STRICTLY = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider")
PREAMBLE = (
    f"BODY = {BODY}\n"
    + """
import httpx
import pytest
import requests
from pytest_veeqo_alloc import build_order

PATH = "/orders/447452/allocations"
"""
)
ASYNC = """
async def test_async(veeqo_alloc_server, veeqo_alloc_watch):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    async with httpx.AsyncClient(base_url=veeqo_alloc_server.url, headers=headers) as client:
        watch = veeqo_alloc_watch(client)
        assert (await client.post(PATH, json=BODY)).status_code == 201
        assert len(watch.interactions) == 1

async def test_async_that_breaks_it(veeqo_alloc_server):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    async with httpx.AsyncClient(base_url=veeqo_alloc_server.url, headers=headers) as client:
        await client.post(PATH, json=BODY["allocation"])
"""


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=PREAMBLE + tests)
    return pytester.runpytest_subprocess(*STRICTLY, *options)


@pytest.mark.beside("asyncio")
def test_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = run(pytester, ASYNC)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*request-not-wrapped"])


@pytest.mark.beside("anyio")
def test_anyio(pytester: pytest.Pytester) -> None:
    marked = "\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\npytestmark = pytest.mark.anyio\n"
    result = run(pytester, marked + ASYNC)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*request-not-wrapped"])


@pytest.mark.beside("socket")
def test_pytest_socket_with_the_loopback_allowed_for_the_fake_and_no_socket_at_all_for_a_cassette(
    pytester: pytest.Pytester,
) -> None:
    tests = """
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_fake(veeqo_alloc_server):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    assert requests.post(veeqo_alloc_server.url + PATH, json=BODY, headers=headers, timeout=5).status_code == 201

@pytest.mark.disable_socket
@pytest.mark.veeqo_alloc_cassette("created")
def test_cassette():
    url = "https://api.example.com" + PATH
    assert requests.post(url, json=BODY, headers={"x-api-key": "any"}, timeout=5).status_code == 201
"""
    run(pytester, tests).assert_outcomes(passed=2)


@pytest.mark.beside("pytest_httpserver")
def test_pytest_httpserver_as_the_server_under_test(pytester: pytest.Pytester) -> None:
    tests = """
def test_it(httpserver, veeqo_alloc_contract, veeqo_alloc_server):
    headers = {"Location": "/orders/447452"}
    httpserver.expect_request(PATH, method="POST").respond_with_json(build_order(), 201, headers)
    answer = requests.post(httpserver.url_for(PATH), json=BODY, headers={"x-api-key": "any"}, timeout=5)
    veeqo_alloc_contract.validate_response(answer)
"""
    run(pytester, tests).assert_outcomes(passed=1)


@pytest.mark.beside("randomly", "xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_pytest_randomly(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    tests = """
@pytest.mark.parametrize("number", range(12))
def test_it(veeqo_alloc_server, number):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    for _ in range(2):
        requests.post(veeqo_alloc_server.url + PATH, json=BODY, headers=headers, timeout=5)
    assert len(veeqo_alloc_server.interactions) == 2
"""
    run(pytester, tests, "--randomly-seed=7", *options).assert_outcomes(passed=12)
