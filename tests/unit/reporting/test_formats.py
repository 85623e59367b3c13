"""The results of `veeqo-alloc check` as JUnit XML and as SARIF, also for files with hostile names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from support.bodies import drop, order, put

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.rules import CATALOGUE

HOSTILE = os.fsdecode(b"]]>&<'\"\x01\x1b[31m \xff ##[error]\xc3\xa9%41.json")
TEXT = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"]}
LOCATION = {
    "type": "object",
    "properties": {
        "physicalLocation": {
            "type": "object",
            "properties": {
                "artifactLocation": {
                    "properties": {"uri": {"pattern": r"^(file:///)?([\w./~-]|%[0-9A-F]{2})+$"}},
                    "required": ["uri"],
                },
                "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}, "required": ["startLine"]},
            },
            "required": ["artifactLocation", "region"],
            "additionalProperties": False,
        },
        "logicalLocations": {
            "type": "array",
            "items": {"properties": {"name": {"type": "string"}, "fullyQualifiedName": {"type": "string"}}, "additionalProperties": False},
        },
    },
    "additionalProperties": False,
}  # fmt: skip
LOCATIONS = {"type": "array", "minItems": 1, "items": LOCATION}
NOTIFICATION = {
    "properties": {"level": {"const": "error"}, "message": TEXT, "locations": LOCATIONS},
    "required": ["message"],
    "additionalProperties": False,
}
RULE = {
    "properties": {
        "id": {"enum": list(CATALOGUE)},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": TEXT,
        "defaultConfiguration": {"properties": {"level": {"enum": ["none", "note", "warning", "error"]}}},
        "properties": {"properties": {"tags": {"type": "array", "uniqueItems": True}}},
    },
    "required": ["id", "shortDescription", "fullDescription", "help"],
    "additionalProperties": False,
}
RESULT = {
    "properties": {
        "ruleId": {"enum": list(CATALOGUE)},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["error", "warning"]},
        "message": TEXT,
        "locations": LOCATIONS,
        "partialFingerprints": {"additionalProperties": {"type": "string"}},
    },
    "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
    "additionalProperties": False,
}
DRIVER = {
    "properties": {"name": {"const": "veeqo-alloc"}, "version": {"type": "string"}, "rules": {"items": RULE, "uniqueItems": True}},
    "required": ["name", "version", "rules"],
    "additionalProperties": False,
}  # fmt: skip
INVOCATION = {
    "properties": {
        "executionSuccessful": {"type": "boolean"},
        "toolExecutionNotifications": {"type": "array", "items": NOTIFICATION},
    },
    "required": ["executionSuccessful"],
    "additionalProperties": False,
}
RUN = {
    "properties": {
        "tool": {"properties": {"driver": DRIVER}, "required": ["driver"], "additionalProperties": False},
        "invocations": {"items": INVOCATION},
        "results": {"type": "array", "items": RESULT},
    },
    "required": ["tool", "results"],
    "additionalProperties": False,
}
ESSENTIALS = Draft202012Validator(
    {
        "properties": {
            "$schema": {"type": "string"},
            "version": {"const": "2.1.0"},
            "runs": {"items": RUN, "minItems": 1},
        },
        "required": ["version", "runs"],
        "additionalProperties": False,
    }
)
"""What the schema of SARIF 2.1.0, and GitHub code scanning, require of the members that we write."""

BODIES = {
    "clean.json": order(),
    "warns.json": put(order(), "/colour", "red"),
    "broken.json": put(drop(put(order(), "/colour", "red"), "/deliver_to/zip"), "/id", "447452"),
    HOSTILE: put(order(), "/]]>&<\x01", 1) | {"id": None},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `BODIES` and an unreadable file. It is the working directory."""
    for name, body in BODIES.items():
        (tmp_path / name).write_text(json.dumps(body), encoding="utf-8")
    (tmp_path / "cut.json").write_text('{"allocations": [', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["check", *arguments])
    return capsys.readouterr().out


def sarif(capsys: pytest.CaptureFixture[str], *paths: str) -> Any:
    log = json.loads(output(capsys, *paths, "--format", "sarif"))
    ESSENTIALS.validate(log)
    return log["runs"][0]


def rows(capsys: pytest.CaptureFixture[str], path: str) -> Iterator[tuple[str, str, str]]:
    """Yield rule, severity and pointer of each finding, from the JSON output."""
    for row in json.loads(output(capsys, path, "--format", "json"))["findings"]:
        yield row["rule"], row["severity"], row["pointer"]


