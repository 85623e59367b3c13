"""The help text of each command."""

from __future__ import annotations

import argparse
import shlex

import pytest
from make_reference import leaf_commands

from pytest_veeqo_alloc.cli.main import parser

COMMANDS = {command.prog.removeprefix("veeqo-alloc "): command for command in leaf_commands(parser())}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_help_has_the_exit_statuses_and_a_valid_example(command: argparse.ArgumentParser) -> None:
    assert "Exit status: 0 " in str(command.description)
    program, example = str(command.epilog).removeprefix("Example: ").partition(" > ")[0].split(" ", 1)
    assert program == "veeqo-alloc"
    assert f"veeqo-alloc {example}".startswith(command.prog)
    parser().parse_args(shlex.split(example))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_help_describes_each_argument_with_its_default(command: argparse.ArgumentParser) -> None:
    for action in command._actions:
        assert action.help, action.dest
        if isinstance(action.default, str) and action.default not in ("", argparse.SUPPRESS):
            assert f"default: {action.default}" in action.help
