"""The conformance suite as users run it, and its messages if it cannot test a target."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
import yaml
from support.pages import files_of
from support.servers import closed_port, serving
from support.staging import staging

from pytest_veeqo_alloc import serve_fake

SUITE = "pytest_veeqo_alloc.conformance"
KEY = "canary-key-of-a-test"
EXAMPLES = Path(__file__).parents[2] / "examples"
STRICT_OPTIONS = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)


def run(pytester: pytest.Pytester, *options: str, tests: str = SUITE) -> pytest.RunResult:
    result = pytester.runpytest_subprocess("--pyargs", tests, *STRICT_OPTIONS, *options, timeout=120)
    result.stdout.no_fnmatch_line(f"*{KEY}*")
    return result


def at(url: str, *more: str, orders: str = "any", writes: int = 500) -> tuple[str, ...]:
    host = url.partition("://")[2].partition("/")[0]
    return (f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={host}", f"--veeqo-alloc-orders={orders}",
            f"--veeqo-alloc-max-writes={writes}", *more)  # fmt: skip


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_bundled_fake_and_reference_client_pass(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    result = run(pytester, *options)
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= 60
    result.stdout.fnmatch_lines(
        ["veeqo-alloc: *server the bundled fake under the strict profile, client the reference client"]
    )
    result.stdout.no_fnmatch_line("veeqo-alloc: warning*")


def test_suite_is_collected_with_other_naming_patterns(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npython_files = check_*.py\npython_functions = check_*\n")
    for named, count in ((SUITE, 110), (f"{SUITE}.test_veeqo_alloc_state", 2)):
        collected = [line for line in run(pytester, "--collect-only", "-q", tests=named).outlines if "::test_" in line]
        assert len(collected) >= count


def test_ids_do_not_depend_on_how_the_suite_is_named(pytester: pytest.Pytester) -> None:
    one = "test_veeqo_alloc_state.py::test_allocations_add_up[allocations-not-accumulated]"
    for named in (SUITE, f"{SUITE}.test_veeqo_alloc_state"):
        assert one in run(pytester, "--collect-only", "-q", tests=named).outlines


def test_tests_are_selected_by_basis(pytester: pytest.Pytester) -> None:
    if tuple(map(int, pytest.__version__.split(".")[:2])) < (8, 3):
        pytest.skip("this pytest selects by the names of markers alone")
    lines = run(pytester, "--collect-only", "-q", "-m", "veeqo_alloc_basis(basis='rfc')").outlines
    assert any("test_response_follows_rule[not-json]" in line for line in lines)
    assert not any("test_response_follows_rule[total]" in line for line in lines)


def test_server_in_another_process_is_tested_through_the_guards(pytester: pytest.Pytester) -> None:
    with serve_fake(api_key=KEY) as server:
        result = run(pytester, *at(server.url, "--veeqo-alloc-rate=1000", "-p", "no:randomly"))
        server.reset()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["veeqo-alloc: profile documented, target http://127.0.0.1:*"])
    assert list(pytester.path.glob("veeqo-alloc-journal-127.0.0.1-*.jsonl"))


def test_tests_beyond_budget_and_pool_are_skipped_and_listed(pytester: pytest.Pytester) -> None:
    (pytester.path / "pool.toml").write_text(
        "[[order]]\nid = 447452\nwarehouse_id = 1784\nsellables = { 1226615 = 3 }\n", encoding="utf-8"
    )
    with serve_fake(api_key=KEY) as server:
        result = run(pytester, *at(server.url, "-p", "no:randomly", orders="pool.toml", writes=2))
        assert len([i for i in server.interactions if i.request is not None and i.request.method == "POST"]) == 2
        server.reset()
    result.stdout.fnmatch_lines([
        "veeqo-alloc: INCOMPLETE: * tests could not be run",
        "veeqo-alloc:   the order pool has no unused order with 1 sellable(s) of 1 unit(s) each: *",
        "veeqo-alloc:   the budget of 2 writes is spent (--veeqo-alloc-max-writes): *",
    ])  # fmt: skip


def test_client_tests_are_skipped_without_a_client(pytester: pytest.Pytester) -> None:
    with serve_fake(api_key=KEY) as server:
        result = run(pytester, "-rs", *at(server.url), tests=f"{SUITE}.test_veeqo_alloc_client")
    assert result.parseoutcomes().keys() == {"skipped"}
    result.stdout.no_fnmatch_line("*frames*")
    result.stdout.fnmatch_lines([
        "SKIPPED * no client is named: implement the hook pytest_veeqo_alloc_client(request) in a conftest.py, or give "
        "--veeqo-alloc-client module:make_client or --veeqo-alloc-client-command 'COMMAND'"
    ])  # fmt: skip


class _Reset(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.connection.close()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def untrusted_certificate() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with staging(context) as server:
        yield server.url.replace("http:", "https:")


UNUSABLE_TARGETS = {
    "down": (closed_port, "GET to 127.0.0.1:* got no response: connection refused"),
    "resets": (lambda: serving(_Reset), "GET to 127.0.0.1:* got no response: connection broken or response not HTTP"),
    "a bad certificate": (untrusted_certificate, "GET to 127.0.0.1:* got no response: TLS certificate not trusted"),
}  # fmt: skip


def test_timeout_must_be_a_number(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--veeqo-alloc-client-timeout=soon")
    result.stderr.fnmatch_lines(
        ["ERROR: veeqo-alloc: --veeqo-alloc-client-timeout must be a number of seconds above 0, not 'soon'"]
    )


def test_every_test_states_its_basis(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
def pytest_collection_modifyitems(items):
    bare = [item.nodeid for item in items if item.get_closest_marker("veeqo_alloc_basis") is None]
    assert bare == []
""")  # fmt: skip
    assert run(pytester, "--collect-only", "-q", "--rootdir=.").ret == 0


