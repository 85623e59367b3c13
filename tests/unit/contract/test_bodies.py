"""Hand-written bodies, each with exactly the findings that it should have."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from support.bodies import rules_at
from support.cases import CASES, body_of, rules_about_bodies

from pytest_veeqo_alloc import Contract, Profile
from pytest_veeqo_alloc.contract.rules import PROFILES


@pytest.mark.parametrize("name", sorted(CASES))
def test_body_has_the_findings_of_its_case(name: str) -> None:
    case = CASES[name]
    findings = Contract(case["profile"]).check_body(case["side"], body_of(case))
    counted = case.get("count", {})
    listed = [[rule, pointer] for rule, pointer in rules_at(findings) if rule not in counted]
    assert listed == case["expect"], case["why"]
    assert Counter(finding.rule for finding in findings if finding.rule in counted) == counted


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if "deviations" in case))
def test_body_has_no_finding_with_the_deviations_of_its_case(name: str, profile: Profile) -> None:
    case = CASES[name]
    contract = Contract(profile, deviations=case["deviations"])
    assert list(contract.check_body(case["side"], body_of(case))) == []


def test_bytes_and_parsed_values_get_the_same_findings() -> None:
    for name, case in CASES.items():
        body, contract = body_of(case), Contract(case["profile"])
        of_bytes = contract.check_body(case["side"], json.dumps(body).encode())
        assert of_bytes == contract.check_body(case["side"], body), name


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 40


READ_FROM_BYTES = {
    "body-missing", "not-json", "not-utf8", "too-deep", "non-finite-number", "byte-order-mark", "duplicate-key",
}  # fmt: skip
TOLD_FROM_THE_WHOLE = {"order-echo", "allocation-echo", "allocation-quantity"}


def test_every_rule_about_bodies_has_a_failing_case() -> None:
    broken = {rule for case in CASES.values() for rule in [*dict(case["expect"]), *case.get("count", {})]}
    about_bodies = rules_about_bodies("request") | rules_about_bodies("response")
    assert broken == about_bodies - READ_FROM_BYTES - TOLD_FROM_THE_WHOLE
