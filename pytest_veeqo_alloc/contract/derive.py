"""The schema that rejects exactly what a profile's structural rules make an error, derived from the shipped file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pytest_veeqo_alloc.contract.rules import Side, severities

Schema = dict[str, Any]


def derive(schema: Mapping[str, Any], side: Side, profile: str) -> Schema:
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
