"""The options of the plugin. Every option is also an ini key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest

REPORT_PLUGIN = "veeqo_alloc_report"
"""The name of the plugin that writes reports."""
LIVE_PLUGIN = "veeqo_alloc_live"
"""The name of the plugin that writes to the server under test."""

SUITE = "pytest_veeqo_alloc.conformance"

# Each entry: the name, the metavar (None for a flag), whether the option is repeatable, and the help text.
OPTIONS: tuple[tuple[str, str | None, bool, str], ...] = (
    ("profile", "PROFILE", False, "how strictly to check: 'lenient', 'documented' (default) or 'strict'"),
    ("rule", "ID=SEVERITY", True, "set a rule to 'error', 'warning' or 'off', for example null-value=warning"),
    ("deviations", "PACK|FILE", True, "accept known deviations: the bundled pack 'observed', or a TOML file (default: none)"),
    ("strict-deviations", None, False, "fail the run if a deviation in your own files has expired or matches nothing"),
    ("write-deviations", "FILE", False, "accept the findings of the run: add them to this TOML file of deviations"),
    ("expires", "DATE", False, "the last day on which the deviations added by the run apply (default: no limit)"),
    ("prune", None, False, "remove deviations that match nothing from the written file (default: mark them as stale)"),
    ("partial", None, False, "write the deviations even if the run is incomplete"),
    ("uses", "POINTER|FILE", True, "a response field that the client uses, such as /id, or a file of such fields; findings at other fields fail nothing"),
    ("write-uses", "FILE", False, "write the response fields that tracked clients read to this file"),
    ("show-values", None, False, "quote body values in failure messages; the values may be personal data"),
    ("cassette-dir", "FOLDER", False, "the folder of your cassettes (default: tests/cassettes)"),
    ("record-mode", "MODE", False, "vcrpy's record mode: 'none' (default), 'once', 'new_episodes' or 'all'"),
    ("cassette-allow-hosts", "HOST[:PORT]", True, "a host to which requests may be sent while a cassette plays"),
    ("cassette-max-age", "DAYS", False, "fail a test that plays a cassette recorded more days ago than this (default: no limit)"),
    ("base-url", "URL", False, "the server to test; on the loopback interface, no other option is needed; otherwise, set VEEQO_ALLOC_API_KEY as well"),
    ("allow-host", "HOST[:PORT]", True, "a host that may receive writes; must match the base URL"),
    ("loopback-key", "KEY", False, "the API key for a server of your own on the loopback interface (default: a generated one)"),
    ("orders", "FILE|any", False, "a TOML file of writable orders, or 'any' if the server accepts any order id"),
    ("arrange-url", "URL", False, "a URL of your server that creates an order (POST, JSON); the default of orders is then 'any'"),
    ("max-writes", "WRITES", False, "the maximum number of writes in the whole run (default: 500 if only a base URL on the loopback interface is given, otherwise 0)"),
    ("rate", "REQUESTS", False, "the maximum number of requests per second (default: 5; more only if orders is 'any')"),
    ("journal", "FILE", False, "the file that records every write (default: veeqo-alloc-journal-HOST-PORT.jsonl)"),
    ("cleanup", None, False, "delete the allocations of this run when the run ends, where deletion is safe"),
    ("client", "MODULE:CALLABLE", False, "the factory of the client that the conformance suite tests (default: the bundled reference client)"),
    ("client-command", "COMMAND", False, "the client that the suite tests, as a command that makes one allocation"),
    ("client-persistent", None, False, "run the client command only once; it reads a line of JSON for each allocation"),
    ("client-timeout", "SECONDS", False, "the maximum duration of a client call (default: 5)"),
    ("report", "FILE", True, "write a report on coverage and findings to this .json or .html file (default: no report)"),
    ("coverage-min", "PERCENT", False, "fail if the server sent less than this percentage of the documented fields (default: 0)"),
    ("trust-env", None, False, "use proxies, .netrc and CA bundles from the environment"),
)  # fmt: skip

_NUMBERS = [name for name, metavar, *_ in OPTIONS if metavar in ("DAYS", "WRITES", "REQUESTS", "SECONDS", "PERCENT")]

# By metavar: a pattern of valid values, and what a value must be.
_FORMS = {
    "DAYS": (r"[0-9]{1,5}", "a whole number of days"),
    "MODULE:CALLABLE": (r"[\w.]+:[\w.]+", "a module and a callable, such as shop.veeqo:make_client"),
    "REQUESTS": (r"(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?", "a number of requests above 0"),
    "SECONDS": (r"(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?", "a number of seconds above 0"),
    "WRITES": (r"[0-9]{1,9}", "a whole number"),
}


def validate_options(config: pytest.Config) -> None:
    """Raise ValueError if the value of an option is malformed or empty. The message quotes the value."""
    for name, metavar, *_ in OPTIONS:
        if config.getoption(key_of(name)) == "":  # such as the value of a CI variable that is not set
            raise ValueError(f"--veeqo-alloc-{name} is empty: give a value, or leave the option out")
        if metavar in _FORMS and (value := setting(config, name)):
            pattern, wanted = _FORMS[metavar]
            if re.fullmatch(pattern, value) is None:
                raise ValueError(f"--veeqo-alloc-{name} must be {wanted}, not {value!a:.60}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add every option and its ini key. The command line takes precedence over the ini file."""
    group = parser.getgroup(
        "veeqo-alloc", "Veeqo allocation contract, for example: pytest --veeqo-alloc-profile=strict"
    )
    for name, metavar, is_repeatable, text in OPTIONS:
        flag, key = f"--veeqo-alloc-{name}", key_of(name)
        if metavar is None:
            parser.addini(key, text, type="bool")
            group.addoption(flag, dest=key, action="store_true", default=None, help=text)
        else:
            kind: Literal["linelist", "string"] = "linelist" if is_repeatable else "string"
            parser.addini(key, text, type=kind)
            group.addoption(flag, dest=key, action="append" if is_repeatable else "store", metavar=metavar, help=text)


