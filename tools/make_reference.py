"""Makes the pages of docs/reference/ that are told by the code itself: `tox run -e reference`. A test holds them to it."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

from pytest_veeqo_alloc import plugin
from pytest_veeqo_alloc.cli.main import parser
from pytest_veeqo_alloc.contract.rules import CATALOGUE, PROFILES
from pytest_veeqo_alloc.plugin.options import OPTIONS, key_of
from pytest_veeqo_alloc.server.responses import FAULTS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_PLUGIN = Path(plugin.__file__).parent


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def rules() -> str:
    """Every rule with all that the catalogue says of it."""
    lines = [
        "# Rules",
        "",
        f"`veeqo-alloc rules` prints them too. Severity in the profiles {', '.join(f'`{name}`' for name in PROFILES)}; a rule",
        "that is off is not looked at. *documented*: the page says it; *rfc*: a standard says it; *convention*: only the page's",
        "example, orders that were seen, or good sense.",
        "",
        f"| rule | side | basis | {' / '.join(PROFILES)} | problem | wanted | what to do | source |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rule in CATALOGUE.values():
        severities = " / ".join(rule.severities[profile] for profile in PROFILES)
        cells = (
            f"`{rule.id}`",
            ", ".join(rule.sides),
            rule.basis,
            severities,
            rule.summary,
            rule.wanted,
            "; ".join(dict.fromkeys(rule.remedies.values())),
            rule.source,
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def options() -> str:
    """Every option of pytest, and its ini key."""
    lines = [
        "# Options of pytest",
        "",
        "Each is an ini key as well; the command line wins. The key of the API comes from the environment variable",
        "`VEEQO_ALLOC_API_KEY` and from nowhere else.",
        "",
        "| option | ini key | does |",
        "| --- | --- | --- |",
    ]
    for name, takes, several, words in OPTIONS:
        option = f"`--veeqo-alloc-{name}{f' {takes}' if takes else ''}`".replace("|", "\\|")
        more = "; may be given several times" if several else ""
        lines.append(f"| {option} | `{key_of(name)}` | {_cell(words)}{more} |")
    return "\n".join(lines) + "\n"


def _documented_fixtures() -> Iterator[tuple[str, str, str]]:
    for path in sorted(_PLUGIN.glob("fixtures*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            decorators = [ast.unparse(each) for each in getattr(node, "decorator_list", [])]
            if isinstance(node, ast.FunctionDef) and any(each.startswith("pytest.fixture") for each in decorators):
                scope = "session" if any("session" in each for each in decorators) else "function"
                yield node.name, scope, ast.get_docstring(node) or ""


def fixtures() -> str:
    """Every fixture with its docstring, the markers and the hook."""
    lines = ["# Fixtures, markers and the hook", "", "| fixture | scope | gives |", "| --- | --- | --- |"]
    found = sorted(_documented_fixtures())
    lines += [f"| `{name}` | {scope} | {_cell(doc)} |" for name, scope, doc in found if not name.startswith("_")]
    lines += [
        "",
        "| marker | does |",
        "| --- | --- |",
        "| `veeqo_alloc_cassette(name, ...)` | plays this cassette for the whole test, with the arguments of `.use()` |",
        "| `veeqo_alloc_basis(basis)` | what a test of the packaged suite rests on: `-m \"veeqo_alloc_basis(basis='rfc')\"` |",
        "",
        "| hook | does |",
        "| --- | --- |",
    ]
    for node in ast.parse((_PLUGIN / "hookspecs.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            lines.append(
                f"| `{node.name}({ast.unparse(node.args).partition(':')[0]})` | {_cell(ast.get_docstring(node) or '')} |"
            )
    return "\n".join(lines) + "\n"


def _parsers(one: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            for name, inner in action.choices.items():
                below = list(_parsers(inner))
                yield from below or [(inner.prog, helps.get(name, ""), inner)]


def _usage(action: argparse.Action) -> str:
    shown = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        return str(shown)
    takes = "" if action.nargs == 0 else f" {shown}"
    return ", ".join(action.option_strings) + takes


def commands() -> str:
    """Every command with its options."""
    lines = [
        "# Commands",
        "",
        "`veeqo-alloc` is `python -m pytest_veeqo_alloc`. Exit status: 0 clean, 1 errors found, 2 could not run.",
    ]
    for prog, words, one in _parsers(parser()):
        lines += ["", f"## `{prog}`", "", words, "", "| argument | |", "| --- | --- |"]
        for action in one._actions:
            if "--help" not in action.option_strings:
                usage = f"`{_usage(action)}`".replace("|", "\\|")
                lines.append(f"| {usage} | {_cell(action.help or '')} |")
    return "\n".join(lines) + "\n"


def faults() -> str:
    """Every fault of the fake, with what it takes."""
    lines = [
        "# Faults of the fake",
        "",
        "For `veeqo_alloc_server.inject_fault(name, ...)` and `POST faults` of the control path.",
        "",
        "| fault | does | takes | the allocation is made |",
        "| --- | --- | --- | --- |",
    ]
    for fault in FAULTS.values():
        takes = [f"`{name}=`" for name in fault.needs] + [f"`{name}=`, if you like" for name in fault.may_take]
        made = "yes" if fault.carried_out else "no"
        lines.append(f"| `{fault.name}` | {_cell(fault.does)} | {'; '.join(takes)} | {made} |")
    return "\n".join(lines) + "\n"


PAGES = {"rules": rules, "options": options, "fixtures": fixtures, "commands": commands, "faults": faults}


def main() -> None:
    """Writes the pages."""
    for name, make in PAGES.items():
        (FOLDER / f"{name}.md").write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
