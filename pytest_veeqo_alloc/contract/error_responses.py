"""Error responses of the API (captured from other calls, or synthetic), and the rules about error bodies."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.core.http import Headers, Response
from pytest_veeqo_alloc.core.text import describe

JSON_TYPE = "application/json;charset=utf-8"  # of the live API


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error response and its source. `observed` is true if the live API sent it, and false if it is synthetic."""

    response: Response
    observed: bool
    source: str


def _json(status: int, body: Any, source: str, *, observed: bool = True) -> ErrorResponse:
    text = json.dumps(body).encode()
    headers: Headers = (("Content-Type", JSON_TYPE), ("Content-Length", str(len(text))))
    return ErrorResponse(Response(status, headers, text), observed, source)


_HTML = b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 Bad Gateway</h1></center></body>\n</html>\n"

ERROR_RESPONSES: Mapping[str, ErrorResponse] = {
    "bad-request": _json(400, {"error_messages": "Order must have a destination address."},
                         "GET of shipping rates for an order without an address"),
    "unauthorized": _json(401, {"error_messages": "You're not authorized"}, "GET with a wrong key"),
    "forbidden": _json(403, {"error_messages": "Feature not available on your current plan"},
                       "GET request for a feature that the subscription plan lacks"),
    "not-found": _json(404, {"error_messages": "Not found"}, "GET of an unknown order"),
    "bad-parameter": _json(400, {"error_messages": ["Infinity"]}, "GET with a page size that is not a number"),
    "unknown-route": _json(404, {"status": 404, "error": "Not Found"}, "GET of an unknown path"),
    "unprocessable": _json(422, {"error_messages": ["Unprocessable Content"]},
                           "no 422 of this API was captured", observed=False),
    "rate-limited": ErrorResponse(Response(429, (("Content-Length", "0"),), b""), True,
                                  "GETs in a burst: no body, no content type, no Retry-After"),
    "server-error": _json(500, {"status": 500, "error": "Internal Server Error"},
                          "no 500 was captured; the body has the format of a captured 404", observed=False),
    "bad-gateway": ErrorResponse(
        Response(502, (("Content-Type", "text/html"), ("Content-Length", str(len(_HTML)))), _HTML),
        False, "no 502 was captured; reverse proxies send such a page",
    ),
    "service-unavailable": ErrorResponse(Response(503, (("Content-Length", "0"),), b""), False, "no 503 was captured"),
}  # fmt: skip
"""The error responses by name. `source` describes the captured request, or the origin of a synthetic response."""

ERROR_SCHEMA: Mapping[str, Any] = {
    "description": "The forms of error bodies that other calls of the live API returned.",
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "error_messages": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
            },
            "required": ["error_messages"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"status": {"type": ["string", "integer"]}, "error": {"type": "string"}},
            "required": ["status", "error"],
            "additionalProperties": False,
        },
    ],
}
"""The JSON Schema of the error bodies that have no finding of `error-body-shape`, unless they are empty."""

MESSAGES = frozenset(
    text
    for error in ERROR_RESPONSES.values()
    if dict(error.response.headers).get("Content-Type") == JSON_TYPE
    for value in json.loads(error.response.body or b"{}").values()
    for text in (value if isinstance(value, list) else [value])
    if isinstance(text, str)
)
"""All strings in the bodies of the error responses. They are public, so redaction keeps them."""

_SEARCHED = 100_000  # characters at the start of an error body

_SOURCE = r"rb|erb|py|js|ts|php|java|jsp|go|cs|cshtml|aspx|dll|exe|exs?|sql|log|conf|ini|env|pem|key"

_INTERNALS = (
    ("a Python stack trace", re.compile(r"Traceback \(most recent call last\)|File \"[^\"\n]{1,300}\", line [0-9]+, in ")),
    ("a Ruby stack trace", re.compile(r"[\w./-]\.rb:[0-9]+:in [`']")),
    ("a Java or JavaScript stack trace", re.compile(r"\bat [\w.$<>]{1,200} ?\([^()\n]{1,300}:[0-9]+(?::[0-9]+)?\)")),
    ("a PHP error", re.compile(r"\.php(?:</b>)?(?::[0-9]+\b| on line (?:<b>)?[0-9]+)")),
    ("a Go stack trace", re.compile(r"\bgoroutine [0-9]+ \[[a-z ]{1,40}\]:")),
    ("a .NET stack trace", re.compile(r"\bat [\w.]{1,200}\([^()\n]{0,300}\) in [^\n]{1,300}:line [0-9]+")),
    ("a database error", re.compile(
        r"\b(?:PG|Mysql2?|SQLite3|ActiveRecord)::|\b(?:psycopg2?|sqlalchemy|java\.sql)\.|\bORA-[0-9]{5}\b|\bSQLSTATE\[|"
        r"You have an error in your SQL syntax|syntax error at or near|duplicate key value violates unique constraint"
    )),
    ("the path of a file on the server", re.compile(
        r"(?<![\w/.:])/(?:home|usr|var|opt|srv|app|etc|root|tmp)/[\w./-]{1,300}\.(?:" + _SOURCE + r")\b|"
        r"\b[A-Z]:\\{1,2}[\w .\\-]{1,300}\.(?:" + _SOURCE + r")\b"
    )),
)  # fmt: skip


def error_body_breaches(body: bytes | None, keys: Iterable[str] = ()) -> list[Breach]:
    """Return a breach if the error body exposes server internals or *keys*, and another if its format is unknown."""
    if not body:
        return []
    reading = read(body)
    text = json.dumps(reading.value, ensure_ascii=False) if reading.readable else body.decode("utf-8", "replace")
    # A JSON string hides line breaks, quotes and slashes behind backslashes, and a page hides quotes behind entities.
    text = text[:_SEARCHED].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\").replace("\\/", "/")
    text = html.unescape(text)
    found = next((name for name, pattern in _INTERNALS if pattern.search(text)), None)
    if any(key in text for key in keys):
        found = "the API key of the request"
    breaches = [Breach("error-leaks-internals", "", found)] if found else []
    if not reading.readable or nests_deeper(reading.value, MAX_DEPTH):
        breaches.append(Breach("error-body-shape", "", "text that is not JSON"))
    elif not _has_observed_form(reading.value):
        breaches.append(Breach("error-body-shape", "", describe(reading.value)))
    return breaches


def _has_observed_form(value: Any) -> bool:
    match value:
        case {"error_messages": texts, **others} if not others:
            return all(isinstance(text, str) for text in (texts if isinstance(texts, list) else [texts]))
        case {"status": str() | int() as status, "error": str(), **others} if not others:
            return not isinstance(status, bool)
    return False
