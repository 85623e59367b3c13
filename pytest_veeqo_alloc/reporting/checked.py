"""What a run over files has checked, before a sink shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_veeqo_alloc.contract.findings import Finding, Findings


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings of one body or interaction, where it came from, and the hint that goes with them."""

    file: str
    source: str
    findings: Findings
    hint: str = ""


@dataclass(slots=True)
class Run:
    """Everything checked, how much was passed over, how many files there were, what could not be read (a file and one
    sentence), and the named files that are nothing of ours."""

    checked: list[Checked] = field(default_factory=list)
    skipped: int = 0
    files: int = 0
    troubles: list[tuple[str, str]] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[tuple[Checked, Finding]]:
        """Every error with what it was found in."""
        return [(each, error) for each in self.checked for error in each.findings.errors]

    @property
    def warnings(self) -> list[tuple[Checked, Finding]]:
        """Every warning with what it was found in."""
        return [(each, warning) for each in self.checked for warning in each.findings.warnings]
