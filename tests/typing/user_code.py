"""What a user writes. mypy and basedpyright check it: no error, and every wrong line is an error that is ignored here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

import requests
from hypothesis import given

from pytest_veeqo_alloc import (
    Cassettes,
    Contract,
    Deviation,
    Fake,
    FaultName,
    Finding,
    Findings,
    Interaction,
    OrderPool,
    Profile,
    Request,
    Response,
    RuleId,
    Schemas,
    Severity,
    Target,
    Watch,
    build_order,
    serve_fake,
)
from pytest_veeqo_alloc.strategies import (
    Broken,
    allocation_interactions,
    allocation_requests,
    invalid_allocation_requests,
)

profile: Profile = "strict"
rules: dict[RuleId, Severity] = {"null-value": "warning"}
contract = Contract(profile, rules=rules, deviations=["observed", Deviation("null-value", "known", pointer="/notes")])
Contract("strcit")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Contract(rules={"null-valeu": "off"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
Contract(rules={"null-value": "of"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
contract.check_body("respons", {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
contract.chek_body("response", {})  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

found = contract.check(Interaction(Request("POST", "/orders/1/allocations"), Response(201)))
assert_type(found, Findings)
assert_type(found.errors, tuple[Finding, ...])
assert_type(found[0].severity, Severity)
assert_type(contract.watch(requests.Session()), Watch)
assert_type(build_order(), dict[str, Any])
assert_type(Response(201).json(), Any)

with serve_fake("lenient") as fake:
    assert_type(fake, Fake)


def test_fixtures_have_types(
    veeqo_alloc_contract: Contract,
    veeqo_alloc_schemas: Schemas,
    veeqo_alloc_server: Fake,
    veeqo_alloc_cassette: Cassettes,
    veeqo_alloc_target: Target,
    veeqo_alloc_orders: OrderPool,
    veeqo_alloc_watch: Callable[..., Watch],
) -> None:
    fault: FaultName = "slow-body"
    veeqo_alloc_server.inject_fault(fault, seconds=1)
    veeqo_alloc_server.inject_fault("slow-bdy")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    veeqo_alloc_server.expect_finding("wrong-pth")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(veeqo_alloc_server.api_key, str)
    assert_type(veeqo_alloc_target.post(1, {}), Interaction)
    assert_type(veeqo_alloc_watch(requests.Session()).findings, Findings)
    assert_type(veeqo_alloc_contract.check_request(object()), Findings)
    assert len(veeqo_alloc_orders)
    assert veeqo_alloc_schemas.request.is_valid({})
    with veeqo_alloc_cassette.use("name"):
        pass


@given(allocation_requests(), invalid_allocation_requests(), allocation_interactions())
def test_strategies_have_types(payload: dict[str, Any], broken: Broken, interaction: Interaction) -> None:
    assert_type(broken.pointer, str)
    assert_type(interaction.response, Response | None)