@pytest.mark.parametrize("name", UNUSABLE_TARGETS)
def test_unusable_target_stops_the_run_with_one_sentence(pytester: pytest.Pytester, name: str) -> None:
    target, sentence = UNUSABLE_TARGETS[name]
    with target() as url:
        result = run(pytester, *at(url, "-p", "no:randomly"))
    assert {**result.parseoutcomes(), "deselected": 0} == {"errors": 1, "deselected": 0}
    result.stdout.fnmatch_lines([f"veeqo-alloc: {sentence}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_missing_write_permission_stops_the_run(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--veeqo-alloc-base-url=https://staging.example.com", "-p", "no:randomly")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["  - limit the number of writes: *", "*writing to the server under test is not permitted*"]
    )


def copy_example(pytester: pytest.Pytester, name: str) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(EXAMPLES / name, pytester.path, dirs_exist_ok=True, ignore=ignored)


def test_requests_example_passes_its_test_and_the_suite(pytester: pytest.Pytester) -> None:
    copy_example(pytester, "client_requests")
    pytester.runpytest_subprocess(*STRICT_OPTIONS).assert_outcomes(passed=2)
    result = run(pytester)
    assert result.parseoutcomes().keys() == {"passed", "deselected"}
    result.stdout.fnmatch_lines(["veeqo-alloc: *client from the hook"])


def test_httpx_example_passes_the_suite(pytester: pytest.Pytester) -> None:
    copy_example(pytester, "client_httpx")
    result = run(pytester)
    assert result.parseoutcomes().keys() == {"passed", "deselected"}
    result.stdout.fnmatch_lines(["veeqo-alloc: *client shop_async:make_client"])


def test_example_with_its_own_test_file_passes(pytester: pytest.Pytester) -> None:
    copy_example(pytester, "own_file")
    result = pytester.runpytest_subprocess("-v", *STRICT_OPTIONS, timeout=120)
    assert result.parseoutcomes().keys() == {"passed", "xfailed"}
    result.stdout.fnmatch_lines(
        ["test_contract.py::test_client_sends_the_key_to_no_other_host?key-sent-elsewhere? PASSED*"]
    )


