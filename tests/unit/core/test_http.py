"""HTTP messages: headers, reprs and content codings."""

from __future__ import annotations

import gzip

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.core.http import decode_content


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


def test_body_with_too_many_layers_of_gzip_stays_compressed() -> None:
    body = b"[]"
    for _ in range(6):
        body = gzip.compress(body)
    assert gzip.decompress(decode_content(body, ()) or b"") == b"[]"
