"""The player of a cassette. vcrpy replays and records; this module decides which requests are permitted."""

from __future__ import annotations

import contextlib
import datetime
import functools
import ipaddress
import json
import logging
import re
import socket
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import vcr
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request as VcrRequest
from vcr.util import read_body

from pytest_veeqo_alloc.capture.documents import MAX_YAML, UnreadableFileError
from pytest_veeqo_alloc.capture.readers import (
    RUBY,
    LoadedFile,
    cassette_headers,
    load,
    status_code,
    values_by_header,
)
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import resent
from pytest_veeqo_alloc.core.http import (
    EXCHANGE_HEADER,
    MAX_BYTES,
    ContentDecodingError,
    Headers,
    Interaction,
    Request,
    Response,
    Secret,
    decode_content,
    reason_phrase,
)
from pytest_veeqo_alloc.core.text import as_text
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError
from pytest_veeqo_alloc.live.client import Admission, LiveClient
from pytest_veeqo_alloc.live.permission import host_and_port, port_of
from pytest_veeqo_alloc.recording import BUNDLED_RELAXED, CassetteError, CassetteFile, file_state
from pytest_veeqo_alloc.recording.matching import RecordedRequest, UnmatchedRequestError, unmatched_message
from pytest_veeqo_alloc.recording.network_guard import (
    HostList,
    NetworkBlockedError,
    NetworkRules,
    Place,
    guard_network,
)
from pytest_veeqo_alloc.spec.loader import operation_matches, read_shipped_text, tables

_MATCHER = "veeqo_alloc"
_SEEN = "veeqo_alloc_seen"
_NETLOC_END = re.compile(r"[/?#]")
_ESCAPED = (
    "a call bypassed the cassette {name!a} and was blocked: open the connection while the cassette is in use, "
    "share one HTTP session between all threads, or name the host in allow_hosts= if the test needs the call"
)
_NOT_ADMITTED = (
    "a response was recorded, but its request was not permitted: turn off redirects in the client, and share one "
    "HTTP session between all threads"
)

_RECORDED_ELSEWHERE = (
    "another process of this run records the cassette {name!a}, so nothing was sent: record it in one process (with "
    "pytest-xdist: -n 0), or give each test a cassette of its own"
)
_CHANGED = (
    "the cassette {path} has changed since it was loaded, so it is not recorded: run the test again, and record a "
    "cassette in one process at a time"
)
_API = (("api.veeqo.com", 443), ("api.veeqo.com", 80))
"""The live API. No open connection may reach it while a cassette is in use."""
_TOO_LONG = "the recorded server did not end its response within {seconds:g} seconds, or sent more than {size} MB"
_clock = functools.partial(time.monotonic)  # unaffected by tests that freeze the time

_admission: ContextVar[Admission | None] = ContextVar("veeqo_alloc_admission", default=None)
"""The permission for the request that is being recorded. `_on_request` sets it; `_on_response` removes it."""


def stored_interactions(file: CassetteFile, mode: str) -> tuple[list[Interaction], datetime.date | None]:
    """Return the interactions in *file*, and the recording date if known. Raise CassetteError for an unusable file.

    Return no interactions if there is no file, or if *mode* is `all`, since a recording then replaces the file. Ignore
    an entry that cannot be read, but raise an error in the mode `new_episodes`: writing the file would lose the entry.
    """
    if mode == "all":
        return [], None
    path, may_write = file.path, mode == "new_episodes"
    try:
        if not file.is_bundled and path.stat().st_size > MAX_YAML:
            raise CassetteError(f"the cassette {path} is larger than {MAX_YAML // 1024**2} MB: split it")
        # The bundled files may be in a zip file.
        data = read_shipped_text(f"cassettes/{path.name}").encode() if file.is_bundled else path.read_bytes()
        loaded = _load(data, str(path))
    except FileNotFoundError:
        return [], None
    except OSError as error:
        raise CassetteError(f"the cassette {path} cannot be read: {error.strerror}") from None
    except UnreadableFileError as error:
        raise CassetteError(f"the cassette {path} cannot be used: {error}") from None
    if loaded is not None and may_write and RUBY in loaded.document:
        raise CassetteError(
            f"the cassette {path} was recorded by VCR for Ruby, and can only be played: record under another name"
        )
    if loaded is not None and loaded.broken and (may_write or not loaded.interactions):
        raise CassetteError(f"the cassette {path} cannot be used: {loaded.broken[0]}")
    if loaded is None or not loaded.interactions:
        raise CassetteError(f"the cassette {path} has no interaction: record it again")
    return list(loaded.interactions), loaded.recorded_on