def key_of(name: str) -> str:
    """Return the ini key of the option *name*."""
    return f"veeqo_alloc_{name.replace('-', '_')}"


def setting(config: pytest.Config, name: str) -> Any:
    """Return the value of the option *name* from the command line, otherwise the value of its ini key."""
    value = config.getoption(key_of(name))
    return _ini_value(config, name) if value is None else value


def is_any_option_set(config: pytest.Config) -> bool:
    """Return whether any option or ini key of the plugin has a value."""
    return any(setting(config, name) for name, *_ in OPTIONS)


REPORT_OPTIONS = ("report", "coverage-min", "write-deviations", "strict-deviations", "uses", "write-uses")
"""The options that make the run record its coverage."""


def is_option_set(config: pytest.Config, name: str) -> bool:
    """Return whether the command line has the option *name* (even as an empty string), or its ini key has a value."""
    return config.getoption(key_of(name)) is not None or bool(_ini_value(config, name))


def _ini_value(config: pytest.Config, name: str) -> Any:
    """Return the value of the ini key. Convert a TOML number to text, since other ini files have only text."""
    try:
        return config.getini(key_of(name))
    except (TypeError, pytest.UsageError) as error:  # pytest 9 wants a string in its own table of a TOML file
        number = _toml_value(config, key_of(name)) if name in _NUMBERS else None
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise pytest.UsageError(str(error)) from None
        return str(number)


def _toml_value(config: pytest.Config, key: str) -> Any:
    import tomllib  # imported only for an unusual value

    if config.inipath is None or config.inipath.suffix != ".toml":
        return None
    document = tomllib.loads(config.inipath.read_text(encoding="utf-8"))
    table = document.get("pytest") or document.get("tool", {}).get("pytest", {})
    return table.get(key)


def is_conformance_run(config: pytest.Config) -> bool:
    """Return whether the conformance suite is named on the command line (in a worker process: of the controller)."""
    worker_input: dict[str, object] = getattr(config, "workerinput", {})
    return SUITE in worker_input or any(SUITE in str(argument) for argument in config.invocation_params.args)


def base_directory(config: pytest.Config, name: str) -> Path:
    """Return the base of relative paths: the working directory for an option, the ini file's folder for an ini key."""
    if config.getoption(key_of(name)):
        return config.invocation_params.dir
    return config.inipath.parent if config.inipath is not None else config.rootpath
