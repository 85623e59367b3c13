"""HTTP messages: headers, reprs and content codings."""

from __future__ import annotations

import gzip

import pytest

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.core.http import (
    EXCHANGE_HEADER,
    ContentDecodingError,
    decode_content,
    decode_content_or_empty,
    reason_phrase,
)


def test_reprs_of_messages_show_no_content() -> None:
    seen = Interaction(
        Request("POST", "https://h/?key=s3cret", (("x", "s3cret"),), b"s3cret"), Response(201, (("y", "s3cret"),))
    )
    assert repr(seen) == "<Interaction <Request: 1 headers, body of 6 bytes> <Response 201: 1 headers, no body>>"


def test_header_names_ignore_case() -> None:
    request = Request("POST", "/", (("X-A", "1"), ("x-a", "2")))
    assert request.header_values("x-A") == ["1", "2"]
    assert request.header("X-a") == "1"
    assert request.header("x-b") is None


def test_unassigned_status_has_no_reason_phrase() -> None:
    assert [reason_phrase(status) for status in (201, 299, 503)] == ["Created", "", "Service Unavailable"]


def test_only_a_played_response_has_an_exchange_id() -> None:
    request = Request("POST", "/")
    played = Response(201, ((EXCHANGE_HEADER.lower(), "a-1"),))
    assert [Interaction(request, response).exchange_id for response in (played, Response(201), None)] == ["a-1", "", ""]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [(gzip.compress(b"[]", mtime=0)[:-4], "truncated or too large"), (b"\x1f\x8b[]", "corrupt")],
    ids=["truncated", "corrupt"],
)
def test_body_that_cannot_be_decompressed_is_an_error_or_empty(body: bytes, sentence: str) -> None:
    with pytest.raises(ContentDecodingError, match=sentence):
        decode_content(body, ())
    assert decode_content_or_empty(body, ()) == b""


def test_body_with_too_many_layers_of_gzip_stays_compressed() -> None:
    body = b"[]"
    for _ in range(6):
        body = gzip.compress(body)
    assert gzip.decompress(decode_content(body, ()) or b"") == b"[]"
