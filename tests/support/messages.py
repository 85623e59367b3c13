"""A valid request and response of the documented call, with parts to be changed by a test."""

from __future__ import annotations

import json

from pytest_veeqo_alloc import Request, Response
from support.bodies import order, request_body

BODY, ORDER = json.dumps(request_body()).encode(), json.dumps(order()).encode()
JSON_TYPE = ("Content-Type", "application/json;charset=utf-8")
KEY = ("X-API-Key", "a-long-key-of-a-test")


def request(
    url: str = "https://api.example.com/orders/447452/allocations", method: str = "POST", **changes: object
) -> Request:
    parts: dict[str, object] = {"headers": (JSON_TYPE, KEY), "body": BODY, **changes}
    return Request(method, url, **parts)  # type: ignore[arg-type]  # the values are of the fields' own types


def response(status: int = 201, **changes: object) -> Response:
    headers = (JSON_TYPE, ("Location", "https://api.example.com/orders/447452"))
    parts: dict[str, object] = {"headers": headers, "body": ORDER, **changes}
    return Response(status, **parts)  # type: ignore[arg-type]  # the values are of the fields' own types
