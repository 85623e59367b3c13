"""The pytest plugin: contract, watched sessions, options and output."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema  # noqa: F401  # otherwise each test imports it again, since pytester forgets it
import pytest
from support.bodies import BARE
from support.plugins import STRICTLY

PREAMBLE = (
    f"BARE = {BARE}\n"
    + """
import json
import httpx
import pytest
import requests
from pytest_veeqo_alloc import Contract, Response
from pytest_veeqo_alloc.spec.loader import read_shipped_text

ORDER = json.loads(read_shipped_text("schemas/examples/response.json"))
GOOD = {"allocation": BARE}
PATH = "/orders/447452/allocations"
HEADERS = {"x-api-key": "test-key"}

def answer(**changes):
    headers = (("content-type", "application/json"), ("location", "/orders/447452"))
    return Response(201, headers, json.dumps(ORDER | changes).encode())
"""
)

WATCHED = """
import os
URL = os.environ["SERVER_URL"]

def call(watch, body):
    with requests.Session() as session:
        watch(session)
        return session.post(URL + PATH, json=body, headers=HEADERS).status_code
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server_url: str) -> pytest.Pytester:
    monkeypatch.setenv("SERVER_URL", server_url)
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    return pytester


def run(suite: pytest.Pytester, *options: str, tests: str = "") -> pytest.RunResult:
    suite.makepyfile(test_it=PREAMBLE + WATCHED + tests)
    return suite.runpytest_inprocess(*STRICTLY, *options)


