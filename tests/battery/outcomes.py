"""The tests of the conformance suite that fail in a run of pytester."""

from __future__ import annotations

import re

import pytest

_FAILED = re.compile(r"(?:FAILED|ERROR) \S*?(test_veeqo_alloc_\w+)\.py::(.+?)(?: - .*)?")


def failed_tests(result: pytest.RunResult) -> set[str]:
    """Return the failed tests of a run as `module::test`."""
    return {f"{match[1]}::{match[2]}" for line in result.outlines if (match := _FAILED.fullmatch(line))}


def as_set(tests: str | tuple[str, ...]) -> set[str]:
    """Return *tests*, one name or several, as a set."""
    return {tests} if isinstance(tests, str) else set(tests)
