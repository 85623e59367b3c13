"""Write the pages of docs/reference/ that are generated from the code: `tox run -e reference`.

A test fails if one of them is out of date.
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest_veeqo_alloc
from pytest_veeqo_alloc import plugin, strategies
from pytest_veeqo_alloc.cli.main import explanation, parser
from pytest_veeqo_alloc.contract.rules import CATALOGUE, PROFILES
from pytest_veeqo_alloc.plugin.options import OPTIONS, key_of
from pytest_veeqo_alloc.server.responses import FAULTS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_PLUGIN = Path(plugin.__file__).parent


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def rules() -> str:
    """Return the page of the rules, with the catalogue's entries in full."""
    lines = [
        "# Rules",
        "",
        "A rule is one thing that can be wrong. `veeqo-alloc rules` prints this table, and `veeqo-alloc rules ID` explains one rule.",
        "",
        f"- **Severity**, in the profiles {', '.join(f'`{name}`' for name in PROFILES)}: an `error` fails, a `warning` is shown, a rule that is `off` is not checked.",
        "- **Basis**: the Veeqo documentation states a *documented* rule, and a standard states an *rfc* rule. A *convention* follows from the",
        "  documented examples, observed orders or common sense.",
        "",
        f"| rule | problem | {' / '.join(PROFILES)} | side | basis |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rule in CATALOGUE.values():
        severities = " / ".join(rule.severities[profile] for profile in PROFILES)
        cells = (
            f"[`{rule.id}`](#{rule.id})",
            rule.summary,
            severities,
            ", ".join(rule.sides),
            rule.basis,
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    lines += [
        "",
        "What `veeqo-alloc rules ID` prints for each rule. An example changes the documented request and response.",
    ]
    for rule in CATALOGUE.values():
        lines += ["", f"## {rule.id}", "", "```text", *explanation(rule.id), "```"]
    return "\n".join(lines) + "\n"


def options() -> str:
    """Return the page of the pytest options and their ini keys."""
    lines = [
        "# pytest options",
        "",
        "Each option is also an ini key; the command line takes precedence. The API key is read from the environment variable",
        "`VEEQO_ALLOC_API_KEY` only, except for a server on your own machine. The first line does the same as the ini file below it:",
        "",
        "```console",
        "$ pytest --veeqo-alloc-profile strict --veeqo-alloc-rule null-value=warning",
        "```",
        "",
        "```ini",
        "[pytest]",
        "veeqo_alloc_profile = strict",
        "veeqo_alloc_rule = null-value=warning",
        "```",
        "",
        "| option | ini key | description |",
        "| --- | --- | --- |",
    ]
    for name, takes, several, words in OPTIONS:
        option = f"`--veeqo-alloc-{name}{f' {takes}' if takes else ''}`".replace("|", "\\|")
        more = "; may be repeated" if several else ""
        lines.append(f"| {option} | `{key_of(name)}` | {_cell(words)}{more} |")
    return "\n".join(lines) + "\n"


def _fixtures() -> Iterator[tuple[str, str, str]]:
    for path in sorted(_PLUGIN.glob("fixtures*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            decorators = " ".join(map(ast.unparse, getattr(node, "decorator_list", [])))
            if isinstance(node, ast.FunctionDef) and "pytest.fixture" in decorators and not node.name.startswith("_"):
                scope = "session" if "session" in decorators else "function"
                yield node.name, scope, ast.get_docstring(node) or ""


def fixtures() -> str:
    """Return the page of the fixtures with their docstrings, the markers and the hooks."""
    lines = ["# Fixtures, markers and hooks", "", "| fixture | scope | description |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {scope} | {_cell(docstring)} |" for name, scope, docstring in sorted(_fixtures())]
    lines += [
        "",
        "| marker | effect |",
        "| --- | --- |",
        "| `veeqo_alloc_cassette(name, ...)` | plays a cassette during the whole test; takes the arguments of `veeqo_alloc_cassette.use()` |",
        "| `veeqo_alloc_basis(basis)` | the basis of a test of the packaged suite; select with `-m \"veeqo_alloc_basis(basis='rfc')\"` |",
        "",
        "| hook | description |",
        "| --- | --- |",
    ]
    for node in ast.parse((_PLUGIN / "hookspecs.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            lines.append(
                f"| `{node.name}({ast.unparse(node.args).partition(':')[0]})` | {_cell(ast.get_docstring(node) or '')} |"
            )
    return "\n".join(lines) + "\n"


def leaf_commands(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of every subcommand that has no subcommands itself."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subcommand in action.choices.values():
                yield from list(leaf_commands(subcommand)) or [subcommand]


def _usage(action: argparse.Action) -> str:
    shown = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        return str(shown)
    argument = "" if action.nargs == 0 else f" {shown}"
    return ", ".join(action.option_strings) + argument


def commands() -> str:
    """Return the page of the commands and their options."""
    lines = [
        "# Commands",
        "",
        "`veeqo-alloc` is `python -m pytest_veeqo_alloc`. Every command has `--help`.",
    ]
    for command in leaf_commands(parser()):
        example = f"$ {(command.epilog or '').removeprefix('Example: ')}"
        lines += ["", f"## `{command.prog}`", "", command.description or "", "", "```console", example, "```"]
        lines += ["", "| argument | description |", "| --- | --- |"]
        for action in command._actions:
            if "--help" not in action.option_strings:
                usage = f"`{_usage(action)}`".replace("|", "\\|")
                lines.append(f"| {usage} | {_cell(action.help or '')} |")
    return "\n".join(lines) + "\n"


def faults() -> str:
    """Return the page of the faults of the fake and their arguments."""
    lines = [
        "# Faults of the fake",
        "",
        "A fault changes one response of the fake. Inject it with `veeqo_alloc_server.inject_fault(name, ...)` in a test, or with",
        "`POST /__veeqo_alloc__/faults` in another language ([control API](../howto/serve.md#control-the-fake-from-your-tests)).",
        "",
        "| fault | effect | arguments | allocation made |",
        "| --- | --- | --- | --- |",
    ]
    for fault in FAULTS.values():
        argument = f"`{fault.argument}=`" if fault.argument else ""
        if argument and fault.argument != "pointer":
            argument += " (optional)"
        made = "yes" if fault.carried_out else "no"
        lines.append(f"| `{fault.name}` | {_cell(fault.does)} | {argument} | {made} |")
    return "\n".join(lines) + "\n"


# Classes that also have methods for the plugin: the members that users rely on.
_MEMBERS = {
    "Cassettes": ("use", "findings"),
    "Fake": (
        "url", "api_key", "interactions", "findings", "world", "policy", "inject_fault", "respond_with", "stub", "new_key",
        "expect_finding", "assert_allocated", "assert_not_called", "reset",
    ),
    "Finding": ("message", "place", "as_row"),
    "Findings": ("errors", "warnings", "accepted", "ok"),
    "OrderPool": (),
    "Target": ("base_url", "post"),
    "Watch": ("interactions", "skipped", "findings", "expect_status", "close"),
    "World": ("of", "with_order", "with_stock", "order"),
}  # fmt: skip
_EXAMPLES = {  # by name, the example of another name
    "Allocation": "story", "BodySide": "profile", "FaultName": "profile", "Line": "story", "OrderPool": "target",
    "RuleId": "profile", "Severity": "profile", "Stock": "story", "Broken": "invalid_allocation_requests",
    "order_ids": "allocation_requests",
}  # fmt: skip


def api() -> str:
    """Return the page of the public names: signatures, docstrings, members, and an example of each."""
    examples = _examples()
    head = (FOLDER / "api_examples.py").read_text(encoding="utf-8").partition("\n\n\n")[0].splitlines()[4:]
    lines = ["# API", "", "Every public name, with its docstring and an example. The examples share this beginning:"]
    lines += ["", "```python", *head, "```"]
    for module in (pytest_veeqo_alloc, strategies):
        lines += ["", f"## From `{module.__name__}`"]
        for name in module.__all__:
            lines += ["", f"### {name}", "", *_described(name, getattr(module, name))]
            example = examples[_EXAMPLES.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())]
            lines += ["", "Example:", "", "```python", *example, "```"]
    return "\n".join(lines) + "\n"


def _examples() -> dict[str, list[str]]:
    """Map names in lower case to the lines of their example."""
    source = (FOLDER / "api_examples.py").read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines = source.splitlines()[start - 1 : node.end_lineno]
            is_plain = not node.decorator_list and not node.args.args
            found[node.name.removeprefix("test_")] = textwrap.dedent("\n".join(lines[is_plain:])).splitlines()
    return found


def _described(name: str, value: Any) -> Iterator[str]:
    """Yield the signature and the docstring of *value*, and those of its members if it is a class."""
    if not inspect.isclass(value) and not inspect.isfunction(value):
        yield f"One of {', '.join(f'`{word}`' for word in get_args(value))}."
        return
    if name not in _MEMBERS or name == "World":  # fixtures and functions build the others
        yield from _signature(name, value)
        yield ""
    yield inspect.getdoc(value) or ""
    for member in _members(name, value) if inspect.isclass(value) else ():
        found = inspect.getattr_static(value, member, None)
        doc = inspect.getdoc(found.__func__ if isinstance(found, (classmethod, staticmethod)) else found)
        if isinstance(found, property) or not callable(getattr(value, member, None)):
            is_described = isinstance(found, (property, functools.cached_property))
            yield from ("", f"`.{member}`: {' '.join((doc or '').split())}") if is_described else ()
        else:
            yield from ("", *_signature(f".{member}", getattr(value, member)), "", doc or "")


def _signature(name: str, value: Any) -> list[str]:
    try:
        signature = inspect.signature(value)
    except ValueError:
        return []
    kept = [
        parameter.replace(annotation=_Bare(parameter.annotation))
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    result = "" if inspect.isclass(value) else f" -> {signature.return_annotation}"
    parameters = list(_parameters(kept))
    text = f"{name}({', '.join(parameters)}){result}"
    if len(text) > 110:
        text = f"{name}(\n" + "".join(f"    {one},\n" for one in parameters) + f"){result}"
    return ["```python", *text.splitlines(), "```"]


class _Bare(str):
    """An annotation that is printed without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Yield the text of each parameter, with a star before the first that is keyword-only."""
    for index, parameter in enumerate(parameters):
        is_first = parameter.kind is parameter.KEYWORD_ONLY and not any(
            earlier.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL) for earlier in parameters[:index]
        )
        if is_first:
            yield "*"
        yield str(parameter)


def _members(name: str, value: type) -> list[str]:
    if name in _MEMBERS:
        return list(_MEMBERS[name])
    bases = [base for base in value.__mro__ if base.__module__.startswith("pytest_veeqo_alloc")]
    members = dict.fromkeys(member for base in bases for member in vars(base) if not member.startswith("_"))
    return list(members)


PAGES = {"api": api, "rules": rules, "options": options, "fixtures": fixtures, "commands": commands, "faults": faults}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (FOLDER / f"{name}.md").write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
