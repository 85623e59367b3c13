"""The documentation page as text, made from the bundled schemas. The words of the real page are not in this repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_veeqo_alloc import load_schema
from support.bodies import order, request_body

HEAD = """\
Create an allocation
POST /orders/{order_id}/allocations
POST
/orders/{order_id}/allocations
Parameters
Path Parameters
order_id
required
integer
The order
Example
447452
Header Parameters
x-api-key
string
E.g. abc
Example
abc
Request Body"""
TAIL = """\
Headers
Location
string"""


def page_lines(response: dict[str, Any] | None = None, example: Any = None) -> list[str]:
    """Return the lines of the page for the schema and the example of the response (default: the bundled ones)."""
    return [
        *HEAD.splitlines(),
        *table(load_schema("request")),
        *("Example", json.dumps(request_body()), "Responses", "201", "Created"),
        *table(response or load_schema("response")),
        *("Example", json.dumps(order() if example is None else example)),
        *TAIL.splitlines(),
    ]


def page_text(response: dict[str, Any] | None = None, example: Any = None) -> str:
    """Return the text of the page for the schema and the example of the response (default: the bundled ones)."""
    return "\n".join(page_lines(response, example))


def table(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the field table of *schema*. The page does not describe shapes that are conventions."""
    yield "object"
    yield from _rows(schema, schema["$defs"], has_descriptions="allocation" in schema["properties"])


def _rows(shape: dict[str, Any], shapes: dict[str, Any], *, has_descriptions: bool) -> Iterator[str]:
    for name, member in shape["properties"].items():
        yield name
        is_inferred = "$ref" in member  # the request's `allocation` is required because of what it contains
        if name in shape.get("required", ()) and not is_inferred:
            yield "required"
        if has_descriptions and name == "warehouse_id":
            yield "Warehouse ID"
        inner = member if "$ref" in member else member.get("items", {})
        below = shapes.get(inner.get("$ref", "").rpartition("/")[2], {})
        if "x-rule" in below:
            below = {}
        types = member.get("type")
        kind = "object" if is_inferred else types if isinstance(types, str) or not types else types[0]
        if kind == "array":
            yield from ["Array<object>", "object"] if below else ["Array"]
        elif kind:
            yield kind
        if has_descriptions and name == "warehouse_id":
            yield "5"
        yield from _rows(below, shapes, has_descriptions=has_descriptions) if below else ()
