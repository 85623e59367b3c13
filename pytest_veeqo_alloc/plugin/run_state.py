"""The state of a run in this process: its contract, and the listener that collects every check."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_veeqo_alloc.plugin.observers import MAX_WARNINGS, checked_by_observers, record_warnings
from pytest_veeqo_alloc.plugin.options import FAKE_ADDRESSES, key_of, setting

if TYPE_CHECKING:
    from pytest_veeqo_alloc import Contract
    from pytest_veeqo_alloc.contract.findings import Findings
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.coverage.listeners import CheckEvent, CoverageRecorder
    from pytest_veeqo_alloc.engine import Engine


CHECKED_PROPERTY = "veeqo_alloc_interactions"
"""The property of a report that says how many interactions its test checked; it crosses from pytest-xdist's processes."""


class CheckListener:
    """Collects the check events of this process: a count and warnings per test and, with a `recorder`, coverage."""

    def __init__(self, config: pytest.Config) -> None:
        self.recorder: CoverageRecorder | None = None
        self.owners: list[Callable[[Interaction], bool]] = []
        self._config = config
        self._test_id = ""
        self._direct_checks = 0
        self._warned: list[Findings] = []
        self._checked: weakref.WeakValueDictionary[int, Interaction] = weakref.WeakValueDictionary()

    @property
    def counts(self) -> bool:
        """Whether coverage is counted."""
        return self.recorder is not None

    def begin(self, test_id: str) -> None:
        """Assign the events that follow to the test *test_id*."""
        self._test_id, self._direct_checks = test_id, 0
        self.owners.clear()
        self._warned.clear()

    def on_check(self, event: CheckEvent) -> None:
        """Count one check, unless it was counted before or the owner of the exchange reports it."""
        origin, interaction = event.origin, event.interaction
        if origin is None:
            # The caller is warned about what it checked, even if the owner of the exchange reports it as well.
            if len(self._warned) < MAX_WARNINGS and event.findings.warnings:
                self._warned.append(event.findings)
            if interaction is not None and self._is_known(interaction):
                return
            from pytest_veeqo_alloc.coverage.collector import origin_of  # not before something is checked

            origin = origin_of(interaction)
            self._direct_checks += 1
        if self.recorder is not None:
            self.recorder.record(origin, event.coverage(self._test_id))

    def _is_known(self, interaction: Interaction) -> bool:
        """Whether *interaction* was counted before, or belongs to a fake or a cassette of this test."""
        if self._checked.get(id(interaction)) is interaction:
            return True
        self._checked[id(interaction)] = interaction
        if interaction.request is not None and _netloc(interaction.request.url) in self._config.stash.get(
            FAKE_ADDRESSES, ()
        ):
            return True
        return any(owns(interaction) for owns in self.owners)

    def finish(self, item: pytest.Item) -> None:
        """Attach the count and the warnings of its test to *item*, so that its reports carry them."""
        for findings in self._warned:
            record_warnings(item, findings)
        if checked := self._direct_checks + checked_by_observers(item):
            item.user_properties[:] = [each for each in item.user_properties if each[0] != CHECKED_PROPERTY]
            item.user_properties.append((CHECKED_PROPERTY, checked))


_LISTENER: pytest.StashKey[CheckListener] = pytest.StashKey()


def listener_of(config: pytest.Config) -> CheckListener:
    """Return the one listener of this process."""
    if _LISTENER not in config.stash:
        config.stash[_LISTENER] = CheckListener(config)
    return config.stash[_LISTENER]


def checked_count(report: Any) -> int:
    """How many interactions the test of *report* checked."""
    if getattr(report, "when", "") != "call":
        return 0
    return sum(int(value) for name, value in report.user_properties if name == CHECKED_PROPERTY)


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


_CONTRACT: pytest.StashKey[Contract] = pytest.StashKey()


def contract_of(config: pytest.Config) -> Contract:
    """Return the contract that the options of this run describe, built once."""
    if _CONTRACT not in config.stash:
        from pytest_veeqo_alloc import Contract  # the core, which most runs never load
        from pytest_veeqo_alloc.contract.rules import parse_overrides

        try:
            contract = Contract(
                setting(config, "profile") or "documented",
                rules=parse_overrides(setting(config, "rule")),
                deviations=[_deviations(config, named) for named in setting(config, "deviations")],
                show_values=bool(setting(config, "show-values")),
            )
        except ValueError as error:
            raise pytest.UsageError(f"veeqo-alloc: {error}") from None
        engine_of(contract).listener = listener_of(config)
        config.stash[_CONTRACT] = contract
    return config.stash[_CONTRACT]


def engine_of(contract: Contract) -> Engine:
    """Return the engine of *contract*."""
    from pytest_veeqo_alloc import engine  # the core, which most runs never load

    return engine.engine_of(contract)


def _deviations(config: pytest.Config, named: str) -> str:
    """A file named in the ini file lies beside it; one named on the command line, where the command was given."""
    if config.getoption(key_of("deviations")) is None and config.inipath is not None:
        beside = config.inipath.parent / named
        return str(beside) if beside.is_file() else named
    return named
