"""The cassettes of a test. Recordings are redacted, checked for remaining secrets, and written atomically."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pytest_veeqo_alloc.capture.writers import cassette_text, require_writable, write_atomically
from pytest_veeqo_alloc.contract.failure import counts_of
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import mask_location, mask_pointer
from pytest_veeqo_alloc.core.text import pluralise, unknown_name
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.permission import is_loopback
from pytest_veeqo_alloc.recording import CassetteError, CassetteFile, find_cassette, missing_cassette
from pytest_veeqo_alloc.recording.matching import PARTS
from pytest_veeqo_alloc.recording.player import CassettePlayer, PlaybackOptions
from pytest_veeqo_alloc.redaction.lint import age_breaches, secret_breaches
from pytest_veeqo_alloc.redaction.redactor import redact
from pytest_veeqo_alloc.spec.loader import operation_matches

_COMMENT = "Recorded by pytest-veeqo-alloc and redacted: placeholders replace every string not known to be safe."


class CassetteNews(NamedTuple):
    """Results of recent calls: findings, messages about unmatched requests, and the number of checked calls."""

    findings: Findings
    problems: list[str]
    checked: int


class Cassettes:
    """The cassettes of a test. `.use(name)` plays or records one.

    Calls to *own_servers* (`host:port`) bypass the cassettes. A connection that is already open may not send to the server
    at the URL *target*.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        mode: str,
        live: Callable[[], LiveClient],
        own_servers: Collection[str] = (),
        allow_hosts: Iterable[str] = (),
        max_age: int | None = None,
        target: str = "",
    ) -> None:
        self._target = target
        self._allow_hosts, self._max_age = tuple(allow_hosts), max_age
        self._engine, self._folder, self._mode, self._live, self._own_servers = engine, folder, mode, live, own_servers
        self._players: list[CassettePlayer] = []

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
        """Play or record the cassette *name*, which is in your cassette folder or bundled with the package.

        *relax* lists parts of a request that are not compared: 'method', 'host', 'path', 'order_id', 'query', 'body'.
        With *strict_play*, the test fails if an interaction was not played. With *allow_playback_repeats*, interactions
        may be played more than once. While a cassette plays, only *allow_hosts* (`host` or `host:port`) can be reached.
        *record_mode* ('none', 'once', 'new_episodes' or 'all', as in vcrpy) overrides the record mode of the run. A
        recording is written after the test has passed. Raise ValueError for an invalid argument or cassette.
        """
        __tracebackhide__ = True
        mode = self._mode if record_mode is None else record_mode
        file = find_cassette(name, self._folder, mode)
        relaxed = _as_tuple(relax)
        for part in relaxed:
            if part not in PARTS:
                raise ValueError(unknown_name("part of a request to relax", part, PARTS))
        hosts = (*self._allow_hosts, *_as_tuple(allow_hosts))
        options = PlaybackOptions(mode, frozenset(relaxed), strict_play, allow_playback_repeats, hosts)
        player = CassettePlayer(file, self._engine, options, self._live, self._own_servers, self._target)
        if mode == "none" and not player.stored:
            raise missing_cassette(name, self._folder)
        self._require_age(player)
        if player.may_record:
            require_writable_cassette(file)
        self._players.append(player)
        return player.running()

    def _require_age(self, player: CassettePlayer) -> None:
        """Raise CassetteError if the recording of *player* is too old. Bundled cassettes are never too old."""
        if self._max_age is None or player.file.is_bundled or not player.stored:
            return
        for breach in age_breaches(player.recorded_on, datetime.date.today(), self._max_age):
            limit = f"at most {self._max_age} days are allowed"
            raise CassetteError(f"the cassette {player.file.path} is {breach.got}, and {limit}: record it again")

    def owns(self, interaction: Interaction) -> bool:
        """Return whether *interaction* was played from a cassette, or was sent to a server that a cassette records."""
        return any(player.owns(interaction) for player in self._players)

    def __repr__(self) -> str:
        return f"<Cassettes: {pluralise(self.checked, 'call')}, {counts_of(self.findings)}>"

    @property
    def findings(self) -> Findings:
        """The findings about the allocation calls that were played or recorded."""
        return self._engine.merge(player.findings for player in self._players)

    @property
    def interactions(self) -> list[Interaction]:
        """The allocation calls that were played or recorded."""
        return [call for player in self._players for call in player.interactions if operation_matches(call)]

    @property
    def checked(self) -> int:
        """The number of allocation calls that were played or recorded."""
        return len(self.interactions)

    def take_news(self) -> CassetteNews:
        """Return the results since the previous `take_news()`. Remove the returned messages from `problems`."""
        calls = [call for player in self._players for call in player.take_evaluated()]
        unmatched = [message for player in self._players for message in player.unmatched]
        for player in self._players:
            player.unmatched.clear()
        sources = [call.source if len(calls) > 1 else "" for call, _ in calls]
        findings = (found.with_source(source) for (_, found), source in zip(calls, sources, strict=True))
        return CassetteNews(self._engine.merge(findings), unmatched, len(calls))

    def publish(self) -> None:
        """Publish an event to the engine's listener for each allocation call that was played or recorded."""
        for player in self._players:
            player.publish()

    @property
    def problems(self) -> list[str]:
        """Sentences about unmatched requests, too long responses, and cassettes or interactions that were not played."""
        found = [message for player in self._players for message in player.unmatched]
        for player in self._players:
            name = player.file.name
            if not player.was_entered:
                found.append(f"the cassette {name!a} was not played: write `with veeqo_alloc_cassette.use(...):`")
            if player.options.strict_play and player.unplayed:
                count = f"{len(player.unplayed)} of {len(player.stored)} interactions"
                found.append(f"{count} of the cassette {name!a} were not played (strict_play=True)")
        return list(dict.fromkeys(found))

    def save(self, today: datetime.date) -> None:
        """Write each recording to the file of its cassette. Raise CassetteError if a recording cannot be written."""
        players: dict[Path, list[CassettePlayer]] = {}
        for player in self._players:
            if player.recorded:
                players.setdefault(player.file.path, []).append(player)
        for first, *others in players.values():  # several if a test uses a cassette several times
            first.require_unchanged()
            recorded = [interaction for player in (first, *others) for interaction in player.recorded]
            write_cassette(first.file, [*first.stored, *recorded], today)

    def usage(self, *, passed: bool) -> list[dict[str, Any]]:
        """Describe each cassette. `unplayed` is the number of unplayed interactions, or 0 if the test failed."""
        return [
            {
                "name": player.file.name,
                "path": str(player.file.path),
                "stored": len(player.stored),
                "unplayed": len(player.unplayed) if passed else 0,
                "not_recorded": player.file.is_bundled and player.options.mode != "none",
            }
            for player in self._players
        ]


