"""Reading of bodies: valid JSON, and the findings of any other bytes."""

from __future__ import annotations

import gzip
import json
import math
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bodies import order, put, request_body, rules_at
from support.examples import TEXT

from pytest_veeqo_alloc import Contract, Interaction, Request, Response
from pytest_veeqo_alloc.contract.json_reader import nests_deeper, read

CONTRACT = Contract("strict")
EXAMPLE = json.dumps(order()).encode()


def one(body: bytes) -> tuple[str, str | None]:
    (finding,) = CONTRACT.check_body("response", body)
    return finding.rule, finding.pointer


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "body-missing"),
        (b" ", "not-json"),
        (b"<html></html>", "not-json"),
        (EXAMPLE[:-5], "not-json"),
        (EXAMPLE + b"{}", "not-json"),
        (b"{'id': 1}", "not-json"),
        (b'{"id": 01}', "not-json"),
        (EXAMPLE.replace(b"Sam", b"S\xe4m"), "not-utf8"),
        (EXAMPLE.decode().encode("utf-16"), "not-utf8"),
        (b"[" * 100_000, "too-deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too-deep"),
        (b"[NaN", "not-json"),
        (b"[1e400", "not-json"),
        (b'{"x":{"a":1,"a":2},', "not-json"),
        (b"[NaN," + b"[" * 100_000, "too-deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "too-deep"),
    ],
)
def test_unreadable_body_is_one_finding(body: bytes, rule: str) -> None:
    assert one(body) == (rule, "")


def test_64_levels_are_accepted_and_65_are_not() -> None:
    # The root object and the array of tags are two levels.
    tags = b'"tags": ' + b"[" * 63 + b"]" * 63
    assert list(CONTRACT.check_body("response", EXAMPLE.replace(b'"tags": []', tags))) == []
    assert one(EXAMPLE.replace(b'"tags": []', b'"tags": [' + tags[8:] + b"]")) == ("too-deep", "")


@pytest.mark.parametrize("member", ["notes", "extra", "status", "customer", "tags"])
def test_deep_nesting_is_found_in_any_member(member: str) -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    body = put(order(), f"/{member}", deep)
    assert rules_at(CONTRACT.check_body("response", body)) == [("too-deep", "")]
    assert one(json.dumps(body).encode()) == ("too-deep", "")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 4301, "-" + "9" * 4301])
def test_non_finite_number_is_found_at_its_pointer(text: str) -> None:
    body = EXAMPLE.replace(b'"total_tax": 0', f'"total_tax": {text}'.encode())
    assert one(body) == ("non-finite-number", "/total_tax")


@pytest.mark.parametrize("text", ["1e308", "0.1e-400", "9" * 400, "9" * 4300, "-0.0"])
def test_large_or_tiny_number_is_accepted(text: str) -> None:
    body = EXAMPLE.replace(b'"total_weight": 0', f'"total_weight": {text}'.encode())
    assert list(CONTRACT.check_body("response", body)) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_number_is_found_in_a_parsed_value(value: float) -> None:
    assert rules_at(CONTRACT.check_body("response", put(order(), "/price", value))) == [
        ("non-finite-number", "/price"),
        ("undocumented-field", "/price"),
    ]


def test_non_finite_id_is_one_finding() -> None:
    assert rules_at(CONTRACT.check_body("response", put(order(), "/customer/id", math.nan))) == [
        ("non-finite-number", "/customer/id")
    ]


def test_repeated_member_is_found_and_the_last_one_counts() -> None:
    body = EXAMPLE.replace(
        b'"zip": "ZZ99 9ZZ"}, "delivery_cost"', b'"zip": 1, "zip": "x", "zip": "y"}, "delivery_cost"'
    )
    assert body != EXAMPLE
    assert one(body) == ("duplicate-key", "/deliver_to/zip")


def test_byte_order_mark_is_found_and_the_body_is_checked() -> None:
    assert one(b"\xef\xbb\xbf" + EXAMPLE) == ("byte-order-mark", "")
    body = b"\xef\xbb\xbf" + json.dumps(put(order(), "/id", "x")).encode()
    assert rules_at(CONTRACT.check_body("response", body)) == [("byte-order-mark", ""), ("wrong-type", "/id")]


def test_byte_order_mark_is_found_in_an_unreadable_body() -> None:
    for rest in (b"{\xff", b"{", b"[" * 100_000):
        first, second = CONTRACT.check_body("response", b"\xef\xbb\xbf" + rest)
        assert "byte-order-mark" in (first.rule, second.rule)


def test_non_finite_number_is_the_only_finding_of_its_field() -> None:
    for pointer in ("/status", "/notes", "/deliver_to/zip"):
        assert rules_at(CONTRACT.check_body("response", put(order(), pointer, math.inf))) == [
            ("non-finite-number", pointer)
        ]


