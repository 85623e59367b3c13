"""The fixture of the fake server, in runs of its own."""

from __future__ import annotations

import pytest
from support.bodies import BARE
from support.plugins import STRICTLY

PREAMBLE = (
    f"BARE = {BARE}\n"
    + """
import asyncio
import threading
import httpx
import pytest
import requests

GOOD = {"allocation": BARE}

def call(server, body=GOOD, order_id=447452):
    url = f"{server.url}/orders/{order_id}/allocations"
    return requests.post(url, json=body, headers={"x-api-key": server.api_key}, timeout=5)
"""
)


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=PREAMBLE + tests)
    return pytester.runpytest_subprocess(*STRICTLY, *options)


MIXED = """
def test_good(veeqo_alloc_server):
    assert call(veeqo_alloc_server).status_code == 201

def test_bad(veeqo_alloc_server):
    assert call(veeqo_alloc_server, BARE).status_code == 201

def test_fresh(veeqo_alloc_server):
    assert len(veeqo_alloc_server.interactions) == 0
    assert len(veeqo_alloc_server.world.orders) == 0
    veeqo_alloc_server.inject_fault("server-error", times=2)
    assert call(veeqo_alloc_server).status_code == 500

def test_no_fault_is_left():
    pass

def test_after(veeqo_alloc_server):
    assert call(veeqo_alloc_server).status_code == 201
"""


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_request_with_an_error_fails_its_test_in_the_call_phase(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    result = run(pytester, MIXED, *options)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([
        "request of POST /orders/{order_id}/allocations: 1 error (profile documented)",
        "",
        "  (whole body)  *request-not-wrapped",
        "      wanted  an object whose only member is 'allocation'",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*Traceback*")


def test_expected_finding_passes_and_a_missing_one_fails(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
def test_expected(veeqo_alloc_server):
    veeqo_alloc_server.expect_finding("request-not-wrapped")
    call(veeqo_alloc_server, BARE)

def test_missed(veeqo_alloc_server):
    veeqo_alloc_server.expect_finding("request-not-wrapped")
    call(veeqo_alloc_server)
""")  # fmt: skip
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["veeqo-alloc: no finding of request-not-wrapped (*"])


def test_findings_of_a_failed_test_are_a_section_of_its_report(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
def test_it(veeqo_alloc_server):
    call(veeqo_alloc_server, BARE)
    assert 1 == 2
""")  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">       assert 1 == 2", "*- Captured veeqo-alloc call -*", "request of POST*1 error*"]
    )


def test_xfail_sees_a_failed_test(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
@pytest.mark.xfail(strict=True)
def test_it(veeqo_alloc_server):
    call(veeqo_alloc_server, BARE)
""")  # fmt: skip
    result.assert_outcomes(xfailed=1)


def test_async_clients_and_threads_work(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
def test_async(veeqo_alloc_server):
    async def work():
        url, headers = veeqo_alloc_server.url, {"x-api-key": veeqo_alloc_server.api_key}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            calls = (client.post(f"/orders/{number}/allocations", json=GOOD) for number in range(1, 21))
            return [answer.status_code for answer in await asyncio.gather(*calls)]

    assert asyncio.run(work()) == [201] * 20
    assert len(veeqo_alloc_server.interactions) == 20

def test_threads(veeqo_alloc_server):
    threads = [threading.Thread(target=call, args=(veeqo_alloc_server, GOOD, number)) for number in range(1, 21)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(veeqo_alloc_server.interactions) == 20
""")  # fmt: skip
    result.assert_outcomes(passed=2)


def test_server_settings_can_be_overridden_and_the_profile_is_that_of_the_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import pytest
from pytest_veeqo_alloc import Policy, ServerSettings

@pytest.fixture(scope="session")
def veeqo_alloc_server_settings():
    return ServerSettings(api_key="another-fake-key", policy=Policy.strict())
""")  # fmt: skip
    result = run(pytester, """
def test_it(veeqo_alloc_server):
    assert veeqo_alloc_server.api_key == "another-fake-key"
    assert call(veeqo_alloc_server).status_code == 404

def test_strict(veeqo_alloc_server):
    call(veeqo_alloc_server, {**GOOD, "more": 1})
""", "--veeqo-alloc-profile=strict")  # fmt: skip
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["  /more  *undocumented-field"])


def test_port_in_use_is_reported_in_one_sentence(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import socket
import pytest
from pytest_veeqo_alloc import ServerSettings

@pytest.fixture(scope="session")
def veeqo_alloc_server_settings():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield ServerSettings(port=taken.getsockname()[1])
""")  # fmt: skip
    result = run(pytester, "\ndef test_it(veeqo_alloc_server):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["veeqo-alloc: the fake cannot listen on 127.0.0.1:*: Address already in use; omit port= to use a free port"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_server_settings_of_another_type_are_reported_in_one_sentence(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import pytest

@pytest.fixture(scope="session")
def veeqo_alloc_server_settings():
    return {"port": 0}
""")  # fmt: skip
    result = run(pytester, "\ndef test_it(veeqo_alloc_server):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["veeqo-alloc: the fixture veeqo_alloc_server_settings must return ServerSettings, not dict"]
    )


def test_fault_without_a_request_fails_its_test(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
def test_unmet(veeqo_alloc_server):
    veeqo_alloc_server.inject_fault("rate-limited")

def test_met_once_of_twice(veeqo_alloc_server):
    veeqo_alloc_server.inject_fault("rate-limited", times=2)
    assert call(veeqo_alloc_server).status_code == 429
""")  # fmt: skip
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no request triggered the fault rate-limited*"])


