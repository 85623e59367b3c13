"""The commands `report merge` and `report diff`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.cli_contract import CLEAN, ERRORS_FOUND


def add_report(commands: Any) -> None:
    """The options of `report`."""
    report = commands.add_parser("report", help="put reports together, or compare two")
    kinds = report.add_subparsers(required=True, metavar="WHAT")
    merge = kinds.add_parser("merge", help="one report of several; a run that is in more than one counts once")
    merge.add_argument("reports", nargs="+", metavar="REPORT", help="a .json file of --veeqo-alloc-report")
    merge.add_argument("-o", "--output", metavar="FILE", help="a .json or .html file (default: print JSON)")
    merge.set_defaults(command=_merge)
    diff = kinds.add_parser(
        "diff",
        help="what a later report shows and an earlier one does not",
        description="Compares the drift of two reports: undocumented members, documented ones absent, nulls, other types. "
        "Exit status 1 where there is drift in NEW that is not in OLD.",
    )
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    diff.add_argument("--format", choices=("text", "json"), default="text")
    diff.set_defaults(command=_diff)


def _merge(chosen: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.coverage.report_model import merged  # not before somebody reports
    from pytest_veeqo_alloc.reporting.report_file import known_path, load, save

    if chosen.output:
        known_path(chosen.output)
    report = merged(load(each) for each in chosen.reports)
    if chosen.output:
        save(report, Path(chosen.output))
    else:
        print(json.dumps(report, separators=(",", ":")))
    return CLEAN


def _diff(chosen: argparse.Namespace) -> int:
    from pytest_veeqo_alloc.coverage.report_model import difference
    from pytest_veeqo_alloc.reporting.formatters import difference_lines, difference_rows
    from pytest_veeqo_alloc.reporting.report_file import load
    from pytest_veeqo_alloc.spec.loader import charts

    old, new = load(chosen.old), load(chosen.new)
    for path, report in ((chosen.old, old), (chosen.new, new)):
        if not any(run["origins"] for run in report["runs"]):
            raise ValueError(f"{path!a}: no interaction was seen in it, so there is nothing to compare")
    found = difference(old, new, charts())
    if chosen.format == "json":
        print(json.dumps({"new": difference_rows(found.new), "gone": difference_rows(found.gone)}, indent=2))
    else:
        for line in difference_lines(found):
            print(line)
    return ERRORS_FOUND if found.new else CLEAN
