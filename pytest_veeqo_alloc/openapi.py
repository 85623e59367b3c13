"""The documented call as an OpenAPI 3.1 document, put together from what ships: operation, schemas, examples."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from pytest_veeqo_alloc.contract.rules import BodySide
from pytest_veeqo_alloc.data import read_text
from pytest_veeqo_alloc.description import load_schema

_NAMES: dict[BodySide, str] = {"request": "allocation_request", "response": "order"}
_OF_THE_FILE = ("$schema", "$id", "$defs", "x-rule")


def openapi_document(profile: str | None = None) -> dict[str, Any]:
    """The document. Without a profile its schemas are the open reading of the page, with one those that reject what the
    profile makes an error. ValueError for a profile that does not exist."""
    operation: dict[str, Any] = json.loads(read_text("schemas/operation.json"))
    method, path = operation.pop("method").lower(), operation.pop("path")
    operation["operationId"] = "createAllocation"
    schemas: dict[str, Any] = {}
    for side in _NAMES:
        schemas |= _components(load_schema(side, profile), side)
    bodies = {"request": operation["requestBody"], "response": next(iter(operation["responses"].values()))}
    for side, name in _NAMES.items():
        example = json.loads(read_text(f"schemas/examples/{side}.json"))
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
