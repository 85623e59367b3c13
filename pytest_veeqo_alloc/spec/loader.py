"""Finds the files that ship beside the code, wherever the package was installed from."""

from __future__ import annotations

import copy
import datetime
import functools
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.checker import Tables
from pytest_veeqo_alloc.contract.deviations import Deviation, DeviationIndex, parse
from pytest_veeqo_alloc.contract.field_table import Shape, compile_schema
from pytest_veeqo_alloc.contract.http_rules import parse_operation
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, BodySide, Side, severities
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.coverage.collector import FieldTrees
from pytest_veeqo_alloc.coverage.field_counts import build_field_tree

_IN_WHEEL = "_shipped"


def shipped_folder(folder: str) -> Traversable:
    """The folder `schemas` or `cassettes`: inside the package in a wheel, beside it in a checkout, in an unpacked
    sdist and in an editable install. FileNotFoundError, in one sentence, where it is in neither place."""
    inside = files("pytest_veeqo_alloc") / _IN_WHEEL / folder
    beside = Path(__file__).resolve().parents[2] / folder
    for candidate in (inside, beside):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"pytest-veeqo-alloc is installed without its folder {folder!r}: install it anew")


def read_shipped_text(path: str) -> str:
    """The text of a shipped file such as `schemas/response.json`."""
    folder, _, rest = path.partition("/")
    return shipped_folder(folder).joinpath(*rest.split("/")).read_text(encoding="utf-8")


Schema = dict[str, Any]


def derive_schema(schema: Mapping[str, Any], side: Side, profile: str) -> Schema:
    """A copy of *schema* (the shipped, open reading of *side*) that rejects what *profile* makes an error.

    A wrong type, a missing required field, a misshapen line and a body that is no order are errors in every profile.
    ValueError for an unknown profile.
    """
    wrong = {rule for rule, severity in severities(profile).items() if severity == "error"}
    derived: Schema = copy.deepcopy(dict(schema))
    defs = derived["$defs"]
    strict_refs = {f"#/$defs/{name}" for name, shape in defs.items() if "x-rule" in shape}
    if "null-value" in wrong:
        strict_refs |= {f"#/$defs/{name}" for name in defs}
    derived["$defs"] = {name: _shape(shape, wrong, strict_refs) for name, shape in defs.items()}
    derived = _shape(derived, wrong, strict_refs)
    return _response_root(derived) if side == "response" else _request_root(derived, wrong)


def _shape(shape: Schema, wrong: set[str], strict_refs: set[str]) -> Schema:
    """One object: its members typed, nullable, required and closed as the rules have it."""
    required, members = list(shape.get("required", ())), shape["properties"]
    closed = {"additionalProperties": False} if "undocumented-field" in wrong else {}
    if "x-rule" in shape:
        return {**shape, **closed}
    return {
        **shape,
        "properties": {
            name: _member(member, wrong, strict_refs, required=name in required) for name, member in members.items()
        },
        "required": list(members) if "absent-field" in wrong else required,
        **closed,
    }


def _member(member: Schema, wrong: set[str], strict_refs: set[str], *, required: bool) -> Schema:
    if "$ref" in member:
        return member if required else _nullable(member, strict_refs)
    if "items" in member:
        member = {**member, "items": _nullable(member["items"], strict_refs)}
    types = member.get("type")
    if types is None or "null-value" in wrong:
        return member
    return {**member, "type": sorted({"null", *([types] if isinstance(types, str) else types)})}


def _nullable(reference: Schema, strict_refs: set[str]) -> Schema:
    """A reference to a shape that may be null instead, unless its shape is one of *strict_refs*."""
    if reference["$ref"] in strict_refs:
        return reference
    rest = {key: value for key, value in reference.items() if key != "$ref"}
    return {**rest, "anyOf": [{"$ref": reference["$ref"]}, {"type": "null"}]}


def _response_root(schema: Schema) -> Schema:
    return {**schema, "anyOf": [{"required": [name]} for name in schema["properties"] if name != "status"]}


def _request_root(schema: Schema, wrong: set[str]) -> Schema:
    misplaced = list(schema["$defs"]["allocation"]["properties"])
    bare = {"anyOf": [{"required": [name]} for name in misplaced]}
    if "request-not-wrapped" in wrong:
        return {**schema, "not": bare}
    about = {key: schema[key] for key in ("$schema", "$id", "title", "description", "$defs")}
    return {
        **about,
        "type": "object",
        "if": {**bare, "not": {"required": ["allocation"]}},
        "then": {"$ref": "#/$defs/allocation"},
        "else": {key: value for key, value in schema.items() if key not in about},
    }


PACKS = ("observed",)