def test_failure_of_the_contract_fixture_shows_no_frame_of_this_package(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        tests="""
def test_good(veeqo_alloc_contract):
    assert veeqo_alloc_contract.validate_response(answer()).ok

def test_bad(veeqo_alloc_contract):
    veeqo_alloc_contract.validate_response(answer(customer=None))
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([
        "E *pytest_veeqo_alloc.ContractViolation: response of POST /orders/{order_id}/allocations: 1 error (profile documented)",
        "E *  /customer                                    null-value",
        "E *    wanted  object",
        "E *    got     null",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*api.py*")
    result.stdout.no_fnmatch_line("*are not shown*")
    result.stdout.no_fnmatch_line("*veeqo-alloc: profile*")


def test_watched_session_fails_its_test_in_the_call_phase(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        "-rA",
        tests="""
def test_good(veeqo_alloc_watch):
    assert call(veeqo_alloc_watch, GOOD) == 201

def test_bad(veeqo_alloc_watch):
    assert call(veeqo_alloc_watch, BARE) == 201

@pytest.mark.xfail(strict=True)
def test_expected(veeqo_alloc_watch):
    assert call(veeqo_alloc_watch, BARE) == 201

@pytest.mark.xfail(strict=True, raises=AssertionError)
def test_expected_as_an_assertion(veeqo_alloc_watch):
    assert call(veeqo_alloc_watch, BARE) == 201

def test_fails_by_itself(veeqo_alloc_watch):
    assert call(veeqo_alloc_watch, BARE) == 202

def test_unused(veeqo_alloc_watch):
    pass
""",
    )
    result.assert_outcomes(passed=2, failed=2, xfailed=2)
    result.stdout.fnmatch_lines([
        "*_ test_bad _*",
        "request of POST /orders/{order_id}/allocations: 1 error (profile documented)",
        "",
        "  (whole body)                                 request-not-wrapped",
        "*_ test_fails_by_itself _*",
        "E       AssertionError: assert 201 == 202",
        "*Captured veeqo-alloc call*",
        "  (whole body)                                 request-not-wrapped",
        "FAILED test_it.py::test_bad - pytest_veeqo_alloc.ContractViolation: request o*",
    ], consecutive=False)  # fmt: skip
    result.stdout.no_fnmatch_line("*plugin.py*")
    result.stdout.no_fnmatch_line("*traceback entries are hidden*")


def test_async_client_is_watched(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        tests="""
import asyncio

def test_it(veeqo_alloc_watch):
    async def calls():
        async with httpx.AsyncClient(base_url=URL) as client:
            veeqo_alloc_watch(client)
            await client.post(PATH, json=BARE, headers=HEADERS)
    asyncio.run(calls())
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*request-not-wrapped*"])


def test_options_and_ini_keys_set_the_contract_and_are_in_the_header(suite: pytest.Pytester) -> None:
    suite.makeini("""
        [pytest]
        veeqo_alloc_profile = lenient
        veeqo_alloc_rule =
            null-value=error
            total=off
        veeqo_alloc_deviations = sub/accepted.toml
    """)
    suite.mkdir("sub").joinpath("accepted.toml").write_text(
        "[[deviation]]\nrule='null-value'\npointer='/payment'\nreason='known'", encoding="utf-8"
    )
    tests = """
def test_profile(veeqo_alloc_contract):
    print("PROFILE", veeqo_alloc_contract)
    findings = veeqo_alloc_contract.check_response(answer(customer=None, payment=None, total_price=1))
    print("FOUND", [(f.rule, f.pointer, f.severity) for f in findings], len(findings.accepted))
"""
    result = run(suite, "-s", tests=tests)
    result.stdout.fnmatch_lines([
        "veeqo-alloc: profile lenient, null-value=error, total=off, deviations sub/accepted.toml",
        "*PROFILE <Contract, profile lenient>",
        "FOUND [[]('null-value', '/customer', 'error')] 1",
    ])  # fmt: skip
    result = run(
        suite,
        "-s",
        "--veeqo-alloc-profile=strict",
        "--veeqo-alloc-rule=null-value=off",
        "--veeqo-alloc-deviations=observed",
        tests=tests,
    )
    result.stdout.fnmatch_lines([
        "veeqo-alloc: profile strict, null-value=off, deviations observed",
        "*PROFILE <Contract, profile strict>",
        "FOUND [[]('total', '/total_price', 'error')] 0",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("profile=strct", "unknown profile 'strct': did you mean 'strict'?"),
        ("rule=x", "expected ID=SEVERITY, such as null-value=warning, not 'x'"),
        ("deviations=no.toml", "no such deviations file: 'no.toml'"),
        ("base-url=", "--veeqo-alloc-base-url is empty: give a value, or leave the option out"),
        ("client-command=", "--veeqo-alloc-client-command is empty: give a value, or leave the option out"),
        ("max-writes=abc", "--veeqo-alloc-max-writes must be a whole number, not 'abc'"),
        ("max-writes=\u0663", "--veeqo-alloc-max-writes must be a whole number, not '\\u0663'"),
        ("rate=0.0", "--veeqo-alloc-rate must be a number of requests above 0, not '0.0'"),
        ("rate=nan", "--veeqo-alloc-rate must be a number of requests above 0, not 'nan'"),
        ("client-timeout=5s", "--veeqo-alloc-client-timeout must be a number of seconds above 0, not '5s'"),
        (
            "client=foo",
            "--veeqo-alloc-client must be a module and a callable, such as shop.veeqo:make_client, not 'foo'",
        ),
        ("cassette-max-age=-1", "--veeqo-alloc-cassette-max-age must be a whole number of days, not '-1'"),
        ("coverage-min=101", "--veeqo-alloc-coverage-min must be a percentage from 0 to 100, not '101'"),
    ],
)
def test_invalid_option_is_rejected(suite: pytest.Pytester, option: str, sentence: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        suite.parseconfigure(f"--veeqo-alloc-{option}")
    assert str(caught.value) == f"veeqo-alloc: {sentence}"


NATIVE_TABLES = {"pyproject.toml": "[tool.pytest]", "pytest.toml": "[pytest]"}


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="before pytest 9")
@pytest.mark.parametrize("name", NATIVE_TABLES)
def test_numbers_in_the_table_of_pytest_9_are_accepted(suite: pytest.Pytester, name: str) -> None:
    keys = "max_writes = 5", "rate = 2.5", "coverage_min = 90", "client_timeout = 1.5", "allow_host = ['127.0.0.1']"
    lines = (NATIVE_TABLES[name], *(f"veeqo_alloc_{key}" for key in keys))
    (suite.path / name).write_text("\n".join(lines), encoding="utf-8")
    result = run(
        suite,
        tests="""
from pytest_veeqo_alloc.plugin.live import write_options_of

def test_it(pytestconfig):
    options = write_options_of(pytestconfig)
    assert (options.max_writes, options.rate, options.allow_hosts) == (5, 2.5, ("127.0.0.1",))
""",
    )
    result.stdout.fnmatch_lines(["veeqo-alloc: *coverage at least 90 %*"])
    result.assert_outcomes(passed=1)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="before pytest 9")
@pytest.mark.parametrize("line", ["max_writes = true", "rate = []", "profile = 5", "coverage_min = 2026-01-01"])
def test_other_value_in_the_table_of_pytest_9_stops_the_run_with_one_sentence(
    suite: pytest.Pytester, line: str
) -> None:
    (suite.path / "pytest.toml").write_text(f"[pytest]\nveeqo_alloc_{line}\n", encoding="utf-8")
    result = run(suite)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: *pytest.toml: config option 'veeqo_alloc_{line.partition(' ')[0]}' expects *"]
    )


