"""The interactions of a cassette file, and their form in the hands of vcrpy."""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import vcr
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request as VcrRequest
from vcr.util import read_body

from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.readers import cassette_headers, load, status_code, values_by_header
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import (
    EXCHANGE_HEADER,
    ContentDecodingError,
    Headers,
    Interaction,
    Request,
    Response,
    decode_content,
    reason_phrase,
)
from pytest_veeqo_alloc.core.text import as_text
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.client import Admission, LiveClient
from pytest_veeqo_alloc.live.permission import port_of
from pytest_veeqo_alloc.recording.matching import Recorded, UnmatchedRequestError, nearest
from pytest_veeqo_alloc.recording.network_guard import Hosts, guarded
from pytest_veeqo_alloc.recording.paths import PACK_RELAXED, CassetteError, Place, Settings
from pytest_veeqo_alloc.spec.loader import operation_matches, tables

_DECODED = ("content-encoding", "transfer-encoding")


def load_entries(place: Place) -> list[Interaction]:
    """Every interaction that lies at *place*, bodies decoded; none where there is no file. CassetteError, in one
    sentence with the file's name, for what is no cassette."""
    data = place.read()
    if data is None:
        return []
    try:
        loaded = load(data, str(place.path), kind="cassette", side_of=lambda _: None, matches=lambda _: True)
    except UnreadableFileError as error:
        raise CassetteError(f"the cassette {place.path} cannot be used: {error}") from None
    if loaded is None or not loaded.interactions:
        raise CassetteError(f"the cassette {place.path} holds no interaction: record it anew")
    return list(loaded.interactions)


def vcr_request(interaction: Interaction) -> VcrRequest:
    """The request of *interaction* as vcrpy has it."""
    request, _ = _both(interaction)
    return VcrRequest(request.method, request.url, request.body, dict(request.headers))


def vcr_response(interaction: Interaction, exchange_id: str) -> dict[str, Any]:
    """The response of *interaction* as vcrpy plays it: decoded, since each client undoes codings in its own way."""
    _, response = _both(interaction)
    body = response.body or b""
    headers = values_by_header(
        tuple(
            (name, str(len(body)) if name.lower() == "content-length" else value)
            for name, value in response.headers
            if name.lower() not in _DECODED
        )
    )
    headers[EXCHANGE_HEADER] = [exchange_id]
    status = {"code": response.status, "message": reason_phrase(response.status)}
    return {"status": status, "headers": headers, "body": {"string": body}}


def _both(interaction: Interaction) -> tuple[Request, Response]:
    if interaction.request is None or interaction.response is None:
        raise CassetteError("a cassette holds requests with their responses")
    return interaction.request, interaction.response


def request_of(request: Any) -> Request:
    """A request of vcrpy, whatever form its client gave the body."""
    headers = tuple((str(name), as_text(value)) for name, value in request.headers.items())
    body = read_body(request)
    if _is_json_value(body) and "content-type" not in request.headers:
        headers = (*headers, ("Content-Type", "application/json"))
    return Request(request.method, request.uri, headers, _body_bytes(body))


def _is_json_value(body: Any) -> bool:
    """Whether *body* is what aiohttp was given as `json=`: vcrpy sees it before aiohttp writes it and says what it is.
    A form, which is a flat object, is not told from JSON so."""
    inner = body.values() if isinstance(body, dict) else ()
    return any(isinstance(value, (dict, list)) for value in inner)


def response_of(response: Any) -> Response:
    """A response of vcrpy, decoded where that can be done."""
    headers: Headers = cassette_headers(response)
    body = _body_bytes((response.get("body") or {}).get("string"))
    with contextlib.suppress(ContentDecodingError):  # redaction drops what it cannot read, and says so
        body = decode_content(body, headers)
    return Response(status_code(response["status"]["code"]), headers, body)


def _body_bytes(body: Any) -> bytes | None:
    """Clients hand over bytes, text, a list of chunks, or for aiohttp the value that becomes JSON."""
    if body is None or isinstance(body, bytes):
        return body or None
    if isinstance(body, str):
        return body.encode() or None
    if isinstance(body, list) and all(isinstance(chunk, bytes) for chunk in body):
        return b"".join(body) or None
    return json.dumps(body).encode()


_MATCHER = "veeqo_alloc"
_SEEN = "veeqo_alloc_seen"
_ESCAPED = (
    "a call left the cassette {name!a} and was stopped before the network: vcrpy plays for several threads only where "
    "they share one session; a host that the test needs all the same is named in allow_hosts="
)
_UNASKED = (
    "a response was recorded that no admitted request asked for: the client followed a redirect, or its call slipped "
    "past vcrpy from another thread"
)