def load_schema(side: BodySide, profile: str | None = None) -> dict[str, Any]:
    """The JSON Schema 2020-12 of *side*, a fresh copy.

    Without a profile it is the shipped file: the open reading of the page. With one it is the schema that rejects just
    what the structural rules of that profile make an error. ValueError for an unknown side or profile.
    """
    validate_side(side)
    schema: dict[str, Any] = json.loads(read_shipped_text(f"schemas/{side}.json"))
    return schema if profile is None else derive_schema(schema, side, profile)


def load_deviations(named: str | os.PathLike[str] | Deviation) -> tuple[Deviation, ...]:
    """The deviations of a pack or a TOML file; ValueError, in one sentence with the file's name, where there is none."""
    if isinstance(named, Deviation):
        return (named,)
    if named in PACKS:
        return parse(read_shipped_text(f"schemas/deviations/{named}.toml"))
    path = Path(named)
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.suffix:
            raise ValueError(f"there is no file of deviations {str(path)!a}") from None
        raise ValueError(unknown_name("deviation pack or file", str(path), PACKS)) from None
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!a}: not UTF-8, so no TOML") from None
    except OSError as error:
        raise ValueError(f"the deviations {str(path)!a} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!a}: {error}") from None


def operation_matches(interaction: Interaction) -> bool:
    """Whether *interaction* is a call of the documented operation, by method and path."""
    return tables().operation.matches(interaction)


_ENOUGH_FOR_AN_ORDER = 5
"""Documented members that tell an order from other objects that have an id, a status and tags."""


def side_of(value: Any) -> BodySide | None:
    """Whose body *value* looks like, by its documented members; None where it looks like neither."""
    if not isinstance(value, dict):
        return None
    described = tables()
    ((name, _, allocation),) = described.request.children
    if isinstance(value.get(name), dict) or value.keys() >= allocation.fields.keys():
        return "request"
    return "response" if len(value.keys() & described.response.fields.keys()) >= _ENOUGH_FOR_AN_ORDER else None


def response_shape() -> Shape:
    """The documented shape of the response, as the core compiled it from the schema."""
    return tables().response


def request_shape() -> Shape:
    """The documented shape of the request."""
    return tables().request


def validate_side(side: str) -> None:
    """Refuses what is neither `request` nor `response`."""
    if side not in BODY_SIDES:
        raise ValueError(unknown_name("side", side, BODY_SIDES))


@functools.cache
def tables() -> Tables:
    """The schemas and the operation, compiled."""
    operation = parse_operation(json.loads(read_shipped_text("schemas/operation.json")))
    return Tables(
        operation,
        compile_schema(load_schema("request"), root="request"),
        compile_schema(load_schema("response"), root="order"),
    )


@functools.cache
def field_trees() -> FieldTrees:
    """Every place of the documented bodies, for those who count."""
    return FieldTrees(build_field_tree(tables().request), build_field_tree(tables().response))


@functools.cache
def observed_deviations() -> DeviationIndex:
    """The pack of what the live API is known to return."""
    # The pack has no expiry, so any day will do.
    return DeviationIndex(load_deviations("observed"), datetime.date.min)


_NAMES: dict[BodySide, str] = {"request": "allocation_request", "response": "order"}
_OF_THE_FILE = ("$schema", "$id", "$defs", "x-rule")


def openapi_document(profile: str | None = None) -> dict[str, Any]:
    """The document. Without a profile its schemas are the open reading of the page, with one those that reject what the
    profile makes an error. ValueError for a profile that does not exist."""
    operation: dict[str, Any] = json.loads(read_shipped_text("schemas/operation.json"))
    method, path = operation.pop("method").lower(), operation.pop("path")
    operation["operationId"] = "createAllocation"
    schemas: dict[str, Any] = {}
    for side in _NAMES:
        schemas |= _components(load_schema(side, profile), side)
    bodies = {"request": operation["requestBody"], "response": next(iter(operation["responses"].values()))}
    for side, name in _NAMES.items():
        example = json.loads(read_shipped_text(f"schemas/examples/{side}.json"))
        (content,) = bodies[side]["content"].values()
        content["schema"] = {"$ref": f"#/components/schemas/{name}"}
        content["examples"] = {"documented": {"summary": "The example of the page, sanitised", "value": example}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Create a new allocation",
            "version": version("pytest-veeqo-alloc"),
            "description": "One call of the Veeqo API, as its documentation page tells it; not an official document.",
        },
        "paths": {path: {method: operation}},
        "components": {"schemas": schemas},
    }


def _components(schema: dict[str, Any], side: BodySide) -> dict[str, Any]:
    """The schemas of one side under names that the other does not use."""
    names = {f"#/$defs/{name}": f"{side}_{name}" for name in schema["$defs"]}
    found = {_NAMES[side]: _moved(schema, names)}
    return found | {names[f"#/$defs/{name}"]: _moved(shape, names) for name, shape in schema["$defs"].items()}


def _moved(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, list):
        return [_moved(item, names) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: f"#/components/schemas/{names[value]}" if key == "$ref" else _moved(value, names)
        for key, value in part.items()
        if key not in _OF_THE_FILE
    }
