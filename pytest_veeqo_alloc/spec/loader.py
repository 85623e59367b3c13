"""The bundled specification: JSON Schemas, the documented operation, deviations, and an OpenAPI document."""

from __future__ import annotations

import datetime
import functools
import io
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.checker import Tables
from pytest_veeqo_alloc.contract.deviations import Deviation, DeviationIndex, parse, parse_uses, validate_use
from pytest_veeqo_alloc.contract.error_responses import ERROR_SCHEMA
from pytest_veeqo_alloc.contract.field_table import compile_schema
from pytest_veeqo_alloc.contract.http_rules import parse_operation
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, BodySide, Profile, severities
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import generalise
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.coverage.collector import FieldTrees
from pytest_veeqo_alloc.coverage.field_counts import build_field_tree

Schema = dict[str, Any]

PACKS = ("observed",)  # the bundled packs of deviations

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_ROOTS = (os.path.join(_PACKAGE, "_shipped"), os.path.dirname(_PACKAGE))
"""The two folders that may contain the bundled files: the first in an installed wheel, the second in a checkout."""

_OPENAPI_NAMES: dict[BodySide, str] = {"request": "allocation_request", "response": "order"}
_ERRORS = {
    "4XX": "A client error. Not on the documentation page: the format is that of responses to other calls. The body may be "
    "empty.",
    "5XX": "A server error. Not on the documentation page, and never captured: the format is assumed to be that of a 4XX. "
    "The body may be empty, or an HTML page of a proxy.",
}
_NOT_IN_OPENAPI = ("$schema", "$id", "$defs", "x-rule")


def shipped_folder(folder: str) -> Traversable:
    """Return the path of the bundled *folder*, "schemas" or "cassettes". Raise FileNotFoundError if it is missing."""
    in_wheel = files("pytest_veeqo_alloc") / "_shipped" / folder
    for candidate in (in_wheel, Path(__file__).resolve().parents[2] / folder):
        if candidate.is_dir():
            return candidate
    raise _missing(str(in_wheel))


def read_shipped_text(path: str) -> str:
    """Return the text of a bundled file, such as `schemas/response.json`. Raise FileNotFoundError if it is missing."""
    # Python loads modules with these functions. They also read zip files, and real files below a fake file system.
    for root, read in itertools.product(_ROOTS, (_read_code, getattr(__spec__.loader, "get_data", _read_code))):
        with suppress(OSError):
            return str(read(os.path.join(root, *path.split("/"))), "utf-8")
    raise _missing(os.path.join(_ROOTS[0], path))


def _read_code(path: str) -> bytes:
    with io.open_code(path) as file:
        return file.read()


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"pytest-veeqo-alloc has no file or folder {path}: install the package again, or, if the test uses a fake file "
        "system, add the real folder to that file system"
    )


def validate_side(side: str) -> None:
    """Raise ValueError unless *side* is "request" or "response"."""
    if side not in BODY_SIDES:
        raise ValueError(unknown_name("side", side, BODY_SIDES))


def load_schema(side: BodySide, profile: Profile | None = None) -> dict[str, Any]:
    """Return a new copy of the JSON Schema (2020-12) of one body. *side* is "request" or "response".

    Without a profile, this is the bundled schema, which accepts undocumented members. With a profile, the schema
    rejects a body if and only if the body breaks a structural rule with the severity "error" in that profile. Raise
    ValueError for an unknown side or profile.
    """
    validate_side(side)
    schema: Schema = json.loads(read_shipped_text(f"schemas/{side}.json"))
    if profile is None:
        return schema
    errors = {rule for rule, severity in severities(profile).items() if severity == "error"}
    not_null = {
        f"#/$defs/{name}" for name, shape in schema["$defs"].items() if "x-rule" in shape or "null-value" in errors
    }
    shapes = {name: _shape_for(shape, errors, not_null) for name, shape in schema["$defs"].items()}
    derived = {**_shape_for(schema, errors, not_null), "$defs": shapes}
    if side == "response":  # an object without any of these members is not an order
        return {**derived, "anyOf": [{"required": [name]} for name in derived["properties"] if name != "status"]}
    unwrapped = {"anyOf": [{"required": [name]} for name in shapes["allocation"]["properties"]]}
    if "request-not-wrapped" in errors:
        return {**derived, "not": unwrapped}
    head = {key: derived.pop(key) for key in ("$schema", "$id", "title", "description", "$defs")}
    is_bare = {**unwrapped, "not": {"required": ["allocation"]}}
    return {**head, "type": "object", "if": is_bare, "then": {"$ref": "#/$defs/allocation"}, "else": derived}


