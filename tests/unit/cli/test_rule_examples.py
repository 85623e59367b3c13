"""The examples of `veeqo-alloc rules ID`: each breaks the rule, or comes close, as it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from support.bodies import allocation_request, order

from pytest_veeqo_alloc import Contract, Interaction, Request, Response
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES
from pytest_veeqo_alloc.core.json_pointer import locate
from pytest_veeqo_alloc.spec.loader import read_shipped_text

EXAMPLES: dict[str, dict[str, list[str]]] = json.loads(read_shipped_text("schemas/examples/rules.json"))
URL = "https://api.example.com/orders/447452/allocations"
HEADERS = (("content-type", "application/json"), ("x-api-key", "example-key"))
SENTENCES = {rule for rule, kinds in EXAMPLES.items() if not re.match(r"(request|response) ", kinds["breaks"][0])}
EDIT = re.compile(
    r"(request|response) (?:(/\S*) removed|(/\S*) = (.*)|header (\S+) removed|header (\S+) = (.*)|(\w+) =(.*))"
)


def documented() -> Interaction:
    answer = (("content-type", "application/json"), ("location", "https://api.example.com/orders/447452"))
    return Interaction(
        Request("POST", URL, HEADERS, json.dumps(allocation_request()).encode()),
        Response(201, answer, json.dumps(order()).encode()),
    )


def edited(interaction: Interaction, line: str) -> Interaction:
    match = EDIT.fullmatch(line)
    assert match, line
    side, gone, pointer, value, no_header, header, text, name, raw = match.groups()
    message: Any = getattr(interaction, side)
    if gone or pointer:
        body = message.json()
        owner, key = locate(body, gone or pointer)
        if gone:
            del owner[key]
        elif isinstance(owner, list) and key == len(owner):
            owner.append(json.loads(value))
        else:
            owner[key] = json.loads(value)
        message = replace(message, body=json.dumps(body).encode())
    elif no_header or header:
        others = [pair for pair in message.headers if pair[0] != (no_header or header)]
        message = replace(message, headers=(*others, *([(header, text)] if header else [])))
    elif name == "body":
        raw = raw.removeprefix(" ")
        is_hex = raw.startswith("bytes ")
        message = replace(message, body=bytes.fromhex(raw.removeprefix("bytes ")) if is_hex else raw.encode())
    else:
        message = replace(message, **{name: int(raw) if name == "status" else raw.removeprefix(" ")})
    return replace(interaction, **{side: message})


def rules_of(lines: list[str]) -> set[str]:
    interaction = documented()
    for line in lines:
        interaction = edited(interaction, line)
    return {finding.rule for finding in Contract("strict").check(interaction)}


def test_every_rule_has_examples_in_the_order_of_the_catalogue() -> None:
    assert list(EXAMPLES) == list(CATALOGUE)
    assert all(set(kinds) == {"breaks", "close"} and all(kinds.values()) for kinds in EXAMPLES.values())


@pytest.mark.parametrize("rule", [rule for rule in EXAMPLES if rule not in SENTENCES])
def test_example_breaks_its_rule_and_the_close_one_does_not(rule: str) -> None:
    assert rule in rules_of(EXAMPLES[rule]["breaks"])
    close = EXAMPLES[rule]["close"]
    if re.match(r"(request|response) ", close[0]):
        assert rule not in rules_of(close)


def test_examples_in_words_are_of_rules_that_one_exchange_cannot_show() -> None:
    of_other_sides = {rule.id for rule in CATALOGUE.values() if not {"request", "response"} & set(rule.sides)}
    of_a_caller = {
        "unexpected-status",
        "broken-request-accepted",
        "repeated-post",
        "key-sent-elsewhere",
        "unknown-call",
    }
    assert of_other_sides | of_a_caller | SUITE_RULES | {"too-deep"} == SENTENCES


def test_documented_interaction_breaks_no_rule() -> None:
    assert rules_of([]) == set()


def test_rules_explains_one_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "null-value"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "null-value: null in a field with a documented type",
        "",
        "  source                 Veeqo documentation, 'Request Body' and 'Responses' (documented)",
        "  profile lenient        warning",
        "  profile documented     error",
        "  profile strict         error",
        "  wanted                 the documented type",
        "  breaks it              response /number = null",
        "  is fine                response /notes = null",
        "  for the client         send a JSON value of the documented type",
        "  for the server         send a JSON value of the documented type; if the live API sends null here too, accept this deviation with --veeqo-alloc-deviations observed",
        '  turn it off            --veeqo-alloc-rule null-value=off, or Contract(rules={"null-value": "off"})',
        "  accept a place         --veeqo-alloc-deviations FILE, which names the rule, the place and a reason",
    ]


def test_rules_suggests_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "null-valeu"]) == 2
    assert "unknown rule 'null-valeu': did you mean 'null-value'?" in capsys.readouterr().err


def test_rules_prints_one_rule_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "null-value", "--format", "json"]) == 0
    assert [rule["id"] for rule in json.loads(capsys.readouterr().out)] == ["null-value"]
