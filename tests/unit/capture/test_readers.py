"""Readers of interaction files, cassettes and HAR files, valid and malformed."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
import yaml
from support.bodies import order, request_body
from support.documents import GOT, INTERACTION, SENT, URL, cassette, har

from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.readers import KINDS, LoadedFile, load
from pytest_veeqo_alloc.spec.loader import operation_matches, side_of


def loaded(document: Any, kind: Any = None, source: str = "f") -> LoadedFile | None:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return load(data, source, kind=kind, side_of=side_of, matches=operation_matches)


def test_kind_is_detected_from_the_content() -> None:
    files = [loaded(document) for document in (request_body(), order(), INTERACTION, cassette(), har())]
    assert [file.kind for file in files if file] == list(KINDS)
    assert loaded(yaml.safe_dump(cassette()).encode()) == loaded(cassette())


@pytest.mark.parametrize(
    "document",
    [
        {}, [], None, 5, "text", {"status": "x"}, {"name": "package", "version": "1"}, b"- a\n- b", b"words",
        {"id": 1, "notes": "", "tags": [], "created_at": "2019-07-12T10:20:04Z", "updated_at": "2019-07-12T10:20:04Z"},
        {"id": 1, "number": "#1", "customer": {}, "line_items": [], "deliver_to": {}, "total_price": "1.00", "tags": ""},
        {"id": 1, "allocations": [], "warehouse": {}},
        {"allocation": {"quantity": 5}}, {"allocation": "50 %"}, {"warehouse_id": 5, "line_items_attributes": []},
    ],
)  # fmt: skip
def test_content_that_is_not_ours_is_none(document: Any) -> None:
    assert loaded(document) is None


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"allocation": {"warehouse_id": 5}}, "request"),
        ({"allocation": {"line_items_attributes": []}}, "request"),
        ({"allocated_completely": False}, "response"),
        ({"allocations": [], "line_items": []}, "response"),
        ({"allocations": None, "deliver_to": {}}, "response"),
    ],
)
def test_incomplete_body_of_ours_is_recognised_by_members_that_no_other_has(document: Any, kind: str) -> None:
    result = loaded(document)
    assert result is not None
    assert result.kind == kind


@pytest.mark.parametrize("document", [INTERACTION, cassette(), har()])
def test_method_url_headers_bodies_and_status_are_read(document: Any) -> None:
    result = loaded(document)
    assert result is not None
    (interaction,) = result.interactions
    assert interaction.request is not None
    assert interaction.response is not None
    assert (interaction.request.method, interaction.request.url) == ("POST", URL)
    assert interaction.request.header("Content-Type") == "application/json"
    assert interaction.response.header("content-type") == "application/json"
    assert interaction.request.body == SENT.encode()
    assert interaction.response.body == GOT.encode()
    assert interaction.response.status == 201


def bodies(document: Any) -> tuple[bytes | None, bytes | None]:
    result = loaded(document)
    assert result is not None
    (interaction,) = result.interactions
    return (
        interaction.request.body if interaction.request else None,
        interaction.response.body if interaction.response else None,
    )


def yaml_cassette(**changes: Any) -> bytes:
    return yaml.dump(cassette(**changes)).encode()


def test_binary_body_of_a_cassette_is_read() -> None:
    assert bodies(yaml_cassette(string=b"\xff\x00"))[1] == b"\xff\x00"


def test_compressed_bodies_of_a_cassette_are_decoded() -> None:
    raw = GOT.encode()
    bare = zlib.compressobj(wbits=-15)
    for packed, coding in [
        (gzip.compress(raw, mtime=0), "gzip"), (gzip.compress(raw, mtime=0), "x-gzip"), (gzip.compress(raw, mtime=0), ""),
        (zlib.compress(raw), "deflate"), (bare.compress(raw) + bare.flush(), "deflate"), (raw, "gzip"), (raw, "deflate"),
        (raw, "br"),
    ]:  # fmt: skip
        headers = {"Content-Encoding": [coding]}
        assert bodies(yaml_cassette(string=packed, response_headers=headers))[1] == raw


def test_body_that_a_cassette_stores_as_a_value_is_read_as_json() -> None:
    assert json.loads(bodies(yaml_cassette(body=request_body()))[0] or b"") == request_body()


def test_absent_body_is_none() -> None:
    assert bodies(cassette(body=None, string=None)) == (None, None)
    bare = cassette()
    bare["interactions"][0]["response"]["body"] = None
    assert bodies(bare)[1] is None
    quiet = {"request": {"method": "POST", "url": URL}, "response": {"status": 201}}
    assert bodies(quiet) == (None, None)


def test_cassette_header_may_be_a_single_string_or_bytes() -> None:
    result = loaded(yaml_cassette(response_headers={"X-A": "1", "X-B": [b"2", "3"]}))
    assert result is not None
    assert result.interactions[0].response is not None
    assert result.interactions[0].response.headers == (("X-A", "1"), ("X-B", "2"), ("X-B", "3"))


def test_base64_bodies_are_decoded() -> None:
    encoded = base64.b64encode(GOT.encode()).decode()
    assert (
        bodies({**INTERACTION, "response": {"status": 201, "headers": [], "body_base64": encoded}})[1] == GOT.encode()
    )
    entry = har()
    entry["log"]["entries"][0]["response"]["content"] = {"text": encoded, "encoding": "base64"}
    assert bodies(entry)[1] == GOT.encode()


def test_har_entry_with_status_0_has_no_response() -> None:
    entry = har()
    entry["log"]["entries"][0]["response"]["status"] = 0
    del entry["log"]["entries"][0]["request"]["postData"]
    assert bodies(entry) == (None, None)


def test_interaction_may_lack_request_or_response() -> None:
    alone = loaded({"request": None, "response": INTERACTION["response"]}, kind="interaction")
    assert alone is not None
    assert alone.interactions[0].request is None
    unanswered = loaded({"request": INTERACTION["request"], "response": None})
    assert unanswered is not None
    assert unanswered.interactions[0].response is None


def test_interaction_has_its_file_and_number_as_source() -> None:
    document = cassette()
    document["interactions"] *= 2
    result = loaded(document, source="a.yaml")
    assert result is not None
    assert [interaction.source for interaction in result.interactions] == ["a.yaml#1", "a.yaml#2"]


def test_empty_cassette_has_no_interactions() -> None:
    interactions: list[None] | None
    for interactions in (None, []):
        empty = loaded({"interactions": interactions, "version": 1})
        assert empty is not None
        assert (empty.kind, empty.interactions, empty.skipped) == ("cassette", (), 0)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 10)}]\n" for level in range(8)
)

MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))

BAD: list[tuple[bytes, str]] = [
    (MERGES.encode(), "contains more than 10 merge keys, which is the maximum number"),
    (b"a: !!bool abc", "YAML with a value that does not fit its tag"),
    (b"a: !!timestamp abc", "YAML with a value that does not fit its tag"),
    (b'a: !!int ""', "YAML with a value that does not fit its tag"),
    (b"a: 1\n---\nb: 2", "neither valid JSON nor a single valid YAML document: line 2, column 1"),
    (
        yaml_cassette().replace(b"code: 201", b"code: 0x" + b"f" * 5000),
        "entry 1 of a VCR cassette has a missing or invalid member",
    ),
    (b"{", "invalid or truncated JSON: line 1, column 2"),
    (json.dumps(har()).encode()[:400], "invalid or truncated JSON"),
    (b'{"a": ' + b"9" * 5000 + b"}", "contains a number with too many digits"),
    (b"\xff\xfe", "not UTF-8, so neither JSON nor YAML"),
    (b"[" * 100_000, "nested too deeply"),
    (b"- " * 1_000_000, "nested too deeply"),
    (b"x: " + b"[" * 1_000_000, "nested too deeply"),
    (b"a: b: c", "neither valid JSON nor a single valid YAML document: line 1, column 5"),
    (b"a: \x1b[2J", "neither valid JSON nor a single valid YAML"),
    (
        b"a: !!python/object/apply:os.system ['touch /tmp/owned']",
        "contains a tag of a Python object, which is unsafe to load",
    ),
    (b"a: !!python/tuple [1]", "contains a tag of a Python object"),
    (b"a: !local 1", "contains an unsupported tag: line 1, column 4"),
    (b"a: 2016-99-99", "YAML with a value that does not fit its tag"),
    (json.dumps(cassette(version=2)).encode(), "a VCR cassette with a format version other than 1"),
    (
        json.dumps({"interactions": []}).encode(),
        "a VCR cassette without its last member, the version: the file may be truncated",
    ),
    (json.dumps({"interactions": [], "version": "1"}).encode(), "a VCR cassette with a format version other than 1"),
    (
        json.dumps({"interactions": [{}], "version": 1}).encode(),
        "entry 1 of a VCR cassette has a missing or invalid member",
    ),
    (json.dumps({"interactions": 5, "version": 1}).encode(), "not the structure of a VCR cassette"),
    (json.dumps({"interactions": [5], "version": 1}).encode(), "entry 1 of a VCR cassette has a missing or invalid"),
    (json.dumps({"log": {"entries": 5}}).encode(), "not the structure of a HAR file"),
    (json.dumps({"log": {"entries": [1]}}).encode(), "entry 1 of a HAR file has a missing or invalid"),
    (json.dumps({"request": {"method": "POST"}}).encode(), "entry 1 of an interaction file has a missing or invalid"),
    (
        json.dumps({"request": {"method": ["POST"], "url": "/"}}).encode(),
        "entry 1 of an interaction file has a missing or invalid",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "body": {}}}).encode(),
        "entry 1 of an interaction file has a missing or invalid",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "body_base64": "!"}}).encode(),
        "entry 1 of an interaction file has a missing or invalid",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL}, "response": {"status": "201"}}).encode(),
        "entry 1 of an interaction file has a missing or invalid",
    ),
    (
        yaml_cassette(string=gzip.compress(GOT.encode(), mtime=0)[:50], response_headers={}),
        "entry 1 of a VCR cassette has a compressed body that is truncated",
    ),
    (
        yaml_cassette(string=b"\x1f\x8bxxxxxxxxxxx", response_headers={}),
        "entry 1 of a VCR cassette has a compressed body that is corrupt",
    ),
    (
        yaml_cassette(string=b"\x00", response_headers={"content-encoding": ["br"]}),
        "entry 1 of a VCR cassette has a body compressed with br, for which no decoder is installed: install brotli",
    ),
    (
        BOMB.encode() + yaml_cassette(body="BODY").replace(b"body: BODY", b"body: *i"),
        "aliases that expand to more than 1,000,000 values",
    ),
]


@pytest.mark.parametrize(("data", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_malformed_file_is_rejected_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        loaded(data)
    assert sentence in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["interaction", "cassette", "har"])
def test_file_of_another_kind_than_given_is_rejected(kind: Any) -> None:
    documents: list[Any] = [[], 5, None, {}, "x"]
    for document in documents:
        with pytest.raises(UnreadableFileError):
            loaded(document, kind=kind)


def test_malformed_entry_of_another_call_is_skipped() -> None:
    document = cassette()
    odd = {"request": {"method": "GET", "uri": "https://api.example.com/x"}, "response": None}
    document["interactions"].append(odd)
    result = loaded(document)
    assert result is not None
    assert (len(result.interactions), result.skipped) == (1, 1)


def test_order_with_members_of_other_formats_is_still_an_order() -> None:
    members: dict[str, Any]
    for members in ({"log": {"entries": []}}, {"interactions": []}, {"request": {"method": "x"}}):
        result = loaded(order() | members)
        assert result is not None
        assert result.kind == "response"


@pytest.mark.parametrize(
    "document", [{"id": 1, "status": "ok"}, {"tags": []}, {"allocation": 5}, {"log": {"level": "x"}}, b"customer: bob"]
)
def test_one_documented_member_is_not_enough_to_detect_a_body(document: Any) -> None:
    assert loaded(document) is None


def test_repr_does_not_show_the_content() -> None:
    assert "SECRET" not in repr(LoadedFile("response", body=b"SECRET"))


def test_body_with_a_given_side_is_not_parsed() -> None:
    assert loaded(b"\xff", kind="request") == LoadedFile("request", body=b"\xff")


def test_body_that_decompresses_beyond_the_limit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_veeqo_alloc.core.http.MAX_BYTES", 1000)
    with pytest.raises(UnreadableFileError, match="truncated or too large"):
        loaded(yaml_cassette(string=gzip.compress(b"x" * 1001, mtime=0), response_headers={}))
