"""Whole tables, in every profile and with every client: unit tests try a part of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.bodies import BODY, only_structure
from support.cases import CASES, body_of
from support.cassettes import no_live
from support.clients import CLIENTS, parsed
from support.structure import (
    PROFILES,
    assert_single_finding,
    schema_validator,
    with_null,
    with_removed_field,
    with_wrong_type,
)

from pytest_veeqo_alloc import Profile, load_schema
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, BodySide
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.recording import bundled_names
from pytest_veeqo_alloc.recording.session import Cassettes
from pytest_veeqo_alloc.spec.loader import openapi_document, read_shipped_text


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "bodies", [with_wrong_type, with_null, with_removed_field], ids=["wrong type", "null", "removed"]
)
def test_changed_field_is_one_finding(bodies: Callable[[], Iterator[tuple[Any, str, str]]], profile: Profile) -> None:
    for body, rule, pointer in bodies():
        assert_single_finding(profile, body, rule, pointer)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", sorted(CASES))
def test_schema_of_a_profile_and_walker_agree(name: str, profile: Profile) -> None:
    side, body = CASES[name]["side"], body_of(CASES[name])
    assert schema_validator(side, profile).is_valid(body) == only_structure(profile).check_body(side, body).ok


@pytest.mark.parametrize("side", BODY_SIDES)
@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_schema_of_a_profile_is_valid(side: BodySide, profile: Profile | None) -> None:
    Draft202012Validator.check_schema(load_schema(side, profile))


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_openapi_document_of_a_profile_is_valid(profile: Profile | None) -> None:
    OpenAPIV31SpecValidator(openapi_document(profile)).validate()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", bundled_names())
def test_bundled_cassette_plays_through_each_client(name: str, client: str, tmp_path: Path) -> None:
    stored = yaml.safe_load(read_shipped_text(f"cassettes/{name}.yaml"))["interactions"][0]["response"]
    cassettes = Cassettes(Engine(), tmp_path, "none", no_live)
    with cassettes.use(name, strict_play=True) as player:
        answer = CLIENTS[client]("https://shop.example.net/veeqo/orders/99/allocations", BODY)
    assert answer[0] == stored["status"]["code"]
    assert parsed(answer) == (json.loads(stored["body"]["string"]) if stored["body"]["string"] else None)
    assert (player.play_count, player.unplayed, len(player.interactions)) == (1, [], 1)
    assert cassettes.findings.ok
    assert cassettes.problems == []
