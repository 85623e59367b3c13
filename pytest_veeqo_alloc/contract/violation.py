"""The exception that a failed check raises."""

from __future__ import annotations

from typing import Any

from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.text import render


class ContractViolation(AssertionError):  # noqa: N818  # the name is a promise, and the word of contract testing
    """An interaction breaks the contract. `findings` has every finding; the text is the designed failure."""

    def __init__(self, findings: Findings, hint: str = "") -> None:
        super().__init__(render(findings, hint))
        self.findings = findings
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return ContractViolation, (self.findings, self.hint)


# The name under which users import it is the one that a failure shows.
ContractViolation.__module__ = "pytest_veeqo_alloc"
