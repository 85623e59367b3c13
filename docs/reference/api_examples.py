"""An example for each public name. The page "API" shows their code; tests/end_to_end/test_docs.py runs them."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
import requests
from hypothesis import given

import pytest_veeqo_alloc as va
from pytest_veeqo_alloc import strategies

BODY = {"allocation": {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}}
URL = "https://api.example.com/orders/447452/allocations"


def test_contract() -> None:
    contract = va.Contract("strict", rules={"undocumented-field": "warning"}, deviations=["observed"])
    assert contract.check_body("request", BODY).ok


def test_contract_violation() -> None:
    with pytest.raises(va.ContractViolation) as caught:
        va.Contract().validate_body("request", {"warehouse_id": 1784})
    assert caught.value.findings[0].rule == "request-not-wrapped"


def test_findings() -> None:
    findings = va.Contract().check_body("response", {**va.build_order(), "number": None, "colour": "red"})
    assert not findings.ok
    assert [finding.rule for finding in findings.errors] == ["null-value"]
    assert [finding.pointer for finding in findings.warnings] == ["/colour"]


def test_finding() -> None:
    (finding,) = va.Contract().check_body("response", {**va.build_order(), "id": "447452"})
    assert (finding.rule, finding.pointer, finding.severity) == ("wrong-type", "/id", "error")
    assert (finding.wanted, finding.got) == ("number", "string of 6 characters")


def test_interaction() -> None:
    request = va.Request("POST", URL, (("x-api-key", "example-key"),), json.dumps(BODY).encode())
    findings = va.Contract().check(va.Interaction(request, va.Response(404)), expect_status=404)
    assert findings.ok


def test_request() -> None:
    request = va.Request("POST", URL, (("Content-Type", "application/json"),), json.dumps(BODY).encode())
    assert request.header("content-type") == "application/json"
    assert request.json() == BODY


def test_response() -> None:
    response = va.Response(201, (("Location", "/orders/447452"),), b'{"id": 447452}')
    assert response.is_success
    assert response.json()["id"] == 447452


def test_deviation() -> None:
    known = va.Deviation(
        "null-value", "our account has no numbers", pointer="/number", expires=datetime.date(2099, 1, 1)
    )
    findings = va.Contract(deviations=[known]).check_body("response", {**va.build_order(), "number": None})
    assert findings.ok
    assert findings.accepted[0].reason == "our account has no numbers"


def test_load_schema() -> None:
    schema = va.load_schema("response", "strict")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_build_order() -> None:
    order = va.build_order(order_id=7, delivery=500)
    assert (order["id"], order["delivery_cost"]) == (7, 5)
    assert va.Contract("strict").check_body("response", order).ok


def test_story() -> None:
    lines = (va.Line(sellable_id=11, quantity=2, price=1000, stock=(va.Stock(warehouse_id=5, physical=10),)),)
    story = va.Story(order_id=7, lines=lines, allocations=(va.Allocation(5, ((11, 2),)),))
    assert story.allocated_completely
    assert va.build_order(story)["total_price"] == 20


def test_redact() -> None:
    secret = va.Interaction(va.Request("POST", URL, (("x-api-key", "0123456789abcdef"),)))
    (safe,) = va.redact([secret])
    assert safe.request is not None
    assert safe.request.header("x-api-key") != "0123456789abcdef"


def test_serve_fake() -> None:
    with va.serve_fake() as server:
        answer = requests.post(
            f"{server.url}/orders/7/allocations", json=BODY, headers={"x-api-key": server.api_key}, timeout=5
        )
    assert answer.status_code == 201


def test_fake(veeqo_alloc_server: va.Fake) -> None:
    veeqo_alloc_server.world = va.World.of(va.Story(order_id=7, allocations=()))
    veeqo_alloc_server.inject_fault("rate-limited", retry_after=1)
    url, headers = f"{veeqo_alloc_server.url}/orders/7/allocations", {"x-api-key": veeqo_alloc_server.api_key}
    statuses = [requests.post(url, json=BODY, headers=headers, timeout=5).status_code for _ in range(2)]
    assert statuses == [429, 201]
    veeqo_alloc_server.assert_allocated(order_id=7, warehouse_id=1784, lines={1226615: 1})


def test_world() -> None:
    world = va.World.of(va.Story(order_id=7, allocations=()))
    assert world.order(7).order_id == 7


def test_policy(veeqo_alloc_server: va.Fake) -> None:
    veeqo_alloc_server.policy = va.Policy(unknown_order="not-found")
    url, headers = f"{veeqo_alloc_server.url}/orders/7/allocations", {"x-api-key": veeqo_alloc_server.api_key}
    assert requests.post(url, json=BODY, headers=headers, timeout=5).status_code == 404


def test_server_settings() -> None:
    # In a conftest.py: the fixture veeqo_alloc_server_settings returns them.
    settings = va.ServerSettings(port=8080, policy=va.Policy.strict(), names=("shop",))
    assert settings.host == "127.0.0.1"


def test_watch() -> None:
    with va.serve_fake() as server, requests.Session() as session, va.Contract().watch(session) as watch:
        session.headers["x-api-key"] = server.api_key
        session.post(f"{server.url}/orders/7/allocations", json=BODY, timeout=5)
        assert watch.findings.ok
        assert len(watch.interactions) == 1


def test_cassettes(veeqo_alloc_cassette: va.Cassettes) -> None:
    with veeqo_alloc_cassette.use("created"):
        answer = requests.post(URL, json=BODY, headers={"x-api-key": "any"}, timeout=5)
    assert answer.status_code == 201


def test_schemas(veeqo_alloc_schemas: va.Schemas) -> None:
    assert veeqo_alloc_schemas.request.is_valid(BODY)


def test_target() -> None:
    # Runs only with --veeqo-alloc-base-url and the options that permit writes.
    def test_staging(
        veeqo_alloc_target: va.Target, veeqo_alloc_orders: va.OrderPool, veeqo_alloc_contract: va.Contract
    ) -> None:
        order = next(iter(veeqo_alloc_orders))
        veeqo_alloc_contract.validate(veeqo_alloc_target.post(order.id, BODY))

    assert callable(test_staging)


def test_profile() -> None:
    profile: va.Profile = "lenient"
    side: va.BodySide = "request"
    rules: dict[va.RuleId, va.Severity] = {"null-value": "off"}
    fault: va.FaultName = "slow-body"
    assert va.Contract(profile, rules=rules).check_body(side, BODY).ok
    assert fault == "slow-body"


@given(strategies.order_ids(), strategies.allocation_requests(warehouse_ids=[5], max_lines=3))
def test_allocation_requests(order_id: int, body: dict[str, Any]) -> None:
    assert order_id > 0
    assert body["allocation"]["warehouse_id"] == 5
    assert len(body["allocation"]["line_items_attributes"]) <= 3


@given(strategies.allocation_responses(complete=True))
def test_allocation_responses(order: dict[str, Any]) -> None:
    assert order["allocated_completely"]


@given(strategies.allocation_interactions(realistic=True))
def test_allocation_interactions(interaction: va.Interaction) -> None:
    assert va.Contract().check(interaction).ok


@given(strategies.invalid_allocation_requests())
def test_invalid_allocation_requests(broken: strategies.Broken) -> None:
    findings = va.Contract("strict").check_body("request", broken.payload)
    assert [finding.rule for finding in findings.errors] == [broken.rule]


@given(strategies.invalid_allocation_responses())
def test_invalid_allocation_responses(broken: strategies.Broken) -> None:
    findings = va.Contract("strict").check_body("response", broken.payload)
    assert broken.rule in {finding.rule for finding in findings.errors}


@given(strategies.malformed_bodies())
def test_malformed_bodies(body: bytes) -> None:
    assert not va.Contract().check_body("request", body).ok
