"""What loading the plugin costs everybody who has it installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.plugins import disable_others

import pytest_veeqo_alloc

HEAVY = ("jsonschema", "vcr", "hypothesis", "requests", "yaml", "jinja2", "http.server", "pytest_veeqo_alloc.api")
OTHERS = (*disable_others(), "-p", "no:cacheprovider")


def test_a_run_that_does_not_use_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(f"import sys\n\ndef test_it():\n    assert [m for m in {HEAVY!r} if m in sys.modules] == []\n")
    command = [sys.executable, "-m", "pytest", "-q", *OTHERS, "-c", "/dev/null", "--rootdir", str(tmp_path), str(test)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    assert "veeqo" not in done.stdout


def test_a_run_whose_tests_record_properties_of_their_own_loads_nothing_heavy_at_its_end_either(tmp_path: Path) -> None:
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


def test_the_contract_is_used_without_jsonschema() -> None:
    code = "import sys; from pytest_veeqo_alloc import Contract; Contract('strict').check_body('request', {}); print('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_run_that_writes_a_report_does_not_load_jsonschema_and_a_page_alone_loads_jinja2(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(veeqo_alloc_contract):\n    veeqo_alloc_contract.check_body('request', {})\n", encoding="utf-8"
    )
    hook = f"import sys\n\ndef pytest_unconfigure():\n    print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    (tmp_path / "conftest.py").write_text(hook, encoding="utf-8")
    for kind, loaded in (("json", []), ("html", ["jinja2"])):
        report = ("--veeqo-alloc-report", str(tmp_path / f"out.{kind}"))
        command = [sys.executable, "-m", "pytest", "-q", *OTHERS, "-c", "/dev/null", "--rootdir", str(tmp_path)]
        done = subprocess.run([*command, *report, str(tmp_path)], capture_output=True, text=True, check=False)
        assert f"HEAVY {[*loaded, 'pytest_veeqo_alloc.api']}" in done.stdout, done.stdout


def test_every_public_name_is_there_and_no_other() -> None:
    for name in pytest_veeqo_alloc.__all__:
        assert getattr(pytest_veeqo_alloc, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'contrcat'"):
        _ = pytest_veeqo_alloc.contrcat  # type: ignore[attr-defined]  # the missing name is what is tested