_admission: ContextVar[Admission | None] = ContextVar("veeqo_alloc_admission", default=None)
"""The admission of the request that is being recorded: vcrpy shows the request and its response in two hooks."""


def _close_admission() -> None:
    if (admission := _admission.get()) is not None:
        admission.close()
        _admission.set(None)


class CassettePlayer:
    """A cassette while a test uses it, and afterwards: `.interactions`, `.play_count`, `.unplayed`, `.findings`."""

    def __init__(
        self,
        place: Place,
        engine: Engine,
        settings: Settings,
        live: Callable[[], LiveClient],
        own_servers: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._own_servers = own_servers
        self.place, self.settings = place, settings
        self.stored = [] if settings.mode == "all" else load_entries(place)
        self.unmatched: list[UnmatchedRequestError] = []
        self._engine, self._live = engine, live
        self._id = uuid.uuid4().hex
        self._relaxed = settings.relaxed | (PACK_RELAXED if place.is_shipped else frozenset())
        self._cassette: Any = None
        self.was_entered = self._was_asked = False
        self._known: dict[int, Recorded] = {}
        self._candidates: dict[int, Request] = {}
        self._settled: dict[int, int] = {}
        self._played: list[tuple[Request, int]] = []
        self._hosts = Hosts(settings.allow_hosts)
        self._target: Hosts | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[CassettePlayer]:
        """Play and record within the block."""
        __tracebackhide__ = True
        self.was_entered = True
        engine = vcr.VCR(record_mode=vcr.mode(self.settings.mode), match_on=(_MATCHER,))
        engine.register_matcher(_MATCHER, self._matches)
        engine.register_persister(self)
        use = engine.use_cassette(
            str(self.place.path),
            before_record_request=self._see_request,
            before_record_response=self._see_response,
            allow_playback_repeats=self.settings.allow_playback_repeats,
        )
        sentence = _ESCAPED.format(name=self.place.name)
        with _quiet(), use as cassette, guarded(self._may_connect, self._may_look_up, sentence):
            if not self._was_asked:
                raise CassetteError("this version of vcrpy writes by itself what it records: install another")
            self._cassette = cassette
            try:
                yield self
            finally:
                _close_admission()

    # vcrpy asks its persister for what is stored and hands it what to save.

    def load_cassette(self, path: str, serializer: object) -> tuple[list[Any], list[Any]]:
        """The stored requests and responses, for vcrpy."""
        self._was_asked = True
        if not self.stored:
            raise CassetteNotFoundError
        responses = [vcr_response(each, f"{self._id}-{index}") for index, each in enumerate(self.stored, 1)]
        return list(map(vcr_request, self.stored)), responses

    def save_cassette(self, path: str, cassette_dict: object, serializer: object) -> None:
        """Nothing: see the module."""

    @property
    def play_count(self) -> int:
        """How many responses were played."""
        return 0 if self._cassette is None else int(self._cassette.play_count)

    @property
    def unplayed(self) -> list[Interaction]:
        """The stored interactions that were not played."""
        counts = {} if self._cassette is None else self._cassette.play_counts
        return [each for index, each in enumerate(self.stored) if not counts.get(index, 0)]

    @property
    def interactions(self) -> list[Interaction]:
        """What passed: requests as they were made with the responses that were played, then what was recorded."""
        self._settle()
        entries = self._entries()
        played = [Interaction(now, response_of(entries[index][1]), self._source(index)) for now, index in self._played]
        return [*played, *self.recorded]

    @property
    def recorded(self) -> list[Interaction]:
        """What was recorded, as it passed: not redacted, so not to be shown or stored."""
        first = len(self.stored)
        return [
            Interaction(request_of(request), response_of(response), self._source(index))
            for index, (request, response) in enumerate(self._entries()[first:], first)
        ]

    @property
    def findings(self) -> Findings:
        """What is wrong with the allocations that passed. The status that was recorded is the expected one; of the
        shipped pack only the requests are looked at, since its responses are ours."""
        return self._engine.merge(map(self._check, filter(operation_matches, self.interactions)))

    def owns(self, interaction: Interaction) -> bool:
        """Whether *interaction* was played or recorded here, so that `show` reports it."""
        if interaction.exchange_id.startswith(self._id):
            return True
        if self._target is None or interaction.request is None:
            return False
        url = urlsplit(interaction.request.url)
        return self._target.allow(url.hostname or "", port_of(url))

    def show(self) -> None:
        """Tells whoever counts of the allocations that passed: what was recorded came from the target."""
        if not self._engine.is_counting:
            return
        passed, recorded = self.interactions, len(self.recorded)
        for left, each in zip(range(len(passed), 0, -1), passed, strict=True):
            if operation_matches(each):
                origin: Origin = "target" if left <= recorded else "cassette"
                self._engine.publish(origin, self._looked_at(each), self._check(each))

    def _entries(self) -> list[tuple[Any, Any]]:
        """Requests and responses that vcrpy has: those that were stored, then those that were recorded."""
        if self._cassette is None:
            return []
        return list(zip(self._cassette.requests, self._cassette.responses, strict=True))

    def _check(self, each: Interaction) -> Findings:
        status = each.response.status if each.response else None
        return self._engine.evaluate_stored(self._looked_at(each), expect_status=status)

    def _looked_at(self, each: Interaction) -> Interaction:
        return Interaction(each.request, None, each.source) if self.place.is_shipped else each

    def _source(self, index: int) -> str:
        return f"{self.place.name}#{index + 1}"

    def _matches(self, now: Any, stored: Any) -> bool:
        return not self._recorded(stored).differences(request_of(now), self._relaxed, tables().operation)

    def _recorded(self, stored: Any) -> Recorded:
        # vcrpy keeps its requests for as long as the cassette is in use, so their ids stay theirs.
        if id(stored) not in self._known:
            self._known[id(stored)] = Recorded(request_of(stored))
        return self._known[id(stored)]

    def _see_request(self, request: Any) -> Any:
        """Vcrpy's hook on requests. A request that is about to be looked for comes here twice in a chain; one that is
        played or recorded comes again by itself. So the second of a chain is where it is admitted, once."""
        __tracebackhide__ = True
        if self._cassette is None:
            return request  # it is being loaded
        chained = getattr(request, _SEEN, False)
        now = request_of(request)
        if self._passes_by(now):
            return None
        self._settle()
        index = self._playable(request)
        if index is not None:
            self._candidates[index] = now
        elif self._cassette.write_protected:
            raise self._unmatched(now)
        elif chained:
            self._admit(now)
        setattr(request, _SEEN, True)
        return request

    def _passes_by(self, now: Request) -> bool:
        """Whether a request is for a host that may be called beside the cassette: nothing of it is played or kept."""
        url = urlsplit(now.url)
        return self._is_beside(url.hostname or "", port_of(url))

    def _is_beside(self, host: str, port: int) -> bool:
        return self._hosts.allow(host, port) or f"{host}:{port}" in self._own_servers()

    def _playable(self, request: Any) -> int | None:
        cassette, repeats = self._cassette, self.settings.allow_playback_repeats
        if self.settings.mode == "all" or not (cassette.rewound or repeats):
            return None
        return next(
            (
                index
                for index, stored in enumerate(cassette.requests)
                if (repeats or not cassette.play_counts[index]) and self._matches(request, stored)
            ),
            None,
        )

    def _settle(self) -> None:
        """Note which request each response was played for since the last look: the last one that it matched."""
        if self._cassette is None:
            return
        for index, count in list(self._cassette.play_counts.items()):
            for _ in range(count - self._settled.get(index, 0)):
                stored = self._cassette.requests[index]
                self._played.append((self._candidates.get(index) or request_of(stored), index))
            self._settled[index] = count

    def _unmatched(self, now: Request) -> UnmatchedRequestError:
        recorded = [self._recorded(stored) for stored in self._cassette.requests]
        played = [bool(self._cassette.play_counts[index]) for index in range(len(recorded))]
        error = UnmatchedRequestError(nearest(now, recorded, played, self._relaxed, self.place))
        self.unmatched.append(error)
        return error

    def _admit(self, now: Request) -> None:
        _close_admission()  # the request before this one failed, and the client tries again
        live = self._live()
        self._target = Hosts((live.target,))
        _admission.set(live.admission(now))

    def _see_response(self, response: Any) -> Any:
        if self._cassette is None:
            return response
        admission = _admission.get()
        if admission is None:
            raise CassetteError(_UNASKED)
        admission.answered(response_of(response))
        _close_admission()
        return response

    def _may_connect(self, host: str, port: int) -> bool:
        if self._is_beside(host, port):
            return True
        return self._target is not None and _admission.get() is not None and self._target.allow(host, port)

    def _may_look_up(self, host: str) -> bool:
        # Clients look names up in threads of their own, which know nothing of the admission.
        return self._hosts.allow_name(host) or (self._target is not None and self._target.allow_name(host))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Vcrpy logs requests and responses as they are, keys included, at INFO."""
    logger = logging.getLogger("vcr")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
