"""The command `veeqo-alloc redact`."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import canaries
from support.documents import FOREIGN, ruby_cassette

from pytest_veeqo_alloc import Interaction
from pytest_veeqo_alloc.capture.writers import cassette_text, render_redacted
from pytest_veeqo_alloc.cli.main import main

BODY = json.dumps({"allocation": {"warehouse_id": 5, "note": "canary note"}})


def cassette(**response: Any) -> dict[str, Any]:
    request = {
        "method": "POST",
        "uri": "https://h/orders/1/allocations?q=canary",
        "headers": {"x-api-key": ["canary"]},
        "body": BODY,
    }
    answer = {"status": {"code": 201, "message": "canary"}, "headers": {}, "body": {"string": '{"note": "canary"}'}}
    stamp = {"recorded_on": "2026-01-02", "host": "canary", "canary": "x"}
    return {"interactions": [{"request": request, "response": answer | response, "canary": 1}], "version": 1,
            "veeqo_alloc": stamp, "metadata": {"canary": "canary"}}  # fmt: skip


HAR = {"log": {"version": "1.2", "creator": {"name": "canary"}, "pages": ["canary"], "entries": [{
    "startedDateTime": "2026-01-02T03:04:05Z", "time": 12, "serverIPAddress": "canary", "_initiator": "canary",
    "request": {"method": "POST", "url": "https://h/orders/1/allocations", "headers": [{"name": "Cookie", "value": "canary"}],
                "cookies": [{"name": "c", "value": "canary"}], "postData": {"mimeType": "application/json", "text": BODY}},
    "response": {"status": 201, "statusText": "canary", "headers": [], "cookies": [{"name": "c", "value": "canary"}],
                 "content": {"mimeType": "application/json", "encoding": "base64",
                             "text": base64.b64encode(b'{"note": "canary"}').decode()}}},
    {"startedDateTime": "canary", "request": {"method": "GET", "url": "https://h/x/canary", "headers": []},
     "response": {"status": 0}}]}}  # fmt: skip
INTERACTION = {"request": {"method": "POST", "url": "/orders/1/allocations", "headers": [["X-Secret", "canary"]], "body": BODY},
               "response": {"status": 201, "headers": [], "body": '{"note": "canary"}'}, "source": "canary"}  # fmt: skip
CUT_SHORT: dict[str, Any] = {"request": {"method": "GET", "url": "/x", "headers": [], "body": None}, "response": None}

FILES = [
    ("a.yaml", yaml.safe_dump(cassette())),
    ("a.json", json.dumps(cassette())),
    ("a.har", json.dumps(HAR)),
    ("b.json", json.dumps(INTERACTION)),
    ("c.json", json.dumps(CUT_SHORT)),
    ("d.yaml", yaml.safe_dump(cassette(body={"string": gzip.compress(b'{"note": "canary"}', mtime=0)}))),
    ("e.yaml", yaml.safe_dump(cassette(body={"string": b"\x8bbrotli canary"}, headers={"Content-Encoding": ["br"]}))),
]


@pytest.mark.parametrize(("name", "text"), FILES, ids=[name for name, _ in FILES])
def test_redacted_file_is_printed_and_redacting_again_changes_nothing(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert main(["redact", str(path)]) == 0
    out = capsys.readouterr().out
    assert "canary" not in out
    assert path.read_text(encoding="utf-8") == text
    path.write_text(out, encoding="utf-8")
    assert main(["redact", str(path)]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(("name", "text"), FILES[:5], ids=[name for name, _ in FILES[:5]])
def test_redacted_file_has_the_findings_of_the_original(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")

    def findings() -> list[tuple[str, str | None]]:
        main(["check", "--format", "json", "--profile", "strict", str(path)])
        return sorted((row["rule"], row["pointer"]) for row in json.loads(capsys.readouterr().out)["findings"])

    before = findings()
    main(["redact", "--in-place", str(path)])
    capsys.readouterr()
    assert findings() == before


def test_in_place_rewrites_the_files_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in FILES[:4]:
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "package.json").write_text('{"name": "canary"}', encoding="utf-8")
    assert main(["redact", "--in-place", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("/")[2] for line in lines] == [
        f"{name}: redacted" for name in ("a.har", "a.json", "a.yaml", "b.json")
    ]
    first, second = (yaml.safe_load((tmp_path / name).read_text(encoding="utf-8")) for name in ("a.yaml", "a.json"))
    assert first == second
    assert first["veeqo_alloc"] == {"recorded_on": "2026-01-02"}
    assert first["interactions"][0]["response"]["status"] == {"code": 201, "message": "Created"}
    assert main(["redact", "--in-place", str(tmp_path)]) == 0
    assert all(line.endswith(": nothing to redact") for line in capsys.readouterr().out.splitlines())


def test_in_place_follows_no_link_out_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = json.dumps(cassette())
    for name in ("out/one.json", "out/two.json", "in/own.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    folder = tmp_path / "in"
    (folder / "file.json").symlink_to(tmp_path / "out" / "one.json")
    (folder / "folder").symlink_to(tmp_path / "out")
    (folder / "inside.json").symlink_to("own.json")
    assert main(["redact", "--in-place", str(folder)]) == 2
    error = capsys.readouterr().err
    for name in ("file.json", "folder"):
        assert f"{folder / name}: a link leads out of {folder}: name the file, or the folder, in the command\n" in error
    assert "canary" not in (folder / "own.json").read_text(encoding="utf-8")
    assert (folder / "inside.json").is_symlink()
    assert all(path.read_text(encoding="utf-8") == text for path in (tmp_path / "out").iterdir())
    assert main(["redact", "--in-place", str(folder / "file.json")]) == 0
    assert "canary" not in (tmp_path / "out" / "one.json").read_text(encoding="utf-8")


def test_dropped_body_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(cassette(body={"string": "<html>canary</html>"})), encoding="utf-8")
    assert main(["redact", "--in-place", str(tmp_path / "a.yaml")]) == 0
    assert capsys.readouterr().err == (f"veeqo-alloc: {tmp_path}/a.yaml: removed bodies (neither JSON nor a form): 1\n")


def test_standard_input_is_redacted_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stream:
        buffer = io.BytesIO(json.dumps(INTERACTION).encode())

    monkeypatch.setattr("sys.stdin", Stream)
    assert main(["redact", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["request"]["headers"] == [["X-Secret", "redacted-2"]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff", "not UTF-8, so neither JSON nor YAML"),
        (b"{", "invalid or truncated JSON"),
        (b"interactions: []\nversion: 3\n", "a VCR cassette with a format version other than 1"),
        (
            b"interactions: !!python/object/apply:os.system [x]\n",
            "a VCR cassette: /interactions has the unsupported YAML tag",
        ),
        (b'{"name": "x"}', "not redacted: not a cassette, HAR file or interaction file"),
        (b'{"allocation": {}}', "not redacted: not a cassette, HAR file or interaction file"),
    ],
)
def test_file_that_cannot_be_redacted_is_kept(
    content: bytes, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert main(["redact", "--in-place", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"veeqo-alloc: {path}: {sentence}")
    assert path.read_bytes() == content


def test_several_files_need_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redact", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err == "veeqo-alloc: nothing was redacted: no cassette, HAR file or interaction was found\n"
    )
    for name, text in FILES[:2]:
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["redact", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("veeqo-alloc: 2 files cannot be printed as one: give --in-place")


def test_unwritable_file_is_reported_and_the_others_are_redacted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES[:2]:
        (tmp_path / name).write_text(text, encoding="utf-8")
    replace = os.replace

    def refuse(source: Any, target: Any, **handles: Any) -> None:
        if str(target).endswith("a.json"):
            raise OSError(30, "Read-only file system")
        replace(source, target, **handles)

    monkeypatch.setattr(os, "replace", refuse)
    assert main(["redact", "--in-place", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out.endswith("a.yaml: redacted\n")
    assert captured.err == f"veeqo-alloc: {tmp_path}/a.json: cannot be written: Read-only file system\n"
    assert "canary" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_cassette_with_every_kind_of_secret_is_redacted(tmp_path: Path) -> None:
    whole = [pair for pair in canaries.interactions() if pair.request and pair.response]
    path = tmp_path / "a.yaml"
    readable = [pair for pair in whole if all(_is_text(m.body) for m in (pair.request, pair.response) if m)]
    path.write_text(cassette_text(readable, {}), encoding="utf-8")
    assert "canary" in path.read_text(encoding="utf-8").lower()
    assert main(["redact", "--in-place", str(path)]) == 0
    assert "canary" not in path.read_text(encoding="utf-8").lower()


def _is_text(body: bytes | None) -> bool:
    try:
        (body or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def test_interaction_without_a_response_does_not_fit_a_cassette(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a request or response is missing; a cassette requires both"):
        render_redacted("cassette", {}, [Interaction(None)], as_json=False)
    with pytest.raises(ValueError, match="a request is missing; an entry of a HAR file requires it"):
        render_redacted("har", {"log": {"entries": [{}]}}, [Interaction(None)], as_json=True)


RUBY = yaml.safe_dump(ruby_cassette(headers={"X-Api-Key": ["canary"]})).replace(
    "recorded_with:", "canary: canary\nrecorded_with:"
)


def test_ruby_cassette_is_redacted_in_its_own_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text(RUBY, encoding="utf-8")
    (tmp_path / "b.har").write_text(json.dumps(HAR), encoding="utf-8")
    assert main(["redact", "--in-place", str(tmp_path)]) == 0
    text = (tmp_path / "a.yml").read_text(encoding="utf-8")
    assert "canary" not in text
    document = yaml.safe_load(text)
    assert document.keys() == {"http_interactions", "recorded_with"}
    (entry,) = document["http_interactions"]
    assert entry["recorded_at"] == "Fri, 12 Jul 2019 10:20:04 GMT"
    assert entry["request"]["method"] == "post"
    assert entry["request"].keys() == {"method", "uri", "body", "headers"}
    assert entry["response"].keys() == {"status", "headers", "body"}
    capsys.readouterr()
    assert main(["redact", str(tmp_path / "a.yml")]) == 0
    assert capsys.readouterr().out == text


def test_betamax_cassette_stays_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ruby_cassette(recorded_with="betamax/0.9.0")), encoding="utf-8")
    assert main(["redact", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["http_interactions"][0]["response"]["status"]["code"] == 201


@pytest.mark.parametrize("name", FOREIGN)
def test_file_of_another_tool_is_named_and_kept(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.har").write_text(json.dumps(HAR), encoding="utf-8")
    other, document = tmp_path / "b.json", FOREIGN[name]
    for mention, status in (({}, 0), ({"url": "/orders/1/allocations"}, 2)):
        text = json.dumps([*document, mention] if isinstance(document, list) else {**document, "x": mention})
        other.write_text(text, encoding="utf-8")
        assert main(["redact", "--in-place", str(tmp_path)]) == status
        assert f"b.json: {name}: unsupported format" in capsys.readouterr().err
        assert other.read_text(encoding="utf-8") == text


def test_cassette_with_an_unreadable_entry_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    text = yaml.safe_dump(cassette()).replace("uri: https", "uri: !!python/name:os.system\n    x: https")
    path.write_text(text, encoding="utf-8")
    assert main(["redact", "--in-place", str(path)]) == 2
    assert "not redacted: entry 1 of a VCR cassette: /interactions/0/request/uri has the" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == text


def test_body_that_a_har_file_does_not_contain_is_still_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(json.dumps(HAR))
    entry = document["log"]["entries"][0]
    entry["response"]["content"] = {"size": 77300}
    del entry["request"]["postData"]["text"]
    path = tmp_path / "a.har"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert main(["redact", "--in-place", str(path)]) == 0
    capsys.readouterr()
    main(["check", str(path)])
    assert "not checked: 2 bodies that the file does not contain" in capsys.readouterr().err
