"""The end of a run: the reports, and the summary lines about interactions, cassettes and the conformance suite."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import pluralise, printable
from pytest_veeqo_alloc.coverage.collector import CoverageRecorder, read_recorded
from pytest_veeqo_alloc.plugin.fixtures import cassette_folder
from pytest_veeqo_alloc.plugin.fixtures_conformance import SUITE_TEST, uncovered_reason
from pytest_veeqo_alloc.plugin.observers import CHECKED_PROPERTY, WARNING_PROPERTY, recorded
from pytest_veeqo_alloc.plugin.options import (
    REPORT_PLUGIN,
    SUITE,
    base_directory,
    is_conformance_run,
    is_option_set,
    setting,
)
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of
from pytest_veeqo_alloc.recording import cassette_files
from pytest_veeqo_alloc.reporting.baseline import BaselineOptions, expiry_date, write_baseline
from pytest_veeqo_alloc.reporting.formatters import listed, run_lines
from pytest_veeqo_alloc.reporting.report_file import RunReport, build_run, save, save_uses, validate_report_path

_PROBLEM = ".problem"
_OPTION = re.compile(r"--(?=(?:partial|prune)\b)")
_MAX_LINES, _MAX_WARNINGS = 5, 40
_MARKS = (b"veeqo_alloc:", b'"veeqo_alloc"', b"/allocations")
"""Every cassette with calls of the documented operation contains one of these strings in its first 4096 bytes."""


def checked_lines(reports: list[Any]) -> Iterator[str]:
    """Yield the number of checked interactions (no line if it is 0), then the first distinct warnings."""
    if checked := sum(count for report in reports for count in recorded(report, CHECKED_PROPERTY)):
        yield f"{pluralise(checked, 'interaction')} checked"
    warned = Counter(text for report in reports for text in recorded(report, WARNING_PROPERTY))
    yield from _warnings([f"{text}{f', in {count} tests' if count > 1 else ''}" for text, count in warned.items()])


def note_lines(reports: list[Any]) -> Iterator[str]:
    """Yield the first distinct warnings that are not findings. The report of the run already shows the findings."""
    texts = [
        text for report in reports if SUITE_TEST not in report.nodeid for text in recorded(report, WARNING_PROPERTY)
    ]
    yield from _warnings(list(dict.fromkeys(text for text in texts if text.partition(" ")[0] not in CATALOGUE)))


def _warnings(texts: list[str], most: int = _MAX_LINES) -> Iterator[str]:
    yield from (f"warning: {printable(text)}" for text in texts[:most])
    if len(texts) > most:
        yield f"and {len(texts) - most} more warnings"


def conformance_lines(reports: list[Any]) -> Iterator[str]:
    """Yield the warnings of conformance tests, the number of tests that could not be run, and the first reasons."""
    warnings = [
        text for report in reports if SUITE_TEST in report.nodeid for text in recorded(report, WARNING_PROPERTY)
    ]
    yield from _warnings(warnings, _MAX_WARNINGS)
    missing: dict[str, list[str]] = {}
    for report in reports:
        if reason := uncovered_reason(report):
            missing.setdefault(reason, []).append(report.nodeid.rpartition("::")[2])
    if missing:
        yield f"INCOMPLETE: {pluralise(sum(map(len, missing.values())), 'test')} could not be run"
    for reason, tests in list(missing.items())[:_MAX_LINES]:
        yield f"  {printable(f'{reason}: {listed(tests, 2)}')}"


def cassette_lines(used: list[tuple[str, dict[str, Any]]], config: pytest.Config) -> Iterator[str]:
    """Yield warnings about cassettes. *used* contains pairs of a test id and the description of a cassette."""
    unplayed = [(test, cassette) for test, cassette in used if cassette["unplayed"]]
    for test, cassette in unplayed[:_MAX_LINES]:
        count = f"{cassette['unplayed']} of {cassette['stored']} interactions"
        yield f"warning: {count} of the cassette {cassette['name']!a} were not played by {printable(test)}"
    if len(unplayed) > _MAX_LINES:
        yield f"warning: and {len(unplayed) - _MAX_LINES} more tests did not play all interactions"
    for name in sorted({cassette["name"] for _, cassette in used if cassette["not_recorded"]})[:_MAX_LINES]:
        played = "a bundled cassette of that name was played"
        yield f"warning: {name!a} was not recorded: {played}; choose another name"
    if not is_selection(config) and _may_use_all_cassettes(config):
        folder, paths = cassette_folder(config), {os.path.realpath(cassette["path"]) for _, cassette in used}
        others = [path for path in cassette_files(folder) if os.path.realpath(path) not in paths]
        if unused := [path.name for path in others if _is_ours(path)]:
            yield f"warning: no test used {printable(f'{listed(unused)} in {folder}')}"


def is_selection(config: pytest.Config) -> bool:
    """Return whether the options select some of the tests: `-k`, `-m`, `--last-failed` and similar, or single tests."""
    names = ("keyword", "markexpr", "lf", "deselect", "collectonly", "stepwise")
    return any(config.getoption(name, default=None) for name in names) or any(
        "::" in argument or argument.endswith(".py") for argument in config.args
    )


def _may_use_all_cassettes(config: pytest.Config) -> bool:
    """Return whether every test that could use a cassette of the cassette folder is selected to run."""
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        return True
    folder = cassette_folder(config).resolve()
    return any("::" not in argument and folder.is_relative_to(Path(argument).resolve()) for argument in config.args)


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(4096)
        return any(mark in head for mark in _MARKS)
    return False


class ReportPlugin:
    """The pytest plugin that writes the reports. All processes of a run record coverage in one shared folder."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._minimum = _minimum(config)
        base, names = base_directory(config, "report"), setting(config, "report")
        for name in names:
            validate_report_path(name)
        self._paths = list(dict.fromkeys(base / Path(name).expanduser() for name in names))
        self._started = datetime.datetime.now(datetime.UTC)
        self._lines: list[str] = []
        self._baseline = _baseline_options(config)
        self._ran_any = self._conformance_passed = self._has_crash = False
        self._uncovered = 0
        self._is_worker = hasattr(config, "workerinput")
        folder = getattr(config, "workerinput", {}).get(REPORT_PLUGIN)
        self._folder = Path(folder or tempfile.mkdtemp(prefix="veeqo-alloc-"))
        self._recorder = listener_of(config).recorder = CoverageRecorder(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the coverage folder to a worker process of pytest-xdist."""
        node.workerinput[REPORT_PLUGIN] = str(self._folder)
        if is_conformance_run(self._config):
            node.workerinput[SUITE] = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record that a test ran, and whether a conformance test passed."""
        self._ran_any = True
        self._uncovered += bool(uncovered_reason(report))
        self._has_crash |= report.when not in ("setup", "call", "teardown")  # pytest-xdist reports a crash as "???"
        if report.when == "call" and report.passed and "test_veeqo_alloc_" in report.nodeid:
            self._conformance_passed = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports. Fail a passing run if coverage is too low or a report cannot be written."""
        # A run without tests (--fixtures, a usage error) must not replace the report of an earlier run.
        if self._is_worker or not self._ran_any:
            return
        has_passed = session.exitstatus == pytest.ExitCode.OK
        for status, line in self._conclude(has_passed=has_passed, incomplete=self._left_out(session)):
            self._lines.append(line)
            if status and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = status

    def add_problem(self, sentence: str) -> None:
        """Record a problem that belongs to no test. *sentence* is printed at the end. A run that would pass fails."""
        (self._folder / f"{uuid.uuid4().hex}{_PROBLEM}").write_text(sentence, encoding="utf-8")

    def _left_out(self, session: pytest.Session) -> str:
        """Describe what the run left out. Return an empty string for a complete run."""
        reasons = [f"{pluralise(self._uncovered, 'test')} could not be run"] if self._uncovered else []
        reasons += ["a worker process ended early"] if self._has_crash else []
        is_stopped = session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        reasons += ["the run was stopped"] if is_stopped or session.shouldfail or session.shouldstop else []
        return ", ".join(reasons)

    def _conclude(self, *, has_passed: bool, incomplete: str) -> Iterator[tuple[int, str]]:
        """Write the reports. Yield each summary line with an exit status: 0, unless the line is about an error."""
        engine = engine_of(contract_of(self._config))
        counted, by = read_recorded(self._folder), f"pytest {pytest.__version__}"
        made, selected = (by, self._started, uuid.uuid4().hex), is_selection(self._config)
        run = build_run(engine, counted, *made, incomplete=incomplete, is_selection=selected)
        is_suite = is_conformance_run(self._config)  # its tests report their findings themselves
        yield from ((0, line) for line in run_lines(run, with_findings=not is_suite, has_passed=has_passed))
        if self._minimum is not None and (100 * run.seen / run.fields < self._minimum or not run.interactions):
            of_fakes = "" if "target" in run.totals else "; responses of the fake and of cassettes are not counted"
            minimum = f"less than --veeqo-alloc-coverage-min {self._minimum:g} %"
            yield 1, f"error: {run.seen} of {run.fields} fields seen from the target, {minimum}{of_fakes}"
        if self._conformance_passed and is_suite and not run.interactions:
            yield 1, "error: the conformance suite passed without checking any interaction"
        for problem in sorted(self._folder.glob(f"*{_PROBLEM}")):
            yield 1, f"error: {problem.read_text(encoding='utf-8')}"
        yield from self._conclude_deviations(run)
        if name := setting(self._config, "write-uses"):
            path = base_directory(self._config, "write-uses") / Path(name).expanduser()
            try:
                yield 0, printable(save_uses(counted.values(), path, keep=bool(incomplete) or selected))
            except ValueError as error:
                yield 2, printable(f"error: {error}")
        for path in self._paths:
            try:
                save(run.report, path)
            except ValueError as error:
                yield 2, f"error: {printable(str(error))}"
            else:
                yield 0, f"report written to {printable(str(path))}"

    def _conclude_deviations(self, run: RunReport) -> Iterator[tuple[int, str]]:
        rows = [row for row in run.report["runs"][0]["deviations"] if row["state"] != "used"]
        if rows and setting(self._config, "strict-deviations"):
            example = f"{rows[0]['rule']} at {rows[0]['place']}"
            what = pluralise(len(rows), "deviation is stale or has expired", "deviations are stale or have expired")
            do = "remove or renew each, since --veeqo-alloc-strict-deviations is set"
            yield 1, printable(f"error: {what} (such as {example}): {do}")
        if name := setting(self._config, "write-deviations"):
            path = base_directory(self._config, "write-deviations") / Path(name).expanduser()
            try:
                lines = [(0, line) for line in write_baseline(run.report, path, self._baseline)]
            except ValueError as error:
                lines = [(2, printable(f"error: {error}"))]
            yield from ((status, _OPTION.sub("--veeqo-alloc-", line)) for status, line in lines)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary lines about coverage."""
        for line in self._lines:
            terminalreporter.write_line(f"veeqo-alloc: {line}")

    def pytest_unconfigure(self) -> None:
        """Stop recording coverage. The process that created the coverage folder removes it."""
        listener_of(self._config).recorder = None
        self._recorder.close()
        if not self._is_worker:
            shutil.rmtree(self._folder, ignore_errors=True)


def _baseline_options(config: pytest.Config) -> BaselineOptions:
    expires, prune, partial = (setting(config, name) for name in ("expires", "prune", "partial"))
    return BaselineOptions(expiry_date(expires) if expires else None, prune=bool(prune), partial=bool(partial))


def _minimum(config: pytest.Config) -> float | None:
    if not is_option_set(config, "coverage-min"):
        return None
    text = setting(config, "coverage-min")
    try:
        percent = float(text)
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise ValueError(f"--veeqo-alloc-coverage-min must be a percentage from 0 to 100, not {text!a}")
    return percent
