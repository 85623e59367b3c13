"""What a run that counts coverage needs of pytest. Registered only where a report or a minimum is asked for, or the packaged
suite runs."""

from __future__ import annotations

import datetime
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.coverage.listeners import CoverageRecorder, read_recorded
from pytest_veeqo_alloc.plugin.options import SUITE, base_directory, is_conformance_run, is_option_set, setting
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of
from pytest_veeqo_alloc.reporting.formatters import build_run, coverage_shortfall, describe_run, run_lines
from pytest_veeqo_alloc.reporting.report_file import save, validate_report_path

COUNTING = "veeqo_alloc_report"


class ReportPlugin:
    """Holds the run folder for all processes of the run, adds up at its end, and writes the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._minimum = _minimum(config)
        self._paths = list(dict.fromkeys(_path(config, each) for each in setting(config, "report")))
        self._started = datetime.datetime.now(datetime.UTC)
        self._lines: list[str] = []
        self._ran_any = self._passed_of_suite = False
        given = getattr(config, "workerinput", {}).get(COUNTING)
        self._is_worker = hasattr(config, "workerinput")
        self._folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="veeqo-alloc-"))
        self._recorder = CoverageRecorder(self._folder)
        listener_of(config).recorder = self._recorder

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A process of pytest-xdist writes into the same folder."""
        node.workerinput[COUNTING] = str(self._folder)
        if is_conformance_run(self._config):
            node.workerinput[SUITE] = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Whether any test ran, and whether the packaged suite judged anything."""
        self._ran_any = True
        if report.when == "call" and report.passed and "test_veeqo_alloc_" in report.nodeid:
            self._passed_of_suite = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Add up, write, and fail the run where too little was seen. A verdict that is bad already stays."""
        # A run without tests (a list of fixtures, an error of use) has nothing to say, and must not replace a report that has.
        if self._is_worker or not self._ran_any:
            return
        for status, line in self._conclude():
            self._lines.append(line)
            if status and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = status

    def _conclude(self) -> Iterator[tuple[int, str]]:
        """Lines for the summary, each with the exit status that it asks for, or 0."""
        about = describe_run(
            engine_of(contract_of(self._config)), f"pytest {pytest.__version__}", self._started, uuid.uuid4().hex
        )
        run = build_run(about, read_recorded(self._folder))
        yield from ((0, line) for line in run_lines(run))
        if self._minimum is not None and (run.percent < self._minimum or not run.interactions):
            yield 1, f"error: {coverage_shortfall(run)} --veeqo-alloc-coverage-min {self._minimum:g} %"
        if self._passed_of_suite and is_conformance_run(self._config) and not run.interactions:
            yield 1, "error: the conformance suite checked nothing at all, so its verdict means nothing"
        for path in self._paths:
            try:
                save(run.report, path)
            except ValueError as error:
                yield 2, f"error: {printable(str(error))}"
            else:
                yield 0, f"report written to {printable(str(path))}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A few lines."""
        for line in self._lines:
            terminalreporter.write_line(f"veeqo-alloc: {line}")

    def pytest_unconfigure(self) -> None:
        """Nothing is left behind."""
        listener_of(self._config).recorder = None
        self._recorder.close()
        if not self._is_worker:
            shutil.rmtree(self._folder, ignore_errors=True)


def _minimum(config: pytest.Config) -> float | None:
    if not is_option_set(config, "coverage-min"):
        return None
    given = setting(config, "coverage-min")
    try:
        percent = float(given)
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise pytest.UsageError(f"veeqo-alloc: --veeqo-alloc-coverage-min is a percentage from 0 to 100, not {given!a}")
    return percent


def _path(config: pytest.Config, given: str) -> Path:
    try:
        validate_report_path(given)
    except ValueError as error:
        raise pytest.UsageError(f"veeqo-alloc: {error}") from None
    return base_directory(config, "report") / Path(given).expanduser()
