"""Collection hooks that find the suite's tests regardless of the user's `python_files` and `python_functions`."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent


class ConformanceModule(pytest.Module):
    """A test module of the suite. Its tests are named `test_*`, whatever `python_functions` says."""

    def funcnamefilter(self, name: str) -> bool:
        """Return whether *name* is the name of a test."""
        return name.startswith("test_")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a module of the suite unless pytest collects it itself. Return None for any other file."""
    patterns = parent.config.getini("python_files")
    is_collected = any(fnmatch.fnmatch(file_path.name, pattern) for pattern in patterns)
    if is_collected or parent.session.isinitpath(file_path):
        return None
    return pytest_pycollect_makemodule(file_path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Return a `ConformanceModule` for a module of the suite, or None for any other module."""
    if module_path.parent != _FOLDER or not module_path.match("test_veeqo_alloc_*.py"):
        return None
    # The node id is the name alone, so that ids do not depend on the folder in which the suite is run.
    module: pytest.Module = ConformanceModule.from_parent(parent, path=module_path, nodeid=module_path.name)
    return module
