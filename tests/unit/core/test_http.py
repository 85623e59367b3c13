"""HTTP messages: headers, reprs and content codings."""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.core.http import (
    EXCHANGE_HEADER,
    ContentDecodingError,
    decode_content,
    decode_content_or_empty,
    prefers_gzip,
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


@pytest.mark.parametrize("message", [Request("POST", "/", body=b'{"id": 1}'), Response(201, body=b'{"id": 1}')])
def test_messages_parse_their_json(message: Request | Response) -> None:
    assert message.json() == {"id": 1}


def test_compressed_json_is_parsed() -> None:
    assert Response(201, (("Content-Encoding", "gzip"),), gzip.compress(b"[1, 2]")).json() == [1, 2]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (Request("POST", "/"), "the request has no body"),
        (Response(201, body=b""), "the response has no body"),
        (Response(502, body=b"<html>"), "Expecting value"),
        (Response(201, body=b"\xff\xfe\xfd"), "decode"),
        (Response(201, (("Content-Encoding", "gzip"),), b"\x1f\x8b\x00"), "truncated"),
    ],
)
def test_message_without_json_raises_value_error(message: Request | Response, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        message.json()


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


class StubDecoder:
    """The interface of `brotli.Decompressor`, with another compression."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)

    def process(self, data: bytes) -> bytes:
        return self._zlib.decompress(data)

    decompress = process

    def is_finished(self) -> bool:
        return self._zlib.eof

    eof = property(is_finished)


def stub_compress(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install stubs in place of the packages that decompress br and zstd."""
    for name in ("brotli", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "brotlicffi", SimpleNamespace(Decompressor=StubDecoder))
    stub = SimpleNamespace(ZstdDecompressor=lambda: SimpleNamespace(decompressobj=StubDecoder))
    monkeypatch.setitem(sys.modules, "zstandard", stub)


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize("coding", ["br", "zstd", "BR", " identity, br ", "gzip, br", "br, gzip", "gzip,br,zstd"])
def test_br_and_zstd_are_undone_in_the_order_of_the_header(coding: str) -> None:
    text = b'{"id": 1}' * 100
    body = text
    for name in coding.lower().replace("identity", "").split(","):
        if name.strip():
            body = gzip.compress(body) if name.strip() == "gzip" else stub_compress(body)
    assert decode_content(body, (("content-encoding", coding),)) == text
    assert decode_content(body, tuple(("Content-Encoding", name) for name in coding.split(","))) == text


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize("change", [lambda body: body[:-3], lambda body: b"\xff" + body], ids=["truncated", "corrupt"])
@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_damaged_br_or_zstd_names_the_coding(coding: str, change: Any) -> None:
    with pytest.raises(ContentDecodingError, match=f"a (corrupt )?{coding} body( that is truncated)?"):
        decode_content(change(stub_compress(b"[" * 5000)), (("content-encoding", coding),))


@pytest.mark.usefixtures("decoders")
def test_br_that_expands_beyond_the_limit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_veeqo_alloc.core.http.MAX_BYTES", 1000)
    with pytest.raises(ContentDecodingError, match="truncated or too large"):
        decode_content(stub_compress(b"x" * 1001), (("content-encoding", "br"),))


@pytest.mark.parametrize(
    ("coding", "package"), [("br", r"brotli \(extra: pytest-veeqo-alloc\[brotli\]\)"), ("zstd", "zstandard")]
)
def test_coding_without_a_decoder_is_named_with_its_package(
    coding: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ContentDecodingError, match=f"compressed with {coding} .no decoder installed") as caught:
        decode_content(b"\x1b\x00\xf8", (("content-encoding", coding),))
    assert re.fullmatch(f"install {package}", caught.value.remedy)


@pytest.mark.parametrize("text", [b"<html></html>", b'\n{"id": 1}', b"[]", b"plain", "\u00e9".encode(), b'"a\\tb"'])
@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "deflate", "gzip, br", "br, br", "compress"])
def test_text_was_decompressed_by_the_client(text: bytes, coding: str) -> None:
    assert decode_content(text, (("content-encoding", coding),)) == text


def test_long_text_in_another_encoding_was_decompressed_by_the_client() -> None:
    text = "<p>\u00e9t\u00e9</p>\n".encode("latin-1") * 50
    assert decode_content(text, (("content-encoding", "br"),)) == text


def test_brotli_package_undoes_br() -> None:
    brotli = pytest.importorskip("brotli")
    text = b'{"id": 1}' * 5000
    assert decode_content(brotli.compress(text), (("content-encoding", "br"),)) == text


def test_blanks_in_an_accepted_coding_take_linear_time() -> None:
    assert not prefers_gzip(Request("GET", "/", (("Accept-Encoding", f"gzip{' ' * 500_000}x"),)))
    assert prefers_gzip(Request("GET", "/", (("Accept-Encoding", f"br,{' ' * 500_000}gzip \t; q=0.5 "),)))