def test_member_name_that_is_not_a_string_is_rejected() -> None:
    for name in (None, 1, 1.5, b"x", ("a",)):
        with pytest.raises(TypeError, match="the names of members must be strings"):
            CONTRACT.check_body("response", {**order(), name: 1})


def test_too_deep_hides_other_findings_of_the_body() -> None:
    lines = {"warehouse_id": 0, "line_items_attributes": []}
    for levels in (100, 90_000):
        body = json.dumps({"allocation": lines})[:-1] + ', "x": ' + "[" * levels + "]" * levels + "}"
        request = Request(
            "POST", "/orders/1/allocations", (("x-api-key", "k"), ("content-type", "text/plain")), body.encode()
        )
        assert rules_at(CONTRACT.check(Interaction(request))) == [("too-deep", "")]


def test_lone_surrogate_is_accepted() -> None:
    assert list(CONTRACT.check_body("response", EXAMPLE.replace(b'"Sam"', b'"\\ud800"'))) == []


def test_string_of_five_megabytes_is_accepted() -> None:
    body = EXAMPLE.replace(b'"Sam"', b'"' + b"x" * 5_000_000 + b'"', 1)
    assert list(CONTRACT.check_body("response", body)) == []


def test_unreadable_body_hides_its_media_type() -> None:
    request = Request("POST", "/orders/1/allocations", (("x-api-key", "k"),), b"{")
    assert [finding.rule for finding in CONTRACT.check(Interaction(request))] == ["not-json"]


def test_missing_body_is_one_finding() -> None:
    for body in (None, b""):
        request = Request("POST", "/orders/1/allocations", (("x-api-key", "k"),), body)
        assert rules_at(CONTRACT.check(Interaction(request))) == [("body-missing", "")]


