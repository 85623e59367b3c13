"""The pytest plugin: options, and the failure of a watched test. Loaded in every run, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_veeqo_alloc.fixtures import (
    WATCHED,
    veeqo_alloc_contract,
    veeqo_alloc_schemas,
    veeqo_alloc_watch,
)

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.contract.violation import ContractViolation

__all__ = ["veeqo_alloc_contract", "veeqo_alloc_schemas", "veeqo_alloc_watch"]

_PREFIX = "veeqo_alloc_"
_CONTRACT: pytest.StashKey[Contract] = pytest.StashKey()

# Name, what it takes, whether it may be given several times, help.
_OPTIONS: tuple[tuple[str, str | None, bool, str], ...] = (
    ("profile", "PROFILE", False, "how strictly to read the documentation: lenient, documented (default) or strict"),
    ("rule", "ID=SEVERITY", True, "error, warning or off for one rule, such as null-value=warning"),
    ("deviations", "PACK|FILE", True, "findings to accept: the pack observed, or a TOML file of your own"),
    ("show-values", None, False, "quote values of bodies in failures; for your own terminal only"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option is also an ini key of the same name with underscores; the command line wins."""
    group = parser.getgroup("veeqo-alloc", "Veeqo allocation contract")
    for name, metavar, several, words in _OPTIONS:
        key = _PREFIX + name.replace("-", "_")
        if metavar is None:
            group.addoption(f"--veeqo-alloc-{name}", dest=key, action="store_true", default=None, help=words)
            parser.addini(key, words, type="bool", default=False)
        else:
            action = "append" if several else "store"
            group.addoption(f"--veeqo-alloc-{name}", dest=key, action=action, default=None, metavar=metavar, help=words)
            kind: Literal["linelist", "string"] = "linelist" if several else "string"
            parser.addini(key, words, type=kind, default=[] if several else "")


def setting(config: pytest.Config, name: str) -> Any:
    """The value of an option or, where it was not given, of its ini key."""
    key = _PREFIX + name.replace("-", "_")
    given = config.getoption(key)
    return config.getini(key) if given is None else given


def pytest_configure(config: pytest.Config) -> None:
    """A wrong setting stops the run at once, in one sentence, rather than every test."""
    if any(setting(config, name) for name, *_ in _OPTIONS):
        contract_of(config)


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
            )
        except ValueError as error:
            raise pytest.UsageError(f"veeqo-alloc: {error}") from None
    return config.stash[_CONTRACT]


def _deviations(config: pytest.Config, named: str) -> str:
    """A file named in the ini file lies beside it; one named on the command line, where the command was given."""
    if config.getoption(f"{_PREFIX}deviations") is None and config.inipath is not None:
        beside = config.inipath.parent / named
        return str(beside) if beside.is_file() else named
    return named


def pytest_report_header(config: pytest.Config) -> str | None:
    """One line, and only where something was set."""
    given = {name: setting(config, name) for name, *_ in _OPTIONS}
    if not any(given.values()):
        return None
    parts = [f"profile {given['profile'] or 'documented'}", *given["rule"]]
    parts += [f"deviations {ascii(named)[1:-1]}" for named in given["deviations"]]
    parts += ["values shown"] if given["show-values"] else []
    return f"veeqo-alloc: {', '.join(parts)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """What a watched session did wrong fails the test in its call phase, so that xfail and -x see a failed test."""
    try:
        outcome = yield
    except BaseException:
        if violation := _violation(item):
            item.add_report_section("call", "veeqo-alloc", str(violation))
        raise
    if violation := _violation(item):
        from pytest_veeqo_alloc.failure import watched_failure  # needs the core, which most runs never load

        raise watched_failure(violation)
    return outcome


def _violation(item: pytest.Item) -> ContractViolation | None:
    if WATCHED not in item.stash:
        return None
    contract, watches = item.stash[WATCHED]
    findings = contract.merge(watch.findings for watch in watches)
    return None if findings.ok else contract.violation(findings)
