"""Tests that a server answers broken requests with a 4xx, in a known format without server internals."""

from __future__ import annotations

import pytest

from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest, allocation_body, response_of, rule_params
from pytest_veeqo_alloc.strategies.invalid_bodies import REQUEST_MUTATIONS
from pytest_veeqo_alloc.strategies.sampling import broken_requests
from pytest_veeqo_alloc.strategies.values import LARGEST_ID


@pytest.mark.parametrize("rule", rule_params(REQUEST_MUTATIONS))
def test_broken_request_is_rejected(rule: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that generated bodies that break only *rule* are rejected, if the rule is an error in the run's profile."""
    server = _veeqo_alloc_server_under_test
    if server.engine.settings.severities[rule] != "error":
        pytest.skip(f"{rule} is not an error in profile {server.engine.profile}, so the server may accept it")
    order = server.any_order()
    for broken in broken_requests(rule, 3 if server.is_free else 1, order.warehouse_id, list(order.sellables), 1):
        server.assert_rejected(server.post(order.id, broken.payload))


MALFORMED = {
    "empty": b"",
    "truncated": b'{"allocation": {"warehouse_id": 1, "line_items_attributes": [{"sel',
    "form": b"allocation[warehouse_id]=1&allocation[line_items_attributes][][sellable_id]=1",
    "not UTF-8": b'{"allocation": {"\xff": 1}}',
    "UTF-16": '{"allocation": {}}'.encode("utf-16"),
    "NaN": b'{"allocation": {"line_items_attributes": [{"quantity": NaN}]}}',
    "array": b"[]",
    "string": b'"allocation"',
    "number": b"1",
    "null": b"null",
    "deep nesting": b'{"allocation": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "huge number": b'{"allocation": {"line_items_attributes": [{"quantity": 1' + b"0" * 400 + b"}]}}",
}
"""Map names to malformed bodies. No body has both a warehouse and a sellable, so no server can allocate anything."""


@pytest.mark.veeqo_alloc_basis(basis="rfc")
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_body_is_rejected(name: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a malformed body, such as one that is not a JSON object (RFC 8259), is rejected."""
    server = _veeqo_alloc_server_under_test
    server.assert_rejected(server.post(server.any_order().id, MALFORMED[name]))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
                         ids=["text", "form", "multipart", "none"])  # fmt: skip
def test_other_media_type_is_no_server_error(
    content_type: str, _veeqo_alloc_server_under_test: ServerUnderTest
) -> None:
    """Check that a JSON body with another media type, or without a media type, causes no 5xx."""
    server = _veeqo_alloc_server_under_test
    order = server.take()
    headers = (("Content-Type", content_type),) if content_type else ()
    server.assert_no_server_error(server.post(order.id, allocation_body(order), headers=headers))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("key", ["", "not-the-key-of-anybody"], ids=["missing", "wrong"])
def test_request_without_valid_key_is_rejected(key: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a request with a missing or wrong API key is answered with 401 or 403."""
    server = _veeqo_alloc_server_under_test
    order = server.any_order()
    interaction = server.post(order.id, allocation_body(order), key=key)
    server.assert_rejected(interaction)
    status = response_of(interaction).status
    assert status in (401, 403), "a request without a valid key was not answered with 401 or 403"


@pytest.mark.veeqo_alloc_basis(basis="rfc")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_other_method_is_rejected(method: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that methods other than POST are answered with a 4xx, such as 405 (RFC 9110 section 15.5.6) or 404."""
    server = _veeqo_alloc_server_under_test
    order = server.any_order()
    body = None if method in ("GET", "DELETE") else allocation_body(order)
    server.assert_rejected(server.try_out(order.id, body, method))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("order_id", ["0", "-1", "P-447452", "1.5", "9" * 40, "%00", "1%27%20OR%201=1"],
                         ids=["zero", "negative", "order number", "fraction", "huge", "NUL", "SQL"])  # fmt: skip
def test_invalid_order_id_is_rejected(order_id: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that requests with an invalid order id in the path, such as 0 or a fraction, are rejected."""
    server = _veeqo_alloc_server_under_test
    server.assert_rejected(server.try_out(order_id, allocation_body(server.any_order())))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("size", ["1 MB member", "10,000 lines"])
def test_large_body_is_no_server_error(size: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a large body is either accepted or rejected with a 4xx."""
    server = _veeqo_alloc_server_under_test
    order = server.any_order()
    body = allocation_body(order)
    if size == "10,000 lines":
        body["allocation"]["line_items_attributes"] *= 10_000
    else:
        body["note"] = "x" * 1_000_000
    server.assert_no_server_error(server.try_out(order.id, body))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("what", ["warehouse_id", "sellable_id"])
def test_unknown_id_is_no_server_error(what: str, _veeqo_alloc_server_under_test: ServerUnderTest) -> None:
    """Check that a request with an unknown warehouse or sellable is either accepted or rejected with a 4xx."""
    server = _veeqo_alloc_server_under_test
    order = server.take()
    body = allocation_body(order)
    owner = body["allocation"] if what == "warehouse_id" else body["allocation"]["line_items_attributes"][0]
    owner[what] = LARGEST_ID
    server.assert_no_server_error(server.try_out(order.id, body))
