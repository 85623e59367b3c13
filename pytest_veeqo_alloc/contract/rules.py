"""What a rule is, and the catalogue of all of them. Ids and meanings are promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pytest_veeqo_alloc.contract import rules_body, rules_file, rules_order, rules_transport

Severity = Literal["error", "warning", "off"]
Basis = Literal["documented", "rfc", "convention"]
BodySide = Literal["request", "response"]
Side = Literal["request", "response", "file"]

BODY_SIDES: tuple[BodySide, ...] = ("request", "response")

PROFILES = ("lenient", "documented", "strict")
SEVERITIES = ("error", "warning", "off")

_LETTERS: dict[str, Severity] = {"e": "error", "w": "warning", "-": "off"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong.

    `holds_when` says what is right, `remedy` what to do where it is not, `source` where that is written. `severities`
    has one entry per profile.
    """

    id: str
    sides: tuple[Side, ...]
    basis: Basis
    severities: Mapping[str, Severity]
    holds_when: str
    remedy: str
    source: str


def _rule(row: tuple[str, str, str, str, str, str, str]) -> Rule:
    rule_id, sides, basis, letters, holds_when, remedy, source = row
    return Rule(
        id=rule_id,
        sides=("request", "response") if sides == "both" else (cast(Side, sides),),
        basis=cast(Basis, basis),
        severities=dict(zip(PROFILES, (_LETTERS[letter] for letter in letters), strict=True)),
        holds_when=holds_when,
        remedy=remedy,
        source=source,
    )


CATALOGUE: Mapping[str, Rule] = {
    row[0]: _rule(row) for row in (*rules_transport.ROWS, *rules_body.ROWS, *rules_order.ROWS, *rules_file.ROWS)
}
"""Every rule by its id, in the order in which they are told: transport, bodies, the order's own arithmetic, files."""