@functools.lru_cache(16)  # the tests of a module often play the same cassette
def _load(data: bytes, source: str) -> LoadedFile | None:
    return load(data, source, kind="cassette", side_of=lambda _: None, matches=lambda _: True)


def _in_process_transports() -> Iterator[tuple[type, str, Any]]:
    """Yield class, name and method of each httpx transport that calls an application in this process."""
    for module in filter(None, map(sys.modules.get, ("httpx", "httpx2"))):
        for transport in (getattr(module, f"{kind}Transport", None) for kind in ("WSGI", "ASGI", "Mock")):
            for name in ("handle_request", "handle_async_request"):
                if isinstance(transport, type) and name in vars(transport):
                    yield transport, name, getattr(transport, name)


def to_vcr(interaction: Interaction, exchange_id: str) -> tuple[VcrRequest, dict[str, Any]]:
    """Convert *interaction* to vcrpy's request and response. Add a response header with *exchange_id*."""
    request, response = interaction.request, interaction.response
    if request is None or response is None:
        raise CassetteError("an interaction of a cassette must have a request and a response")
    body = response.body or b""
    kept = [pair for pair in response.headers if pair[0].lower() not in ("content-encoding", "transfer-encoding")]
    lengths = {"content-length": str(len(body))}
    headers = values_by_header(tuple((name, lengths.get(name.lower(), value)) for name, value in kept))
    headers[EXCHANGE_HEADER] = [exchange_id]
    status = {"code": response.status, "message": reason_phrase(response.status)}
    try:
        vcr_request = VcrRequest(request.method, request.url, request.body, dict(request.headers))
    except ValueError:
        raise CassetteError(f"{interaction.source} has a malformed URL: correct it, or record again") from None
    return vcr_request, {"status": status, "headers": headers, "body": {"string": body}}


def request_of(request: Any) -> Request:
    """Convert vcrpy's *request* to a Request. A body that can be read only once is left unknown."""
    values = map(Secret, map(as_text, request.headers.values()))
    headers: Headers = tuple(zip(map(str, request.headers), values, strict=True))
    body = read_body(request)
    # With `json=`, aiohttp sets the content type only after vcrpy has seen the request. A dictionary with nested values
    # must be JSON; any other dictionary could be a form.
    members = body.values() if isinstance(body, dict) else ()
    if any(isinstance(value, (dict, list)) for value in members) and "content-type" not in request.headers:
        headers = (*headers, ("Content-Type", "application/json"))
    url = _with_brackets(request.uri)
    try:
        return Request(request.method, url, headers, _body_bytes(body))
    except TypeError:  # a form or a payload of aiohttp, which can be read only once
        return Request(request.method, url, headers, None, is_body_known=False)


def _with_brackets(url: str) -> str:
    """Return *url* with brackets around an IPv6 address. vcrpy omits these brackets with urllib3."""
    scheme, separator, rest = url.partition("://")
    netloc = _NETLOC_END.split(rest, maxsplit=1)[0]
    if separator and not netloc.startswith("["):
        host, colon, port = netloc.rpartition(":")
        for address, suffix in ((host, colon + port), (netloc, "")):
            with contextlib.suppress(ValueError):
                return f"{scheme}://[{ipaddress.IPv6Address(address)}]{suffix}{rest[len(netloc) :]}"
    return url


def response_of(response: Any) -> Response:
    """Convert vcrpy's *response* to a Response. Decompress the body if its content coding is supported."""
    headers = cassette_headers(response)
    body = _body_bytes((response.get("body") or {}).get("string"))
    with contextlib.suppress(ContentDecodingError):  # redaction drops and reports a body that cannot be decoded
        body = decode_content(body, headers)
    return Response(status_code(response["status"]["code"]), headers, body)


def _body_bytes(body: Any) -> bytes | None:
    """Convert bytes, a string, a list of bytes or a JSON value to bytes (empty: None). Raise TypeError for others."""
    if isinstance(body, str):
        body = body.encode()
    elif isinstance(body, list) and all(isinstance(chunk, bytes) for chunk in body):
        body = b"".join(body)
    elif body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return body or None


class PlaybackOptions(NamedTuple):
    """Options for playing or recording a cassette. `relaxed` has the parts of requests that are not compared."""

    mode: str
    relaxed: frozenset[str]
    strict_play: bool
    allow_playback_repeats: bool
    allow_hosts: tuple[str, ...]


