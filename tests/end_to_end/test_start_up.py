"""What loading the plugin costs in runs that do not use it, and what depends on the options of the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.plugins import disable_others

import pytest_veeqo_alloc
from pytest_veeqo_alloc.spec.loader import read_shipped_text

HEAVY = (
    "jsonschema",
    "vcr",
    "hypothesis",
    "requests",
    "yaml",
    "jinja2",
    "http.server",
    "pytest_veeqo_alloc.api",
    "msgspec",
    "httptools",
)
OTHERS = (*disable_others(), "-p", "no:cacheprovider")


def test_unused_plugin_loads_no_heavy_module(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(f"import sys\n\ndef test_it():\n    assert [m for m in {HEAVY!r} if m in sys.modules] == []\n")
    command = [sys.executable, "-m", "pytest", "-q", *OTHERS, "-c", "/dev/null", "--rootdir", str(tmp_path), str(test)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    assert "veeqo" not in done.stdout


def test_properties_of_other_tests_load_no_heavy_module(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(record_property):\n    record_property('a', 'b')\n", encoding="utf-8"
    )
    hook = f"import sys\n\ndef pytest_unconfigure():\n    print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    (tmp_path / "conftest.py").write_text(hook, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *OTHERS,
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    assert "HEAVY []" in done.stdout, done.stdout


def test_contract_does_not_load_jsonschema() -> None:
    code = "import sys; from pytest_veeqo_alloc import Contract; Contract('strict').check_body('request', {}); print('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_report_loads_no_jsonschema_and_jinja2_only_for_a_page(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(veeqo_alloc_contract):\n    veeqo_alloc_contract.check_body('request', {})\n", encoding="utf-8"
    )
    hook = f"import sys\n\ndef pytest_unconfigure():\n    print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    (tmp_path / "conftest.py").write_text(hook, encoding="utf-8")
    for kind, loaded in (("json", []), ("html", ["jinja2"])):
        report = ("--veeqo-alloc-report", str(tmp_path / f"out.{kind}"))
        command = [sys.executable, "-m", "pytest", "-q", *OTHERS, "-c", "/dev/null", "--rootdir", str(tmp_path)]
        done = subprocess.run([*command, *report, str(tmp_path)], capture_output=True, text=True, check=False)
        assert f"HEAVY {[*loaded, 'pytest_veeqo_alloc.api', 'msgspec']}" in done.stdout, done.stdout


def test_rules_command_loads_neither_a_server_nor_hypothesis() -> None:
    heavy = ("hypothesis", "requests", "jsonschema", "jinja2", "http.server", "pytest_veeqo_alloc.server")
    code = f"import sys; from pytest_veeqo_alloc.cli.main import main; main(['rules']); print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("limit", [640, 0])
def test_verdict_is_independent_of_the_digit_limit_of_the_interpreter(limit: int) -> None:
    code = (
        "from pytest_veeqo_alloc import Contract\n"
        "bodies = [b'[' + b'9' * digits + b']' for digits in (600, 5000)]\n"
        "print([[f.rule for f in Contract('strict').check_body('response', body)] for body in bodies])\n"
    )
    command = [sys.executable, "-X", f"int_max_str_digits={limit}", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[['wrong-type'], ['wrong-type', 'non-finite-number']]\n"


def test_bundled_cassette_plays_from_a_zip_file(tmp_path: Path) -> None:
    package = Path(pytest_veeqo_alloc.__file__).parent
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for path in package.rglob("*.py"):
            archive.write(path, path.relative_to(package.parent))
        for name in (
            "schemas/operation.json",
            "schemas/request.json",
            "schemas/response.json",
            "cassettes/created.yaml",
        ):
            archive.writestr(f"pytest_veeqo_alloc/_shipped/{name}", read_shipped_text(name))
    code = """
from pathlib import Path
import requests
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.recording import bundled_names
from pytest_veeqo_alloc.recording.session import Cassettes

with Cassettes(Engine(), Path("nothing"), "none", None).use("created"):
    url = "https://shop.example.net/orders/99/allocations"
    print(bundled_names(), requests.post(url, json={"allocation": {}}, timeout=10).status_code)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "package.zip"), "PYTHONSAFEPATH": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("('created',) 201\n", "")
