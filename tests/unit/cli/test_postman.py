"""The Postman collection: its format, and that the contract decides what is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.bodies import order, request_body

from pytest_veeqo_alloc import Interaction, Request
from pytest_veeqo_alloc.cli import postman
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.rules import CATALOGUE, Profile, severities
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import load_schema, read_shipped_text

collection = cache(postman.collection)
OPERATION = json.loads(read_shipped_text("schemas/operation.json"))

PAIRS = {
    "type": "array",
    "items": {"properties": {"key": {"type": "string"}, "value": {}}, "required": ["key"], "additionalProperties": False},
}  # fmt: skip
URL = {
    "properties": {"raw": {"type": "string"}, "host": {"items": {"type": "string"}}, "path": {"items": {"type": "string"}}},
    "required": ["raw", "host", "path"],
    "additionalProperties": False,
}  # fmt: skip
REQUEST = {
    "properties": {
        "method": {"type": "string"},
        "url": URL,
        "header": PAIRS,
        "body": {"properties": {"mode": {"const": "raw"}, "raw": {"type": "string"}}, "additionalProperties": False},
    },
    "required": ["method", "url", "body"],
    "additionalProperties": False,
}
EVENT = {
    "properties": {
        "listen": {"const": "test"},
        "script": {
            "properties": {"type": {"const": "text/javascript"}, "exec": {"type": "array", "items": {"pattern": "^[^\\n]+$"}}},
            "required": ["exec"],
        },
    },
    "required": ["listen", "script"],
    "additionalProperties": False,
}  # fmt: skip
ITEM = {
    "properties": {"name": {"type": "string"}, "request": REQUEST},
    "required": ["request"],
    "additionalProperties": False,
}
FOLDER = {
    "properties": {"name": {"type": "string"}, "item": {"items": ITEM, "minItems": 1}, "event": {"items": EVENT}},
    "required": ["item"],
    "additionalProperties": False,
}
FORMAT = Draft202012Validator(
    {
        "properties": {
            "info": {
                "properties": {
                    "schema": {"const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"}
                },
                "required": ["name", "schema"],
            },
            "auth": {"properties": {"type": {"const": "apikey"}, "apikey": PAIRS}, "required": ["type"]},
            "variable": PAIRS,
            "protocolProfileBehavior": {"type": "object"},
            "item": {"items": FOLDER},
        },
        "required": ["info", "item"],
        "additionalProperties": False,
    }
)
"""What the schema of Postman's collection format 2.1 requires of the members that we write."""


def variables(profile: Profile = "documented") -> dict[str, Any]:
    return {variable["key"]: variable["value"] for variable in collection(profile)["variable"]}


def filled(text: str) -> str:
    """Return *text* with the values of the variables."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(variables()[match[1]]), text)


def requests_of(folder: int, profile: Profile = "documented") -> Iterator[tuple[str, Interaction]]:
    """Yield the name of each item, and the request that Postman sends for it."""
    (name, prefix, place) = (pair["value"] for pair in collection(profile)["auth"]["apikey"])
    assert place == "header"
    for item in collection(profile)["item"][folder]["item"]:
        sent = item["request"]
        headers = [(pair["key"], pair["value"]) for pair in sent["header"]] + [(name, filled(prefix))]
        body = filled(sent["body"]["raw"]).encode()
        yield item["name"], Interaction(Request(sent["method"], filled(sent["url"]["raw"]), tuple(headers), body))


@pytest.mark.parametrize("profile", ["lenient", "documented", "strict"])
def test_collection_has_the_format_of_postman(profile: Profile) -> None:
    FORMAT.validate(collection(profile))
    names = [item["name"] for folder in collection(profile)["item"] for item in folder["item"]]
    assert len(set(names)) == len(names)


def test_collection_has_what_the_description_of_the_operation_has() -> None:
    ((status, response),) = OPERATION["responses"].items()
    (location,) = response["headers"]
    made = collection()
    scripts = "\n".join(made["item"][0]["event"][0]["script"]["exec"])
    assert made["info"]["name"] == OPERATION["summary"]
    assert f"have.status({status})" in scripts
    assert f'have.header("{location}")' in scripts
    assert made["auth"]["apikey"][0]["value"] == OPERATION["parameters"][-1]["name"]


def test_documented_example_is_sent_first() -> None:
    name, interaction = next(requests_of(0))
    assert (name, interaction.request and interaction.request.json()) == ("The documented example", request_body())


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_valid_requests_have_no_findings_and_differ(profile: Profile) -> None:
    sent = dict(requests_of(0, profile))
    assert not any(map(len, map(Engine("strict").check, sent.values())))
    assert len({interaction.request and interaction.request.body for interaction in sent.values()}) == len(sent) > 4


@pytest.mark.parametrize("profile", ["lenient", "documented", "strict"])
def test_broken_request_breaks_the_rule_in_its_name(profile: Profile) -> None:
    for name, interaction in requests_of(1, profile):
        errors = {error.rule for error in Engine(profile).check(interaction).errors}
        assert errors == {re.split(r"[ :]", name)[0]}, name


OTHERS = {
    "absent-field",
    "api-key-missing",
    "byte-order-mark",
    "duplicate-key",
    "key-in-url",
    "key-sent-elsewhere",
    "not-utf8",
    "repeated-post",
    "request-media-type",
    "undocumented-field",
    "undocumented-query",
    "unknown-call",
    "wrong-method",
    "wrong-path",
}
"""Rules that no body of text breaks, that no request body can break, or that a server need not apply."""


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_every_other_rule_about_requests_is_broken(profile: Profile) -> None:
    broken = {re.split(r"[ :]", name)[0] for name, _ in requests_of(1, profile)}
    errors = {rule for rule, severity in severities(profile).items() if severity == "error"}
    assert broken == {rule for rule in errors if "request" in CATALOGUE[rule].sides} - OTHERS


@pytest.mark.parametrize("profile", ["documented", "strict"])
def test_schema_is_that_of_the_contract(profile: Profile) -> None:
    schema = json.loads(variables(profile)["responseSchema"])
    shipped = load_schema("response", profile)
    assert schema == {name: part for name, part in shipped.items() if name not in ("$schema", "$id")}
    assert Draft202012Validator(schema).is_valid(order())


def test_tests_are_named_after_rules() -> None:
    scripts = "\n".join(line for folder in collection()["item"] for line in folder["event"][0]["script"]["exec"])
    names = dict(name.split(": ", 1) for name in re.findall(r'pm\.test\("(.+?)", \(\)', scripts))
    assert names.pop("schema")
    assert names == {rule: CATALOGUE[rule].wanted for rule in names}
    assert names.keys() == {
        "wrong-status", "response-media-type", "location-missing", "order-echo", "allocation-echo",
        "broken-request-accepted", "error-leaks-internals",
    }  # fmt: skip


def test_every_used_variable_is_defined_and_no_key_is_written_twice() -> None:
    text = json.dumps({**collection(), "variable": []})
    assert set(re.findall(r"\{\{(\w+)\}\}", text)) | {"responseSchema"} == set(variables())
    assert variables()["apiKey"] not in text


def test_command_prints_the_same_collection_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "postman", "--profile", "strict"]) == 0
    assert json.loads(capsys.readouterr().out) == collection("strict")


def test_unknown_profile_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "postman", "--profile", "strikt"]) == 2
    assert capsys.readouterr().err == "veeqo-alloc: unknown profile 'strikt': did you mean 'strict'?\n"
