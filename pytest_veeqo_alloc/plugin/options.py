"""The options of the plugin, each an ini key as well, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

PREFIX = "veeqo_alloc_"
SUITE = "pytest_veeqo_alloc.conformance"
FAKE_ADDRESSES: pytest.StashKey[list[str]] = pytest.StashKey()
"""`host:port` of every server of ours that listens in this process."""

# Name, what it takes, whether it may be given several times, help.
OPTIONS: tuple[tuple[str, str | None, bool, str], ...] = (
    ("profile", "PROFILE", False, "how strictly to read the documentation: lenient, documented (default) or strict"),
    ("rule", "ID=SEVERITY", True, "error, warning or off for one rule, such as null-value=warning"),
    ("deviations", "PACK|FILE", True, "findings to accept: the pack observed, or a TOML file of your own"),
    ("show-values", None, False, "quote values of bodies in failures; for your own terminal only"),
    ("cassette-dir", "FOLDER", False, "where your cassettes lie (default: tests/cassettes)"),
    ("record-mode", "MODE", False, "none (default), once, new_episodes or all, as vcrpy has them"),
    ("base-url", "URL", False, "a foreign server, such as staging; the key comes from VEEQO_ALLOC_API_KEY"),
    ("allow-host", "HOST[:PORT]", True, "say again which host may be written to"),
    ("orders", "FILE|any", False, "the orders that may be written to, in TOML; any: the server makes up what is asked"),
    ("max-writes", "N", False, "how many writes the whole run may send"),
    ("rate", "R", False, "requests a second, at most 5 (default) unless the orders are any"),
    ("journal", "FILE", False, "where every write is noted (default: veeqo-alloc-journal.jsonl)"),
    ("cleanup", None, False, "delete at the end what the run allocated, where that is safe"),
    ("client", "MODULE:CALLABLE", False, "the client that the conformance suite judges"),
    ("client-timeout", "SECONDS", False, "how long a client may take to give up (default: 5)"),
    ("report", "FILE", True, "write what was covered and found: a .json or .html file"),
    ("coverage-min", "PERCENT", False, "fail where fewer of the documented fields were seen from the target"),
    ("trust-env", None, False, "use proxies, .netrc and CA bundles of the environment"),
)


def add_options(parser: pytest.Parser) -> None:
    """Every option is also an ini key of the same name with underscores; the command line wins."""
    group = parser.getgroup("veeqo-alloc", "Veeqo allocation contract")
    for name, metavar, several, words in OPTIONS:
        key = key_of(name)
        if metavar is None:
            group.addoption(f"--veeqo-alloc-{name}", dest=key, action="store_true", default=None, help=words)
            parser.addini(key, words, type="bool", default=False)
        else:
            action = "append" if several else "store"
            group.addoption(f"--veeqo-alloc-{name}", dest=key, action=action, default=None, metavar=metavar, help=words)
            kind: Literal["linelist", "string"] = "linelist" if several else "string"
            parser.addini(key, words, type=kind, default=[] if several else "")


def key_of(name: str) -> str:
    """The ini key of an option."""
    return PREFIX + name.replace("-", "_")


def setting(config: pytest.Config, name: str) -> Any:
    """The value of an option or, where it was not given, of its ini key."""
    given = config.getoption(key_of(name))
    return config.getini(key_of(name)) if given is None else given


def is_option_set(config: pytest.Config, name: str) -> bool:
    """Whether an option was given at all, be it empty, or its ini key says something."""
    return config.getoption(key_of(name)) is not None or bool(config.getini(key_of(name)))


def is_conformance_run(config: pytest.Config) -> bool:
    """Whether the packaged suite was named; a process of pytest-xdist is told by its controller."""
    given: dict[str, object] = getattr(config, "workerinput", {})
    return SUITE in given or any(SUITE in str(argument) for argument in config.invocation_params.args)


def base_directory(config: pytest.Config, name: str) -> Path:
    """From where the file of an option is looked for: one named on the command line from where that was given, one of
    the ini file from where that lies, else the root."""
    if config.getoption(key_of(name)):
        return config.invocation_params.dir
    return config.inipath.parent if config.inipath is not None else config.rootpath
