"""Start-up: the import of the plugin, compared with other plugins, and the time to the first finding."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import time

from measure import Row, rounds

HEAVY = ("jsonschema", "vcr", "hypothesis", "requests", "yaml", "jinja2", "http.server", "msgspec", "httptools")
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


def measure_own_import() -> float:
    """Return the seconds that our own modules take when the plugin is imported after pytest; the best of five runs."""

    def once() -> float:
        output = _python("-X", "importtime", "-c", "import pytest, pytest_veeqo_alloc.plugin").stderr
        rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", output)
        return sum(int(own) for own, name in rows if name.startswith("pytest_veeqo_alloc")) / 1e6

    return min(once() for _ in range(5))


def heavy_modules() -> str:
    """Return a Markdown table of the heavy libraries that the import of each plugin loads."""
    rows = []
    for name, module in PLUGINS.items():
        code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
        rows.append(f"| {name} {importlib.metadata.version(name)} | {_python('-c', code).stdout.strip() or 'none'} |")
    return "\n".join(["| | heavy modules loaded |", "| --- | --- |", *rows])


def measure_imports() -> list[Row]:
    """Measure a process that imports pytest and a plugin."""

    def timed(code: str) -> float:
        start = time.perf_counter()
        _python("-c", code)
        return time.perf_counter() - start

    rows = {"pytest alone": lambda: timed("import pytest"), "again": lambda: timed("import pytest")}
    rows |= {name: lambda module=module: timed(f"import pytest, {module}") for name, module in PLUGINS.items()}  # type: ignore[misc]  # the default binds the loop variable
    return rounds(rows, 9)


def measure_first_finding() -> float:
    """Return the seconds from the first use of `Contract` to the first finding; the best of nine processes."""
    return min(float(_python("-c", _FIRST_FINDING).stdout) for _ in range(9))
