"""Reports in files."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_veeqo_alloc.capture.writers import write_atomically
from pytest_veeqo_alloc.core.json_pointer import mask_name
from pytest_veeqo_alloc.coverage.report_model import (
    FORMAT,
    VERSION,
    Document,
)
from pytest_veeqo_alloc.spec.loader import read_shipped_text

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator as Validator


def validator(schema: Mapping[str, Any]) -> Validator:
    """A validator of *schema*, which is checked against its metaschema first (`jsonschema.SchemaError`)."""
    from jsonschema import Draft202012Validator  # not before somebody validates

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


SUFFIXES = (".json", ".html")
_MOST_BYTES = 200_000_000


def validate_report_path(path: str) -> None:
    """ValueError, in one sentence, where *path* could hold no report, or its kind cannot be made here."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"a report is a file that ends in .json or .html, not {path!a}")
    if suffix == ".html" and importlib.util.find_spec("jinja2") is None:
        raise ValueError("an HTML report needs jinja2: pip install 'pytest-veeqo-alloc[html]'")


def save(report: Document, path: Path) -> None:
    """Writes *report* as its suffix says. ValueError, in one sentence, where that cannot be done."""
    if path.suffix.lower() == ".html":
        from pytest_veeqo_alloc.reporting.html import render_page  # not before a page is written: jinja2 is an extra

        text = render_page(report)
    else:
        text = json.dumps(report, separators=(",", ":")) + "\n"
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ValueError(f"the report {str(path)!a} cannot be written: {error.strerror}") from None


def load(path: str) -> Document:
    """The report in the JSON file *path*. ValueError, in one sentence, for anything else."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"the report {path!a} cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{path!a}: too large for a report")
    try:
        report = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{path!a}: not JSON, or cut off; a report is the .json file of --veeqo-alloc-report"
        ) from None
    if trouble := _trouble(report):
        raise ValueError(f"{path!a}: {trouble}")
    document: Document = report
    return document


def _trouble(report: Any) -> str:
    if not isinstance(report, Mapping) or report.get("format") != FORMAT:
        return "no report of pytest-veeqo-alloc"
    if report.get("version") != VERSION:
        return (
            f"a report of another version than {VERSION}: make it anew, or use the version of the package that made it"
        )

    try:
        error = next(validator(json.loads(read_shipped_text("schemas/report.json"))).iter_errors(report), None)
    except RecursionError:
        return "no report: nests too deep"
    if error is None:
        return ""
    # What is wrong could be anything of anybody's, so only its place is told, as far as that is ours.
    place = "/".join("*" if isinstance(step, int) else mask_name(step) for step in list(error.absolute_path)[:8])
    return f"not as schemas/report.json has it, at /{place}"
