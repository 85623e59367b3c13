"""Redaction: only allowed values are kept, and the findings stay the same."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support import canaries
from support.bodies import order, put
from support.examples import FEWER, TEXT

from pytest_veeqo_alloc import Contract, Findings, Interaction, Request, Response, build_order, redact
from pytest_veeqo_alloc.core.json_pointer import split
from pytest_veeqo_alloc.core.text import is_plain_name
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.redaction.redactor import (
    Placeholders,
    Redactor,
    contains_placeholder,
    is_placeholder,
    without_placeholder_numbers,
)
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


def rules_and_places(findings: Findings) -> list[tuple[str, list[str], str]]:
    """Rules and places, without the names that redaction replaces."""
    return sorted(
        (
            f.rule,
            [
                name if name.isdigit() or (is_plain_name(name) and not is_placeholder(name)) else "(replaced)"
                for name in split(f.pointer or "")
            ],
            f.location,
        )
        for f in findings
    )


def everything(interaction: Interaction) -> str:
    """All text of *interaction*, with its bodies decoded in every way that a reader would try."""
    parts: list[str] = []
    for message in (interaction.request, interaction.response):
        if message is None:
            continue
        parts += [part for pair in message.headers for part in pair]
        parts += [message.url] if isinstance(message, Request) else []
        body = message.body or b""
        parts += [body.decode("utf-8", "replace"), body.decode("utf-16-le", "replace")]
    return "\n".join(parts)


def test_every_canary_is_in_the_interactions() -> None:
    from urllib.parse import unquote

    raw = "\n".join(
        unquote(everything(interaction)) + _unpacked(interaction) for interaction in canaries.interactions()
    )
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


def test_redaction_leaves_no_canary() -> None:
    left = "\n".join(everything(interaction) for interaction in redact(canaries.interactions()))
    assert [line for line in left.splitlines() if "canary" in line.lower()] == []
    assert "corp.io" not in left


def test_redacting_twice_is_the_same_as_once() -> None:
    once = redact(canaries.interactions())
    assert redact(once) == once
    for interaction in canaries.interactions():
        alone = redact(interaction)
        assert redact(alone) == alone


@given(body=st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
                         lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20))  # fmt: skip
def test_redaction_of_any_json_is_idempotent_and_keeps_its_shape(body: Any) -> None:
    once = value(body)
    assert value(once) == once
    assert shape(once) == shape(body)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(json.dumps(shape(inner)) for inner in value.values())
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


@FEWER
@given(body=allocation_responses(extra_fields=True) | allocation_responses(variant="observed"))
def test_redacted_response_has_the_same_findings(body: dict[str, Any]) -> None:
    assert rules_and_places(STRICT.check_body("response", value(body))) == rules_and_places(
        STRICT.check_body("response", body)
    )


@FEWER
@given(broken=invalid_allocation_responses())
def test_redacted_broken_response_has_the_same_findings(broken: Broken) -> None:
    assume(broken.rule != "too-deep")  # which is not read, and so is dropped
    assert rules_and_places(STRICT.check_body("response", value(broken.payload))) == rules_and_places(
        STRICT.check_body("response", broken.payload)
    )


@given(broken=invalid_allocation_requests())
def test_redacted_broken_request_has_the_same_findings(broken: Broken) -> None:
    assume(broken.rule != "too-deep")
    redacted = json.loads(request(body=json.dumps(broken.payload).encode()).body or b"")
    assert rules_and_places(STRICT.check_body("request", redacted)) == rules_and_places(
        STRICT.check_body("request", broken.payload)
    )


@FEWER
@given(interaction=allocation_interactions())
def test_redacted_interaction_has_the_same_findings(interaction: Interaction) -> None:
    assert rules_and_places(STRICT.check(redact(interaction))) == rules_and_places(STRICT.check(interaction))


def test_equal_values_have_equal_placeholders_in_all_interactions() -> None:
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


def test_existing_placeholder_is_not_assigned_to_another_value() -> None:
    first, second = value(["a secret", "redacted-1"])
    assert second == "redacted-1"
    assert first != second


@pytest.mark.parametrize(
    ("original", "placeholder"),
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
def test_placeholder_has_the_format_of_the_original(original: str, placeholder: str) -> None:
    assert Placeholders().text(original) == placeholder
    assert Placeholders().text(placeholder) == placeholder
    assert not original or (is_placeholder(placeholder) and not is_placeholder(original))


def test_placeholders_within_a_text_are_found_and_made_equal() -> None:
    one, other = "/tags?a=redacted-1&phone=442079460000001", "/tags?a=redacted-2&phone=442079460000002"
    assert contains_placeholder(one)
    assert not contains_placeholder("/tags?a=b&phone=2011112222")
    assert without_placeholder_numbers(one) == without_placeholder_numbers(other)


@pytest.mark.parametrize("shape", ["sellable", "product"])
def test_titles_of_an_only_variant_have_the_same_findings(shape: str) -> None:
    body = build_order(leaves={(shape, "title"): "Default"})
    assert list(STRICT.check_body("response", value(body))) == list(STRICT.check_body("response", body)) == []


def test_enumerated_values_dates_and_units_of_an_order_are_kept() -> None:
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
def test_secret_in_a_member_with_allowed_values_is_replaced(name: str) -> None:
    assert is_placeholder(value({name: "my secret"})[name])


def test_state_of_an_address_is_not_mistaken_for_that_of_a_channel() -> None:
    assert value({"state": "Kent"})["state"] == "redacted-1"
    assert value({"state": "active"})["state"] == "active"


def test_only_card_telephone_and_tax_numbers_are_replaced() -> None:
    body = {"phone": 2011112222, "card_number": 4111111111111111, "vat_number": 123456789, "x": 4111111111111111,
            "price": 13.99, "quantity": 7, "tax_rate": 20, "total_tax": 3, "id": 5555555555554444}  # fmt: skip
    kept = value(body)
    assert [name for name in body if kept[name] != body[name]] == ["phone", "card_number", "vat_number", "x"]
    assert all(isinstance(kept[name], int) for name in body if name != "price")
    assert value(kept) == kept


def test_documented_number_is_kept_even_if_it_looks_like_a_card_number() -> None:
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
def test_url_keeps_its_host_resources_and_ids(url: str, redacted: str) -> None:
    assert request(url).url == redacted.replace("flag=", "flag")
    assert request(request(url).url).url == request(url).url


def test_headers_keep_their_names_and_allowed_values() -> None:
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
def test_location_has_the_same_findings_with_another_host(location: str, rule: str | None) -> None:
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
def test_header_is_redacted(header: tuple[str, str], kept: tuple[str, str]) -> None:
    assert request("https://h/orders/1", header).headers == (kept,)


def test_compressed_body_is_decoded_and_its_headers_follow() -> None:
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
def test_unreadable_body_is_replaced_by_a_marker(body: bytes) -> None:
    assert response(body).body == b"[redacted: %d bytes that are no JSON]" % len(body)
    assert [f.rule for f in STRICT.check_body("response", response(body).body)] == ["not-json"]


def test_form_keeps_its_plain_names() -> None:
    assert request(body=b"user=jane%40corp.io&grant_type=password&9x=x").body == (
        b"user=redacted-1%40example.com&grant_type=redacted-2&redacted-3=redacted-4"
    )


def test_only_plain_member_names_are_kept() -> None:
    kept = value(
        {"is_configured?": 1, "camelCase": 1, "address2": 1, "jane@corp.io": 1, "a8f5f167f44f4964": 1, "x y": 1}
    )
    names = list(kept)
    assert names[:3] == ["is_configured?", "camelCase", "address2"]
    assert all(is_placeholder(name) for name in names[3:])


@pytest.mark.parametrize("secret", canaries.NAMES.values(), ids=canaries.NAMES)
def test_secret_in_place_of_a_name_is_replaced(secret: str) -> None:
    url, body = f"https://h/orders/1/allocations?{secret}=1", json.dumps({secret: 1}).encode()
    safe = redact(Interaction(Request("POST", url, ((secret, "1"),), body), Response(200, (), body)))
    text = repr(
        (
            safe.request and (safe.request.url, safe.request.headers, safe.request.body),
            safe.response and safe.response.body,
        )
    )
    assert secret not in text


def test_redactor_gives_equal_values_the_same_placeholder() -> None:
    redactor = Redactor()
    one, other = (redactor.interaction(Interaction(None, Response(200, (), b'["same"]'))) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("text", ["a@" + "." * 10**5 + " ", "0" * 10**5, " " * 10**5 + "1", "test" + "_" * 10**5 + "b"])
def test_long_hostile_text_is_redacted_quickly(text: str) -> None:
    # Patterns that backtrack would take minutes for each of these.
    (kept,) = value([text])
    assert is_placeholder(kept)
    Engine().lint(Interaction(None, Response(200, (), json.dumps({"api_key": text}).encode())))


@pytest.mark.parametrize("name", ["mobile_number", "telephone_number", "phones", "phone_numbers", "phone2", "customerPhone", "cell", "vatNumber",
                                  "taxId", "tin", "cpf", "passport_number", "cvv", "uk_ims_id", "accountNumber"])  # fmt: skip
def test_personal_numbers_are_recognised_by_name(name: str) -> None:
    assert value({name: 2011112222})[name] != 2011112222
    assert value({name: [2011112222]})[name] != [2011112222]


@pytest.mark.parametrize(
    "name", ["tax_rate", "total_tax", "vat_rate", "discount", "account_owner", "weight", "quantity"]
)
def test_amounts_are_not_personal_numbers(name: str) -> None:
    assert value({name: 20.5})[name] == 20.5


def test_card_number_written_with_a_fraction_is_replaced() -> None:
    assert value({"x": 4111111111111111.0})["x"] != 4111111111111111


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date_of_birth", "1980-05-06T00:00:00Z"), ("dob", "1980-05-06T00:00:00Z"), ("born_date", "1980-05-06"),
        ("created_at", "2016-03-21T11:42:55.4111111111111111Z"),
    ],
)  # fmt: skip
def test_date_of_birth_and_long_fraction_of_a_second_are_replaced(name: str, text: str) -> None:
    assert value({name: text})[name] != text


def test_date_with_a_long_fraction_keeps_its_format() -> None:
    body = put(order(), "/created_at", "2016-03-21T11:42:55.4111111111111111+01:00")
    assert value(body)["created_at"] == "2016-03-21T11:42:55+01:00"
    assert (
        rules_and_places(STRICT.check_body("response", value(body)))
        == rules_and_places(STRICT.check_body("response", body))
        == []
    )


@pytest.mark.parametrize(
    "body",
    [
        {"phone": {"number": 2011112222}},
        {"phones": [{"value": 2011112222}]},
        {"customer": {"telephone": {"home": {"digits": [2011112222]}}}},
        {"msisdn": 442011112222},
        {"tax": {"tax_number": 2011112222}},
    ],
)
def test_personal_number_below_its_name_is_replaced_and_found(body: Any) -> None:
    assert "1111222" not in json.dumps(value(body))
    (finding,) = Engine().lint(Interaction(None, Response(200, (), json.dumps(body).encode())))
    assert finding.got == "a telephone, card or tax number in the response"
    assert Engine().lint(Interaction(None, Response(200, (), json.dumps(value(body)).encode()))).ok


def test_stand_in_for_a_number_can_be_no_telephone_number() -> None:
    number = value({"phone": 2011112222})["phone"]
    assert str(number).startswith("442079460")
    assert len(str(number)) == 15  # a telephone number of the United Kingdom has 12 digits at most
