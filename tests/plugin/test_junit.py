"""The JUnit report of pytest: properties with the rules, the severities and a command that repeats the request."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from support.bodies import BODY
from support.plugins import STRICTLY

TESTS = f"""
import unittest

import pytest
import requests
from pytest_veeqo_alloc import Contract, Interaction, Request, build_order

NOTED = {{"allocation": {BODY["allocation"]} | {{"warehouse_id": "1784", "note": "for Bob"}}}}
KEY = ("x-api-key", "not-a-real-key")
HEADERS = (KEY, ("content-type", "application/json"))

def send(server):
    url = server.url + "/orders/447452/allocations"
    requests.post(url, json=NOTED, headers={{"x-api-key": server.api_key}}, timeout=5)

def test_fake(veeqo_alloc_server):
    send(veeqo_alloc_server)

def test_watch(veeqo_alloc_server, veeqo_alloc_watch):
    with requests.Session() as session:
        veeqo_alloc_watch(session)
        session.post(
            veeqo_alloc_server.url + "/orders/447452/allocations?page=1", json=NOTED,
            headers={{"x-api-key": veeqo_alloc_server.api_key}}, timeout=5,
        )

def test_interaction(veeqo_alloc_contract):
    request = Request("POST", "https://shop.example/orders/7/allocations", HEADERS, b'{{"allocation": 3}}')
    veeqo_alloc_contract.validate(Interaction(request))

def test_body(veeqo_alloc_contract):
    request = Request("POST", "https://shop.example/orders/7/allocations", HEADERS, b'{{"allocation": 3}}')
    veeqo_alloc_contract.check(Interaction(request))  # returns its errors, and is not what fails
    veeqo_alloc_contract.validate_body("response", build_order() | {{"id": "7"}})

class TestCase(unittest.TestCase):
    def test_in_a_test_case(self):
        Contract().validate_body("response", build_order() | {{"id": "7"}})

def test_that_passes(veeqo_alloc_contract):
    veeqo_alloc_contract.check_body("response", build_order() | {{"id": "7"}})

def test_with_its_own_findings():
    error = ValueError("anything")
    error.findings = ["of another library"]
    raise error
"""


@pytest.fixture
def properties(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> dict[str, list[tuple[str, str]]]:
    """Run the tests with the options of the parameter. Return the properties of each test from the JUnit report."""
    pytester.makepyfile(TESTS)
    pytester.runpytest_inprocess(*STRICTLY, "--junitxml=report.xml", *getattr(request, "param", ()))
    suite = ElementTree.parse(pytester.path / "report.xml")
    return {
        case.get("name", ""): [(one.get("name", ""), one.get("value", "")) for one in case.iter("property")]
        for case in suite.iter("testcase")
    }


def named(properties: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in properties if key == f"veeqo_alloc_{name}"]


def test_failed_test_has_its_rules_severities_and_command(properties: dict[str, list[tuple[str, str]]]) -> None:
    warehouse, order_id = "wrong-type at request /allocation/warehouse_id", "wrong-type at response /id"
    errors = {name: named(found, "error") for name, found in properties.items()}
    assert errors == {
        "test_fake": [warehouse], "test_watch": [warehouse], "test_interaction": ["wrong-type at request /allocation"],
        "test_body": [order_id], "test_in_a_test_case": [order_id], "test_that_passes": [], "test_with_its_own_findings": [],
    }  # fmt: skip
    assert named(properties["test_fake"], "warning") == ["undocumented-field at request /allocation/note"]
    commands = {name: named(found, "command") for name, found in properties.items()}
    assert {name for name, found in commands.items() if found} == {"test_fake", "test_watch", "test_interaction"}
    assert commands["test_interaction"] == [
        "curl -g -X POST https://shop.example/orders/7/allocations \\\n  -H 'x-api-key: '\"$VEEQO_ALLOC_API_KEY\" \\\n"
        "  -H 'content-type: application/json' \\\n  --data-raw '{\"allocation\": 3}'"
    ]
    (command,) = commands["test_watch"]
    assert '"warehouse_id": "redacted-' in command
    assert not any(secret in command for secret in ("Bob", "1784", "page=1", "fake-key-for-tests"))


@pytest.mark.parametrize("properties", [["--veeqo-alloc-show-values", "-k", "watch"]], indirect=True)
def test_command_has_the_values_if_they_may_be_shown(properties: dict[str, list[tuple[str, str]]]) -> None:
    (command,) = named(properties["test_watch"], "command")
    assert '"note": "for Bob"' in command
    assert "fake-key-for-tests" not in command
