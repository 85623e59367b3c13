"""Profiles and overrides: how bad each rule is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import cast

from pytest_veeqo_alloc.contract.rules import CATALOGUE, PROFILES, SEVERITIES, Severity


def severities(profile: str, overrides: Mapping[str, str] | None = None) -> dict[str, Severity]:
    """The severity of every rule in *profile*, with single entries replaced by *overrides*.

    ValueError, with the nearest known name, for a profile, rule or severity that does not exist.
    """
    if profile not in PROFILES:
        raise ValueError(unknown("profile", profile, PROFILES))
    if overrides is not None and not isinstance(overrides, Mapping):
        raise TypeError("rules maps rule ids to severities, such as {'null-value': 'warning'}")
    chosen = {rule.id: rule.severities[profile] for rule in CATALOGUE.values()}
    for rule_id, severity in (overrides or {}).items():
        if rule_id not in CATALOGUE:
            raise ValueError(unknown("rule", rule_id, CATALOGUE))
        if severity not in SEVERITIES:
            raise ValueError(unknown(f"severity for {rule_id}", severity, SEVERITIES))
        chosen[rule_id] = cast(Severity, severity)
    return chosen


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """One sentence: that *name* is no known *kind*, and the nearest that is, or all of them; rules have a command."""
    names = list(known)
    if near := nearest(name, names):
        return f"unknown {kind} {_quoted(name)}: did you mean {near!r}?"
    if kind == "rule":
        return f"unknown rule {_quoted(name)}: see 'veeqo-alloc rules' for all of them"
    return f"unknown {kind} {_quoted(name)}: it is one of {', '.join(names)}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that *name* is most likely a slip for, or None."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), None)


def _quoted(name: object) -> str:
    # What is no text was meant for another argument, and could be a body.
    text = ascii(name) if isinstance(name, str) else f"of type {type(name).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