class CassettePlayer:
    """A cassette that a test plays or records. It has `interactions`, `play_count`, `unplayed` and `findings`."""

    def __init__(
        self,
        file: CassetteFile,
        engine: Engine,
        options: PlaybackOptions,
        live: Callable[[], LiveClient],
        own_servers: Collection[str],
        target: str = "",
    ) -> None:
        self.file, self.options = file, options
        self._loaded_state, self._may_write = file_state(file.path), False
        self.stored, self.recorded_on = stored_interactions(file, options.mode)
        self.unmatched: list[str] = []
        self.was_entered = False
        self._engine, self._live, self._own_servers = engine, live, own_servers
        self._id = uuid.uuid4().hex
        self._relaxed = options.relaxed | (BUNDLED_RELAXED if file.is_bundled else frozenset())
        self._cassette: Any = None
        self._was_loaded = False
        self._parsed: dict[int, RecordedRequest] = {}
        self._played: list[tuple[Request, int]] = []
        self._taken = (0, 0)
        # The number of played and of stored calls, and the findings about them.
        self._known_findings: tuple[tuple[int, int], Findings] | None = None
        self._hosts = HostList(map(host_and_port, options.allow_hosts))
        urls = [interaction.request.url for interaction in self.stored if interaction.request]
        self._guarded = HostList((*_API, *_places_of([target, *urls])))
        self._target: HostList | None = None
        self._received: WeakKeyDictionary[socket.socket, int] = WeakKeyDictionary()
        self._deadline, self._too_long = 0.0, ""

    @contextlib.contextmanager
    def running(self) -> Iterator[CassettePlayer]:
        """Play or record the calls that are made in the `with` block."""
        __tracebackhide__ = True
        self.was_entered = True
        hooks = {"before_record_request": self._on_request, "before_record_response": self._on_response}
        engine = vcr.VCR(record_mode=vcr.mode(self.options.mode), match_on=(_MATCHER,), **hooks)
        engine.register_matcher(_MATCHER, self._matches)
        engine.register_persister(self)  # vcrpy calls load_cassette and save_cassette
        use = engine.use_cassette(str(self.file.path), allow_playback_repeats=self.options.allow_playback_repeats)
        blocked, log = _ESCAPED.format(name=self.file.name), logging.getLogger("vcr")
        in_process = list(_in_process_transports())
        if self.may_record:
            with contextlib.suppress(LiveError):  # then a call that would be recorded raises it
                self._live().prove()  # while the network is still open
        with contextlib.ExitStack() as stack:
            stack.callback(log.setLevel, log.level)
            log.setLevel(logging.WARNING)  # at INFO it shows requests and responses with their keys
            cassette = stack.enter_context(use)
            for transport, name, method in in_process:
                stack.enter_context(mock.patch.object(transport, name, method))
            rules = NetworkRules(self._may_connect, self._may_look_up, self._may_send, blocked, self._limit_response)
            stack.enter_context(guard_network(rules))
            if not self._was_loaded:
                raise CassetteError("this version of vcrpy would write unredacted recordings: install another version")
            stack.callback(_close_admission)
            self._cassette = cassette
            cassette.play_response = functools.partial(self._play, cassette.play_response)
            yield self

    def load_cassette(self, path: str, serializer: object) -> tuple[list[Any], list[Any]]:
        """Return the stored requests and responses. vcrpy calls this when it opens the cassette."""
        self._was_loaded = True
        if not self.stored:
            raise CassetteNotFoundError
        pairs = [to_vcr(interaction, f"{self._id}-{number}") for number, interaction in enumerate(self.stored, 1)]
        return [request for request, _ in pairs], [response for _, response in pairs]

    def save_cassette(self, path: str, cassette_dict: object, serializer: object) -> None:
        """Do nothing. vcrpy calls this before the end of the test; recordings are written after the test has passed."""

    @property
    def may_record(self) -> bool:
        """Whether a request that no stored interaction matches is recorded."""
        return self.options.mode in ("new_episodes", "all") or (self.options.mode == "once" and not self.stored)

    @property
    def play_count(self) -> int:
        """The number of responses that were played."""
        return len(self._played)

    @property
    def unplayed(self) -> list[Interaction]:
        """The stored interactions that were not played."""
        played = {index for _, index in self._played}
        return [interaction for index, interaction in enumerate(self.stored) if index not in played]

    @property
    def interactions(self) -> list[Interaction]:
        """The played interactions (with the requests that the test sent), then the newly recorded interactions."""
        return [*self._replayed(), *self.recorded]

    @property
    def recorded(self) -> list[Interaction]:
        """The newly recorded interactions. Nothing in them is redacted: do not show or store them as they are."""
        count = 0 if self._cassette is None else len(self._cassette)
        return [self._interaction(index) for index in range(len(self.stored), count)]

    @property
    def findings(self) -> Findings:
        """The findings about the allocation calls in `interactions`. Responses in bundled cassettes are not checked."""
        calls = len(self._played), 0 if self._cassette is None else len(self._cassette)
        if self._known_findings is None or self._known_findings[0] != calls:
            merged = self._engine.merge(findings for _, findings in self._evaluated(self.interactions))
            self._known_findings = calls, merged
        return self._known_findings[1]

    def take_evaluated(self) -> list[tuple[Interaction, Findings]]:
        """Return the allocation calls since the previous `take_evaluated()`, each with its findings."""
        replayed, recorded = self._replayed(), self.recorded
        (old, older), self._taken = self._taken, (len(replayed), len(recorded))
        return list(self._evaluated([*replayed[old:], *recorded[older:]]))

    def owns(self, interaction: Interaction) -> bool:
        """Return whether *interaction* was played from this cassette, or was sent to the server that is recorded."""
        if interaction.exchange_id.startswith(self._id):
            return True
        if self._target is None or interaction.request is None:
            return False
        url = urlsplit(interaction.request.url)
        return self._target.has(url.hostname or "", port_of(url))

    def publish(self) -> None:
        """Publish an event for each allocation call, if the engine's listener counts coverage."""
        if not self._engine.is_counting:
            return
        passed: list[tuple[Origin, list[Interaction]]] = [("cassette", self._replayed()), ("target", self.recorded)]
        for origin, interactions in passed:
            context = CheckContext(stored=origin == "cassette")
            for interaction, findings in self._evaluated(interactions):
                self._engine.publish(origin, interaction, findings, context)

    def _replayed(self) -> list[Interaction]:
        return [self._interaction(index, request) for request, index in self._played]

    def _interaction(self, index: int, request: Request | None = None) -> Interaction:
        """Return the interaction at *index* in vcrpy's list. A given *request* replaces the stored request."""
        stored, response = self._cassette.data[index]
        return Interaction(request or request_of(stored), response_of(response), f"{self.file.name}#{index + 1}")

    def _evaluated(self, interactions: list[Interaction]) -> Iterator[tuple[Interaction, Findings]]:
        """Yield each allocation call with its findings. Omit the responses of bundled cassettes, which are not checked."""
        calls = list(filter(operation_matches, interactions))
        intermediate = resent(calls, tables().operation)
        for index, call in enumerate(calls):
            checked = replace(call, response=None) if self.file.is_bundled else call
            context = CheckContext(stored=True, is_final=index not in intermediate)
            yield checked, self._engine.evaluate(checked, context)

    def _matches(self, now: Any, stored: Any) -> bool:
        return not self._parse(stored).differences(request_of(now), self._relaxed)

    def _parse(self, stored: Any) -> RecordedRequest:
        # vcrpy keeps its requests while the cassette is in use, so their ids stay unique.
        if id(stored) not in self._parsed:
            self._parsed[id(stored)] = RecordedRequest(request_of(stored))
        return self._parsed[id(stored)]

    def _on_request(self, request: Any) -> Any:
        """Return *request* to play or record it, or None to let it bypass the cassette. Raise an error to block it."""
        __tracebackhide__ = True
        if self._cassette is None:
            return request  # the cassette is being loaded
        now = request_of(request)
        url = urlsplit(now.url)
        if self._is_allowed(url.hostname or "", port_of(url)):
            return None
        if not self._is_playable(now):
            if self._cassette.write_protected:
                raise self._unmatched(now)
            # vcrpy passes a request, then the returned copy, then the request again. Only the copy asks for permission.
            if getattr(request, _SEEN, False):
                _close_admission()  # if one is still open, its request failed, and the client now retries it
                live = self._live()
                self._claim(live)
                self._target = HostList([host_and_port(live.target)])
                _admission.set(live.admission(now))
                self._received.clear()
                seconds = live.timeouts[1]
                self._deadline = _clock() + seconds
                self._too_long = _TOO_LONG.format(seconds=seconds, size=MAX_BYTES // 1_000_000)
        setattr(request, _SEEN, True)
        return request

    def _claim(self, live: LiveClient) -> None:
        """Raise CassetteError if another process records this cassette: the later recording would replace the other."""
        if self._may_write:
            return
        self.require_unchanged()
        if not live.reserve_cassette(self.file.path):
            self.unmatched.append(_RECORDED_ELSEWHERE.format(name=self.file.name))
            raise CassetteError(self.unmatched[-1])
        self._may_write = True

    def require_unchanged(self) -> None:
        """Raise CassetteError if the file has changed since it was loaded: a recording would overwrite the change."""
        if file_state(self.file.path) != self._loaded_state:
            self.unmatched.append(_CHANGED.format(path=self.file.path))
            raise CassetteError(self.unmatched[-1])

    def _on_response(self, response: Any) -> Any:
        """Report *response* as the outcome of the permitted request. vcrpy calls this before it records *response*."""
        if self._cassette is None:
            return response
        if (admission := _admission.get()) is None:
            raise CassetteError(_NOT_ADMITTED)
        admission.end(response_of(response))
        _admission.set(None)
        return response

    def _is_playable(self, now: Request) -> bool:
        """Return whether vcrpy will play a stored response for the request *now*."""
        cassette, repeats = self._cassette, self.options.allow_playback_repeats
        if self.options.mode == "all" or not (cassette.rewound or repeats):
            return False
        return any(
            (repeats or not cassette.play_counts[index]) and not self._parse(stored).differences(now, self._relaxed)
            for index, stored in enumerate(cassette.requests)
        )

    def _play(self, play_response: Callable[[Any], Any], request: Any) -> Any:
        """Return the response of vcrpy's *play_response*. Remember *request* and the index of the response."""
        response = play_response(request)
        index = next(index for index, (_, stored) in enumerate(self._cassette.data) if stored is response)
        self._played.append((request_of(request), index))
        return response

    def _unmatched(self, now: Request) -> UnmatchedRequestError:
        recorded = list(map(self._parse, self._cassette.requests))
        played = [bool(self._cassette.play_counts[index]) for index in range(len(recorded))]
        self.unmatched.append(unmatched_message(self.file.name, now, recorded, played, self._relaxed))
        return UnmatchedRequestError(self.unmatched[-1])

    def _limit_response(self, connection: socket.socket, places: list[Place], size: int) -> None:
        """Raise NetworkBlockedError if the response of the recorded server takes too long or is too large."""
        if self._target is None or not any(self._target.has(*place) for place in places):
            return
        self._received[connection] = self._received.get(connection, 0) + size
        if self._received[connection] > MAX_BYTES or _clock() > self._deadline:
            self.unmatched.append(self._too_long)  # a client may hide the error
            raise NetworkBlockedError(self._too_long)

    def _is_allowed(self, host: str, port: int | None) -> bool:
        """Return whether calls to *host* and *port* bypass the cassette: they are neither played nor recorded."""
        own = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return self._hosts.has(host, port) or own in self._own_servers

    def _may_connect(self, host: str, port: int | None) -> bool:
        target = None if _admission.get() is None else self._target
        return self._is_allowed(host, port) or (target is not None and target.has(host, port))

    def _may_look_up(self, host: str) -> bool:
        # Clients look names up in threads of their own, where the context variable is not set.
        return self._hosts.has_name(host) or (self._target is not None and self._target.has_name(host))

    def _may_send(self, places: list[Place], head: bytes) -> bool:
        """Return whether an open connection may send *head*: the documented call and guarded hosts need permission."""
        is_guarded = _is_call(head) or any(self._guarded.has(*place) for place in places)
        return not is_guarded or any(self._may_connect(*place) for place in places)


def _places_of(urls: Iterable[str]) -> Iterator[Place]:
    for url in filter(None, urls):
        with contextlib.suppress(ValueError):  # a malformed URL is reported when the cassette is loaded
            parts = urlsplit(url)
            yield (parts.hostname or "").lower(), port_of(parts)


def _is_call(head: bytes) -> bool:
    """Return whether *head*, the first bytes that a connection sends, begins a request of the documented operation."""
    method, _, rest = as_text(head).partition(" ")
    return method == tables().operation.method and operation_matches(
        Interaction(Request(method, rest.partition(" ")[0]))
    )


def _close_admission() -> None:
    if (admission := _admission.get()) is not None:
        admission.end()
        _admission.set(None)
