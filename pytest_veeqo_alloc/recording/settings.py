"""How a cassette is used."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_veeqo_alloc.core.text import unknown

MODES = ("none", "once", "new_episodes", "all")


def known_mode(mode: str) -> str:
    """*mode* itself; ValueError, in one sentence, for one that vcrpy does not have."""
    if mode not in MODES:
        raise ValueError(unknown("record mode", mode, MODES))
    return mode


PACK_RELAXED = frozenset({"host", "order_id", "body"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a cassette is used. `relaxed` names parts of a request that are not compared; `allow_hosts` are `host` or
    `host:port` that the test may call beside the cassette."""

    mode: str = "none"
    relaxed: frozenset[str] = frozenset()
    strict_play: bool = False
    allow_playback_repeats: bool = False
    allow_hosts: tuple[str, ...] = ()
