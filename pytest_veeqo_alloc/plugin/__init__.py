"""The pytest plugin: options, fixtures, markers and summary.

pytest loads this module in every run, so heavy modules are imported only where they are needed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from urllib.parse import urlsplit

import pytest

from pytest_veeqo_alloc.plugin import fixtures, fixtures_conformance, hookspecs
from pytest_veeqo_alloc.plugin.fixtures import CASSETTE_MARKER, CASSETTES_USED, TEST_PASSED
from pytest_veeqo_alloc.plugin.fixtures_conformance import (
    deselect_unnamed_half,
    is_client_named,
    is_server_named,
    replacement_for,
    uncovered_reason,
)
from pytest_veeqo_alloc.plugin.observers import CHECKED_PROPERTY, WARNING_PROPERTY, recorded, trim_tracebacks
from pytest_veeqo_alloc.plugin.options import (
    LIVE_PLUGIN,
    OPTIONS,
    REPORT_OPTIONS,
    REPORT_PLUGIN,
    is_any_option_set,
    is_conformance_run,
    is_option_set,
    setting,
    validate_options,
)
from pytest_veeqo_alloc.plugin.options import pytest_addoption as pytest_addoption
from pytest_veeqo_alloc.plugin.run_state import contract_of, listener_of

# Under `-p`, pytest rewrites the assertions of the named module only, not those of the whole package.
pytest.register_assert_rewrite("pytest_veeqo_alloc.conformance")

_MARKERS = (
    f"{CASSETTE_MARKER}(name, ...): play a cassette during the whole test; arguments as for {CASSETTE_MARKER}.use()",
    "veeqo_alloc_basis(basis): the basis of a conformance test: 'documented', 'rfc' or 'convention'",
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hook specifications: for the client under test, the server under test, and the orders in it."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and fixtures, and apply the options. Raise pytest.UsageError for an invalid option."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    for module in (fixtures, fixtures_conformance):
        config.pluginmanager.register(module, module.__name__)
    try:
        _apply_options(config)
    except ValueError as error:
        raise pytest.UsageError(f"veeqo-alloc: {error}") from None


def _apply_options(config: pytest.Config) -> None:
    validate_options(config)
    if is_any_option_set(config):
        contract_of(config)
    if url := setting(config, "arrange-url"):
        from pytest_veeqo_alloc.live.permission import validate_arrange_url

        validate_arrange_url(url, setting(config, "allow-host"))
    if setting(config, "base-url"):
        from pytest_veeqo_alloc.plugin.live import LivePlugin

        config.pluginmanager.register(LivePlugin(config), LIVE_PLUGIN)
    if any(is_option_set(config, name) for name in REPORT_OPTIONS) or is_conformance_run(config):
        from pytest_veeqo_alloc.plugin.summary import ReportPlugin

        config.pluginmanager.register(ReportPlugin(config), REPORT_PLUGIN)
    if setting(config, "client") and setting(config, "client-command"):
        raise ValueError("give --veeqo-alloc-client or --veeqo-alloc-client-command, not both")
    if setting(config, "client-persistent") and not setting(config, "client-command"):
        raise ValueError("--veeqo-alloc-client-persistent requires --veeqo-alloc-client-command: give both")
    if mode := setting(config, "record-mode"):
        from pytest_veeqo_alloc.recording import validate_mode

        validate_mode(mode)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Return the header line with the options that are set. Return None if none is set and the suite does not run."""
    if not is_any_option_set(config) and not is_conformance_run(config):
        return None
    return f"veeqo-alloc: {', '.join(_header(config))}"