def test_cassette_plays_together_with_the_fake(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
@pytest.mark.veeqo_alloc_cassette("created")
def test_it(veeqo_alloc_server):
    assert call(veeqo_alloc_server).status_code == 201
    url = "https://api.example.com/orders/447452/allocations"
    assert requests.post(url, json=GOOD, headers={"x-api-key": "any"}, timeout=5).status_code == 201
    assert len(veeqo_alloc_server.interactions) == 1
""")  # fmt: skip
    result.assert_outcomes(passed=1)


@pytest.mark.with_plugins("hypothesispytest")
def test_serve_fake_works_for_unittest_and_given(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
import unittest
from hypothesis import HealthCheck, given, settings
from pytest_veeqo_alloc import ContractViolation, serve_fake
from pytest_veeqo_alloc.strategies import allocation_requests

class Shop(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(serve_fake())

    def test_good(self):
        self.assertEqual(call(self.server).status_code, 201)

    def test_bad(self):
        with self.assertRaises(ContractViolation), serve_fake() as server:
            call(server, BARE)

def test_property():
    with serve_fake() as server:
        @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a loaded machine
        @given(allocation_requests())
        def holds(payload):
            server.reset()
            assert call(server, payload).status_code == 201
            assert server.findings.ok
        holds()
""")  # fmt: skip
    result.assert_outcomes(passed=3)


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_warnings_of_passing_tests_are_in_the_summary(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    result = run(pytester, """
def test_query(veeqo_alloc_server):
    requests.post(f"{veeqo_alloc_server.url}/orders/7/allocations?page=1", json=GOOD,
                  headers={"x-api-key": veeqo_alloc_server.api_key}, timeout=5)

def test_again(veeqo_alloc_server):
    requests.post(f"{veeqo_alloc_server.url}/orders/7/allocations?page=1", json=GOOD,
                  headers={"x-api-key": veeqo_alloc_server.api_key}, timeout=5)
""", *options)  # fmt: skip
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["veeqo-alloc: warning: undocumented-query at request query:page, in 2 tests"])


def test_clean_run_prints_only_the_number_of_checks(pytester: pytest.Pytester) -> None:
    result = run(pytester, "\ndef test_it(veeqo_alloc_server):\n    call(veeqo_alloc_server)\n")
    result.assert_outcomes(passed=1)
    printed = [line for line in result.outlines if line.startswith("veeqo-alloc")]
    assert printed == ["veeqo-alloc: 1 interaction checked"]


