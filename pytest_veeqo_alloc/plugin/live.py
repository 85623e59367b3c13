"""What a run that may write to a foreign server needs of pytest. Registered only where a base URL is given."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.live import JournalError, LiveError
from pytest_veeqo_alloc.live.cleanup import CleanupResult, clean_up
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.journal import JOURNAL, JournalWriter, open_journal, read_journal
from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, WriteOptions, WritePermission, grant_permission
from pytest_veeqo_alloc.live.run_state import Rate, RunState
from pytest_veeqo_alloc.plugin.options import base_directory, setting

NAME = "veeqo_alloc_live"
_LINES = 10


class LivePlugin:
    """Holds the run folder and the journal for all processes of the run, and cleans up at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._given: dict[str, str] | None = getattr(config, "workerinput", {}).get(NAME)
        self._is_worker = hasattr(config, "workerinput")
        self._exit = contextlib.ExitStack()
        self._lines: list[str] = []
        self._live: LiveClient | None = None
        self._permit: WritePermission | None = None
        self._trouble: LiveError | None = None
        try:
            self._permit = grant_permission(write_options_of(config))
            if not self._is_worker:
                self._open(self._permit)
        except LiveError as error:
            # Told when somebody wants to write: the other tests of the run have no need of it.
            self._trouble = error
            self._given = self._given or {"trouble": str(error)}

    def live(self) -> LiveClient:
        """The one way to the server in this process; LiveError where there is none."""
        if self._trouble is not None:
            raise self._trouble
        if self._permit is None or self._given is None or "trouble" in self._given:
            raise LiveError(self._given["trouble"] if self._given else "this process was given no run folder to share")
        if self._live is None:
            shared = RunState(Path(self._given["folder"]), Rate.per_second(self._permit.rate), self._permit.max_writes)
            self._live = LiveClient(
                self._permit, shared, JournalWriter(Path(self._given["journal"]), self._given["run"])
            )
        return self._live

    def _open(self, granted: WritePermission) -> None:
        writer = self._exit.enter_context(open_journal(journal_of(self._config), granted.target))
        folder = tempfile.mkdtemp(prefix="veeqo-alloc-")
        self._exit.callback(shutil.rmtree, folder, ignore_errors=True)
        self._given = {"folder": folder, "journal": str(writer.path), "run": writer.run}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A process of pytest-xdist shares the budget, the rate and the journal."""
        node.workerinput[NAME] = self._given

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Clean up where that was asked for, and remember what to say at the end."""
        if self._is_worker or self._given is None or self._trouble is not None:
            return
        try:
            self._lines = list(self._summary(self._given["run"]))
        except LiveError as error:
            self._lines = [str(error)]

    def _summary(self, run: str) -> Iterator[str]:
        live = self.live()
        path = live.writer.path
        journal = read_journal(path).of_run(run)
        if not journal.entries:
            return
        yield f"{live.run_state.charged} of {live.permission.max_writes} writes to {live.target}, journal {path}"
        if setting(self._config, "cleanup"):
            yield from _told(clean_up(journal, live))
        elif unknown := [str(entry.order_id) for entry in journal.entries if entry.is_unknown]:
            yield f"UNKNOWN whether carried out: writes to order {', '.join(unknown[:_LINES])}; veeqo-alloc cleanup settles it"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A few lines, only where something was written."""
        for line in self._lines:
            terminalreporter.write_line(f"veeqo-alloc: {printable(line)}")

    def pytest_unconfigure(self) -> None:
        """Let go of the journal."""
        self._exit.close()


def _told(cleaned: list[CleanupResult]) -> Iterator[str]:
    """What is left in full, and the rest as far as a few lines go."""
    yield from (each.sentence for each in cleaned if each.is_left)
    clean = [each.sentence for each in cleaned if not each.is_left]
    yield from clean[:_LINES]
    if len(clean) > _LINES:
        yield f"and {len(clean) - _LINES} more orders of which nothing is left"


def write_options_of(config: pytest.Config) -> WriteOptions:
    """What the options say, and the key of the environment. UsageError, in one sentence, for what is no number."""
    return WriteOptions(
        base_url=setting(config, "base-url"),
        allow_hosts=tuple(setting(config, "allow-host")),
        api_key=os.environ.get(KEY_VARIABLE, ""),
        max_writes=_number(config, "max-writes", int) or 0,
        orders=setting(config, "orders"),
        rate=_number(config, "rate", float),
        trust_env=bool(setting(config, "trust-env")),
        folder=base_directory(config, "orders"),
    )


def journal_of(config: pytest.Config) -> Path:
    """The journal of this run."""
    return base_directory(config, "journal") / (setting(config, "journal") or JOURNAL)


def _number(config: pytest.Config, name: str, kind: type[int] | type[float]) -> Any:
    given = setting(config, name)
    if given in (None, ""):
        return None
    try:
        return kind(given)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise pytest.UsageError(f"veeqo-alloc: --veeqo-alloc-{name} is {what}, not {given!a}") from None


def live_of(config: pytest.Config) -> LiveClient:
    """The way to the foreign server of this run. NotPermittedError, with a sentence for each thing that is missing."""
    plugin = config.pluginmanager.get_plugin(NAME)
    if isinstance(plugin, LivePlugin):
        return plugin.live()
    grant_permission(write_options_of(config))
    raise JournalError("this run was not set up to write")
