"""Valid request and response bodies, and ways to change them at a pointer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from pytest_veeqo_alloc import Contract, Findings, Profile, Severity, load_schema
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.json_pointer import locate
from pytest_veeqo_alloc.spec.loader import read_shipped_text

_RESPONSE, _REQUEST = (read_shipped_text(f"schemas/examples/{side}.json") for side in ("response", "request"))


def order() -> dict[str, Any]:
    """Return the documented response."""
    body: dict[str, Any] = json.loads(_RESPONSE)
    return body


def request_body() -> dict[str, Any]:
    """Return the documented request; it is not for the warehouse of `order()`."""
    body: dict[str, Any] = json.loads(_REQUEST)
    return body


def allocation_request(quantity: int = 1, *, warehouse_id: int = 1784, sellable_id: int = 1226615) -> dict[str, Any]:
    """Return a valid request body with one line; by default for the warehouse and sellable of `order()`."""
    line = {"sellable_id": sellable_id, "quantity": quantity}
    return {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": [line]}}


def line_items(request: Any) -> list[dict[str, Any]]:
    """Return the list of line items in a request body."""
    lines: list[dict[str, Any]] = request["allocation"]["line_items_attributes"]
    return lines


BODY = allocation_request()
BARE = BODY["allocation"]
"""The members of `BODY` without the documented wrapper."""


def _copy(body: Any) -> Any:
    """Return *body* with copies of its objects and arrays; `copy.deepcopy` takes many times as long."""
    if isinstance(body, dict):
        return {name: _copy(value) for name, value in body.items()}
    return [_copy(item) for item in body] if isinstance(body, list) else body


def put(body: Any, pointer: str, value: Any) -> Any:
    """Return a copy of *body* with *value* at *pointer*, which may be new."""
    changed = _copy(body)
    owner, name = locate(changed, pointer)
    owner[name] = value
    return changed


def drop(body: Any, pointer: str) -> Any:
    """Return a copy of *body* without the member at *pointer*."""
    changed = _copy(body)
    owner, name = locate(changed, pointer)
    del owner[name]
    return changed


def rules_at(findings: Findings) -> list[tuple[str, str | None]]:
    return [(finding.rule, finding.pointer) for finding in findings]


def fields(side: Literal["request", "response"] = "response") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each documented field: the pointer of its first instance in the example, and its schema, resolved."""
    schema = load_schema(side)

    def below(shape: dict[str, Any], pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, field in shape["properties"].items():
            here = f"{pointer}/{name}"
            target = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
            yield here, {**target, "required": name in shape.get("required", ())}
            if "$ref" in field:
                yield from below(target, here)
            elif "items" in field:
                yield from below(schema["$defs"][field["items"]["$ref"].rpartition("/")[2]], f"{here}/0")

    return below(schema, "")


def objects(body: Any, pointer: str = "") -> Iterator[str]:
    """Yield the pointer of every object in *body*."""
    if isinstance(body, dict):
        yield pointer
        for name, value in body.items():
            yield from objects(value, f"{pointer}/{name}")
    elif isinstance(body, list):
        for index, item in enumerate(body):
            yield from objects(item, f"{pointer}/{index}")


def only_structure(profile: Profile) -> Contract:
    """Return a contract of *profile* with only the rules that a schema can express."""
    off: dict[Any, Severity] = {rule: "off" for rule in CATALOGUE if rule not in STRUCTURAL}
    return Contract(profile, rules=off)


STRUCTURAL = frozenset({
    "wrong-type", "null-value", "required-field", "absent-field", "undocumented-field", "not-an-order",
    "request-not-wrapped", "line-item-shape",
})  # fmt: skip
