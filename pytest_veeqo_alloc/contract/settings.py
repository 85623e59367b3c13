"""Profiles and overrides: how bad each rule is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pytest_veeqo_alloc.contract.rules import CATALOGUE, PROFILES, SEVERITIES, Severity
from pytest_veeqo_alloc.core.text import unknown


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
