"""Findings that a test expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_veeqo_alloc.api import Contract
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import unknown

if TYPE_CHECKING:
    from pytest_veeqo_alloc.server.fake import Fake


class Expected:
    """Rules that the client of a test breaks on purpose."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.rules: list[str] = []

    def add(self, rule: str) -> None:
        """Expect *rule* to be broken; ValueError where it cannot be found at all."""
        if not isinstance(rule, str) or rule not in CATALOGUE:
            raise ValueError(unknown("rule", rule, CATALOGUE))
        if self._contract.severity_of(rule) == "off":
            raise ValueError(
                f"the rule {rule} is off in profile {self._contract.profile}, so it is never found: "
                f"turn it on with --veeqo-alloc-rule {rule}=warning"
            )
        self.rules.append(rule)

    def without(self, findings: Findings) -> Findings:
        """*findings* but for those that are expected."""
        return findings.carrying((each for each in findings if each.rule not in self.rules), findings.accepted)

    def missing(self, findings: Findings) -> list[str]:
        """A sentence for each rule that was expected and kept."""
        found = {each.rule for each in findings} | {each.finding.rule for each in findings.accepted}
        return [
            f"a finding of {rule} was expected, and none came: {CATALOGUE[rule].holds_when}"
            for rule in dict.fromkeys(self.rules)
            if rule not in found
        ]


class Judge:
    """What a test is judged by: the findings of a fake that were not expected, and what was expected and did not come."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    @property
    def findings(self) -> Findings:
        """Those that fail the test, and warnings."""
        return self._fake.unexpected

    @property
    def checked(self) -> int:
        """How many requests came."""
        return len(self._fake.interactions)

    @property
    def complaints(self) -> list[str]:
        """Sentences, each of which fails the test."""
        return self._fake.complaints