@pytest.mark.parametrize("options", [(), ("--fixed",)], ids=["bug", "fixed"])
def test_server_example_fails_until_its_bug_is_fixed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", "example-key")
    copy_example(pytester, "server_wsgi")
    with subprocess.Popen(
        [sys.executable, "app.py", "0", *options],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            result = run(pytester, *at(url, "--veeqo-alloc-rate=1000", "--veeqo-alloc-profile=strict"))
        finally:
            server.kill()
    if options:
        assert "failed" not in result.parseoutcomes()
    else:
        result.stdout.fnmatch_lines(["*FAILED *test_response_follows_rule?wrong-type?*"])


@pytest.mark.parametrize("server", ["application", "live server"])
def test_django_example_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent / "tests"), prepend=os.pathsep)
    copy_example(pytester, "server_django")
    if server == "live server":
        *_, (_, hook) = files_of("howto/django.md")
        with (pytester.path / "conftest.py").open("a", encoding="utf-8") as file:
            file.write(hook)
    # The threads of a live server share the only connection to a database in memory, which fails simultaneous requests.
    selected = ("-k", "not simultaneous") if server == "live server" else ()
    result = pytester.runpytest_subprocess(*STRICT_OPTIONS, *selected, "-p", "support.django_fixtures", timeout=300)
    expected = {"passed", "deselected"} if server == "live server" else {"passed", "skipped"}
    assert (result.ret, set(result.parseoutcomes()) - {"warnings"}) == (0, expected)


def test_fastapi_example_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    copy_example(pytester, "server_fastapi")
    result = pytester.runpytest_subprocess(*STRICT_OPTIONS, timeout=300)
    assert (result.ret, set(result.parseoutcomes())) == (0, {"passed"})


def test_staging_job_is_safe() -> None:
    job = yaml.safe_load((EXAMPLES / "ci" / "staging.yml").read_text(encoding="utf-8"))
    assert job[True].keys() == {"schedule", "workflow_dispatch"}, (
        "no run for a pull request: a fork must not see the key"
    )
    assert job["concurrency"] == {"group": "staging-contract", "cancel-in-progress": False}
    *_, clean_up, keep = job["jobs"]["check"]["steps"]
    assert (clean_up["if"], keep["if"]) == ("always()", "always()")
    assert "cleanup journal.jsonl" in clean_up["run"]
    assert {"journal.jsonl", "report.xml"} == set(keep["with"]["path"].split())


def test_examples_use_existing_options(pytester: pytest.Pytester) -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8") + (EXAMPLES / "ci" / "staging.yml").read_text(
        encoding="utf-8"
    )
    known = pytester.runpytest_subprocess("--help").stdout.str()
    assert [option for option in set(re.findall(r"--veeqo-alloc-[a-z-]+", text)) if option not in known] == []


# Coverage


@pytest.mark.with_plugins("xdist")
def test_run_reports_its_coverage(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(*STRICT_OPTIONS, "--pyargs", SUITE, "-n", "2", "-k", "state")
    assert result.ret == 0
    assert any("interactions (" in line and "from the fake), " in line for line in result.outlines)


NOTHING = """
import pytest

@pytest.fixture
def _veeqo_alloc_server_under_test():
    class Nothing:
        def __getattr__(self, name):
            return self
        def __call__(self, *args, **kwargs):
            return self
        def __iter__(self):
            return iter(())
    return Nothing()
"""


def test_run_that_checked_nothing_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(NOTHING)
    named = ("--pyargs", SUITE, "-k", "answers and wrong-status")
    result = pytester.runpytest_subprocess(*STRICT_OPTIONS, *named)
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    assert "veeqo-alloc: error: the conformance suite passed without checking any interaction" in result.outlines
    assert pytester.runpytest_subprocess(*STRICT_OPTIONS, *named, "--collect-only").ret == 0
