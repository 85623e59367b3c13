"""Collection of the suite, whatever the user's `python_files` and `python_functions` are."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent


class ConformanceModule(pytest.Module):
    """A module of the suite, whose tests are named `test_*`."""

    def funcnamefilter(self, name: str) -> bool:
        """Return whether *name* is that of a test."""
        return name.startswith("test_")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a module of the suite that the user's `python_files` would leave out."""
    patterns = parent.config.getini("python_files")
    is_collected = any(fnmatch.fnmatch(file_path.name, pattern) for pattern in patterns)
    if is_collected or parent.session.isinitpath(file_path):
        return None
    return pytest_pycollect_makemodule(file_path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Return a `ConformanceModule` for a module of the suite, and leave other modules to pytest."""
    if module_path.parent != _FOLDER or not module_path.match("test_veeqo_alloc_*.py"):
        return None
    # The name alone as the id: ids are the same from wherever the suite is run.
    module: pytest.Module = ConformanceModule.from_parent(parent, path=module_path, nodeid=module_path.name)
    return module
