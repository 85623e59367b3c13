"""What the server does with requests that are broken: a readable 4xx, never a success, never a 5xx, nothing internal."""

from __future__ import annotations

import json

import pytest

from pytest_veeqo_alloc.conformance.assertions import ServerAssertions, by_rule
from pytest_veeqo_alloc.conformance.server_under_test import asking
from pytest_veeqo_alloc.spec.loader import tables
from pytest_veeqo_alloc.strategies.invalid_requests import REQUEST_BREAKERS
from pytest_veeqo_alloc.strategies.sampling import broken_requests
from pytest_veeqo_alloc.strategies.values import LARGEST_ID


def _path(order_id: object) -> str:
    return tables().operation.path_for(order_id)


@pytest.mark.parametrize("rule", by_rule(REQUEST_BREAKERS))
def test_a_body_is_refused_that_breaks(rule: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """Generated bodies with exactly one thing wrong, of the rules that are errors in the profile of the run."""
    judge = veeqo_alloc_judge
    if judge.engine.severity_of(rule) != "error":
        pytest.skip(f"{rule} is no error in the profile {judge.engine.profile}, so a server may take it")
    order = judge.subject.any_order()
    for each in broken_requests(rule, 3 if judge.subject.is_free else 1, order.warehouse_id, list(order.sellables), 1):
        judge.assert_rejected(judge.subject.post(order.id, json.dumps(each.payload).encode()))


MALFORMED = {
    "an empty body": b"",
    "a truncated body": b'{"allocation": {"warehouse_id": 1, "line_items_attributes": [{"sel',
    "no JSON": b"allocation[warehouse_id]=1&allocation[line_items_attributes][][sellable_id]=1",
    "no UTF-8": b'{"allocation": {"\xff": 1}}',
    "UTF-16": '{"allocation": {}}'.encode("utf-16"),
    "NaN": b'{"allocation": {"line_items_attributes": [{"quantity": NaN}]}}',
    "an array": b"[]",
    "a text": b'"allocation"',
    "a number": b"1",
    "null": b"null",
    "deep nesting": b'{"allocation": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a huge number": b'{"allocation": {"line_items_attributes": [{"quantity": 1' + b"0" * 400 + b"}]}}",
}
"""Bytes that name no order, warehouse or sellable, so they can be sent anywhere."""


@pytest.mark.veeqo_alloc_basis(basis="rfc")
@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_body_is_refused(name: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """RFC 8259: bytes that are no JSON text, or not an object."""
    order = veeqo_alloc_judge.subject.any_order()
    veeqo_alloc_judge.assert_rejected(veeqo_alloc_judge.subject.post(order.id, MALFORMED[name]))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
                         ids=["text", "form", "multipart", "none"])  # fmt: skip
def test_json_that_is_declared_as_something_else_brings_nothing_down(
    content_type: str, veeqo_alloc_judge: ServerAssertions
) -> None:
    """Refused or taken: the page does not say. A 5xx it is not."""
    order = veeqo_alloc_judge.subject.take()
    headers = (("Content-Type", content_type),) if content_type else ()
    interaction = veeqo_alloc_judge.subject.post(order.id, asking(order), headers=headers)
    veeqo_alloc_judge.assert_no_server_error(interaction)


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("key", ["", "not-the-key-of-anybody"], ids=["missing", "wrong"])
def test_a_request_with_another_key_is_refused(key: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """401 or 403, and nothing is allocated."""
    order = veeqo_alloc_judge.subject.any_order()
    interaction = veeqo_alloc_judge.subject.post(order.id, asking(order), key=key)
    veeqo_alloc_judge.assert_rejected(interaction)
    assert interaction.response is not None
    assert interaction.response.status in (401, 403), "a request without the right key is not told so"


@pytest.mark.veeqo_alloc_basis(basis="rfc")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_another_method_of_the_path_is_no_success(method: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """RFC 9110 section 15.5.6: 405, or a 404 where nothing is known of it."""
    order = veeqo_alloc_judge.subject.any_order()
    body = None if method in ("GET", "DELETE") else json.dumps(asking(order)).encode()
    interaction = veeqo_alloc_judge.subject.try_out(method, _path(order.id), body)
    veeqo_alloc_judge.assert_rejected(interaction)


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("order_id", ["0", "-1", "P-447452", "1.5", "9" * 40, "%00", "1%27%20OR%201=1"],
                         ids=["zero", "negative", "a number of an order", "a fraction", "huge", "a NUL", "SQL"])  # fmt: skip
def test_an_order_id_that_is_none_is_refused(order_id: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """No such order can be."""
    body = json.dumps(asking(veeqo_alloc_judge.subject.any_order())).encode()
    veeqo_alloc_judge.assert_rejected(veeqo_alloc_judge.subject.try_out("POST", _path(order_id), body))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("size", ["1 MB in a member", "10,000 lines"])
def test_a_large_body_brings_nothing_down(size: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """Refused or taken, but no 5xx."""
    order = veeqo_alloc_judge.subject.any_order()
    body = asking(order)
    if size == "10,000 lines":
        body["allocation"]["line_items_attributes"] *= 10_000
    else:
        body["note"] = "x" * 1_000_000
    path = _path(order.id)
    veeqo_alloc_judge.assert_no_server_error(veeqo_alloc_judge.subject.try_out("POST", path, json.dumps(body).encode()))


@pytest.mark.veeqo_alloc_basis(basis="convention")
@pytest.mark.parametrize("what", ["warehouse_id", "sellable_id"])
def test_something_that_does_not_exist_is_no_server_error(what: str, veeqo_alloc_judge: ServerAssertions) -> None:
    """An id that nobody has: refused, or made up by a server that does so, but no 5xx."""
    order = veeqo_alloc_judge.subject.take()
    body = asking(order)
    owner = body["allocation"] if what == "warehouse_id" else body["allocation"]["line_items_attributes"][0]
    owner[what] = LARGEST_ID
    path = _path(order.id)
    veeqo_alloc_judge.assert_no_server_error(veeqo_alloc_judge.subject.try_out("POST", path, json.dumps(body).encode()))
