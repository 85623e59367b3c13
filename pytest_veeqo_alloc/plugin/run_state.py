"""What the checks of this process tell: how many there were in a test, and more where somebody counts."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_veeqo_alloc.plugin.observers import MOST_WARNED, checked_by_onlookers, warn
from pytest_veeqo_alloc.plugin.options import FAKES, key_of, setting

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.contract.findings import Findings
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.coverage.listeners import CheckEvent, Recorder


CHECKED = "veeqo_alloc_interactions"
"""The property of a report that says how many interactions its test checked; it crosses from pytest-xdist's processes."""


class CheckListener:
    """Hears of every check. Set `notebook` where coverage is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self._test = ""
        self.notebook: Recorder | None = None
        self.played: list[Callable[[], Iterable[Interaction]]] = []
        self._direct = 0
        self._warned: list[Findings] = []
        self._config = config
        self._known: weakref.WeakValueDictionary[int, Interaction] = weakref.WeakValueDictionary()

    @property
    def counts(self) -> bool:
        """Whether coverage was asked for."""
        return self.notebook is not None

    def begin(self, test: str) -> None:
        """Another test runs."""
        self._test, self._direct = test, 0
        self.played.clear()
        self._warned.clear()

    def tell(self, shown: CheckEvent) -> None:
        """Of one check."""
        origin, interaction = shown.origin, shown.interaction
        if origin is None:
            # Who checks an answer is warned of it, whoever else checked it.
            if len(self._warned) < MOST_WARNED and shown.findings.warnings:
                self._warned.append(shown.findings)
            if interaction is not None and self._is_told_elsewhere(interaction):
                return
            from pytest_veeqo_alloc.coverage.collector import origin_of  # not before something is checked

            origin = origin_of(interaction)
            self._direct += 1
        if self.notebook is not None:
            self.notebook.note(origin, shown.look(self._test))

    def _is_told_elsewhere(self, interaction: Interaction) -> bool:
        """Whether it was checked before, or a fake or a cassette of this test tells of it itself."""
        if self._known.get(id(interaction)) is interaction:
            return True
        self._known[id(interaction)] = interaction
        if interaction.request is not None and _netloc(interaction.request.url) in self._config.stash.get(FAKES, ()):
            return True
        response = interaction.response
        return any(
            response is not None and each.response is not None and each.response.body == response.body
            for played in self.played
            for each in played()
        )

    def property_of(self, item: pytest.Item) -> None:
        """Gives the reports of *item* the number of what its test checked, and the warnings in it."""
        for findings in self._warned:
            warn(item, findings)
        if checked := self._direct + checked_by_onlookers(item):
            item.user_properties[:] = [each for each in item.user_properties if each[0] != CHECKED]
            item.user_properties.append((CHECKED, checked))


_TOLD: pytest.StashKey[CheckListener] = pytest.StashKey()


def listener_of(config: pytest.Config) -> CheckListener:
    """The one that hears of every check of this process."""
    if _TOLD not in config.stash:
        config.stash[_TOLD] = CheckListener(config)
    return config.stash[_TOLD]


def checked_in(report: Any) -> int:
    """How many interactions the test of *report* checked."""
    if getattr(report, "when", "") != "call":
        return 0
    return sum(int(value) for name, value in report.user_properties if name == CHECKED)


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


_CONTRACT: pytest.StashKey[Contract] = pytest.StashKey()


def contract_of(config: pytest.Config) -> Contract:
    """The contract that the settings of this run describe, made once."""
    if _CONTRACT not in config.stash:
        from pytest_veeqo_alloc.api import Contract, parse_overrides  # not before somebody needs it

        try:
            config.stash[_CONTRACT] = Contract(
                setting(config, "profile") or "documented",
                rules=parse_overrides(setting(config, "rule")),
                deviations=[_deviations(config, named) for named in setting(config, "deviations")],
                show_values=bool(setting(config, "show-values")),
            ).telling(listener_of(config))
        except ValueError as error:
            raise pytest.UsageError(f"veeqo-alloc: {error}") from None
    return config.stash[_CONTRACT]


def _deviations(config: pytest.Config, named: str) -> str:
    """A file named in the ini file lies beside it; one named on the command line, where the command was given."""
    if config.getoption(key_of("deviations")) is None and config.inipath is not None:
        beside = config.inipath.parent / named
        return str(beside) if beside.is_file() else named
    return named