def _shape_for(shape: Schema, errors: set[str], not_null: set[str]) -> Schema:
    """Return the schema *shape*, changed to enforce the rules in *errors*. Each `$ref` in *not_null* then rejects null."""
    closed = {"additionalProperties": False} if "undocumented-field" in errors else {}
    if "x-rule" in shape:
        return {**shape, **closed}
    required, members = shape.get("required", []), shape["properties"]
    properties = {
        name: member if name in required and "$ref" in member else _member_for(member, errors, not_null)
        for name, member in members.items()
    }
    required = list(members if "absent-field" in errors else required)
    return {**shape, "properties": properties, "required": required, **closed}


def _member_for(member: Schema, errors: set[str], not_null: set[str]) -> Schema:
    if "$ref" in member:
        if member["$ref"] in not_null:
            return member
        rest = {key: value for key, value in member.items() if key != "$ref"}
        return {**rest, "anyOf": [{"$ref": member["$ref"]}, {"type": "null"}]}
    if "items" in member:
        member = {**member, "items": _member_for(member["items"], errors, not_null)}
    types = member.get("type")
    if types is None or "null-value" in errors:
        return member
    return {**member, "type": sorted({"null", *([types] if isinstance(types, str) else types)})}


@functools.cache
def tables() -> Tables:
    """Return the documented operation, and the compiled schemas for its request and response bodies."""
    return Tables(
        parse_operation(json.loads(read_shipped_text("schemas/operation.json"))),
        compile_schema(load_schema("request"), root="request"),
        compile_schema(load_schema("response"), root="order"),
    )


@functools.cache
def field_trees() -> FieldTrees:
    """Return the trees of documented fields in request and response bodies."""
    return {"request": build_field_tree(tables().request), "response": build_field_tree(tables().response)}


def operation_matches(interaction: Interaction) -> bool:
    """Return whether the method and path of *interaction* are those of the documented operation."""
    return tables().operation.matches(interaction)


def side_of(value: Any) -> BodySide | None:
    """Return "request" if *value* looks like an allocation, "response" if it looks like an order, otherwise None."""
    if not isinstance(value, dict):
        return None
    ((wrapper, _, allocation),) = tables().request.children
    inner = value.get(wrapper)
    if isinstance(inner, dict) and not allocation.fields.keys().isdisjoint(inner):
        return "request"
    # Products, and orders of other shops, have the other members of an order, such as id and tags.
    is_order = "allocated_completely" in value or (
        "allocations" in value and ("deliver_to" in value or "line_items" in value)
    )
    return "response" if is_order else None


def load_deviations(named: str | os.PathLike[str] | Deviation) -> tuple[Deviation, ...]:
    """Return the deviations in *named*: a pack, a TOML file or a `Deviation`. Raise ValueError if loading fails."""
    if isinstance(named, Deviation):
        return (named,)
    if named in PACKS:
        return parse(read_shipped_text(f"schemas/deviations/{named}.toml"))
    path = Path(named)
    unknown = unknown_name("deviation pack or file", str(path), PACKS)
    missing = f"no such deviations file: {str(path)!a}" if path.suffix else unknown
    with _file_errors(path, "deviations file", missing, "not UTF-8, so not TOML"):
        return parse(path.read_text(encoding="utf-8-sig"))


