"""Findings for a program: JSON, in ASCII."""

from __future__ import annotations

import json

from pytest_veeqo_alloc.reporting.checked import Run


def json_text(run: Run) -> str:
    """One object: `ok`, `checked`, `skipped`, `findings`. Names that may not be shown are masked in pointers."""
    findings = [{**finding.as_row(), "file": each.source} for each in run.checked for finding in each.findings]
    outcome = {
        "ok": not run.errors and not run.troubles,
        "checked": len(run.checked),
        "skipped": run.skipped,
        "findings": findings,
    }
    return json.dumps(outcome, indent=2)
