"""Findings, severities, deviations, and the failure as text."""

from __future__ import annotations

import copy
import datetime
import pickle
from pathlib import Path
from typing import Any

import pytest
from support import canaries
from support.bodies import drop, order, put, request_body

from pytest_veeqo_alloc import Contract, ContractViolation, Deviation, Finding, Findings
from pytest_veeqo_alloc.contract.deviations import DeviationIndex, parse
from pytest_veeqo_alloc.contract.failure import MAX_LINES
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.rules import parse_overrides
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.engine import Engine


def broken() -> Any:
    body = drop(order(), "/deliver_to/zip")
    body = put(body, "/allocations/0/line_items/0/quantity", "1")
    return put(body, "/total_price", 20)


def test_findings_are_a_sequence_with_errors_and_warnings() -> None:
    findings = Contract().check_body("response", broken())
    assert [finding.rule for finding in findings] == ["wrong-type", "absent-field", "total"]
    assert findings.errors == findings[:2]
    assert findings.warnings == findings[2:]
    assert not findings.ok
    assert len(findings) == 3


def test_findings_are_ordered_by_index() -> None:
    lines = [{"sellable_id": number + 1, "quantity": "1"} for number in range(12)]
    body = {"allocation": {"warehouse_id": "5", "line_items_attributes": lines}}
    findings = Contract().check_body("request", body)
    assert [finding.pointer for finding in findings] == [
        *(f"/allocation/line_items_attributes/{number}/quantity" for number in range(12)), "/allocation/warehouse_id",
    ]  # fmt: skip


def test_filtered_findings_include_accepted_ones() -> None:
    known = Deviation("wrong-type", "known", pointer="/id")
    findings = Contract(deviations=[known]).check_body("response", put(broken(), "/id", "x"))
    only = findings.where(lambda finding: finding.rule == "wrong-type")
    assert [finding.pointer for finding in only] == ["/allocations/0/line_items/0/quantity"]
    assert [entry.finding.pointer for entry in only.accepted] == ["/id"]
    none = findings.where(lambda finding: finding.rule == "total")
    assert ([finding.rule for finding in none], none.accepted) == (["total"], ())
    assert (none.profile, none.operation) == (findings.profile, findings.operation)


def test_findings_have_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"use \.ok"):
        bool(Contract().check_body("response", order()))