OTHER_CALLS = """
def other(server, method, path):
    return requests.request(method, server.url + path, headers={"x-api-key": server.api_key}, timeout=5)

def test_flow(veeqo_alloc_server):
    veeqo_alloc_server.stub("GET", "/warehouses", json=[{"id": 1784}])
    assert other(veeqo_alloc_server, "GET", "/warehouses").json() == [{"id": 1784}]
    (allocation,) = call(veeqo_alloc_server).json()["allocations"]
    assert other(veeqo_alloc_server, "GET", f"/shipping/rates/{allocation['id']}").status_code == 404

def test_next(veeqo_alloc_server):
    veeqo_alloc_server.expect_finding("unknown-call")
    assert other(veeqo_alloc_server, "GET", "/warehouses").status_code == 404

def test_broken_stub(veeqo_alloc_server):
    veeqo_alloc_server.stub("GET", "/warehouses/{id}", json=lambda request, id: warehouses[id])
    assert other(veeqo_alloc_server, "GET", "/warehouses/7").status_code == 500
"""


def test_stub_ends_with_its_test_and_an_unknown_call_is_a_warning(pytester: pytest.Pytester) -> None:
    result = run(pytester, OTHER_CALLS)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([
        "*request 1: the function of the stub GET /warehouses/{id} raised NameError in test_it.py, line *",
        "veeqo-alloc: warning: unknown-call at request GET /shipping/rates/[*]",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*unknown-call at request GET /warehouses*")


def test_refused_request_fails_the_test_and_a_probe_is_in_the_summary(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
def test_call(veeqo_alloc_server):
    assert requests.post(veeqo_alloc_server.url + "/orders/1/allocations", headers={"Host": "shop"}, timeout=5).status_code == 421

def test_probe(veeqo_alloc_server):
    assert requests.get(veeqo_alloc_server.url, headers={"Host": "shop"}, timeout=5).status_code == 421
""")  # fmt: skip
    result.assert_outcomes(passed=1, failed=1)
    line = "a request was refused with 421 and is not in the log: the Host header names another server: to accept it, give --name shop*"
    result.stdout.fnmatch_lines([f"veeqo-alloc: {line}", f"veeqo-alloc: warning: {line}"])


def test_fixture_is_reached_under_the_name_of_a_container(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
from pytest_veeqo_alloc import ServerSettings

@pytest.fixture(scope="session")
def veeqo_alloc_server_settings():
    return ServerSettings(names=("shop",))

def test_it(veeqo_alloc_server):
    headers = {"Host": "shop:8080", "x-api-key": veeqo_alloc_server.api_key}
    assert requests.post(veeqo_alloc_server.url + "/orders/1/allocations", json=GOOD, headers=headers, timeout=5).status_code == 201
""")  # fmt: skip
    result.assert_outcomes(passed=1)


SEVERAL = """
def test_three(veeqo_alloc_server, veeqo_alloc_watch):
    with requests.Session() as session:
        veeqo_alloc_watch(session)
        for order_id, body in ((1, GOOD), (2, BARE), (3, GOOD)):
            url = f"{veeqo_alloc_server.url}/orders/{order_id}/allocations"
            session.post(url, json=body, headers={"x-api-key": veeqo_alloc_server.api_key}, timeout=5)

def test_expected(veeqo_alloc_server, veeqo_alloc_watch):
    veeqo_alloc_server.expect_finding("request-not-wrapped")
    with requests.Session() as session:
        veeqo_alloc_watch(session)
        url = f"{veeqo_alloc_server.url}/orders/1/allocations"
        session.post(url, json=BARE, headers={"x-api-key": veeqo_alloc_server.api_key}, timeout=5)

def test_many(veeqo_alloc_contract):
    veeqo_alloc_contract.validate_body("response", {"id": 1})
"""


@pytest.mark.parametrize("verbosity", ["-v", "-vv"])
def test_failure_names_the_request_once_and_is_complete_with_vv(pytester: pytest.Pytester, verbosity: str) -> None:
    result = run(pytester, SEVERAL, verbosity)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines([
        "request of POST /orders/{order_id}/allocations: 1 error (profile documented)",
        "  (whole body)  *request-not-wrapped (request 2 of 3, order 2)",
    ])  # fmt: skip
    assert (str(result.stdout).count("absent-field") > 30) == (verbosity == "-vv")
    assert ("and at " in str(result.stdout)) == (verbosity == "-v")
