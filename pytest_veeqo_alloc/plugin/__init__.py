"""The pytest plugin: options, fixtures, markers and summary."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_veeqo_alloc.plugin import hookspecs
from pytest_veeqo_alloc.plugin.fixtures import (
    MARKER,
    PASSED,
    USED,
    _veeqo_alloc_server_runner,
    veeqo_alloc_cassette,
    veeqo_alloc_contract,
    veeqo_alloc_orders,
    veeqo_alloc_schemas,
    veeqo_alloc_server,
    veeqo_alloc_server_settings,
    veeqo_alloc_target,
    veeqo_alloc_watch,
)
from pytest_veeqo_alloc.plugin.fixtures_conformance import (
    _veeqo_alloc_client_assertions,
    _veeqo_alloc_server_assertions,
    _veeqo_alloc_server_under_test,
    is_client_named,
    replacement_for,
    uncovered_reason,
    veeqo_alloc_client,
)
from pytest_veeqo_alloc.plugin.observers import test_failure, trim_traceback, warnings_of
from pytest_veeqo_alloc.plugin.options import OPTIONS, add_options, is_conformance_run, is_option_set, setting
from pytest_veeqo_alloc.plugin.run_state import checked_count, contract_of, listener_of

__all__ = [
    "_veeqo_alloc_client_assertions",
    "_veeqo_alloc_server_assertions",
    "_veeqo_alloc_server_runner",
    "_veeqo_alloc_server_under_test",
    "veeqo_alloc_cassette",
    "veeqo_alloc_client",
    "veeqo_alloc_contract",
    "veeqo_alloc_orders",
    "veeqo_alloc_schemas",
    "veeqo_alloc_server",
    "veeqo_alloc_server_settings",
    "veeqo_alloc_target",
    "veeqo_alloc_watch",
]

# Where the plugin is named by hand and not found by its entry point, the suite's assertions would tell nothing.
pytest.register_assert_rewrite("pytest_veeqo_alloc.conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini keys."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """The hook for a client under test."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """A wrong setting stops the run at once, in one sentence, rather than every test."""
    config.addinivalue_line(
        "markers", f"{MARKER}(name, ...): play this cassette for the whole test; see the fixture of the same name"
    )
    config.addinivalue_line(
        "markers",
        "veeqo_alloc_basis(basis): what a test of the conformance suite rests on: documented, rfc or convention",
    )
    if any(setting(config, name) for name, *_ in OPTIONS):
        contract_of(config)
    if setting(config, "base-url"):
        from pytest_veeqo_alloc.plugin.live import NAME, LivePlugin  # not before a foreign server is named

        config.pluginmanager.register(LivePlugin(config), NAME)
    if is_option_set(config, "report") or is_option_set(config, "coverage-min") or is_conformance_run(config):
        from pytest_veeqo_alloc.plugin.coverage import COUNTING, ReportPlugin  # not before somebody counts

        config.pluginmanager.register(ReportPlugin(config), COUNTING)
    if (timeout := setting(config, "client-timeout")) and not timeout.replace(".", "", 1).isdecimal():
        raise pytest.UsageError(f"veeqo-alloc: --veeqo-alloc-client-timeout is a number of seconds, not {timeout!a}")
    if mode := setting(config, "record-mode"):
        from pytest_veeqo_alloc.recording.paths import validate_mode  # not before somebody records

        try:
            validate_mode(mode)
        except ValueError as error:
            raise pytest.UsageError(f"veeqo-alloc: {error}") from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """One line, and only where something was set."""
    given = {name: setting(config, name) for name, *_ in OPTIONS}
    suite = is_conformance_run(config)
    if not any(given.values()) and not suite:
        return None
    parts = [f"profile {given['profile'] or 'documented'}", *given["rule"]]
    parts += [f"deviations {ascii(named)[1:-1]}" for named in given["deviations"]]
    parts += [f"report {ascii(path)[1:-1]}" for path in given["report"]]
    parts += [f"coverage at least {ascii(given['coverage-min'])[1:-1]} %"] if given["coverage-min"] else []
    parts += ["values shown"] if given["show-values"] else []
    parts += [f"record mode {ascii(given['record-mode'])[1:-1]}"] if given["record-mode"] else []
    # What stands before the host could be a password.
    parts += [f"target {ascii(given['base-url'].rpartition('@')[2])[1:-1]}"] if given["base-url"] else []
    if suite:
        client = ascii(given["client"] or ("of the hook" if is_client_named(config) else ""))[1:-1]
        own = not any(given.values()) and not client
        if not given["base-url"]:
            parts.append("server none" if client else "server our own fake, judged strictly")
        parts.append(f"client {client or ('the reference client' if own else 'none')}")
    return f"veeqo-alloc: {', '.join(parts)}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is checked from here on belongs to this test."""
    listener_of(item.config).begin(item.nodeid)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that is marked to play a cassette uses the fixture first, so that its other fixtures play it too."""
    names = getattr(item, "fixturenames", None)
    if names is not None and MARKER not in names and item.get_closest_marker(MARKER) is not None:
        names.insert(0, MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """What was wrong before the eyes of a fixture fails the test in its call phase, so that xfail and -x see a failed
    test."""
    try:
        outcome = yield
    except BaseException as error:
        failure = _verdict(item)
        if getattr(error, "is_of_conformance", False) and (instead := replacement_for(item, error)) is not None:
            raise instead from None
        if failure is not None and str(error) not in str(failure):
            item.add_report_section("call", "veeqo-alloc", str(failure))
        raise
    if failure := _verdict(item):
        raise failure
    return outcome


def _verdict(item: pytest.Item) -> BaseException | None:
    """What fails the test, or None; its reports get their properties."""
    failure = test_failure(item)  # first, since it checks what was only watched until now
    listener_of(item.config).finish(item)
    return failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells the fixture of cassettes whether the test passed, and the summary what was used."""
    if call.excinfo is not None and getattr(call.excinfo.value, "trims_traceback", False):
        trim_traceback(call.excinfo.value)
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    elif report.when == "teardown" and USED in item.stash:
        # An attribute of plain data crosses from the processes of pytest-xdist.
        report.veeqo_alloc_used = item.stash[USED]  # type: ignore[attr-defined]  # reports take attributes of plugins
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How much was checked and what is to be warned of, what was left unplayed, cassettes that no test used, and what the
    conformance suite could not cover; nothing where nothing of it was used."""
    reports = [report for several in terminalreporter.stats.values() for report in several]
    used = [(report.nodeid, each) for report in reports for each in getattr(report, "veeqo_alloc_used", ())]
    checked = not listener_of(config).counts and any(checked_count(report) or warnings_of(report) for report in reports)
    if not (used or checked or any(map(uncovered_reason, reports))):
        return
    from pytest_veeqo_alloc.plugin.summary import cassette_lines, checked_lines, conformance_lines

    lines = [*(checked_lines(reports) if checked else ()), *conformance_lines(reports)]
    for line in [*lines, *(cassette_lines(used, config) if used else ())]:
        terminalreporter.write_line(line)
