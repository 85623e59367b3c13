"""The state of a run in this process: the contract, and the listener that is called after every check."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import pytest

from pytest_veeqo_alloc.plugin.observers import (
    CHECKED_PROPERTY,
    TestObserver,
    command_of,
    failing_interaction,
    observer_failure,
    record_errors,
    record_warnings,
)
from pytest_veeqo_alloc.plugin.options import base_directory, key_of, setting

if TYPE_CHECKING:
    from pytest_veeqo_alloc import Contract
    from pytest_veeqo_alloc.contract.findings import Findings
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.coverage.collector import CheckEvent, CoverageRecorder
    from pytest_veeqo_alloc.engine import Engine
    from pytest_veeqo_alloc.recording.session import CassetteNews, Cassettes

_CONTRACT: pytest.StashKey[Contract] = pytest.StashKey()
_LISTENER: pytest.StashKey[CheckListener] = pytest.StashKey()


def contract_of(config: pytest.Config) -> Contract:
    """Return the contract that the options describe. Build it once in a run. Raise ValueError for an invalid option."""
    if _CONTRACT not in config.stash:
        from pytest_veeqo_alloc import Contract  # the core, which most runs never load
        from pytest_veeqo_alloc.contract.rules import parse_overrides

        contract = Contract(
            setting(config, "profile") or "documented",
            rules=parse_overrides(setting(config, "rule")),
            deviations=[_name_or_file(config, "deviations", name) for name in setting(config, "deviations")],
            show_values=bool(setting(config, "show-values")),
            uses=[_name_or_file(config, "uses", name) for name in setting(config, "uses")],
        )
        engine = engine_of(contract)
        engine.listener, engine.shows_all = listener_of(config), config.get_verbosity() >= 2
        config.stash[_CONTRACT] = contract
    return config.stash[_CONTRACT]


def _name_or_file(config: pytest.Config, option: str, name: str) -> str:
    """Return the path of *name* if an ini file sets it and it is a file. Otherwise, return *name* unchanged."""
    path, is_from_ini = base_directory(config, option) / name, config.getoption(key_of(option)) is None
    return str(path) if is_from_ini and path.is_file() else name


def engine_of(contract: Contract) -> Engine:
    """Return the engine of *contract*: the internal object that makes the checks."""
    from pytest_veeqo_alloc import engine  # the core, which most runs never load

    return engine.engine_of(contract)


def listener_of(config: pytest.Config) -> CheckListener:
    """Return the listener of this process. It is created once."""
    return config.stash.setdefault(_LISTENER, CheckListener())


class CheckListener:
    """The listener that is called after every check. It counts interactions, and records warnings and coverage."""

    def __init__(self) -> None:
        self.recorder: CoverageRecorder | None = None
        self.fake_addresses: list[str] = []  # the host:port of each fake (local stand-in server) of this process
        self.left_over: list[CassetteNews] = []  # findings and problems that occurred between tests
        self._run_cassettes: list[Cassettes] = []
        self._run_engine: Engine | None = None
        self.item: pytest.Item | None = None
        self._engine: Engine | None = None
        self._observers: list[TestObserver] = []
        self._direct_checks = 0
        self._failing: tuple[Interaction, Findings] | None = None  # the last direct check that found an error
        self._checked: weakref.WeakValueDictionary[int, Interaction] = weakref.WeakValueDictionary()

    @property
    def counts(self) -> bool:
        """Whether coverage is recorded."""
        return self.recorder is not None

    def begin(self, item: pytest.Item) -> None:
        """Attribute all following checks and observers to the test *item*."""
        self.left_over += [cassettes.take_news() for cassettes in self._run_cassettes]
        self.item, self._direct_checks, self._engine, self._failing = item, 0, self._run_engine, None
        self._observers.clear()

    def observe(self, engine: Engine, observer: TestObserver) -> None:
        """Register *observer* for the current test. *engine* merges the findings of all observers."""
        self._engine = engine
        self._observers.append(observer)

    def observe_run(self, engine: Engine, cassettes: Cassettes) -> None:
        """Register *cassettes* for the current test and all later tests."""
        self._engine = self._run_engine = engine
        self._run_cassettes.append(cassettes)

    def on_check(self, event: CheckEvent) -> None:
        """Record a check. If a test itself checks an interaction that is already counted, record only the warnings."""
        origin, interaction = event.origin, event.interaction
        if origin is None:
            # A direct check keeps its warnings, even if a fake or a cassette reports the exchange as well.
            if self.item is not None:
                record_warnings(self.item, event.findings)
            if interaction is not None and not event.findings.ok:
                self._failing = interaction, event.findings
            if interaction is not None and self._is_known(interaction):
                return
            from pytest_veeqo_alloc.coverage.collector import origin_of  # loaded only if something is checked

            origin = origin_of(interaction)
            self._direct_checks += 1
        if self.recorder is not None:
            self.recorder.record(origin, event.coverage(self.item.nodeid if self.item is not None else ""))

    def _is_known(self, interaction: Interaction) -> bool:
        """Return whether an earlier check, a fake or a cassette counts *interaction*. Remember *interaction*."""
        if self._checked.get(id(interaction)) is interaction:
            return True
        self._checked[id(interaction)] = interaction
        url = "" if interaction.request is None else interaction.request.url
        if any(url.startswith(f"http://{address}/") for address in self.fake_addresses):
            return True
        observers = (*self._observers, *self._run_cassettes)
        return any(observer.owns(interaction) for observer in observers if hasattr(observer, "owns"))

    def finish(self, item: pytest.Item) -> BaseException | None:
        """Return the exception that fails *item*, or None if there is no error. Record the number of interactions."""
        # The observers come first: collecting their findings checks the exchanges that were only recorded until now.
        observers = [*self._observers, *(cassettes.take_news() for cassettes in self._run_cassettes)]
        failure = None if self._engine is None else observer_failure(item, self._engine, observers)
        if checked := self._direct_checks + sum(getattr(observer, "checked", 0) for observer in observers):
            item.user_properties[:] = [pair for pair in item.user_properties if pair[0] != CHECKED_PROPERTY]
            item.user_properties.append((CHECKED_PROPERTY, checked))
        return failure

    def record_violation(self, item: pytest.Item, error: BaseException) -> None:
        """If *error* is a ContractViolation, record its errors and a command that repeats the request for *item*."""
        findings: Findings | None = getattr(error, "findings", None)
        if findings is None or not hasattr(findings, "errors"):
            return
        engine = self._engine or engine_of(contract_of(item.config))
        interaction, known = self._failing or (None, findings)
        if interaction is None or set(known.errors).isdisjoint(findings.errors):
            interaction = failing_interaction(engine, self._observers, findings)
        show_values = engine.settings.show_values
        record_errors(item, findings, command_of(interaction, show_values=show_values) if interaction else "")
