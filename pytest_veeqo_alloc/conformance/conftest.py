"""Collects the suite whatever the user's `python_files` and `python_functions` say."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


class ConformanceModule(pytest.Module):
    """A module of the suite, whose tests are called `test_*`."""

    def funcnamefilter(self, name: str) -> bool:
        """Whether *name* is that of a test."""
        return name.startswith("test_")


def _is_ours(path: Path) -> bool:
    return path.parent == _HERE and path.name.startswith("test_veeqo_alloc_") and path.suffix == ".py"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A module of ours that pytest itself would pass over."""
    patterns = parent.config.getini("python_files")
    known = any(fnmatch.fnmatch(file_path.name, pattern) for pattern in patterns)
    if not _is_ours(file_path) or known or parent.session.isinitpath(file_path):
        return None
    return _module(file_path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A module of ours that pytest itself would take."""
    return _module(module_path, parent) if _is_ours(module_path) else None


def _module(path: Path, parent: pytest.Collector) -> pytest.Module:
    # The ids are those of the documentation, from wherever the suite is run.
    module: pytest.Module = ConformanceModule.from_parent(parent, path=path, nodeid=path.name)
    return module
