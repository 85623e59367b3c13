"""The options of commands that hold something against the contract."""

from __future__ import annotations

import argparse

from pytest_veeqo_alloc.api import Contract, parse_overrides
from pytest_veeqo_alloc.contract.rules import PROFILES

CLEAN, ERRORS_FOUND, COULD_NOT_RUN = 0, 1, 2
"""What a command ends with."""


def add_contract(command: argparse.ArgumentParser) -> None:
    """Profile, single rules and deviations."""
    command.add_argument("--profile", default="documented", help=f"one of {', '.join(PROFILES)} (default: documented)")
    command.add_argument(
        "--rule", action="append", default=[], metavar="ID=SEVERITY", help="error, warning or off for one rule"
    )
    command.add_argument(
        "--deviations",
        "--veeqo-alloc-deviations",  # as failures advise it
        action="append",
        default=[],
        metavar="D",
        help="a file of accepted deviations, or the pack observed",
    )


def contract_of(chosen: argparse.Namespace) -> Contract:
    """The contract that these options describe. ValueError, in one sentence, for what does not exist."""
    return Contract(chosen.profile, rules=parse_overrides(chosen.rule), deviations=chosen.deviations)