@contextmanager
def _file_errors(path: Path, kind: str, missing: str, not_text: str) -> Iterator[None]:
    """Raise ValueError with one sentence if the block cannot read or parse the file at *path*, a *kind*."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(missing) from None
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!a}: {not_text}") from None
    except OSError as error:
        raise ValueError(f"the {kind} {str(path)!a} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!a}: {error}") from None


@functools.cache
def documented_fields() -> frozenset[str]:
    """Return the pointers of the documented response fields, with `*` for every array index."""
    return frozenset(place.pointer for place in field_trees()["response"].all_places())


def load_uses(named: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the used response fields in *named*: a pointer, or a file with a pointer on each line.

    Raise ValueError for a field that is not documented, and for a file that cannot be read.
    """
    is_pointer = isinstance(named, str) and named.startswith("/")
    if is_pointer and (generalise(str(named)) in documented_fields() or not os.path.exists(named)):
        validate_use(str(named), documented_fields())
        return (str(named),)
    return parse_uses_file(Path(named))[1]


def parse_uses_file(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file of used response fields, and the fields. Raise ValueError for an invalid file."""
    missing = f"no such file of used fields: {str(path)!a}; a single field begins with '/'"
    with _file_errors(path, "file of used fields", missing, "not UTF-8"):
        content = path.read_text(encoding="utf-8-sig")
        return content, parse_uses(content, documented_fields())


@functools.cache
def observed_deviations() -> DeviationIndex:
    """Return the bundled deviations: known differences between the live API and its documentation."""
    return DeviationIndex(load_deviations("observed"), today=datetime.date.min)  # none of them expires


def openapi_document(profile: Profile | None = None, *, strict_page: bool = False) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document with the schemas for *profile*. Raise ValueError for an unknown profile.

    If *strict_page* is true, leave out the error responses, which are not on the documentation page.
    """
    operation: dict[str, Any] = json.loads(read_shipped_text("schemas/operation.json"))
    method, path = operation.pop("method").lower(), operation.pop("path")
    operation["operationId"] = "createAllocation"
    # A server that is generated from the document checks a security scheme, but not an optional header.
    *operation["parameters"], key = operation["parameters"]
    scheme = {"type": "apiKey", "in": key["in"], "name": key["name"], "description": key["description"]}
    operation["security"] = [{"apiKey": []}]
    bodies = {"request": operation["requestBody"], "response": next(iter(operation["responses"].values()))}
    schemas: dict[str, Any] = {}
    if not strict_page:
        schemas["error"] = _moved(ERROR_SCHEMA, {})
        operation["responses"] |= {status: _error_response(text) for status, text in _ERRORS.items()}
    for side, name in _OPENAPI_NAMES.items():
        schema = load_schema(side, profile)
        names = {f"#/$defs/{shape}": f"{side}_{shape}" for shape in schema["$defs"]}
        schemas[name] = _moved(schema, names)
        schemas |= {names[f"#/$defs/{shape}"]: _moved(part, names) for shape, part in schema["$defs"].items()}
        value = json.loads(read_shipped_text(f"schemas/examples/{side}.json"))
        example = {"summary": "The sanitised example of the Veeqo documentation", "value": value}
        (content,) = bodies[side]["content"].values()
        content |= {"schema": {"$ref": f"#/components/schemas/{name}"}, "examples": {"documented": example}}
    description = "One operation of the Veeqo API, as the Veeqo documentation describes it. Not an official document."
    info = {"title": "Create a new allocation", "version": version("pytest-veeqo-alloc"), "description": description}
    components = {"schemas": schemas, "securitySchemes": {"apiKey": scheme}}
    return {"openapi": "3.1.0", "info": info, "paths": {path: {method: operation}}, "components": components}


def _error_response(description: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/error"}}
    return {"description": description, "x-not-on-page": True, "content": {"application/json": schema}}


def _moved(part: Any, names: dict[str, str]) -> Any:
    """Convert *part* of a JSON Schema for use in OpenAPI. *names* maps `$ref` values to names of OpenAPI schemas."""
    if isinstance(part, list):
        return [_moved(item, names) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: f"#/components/schemas/{names[value]}" if key == "$ref" else _moved(value, names)
        for key, value in part.items()
        if key not in _NOT_IN_OPENAPI
    }
