"""The conformance suite as the documentation describes it: its commands, its numbers and its output."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.live import KEY
from support.pages import blocks, files_of, missing_lines, page
from werkzeug.serving import make_server

from pytest_veeqo_alloc import serve_fake
from pytest_veeqo_alloc.contract.deviations import parse

SUITE = "pytest_veeqo_alloc.conformance"
BUG = 'order["line_items"] = ['
ADDRESS = "127.0.0.1:8000"
"""The address of the server in the documentation."""

_COUNTS = re.findall(r"\b(\d+)(?: of them)? tests?\b", page("howto/conformance.md"))
ALL, OF_SERVER, OF_CLIENT = map(int, _COUNTS[:3])
"""The documented numbers of tests."""


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)


def tutorial_app(pytester: pytest.Pytester, *, has_bug: bool = False, route: str = "/allocations") -> None:
    """Write the files of the server tutorial, with or without its bug, and with *route* as the end of its path."""
    for file, code in files_of("tutorial-server.md"):
        lines = [line for line in code.splitlines() if has_bug or not line.strip().startswith(BUG)]
        text = "\n".join(lines).replace('/allocations")\ndef', f'{route}")\ndef')
        (pytester.path / file).write_text(text, encoding="utf-8")


@contextmanager
def running_app(path: Path) -> Iterator[str]:
    """Run the Flask app in the file *path*, and yield its host and port."""
    server = make_server("127.0.0.1", 0, runpy.run_path(str(path))["app"], threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()


def run_command(pytester: pytest.Pytester, name: str, address: str, *more: str) -> pytest.RunResult:
    """Run the command of the page *name* that tests the server at `ADDRESS`, against the server at *address*."""
    (block,) = (block for block in blocks("console", page(name)) if "--veeqo-alloc-base-url" in block)
    *_, command = block.replace("\\\n", " ").replace(ADDRESS, address).strip().split("\n")
    options = shlex.split(command.removeprefix("$ pytest"))
    return pytester.runpytest_inprocess(*options, "-W", "error", "-p", "no:randomly", *more)


def with_shown_order(result: pytest.RunResult) -> str:
    """Return the output of *result* with the order id of the documentation in place of its own, which is random."""
    return re.sub(r"(?<=orders/)\d+|(?<=to order )\d+", "7000001", result.stdout.str())


def text_block(name: str, word: str) -> str:
    """Return the block of output with *word* on the page *name*."""
    (block,) = (block for block in blocks("text", page(name)) if word in block)
    return block


def test_mistyped_route_fails_as_shown_in_the_tutorial(pytester: pytest.Pytester) -> None:
    tutorial_app(pytester, route="/allocation")
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(failed=1)
    assert missing_lines(text_block("tutorial-server.md", "404"), result) == []


def test_mistyped_route_stops_the_suite_as_shown(pytester: pytest.Pytester) -> None:
    tutorial_app(pytester, route="/allocation")
    with running_app(pytester.path / "app.py") as address:
        result = run_command(pytester, "tutorial-server.md", address)
    result.assert_outcomes(errors=1, deselected=OF_CLIENT)
    shown = text_block("howto/conformance.md", "answered a documented allocation").replace(ADDRESS, address)
    assert shown in with_shown_order(result)


def test_corrected_server_of_the_tutorial_passes_the_suite(pytester: pytest.Pytester) -> None:
    tutorial_app(pytester)
    with running_app(pytester.path / "app.py") as address:
        result = run_command(pytester, "tutorial-server.md", address)
    result.assert_outcomes(passed=OF_SERVER, deselected=OF_CLIENT)
    warnings = [line for line in result.outlines if line.startswith("veeqo-alloc: warning: ")]
    shown = text_block("tutorial-server.md", "warning").splitlines()
    assert [line for line in shown if line not in warnings] == []
    assert [line for line in warnings if "[" not in line] == [], "each begins with the name of a test"


def test_strict_profile_fails_each_test_that_warns(pytester: pytest.Pytester) -> None:
    tutorial_app(pytester)
    with running_app(pytester.path / "app.py") as address:
        warned = run_command(pytester, "tutorial-server.md", address)
        failed = run_command(pytester, "tutorial-server.md", address, "--veeqo-alloc-profile=strict")
    names = {line.split(": ")[2] for line in warned.outlines if line.startswith("veeqo-alloc: warning: ")}
    assert {
        line.partition("::")[2].partition(" - ")[0] for line in failed.outlines if line.startswith("FAILED")
    } == names


def test_failure_of_a_server_is_as_shown(pytester: pytest.Pytester) -> None:
    tutorial_app(pytester, has_bug=True)
    with running_app(pytester.path / "app.py") as address:
        result = run_command(pytester, "howto/conformance.md", address, "-k", "follows_rule", "--junitxml=report.xml")
    assert result.parseoutcomes()["failed"] == 1
    shown = text_block("howto/conformance.md", "wrong-type").replace(ADDRESS, address)
    assert shown in with_shown_order(result)
    report = (pytester.path / "report.xml").read_text(encoding="utf-8")
    assert report.count('<property name="veeqo_alloc_command" value="curl ') == 1


@pytest.mark.parametrize(
    ("module", "count"), [("", ALL), (".test_veeqo_alloc_client", OF_CLIENT)], ids=["the suite", "of a client"]
)
def test_number_of_tests_is_as_documented(pytester: pytest.Pytester, module: str, count: int) -> None:
    result = pytester.runpytest_inprocess("--collect-only", "-q", "--pyargs", f"{SUITE}{module}")
    assert sum("::test_" in line for line in result.outlines) == count
    assert ALL == OF_SERVER + OF_CLIENT


def test_client_of_the_page_passes_with_the_shown_command(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((file, code),) = files_of("howto/conformance.md")
    path = pytester.path / file
    path.parent.mkdir()
    path.write_text(code, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    (block,) = (block for block in blocks("console") if "--veeqo-alloc-client " in block)
    result = pytester.runpytest_inprocess(*shlex.split(block.removeprefix("$ pytest ")), "-W", "error")
    result.assert_outcomes(passed=OF_CLIENT, deselected=OF_SERVER)


def test_own_test_file_shows_warnings_with_the_name_of_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, code),) = files_of("howto/conformance.md")
    (line,) = re.findall(r"`(from pytest_veeqo_alloc.conformance\.\w+ import \*)`", page("howto/conformance.md"))
    pytester.makepyfile(shop=code.replace('/allocations",', '/allocations?page=1",'), test_mine=line)
    monkeypatch.setattr(sys, "path", [*sys.path])
    result = pytester.runpytest_inprocess("-W", "error", "-k", "query", "--veeqo-alloc-client=shop:make_client")
    result.assert_outcomes(passed=1, deselected=OF_CLIENT - 1)
    assert [line for line in result.outlines if line.startswith("veeqo-alloc: ")][1:] == [
        "veeqo-alloc: warning: test_request_follows_rule[undocumented-query]: at request query:page: "
        "wanted no query parameter; got a query parameter"
    ]


def test_incomplete_run_ends_as_shown(pytester: pytest.Pytester) -> None:
    (pytester.path / "pool.toml").write_text(
        "[[order]]\nid = 447452\nwarehouse_id = 1784\nsellables = { 1226615 = 3 }\n", encoding="utf-8"
    )
    with serve_fake(api_key=KEY) as server:
        address = server.url.partition("://")[2]
        result = run_command(
            pytester, "howto/conformance.md", address, "--veeqo-alloc-orders=pool.toml", "--veeqo-alloc-max-writes=5",
            "--veeqo-alloc-rate=5",
        )  # fmt: skip
        server.reset()
    assert result.ret == 0
    first = next(index for index, line in enumerate(result.outlines) if "INCOMPLETE" in line)
    shown = text_block("howto/conformance.md", "INCOMPLETE").splitlines()
    found = [re.sub(r"order \d{16} ", "order 4503599627370537 ", line) for line in result.outlines]  # it is random
    assert found[first : first + len(shown)] == shown


def test_second_run_passes_against_a_server_that_keeps_its_orders(pytester: pytest.Pytester) -> None:
    with serve_fake(api_key=KEY) as server:
        address = server.url.partition("://")[2]
        for _ in range(2):
            options = ("-k", "accumulated or race", "--veeqo-alloc-profile=strict")
            result = run_command(pytester, "howto/conformance.md", address, *options)
            result.assert_outcomes(passed=2, deselected=ALL - 2)
        server.reset()


def test_deviations_of_behaviours_are_valid() -> None:
    (text,) = blocks("toml", page("howto/conformance.md"))
    rules = [deviation.rule for deviation in parse(text)]
    assert rules == ["key-not-required", "client-without-timeout"]
