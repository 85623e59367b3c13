"""The pytest plugin for runs that write to the server under test."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.core.http import Secret
from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.live import LiveError
from pytest_veeqo_alloc.live.cleanup import CleanupResult, clean_up
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.journal import JournalWriter, default_name, join_journal, open_journal, read_journal
from pytest_veeqo_alloc.live.permission import (
    KEY_VARIABLE,
    WriteOptions,
    grant_permission,
    names_only_own_server,
    options_for_own_server,
)
from pytest_veeqo_alloc.plugin.observers import trim_tracebacks
from pytest_veeqo_alloc.plugin.options import LIVE_PLUGIN, base_directory, key_of, setting

_MAX_LINES = 10
_GENERATED = "loopback-"


class LivePlugin:
    """The pytest plugin that owns the client and the journal of writes, which all processes of the run share."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        worker_input: dict[str, dict[str, str]] | None = getattr(config, "workerinput", None)
        self._error: LiveError | None = None
        self._exit = contextlib.ExitStack()
        self._lines: list[str] = []
        self._live: LiveClient | None = None
        try:
            self._permission = grant_permission(write_options_of(config))
            self._writer = self._open_journal() if worker_input is None else self._join_journal(worker_input)
        except LiveError as error:
            # Raised only when a test writes, since other tests do not need the server.
            self._error = error

    def _open_journal(self) -> JournalWriter:
        target, config = self._permission.target, self._config
        path = base_directory(config, "journal") / (setting(config, "journal") or default_name(target))
        return self._exit.enter_context(open_journal(path, target))

    def _join_journal(self, worker_input: dict[str, dict[str, str]]) -> JournalWriter:
        passed = worker_input.get(LIVE_PLUGIN, {"error": "pytest-xdist passed no run folder"})
        if "error" in passed:
            raise LiveError(passed["error"])
        path, folder = Path(passed["journal"]), Path(passed["folder"])
        return self._exit.enter_context(join_journal(path, self._permission.target, folder, passed["run"]))

    @property
    def note(self) -> str:
        """A line for pytest's header: what the run may do on the user's own server (empty for another server)."""
        if self._error is not None or not self._permission.is_own_server:
            return ""
        key = self._permission.api_key
        sent = f"the API key {str.__str__(key)}" if key.startswith(_GENERATED) else "your API key"
        return f"a server of your own: any order, at most {self._permission.max_writes} writes, with {sent}"

    def live(self) -> LiveClient:
        """Return the client that writes to the server under test. Raise LiveError if writing is not permitted."""
        if self._error is not None:
            raise self._error
        if self._live is None:
            self._live = LiveClient(self._permission, self._writer)
        return self._live

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker process the journal and the folder of its state, or why writing is forbidden."""
        if self._error is not None:
            node.workerinput[LIVE_PLUGIN] = {"error": str(self._error)}
        else:
            writer = self._writer
            passed = {"folder": str(writer.shared.folder), "journal": str(writer.path), "run": writer.run}
            node.workerinput[LIVE_PLUGIN] = passed

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Collect the summary lines. If the cleanup option is set, delete the allocations of this run."""
        if self._error is not None or hasattr(self._config, "workerinput"):
            return
        try:
            self._lines = list(self._summary())
        except LiveError as error:
            self._lines = [str(error)]
        except BaseException as error:  # such as Ctrl-C
            trim_tracebacks(error)
            raise

    def _summary(self) -> Iterator[str]:
        live = self.live()
        path = live.writer.path
        if not live.writer.has_written:
            return
        journal = read_journal(path).of_run(live.writer.run)
        yield f"{live.run_state.charged} of {live.permission.max_writes} writes to {live.target}, journal {path}"
        if setting(self._config, "cleanup"):
            yield from _cleanup_lines(clean_up(journal, live))
        elif unknown := [str(entry.order_id) for entry in journal.entries if entry.is_unknown]:
            orders = ", ".join(unknown[:_MAX_LINES])
            yield f"UNKNOWN outcome of writes to order {orders}: run veeqo-alloc cleanup to find out"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary lines about the writes of this run."""
        for line in self._lines:
            terminalreporter.write_line(f"veeqo-alloc: {printable(line)}")

    def pytest_unconfigure(self) -> None:
        """Close the journal."""
        self._exit.close()


def _cleanup_lines(results: list[CleanupResult]) -> Iterator[str]:
    """Yield a line for every order that still has allocations, and for at most `_MAX_LINES` orders that have none."""
    yield from (result.sentence for result in results if result.is_left)
    empty = [result.sentence for result in results if not result.is_left]
    yield from empty[:_MAX_LINES]
    if len(empty) > _MAX_LINES:
        yield f"and {len(empty) - _MAX_LINES} more orders with no allocations left"


def write_options_of(config: pytest.Config) -> WriteOptions:
    """Return the options about writing. A server on loopback gets `--veeqo-alloc-loopback-key`, or a generated key."""
    options = WriteOptions(
        base_url=setting(config, "base-url"),
        allow_hosts=tuple(setting(config, "allow-host")),
        api_key=Secret(os.environ.get(KEY_VARIABLE, "")),
        max_writes=int(setting(config, "max-writes") or 0),
        orders=setting(config, "orders") or ("any" if is_arranged(config) else ""),
        rate=float(rate) if (rate := setting(config, "rate")) else None,
        trust_env=bool(setting(config, "trust-env")),
        folder=base_directory(config, "orders"),
    )
    if not names_only_own_server(options):
        return options
    if not setting(config, "loopback-key"):
        # pytest-xdist passes the options to its workers, so that all of them send this key.
        setattr(config.option, key_of("loopback-key"), f"{_GENERATED}{uuid.uuid4().hex}")
    return options_for_own_server(options, setting(config, "loopback-key"))


def is_arranged(config: pytest.Config) -> bool:
    """Return whether orders can be created, by `--veeqo-alloc-arrange-url` or the hook `pytest_veeqo_alloc_arrange`."""
    return bool(setting(config, "arrange-url") or config.hook.pytest_veeqo_alloc_arrange.get_hookimpls())
