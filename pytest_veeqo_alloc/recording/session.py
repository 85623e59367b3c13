"""Writing what was recorded: redacted, looked over once more, stamped, and in one move."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from pytest_veeqo_alloc.capture.writers import cassette_text, write_atomically
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import mask_location, mask_pointer
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.permission import is_loopback
from pytest_veeqo_alloc.recording.matching import PARTS
from pytest_veeqo_alloc.recording.paths import CassetteError, Place, Settings, missing, place_of, validate_mode
from pytest_veeqo_alloc.recording.player import CassettePlayer
from pytest_veeqo_alloc.redaction.lint import secret_breaches
from pytest_veeqo_alloc.redaction.redactor import redact
from pytest_veeqo_alloc.spec.loader import operation_matches

_COMMENT = "Recorded by pytest-veeqo-alloc and redacted: every text that is not known to be safe is a stand-in."


def save(place: Place, interactions: list[Interaction], today: datetime.date) -> None:
    """Puts *interactions* in the place of the cassette. CassetteError, and nothing written, where something still
    looks like a secret after redaction, or the file cannot be written."""
    safe = redact(interactions)
    for each in safe:
        for breach in secret_breaches(each):
            where = mask_pointer(breach.pointer) or mask_location(breach.location)
            raise CassetteError(f"the cassette {place.path} was not written: {breach.got} remains at {where}")
    stamp = {
        "recorded_on": today.isoformat(),
        "host": class_of_host(interactions[-1]),
        "package": version("pytest-veeqo-alloc"),
    }
    try:
        write_atomically(place.path, cassette_text(safe, stamp, comment=_COMMENT))
    except OSError as error:
        raise CassetteError(f"the cassette {place.path} cannot be written: {error.strerror}") from None


def class_of_host(interaction: Interaction) -> str:
    """`loopback`, `private` or `public`: what kind of host was recorded, told from its name alone."""
    host = (urlsplit(interaction.request.url).hostname or "") if interaction.request else ""
    if is_loopback(host):
        return "loopback"
    try:
        is_private = ipaddress.ip_address(host).is_private
    except ValueError:
        is_private = "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
    return "private" if is_private else "public"


@dataclass(frozen=True, slots=True)
class Used:
    """For the summary of a run: which cassette a test used, how much of it was left unplayed, and whether one of the
    shipped pack stood in for a recording that was asked for."""

    name: str
    path: str
    stored: int
    unplayed: int
    in_place_of_recording: bool


class Cassettes:
    """`.use(name)` plays or records a cassette within a block. `.findings` are those of all that passed. *own_servers*
    gives `host:port` of servers of this process, which may always be called."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        mode: str,
        live: Callable[[], LiveClient],
        own_servers: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._engine, self._folder, self._live, self._own_servers = engine, folder, live, own_servers
        self._mode = validate_mode(mode)
        self._tapes: list[CassettePlayer] = []

    def use(
        self,
        name: str,
        *,
        relax: Iterable[str] = (),
        strict_play: bool = False,
        allow_playback_repeats: bool = False,
        allow_hosts: Iterable[str] = (),
        record_mode: str | None = None,
    ) -> AbstractContextManager[CassettePlayer]:
        """Play the cassette *name* of your folder or of the shipped pack; no call reaches the network.

        *relax* names parts of a request that are not compared: method, host, path, order_id, query, body. With
        *strict_play* the test fails where an interaction was not played. *allow_hosts* are `host` or `host:port` that the
        test may call beside it. *record_mode* (vcrpy's none, once, new_episodes or all) replaces that of the run; what
        is recorded is written when the test has passed. ValueError, in one sentence, for what cannot be used.
        """
        __tracebackhide__ = True
        mode = self._mode if record_mode is None else validate_mode(record_mode)
        place = place_of(name, self._folder, use_pack=mode in ("none", "once"))
        if mode == "none" and not place.path.exists():
            raise missing(place, self._folder)
        chosen = Settings(mode, _known_parts(relax), strict_play, allow_playback_repeats, _texts(allow_hosts))
        tape = CassettePlayer(place, self._engine, chosen, self._live, self._own_servers)
        self._tapes.append(tape)
        return tape.running()

    def owns(self, interaction: Interaction) -> bool:
        """Whether one of the cassettes reports *interaction*."""
        return any(tape.owns(interaction) for tape in self._tapes)

    @property
    def findings(self) -> Findings:
        """What is wrong with the allocations that passed through any cassette."""
        return self._engine.merge(tape.findings for tape in self._tapes)

    @property
    def interactions(self) -> list[Interaction]:
        """Everything that passed through any cassette."""
        return [each for tape in self._tapes for each in tape.interactions]

    @property
    def checked(self) -> int:
        """How many allocations passed."""
        return sum(map(operation_matches, self.interactions))

    def show(self) -> None:
        """Tells whoever counts of what passed."""
        for tape in self._tapes:
            tape.show()

    @property
    def problems(self) -> list[str]:
        """What fails the test besides findings: requests that nothing was played for, where the client kept that to
        itself, cassettes whose block was never entered, and with `strict_play` what was not played."""
        told = [str(error) for tape in self._tapes for error in tape.unmatched]
        for tape in self._tapes:
            if not tape.was_entered:
                told.append(f"nothing was played of {tape.place.name!a}: write `with veeqo_alloc_cassette.use(...):`")
            if tape.settings.strict_play and tape.unplayed:
                count = f"{len(tape.unplayed)} of {len(tape.stored)} interactions"
                told.append(
                    f"the cassette {tape.place.name!a} is not played to its end: {count} are left (strict_play=True)"
                )
        return list(dict.fromkeys(told))

    def save(self, today: datetime.date) -> None:
        """Write what was recorded. ValueError, in one sentence, where that cannot be done."""
        for tape in self._tapes:
            if recorded := tape.recorded:
                save(tape.place, [*tape.stored, *recorded], today)

    def used(self, *, passed: bool) -> list[Used]:
        """Which cassettes were used, for the summary. A test that did not pass need not have played all."""
        return [
            Used(
                name=tape.place.name,
                path=str(tape.place.path),
                stored=len(tape.stored),
                unplayed=len(tape.unplayed) if passed else 0,
                in_place_of_recording=tape.place.is_shipped and tape.settings.mode != "none",
            )
            for tape in self._tapes
        ]


def _known_parts(relax: Iterable[str]) -> frozenset[str]:
    parts = _texts(relax)
    for part in parts:
        if part not in PARTS:
            raise ValueError(unknown_name("part of a request to relax", part, PARTS))
    return frozenset(parts)


def _texts(several: Iterable[str]) -> tuple[str, ...]:
    return (several,) if isinstance(several, str) else tuple(several)
