"""Contents of bodies: what msgspec decodes is what the walk accepts, and the walk alone finds the same."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from support.bodies import BODY, fields, order, put, request_body
from support.cases import CASES, body_of
from support.examples import FEWER
from support.fast_path import assert_field_variants, assert_repetition_is_found, assert_same_verdict, fuzzed, walked

from pytest_veeqo_alloc import Contract
from pytest_veeqo_alloc.contract import content
from pytest_veeqo_alloc.contract.checker import check_bytes
from pytest_veeqo_alloc.spec.loader import field_trees, tables
from pytest_veeqo_alloc.strategies import allocation_requests, allocation_responses

ORDER = json.dumps(order()).encode()
COMPACT = json.dumps(order(), separators=(",", ":"), ensure_ascii=False).encode()
INDENTED = json.dumps(order(), indent=2).encode()
REQUEST = json.dumps(BODY).encode()


def is_typed(raw: bytes) -> bool:
    return assert_same_verdict("response", raw)[0]


@pytest.mark.parametrize("raw", [ORDER, COMPACT, INDENTED, b"\n\t " + ORDER + b"\r\n"])
def test_clean_order_is_not_walked(raw: bytes) -> None:
    assert assert_same_verdict("response", raw) == (True, [])


@pytest.mark.parametrize("name", sorted(CASES))
def test_walk_alone_finds_the_same_in_the_bodies_written_by_hand(name: str) -> None:
    case = CASES[name]
    assert_same_verdict(case["side"], json.dumps(body_of(case)).encode())


@pytest.mark.parametrize("pointer", [pointer for pointer, _ in fields()][::11])  # the battery tests each field
def test_walk_alone_finds_the_same_in_a_field_that_is_changed_or_repeated(pointer: str) -> None:
    assert_field_variants(pointer)
    assert_repetition_is_found(pointer, b"\n\t")


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ('a "quoted" text', True), ("null", True), ('"id":1', True), ("a\tb\u2028\U0001f600", True), ("a\\b", False),
        ("\ud800", False),
    ],
)  # fmt: skip
def test_text_with_escapes_is_no_defect(text: str, typed: bool) -> None:
    assert assert_same_verdict("response", json.dumps(put(order(), "/deliver_to/first_name", text)).encode()) == (
        typed,
        [],
    )


@pytest.mark.parametrize("name", ["id", "allocations", "address2"])
def test_escaped_name_of_a_repeated_member_is_found(name: str) -> None:
    raw = ORDER.replace(f'"{name}": '.encode(), f'"\\u{ord(name[0]):04x}{name[1:]}": null, "{name}": '.encode(), 1)
    assert not is_typed(raw)


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("2016-04-06T12:25:40Z", True), ("2016-04-06t12:25:40.123456789z", True), ("2016-04-06T12:25:40+01:00", True),
        ("2016-02-29T23:59:60Z", True), ("0000-01-01T00:00:00-23:59", True), ("2016-04-06 12:25:40Z", False),
        ("2016-04-06T12:25:40+0100", False), ("2016-04-06T12:25:40", False), ("2016-02-30T12:25:40Z", False),
        ("2016-04-06", False), ("", False),
    ],
)  # fmt: skip
def test_date_time_is_judged_as_the_walk_judges_it(text: str, typed: bool) -> None:
    for pointer in ("/created_at", "/allocations/0/line_items/0/sellable/stock_entries/0/warehouse/created_at"):
        assert is_typed(json.dumps(put(order(), pointer, text)).encode()) is typed


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"null", b"[]", b"{}", b"1" * 5000, b"\xff", b"[" * 100_000, b'{"id": NaN}']
)
def test_body_that_is_no_order_is_walked(raw: bytes) -> None:
    assert not is_typed(raw)
    assert not assert_same_verdict("request", raw)[0]


def nested(levels: int, inner: Any = 1) -> Any:
    return [inner] if levels == 1 else [nested(levels - 1, inner)]


@pytest.mark.parametrize(
    "pointer", [pointer for pointer, field in fields() if field.get("type") == "array" and "items" not in field]
)
def test_array_without_documented_items_may_hold_anything_sound(pointer: str) -> None:
    for items, typed in (
        ([1, -1.5, True, None, "x", "a \"text\"", {"id": [{}], "x": {"id": "1"}}, []], True),
        (nested(40), True), (nested(41), False), (nested(70), False), ([10**19], False), ([{"x": -1e20}], False),
        (["\ud800"], False), ([float("nan")], False), ({}, False),
    ):  # fmt: skip
        assert is_typed(json.dumps(put(order(), pointer, items)).encode()) is typed
    for levels in (900, 5_000, 100_000):
        assert not is_typed(json.dumps(put(order(), pointer, "@")).replace('"@"', "[" * levels + "]" * levels).encode())
    for items in ('[{"id": 1, "id": 1}]', '[{"x": "y", "x": 1}]', '[[{"": [], "": []}]]'):
        raw = json.dumps(put(order(), pointer, "@")).replace('"@"', items).encode()
        assert not is_typed(raw)
        assert [breach.rule for breach in check_bytes("response", raw, tables()).breaches] == ["duplicate-key"]


@given(allocation_responses())
@FEWER
def test_generated_order_without_findings_is_not_walked(body: dict[str, Any]) -> None:
    typed, breaches = assert_same_verdict("response", json.dumps(body).encode())
    assert typed is not bool(breaches) or "\\\\" in json.dumps(body)


@given(allocation_requests())
def test_generated_request_is_not_walked(body: dict[str, Any]) -> None:
    assert assert_same_verdict("request", json.dumps(body).encode()) == (True, [])


def test_walk_alone_finds_the_same_in_changed_bytes() -> None:
    source, accepted = random.Random(1), 0
    for _ in range(200):
        accepted += assert_same_verdict("response", fuzzed([ORDER, COMPACT, INDENTED], source))[0]
        assert_same_verdict("request", fuzzed([REQUEST, json.dumps(request_body()).encode()], source))
    assert 20 < accepted < 160


class Text(str):
    """A type that JSON lacks, although it is a string."""


@pytest.mark.parametrize("value", [Text("x"), {"x"}, 1 + 1j])
def test_parsed_value_with_another_type_than_json_is_walked(value: Any) -> None:
    body = put(order(), "/deliver_to/zip", value)
    rules = {finding.rule for finding in Contract("strict").check_body("response", body)}
    assert rules == (set() if isinstance(value, str) else {"wrong-type"})


def test_objects_and_nulls_are_counted_by_pointer() -> None:
    typed = content.decode(ORDER, tables().response)
    assert typed is not None
    counted = dict(zip(field_trees()["response"].counters, typed[1], strict=True))
    assert counted["object "] == counted["object /allocations/*"] == 1
    assert counted["object /customer/shipping_addresses/*"] == 3
    assert counted["null /customer/shipping_addresses/*/address2"] == 1
    assert counted["object /allocations/*/line_items/*/sellable/stock_entries/*"] == 1


@pytest.fixture
def _no_msgspec(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    content._decoding.cache_clear()
    yield
    content._decoding.cache_clear()


@pytest.mark.usefixtures("_no_msgspec")
def test_everything_works_without_msgspec() -> None:
    assert content.decode(ORDER, tables().response) is None
    for side, raw in (("response", ORDER), ("request", REQUEST), ("response", ORDER[:-1])):
        body = check_bytes(side, raw, tables())  # type: ignore[arg-type]  # one of both
        assert body.parsed is not None
        assert body.breaches == walked(side, raw).breaches  # type: ignore[arg-type]  # one of both
    assert list(Contract("strict").check_body("response", order())) == []