def test_sarif_has_a_result_for_each_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sarif(capsys, "broken.json")
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    found = [
        (rules[result["ruleIndex"]], result["level"], result["locations"][0]["logicalLocations"][0]["name"])
        for result in run["results"]
    ]
    assert found == list(rows(capsys, "broken.json"))
    assert [result["ruleId"] for result in run["results"]] == [rule for rule, *_ in found]


def test_sarif_locates_the_file_relative_to_the_working_directory(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = sarif(capsys, ".")["results"]
    uris = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results}
    assert {os.fsencode(unquote(uri, errors="surrogateescape")) for uri in uris} == {
        os.fsencode(name) for name in BODIES if name != "clean.json"
    }
    (result, *_) = sarif(capsys, str(folder / "broken.json"))["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == (folder / "broken.json").as_uri()


def test_sarif_rules_have_help_from_the_catalogue(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = {rule["id"]: rule for rule in sarif(capsys, "broken.json")["tool"]["driver"]["rules"]}
    assert rules.keys() == {"absent-field", "undocumented-field", "wrong-type"}
    assert rules["wrong-type"]["help"]["text"] == (
        "Wanted: the documented type.\nDo (request): send a JSON value of the documented type.\n"
        "Do (response): send a JSON value of the documented type.\n"
        "Source: Veeqo documentation, 'Request Body' and 'Responses'."
    )
    assert rules["undocumented-field"]["defaultConfiguration"] == {"level": "warning"}


def test_sarif_results_are_told_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub takes results of a rule with the same fingerprint for one, and all of ours are at line 1."""
    (folder / "empty.json").write_text('{"id": 1, "allocations": [{}], "line_items": [{}]}', encoding="utf-8")
    results = sarif(capsys, "empty.json")["results"]
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in results]
    assert len(set(prints)) == len(prints) > 50


def test_unreadable_file_makes_a_sarif_run_unsuccessful(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (invocation,) = sarif(capsys, ".")["invocations"]
    assert not invocation["executionSuccessful"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("invalid or truncated JSON")
    assert sarif(capsys, "clean.json")["invocations"] == [
        {"executionSuccessful": True, "toolExecutionNotifications": []}
    ]


@pytest.mark.parametrize("output_format", ["sarif", "junit"])
def test_output_has_no_control_character_and_no_workflow_command(
    output_format: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = output(capsys, ".", "--format", output_format)
    assert text.replace("\n", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert "##[" not in text


def junit(capsys: pytest.CaptureFixture[str], *paths: str) -> ElementTree.Element:
    """Parse the JUnit XML about *paths*, and return its suite."""
    (suite,) = ElementTree.fromstring(output(capsys, *paths, "--format", "junit").encode())
    return suite


def test_junit_has_a_test_case_for_each_body_and_unreadable_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = junit(capsys, ".")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "5",
        "failures": "2",
        "errors": "1",
    }
    outcomes = {case.get("file", ""): {child.tag for child in case} for case in suite}
    hostile = next(name for name in outcomes if "31m" in name)
    assert outcomes == {
        "./clean.json": set(), "./warns.json": {"properties"}, "./cut.json": {"error"},
        "./broken.json": {"properties", "failure"}, hostile: {"properties", "failure"},
    }  # fmt: skip


def test_junit_failure_is_what_the_terminal_shows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failure = junit(capsys, "broken.json").find("testcase/failure")
    assert failure is not None
    assert failure.get("message", "").endswith("2 errors, 1 warning (profile documented)")
    assert f"broken.json: {failure.text}\n" in output(capsys, "broken.json")


def test_junit_properties_have_rules_and_severities(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    properties = [(one.get("name"), one.get("value")) for one in junit(capsys, "broken.json").iter("property")]
    assert properties == [
        (f"veeqo_alloc_{severity}", f"{rule} at response {pointer}") for rule, severity, pointer in rows(capsys, "broken.json")
    ]  # fmt: skip


def test_masked_name_shows_nowhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "someone@shop.example"
    (folder / "key.json").write_text(json.dumps(order() | {key: 1}), encoding="utf-8")
    assert key not in output(capsys, "key.json", "--format", "sarif") + output(capsys, "key.json", "--format", "junit")
