"""What a run pays before its first test: imports of the plugin, beside others, and the first finding."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import time

from measure import Row, rounds

HEAVY = ("jsonschema", "vcr", "hypothesis", "requests", "yaml", "jinja2", "http.server")
PLUGINS = {
    "pytest-veeqo-alloc": "pytest_veeqo_alloc.plugin",
    "pytest-recording": "pytest_recording.plugin",
    "hypothesis": "hypothesis",
    "schemathesis": "schemathesis.pytest.plugin",
    "pact-python": "pact",
}
_FIRST_FINDING = """
import time, pytest, pytest_veeqo_alloc.plugin
start = time.perf_counter()
from pytest_veeqo_alloc.api import Contract
assert not Contract().check_body("response", b'{"id": 1}').ok
print(time.perf_counter() - start)
import sys
assert "jsonschema" not in sys.modules
"""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def own_import() -> float:
    """Seconds of our own in the import of the plugin, where pytest is loaded already; the least of five."""

    def once() -> float:
        told = _python("-X", "importtime", "-c", "import pytest, pytest_veeqo_alloc.plugin").stderr
        rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told)
        return sum(int(own) for own, name in rows if name.startswith("pytest_veeqo_alloc")) / 1e6

    return min(once() for _ in range(5))


def heavy_modules() -> str:
    """The heavy libraries that the import of each plugin loads."""
    told = []
    for name, module in PLUGINS.items():
        code = f"import sys, {module}; print(*[each for each in {HEAVY!r} if each in sys.modules])"
        told.append(f"| {name} {importlib.metadata.version(name)} | {_python('-c', code).stdout.strip() or 'none'} |")
    return "\n".join(["| | heavy modules loaded |", "| --- | --- |", *told])


def importing() -> list[Row]:
    """Seconds for a process that imports pytest and the plugin."""

    def timed(code: str) -> float:
        start = time.perf_counter()
        _python("-c", code)
        return time.perf_counter() - start

    rows = {"pytest alone": lambda: timed("import pytest"), "again": lambda: timed("import pytest")}
    rows |= {name: lambda module=module: timed(f"import pytest, {module}") for name, module in PLUGINS.items()}  # type: ignore[misc]  # a default binds the loop's name
    return rounds(rows, 9)


def first_finding() -> float:
    """Seconds from where the fixture `veeqo_alloc_contract` would be asked for to the first finding; the least of nine."""
    return min(float(_python("-c", _FIRST_FINDING).stdout) for _ in range(9))
