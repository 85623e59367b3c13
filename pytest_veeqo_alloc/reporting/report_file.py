"""Functions that build, save and load reports on coverage and findings."""

from __future__ import annotations

import datetime
import functools
import importlib.util
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_veeqo_alloc.capture.writers import write_atomically
from pytest_veeqo_alloc.contract.deviations import Uses, update_uses
from pytest_veeqo_alloc.core.json_pointer import mask_name
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.coverage.collector import Coverage, Origin
from pytest_veeqo_alloc.coverage.report_model import FORMAT, VERSION, Document, Totals, build_report, totals_by_origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import PACKS, field_trees, load_deviations, parse_uses_file, read_shipped_text

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator as Validator
_MAX_BYTES = 200_000_000
_MAX_STEPS = 8


@dataclass(frozen=True, slots=True)
class RunReport:
    """The report on a run, with the numbers that its summary shows."""

    report: Document
    totals: dict[Origin, Totals]
    interactions: int  # from all origins
    seen: int  # documented fields that occurred in responses of the server under test
    fields: int  # documented response fields


def build_run(
    engine: Engine,
    counted: Mapping[Origin, Coverage],
    by: str,
    started: datetime.datetime,
    run_id: str,
    *,
    incomplete: str = "",
    is_selection: bool = False,
) -> RunReport:
    """Return the report on a run of the program *by*. *started* is in UTC. *counted* is the coverage by origin.

    *incomplete* says what the run left out. *is_selection*: the user selected only some of the tests.
    """
    start, package = started.strftime("%Y-%m-%dT%H:%M:%SZ"), version("pytest-veeqo-alloc")
    run: dict[str, Any] = {"id": run_id, "started": start, "by": by, "version": package, "profile": engine.profile}
    run |= {"incomplete": incomplete} if incomplete else {}
    run |= {"selection": True} if is_selection else {}
    pack_deviations = {deviation for pack in PACKS for deviation in load_deviations(pack)}
    report = build_report(run, engine.settings, counted, field_trees(), pack_deviations)
    totals = totals_by_origin(report)
    interactions = sum(counts.interactions for counts in totals.values())
    seen = totals["target"].fields_seen if "target" in totals else 0
    return RunReport(report, totals, interactions, seen, field_trees()["response"].field_count)


def validate_report_path(path: str, suffixes: Iterable[str] = (".json", ".html")) -> None:
    """Raise ValueError if *path* has none of the *suffixes*, or if it ends in .html and jinja2 is not installed."""
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"a report file must end in {' or '.join(suffixes)}, not {path!a}")
    if suffix == ".html" and importlib.util.find_spec("jinja2") is None:
        raise ValueError("an HTML report requires jinja2: pip install 'pytest-veeqo-alloc[html]'")


def save(report: Document, path: Path, earlier: Document | None = None, uses: Uses | None = None) -> None:
    """Write *report* to *path*: as HTML if *path* ends in .html, otherwise as JSON. Raise ValueError on failure.

    An HTML page has the drift since an *earlier* report. *uses* are the response fields that matter (None: all of them).
    """
    if path.suffix.lower() == ".html":
        from pytest_veeqo_alloc.reporting.html import render_page  # imported only here, since jinja2 is an extra

        text = render_page(report, earlier, uses)
    else:
        text = json.dumps(report, separators=(",", ":")) + "\n"
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ValueError(f"the report {str(path)!a} cannot be written: {error.strerror}") from None


def save_uses(counted: Iterable[Coverage], path: Path, *, keep: bool) -> str:
    """Write the response fields that tracked clients have read to *path*. Return a line about them.

    *keep*: keep the fields that the file lists already. Raise ValueError if no field was read or *path* cannot be used.
    """
    coverages = list(counted)
    fields = {pointer for coverage in coverages for pointer in coverage.read}
    if not fields:
        raise ValueError(f"{str(path)!a} was not written: no field was read through veeqo_alloc_contract.track(order)")
    old = parse_uses_file(path)[0] if path.exists() else ""
    undocumented = {pointer for coverage in coverages for pointer in coverage.read_undocumented}
    try:
        write_atomically(path, update_uses(old, fields, undocumented, keep=keep))
    except OSError as error:
        raise ValueError(f"the file of used fields {str(path)!a} cannot be written: {error.strerror}") from None
    return f"{pluralise(len(fields), 'used field')} written to {path}"


def load(path: str) -> Document:
    """Return the report in the JSON file *path*. A report of an earlier version is converted to the current format.

    Raise ValueError if the file cannot be read or is not a report.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"the report {path!a} cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{path!a}: larger than 200 MB, so not a report")
    try:
        report: Document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f"{path!a}: invalid or truncated JSON; give the .json file of --veeqo-alloc-report") from None
    _upgrade(report)
    if problem := _problem(report):
        raise ValueError(f"{path!a}: {problem}")
    return report


def _upgrade(report: Any) -> None:
    """Convert the rows of calls in place: early versions of the package wrote one test and its count in each row."""
    with suppress(AttributeError, KeyError, TypeError):  # `_problem` then reports the defect
        for row in (row for run in report["runs"] for row in run["origins"].values()):
            for call in row["calls"]:
                if "tests" not in call:
                    call["tests"] = {call.pop("test"): call.pop("count")}


def _problem(report: Any) -> str:
    """Return the reason why *report* is invalid, or an empty string if it is valid."""
    if not isinstance(report, Mapping) or report.get("format") != FORMAT:
        return "not a report of pytest-veeqo-alloc"
    if report.get("version") != VERSION:
        return f"not in version {VERSION} of the report format: install a later version of pytest-veeqo-alloc"
    try:
        error = next(_report_validator().iter_errors(report), None)
    except RecursionError:
        return "not a report: nested too deeply"
    if error is None:
        return ""
    # The invalid value could be a secret, so the message has only its pointer, with unknown names masked.
    steps = ["*" if isinstance(step, int) else mask_name(step) for step in list(error.absolute_path)[:_MAX_STEPS]]
    return f"does not match schemas/report.json at /{'/'.join(steps)}"


@functools.cache
def _report_validator() -> Validator:
    return validator(json.loads(read_shipped_text("schemas/report.json")))


def validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator of *schema*. Raise jsonschema.SchemaError for an invalid schema."""
    from jsonschema import Draft202012Validator  # slow to import, and not needed by most runs

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