def _header(config: pytest.Config) -> Iterator[str]:
    values = {name: setting(config, name) for name, *_ in OPTIONS}
    yield f"profile {values['profile'] or 'documented'}"
    yield from values["rule"]
    lines = [f"deviations {name}" for name in values["deviations"]] + [f"report {path}" for path in values["report"]]
    lines += [f"write deviations {values['write-deviations']}"] if values["write-deviations"] else []
    lines += [f"coverage at least {values['coverage-min']} %"] if values["coverage-min"] else []
    lines += ["body values shown"] if values["show-values"] else []
    lines += [f"record mode {values['record-mode']}"] if values["record-mode"] else []
    lines += [f"target {_origin(values['base-url'])}"] if values["base-url"] else []
    if (live := config.pluginmanager.get_plugin(LIVE_PLUGIN)) is not None and live.note:
        lines.append(live.note)
    yield from (ascii(line)[1:-1] for line in lines)
    if is_conformance_run(config):
        program = values["client-command"].partition(" ")[0]  # the arguments could contain a password
        client = ascii(values["client"] or program)[1:-1] or ("from the hook" if is_client_named(config) else "")
        is_named = is_server_named(config)
        if is_named and not values["base-url"]:
            yield "server from the hook"
        elif not is_named:
            yield "server none" if client else "server the bundled fake under the strict profile"
        yield f"client {client or ('none' if is_named or any(values.values()) else 'the reference client')}"


def _origin(url: str) -> str:
    """Return scheme, host and port of *url*. Any other part could contain a key or a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(malformed URL)"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}" if host else "(malformed URL)"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Attribute all following checks to the test *item*."""
    listener_of(item.config).begin(item)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Request the cassette fixture for a test with the cassette marker. Set it up before the test's other fixtures."""
    names = getattr(item, "fixturenames", None)
    if names is not None and CASSETTE_MARKER not in names and item.get_closest_marker(CASSETTE_MARKER) is not None:
        names.insert(0, CASSETTE_MARKER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a conformance run that names only a client or only a server, deselect the tests of what it does not name."""
    if is_conformance_run(config):
        deselect_unnamed_half(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test if the findings of a session, fake or cassette contain an error. An xfail mark still applies."""
    try:
        outcome = yield
    except BaseException as error:
        failure = listener_of(item.config).finish(item)
        if (replacement := replacement_for(item, error)) is not None:
            raise replacement from None
        if failure is not None and str(error) not in str(failure):
            item.add_report_section("call", "veeqo-alloc", str(failure))
        raise
    if failure := listener_of(item.config).finish(item):
        raise failure
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Cut tracebacks that could show a key. Record whether the test passed, and at teardown the cassettes it used."""
    if call.excinfo is not None:
        trim_tracebacks(call.excinfo.value)
    report = yield
    if call.excinfo is not None:
        listener_of(item.config).record_violation(item, call.excinfo.value)
        report.user_properties[:] = item.user_properties
    if report.when == "call":
        item.stash[TEST_PASSED] = report.passed
    elif report.when == "teardown" and CASSETTES_USED in item.stash:
        # pytest-xdist carries an attribute of plain data to the controller.
        report.veeqo_alloc_used = item.stash[CASSETTES_USED]  # type: ignore[attr-defined]  # reports take attributes of plugins
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Cut the traceback of Ctrl-C, which could show a key."""
    trim_tracebacks(excinfo.value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the lines about checked interactions, warnings, cassettes, and conformance tests that could not be run."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    used = [(report.nodeid, cassette) for report in reports for cassette in getattr(report, "veeqo_alloc_used", ())]
    checked = any(recorded(report, name) for report in reports for name in (CHECKED_PROPERTY, WARNING_PROPERTY))
    if not (used or checked or is_conformance_run(config) or any(map(uncovered_reason, reports))):
        return
    from pytest_veeqo_alloc.plugin.summary import cassette_lines, checked_lines, conformance_lines, note_lines

    lines = [*(note_lines if listener_of(config).counts else checked_lines)(reports), *conformance_lines(reports)]
    for line in [*lines, *(cassette_lines(used, config) if used else ())]:
        terminalreporter.write_line(f"veeqo-alloc: {line}")