def test_findings_of_equal_checks_are_equal() -> None:
    first, second = (Contract().check_body("response", broken()) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != Contract().check_body("response", order())
    assert first != object()


def test_validate_returns_the_findings_or_raises_with_them() -> None:
    warned = put(order(), "/total_price", 20)
    assert [finding.severity for finding in Contract().validate_body("response", warned)] == ["warning"]
    with pytest.raises(ContractViolation) as caught:
        Contract().validate_body("response", broken())
    assert len(caught.value.findings.errors) == 2
    assert isinstance(caught.value, AssertionError)


def test_failure_shows_place_rule_wanted_got_and_remedy() -> None:
    with pytest.raises(ContractViolation) as caught:
        Contract().validate_body("response", broken())
    assert str(caught.value) == (
        "response of POST /orders/{order_id}/allocations: 2 errors, 1 warning (profile documented)\n"
        "\n"
        "  /allocations/0/line_items/0/quantity         wrong-type\n"
        "      wanted  number\n"
        "      got     string of 1 character\n"
        "      do      send a JSON number, without quotes\n"
        "\n"
        "  /deliver_to/zip                              absent-field\n"
        "      wanted  the field (string)\n"
        "      got     nothing\n"
        "      do      send the field; if the live API omits the field too, accept this deviation with --veeqo-alloc-deviations observed\n"
        "\n"
        "  warning: total at /total_price: a total that is not the sum of its parts"
    )


@pytest.mark.parametrize("errors", [1, 4, 5, 30, 475])
def test_failure_has_at_most_25_lines_and_counts_the_rest(errors: int) -> None:
    body = order()
    for name in [*body][:errors]:
        body[name] = object()
    if errors == 475:
        body["line_items"] = [{}] * 500
        body["total_price"], body["extra"] = None, 1
    findings = Contract("strict").check_body("response", body)
    text = str(ContractViolation(findings, "a hint"))
    assert len(text.splitlines()) <= MAX_LINES
    rules = {error.rule for error in findings.errors}
    places = sum(
        line.endswith(tuple(f" {rule}" for rule in rules)) for line in text.splitlines() if " more" not in line
    )
    left = [line.split() for line in text.splitlines() if line.startswith("  and ")]
    assert places + sum(int(words[2] if words[1] == "at" else words[1]) for words in left) == len(findings.errors)


def test_rare_errors_are_shown_before_frequent_ones() -> None:
    lines = str(
        ContractViolation(Contract("strict").check_body("response", b'{"id": NaN, "notes": null}'))
    ).splitlines()
    assert lines[2] == "  /id                                          non-finite-number"
    assert lines[-1].startswith("  and ")
    assert lines[-1].endswith(" absent-field")


def test_warnings_are_grouped_by_rule() -> None:
    body = (
        order()
        | {f"extra_{number}": 1 for number in range(9)}
        | {"shipped_at": "x", "subtotal_price": 1, "total_price": 20}
    )
    body = put(put(body, "/id", -1), "/updated_at", "x")
    body = drop(put(body, "/delivery_cost", -1), "/deliver_to/zip")
    text = str(ContractViolation(Contract().check_body("response", body)))
    assert "warning: undocumented-field at /extra_0 and 8 more places: an undocumented field" in text
    assert "  and warnings from 4 more rules" in text


def test_failure_with_both_sides_names_the_side_of_each_place() -> None:
    from pytest_veeqo_alloc import Interaction, Request, Response

    findings = Contract().check(Interaction(Request("POST", "/orders/1/allocations"), Response(201)))
    text = str(ContractViolation(findings))
    assert text.startswith("request and response of POST")
    assert "  request (whole body) " in text
    assert "  response header:location " in text


def test_failure_with_known_deviations_only_has_a_hint() -> None:
    known = Engine().violation(Contract().check_body("response", put(order(), "/customer", None)))
    assert "--veeqo-alloc-deviations observed" in str(known).splitlines()[-1]
    body = put(put(order(), "/customer", None), "/id", None)
    unknown = Engine().violation(Contract().check_body("response", body))
    assert "is a known deviation" not in str(unknown)


# Severities


def test_severity_of_a_single_rule_can_be_changed() -> None:
    body = put(order(), "/customer", None)
    for severity in ("error", "warning"):
        (finding,) = Contract(rules={"null-value": severity}).check_body("response", body)
        assert finding.severity == severity
    assert list(Contract(rules={"null-value": "off"}).check_body("response", body)) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"profile": "stict"}, "unknown profile 'stict': did you mean 'strict'?"),
        ({"profile": {"secret": 1}}, "unknown profile of type dict: expected one of lenient, documented, strict"),
        ({"profile": "x"}, "unknown profile 'x': expected one of lenient, documented, strict"),
        ({"rules": {"null-valeu": "off"}}, "unknown rule 'null-valeu': did you mean 'null-value'?"),
        ({"rules": {"x" * 99: "off"}}, f"unknown rule '{'x' * 56}...: run 'veeqo-alloc rules' for a list"),
        ({"rules": {"x" * 58: "off"}}, f"unknown rule '{'x' * 58}': run 'veeqo-alloc rules' for a list"),
        ({"rules": {"x" * 59: "off"}}, f"unknown rule '{'x' * 56}...: run 'veeqo-alloc rules' for a list"),
        ({"rules": {"null-value": "warn"}}, "unknown severity for null-value 'warn': did you mean 'warning'?"),
        ({"deviations": ["observd"]}, "unknown deviation pack or file 'observd': did you mean 'observed'?"),
        ({"deviations": "nowhere.toml"}, "no such deviations file: 'nowhere.toml'"),
    ],
)
def test_unknown_setting_is_rejected(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is compared below
        Contract(**arguments)  # type: ignore[arg-type]  # wrong settings are what is tested
    assert str(caught.value) == sentence


def test_severities_of_rules_are_read_from_text() -> None:
    assert parse_overrides(["null-value = warning", "total=off"]) == {"null-value": "warning", "total": "off"}
    with pytest.raises(ValueError, match="expected ID=SEVERITY, such as null-value=warning, not 'total'"):
        parse_overrides(["total"])


def test_unknown_side_is_rejected() -> None:
    with pytest.raises(ValueError, match="unknown side 'both': expected one of request, response"):
        Contract().check_body("both", {})  # type: ignore[arg-type]  # the wrong name is what is tested


# Deviations

TODAY = datetime.date(2026, 11, 23)


def test_deviation_accepts_its_finding_with_the_reason() -> None:
    deviation = Deviation(
        "absent-field", "the partner leaves it out", pointer="/deliver_to/zip", expires=TODAY.replace(year=9999)
    )
    findings = Contract(deviations=deviation).check_body("response", broken())  # type: ignore[arg-type]  # one is as good as a list of one
    assert [finding.rule for finding in findings] == ["wrong-type", "total"]
    assert [(one.finding.pointer, one.reason) for one in findings.accepted] == [
        ("/deliver_to/zip", "the partner leaves it out")
    ]
    assert "1 accepted" in str(ContractViolation(findings))


def test_star_matches_an_index_only() -> None:
    body = put(put(order(), "/allocations/0/id", "x"), "/channel/id", "x")
    deviations = [
        Deviation("wrong-type", "known", pointer="/*/*/id"),
        Deviation("wrong-type", "known", pointer="/allocations/*/id"),
    ]
    findings = Contract(deviations=deviations).check_body("response", body)
    assert [finding.pointer for finding in findings] == ["/channel/id"]


def test_deviation_matches_its_rule_only() -> None:
    (finding,) = Contract().check_body("response", put(order(), "/customer", None))
    assert Deviation("null-value", "known", pointer="/customer").matches(finding)
    assert not Deviation("wrong-type", "known", pointer="/customer").matches(finding)


def test_literal_index_matches_that_index_only() -> None:
    body = put(put(order(), "/customer/shipping_addresses/0/id", "x"), "/customer/shipping_addresses/1/id", "x")
    deviation = Deviation("wrong-type", "known", pointer="/customer/shipping_addresses/1/id")
    (finding,) = Contract(deviations=[deviation]).check_body("response", body)
    assert finding.pointer == "/customer/shipping_addresses/0/id"


def test_deviation_by_location_matches_outside_the_body() -> None:
    from pytest_veeqo_alloc import Interaction, Response

    deviation = Deviation("location-missing", "behind a gateway", location="header:location")
    answer = Response(200, (("content-type", "application/json"),), b"{}")
    created = Response(201, answer.headers, answer.body)
    assert [f.rule for f in Contract(deviations=[deviation]).check(Interaction(None, created))] == ["not-an-order"]


def test_deviation_of_a_client_behaviour_is_accepted() -> None:
    rule, slow = "client-without-timeout", Breach("client-without-timeout", None, "no result", location="call")
    engine = Engine(deviations=[Deviation(rule, "the proxy in front of it has a timeout", location="call")])
    assert not Engine().check_behaviour(rule, slow).ok
    assert engine.check_behaviour(rule, slow).ok
    assert [entry.finding.rule for entry in engine.check_behaviour(rule, slow).accepted] == [rule]


def test_expired_deviation_is_an_error_that_names_the_date() -> None:
    expired = Deviation("null-value", "old", pointer="/customer", expires=datetime.date(2020, 1, 31))
    (finding,) = Contract(deviations=[expired]).check_body("response", put(order(), "/customer", None))
    assert finding.severity == "error"
    assert finding.remedy.endswith("; or renew its deviation, which expired on 2020-01-31")


def test_deviation_counts_on_its_last_day_and_renewed_ones_come_first() -> None:
    finding = Finding("null-value", "documented", "error", "response", "body", "/customer", "", "", "")
    old = Deviation("null-value", "old", pointer="/customer", expires=TODAY - datetime.timedelta(days=1))
    new = Deviation("null-value", "new", pointer="/customer", expires=TODAY)
    assert not new.expired(TODAY)
    assert DeviationIndex([old, new], TODAY).find(finding) is new
    assert DeviationIndex([old], TODAY).find(finding) is old
    assert DeviationIndex([], TODAY).find(finding) is None


COLOUR = "[[deviation]]\nrule = 'undocumented-field'\nreason = 'x'\npointer = '/colour'\n"


def test_deviation_with_side_case_and_types_accepts_less() -> None:
    more = "ticket = 'SHOP-1'\nseen = 'in 1 of 1'\ncount = 1\nfirst_seen = 2026-01-31\nlast_seen = 2026-01-31\nstale = true\n"
    (typed,) = parse(f"version = 1\n{COLOUR}side = 'response'\ntypes = ['string', 'null']\n{more}")
    contract = Contract(deviations=[typed], show_values=True)
    found = {value: len(contract.check_body("response", order() | {"colour": value})) for value in ("red", None, 1)}
    assert found == {"red": 0, None: 0, 1: 1}
    assert len(contract.check_body("request", request_body() | {"colour": "red"})) == 1
    method = Breach("method-accepted", None, "201", location="status")
    engine = Engine(deviations=[Deviation("method-accepted", "x", location="status", case="PUT")])
    assert [len(engine.check_behaviour("method-accepted", method, case)) for case in ("PUT", "GET")] == [0, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[[deviation]]\nrule = 'null-valeu'\nreason = 'x'\npointer = '/a'",
            "deviation 1: unknown rule 'null-valeu': did you mean 'null-value'?",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\npointer = '/a'",
            "deviation 1: the deviation of null-value needs a reason",
        ),
        ("[[deviation]]\nrule = 'null-value'\nreason = ' '\npointer = '/a'", "needs a reason"),
        ("[[deviation]]\nrule = 'null-value'\nreason = 5\npointer = '/a'", "needs a reason"),
        ("[[deviation]]\nrule = 'null-value'\nreason = 'x'", "needs either a pointer or a location"),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = '/a'\nlocation = 'status'",
            "needs either a pointer or a location",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = 'a'",
            "a JSON Pointer must be empty or start with '/'",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = 5",
            "the pointer of the deviation of null-value must be a string",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = '/a'\nexpires = '2027-01-31'",
            "must be a date such as 2027-01-31",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = '/a'\nexpire = 2027-01-31",
            "unknown key 'expire': did you mean 'expires'?",
        ),
        ("[[deviation]]\nreason = 'x'\npointer = '/a'", "unknown rule ''"),
        ("[[deviation]]\nrule = ['x']\nreason = 'x'\npointer = '/a'", "unknown rule of type list"),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = 0",
            "the pointer of the deviation of null-value must be a string",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\nlocation = 'boddy'",
            "must be a string such as 'header:location' or 'status'",
        ),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\nlocation = ''",
            "must be a string such as 'header:location' or 'status'",
        ),
        ("[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = []", "deviation 1: empty list of pointers"),
        (
            "[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = '/a'\nsource = 7",
            "the source of the deviation of null-value must be a string",
        ),
        (
            f"{COLOUR}side = 'client'",
            "unknown side of the deviation of undocumented-field 'client': expected one of request",
        ),
        (f"{COLOUR}case = 1", "the case of the deviation of undocumented-field must be a string"),
        (f"{COLOUR}types = 'string'", "'types' of the deviation of undocumented-field must be a list of JSON types"),
        (
            f"{COLOUR}types = ['sting']",
            "unknown type of the deviation of undocumented-field 'sting': did you mean 'string'?",
        ),
        (COLOUR.replace("undocumented-field", "total") + "types = ['string']", "'types' is not for total: remove it"),
        (f"{COLOUR}stale = 'yes'", "deviation 1: 'stale' must be true or false"),
        (f"{COLOUR}first_seen = 'today'", "deviation 1: 'first_seen' must be a date such as 2027-01-31"),
        ("version = true", "not in version 1 of the format of deviation files: update pytest-veeqo-alloc"),
        ("a = " + "[" * 50_000, "cannot be parsed: nested too deeply"),
        ("deviation = 5", "must contain only [[deviation]] tables"),
        ("deviation = [5]", "must contain only [[deviation]] tables"),
        ("[[deviations]]", "must contain only [[deviation]] tables"),
        ("[[deviation", "not TOML: "),
    ],
)
def test_invalid_deviation_file_is_rejected_with_its_name(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is compared below
        Contract(deviations=[path])
    assert sentence in str(caught.value)
    assert "accepted.toml" in str(caught.value)


def test_deviation_file_that_is_not_text_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"accepted\.toml': not UTF-8, so not TOML"):
        Contract(deviations=[path])


