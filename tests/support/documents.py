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


def ruby_cassette(*, recorded_with: str = "VCR 6.2.0", **changes: Any) -> dict[str, Any]:
    """Return a cassette as VCR for Ruby and Betamax write it."""
    headers = {"Content-Type": ["application/json"]}
    request = {"method": "post", "uri": URL, "body": {"encoding": "UTF-8", "string": SENT}, "headers": headers}
    response = {
        "status": {"code": 201, "message": "Created"}, "headers": headers, "body": {"encoding": "UTF-8", "string": GOT},
        **changes,
    }  # fmt: skip
    entry = {"request": request, "response": response, "recorded_at": "Fri, 12 Jul 2019 10:20:04 GMT"}
    return {"http_interactions": [entry], "recorded_with": recorded_with}


FOREIGN: dict[str, Any] = {
    "a Pact contract": {"consumer": {"name": "a"}, "provider": {"name": "b"}, "interactions": []},
    "a Postman collection": {"info": {"name": "a"}, "item": []},
    "an Insomnia export": {"_type": "export", "__export_format": 4, "resources": []},
    "a Bruno collection": {"version": "1", "name": "a", "items": [], "brunoConfig": {}},
    "a Hoverfly simulation": {"data": {"pairs": []}, "meta": {"schemaVersion": "v5.2"}},
    "a Mountebank configuration": {"imposters": [{"protocol": "http", "stubs": []}]},
    "a Mockoon environment": {"uuid": "a", "lastMigration": 32, "routes": []},
    "a WireMock mapping": {"request": {"method": "POST", "urlPath": "/x"}, "response": {"status": 201, "jsonBody": {}}},
    "a MockServer expectation": [{"httpRequest": {"path": "/x"}, "httpResponse": {"statusCode": 201}}],
    "a nock recording": [{"scope": "https://api.example.com:443", "method": "POST", "path": "/x", "status": 201}],
    "a PHP-VCR cassette": [{"request": {"method": "POST", "url": "/x"}, "response": {"status": {"code": "201"}}}],
    "an ExVCR cassette": [{"request": {"method": "post", "url": "/x"}, "response": {"status_code": 201}}],
    "a go-vcr cassette": {
        "version": 2,
        "interactions": [{"id": 0, "request": {"url": "/x", "method": "POST"}, "response": {"code": 201}}],
    },
}
"""A document of each format of another tool that is named and not read, without the documented call."""
