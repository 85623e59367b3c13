"""`veeqo-alloc export postman`: a Postman collection with requests and tests, for Postman and Newman."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_veeqo_alloc.contract.rules import CATALOGUE, Profile, severities
from pytest_veeqo_alloc.server.fake import API_KEY
from pytest_veeqo_alloc.spec.loader import load_schema, read_shipped_text
from pytest_veeqo_alloc.strategies.sampling import broken_requests, valid_requests

Json = dict[str, Any]

_FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_IDS = {"warehouseId": 900_000_000_001, "sellableId": 900_000_000_002, "otherSellableId": 900_000_000_003}
"""The ids in generated bodies, keyed by the name of the variable that replaces the id."""

_SAMPLES, _MAX_UNITS = 10, 3

# Scripts of tests, in JavaScript. Each throws if the response breaks the rule.
_IS_JSON = r'pm.expect(pm.response.headers.get("Content-Type")).to.match(/^application\/(.+\+)?json\b/i);'
_CONFORMS = 'pm.response.to.have.jsonSchema(JSON.parse(pm.collectionVariables.get("responseSchema")));'
_ECHOES_ORDER = "pm.expect(String(pm.response.json().id)).to.equal(pm.request.url.path.at(-2));"
_ECHOES_ALLOCATION = """const requested = JSON.parse(pm.variables.replaceIn(pm.request.body.raw)).allocation;
const sellables = requested.line_items_attributes.map((line) => line.sellable_id);
const isEcho = (made) => made.warehouse.id === requested.warehouse_id
  && made.line_items.some((line) => sellables.includes(line.sellable.id));
pm.expect(pm.response.json().allocations.some(isEcho)).to.be.true;"""
_IS_REFUSED = "pm.expect(pm.response.code).to.be.within(400, 499);"
_HIDES_KEY = 'pm.expect(pm.response.text()).not.to.include(pm.variables.get("apiKey"));'


def collection(profile: Profile = "documented") -> Json:
    """Return a Postman collection in format 2.1. Raise ValueError for an unknown profile.

    *profile* selects the schema of the response and the broken requests: those that break a rule of severity "error".
    """
    operation = json.loads(read_shipped_text("schemas/operation.json"))
    *_, key = operation["parameters"]
    auth = {"key": key["name"], "value": "{{apiKey}}", "in": key["in"]}
    refused = {"broken-request-accepted": _IS_REFUSED, "error-leaks-internals": _HIDES_KEY}
    return {
        "info": {
            "name": operation["summary"],
            "description": operation["description"].partition(".")[0],
            "schema": _FORMAT,
        },
        "auth": {"type": "apikey", "apikey": [{"key": name, "value": value} for name, value in auth.items()]},
        "protocolProfileBehavior": {"followRedirects": False},
        "variable": [{"key": name, "value": value} for name, value in _variables(profile).items()],
        "item": [
            _folder("Valid requests", _valid_items(operation), _accepted(operation)),
            _folder("Broken requests", _broken_items(operation, profile), refused),
        ],
    }


def _variables(profile: Profile) -> Json:
    """Return the variables of the collection. The ids are those of the documented example."""
    allocation, order = (
        json.loads(read_shipped_text(f"schemas/examples/{name}.json")) for name in ("request", "response")
    )
    warehouse, (line,) = allocation["allocation"].values()
    ids = (warehouse, line["sellable_id"], line["sellable_id"] + 1)
    schema = {name: part for name, part in load_schema("response", profile).items() if name not in ("$schema", "$id")}
    return {
        "baseUrl": "http://127.0.0.1:8080",
        "apiKey": API_KEY,
        "orderId": order["id"],
        **dict(zip(_IDS, ids, strict=True)),
        "responseSchema": json.dumps(schema, separators=(",", ":")),
    }


def _accepted(operation: Json) -> dict[str, str]:
    """Return the tests of the response to a valid request: scripts, keyed by the name of the test."""
    ((status, response),) = operation["responses"].items()
    (location,) = response["headers"]
    return {
        "wrong-status": f"pm.response.to.have.status({status});",
        "response-media-type": _IS_JSON,
        "location-missing": f'pm.response.to.have.header("{location}");',
        "schema": _CONFORMS,
        "order-echo": _ECHOES_ORDER,
        "allocation-echo": _ECHOES_ALLOCATION,
    }


def _folder(name: str, items: Iterable[Json], tests: Mapping[str, str]) -> Json:
    """Return a folder of *items*. *tests* maps names of tests to scripts, which run after each item."""
    lines = []
    for rule, script in tests.items():
        wanted = CATALOGUE[rule].wanted if rule in CATALOGUE else "a body that conforms to the JSON Schema"
        lines += [f"pm.test({json.dumps(f'{rule}: {wanted}')}, () => {{", *script.splitlines(), "});"]
    event = {"listen": "test", "script": {"type": "text/javascript", "exec": lines}}
    return {"name": name, "item": list(items), "event": [event]}


def _valid_items(operation: Json) -> Iterator[Json]:
    warehouse, *sellables = _IDS.values()
    generated = map(_text, valid_requests(_SAMPLES, warehouse, sellables, _MAX_UNITS))
    for number, body in enumerate(dict.fromkeys([_documented(), *generated])):
        yield _item(operation, f"Generated request {number}" if number else "The documented example", body)


def _broken_items(operation: Json, profile: Profile) -> Iterator[Json]:
    severity, valid = severities(profile), _documented()
    bodies = {rule: list(map(_text, broken)) for rule, broken in broken_requests(*list(_IDS.values())[:2]).items()}
    bodies |= {"body-missing": [""], "not-json": [valid[:-2]]}
    del bodies["undocumented-field"]  # a server may ignore members that it does not know
    for rule, texts in bodies.items():
        for number, text in enumerate(texts if severity[rule] == "error" else (), 1):
            yield _item(operation, f"{rule} {number}: {CATALOGUE[rule].summary}", text)
    rule = "order-id-not-integer"
    yield _item(operation, f"{rule}: {CATALOGUE[rule].summary}", valid, order_id="P-{{orderId}}")


def _documented() -> str:
    warehouse, sellable, _ = _IDS.values()
    line = {"sellable_id": sellable, "quantity": 1}
    return _text({"allocation": {"warehouse_id": warehouse, "line_items_attributes": [line]}})


def _text(body: Any) -> str:
    """Return *body* as JSON with variables instead of ids."""
    text = json.dumps(body)
    for name, number in _IDS.items():
        text = text.replace(str(number), f"{{{{{name}}}}}")
    return text


def _item(operation: Json, name: str, body: str, order_id: str = "{{orderId}}") -> Json:
    parts = operation["path"].replace("{order_id}", order_id).strip("/").split("/")
    (media_type,) = operation["requestBody"]["content"]
    request = {
        "method": operation["method"],
        "url": {"raw": "/".join(["{{baseUrl}}", *parts]), "host": ["{{baseUrl}}"], "path": parts},
        "header": [{"key": "Content-Type", "value": media_type}],
        "body": {"mode": "raw", "raw": body},
    }
    return {"name": name, "request": request}
