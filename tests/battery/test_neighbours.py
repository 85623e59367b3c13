"""Other pytest plugins, each in a run together with ours."""

from __future__ import annotations

import pytest
from support.bodies import BODY

from pytest_veeqo_alloc.coverage.report_model import totals_by_origin
from pytest_veeqo_alloc.reporting.report_file import load

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

async def test_async_with_an_error(veeqo_alloc_server):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    async with httpx.AsyncClient(base_url=veeqo_alloc_server.url, headers=headers) as client:
        await client.post(PATH, json=BODY["allocation"])
"""


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=PREAMBLE + tests)
    return pytester.runpytest_subprocess(*STRICTLY, *options)


@pytest.mark.with_plugins("asyncio")
def test_pytest_asyncio_runs_watched_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = run(pytester, ASYNC)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*request-not-wrapped"])


@pytest.mark.with_plugins("anyio")
def test_anyio_runs_watched_tests(pytester: pytest.Pytester) -> None:
    marked = "\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\npytestmark = pytest.mark.anyio\n"
    result = run(pytester, marked + ASYNC)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*request-not-wrapped"])


@pytest.mark.with_plugins("socket")
def test_pytest_socket_allows_the_fake_and_cassettes_need_no_socket(
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


@pytest.mark.with_plugins("pytest_httpserver")
def test_pytest_httpserver_is_the_server_under_test(pytester: pytest.Pytester) -> None:
    tests = """
def test_it(httpserver, veeqo_alloc_contract, veeqo_alloc_server):
    headers = {"Location": "/orders/447452"}
    httpserver.expect_request(PATH, method="POST").respond_with_json(build_order(), 201, headers)
    answer = requests.post(httpserver.url_for(PATH), json=BODY, headers={"x-api-key": "any"}, timeout=5)
    veeqo_alloc_contract.validate_response(answer)
"""
    run(pytester, tests).assert_outcomes(passed=1)


@pytest.mark.with_plugins("randomly", "xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_pytest_randomly_shuffles_tests_of_the_fake(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    tests = """
@pytest.mark.parametrize("number", range(12))
def test_it(veeqo_alloc_server, number):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    for _ in range(2):
        requests.post(veeqo_alloc_server.url + PATH, json=BODY, headers=headers, timeout=5)
    assert len(veeqo_alloc_server.interactions) == 2
"""
    run(pytester, tests, "--randomly-seed=7", *options).assert_outcomes(passed=12)


@pytest.mark.with_plugins("xdist", "recording")
def test_pytest_recording_and_xdist_keep_failures(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.parametrize("number", range(4))
def test_bad(veeqo_alloc_contract, number):
    veeqo_alloc_contract.validate_body("response", build_order() | {"customer": None})

def test_watched(veeqo_alloc_server):
    headers = {"x-api-key": veeqo_alloc_server.api_key}
    with requests.Session() as session:
        session.post(veeqo_alloc_server.url + PATH, json=BODY["allocation"], headers=headers)

@pytest.mark.vcr
def test_recorded():
    pass
"""
    result = run(pytester, tests, "-p", "no:randomly", "-n", "2")
    result.assert_outcomes(failed=5, passed=1)
    result.stdout.fnmatch_lines(["*pytest_veeqo_alloc.ContractViolation: response of POST*"])


@pytest.mark.with_plugins("xdist", "html", "html_fixtures", "metadata", "pytest_jsonreport", "pytest_cov")
@pytest.mark.parametrize(
    "options",
    [
        ("--html=other.html", "--self-contained-html"),
        ("--json-report", "--json-report-file=other.json"),
        ("--cov=test_it", "--cov-report=term"),
    ],
    ids=["pytest-html", "pytest-json-report", "pytest-cov"],
)
def test_reports_of_other_plugins_are_written_as_well(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(test_it=PREAMBLE + """
def test_it(veeqo_alloc_contract):
    assert veeqo_alloc_contract.check_body("response", build_order()).ok
""")  # fmt: skip
    own = ("-W", "error", "-p", "no:randomly", "-n", "2", "--veeqo-alloc-report", "out.json")
    result = pytester.runpytest_subprocess(*own, *options)
    assert result.ret == 0, [*result.outlines, *result.errlines]
    result.stdout.fnmatch_lines(["veeqo-alloc: 1 interaction (1 from the target)*"])
    assert totals_by_origin(load(str(pytester.path / "out.json")))["target"].interactions == 1
    if written := next((option for option in options if "=other" in option), ""):
        assert (pytester.path / written.partition("=")[2]).exists()