def require_writable_cassette(file: CassetteFile) -> None:
    """Raise CassetteError, before a request is sent, if a recording could not be written to *file*."""
    try:
        require_writable(file.path)
    except OSError as error:
        raise CassetteError(f"the cassette {file.path} cannot be written: {error.strerror}") from None


def write_cassette(file: CassetteFile, interactions: list[Interaction], today: datetime.date) -> None:
    """Redact *interactions*, and write them to *file*. Raise CassetteError if a secret remains or writing fails."""
    safe = redact(interactions)
    for interaction in safe:
        for breach in secret_breaches(interaction):
            where = mask_pointer(breach.pointer) or mask_location(breach.location)
            raise CassetteError(f"the cassette {file.path} was not written: {breach.got} remains at {where}")
    host, package = kind_of_host(interactions[-1]), version("pytest-veeqo-alloc")
    stamp = {"recorded_on": today.isoformat(), "host": host, "package": package}
    try:
        write_atomically(file.path, cassette_text(safe, stamp, comment=_COMMENT), folder=file.folder)
    except OSError as error:
        raise CassetteError(f"the cassette {file.path} cannot be written: {error.strerror}") from None


def kind_of_host(interaction: Interaction) -> str:
    """Return "loopback", "private" or "public" for the host of the request. Make no DNS look-up."""
    host = (urlsplit(interaction.request.url).hostname or "") if interaction.request else ""
    if is_loopback(host):
        return "loopback"
    try:
        is_private = ipaddress.ip_address(host).is_private
    except ValueError:
        is_private = "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
    return "private" if is_private else "public"


def _as_tuple(texts: Iterable[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)
