"""Documents with one recorded allocation each: a cassette, a HAR file, an interaction file."""

from __future__ import annotations

import json
from typing import Any

from support.bodies import order, request_body

URL = "https://api.example.com/orders/447452/allocations"
SENT, GOT = json.dumps(request_body()), json.dumps(order())


def cassette(body: Any = SENT, string: Any = GOT, **changes: Any) -> dict[str, Any]:
    response_headers = changes.pop("response_headers", {"Content-Type": ["application/json"]})
    request = {"method": "POST", "uri": URL, "headers": {"Content-Type": ["application/json"]}, "body": body}
    response = {"status": {"code": 201, "message": "Created"}, "headers": response_headers, "body": {"string": string}}
    return {"interactions": [{"request": request, "response": response}], "version": 1, **changes}


def har(**changes: Any) -> dict[str, Any]:
    request = {
        "method": "POST", "url": URL, "headers": [{"name": "Content-Type", "value": "application/json"}],
        "postData": {"mimeType": "application/json", "text": SENT},
    }  # fmt: skip
    content = {"size": len(GOT), "mimeType": "application/json", "text": GOT}
    response = {"status": 201, "headers": [{"name": "Content-Type", "value": "application/json"}], "content": content}
    return {"log": {"version": "1.2", "entries": [{"request": request, "response": response, **changes}]}}


INTERACTION = {
    "request": {"method": "POST", "url": URL, "headers": [["content-type", "application/json"]], "body": SENT},
    "response": {"status": 201, "headers": [["content-type", "application/json"]], "body": GOT},
}
