"""Readers of interaction files, cassettes and HAR files, valid and malformed."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import sys
import zlib
from typing import Any

import pytest
import yaml
from support.bodies import order, request_body
from support.documents import FOREIGN, GOT, INTERACTION, SENT, URL, cassette, har, ruby_cassette

from pytest_veeqo_alloc.capture.documents import ForeignFormatError, UnreadableFileError, parse_document, walk
from pytest_veeqo_alloc.capture.readers import KINDS, LoadedFile, load
from pytest_veeqo_alloc.core.json_pointer import locate
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


def problems(document: Any, kind: Any = None) -> list[str]:
    """Return the sentences about a file that cannot be read in full."""
    try:
        result = loaded(document, kind)
    except UnreadableFileError as error:
        return [str(error)]
    return list(result.broken) if result else []


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
        assert (empty.kind, empty.interactions, empty.skipped) == ("cassette", (), ())


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 10)}]\n" for level in range(8)
)

MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))

TOO_MANY_ALIASES = "YAML whose aliases repeat more than 20 MB, which is the maximum"

BAD: list[tuple[bytes, str]] = [
    (MERGES.encode(), TOO_MANY_ALIASES),
    (BOMB.encode(), TOO_MANY_ALIASES),
    (b"a: &a [*a]", TOO_MANY_ALIASES),
    (b"a: &a {<<: *a}", TOO_MANY_ALIASES),
    (b"- &a {request: {body: " + b"x" * 1000 + b"}}\n" + b"- *a\n" * 17_000, TOO_MANY_ALIASES),
    (b"a: !!bool abc", "YAML with a value that does not fit its tag"),
    (b"a: !!timestamp abc", "YAML with a value that does not fit its tag"),
    (b'a: !!int ""', "YAML with a value that does not fit its tag"),
    (b"a: 1\n---\nb: 2", "neither valid JSON nor a single valid YAML document: line 2, column 1"),
    (
        yaml_cassette().replace(b"code: 201", b"code: 0x" + b"f" * 5000),
        "/interactions/0/response/status/code must be an integer from 0 to 999, not number",
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
        yaml_cassette(body="BODY").replace(
            b"body: BODY", b"body: !!python/object/apply:os.system ['touch /tmp/owned']"
        ),
        "/interactions/0/request/body has the unsupported YAML tag '!!python/object/apply:os.system'",
    ),
    (b"interactions: !!python/tuple [1]\nversion: 1", "/interactions has the unsupported YAML tag '!!python/tuple'"),
    (b"version: 1\ninteractions: !local 1", "/interactions has the unsupported YAML tag '!local'"),
    (b"a: 2016-99-99", "YAML with a value that does not fit its tag"),
    (json.dumps(cassette(version=2)).encode(), "a VCR cassette with a format version other than 1"),
    (
        json.dumps({"interactions": []}).encode(),
        "a VCR cassette without 'version', its last member: the file may be truncated",
    ),
    (json.dumps({"interactions": [], "version": "1"}).encode(), "a VCR cassette with a format version other than 1"),
    (
        json.dumps({"interactions": [{}], "version": 1}).encode(),
        "entry 1 of a VCR cassette: /interactions/0/request is missing or null",
    ),
    (
        json.dumps({"interactions": 5, "version": 1}).encode(),
        "a VCR cassette: /interactions must be an array, not number",
    ),
    (json.dumps({"interactions": [5], "version": 1}).encode(), "/interactions/0 must be an object, not number"),
    (json.dumps({"log": {"entries": 5}}).encode(), "a HAR file: /log/entries must be an array, not number"),
    (
        json.dumps({"log": {"entries": [1]}}).encode(),
        "entry 1 of a HAR file: /log/entries/0 must be an object, not number",
    ),
    (json.dumps({"request": {"method": "POST"}}).encode(), "an interaction file: /request/url is missing or null"),
    (
        json.dumps({"request": {"method": ["POST"], "url": "/"}}).encode(),
        "/request/method must be a string, not array of 1 item",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "headers": [["a", "b"], ["c"]]}}).encode(),
        "/request/headers/1 must be a pair of a name and a value, not array of 1 item",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "headers": [{"name": "a", "value": "b"}]}}).encode(),
        "/request/headers/0 must be a pair of a name and a value, not object with 2 members",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "headers": "a: b"}}).encode(),
        "/request/headers must be an object, or an array of pairs of a name and a value, not string of 4 characters",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "body": 5}}).encode(),
        "/request/body must be a string, not number",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL, "body_base64": "!"}}).encode(),
        "/request/body_base64 must be base64, not string of 1 character",
    ),
    (
        json.dumps({"request": {"method": "POST", "url": URL}, "response": {"status": "201"}}).encode(),
        "/response/status must be an integer from 0 to 999, not string of 3 characters",
    ),
    (
        yaml_cassette(string=gzip.compress(GOT.encode(), mtime=0)[:50], response_headers={}),
        "entry 1 of a VCR cassette has a compressed body that is truncated",
    ),
    (
        yaml_cassette(string=b"\x1f\x8bxxxxxxxxxxx", response_headers={}),
        "entry 1 of a VCR cassette has a corrupt compressed body",
    ),
    (
        BOMB.encode() + yaml_cassette(body="BODY").replace(b"body: BODY", b"body: *i"),
        TOO_MANY_ALIASES,
    ),
]


@pytest.mark.parametrize(("data", "sentence"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_malformed_file_is_rejected_in_one_sentence(data: bytes, sentence: str) -> None:
    (problem,) = problems(data)
    assert sentence in problem
    assert problem.isprintable()


def test_body_in_a_coding_without_a_decoder_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, None)
    (problem,) = problems(yaml_cassette(string=b"\x00", response_headers={"content-encoding": ["br"]}))
    assert "entry 1 of a VCR cassette has a body compressed with br (no decoder installed): install brotli" in problem


@pytest.mark.parametrize("kind", ["interaction", "cassette", "har"])
def test_file_of_another_kind_than_given_is_rejected(kind: Any) -> None:
    documents: list[Any] = [[], 5, None, {}, "x"]
    for document in documents:
        assert len(problems(document, kind)) == 1


def test_malformed_entry_of_another_call_is_skipped() -> None:
    document = cassette()
    odd = {"request": {"method": "GET", "uri": "https://api.example.com/x"}, "response": None}
    document["interactions"].append(odd)
    result = loaded(document)
    assert result is not None
    assert (len(result.interactions), result.skipped) == (1, ("f#2: GET /x, another operation",))


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
    (problem,) = problems(yaml_cassette(string=gzip.compress(b"x" * 1001, mtime=0), response_headers={}))
    assert "truncated or too large" in problem


@pytest.mark.parametrize("decode", [True, False])
def test_bodies_that_together_decompress_beyond_the_limit_are_rejected(
    decode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_veeqo_alloc.capture.readers._MAX_EXPANSION", 3000)
    document = yaml.safe_load(yaml_cassette(string=gzip.compress(b"x" * 1000, mtime=0), response_headers={}))
    for count, is_read in ((3, True), (5, False)):
        data = yaml.safe_dump({**document, "interactions": document["interactions"] * count}).encode()
        with contextlib.nullcontext() if is_read else pytest.raises(UnreadableFileError, match="expand by more than"):
            result = load(data, "f", kind="cassette", side_of=lambda _: None, matches=lambda _: True, decode=decode)
            assert result is not None
            assert len(result.interactions) == count


def test_merge_keys_and_aliases_of_a_usual_size_are_read() -> None:
    merges = "a: &a {x: 1, y: [2]}\n" + "".join(f"b{n}: {{<<: *a, x: {n}}}\n" for n in range(100))
    document, is_json = parse_document(merges.encode())
    assert (document["b99"], is_json) == ({"x": 99, "y": [2]}, False)
    assert parse_document(b"# a comment") == (None, False)


def test_cassettes_of_vcr_for_ruby_and_betamax_are_read() -> None:
    as_json, as_yaml = loaded(ruby_cassette()), loaded(yaml.safe_dump(ruby_cassette()).encode())
    assert as_json is not None
    assert as_json == as_yaml
    (interaction,) = as_json.interactions
    assert interaction.request is not None
    assert interaction.response is not None
    assert (as_json.kind, str(as_json.recorded_on)) == ("cassette", "2019-07-12")
    assert (interaction.request.method, interaction.request.url) == ("POST", URL)
    assert (interaction.request.body, interaction.response.body) == (SENT.encode(), GOT.encode())
    assert interaction.response.header("content-type") == "application/json"


def test_binary_and_base64_bodies_of_a_ruby_cassette_are_decoded() -> None:
    packed = gzip.compress(GOT.encode())
    encoded = base64.b64encode(packed).decode()
    headers = {"Content-Encoding": ["gzip"]}
    stored = ruby_cassette(headers=headers, body={"encoding": "ASCII-8BIT", "base64_string": encoded})
    assert bodies(stored)[1] == GOT.encode()
    stored = ruby_cassette(headers=headers, body={"encoding": "ASCII-8BIT", "string": "BODY"})
    text = yaml.safe_dump(stored).replace("string: BODY", f"string: !binary |-\n          {encoded}")
    assert bodies(text.encode())[1] == GOT.encode()
    assert bodies(ruby_cassette(body=GOT))[1] == GOT.encode()


@pytest.mark.parametrize("encoding", ["base64", None])
def test_body_that_polly_stores_in_chunks_is_decoded(encoding: str | None) -> None:
    packed = gzip.compress(GOT.encode())
    parts = (packed[:100], packed[100:])
    chunks = [base64.b64encode(part).decode() if encoding else part.hex() for part in parts]
    document = har()
    response = document["log"]["entries"][0]["response"]
    response["content"] = {"size": 1, "text": json.dumps(chunks), "encoding": encoding, "_isBinary": True}
    response["headers"].append({"name": "content-encoding", "value": "gzip"})
    assert bodies(document)[1] == GOT.encode()
    response["content"]["text"] = "[5]"
    assert problems(document)[0].endswith(
        "/response/content/text must be an array of base64 or hexadecimal strings, not string of 3 characters"
    )


@pytest.mark.parametrize(
    "content", [None, {"size": 77300}, {"size": 5, "_file": "a.json"}, {}, {"size": 9, "text": ""}]
)
def test_response_body_that_a_har_file_does_not_contain_is_unknown(content: Any) -> None:
    document = har()
    document["log"]["entries"][0]["response"]["content"] = content
    (response,) = (interaction.response for interaction in loaded(document).interactions)  # type: ignore[union-attr]
    assert response is not None
    assert (response.body, response.is_body_known) == (None, False)


def test_request_body_that_a_har_file_does_not_contain_is_unknown() -> None:
    for changes in ({"postData": {"mimeType": "application/json"}}, {"postData": None, "bodySize": 77}):
        document = har()
        document["log"]["entries"][0]["request"] |= changes
        (request,) = (interaction.request for interaction in loaded(document).interactions)  # type: ignore[union-attr]
        assert request is not None
        assert (request.body, request.is_body_known) == (None, False)


def test_content_length_shows_that_a_har_file_lacks_a_body() -> None:
    document = har()
    entry = document["log"]["entries"][0]
    entry["response"] |= {"content": {"size": 0}, "headers": [{"name": "Content-Length", "value": "500"}]}
    (interaction,) = loaded(document).interactions  # type: ignore[union-attr]
    assert interaction.response is not None
    assert not interaction.response.is_body_known
    entry["response"]["headers"][0]["value"] = "00"
    (interaction,) = loaded(document).interactions  # type: ignore[union-attr]
    assert interaction.response is not None
    assert interaction.response.is_body_known


def test_cassette_of_the_first_vcr_for_ruby_is_named() -> None:
    text = b"---\n- !ruby/struct:VCR::HTTPInteraction\n  request: !ruby/struct:VCR::Request\n    method: :post\n"
    assert problems(text) == ["a cassette of VCR 1 for Ruby: unsupported format"]


def test_empty_bodies_of_a_har_file_are_known() -> None:
    document = har()
    entry = document["log"]["entries"][0]
    entry["response"]["content"] = {"size": 0}
    entry["request"] |= {"postData": None, "bodySize": 0}
    (interaction,) = loaded(document).interactions  # type: ignore[union-attr]
    assert interaction.request is not None
    assert interaction.response is not None
    assert interaction.request.is_body_known
    assert interaction.response.is_body_known


def test_parameters_of_a_har_file_are_a_form() -> None:
    document = har()
    params = [{"name": "a b", "value": "1&2"}, {"name": "file", "fileName": "x"}]
    document["log"]["entries"][0]["request"]["postData"] = {"params": params}
    assert bodies(document)[0] == b"a+b=1%262&file="


@pytest.mark.parametrize("headers", [{"A": "1", "B": ["2", "3"]}, [["A", "1"], ["B", "2"], ["B", "3"]]])
def test_headers_and_body_of_an_interaction_file_may_be_json(headers: Any) -> None:
    result = loaded({"request": {"method": "POST", "url": URL, "headers": headers, "body": request_body()}})
    assert result is not None
    (request,) = (interaction.request for interaction in result.interactions)
    assert request is not None
    assert request.headers == (("A", "1"), ("B", "2"), ("B", "3"))
    assert json.loads(request.body or b"") == request_body()


def test_unreadable_entry_is_reported_and_the_others_are_read() -> None:
    document = cassette(body="UPLOAD")
    document["interactions"] += cassette()["interactions"]
    upload = b"body: !!python/object/new:_io.BytesIO {state: !!python/tuple [!!binary eA==]}"
    result = loaded(yaml.safe_dump(document).encode().replace(b"body: UPLOAD", upload))
    assert result is not None
    assert len(result.interactions) == 1
    assert result.broken == (
        "entry 1 of a VCR cassette: /interactions/0/request/body has the unsupported YAML tag "
        "'!!python/object/new:_io.BytesIO'",
    )


def test_old_python_strings_of_a_cassette_are_read() -> None:
    text = yaml_cassette(body="BODY").replace(b"body: BODY", b"body: !!python/unicode '{}'")
    assert bodies(text)[0] == b"{}"


@pytest.mark.parametrize("name", FOREIGN)
def test_format_of_another_tool_is_named(name: str) -> None:
    for data in (json.dumps(FOREIGN[name]).encode(), yaml.safe_dump(FOREIGN[name]).encode()):
        with pytest.raises(ForeignFormatError, match=f"{name}: unsupported format"):
            loaded(data)


@pytest.mark.parametrize(
    "document",
    [
        {"mappings": []},
        {"id": "a", "request": {"method": "POST", "url": "/x"}, "response": {"status": 201, "body": "{}"}, "uuid": "a"},
        {"request": {"method": "POST", "url": "/x", "bodyPatterns": []}, "response": {"status": 201}},
        {"request": {"method": "ANY", "url": "/x"}, "response": {"status": 201, "bodyFileName": "a.json"}},
    ],
)
def test_every_form_of_a_wiremock_mapping_is_named(document: Any) -> None:
    assert problems(document) == ["a WireMock mapping: unsupported format"]


@pytest.mark.parametrize(
    "document", [{"openapi": "3.1.0", "paths": {"/orders/{id}/allocations": {}}}, {"mappings": {"properties": {}}}]
)
def test_documents_that_are_no_recording_are_not_named(document: Any) -> None:
    assert problems(document) == []


def test_bruno_request_and_git_lfs_pointer_are_named() -> None:
    assert problems(b"meta {\n  name: Allocate\n  type: http\n}\n\npost {\n  url: x\n}\n") == [
        "a Bruno request: unsupported format"
    ]
    assert problems(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n") == [
        "a Git LFS pointer, not the file itself: run git lfs pull"
    ]


WRONG: list[Any] = [None, True, -1, 1.5, 10**400, "x", [], {}, [[]], {"a": 1}]


@pytest.mark.parametrize(
    "document", [cassette(), ruby_cassette(), har(), INTERACTION], ids=["vcr", "ruby", "har", "file"]
)
def test_wrong_type_in_any_member_is_one_sentence(document: Any) -> None:
    original = json.dumps(document)
    pointers = [pointer for pointer, *_ in walk(document)]
    for pointer in [*pointers, "/log/entries", "/http_interactions", "/interactions"]:
        for depth in range(1, pointer.count("/") + 1):
            place = "/".join(pointer.split("/")[: depth + 1])
            for wrong in WRONG:
                changed = json.loads(original)
                try:
                    owner, name = locate(changed, place)
                except (LookupError, TypeError):
                    continue
                owner[name] = wrong
                found = problems(changed)
                assert len(found) <= 1
                assert all(sentence.isprintable() for sentence in found)


def test_file_cut_off_anywhere_is_one_sentence() -> None:
    for text in (
        yaml.safe_dump(cassette()),
        yaml.safe_dump(ruby_cassette()),
        json.dumps(har()),
        json.dumps(INTERACTION),
    ):
        data = text.encode()
        for length in range(0, len(data), 97):
            assert len(problems(data[:length])) <= 1