def test_invalid_option_stops_the_run_with_one_sentence(suite: pytest.Pytester) -> None:
    suite.makepyfile("def test_it(): pass")
    result = suite.runpytest_subprocess(*STRICTLY, "--veeqo-alloc-profile=strct")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: veeqo-alloc: unknown profile 'strct': did you mean 'strict'?"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_values_are_shown_only_if_requested(suite: pytest.Pytester) -> None:
    tests = """
def test_it(veeqo_alloc_contract):
    veeqo_alloc_contract.validate_response(answer(total_tax="seven"))
"""
    run(suite, tests=tests).stdout.no_fnmatch_line('*string of 5 characters: "seven"*')
    result = run(suite, "--veeqo-alloc-show-values", tests=tests)
    result.stdout.fnmatch_lines(
        ["veeqo-alloc: profile documented, body values shown", '*got     string of 5 characters: "seven"']
    )


@pytest.mark.parametrize(
    ("profile", "response", "request_"),
    [("documented", True, False), ("strict", False, False), ("lenient", True, True)],
)
def test_validators_follow_the_profile(suite: pytest.Pytester, profile: str, response: bool, request_: bool) -> None:
    tests = """
def test_it(veeqo_alloc_schemas):
    response, request = veeqo_alloc_schemas.response, veeqo_alloc_schemas.request
    assert response.is_valid(ORDER)
    print("VALID", response.is_valid(ORDER | {"extra": 1}), request.is_valid(BARE))
"""
    result = run(suite, "-s", f"--veeqo-alloc-profile={profile}", tests=tests)
    result.stdout.fnmatch_lines([f"*VALID {response} {request_}"])


@pytest.mark.with_plugins("hypothesispytest")
def test_contract_fixture_works_in_a_property_test(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        tests="""
from hypothesis import given, strategies as st

@given(quantity=st.integers())
def test_it(veeqo_alloc_contract, quantity):
    line = {"sellable_id": 1, "quantity": quantity}
    assert veeqo_alloc_contract.check_body("request", {"allocation": {"warehouse_id": 1, "line_items_attributes": [line]}}).ok
""",
    )
    result.assert_outcomes(passed=1)


CANARY = "zx9canary"
SPREAD = f"""
def canaries(value):
    if isinstance(value, dict):
        return {{key: canaries(inner) for key, inner in value.items()}} | {{"{CANARY} name": "{CANARY}"}}
    if isinstance(value, list):
        return [canaries(inner) for inner in value]
    return "{CANARY}" if isinstance(value, str) else value

def poisoned():
    body = canaries(ORDER)
    body["id"] = "{CANARY}"
    body["total_price"] = {{"{CANARY} inside": ["{CANARY}"]}}
    headers = (("content-type", "text/{CANARY}"), ("location", "/{CANARY} x"), ("x-{CANARY}", "{CANARY}"))
    return Response(201, headers, json.dumps(body).encode())

def test_response(veeqo_alloc_contract):
    veeqo_alloc_contract.validate_response(poisoned())

def test_watched(veeqo_alloc_watch):
    with requests.Session() as session:
        veeqo_alloc_watch(session)
        session.headers["x-api-key"] = "{CANARY}-key-of-a-test"
        session.post(URL + PATH + "?{CANARY}%20q={CANARY}-key-of-a-test", json=canaries(BARE), headers={{"content-type": "text/{CANARY}"}})
"""


def test_no_value_header_or_odd_name_reaches_any_output(suite: pytest.Pytester) -> None:
    result = run(suite, "-vv", "--junitxml=out.xml", "--veeqo-alloc-profile=strict", "--tb=long", tests=SPREAD)
    result.assert_outcomes(failed=2)
    terminal = [line for line in result.outlines if "ContractViolation" in line or line.startswith(("E  ", "  "))]
    assert len(terminal) > 30
    source = PREAMBLE + WATCHED + SPREAD
    shown = [line for line in result.outlines if CANARY in line and line.lstrip("> ").strip() not in source]
    assert shown == []
    failures = list(ET.parse(suite.path / "out.xml").iter("failure"))  # our own file
    assert len(failures) == 2
    for failure in failures:
        assert CANARY not in failure.attrib["message"]
        lines = (failure.text or "").splitlines()
        assert [line for line in lines if CANARY in line and line.lstrip("> ").strip() not in source] == []


def test_watch_uses_an_overridden_contract_fixture(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        tests="""
@pytest.fixture(scope="session")
def veeqo_alloc_contract():
    return Contract("lenient")

def test_watched(veeqo_alloc_watch):
    assert call(veeqo_alloc_watch, BARE) == 201
""",
    )
    result.assert_outcomes(passed=1)


def test_installed_package_is_the_one_under_test(request: pytest.FixtureRequest) -> None:
    import os

    import pytest_veeqo_alloc

    if not os.environ.get("VEEQO_ALLOC_TEST_INSTALLED"):
        pytest.skip("only tox tests the wheel")
    assert Path(pytest_veeqo_alloc.__file__).is_relative_to(Path(os.environ["VIRTUAL_ENV"]))
