"""Findings as workflow commands, which GitHub shows beside the file."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.reporting.checked import Run

_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_MESSAGE, ":": "%3A", ",": "%2C"}


def github_lines(run: Run) -> Iterator[str]:
    """`::error` or `::warning` for each finding, and `::error` for each file that cannot be read."""
    for each in run.checked:
        for finding in each.findings:
            where = f"{finding.side} {finding.place}" + (f" of {each.source}" if each.source != each.file else "")
            message = f"{where}: {finding.message}; do: {finding.remedy}"
            yield f"::{finding.severity} file={_escape(each.file, _PROPERTY)},title={finding.rule}::{_escape(message, _MESSAGE)}"

    for file, sentence in run.troubles:
        yield f"::error file={_escape(file, _PROPERTY)},title=unreadable::{_escape(sentence, _MESSAGE)}"


def _escape(text: str, table: dict[str, str]) -> str:
    return printable("".join(table.get(character, character) for character in text))
