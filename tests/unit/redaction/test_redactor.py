"""Redaction: nothing that is not known to be safe is left, and what is said of a body stays the same."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support import canaries
from support.bodies import order, put

from pytest_veeqo_alloc import Contract, Findings, Interaction, Request, Response, redact
from pytest_veeqo_alloc.core.json_pointer import split
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.allowlist import is_plain_name
from pytest_veeqo_alloc.redaction.placeholders import Placeholders, is_placeholder
from pytest_veeqo_alloc.redaction.redactor import new_redactor
from pytest_veeqo_alloc.strategies import (
    Broken,
    allocation_interactions,
    allocation_responses,
    invalid_allocation_requests,
    invalid_allocation_responses,
)

STRICT = Contract("strict")


def request(url: str = "/orders/1/allocations", *headers: tuple[str, str], body: bytes | None = None) -> Request:
    redacted = redact(Interaction(Request("POST", url, headers, body))).request
    assert redacted is not None
    return redacted


def response(body: Any, *headers: tuple[str, str], status: int = 201) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    redacted = redact(Interaction(None, Response(status, headers, data))).response
    assert redacted is not None
    return redacted


def value(body: Any) -> Any:
    return json.loads(response(body).body or b"")


def told(findings: Findings) -> list[tuple[str, list[str], str]]:
    """Rules and places; names that are no words have others after redaction."""
    return sorted(
        (
            f.rule,
            [name if name.isdigit() or is_plain_name(name) else "(odd)" for name in split(f.pointer or "")],
            f.location,
        )
        for f in findings
    )


def everything(interaction: Interaction) -> str:
    """Every text and byte of it, bodies and percent-escapes decoded in all the ways that a reader would try."""
    parts: list[str] = []
    for message in (interaction.request, interaction.response):
        if message is None:
            continue
        parts += [part for pair in message.headers for part in pair]
        parts += [message.url] if isinstance(message, Request) else []
        body = message.body or b""
        parts += [body.decode("utf-8", "replace"), body.decode("utf-16-le", "replace")]
    return "\n".join(parts)


def test_there_are_sixty_canaries_in_as_many_places() -> None:
    from urllib.parse import unquote

    raw = "\n".join(unquote(everything(each)) + _unpacked(each) for each in canaries.interactions())
    assert [secret for secret in canaries.secrets() if secret not in raw and json.dumps(secret) not in raw] == []


def _unpacked(interaction: Interaction) -> str:
    texts = []
    for message in (interaction.request, interaction.response):
        body = (message.body if message else None) or b""
        while body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        if body.startswith(b"\x78"):
            body = zlib.decompress(body)
        texts.append(body.decode("utf-8", "replace"))
    return "".join(texts)


def test_none_of_sixty_canaries_is_left_anywhere() -> None:
    left = "\n".join(everything(each) for each in redact(canaries.interactions()))
    assert re.findall(r"(?i).*canary.*", left) == []
    assert "corp.io" not in left


def test_twice_is_the_same_as_once_also_apart() -> None:
    once = redact(canaries.interactions())
    assert redact(once) == once
    for each in canaries.interactions():
        alone = redact(each)
        assert redact(alone) == alone


@given(body=st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                         lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))  # fmt: skip
def test_any_json_redacted_twice_is_as_redacted_once_and_keeps_its_shape(body: Any) -> None:
    once = value(body)
    assert value(once) == once
    assert shape(once) == shape(body)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(json.dumps(shape(inner)) for inner in value.values())
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


@given(body=allocation_responses(extra_fields=True) | allocation_responses(variant="observed"))
def test_a_response_has_the_same_findings_afterwards(body: dict[str, Any]) -> None:
    assert told(STRICT.check_body("response", value(body))) == told(STRICT.check_body("response", body))


@given(broken=invalid_allocation_responses())
def test_a_broken_response_has_the_same_findings_afterwards(broken: Broken) -> None:
    assume(broken.rule != "too-deep")  # which is not read, and so is dropped
    assert told(STRICT.check_body("response", value(broken.payload))) == told(
        STRICT.check_body("response", broken.payload)
    )


@given(broken=invalid_allocation_requests())
def test_a_broken_request_has_the_same_findings_afterwards(broken: Broken) -> None:
    assume(broken.rule != "too-deep")
    redacted = json.loads(request(body=json.dumps(broken.payload).encode()).body or b"")
    assert told(STRICT.check_body("request", redacted)) == told(STRICT.check_body("request", broken.payload))


@given(interaction=allocation_interactions())
def test_an_interaction_has_the_same_findings_afterwards(interaction: Interaction) -> None:
    assert told(STRICT.check(redact(interaction))) == told(STRICT.check(interaction))


def test_equal_values_stay_equal_and_others_apart_across_a_call() -> None:
    one, other = redact([
        Interaction(Request("GET", "/tags?k=secret-a", (("x-api-key", "secret-a"),))),
        Interaction(None, Response(201, (), b'["secret-a", "secret-b"]')),
    ])  # fmt: skip
    assert one.request is not None
    key = one.request.header("x-api-key")
    assert one.request.url == f"/tags?k={key}"
    same, different = json.loads((other.response or Response(0)).body or b"")
    assert same == key
    assert different != key


def test_a_stand_in_that_is_there_already_is_not_given_to_another_value() -> None:
    first, second = value(["a secret", "redacted-1"])
    assert second == "redacted-1"
    assert first != second


@pytest.mark.parametrize(
    ("original", "stand_in"),
    [
        ("jane.doe@corp.co.uk", "redacted-1@example.com"),
        ("https://cdn.corp.io/a.png?x=1", "https://example.com/redacted-1"),
        ("9f8e7d6c-5b4a-4321-8765-0123456789ab", "00000000-0000-4000-8000-000000000001"),
        ("a8f5f167f44f4964e6c998dee827110c", "00000000000000000000000000000001"),
        ("4111111111111111", "0000000000000001"),
        ("+44 7700 123456", "+44 20 7946 0001"),
        ("Jane Doe", "redacted-1"),
        ("", ""),
    ],
)
def test_a_stand_in_has_the_format_of_what_it_replaces(original: str, stand_in: str) -> None:
    assert Placeholders().text(original) == stand_in
    assert Placeholders().text(stand_in) == stand_in
    assert not original or (is_placeholder(stand_in) and not is_placeholder(original))


def test_what_a_reader_needs_of_an_order_stays() -> None:
    kept = value(order())
    for name in ("status", "id", "total_price", "created_at", "line_items", "allocated_completely"):
        assert type(kept[name]) is type(order()[name])
    assert (kept["status"], kept["created_at"]) == ("awaiting_fulfillment", "2016-04-06T12:25:40Z")
    assert kept["customer"]["billing_address"]["country"] == "GB"
    assert kept["line_items"][0]["sellable"]["type"] == "ProductVariant"
    assert kept["line_items"][0]["sellable"]["measurement_attributes"]["dimensions_unit"] == "cm"


@pytest.mark.parametrize(
    "name", ["status", "type", "state", "currency_code", "created_at", "error_messages", "due_date"]
)
def test_a_secret_under_a_safe_name_is_replaced(name: str) -> None:
    assert is_placeholder(value({name: "my secret"})[name])


def test_an_address_is_not_taken_for_the_state_of_a_channel() -> None:
    assert value({"state": "Kent"})["state"] == "redacted-1"
    assert value({"state": "active"})["state"] == "active"


def test_numbers_stay_but_for_those_of_cards_telephones_and_tax_payers() -> None:
    body = {"phone": 2011112222, "card_number": 4111111111111111, "vat_number": 123456789, "x": 4111111111111111,
            "price": 13.99, "quantity": 7, "tax_rate": 20, "total_tax": 3, "id": 5555555555554444}  # fmt: skip
    kept = value(body)
    assert [name for name in body if kept[name] != body[name]] == ["phone", "card_number", "vat_number", "x"]
    assert all(isinstance(kept[name], int) for name in body if name != "price")
    assert value(kept) == kept


def test_a_card_number_under_a_documented_number_stays_a_documented_number() -> None:
    body = put(order(), "/total_price", 4111111111111111)
    assert value(body)["total_price"] == 4111111111111111


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://api.example.org/orders/447452/allocations", "https://api.example.org/orders/447452/allocations"),
        ("https://h:8443/api/v2/orders/1/allocations/", "https://h:8443/api/v2/orders/1/allocations/"),
        ("https://u:p@h/orders/1/allocations", "https://redacted-1:redacted-2@h/orders/1/allocations"),
        ("https://h/v2/9f8e7d6c5b4a/orders", "https://h/v2/redacted-1/orders"),
        ("/orders/%23P-447452/allocations", "/orders/redacted-1/allocations"),
        ("/tags?page=2&e=a%40corp.io&flag#top", "/tags?page=redacted-1&e=redacted-2%40example.com&flag=#redacted-3"),
        ("http://[bad/x", "https%3A%2F%2Fexample.com%2Fredacted-1"),
        ("mailto:jane@corp.io", "redacted-1%40example.com"),
        ("/customers/02011112222", "/customers/%2B44%2020%207946%200001"),
        ("http://shop.example.net/orders/1/allocations", "http://shop.example.net/orders/1/allocations"),
        ("//shop.example.net/orders/1/allocations", "//shop.example.net/orders/1/allocations"),
        ("https://a:b:c@h/orders/1", "https://redacted-1:redacted-2@h/orders/1"),
        ("http:/orders/1", "redacted-1"),
        ("/orders/00123456789012345/allocations", "/orders/00123456789012345/allocations"),
        ("/products/00123456789012345", "/products/00000000000000001"),
        ("/orders/./1/../2//3", "/orders/./1/../2//3"),
        ("/x/jane%2Fdoe", "/redacted-1/redacted-2"),
    ],
)
def test_a_url_keeps_its_host_resources_and_ids(url: str, redacted: str) -> None:
    assert request(url).url == redacted.replace("flag=", "flag")
    assert request(request(url).url).url == request(url).url


def test_headers_are_kept_by_allow_list_and_keep_their_names() -> None:
    kept = request(
        "https://api.example.org/tags",
        ("Content-Type", "application/json; charset=utf-8"),
        ("Accept", "*/*"),
        ("Host", "api.example.org"),
        ("X-Trace", "abc"),
        ("Authorization", "Basic dXNlcjpwYXNz"),
        ("Content-Type", "application/json; profile=secret"),
        ("Content-Type", "application/vnd.secret.v3+json"),
        ("Content-Type", "secret/thing"),
        ("Accept", "secret/*"),
        ("Host", "secret.corp.io"),
    ).headers
    assert kept == (
        ("Content-Type", "application/json; charset=utf-8"),
        ("Accept", "*/*"),
        ("Host", "api.example.org"),
        ("X-Trace", "redacted-1"),
        ("Authorization", "Basic redacted-2"),
        ("Content-Type", "application/json"),
        ("Content-Type", "application/vnd.redacted+json"),
        ("Content-Type", "redacted-3"),
        ("Accept", "redacted-4"),
        ("Host", "redacted-5"),
    )


@pytest.mark.parametrize(
    ("location", "rule"),
    [("https://dev.corp.io/orders/447452", None), ("/orders/5", "location-order"), ("/a b", "location-invalid")],
)
def test_a_location_has_the_same_findings_and_another_host(location: str, rule: str | None) -> None:
    kept = response(order(), ("content-type", "application/json"), ("location", location))
    assert "corp.io" not in str(kept.headers)
    found = [f.rule for f in STRICT.check(Interaction(None, kept))]
    assert found == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (("Location", "<jane doe>"), ("Location", "<redacted-1>")),
        (("Location", "jane doe"), ("Location", "<redacted-1>")),
        (("x-redacted-1", "v"), ("x-redacted-1", "redacted-1")),
        (("x-a8f5f167", "secret"), ("x-redacted-1", "redacted-2")),
        (("Content-Type", "application/json; charset=x; y=z"), ("Content-Type", "application/json")),
        (("Location", "https://redacted-1.example.com/orders/1"), ("Location", "https://redacted-1.example.com/orders/1")),
        (("Location", "https://jane@h/orders/1"), ("Location", "https://redacted-1@h/orders/1")),
        (("Location", "https://jane.example.com/orders/1"), ("Location", "https://redacted-1.example.com/orders/1")),
        (("Location", "https://redacted-1.corp.io/orders/1"), ("Location", "https://redacted-2.example.com/orders/1")),
    ],
)  # fmt: skip
def test_a_header_is_redacted_to_this(header: tuple[str, str], kept: tuple[str, str]) -> None:
    assert request("https://h/orders/1", header).headers == (kept,)


def test_a_compressed_body_comes_back_decoded_and_its_headers_say_so() -> None:
    kept = response(
        gzip.compress(b'{"note": "secret"}', mtime=0),
        ("Content-Encoding", "gzip"),
        ("Content-Length", "38"),
        status=200,
    )
    assert kept.body == b'{"note": "redacted-1"}'
    assert kept.headers == (("Content-Length", "22"),)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>secret</html>",
        b"\xff\xfe\x00",
        b'{"a": "sec',
        gzip.compress(b"[1]", mtime=0)[:-4],
        base64.b64encode(b"secret" * 9),
    ],
)
def test_what_cannot_be_read_is_dropped_and_said(body: bytes) -> None:
    assert response(body).body == b"[redacted: %d bytes that are no JSON]" % len(body)
    assert [f.rule for f in STRICT.check_body("response", response(body).body)] == ["not-json"]


def test_a_form_keeps_its_names() -> None:
    assert request(body=b"user=jane%40corp.io&grant_type=password&9=x").body == (
        b"user=redacted-1%40example.com&grant_type=redacted-2&redacted-3=redacted-4"
    )


def test_member_names_that_are_words_stay_and_others_do_not() -> None:
    kept = value(
        {"is_configured?": 1, "camelCase": 1, "address2": 1, "jane@corp.io": 1, "a8f5f167f44f4964": 1, "x y": 1}
    )
    names = list(kept)
    assert names[:3] == ["is_configured?", "camelCase", "address2"]
    assert all(is_placeholder(name) for name in names[3:])


def test_a_session_gives_a_value_the_same_stand_in_in_every_file() -> None:
    redactor = new_redactor()
    one, other = (redactor.interaction(Interaction(None, Response(200, (), b'["same"]'))) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("text", ["a@" + "." * 10**6 + " ", "0" * 10**6, " " * 10**6 + "1", "test" + "_" * 10**6 + "b"])
def test_a_long_hostile_text_takes_no_long_time(text: str) -> None:
    # Patterns that try again and again would take minutes for each of these.
    (kept,) = value([text])
    assert is_placeholder(kept)
    Engine().lint(Interaction(None, Response(200, (), json.dumps({"api_key": text}).encode())))


@pytest.mark.parametrize("name", ["mobile_number", "telephone_number", "phones", "phone_numbers", "phone2", "customerPhone", "cell", "vatNumber",
                                  "taxId", "tin", "cpf", "passport_number", "cvv", "uk_ims_id", "accountNumber"])  # fmt: skip
def test_personal_numbers_are_known_by_many_names(name: str) -> None:
    assert value({name: 2011112222})[name] != 2011112222
    assert value({name: [2011112222]})[name] != [2011112222]


@pytest.mark.parametrize(
    "name", ["tax_rate", "total_tax", "vat_rate", "discount", "account_owner", "weight", "quantity"]
)
def test_amounts_are_no_personal_numbers(name: str) -> None:
    assert value({name: 20.5})[name] == 20.5


def test_a_card_number_that_is_written_as_a_fraction_is_one_all_the_same() -> None:
    assert value({"x": 4111111111111111.0})["x"] != 4111111111111111


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date_of_birth", "1980-05-06T00:00:00Z"), ("dob", "1980-05-06T00:00:00Z"), ("born_date", "1980-05-06"),
        ("created_at", "2016-03-21T11:42:55.4111111111111111Z"),
    ],
)  # fmt: skip
def test_a_date_of_birth_and_digits_behind_a_second_do_not_pass_for_dates(name: str, text: str) -> None:
    assert value({name: text})[name] != text


def test_a_date_keeps_its_format_where_its_fraction_is_cut() -> None:
    body = put(order(), "/created_at", "2016-03-21T11:42:55.4111111111111111+01:00")
    assert value(body)["created_at"] == "2016-03-21T11:42:55+01:00"
    assert told(STRICT.check_body("response", value(body))) == told(STRICT.check_body("response", body)) == []
