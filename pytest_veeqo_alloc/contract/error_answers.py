"""Error answers of the API, as far as they are known: seen with other calls in 2026, or made up where none was seen.

The documentation page of this call documents no error, and no error answer to it was ever captured in public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.core.http import Headers, Response

JSON_TYPE = "application/json;charset=utf-8"
"""The content type of JSON answers, as it was seen."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error: its answer, whether that was seen (of another call) or is made up, and where it is known from."""

    response: Response
    seen: bool
    known_from: str


def _json(status: int, body: Any, *, seen: bool, known_from: str) -> ErrorAnswer:
    text = json.dumps(body).encode()
    headers: Headers = (("Content-Type", JSON_TYPE), ("Content-Length", str(len(text))))
    return ErrorAnswer(Response(status, headers, text), seen, known_from)


_HTML = b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 Bad Gateway</h1></center></body>\n</html>\n"

ERROR_ANSWERS: Mapping[str, ErrorAnswer] = {
    "bad-request": _json(
        400, {"error_messages": "Order must have a destination address."},
        seen=True, known_from="GET of shipping rates for an order without an address",
    ),
    "unauthorized": _json(
        401, {"error_messages": "You're not authorized"}, seen=True, known_from="GET with a wrong key",
    ),
    "forbidden": _json(
        403, {"error_messages": "Feature not available on your current plan"},
        seen=True, known_from="GET of a feature that the plan does not have",
    ),
    "not-found": _json(404, {"error_messages": "Not found"}, seen=True, known_from="GET of an unknown order"),
    "bad-parameter": _json(
        400, {"error_messages": ["Infinity"]}, seen=True, known_from="GET with a page size that is no number",
    ),
    "unknown-route": _json(
        404, {"status": 404, "error": "Not Found"}, seen=True, known_from="GET of a path that there is not",
    ),
    "unprocessable": _json(
        422, {"error_messages": ["Unprocessable Content"]}, seen=False, known_from="no 422 of this API was captured",
    ),
    "rate-limited": ErrorAnswer(
        Response(429, (("Content-Length", "0"),), b""), True, "GETs in a burst: no body, no content type, no Retry-After",
    ),
    "server-error": _json(
        500, {"status": 500, "error": "Internal Server Error"},
        seen=False, known_from="no 500 was captured; the form is that of a 404 of another call",
    ),
    "bad-gateway": ErrorAnswer(
        Response(502, (("Content-Type", "text/html"), ("Content-Length", str(len(_HTML)))), _HTML),
        False, "no 502 was captured; such a page is what a reverse proxy sends",
    ),
    "service-unavailable": ErrorAnswer(
        Response(503, (("Content-Length", "0"),), b""), False, "no 503 was captured",
    ),
}  # fmt: skip
"""By name. `seen` ones were captured from other calls of the API in 2026 (each says of which)."""

MESSAGES: frozenset[str] = frozenset(
    text
    for answer in ERROR_ANSWERS.values()
    if (dict(answer.response.headers).get("Content-Type") == JSON_TYPE)
    for value in json.loads(answer.response.body or b"{}").values()
    for text in (value if isinstance(value, list) else [value])
    if isinstance(text, str)
)
"""Every text in them: none is anybody's secret."""
