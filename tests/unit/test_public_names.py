"""The names that users rely on. Each is listed by hand, so that none is lost or added unnoticed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import get_args

import pytest

import pytest_veeqo_alloc
from pytest_veeqo_alloc import Contract, Finding, Findings, Interaction, Request, Response, strategies
from pytest_veeqo_alloc.cli.main import parser
from pytest_veeqo_alloc.contract.rules import CATALOGUE, PROFILES, RuleId
from pytest_veeqo_alloc.plugin import fixtures, fixtures_conformance
from pytest_veeqo_alloc.plugin.options import OPTIONS
from pytest_veeqo_alloc.server.responses import FAULTS, FaultName


def words(text: str) -> list[str]:
    return sorted(text.split())


def public(members: object) -> list[str]:
    return sorted(name for name in dir(members) if not name.startswith("_"))


def test_package_exports_its_public_names() -> None:
    names = words("""
        Allocation Cassettes Contract ContractViolation Deviation Fake Finding Findings Interaction Line OrderPool Policy
        Request Response Schemas ServerSettings Stock Story Target Watch World build_order load_schema redact serve_fake
    """)
    types = words("BodySide FaultName Profile RuleId Severity")
    assert sorted(pytest_veeqo_alloc.__all__) == sorted(names + types)
    assert [getattr(pytest_veeqo_alloc, name).__name__ for name in names] == names
    assert all(get_args(getattr(pytest_veeqo_alloc, name)) for name in types)
    with pytest.raises(AttributeError, match="has no attribute 'contrcat'"):
        _ = pytest_veeqo_alloc.contrcat  # type: ignore[attr-defined]


def test_strategies_export_their_public_names() -> None:
    names = words("""
        Broken allocation_interactions allocation_requests allocation_responses invalid_allocation_requests
        invalid_allocation_responses malformed_bodies order_ids
    """)
    assert sorted(strategies.__all__) == names
    assert [getattr(strategies, name).__name__ for name in names] == names


def test_contract_has_the_documented_methods_and_no_others() -> None:
    assert public(Contract) == words("""
        check check_body check_request check_response track validate validate_body validate_request validate_response watch
    """)


def test_values_have_their_documented_members() -> None:
    finding = "rule basis severity side location pointer message wanted got remedy"
    assert set(finding.split()) <= set(public(Finding))
    assert {"errors", "warnings", "accepted", "unused", "ok"} <= set(public(Findings()))
    assert {"request", "response", "source"} <= set(public(Interaction(None)))
    assert {"method", "url", "headers", "body", "json"} <= set(public(Request("POST", "/")))
    assert {"status", "headers", "body", "json"} <= set(public(Response(201)))


def test_plugin_has_its_fixtures_markers_and_hooks(request: pytest.FixtureRequest) -> None:
    modules = (fixtures, fixtures_conformance)
    assert all(request.config.pluginmanager.has_plugin(module.__name__) for module in modules)
    assert sorted(name for module in modules for name in vars(module) if name.startswith("veeqo_alloc")) == words("""
        veeqo_alloc_cassette veeqo_alloc_cassettes veeqo_alloc_client veeqo_alloc_contract veeqo_alloc_orders veeqo_alloc_schemas
        veeqo_alloc_server veeqo_alloc_server_settings veeqo_alloc_target veeqo_alloc_watch
    """)
    markers = {line.partition("(")[0] for line in request.config.getini("markers")}
    assert {"veeqo_alloc_cassette", "veeqo_alloc_basis"} == {name for name in markers if name.startswith("veeqo_alloc")}
    hooks = {f"pytest_veeqo_alloc_{name}" for name in ("client", "server", "arrange")}
    assert hooks <= set(dir(request.config.hook))


def test_every_option_is_also_an_ini_key(request: pytest.FixtureRequest) -> None:
    names = words("""
        allow-host arrange-url base-url cassette-allow-hosts cassette-dir cassette-max-age cleanup client client-command client-persistent
        client-timeout coverage-min deviations expires journal loopback-key max-writes orders partial profile prune rate record-mode report rule
        show-values strict-deviations trust-env uses write-deviations write-uses
    """)
    assert sorted(name for name, *_ in OPTIONS) == names
    for name in names:
        key = f"veeqo_alloc_{name.replace('-', '_')}"
        assert hasattr(request.config.option, key)
        assert request.config.getini(key) is not None


def test_types_list_every_rule_and_every_fault() -> None:
    assert get_args(RuleId) == tuple(CATALOGUE)
    assert get_args(FaultName) == tuple(FAULTS)


def test_every_rule_keeps_its_id() -> None:
    assert sorted(CATALOGUE) == words("""
        absent-field allocated-sellable allocation-echo allocation-ids-not-distinct allocation-order
        allocation-quantity allocations-not-accumulated api-key-missing available-stock body-missing
        broken-request-accepted byte-order-mark cassette-format cassette-secret cassette-too-old
        chunked-request-refused client-changes-allocation client-hides-failure client-rejects-documented-answer
        client-retries-forever client-shows-key client-without-timeout completeness datetime-format
        duplicate-key duplicate-sellable error-body-shape error-leaks-internals id-not-positive-integer
        json-media-type-refused key-in-url key-not-required key-sent-elsewhere line-item-shape line-items-empty
        location-invalid location-missing location-order main-image-product margin method-accepted
        negative-amount non-finite-number not-an-order not-json not-utf8 null-value on-hand-value order-echo
        order-id-not-integer order-id-not-positive-accepted payment-order profit quantity-not-integer
        quantity-not-positive race-lost-update refusal-partly-applied repeated-post request-media-type
        request-not-wrapped required-field response-media-type server-error stock-copies stock-entry-sellable
        stock-entry-warehouse stock-not-updated stock-totals subscription-plan subtotal title-copies too-deep
        total trailing-data-accepted undocumented-field undocumented-query undocumented-status unexpected-status
        unknown-call unknown-order-accepted untyped-field-value wrong-method wrong-path wrong-status wrong-type
    """)
    assert list(PROFILES) == ["lenient", "documented", "strict"]


COMMANDS = {
    "check": "PATH --as --profile --rule --deviations --expect-status --lint --max-age --verbose --format --write-deviations --expires "
    "--prune --partial",
    "schema": "side --profile",
    "openapi": "--profile --strict-page",
    "rules": "ID --format",
    "example": "side --seed",
    "page": "FILE --write",
    "export postman": "--profile",
    "redact": "PATH --in-place",
    "record": "--base-url --orders --output --dry-run --yes --force --journal --profile --rule --deviations --allow-host "
    "--rate --trust-env",
    "cleanup": "JOURNAL --base-url --allow-host --rate --trust-env",
    "serve": "COMMAND --host --port --name --profile --rule --deviations --orders --report --policy --stubs --upstream --max-writes "
    "--journal --allow-reads --allow-host --allow-origin --rate --trust-env",
    "report merge": "REPORT --output",
    "report deviations": "REPORT --output --expires --prune --partial",
    "report diff": "OLD NEW --format --output --uses",
}


def commands(command: argparse.ArgumentParser) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its arguments, an option by its longest name that has no prefix."""
    groups = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for inner in group.choices.values():
            yield from commands(inner)
    if not groups:
        actions = [action for action in command._actions if action.dest != "help"]
        plain = [[name for name in action.option_strings if "veeqo-alloc" not in name] for action in actions]
        names = [
            given[-1] if given else action.metavar or action.dest for given, action in zip(plain, actions, strict=True)
        ]
        yield command.prog.removeprefix("veeqo-alloc "), sorted(map(str, names))


def test_every_command_keeps_its_options() -> None:
    assert dict(commands(parser())) == {name: words(arguments) for name, arguments in COMMANDS.items()}
