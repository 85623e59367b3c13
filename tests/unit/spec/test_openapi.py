"""The OpenAPI document: valid, complete and equivalent to the schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.bodies import drop, order, put, request_body
from support.structure import schema_validator

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.error_responses import ERROR_RESPONSES, error_body_breaches
from pytest_veeqo_alloc.contract.rules import PROFILES, BodySide, Profile
from pytest_veeqo_alloc.spec.loader import openapi_document

PROFILES_AND_NONE = (None, *PROFILES)
BODIES = {
    "request": [request_body(), request_body()["allocation"], {}, drop(request_body(), "/allocation/warehouse_id")],
    "response": [order(), {}, drop(order(), "/id"), put(order(), "/channel/id", "7"), put(order(), "/deliver_to/zip", None),
                 put(order(), "/colour", "red")],
}  # fmt: skip


def body_schema(document: dict[str, Any], side: str) -> dict[str, Any]:
    """Return the schema of a body with the components that it refers to."""
    (item,) = document["paths"].values()
    holder = item["post"]["requestBody"] if side == "request" else item["post"]["responses"]["201"]
    (content,) = holder["content"].values()
    return {**content["schema"], "components": document["components"]}


@pytest.mark.parametrize("profile", [None, "strict"])  # the battery validates that of every profile
def test_document_is_valid_openapi(profile: Profile | None) -> None:
    OpenAPIV31SpecValidator(openapi_document(profile)).validate()


@pytest.mark.parametrize("profile", PROFILES_AND_NONE)
@pytest.mark.parametrize("side", ["request", "response"])
def test_schemas_are_equivalent_to_the_shipped_ones(side: BodySide, profile: Profile | None) -> None:
    theirs = Draft202012Validator(body_schema(openapi_document(profile), side))
    ours = schema_validator(side, profile)
    verdicts = [ours.is_valid(body) for body in BODIES[side]]
    assert [theirs.is_valid(body) for body in BODIES[side]] == verdicts
    assert True in verdicts


def test_document_has_the_parameters_the_header_and_both_examples() -> None:
    ((path, item),) = openapi_document()["paths"].items()
    operation = item["post"]
    assert path == "/orders/{order_id}/allocations"
    (order_id,) = operation["parameters"]
    assert (order_id["name"], order_id["in"]) == ("order_id", "path")
    assert order_id["schema"] == {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
    assert list(operation["responses"]) == ["201", "4XX", "5XX"]
    (location,) = operation["responses"]["201"]["headers"].values()
    assert location["schema"] == {"type": "string", "format": "uri-reference"}
    assert location["example"] == "/orders/447452"
    assert operation["requestBody"]["content"]["application/json"]["examples"]["documented"]["value"] == request_body()
    assert operation["responses"]["201"]["content"]["application/json"]["examples"]["documented"]["value"] == order()


def test_document_requires_the_api_key() -> None:
    document = openapi_document()
    (operation,) = (item["post"] for item in document["paths"].values())
    ((name, scheme),) = document["components"]["securitySchemes"].items()
    assert operation["security"] == [{name: []}]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-api-key")


def test_error_responses_are_marked_as_not_on_the_page() -> None:
    (operation,) = (item["post"] for item in openapi_document()["paths"].values())
    for status in ("4XX", "5XX"):
        assert "Not on the documentation page" in operation["responses"][status]["description"]
        assert operation["responses"][status]["x-not-on-page"] is True
    document = openapi_document(strict_page=True)
    (operation,) = (item["post"] for item in document["paths"].values())
    assert list(operation["responses"]) == ["201"]
    assert "error" not in document["components"]["schemas"]


BODIES_OF_ERRORS = [
    *(error.response.body for error in ERROR_RESPONSES.values() if b"json" in dict(error.response.headers).get("Content-Type", "").encode()),
    b'{"error_messages": [1]}', b'{"error_messages": "Not found", "more": 1}', b'{"status": true, "error": "x"}', b'{"error": "x"}', b"[]",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES_OF_ERRORS)
def test_error_schema_agrees_with_the_rule(body: bytes) -> None:
    is_valid = Draft202012Validator(openapi_document()["components"]["schemas"]["error"]).is_valid(json.loads(body))
    assert is_valid == ([breach.rule for breach in error_body_breaches(body)] == [])


def test_openapi_command_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--profile", "strict"]) == 0
    assert json.loads(capsys.readouterr().out) == openapi_document("strict")
    assert main(["openapi", "--strict-page"]) == 0
    assert json.loads(capsys.readouterr().out) == openapi_document(strict_page=True)
    assert main(["openapi", "--profile", "strct"]) == 2
    assert "did you mean 'strict'" in capsys.readouterr().err