def test_rules_that_are_not_a_mapping_are_rejected() -> None:
    with pytest.raises(TypeError, match="rules must map rule ids to severities"):
        Contract(rules=["null-value=off"])  # type: ignore[arg-type]  # the wrong type is what is tested


def test_folder_as_a_deviation_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        Contract(deviations=[tmp_path])


def test_empty_deviation_file_accepts_nothing(tmp_path: Path) -> None:
    assert parse("") == ()


def test_deviation_may_list_several_pointers() -> None:
    listed = parse("[[deviation]]\nrule = 'null-value'\nreason = 'x'\npointer = ['/a', '/b']")
    assert [deviation.pointer for deviation in listed] == ["/a", "/b"]


# Names that may not be shown

HOSTILE = [
    *canaries.NAMES.values(),
    "\x1b[2J",
    "::error::",
    "</script>",
    "x" * 1_000_000,
    "a b",
    "é",
    "",
    "$(id)",
    "a\nb",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_member_name_is_exact_in_memory_and_masked_elsewhere(name: str) -> None:
    (finding,) = Contract("strict").check_body("response", order() | {name: 1})
    assert finding.pointer == join("", name)
    texts = [
        str(finding),
        repr(finding),
        repr(Findings((finding,))),
        finding.place,
        str(ContractViolation(Findings((finding,)))),
    ]
    unpickled = pickle.loads(pickle.dumps(ContractViolation(Findings((finding,)))))
    texts += [str(unpickled), repr(unpickled.findings), unpickled.findings[0].pointer]
    for text in texts:
        assert f"(name of {len(name)} character" in text
        assert not name or name not in text


def test_pickled_violation_keeps_its_text_and_findings() -> None:
    violation = Engine().violation(Contract().check_body("response", broken()))
    again = pickle.loads(pickle.dumps(violation))
    assert str(again) == str(violation)
    assert again.findings == violation.findings


def test_copy_in_memory_keeps_the_exact_pointer() -> None:
    (finding,) = Contract("strict").check_body("response", order() | {"bad name!": 1})
    assert copy.deepcopy([copy.copy(finding)])[0].pointer == "/bad name!"


# Values, for one's own terminal


def test_values_are_quoted_on_request_except_credentials() -> None:
    body = put(put(put(order(), "/updated_at", "soon\x1b[2J"), "/total_tax", "7"), "/payment/order_id", 7)
    body["allocations"][0]["allocated_by"] |= {"api_key": 123456, "created_at": "x" * 100}
    body |= {"password": "hunter2", "list": [1], "long": 10**20}
    findings = {f.pointer: f.got for f in Contract("strict", show_values=True).check_body("response", body)}
    assert findings["/updated_at"] == r'string of 8 characters: "soon\u001b[2J"'
    assert findings["/total_tax"] == 'string of 1 character: "7"'
    assert findings["/allocations/0/allocated_by/api_key"] == "number"
    assert findings["/password"] == "string of 7 characters"
    assert findings["/long"] == "number: integer of about 21 digits"
    assert findings["/list"] == "array of 1 item"
    assert findings["/allocations/0/allocated_by/created_at"].endswith("...")
    assert "hunter2" not in str(Contract("strict").check_body("response", body))
    assert findings["/payment/order_id"] == "number: 7"


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("x" * 58, f'string of 58 characters: "{"x" * 58}"'),
        ("x" * 59, f'string of 59 characters: "{"x" * 59}...'),
        (10**15 - 1, "number: 999999999999999"),
        (10**15, "number: integer of about 16 digits"),
        (True, "boolean: true"),
        (None, "null"),
        ({"a": 1}, "object with 1 member"),
    ],
)
def test_long_value_is_quoted_in_part(value: object, got: str) -> None:
    (finding,) = (
        finding
        for finding in Contract("strict", show_values=True).check_body("response", put(order(), "/extra", value))
        if finding.pointer == "/extra"
    )
    assert finding.got == got