def test_bytes_of_a_request_are_checked() -> None:
    assert list(CONTRACT.check_body("request", json.dumps(request_body()).encode())) == []
    assert rules_at(CONTRACT.check_body("request", b"[]")) == [("wrong-type", "")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_text_from_json_dumps_is_read_without_findings(value: object) -> None:
    reading = read(json.dumps(value).encode())
    assert (reading.readable, reading.breaches, reading.value) == (True, (), value)


@given(st.binary(max_size=60))
def test_any_bytes_can_be_checked(body: bytes) -> None:
    CONTRACT.check_body("response", body)
    CONTRACT.check_body("request", body)


@given(JSON, st.integers(min_value=0, max_value=5))
def test_depth_is_counted_in_levels_of_arrays_and_objects(value: object, more: int) -> None:
    levels = 0
    while nests_deeper(value, levels):
        levels += 1
    for _ in range(more):
        value = [value]
    assert not nests_deeper(value, levels + more)
    assert levels + more == 0 or nests_deeper(value, levels + more - 1)


@pytest.mark.parametrize("coding", ["gzip", ""])
def test_compressed_body_is_checked_decompressed(coding: str) -> None:
    def headers(*others: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        return (("content-type", "application/json"), ("content-encoding", coding), *others)

    sent = gzip.compress(json.dumps(put(request_body(), "/allocation/warehouse_id", "5")).encode())
    request = Request("POST", "/orders/1/allocations", headers(("x-api-key", "k")), sent)
    assert rules_at(CONTRACT.check(Interaction(request))) == [("wrong-type", "/allocation/warehouse_id")]
    got = gzip.compress(json.dumps(put(order(), "/id", "1")).encode())
    answer = Response(201, headers(("location", "/orders/1")), got)
    assert ("wrong-type", "/id") in rules_at(CONTRACT.check(Interaction(None, answer)))


def test_body_in_an_unsupported_coding_names_the_coding(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, None)
    answer = Response(201, (("content-encoding", "br"),), b"\x1b\x00\xf8\xff")
    (finding,) = (found for found in CONTRACT.check(Interaction(None, answer)) if found.location == "body")
    assert (finding.rule, finding.got) == ("not-utf8", "a body compressed with br (no decoder installed)")
    assert finding.remedy == "install brotli (extra: pytest-veeqo-alloc[brotli])"


def test_error_body_is_searched_decompressed() -> None:
    trace = gzip.compress(b'Traceback (most recent call last)\n  File "/srv/app.py", line 1, in allocate')
    answer = Response(500, (("content-encoding", "gzip"),), trace)
    assert ("error-leaks-internals", "") in rules_at(CONTRACT.check(Interaction(None, answer)))


def test_numbers_and_containers_of_other_json_parsers_are_json() -> None:
    text = json.dumps(order())
    assert list(CONTRACT.check_body("response", json.loads(text, parse_float=Decimal, parse_int=Decimal))) == []
    assert list(CONTRACT.check_body("response", text)) == []
    assert list(CONTRACT.check_body("response", bytearray(text.encode()))) == []
    body = put(request_body(), "/allocation/line_items_attributes", ({"sellable_id": 1, "quantity": Decimal(1)},))
    assert list(CONTRACT.check_body("request", body)) == []
    assert rules_at(CONTRACT.check_body("request", put(body, "/allocation/warehouse_id", Decimal("1.5")))) == [
        ("id-not-positive-integer", "/allocation/warehouse_id")
    ]


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1e400")])
def test_decimal_that_is_not_finite_is_found(number: Decimal) -> None:
    body = put(order(), "/total_price", number)
    assert rules_at(CONTRACT.check_body("response", body)) == [("non-finite-number", "/total_price")]


def test_nested_tuples_are_too_deep() -> None:
    body: Any = ()
    for _ in range(100_000):
        body = (body,)
    assert rules_at(CONTRACT.check_body("response", body)) == [("too-deep", "")]


@pytest.mark.parametrize("text", ["{", '\n {"id": ', "[1,"])
def test_truncated_text_is_not_json(text: str) -> None:
    assert rules_at(CONTRACT.check_body("response", text)) == [("not-json", "")]
    assert rules_at(CONTRACT.check_body("response", text.encode())) == [("not-json", "")]


FORM = b"allocation%5Bwarehouse_id%5D=5&allocation[line_items_attributes][][quantity]=1"


@pytest.mark.parametrize(
    ("media_type", "body", "got"),
    [
        ("application/x-www-form-urlencoded", FORM, "a form, not JSON"),
        ("multipart/form-data; boundary=x", b"--x\r\n", "a multipart form, not JSON"),
        ("text/html", b"<html>", "HTML, not JSON"),
        ("application/xml", b"<a/>", "another media type, not JSON"),
    ],
)
def test_wrong_media_type_explains_a_body_that_is_not_json(media_type: str, body: bytes, got: str) -> None:
    headers = (("x-api-key", "k"), ("content-type", media_type), ("location", "/orders/1"))
    (sent,) = CONTRACT.check(Interaction(Request("POST", "/orders/1/allocations", headers, body)))
    assert (sent.rule, sent.got) == ("request-media-type", got)
    assert "with json=" in sent.remedy
    (answered,) = CONTRACT.check(Interaction(None, Response(201, headers, body)))
    assert (answered.rule, answered.got) == ("response-media-type", got)


def test_body_that_is_not_json_stays_an_error_where_the_media_type_is_a_warning() -> None:
    headers = (("x-api-key", "k"), ("content-type", "application/x-www-form-urlencoded"))
    request = Request("POST", "/orders/1/allocations", headers, FORM)
    (finding,) = Contract("lenient").check(Interaction(request))
    assert (finding.rule, finding.severity, finding.got) == ("not-json", "error", "a form, not JSON")


@pytest.mark.parametrize("body", [FORM, b"a=1", b"allocation[]=1"])
def test_form_declared_as_json_is_called_a_form(body: bytes) -> None:
    headers = (("x-api-key", "k"), ("content-type", "application/json"))
    (finding,) = CONTRACT.check(Interaction(Request("POST", "/orders/1/allocations", headers, body)))
    assert (finding.rule, finding.got, finding.remedy) == ("not-json", "a form", "send JSON, not a form")


@pytest.mark.parametrize(
    ("body", "rule", "got"),
    [
        (b"<!DOCTYPE html><p>Bad gateway</p>", "not-json", "HTML"),
        (b"\n<HTML>", "not-json", "HTML"),
        (b'<?xml version="1.0"?><order/>', "not-json", "XML"),
        (b'HTTP/1.1 201 Created\r\n\r\n{"id": 1}', "not-json", "an HTTP message"),
        (b"POST /orders/5/allocations HTTP/1.1\r\n\r\n{}", "not-json", "an HTTP message"),
        (b"{'id': 1, 'notes': None}", "not-json", "a Python literal"),
        (b'{"id": 1', "not-json", "a syntax error at line 1, column 9"),
        (b"< 5", "not-json", "a syntax error at line 1, column 1"),
        (gzip.compress(b"{}"), "not-utf8", "gzip data"),
        ('{"id": 1}'.encode("utf-16"), "not-utf8", "UTF-16 text"),
        (b'{"notes": "\xff"}', "not-utf8", "an invalid byte at offset 11"),
    ],
)
def test_body_that_is_not_json_is_identified(body: bytes, rule: str, got: str) -> None:
    (breach,) = read(body).breaches
    assert (breach.rule, breach.got) == (rule, got)
