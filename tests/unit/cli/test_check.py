"""The commands `check`, `schema`, `rules` and `example`."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import canaries
from support.bodies import drop, order, put, request_body
from support.documents import FOREIGN, INTERACTION, URL, cassette, har, ruby_cassette

from pytest_veeqo_alloc import Contract, load_schema
from pytest_veeqo_alloc.capture.readers import load
from pytest_veeqo_alloc.cli import files
from pytest_veeqo_alloc.cli import main as main_module
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import operation_matches, side_of
from pytest_veeqo_alloc.strategies.sampling import sample

CheckRun = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> CheckRun:
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return call


def write(path: str, document: Any) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    Path(path).write_bytes(data)
    return path


BROKEN = drop(order(), "/deliver_to/zip")


def test_clean_files_of_every_kind_exit_0(run: Any) -> None:
    files = [write("request.json", request_body()), write("response.json", order())]
    files += [write("cassette.yaml", yaml.safe_dump(clean(cassette())).encode()), write("x.har", clean(har()))]
    files.append(write("interaction.json", clean(INTERACTION)))
    status, out, err = run("check", *files)
    assert (status, err) == (0, "")
    assert out == "checked 5 bodies and interactions in 5 files, skipped 0: 0 errors, 0 warnings\n"


def clean(document: Any) -> Any:
    """Return *document* with a request that fits the order and a Location."""
    sent = put(request_body(), "/allocation/warehouse_id", 1784)
    text = json.dumps(document).replace(json.dumps(json.dumps(request_body())), json.dumps(json.dumps(sent)))
    changed = json.loads(text)
    if "log" in changed:
        changed["log"]["entries"][0]["response"]["headers"].append({"name": "Location", "value": "/orders/447452"})
    elif "interactions" in changed:
        changed["interactions"][0]["response"]["headers"]["Location"] = ["/orders/447452"]
    else:
        changed["response"]["headers"].append(["location", "/orders/447452"])
    return changed


def test_error_exits_1_and_is_shown_in_full(run: Any) -> None:
    status, out, err = run("check", write("broken.json", BROKEN))
    assert (status, err) == (1, "")
    assert out.splitlines()[0] == (
        "broken.json: response of POST /orders/{order_id}/allocations: 1 error (profile documented)"
    )
    assert "  /deliver_to/zip                              absent-field" in out
    assert out.splitlines()[-1] == "checked 1 body or interaction in 1 file, skipped 0: 1 error, 0 warnings"


def test_warnings_exit_0_with_one_line_for_each_rule(run: Any) -> None:
    warned = write("a.json", put(order(), "/total_price", 20)), write("b.json", put(order(), "/total_price", 30))
    status, out, _ = run("check", *warned)
    assert status == 0
    assert "warning: total at a.json /total_price and 1 more\n" in out


def test_folder_is_walked_and_unrelated_files_are_skipped(run: Any) -> None:
    write("all/bodies/response.json", order())
    write("all/b/package.json", {"name": "x"})
    write("all/b/notes.txt", b"\xff")
    write("all/.hidden/response.json", BROKEN)
    other = cassette()
    other["interactions"][0]["request"]["uri"] = "https://api.example.com/products"
    write("all/other.YAML", yaml.safe_dump(other).encode())
    status, out, err = run("check", "all")
    assert (status, err) == (0, "")
    assert out == "checked 1 body or interaction in 3 files, skipped 2: 0 errors, 0 warnings\n"


def test_run_that_checks_nothing_exits_2(run: Any) -> None:
    other = har()
    other["log"]["entries"][0]["request"]["method"] = "GET"
    status, _, err = run("check", write("other.har", other))
    assert status == 2
    assert err == "veeqo-alloc: nothing was checked: no body and no interaction of the documented operation was found\n"
    Path("empty").mkdir()
    assert run("check", "empty")[0] == 2


def test_unreadable_file_exits_2_even_beside_an_error(run: Any) -> None:
    status, out, err = run(
        "check", write("broken.json", BROKEN), write("cut.json", b"{"), "nowhere.json", write("odd.json", [1])
    )
    assert status == 2
    assert "1 error" in out
    assert err.splitlines() == [
        "veeqo-alloc: cut.json: invalid or truncated JSON: line 1, column 2",
        "veeqo-alloc: nowhere.json: No such file or directory",
        "veeqo-alloc: odd.json: skipped: not a body, interaction, cassette or HAR file; if it is one, give --as KIND",
    ]


def test_unrecognised_file_is_named_and_fails_nothing(run: Any) -> None:
    status, out, err = run("check", write("response.json", order()), write("odd.json", [1]))
    assert (status, err.count("skipped")) == (0, 1)
    assert "checked 1 body or interaction in 2 files, skipped 1" in out


def test_broken_cassette_in_a_folder_is_not_skipped(run: Any) -> None:
    write("all/response.json", order())
    for name, data in {
        "helm.yaml": b"{{ .Values.x }}",
        "k8s.yaml": b"a: 1\n---\nb: 2",
        "cf.yaml": b"a: !Ref x",
    }.items():
        write(f"all/{name}", data)
    assert run("check", "all")[::2] == (0, "")
    write("all/cut.yaml", yaml.safe_dump(cassette()).encode()[:300])
    status, _, err = run("check", "all")
    assert status == 2
    assert err.startswith("veeqo-alloc: all/cut.yaml: ")


def test_linked_folder_is_walked_once_and_pipes_are_not_opened(run: Any) -> None:
    write("real/deep/broken.json", BROKEN)
    Path("all").mkdir()
    Path("all/link").symlink_to(Path("real").absolute())
    Path("real/loop").symlink_to(Path("real").absolute())
    os.mkfifo("all/pipe.json")
    status, out, err = run("check", "all")
    assert (status, err) == (1, "")
    assert "checked 1 body or interaction in 1 file" in out


def test_link_to_its_own_folder_is_not_walked_again(run: Any) -> None:
    write("all/broken.json", BROKEN)
    Path("all/self").symlink_to(Path("all").absolute())
    for path in ("all", "all/self"):
        assert "checked 1 body or interaction in 1 file" in run("check", path)[1]


def test_broken_link_is_reported(run: Any) -> None:
    write("all/response.json", order())
    Path("all/gone.json").symlink_to("nowhere.json")
    status, _, err = run("check", "all")
    assert (status, err) == (2, "veeqo-alloc: all/gone.json: No such file or directory\n")


@pytest.mark.parametrize("format_name", ["json", "github"])
def test_unreadable_file_is_not_ok_in_any_format(run: Any, format_name: str) -> None:
    status, out, _ = run("check", "--format", format_name, write("cut.json", b"{"))
    assert status == 2
    if format_name == "json":
        assert json.loads(out)["ok"] is False
    else:
        assert out == "::error file=cut.json,title=unreadable::invalid or truncated JSON: line 1, column 2\n"


def test_option_named_by_a_failure_works(run: Any) -> None:
    file = write("null.json", put(order(), "/customer", None))
    assert "--veeqo-alloc-deviations observed" in run("check", file)[1]
    assert run("check", file, "--veeqo-alloc-deviations", "observed")[0] == 0


def test_given_kind_replaces_detection(run: Any) -> None:
    assert run("check", "--as", "response", write("empty.json", {}))[0] == 1
    assert run("check", "--as", "request", write("empty.json", {}))[0] == 1
    status, out, _ = run("check", "--as", "response", write("cut.json", b"{"))
    assert status == 1
    assert "not-json" in out


def test_json_output_has_the_documented_members(run: Any) -> None:
    hostile = put(put(BROKEN, "/total_price", 20), "/a\x1b[2J", 1)
    status, out, _ = run("check", "--format", "json", write("broken.json", hostile))
    outcome = json.loads(out)
    assert status == 1
    assert {key: outcome[key] for key in ("ok", "checked", "skipped")} == {"ok": False, "checked": 1, "skipped": 0}
    assert outcome["findings"][1] == {
        "rule": "absent-field",
        "basis": "documented",
        "severity": "error",
        "side": "response",
        "location": "body",
        "pointer": "/deliver_to/zip",
        "message": "wanted the field (string); got nothing",
        "file": "broken.json",
    }
    assert outcome["findings"][0]["pointer"] == "/(name of 5 characters)"
    assert out.isascii()


def test_json_output_names_the_entry_of_an_interaction(run: Any) -> None:
    _, out, _ = run("check", "--format", "json", write("x.har", har()))
    assert {finding["file"] for finding in json.loads(out)["findings"]} == {"x.har#1"}


def test_github_output_has_one_workflow_command_for_each_finding(run: Any) -> None:
    name = "a,b:c%.json"
    status, out, _ = run("check", "--format", "github", write(name, put(BROKEN, "/total_price", 20)))
    assert status == 1
    assert out.splitlines() == [
        "::error file=a%2Cb%3Ac%25.json,title=absent-field::response /deliver_to/zip: wanted the field "
        "(string); got nothing; do: send the field; if the live API omits the field too, accept this deviation with "
        "--veeqo-alloc-deviations observed",
        "::warning file=a%2Cb%3Ac%25.json,title=total::response /total_price: wanted 13.99 (total_price = subtotal_price + "
        "total_tax + delivery_cost); got 20; do: add tax and delivery to the subtotal",
    ]


@pytest.mark.parametrize("format_name", main_module._FORMATS)
def test_no_format_contains_a_control_character(run: Any, format_name: str) -> None:
    names = ["\x1b[2J", "::error::x", "a\nb", "\u202e", "</script>", "x" * 100_000, "\ud800"]
    body = put(order(), "/id", "\x1b[31m") | dict.fromkeys(names, "\x1b[2J")
    file = write("evil\x1b[2J\n::error::\u202e.json", body)
    status, out, err = run("check", "--profile", "strict", "--format", format_name, file)
    assert status == 1
    for character in "\x1b\u202e\r\x07":
        assert character not in out + err
    assert not [line for line in out.splitlines() if line.startswith("::error::")]
    assert len(out) < 20_000


EVIL_NAMES = [
    "::error::x.json", " ::set-output name=a::x.json", "##[error]x.json", "a\n::error::b.json", "a\r::error::b.json",
    "%0A::error::b.json", "a\u2028::error::b.json", "--x\n::error::b.json", "a%0A##[group]b.json", "::error file=a::b.json",
]  # fmt: skip


@pytest.mark.parametrize("command", [
    *(f"check -v --format {name}" for name in main_module._FORMATS), "redact --in-place", "redact", "report merge",
    "cleanup --base-url http://x", "",
])  # fmt: skip
def test_file_name_begins_no_workflow_command(run: Any, command: str) -> None:
    contents = ({"allocation": 5}, cassette(), b'{"allocations": ', b"{}")
    files = [write(f"{number}/{name}", content) for number, content in enumerate(contents) for name in EVIL_NAMES]
    names = [write(name, {"allocation": 5}) for name in EVIL_NAMES]
    for paths in ([f"./{name}" for name in names], files, ["."], *([name] for name in names)):
        _, out, err = run(*command.split(), *paths)
        assert "##[" not in out + err
        lines = [line.strip() for line in (out + err).replace("\r", "\n").splitlines()]
        begun = [line.split("::", 2)[1] for line in lines if line.startswith("::")]
        assert all(begin.startswith(("error file=", "warning file=")) and ",title=" in begin for begin in begun)
        assert not begun or command.endswith("github")


def test_options_set_profile_rules_deviations_and_status(run: Any, tmp_path: Path) -> None:
    file = write("broken.json", BROKEN)
    assert run("check", "--profile", "lenient", file)[0] == 0
    assert run("check", "--rule", "absent-field=warning", file)[0] == 0
    accepted = write("accepted.toml", b"[[deviation]]\nrule='absent-field'\npointer='/deliver_to/zip'\nreason='known'")
    assert run("check", "--deviations", accepted, "--deviations", "observed", file)[0] == 0
    refused = put(INTERACTION, "/response", {"status": 422, "headers": [], "body": ""})
    assert run("check", "--expect-status", "422", write("refused.json", refused))[0] == 0
    assert run("check", "--expect-status", "400", "refused.json")[0] == 1


def test_text_names_the_pack_that_accepts_every_error(run: Any) -> None:
    _, out, _ = run("check", write("null.json", put(order(), "/customer", None)))
    assert "--veeqo-alloc-deviations observed" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "--profile", "strct", "x"], "veeqo-alloc: unknown profile 'strct': did you mean 'strict'?"),
        (
            ["check", "--rule", "null-value", "x"],
            "expected ID=SEVERITY, such as null-value=warning, not 'null-value'",
        ),
        (["check", "--rule", "null-valu=off", "x"], "unknown rule 'null-valu': did you mean 'null-value'?"),
        (["check", "--deviations", "x.toml", "x"], "no such deviations file: 'x.toml'"),
        (["schema", "request", "--profile", "x"], "unknown profile 'x'"),
        (["check"], "the following arguments are required: PATH"),
        (["chek"], "invalid choice: 'chek'"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_usage_exits_2_with_one_sentence(run: Any, arguments: list[str], sentence: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert sentence in err


def test_schema_prints_the_schema(run: Any) -> None:
    assert json.loads(run("schema", "response")[1]) == load_schema("response")
    assert json.loads(run("schema", "request", "--profile", "strict")[1]) == load_schema("request", "strict")


def test_rules_prints_every_rule(run: Any) -> None:
    rows = json.loads(run("rules", "--format", "json")[1])
    assert [row["id"] for row in rows] == list(CATALOGUE)
    assert rows[0]["severities"] == {"lenient": "error", "documented": "error", "strict": "error"}
    text = run("rules")[1]
    assert len(text.splitlines()) == len(CATALOGUE) + 1


def test_example_prints_the_documented_example(run: Any) -> None:
    assert json.loads(run("example", "request")[1]) == request_body()
    assert json.loads(run("example", "response")[1]) == order()


@pytest.mark.parametrize("side", ["request", "response"])
def test_example_with_a_seed_is_valid_and_reproducible(run: Any, side: Any) -> None:
    printed = json.loads(run("example", side, "--seed", "7")[1])
    assert printed == sample(side, 7)
    assert Contract("strict").check_body(side, printed).ok


def test_version_and_help_exit_0(run: Any) -> None:
    assert run("--version")[:2] == (0, "veeqo-alloc 0.1.0\n")
    assert "check files and folders" in run("--help")[1]


def test_no_value_reaches_a_format_repr_or_pickle(run: Any) -> None:
    canary = "zx9canary"

    def spread(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: spread(inner) for name, inner in value.items()} | {f"{canary} name": canary}
        if isinstance(value, list):
            return [spread(inner) for inner in value]
        return canary if isinstance(value, str) else value

    sent, got = spread(request_body()), spread(order()) | {"id": canary, "total_price": [canary]}
    headers = [
        ["content-type", f"text/{canary}"],
        ["location", f"/{canary} x"],
        [f"x-{canary}", canary],
        ["x-api-key", canary],
    ]
    document = {
        "request": {
            "method": "POST",
            "url": f"{URL}?{canary}%20q={canary}#{canary}",
            "headers": headers,
            "body": json.dumps(sent),
        },
        "response": {"status": 201, "headers": headers, "body": json.dumps(got)},
    }
    file = write("poisoned.json", document)
    for format_name in ("text", "json", "github"):
        status, out, err = run("check", "--profile", "strict", "--format", format_name, file)
        assert status == 1
        assert canary not in out + err
    loaded = load(json.dumps(document).encode(), "f", kind=None, side_of=side_of, matches=operation_matches)
    assert loaded is not None
    engine = Engine("strict")
    findings = engine.evaluate(loaded.interactions[0])
    assert len({finding.rule for finding in findings}) > 5
    raised = pickle.dumps(engine.violation(findings))
    assert canary.encode() not in raised
    assert canary not in repr(loaded) + repr(loaded.interactions) + repr(findings) + str(engine.violation(findings))


CALL = {"url": "https://api.example.com/orders/1/allocations", "method": "POST"}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("flags", [[], ["--lint"]])
def test_file_of_another_tool_is_an_error_if_it_mentions_the_call(name: str, flags: list[str], run: Any) -> None:
    write("folder/good.json", order())
    write("folder/other.json", FOREIGN[name])
    status, _, err = run("check", *flags, "folder")
    assert (status, err) == (0, "")
    status, _, err = run("check", "-v", *flags, "folder")
    assert (status, err) == (
        0,
        f"veeqo-alloc: skipped: {os.path.join('folder', 'other.json')}: {name}: unsupported format\n",
    )
    other = FOREIGN[name]
    write("folder/other.json", [*other, CALL] if isinstance(other, list) else {**other, "x": CALL})
    status, _, err = run("check", *flags, "folder")
    assert (status, err) == (2, f"veeqo-alloc: {os.path.join('folder', 'other.json')}: {name}: unsupported format\n")


def test_git_lfs_pointer_is_an_error(run: Any) -> None:
    write("folder/good.json", order())
    write("folder/a.har", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    status, _, err = run("check", "folder")
    assert status == 2
    assert "a.har: a Git LFS pointer, not the file itself: run git lfs pull" in err


def test_skipped_files_and_calls_are_listed_on_request(run: Any) -> None:
    document = cassette()
    document["interactions"].append({"request": {"method": "GET", "uri": "https://h/products/SECRETKEY1"}})
    write("folder/a.json", clean(document))
    write("folder/tsconfig.json", b'{\n  // comment\n  "compilerOptions": {}\n}')
    write("folder/package.json", {"name": "x"})
    write("folder/chart.yaml", b"{{ if .Values.a }}\nb: {{ .c }}\n{{ end }}\n")
    status, out, err = run("check", "--verbose", "folder")
    assert status == 0
    assert "skipped 4" in out
    assert err.replace(os.sep, "/").splitlines() == [
        "veeqo-alloc: skipped: folder/a.json#2: GET /products/*, another operation",
        "veeqo-alloc: skipped: folder/chart.yaml: invalid or truncated JSON: line 1, column 2",
        "veeqo-alloc: skipped: folder/package.json: not a body, interaction, cassette or HAR file",
        "veeqo-alloc: skipped: folder/tsconfig.json: invalid or truncated JSON: line 2, column 3",
    ]


@pytest.mark.parametrize("length", [30, 200, 5000])
def test_response_that_is_cut_off_is_an_error_also_in_a_folder(length: int, run: Any) -> None:
    write("folder/good.json", order())
    write("folder/cut.json", json.dumps({"allocated_completely": True, **order()}).encode()[:length])
    status, _, err = run("check", "folder")
    assert (status, "cut.json: invalid or truncated JSON" in err) == (2, True)


def unknown_bodies() -> Any:
    document = clean(har())
    entry = document["log"]["entries"][0]
    entry["response"]["content"] = {"size": 77300}
    entry["request"]["postData"] = {"mimeType": "application/json"}
    return document


def test_bodies_that_a_har_file_does_not_contain_are_not_checked(run: Any) -> None:
    status, _, err = run("check", write("a.har", unknown_bodies()))
    assert status == 2
    assert err.splitlines() == [
        "veeqo-alloc: a.har: not checked: 2 bodies that the file does not contain",
        "veeqo-alloc: nothing was checked: no body and no interaction of the documented operation was found",
    ]
    document = unknown_bodies()
    document["log"]["entries"][0]["request"] = clean(har())["log"]["entries"][0]["request"]
    status, out, err = run("check", write("a.har", document))
    assert (status, "checked 1 body or interaction" in out) == (0, True)
    assert err == "veeqo-alloc: a.har: not checked: 1 body that the file does not contain\n"


def test_headers_and_status_are_checked_without_the_bodies(run: Any) -> None:
    document = unknown_bodies()
    document["log"]["entries"][0]["response"]["status"] = 200
    status, out, _ = run("check", write("a.har", document))
    assert (status, "wrong-status" in out, "body-missing" in out) == (1, True, False)


SECRET_PLACES = [
    ("/request/cookies", [{"name": "_session", "value": "s3cretvalue"}], "/cookies/0/value"),
    ("/response/cookies", [{"name": "a", "value": "s3cretvalue"}], "/cookies/0/value"),
    ("/request/postData/params", [{"name": "api_key", "value": "s3cretvalue"}], "/params/0/value"),
    ("/request/queryString", [{"name": "token", "value": "s3cretvalue"}], "/queryString/0/value"),
    ("/request/headers/0/comment", "mail sam.smith@shop.co.uk", "/headers/0/comment"),
    ("/response/redirectURL", "https://shop.co.uk/?access_token=s3cretvalue", "/redirectURL"),
    ("/comment", "mail sam.smith@shop.co.uk", "/comment"),
    ("/_raw", "GET http://shop.co.uk/\r\nby sam.smith@shop.co.uk", "/_raw"),
    ("/_initiator", {"url": "https://user:s3cretvalue@shop.co.uk/"}, "/_initiator/url"),
]


@pytest.mark.parametrize(("pointer", "value", "place"), SECRET_PLACES)
def test_secret_anywhere_in_a_har_file_is_found_and_redacted(pointer: str, value: Any, place: str, run: Any) -> None:
    document = clean(har())
    document["log"]["entries"][0] = put(document["log"]["entries"][0], pointer, value)
    path = write("a.har", document)
    status, out, _ = run("check", "--lint", path)
    assert (status, "cassette-secret" in out, place in out) == (1, True, True)
    assert run("redact", "--in-place", path)[0] == 0
    assert run("check", "--lint", path)[0] == 0


@pytest.mark.parametrize("place", ["creator", "browser", "pages"])
def test_secret_beside_the_entries_of_a_har_file_is_found(place: str, run: Any) -> None:
    document = clean(har())
    document["log"][place] = [{"comment": "mail sam.smith@shop.co.uk"}]
    assert run("check", "--lint", write("a.har", document))[0] == 1


def test_secret_in_another_member_of_a_cassette_is_found_unless_aliases_repeat_too_much(run: Any) -> None:
    document = clean(cassette())
    document["interactions"][0]["response"]["url"] = "https://h/?api_key=s3cretvalue"
    assert run("check", "--lint", write("a.json", document))[0] == 1
    anchors = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}, *a]\n" for n in range(500))
    bomb = anchors + yaml.safe_dump(clean(cassette()))
    status, _, err = run("check", "--lint", write("b.yaml", bomb.encode()))
    assert (status, err) == (
        2,
        "veeqo-alloc: b.yaml: YAML whose aliases repeat more than 20 MB, which is the maximum\n",
    )


def test_ruby_cassette_is_checked_and_linted(run: Any) -> None:
    document = ruby_cassette()
    path = write("a.yaml", yaml.safe_dump(document).encode())
    assert run("check", path)[0] == run("check", write("b.json", {**document, "recorded_with": "betamax/0.9.0"}))[0]
    document["http_interactions"][0]["request"]["headers"]["X-Api-Key"] = ["s3cretvalue"]
    status, out, _ = run("check", "--lint", "--max-age", "1", write("a.yaml", yaml.safe_dump(document).encode()))
    assert (status, "cassette-secret" in out, "cassette-too-old" in out) == (1, True, True)


@pytest.mark.parametrize("format_name", ["text", "json", "github", "junit", "sarif"])
def test_secret_in_place_of_a_name_is_in_no_output(format_name: str, run: Any) -> None:
    document = clean(cassette())
    (entry,) = document["interactions"]
    members = dict.fromkeys(canaries.NAMES.values(), 1)
    entry["request"]["uri"] += "?" + "&".join(f"{name}=1" for name in members)
    entry["response"]["body"]["string"] = json.dumps({**json.loads(entry["response"]["body"]["string"]), **members})
    path = write("a.yaml", yaml.safe_dump(document).encode())
    for more in ([], ["--lint"], ["-v"]):
        status, out, err = run("check", "--profile", "strict", "--format", format_name, *more, path)
        assert status == 1
        assert [name for name in members if name in out + err] == []


def test_yaml_that_is_given_as_a_body_is_called_yaml(run: Any) -> None:
    write("a.yaml", yaml.safe_dump(cassette()).encode())
    status, _, err = run("check", "--as", "response", "a.yaml")
    assert (status, err) == (2, "veeqo-alloc: a.yaml: a body must be JSON, not YAML\n")
    assert run("check", "--as", "request", write("b", b"a=1&b=2"))[0] == 1
    pointer = write("c", b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n")
    status, _, err = run("check", "--as", "response", pointer)
    assert (status, "a Git LFS pointer" in err) == (2, True)


def test_findings_are_accepted_in_a_file_which_the_next_check_takes(run: Any) -> None:
    path = write("a.json", BROKEN)
    status, out, err = run("check", path, "--write-deviations", "b.toml", "--format", "json")
    assert (status, json.loads(out)["ok"], err) == (1, False, "veeqo-alloc: b.toml: 1 entry: 1 added\n")
    assert 'seen = "in 1 of 1 bodies and interactions in files"' in Path("b.toml").read_text(encoding="utf-8")
    again = ("--deviations", "b.toml", "--write-deviations", "b.toml", "--prune", "--expires", "2099-12-31")
    assert run("check", path, *again)[::2] == (0, "veeqo-alloc: b.toml: 1 entry: 1 seen again\n")


def test_findings_in_a_cassette_are_accepted_in_a_file(run: Any) -> None:
    document = clean(cassette())
    document["interactions"][0]["response"]["headers"] = {"Content-Type": ["text/html"]}
    path = write("a.yaml", yaml.safe_dump(document).encode())
    assert run("check", path, "--write-deviations", "b.toml")[0] == 1
    assert run("check", path, "--deviations", "b.toml")[0] == 0


def test_incomplete_check_writes_no_file_unless_that_is_permitted(run: Any) -> None:
    paths = (write("a.json", BROKEN), write("b.json", b'{"allocation"'))
    status, _, err = run("check", *paths, "--write-deviations", "b.toml")
    assert (status, "the run is incomplete (1 file could not be read)" in err) == (2, True)
    assert not Path("b.toml").exists()
    assert run("check", *paths, "--write-deviations", "b.toml", "--partial")[0] == 2
    assert Path("b.toml").exists()


def test_options_of_a_baseline_need_its_file(run: Any) -> None:
    for option in ("--prune", "--partial", "--expires=2099-12-31"):
        message = "veeqo-alloc: --expires, --prune and --partial require --write-deviations FILE\n"
        assert run("check", write("a.json", order()), option)[::2] == (2, message)
    status, _, err = run("check", "a.json", "--write-deviations", "b.toml", "--expires", "2020-01-01")
    assert (status, err) == (2, "veeqo-alloc: the last day of an entry must not be in the past: 2020-01-01\n")


class Terminal(io.StringIO):
    """A terminal that reports when it is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


@pytest.mark.parametrize("seconds", [0.0, 60.0], ids=["long", "short"])
def test_long_check_shows_a_line_of_progress_and_clears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    terminal, walk = Terminal(), files._walk
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(files, "_SILENT_SECONDS", seconds)

    def slow_walk(paths: list[str], errors: files.Errors) -> Iterator[tuple[str, str, bytes]]:
        yield from walk(paths, errors)
        if not seconds:
            assert terminal.written.wait(10)

    monkeypatch.setattr(files, "_walk", slow_walk)
    (tmp_path / "order.json").write_text(json.dumps(order()), encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 0
    shown = terminal.getvalue().split("\r")
    if seconds:
        assert shown == [""]
    else:
        assert shown[1].startswith("veeqo-alloc: ")
        assert shown[-2:] == [" " * len(shown[-3]), ""]
