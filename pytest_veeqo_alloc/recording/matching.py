"""Comparison of a request with the requests in a cassette. Messages about differences do not quote values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pytest_veeqo_alloc.core.http import Interaction, Request, decode_body
from pytest_veeqo_alloc.core.json_pointer import ABSENT, WHOLE_BODY, diff, mask_location, mask_name, mask_pointer
from pytest_veeqo_alloc.core.text import NOTHING, describe, describe_number, pluralise, safe_method
from pytest_veeqo_alloc.redaction.redactor import Redactor, contains_placeholder, without_placeholder_numbers
from pytest_veeqo_alloc.spec.loader import operation_matches, tables

PARTS = ("method", "host", "path", "order_id", "query", "body")
"""The parts of a request that are compared. If 'order_id' is not compared, the base path is not compared either."""

_MAX_LINES = 8
_BOUNDARY = re.compile(r'multipart/[^;]*;.*?\bboundary="?([^";]+)', re.IGNORECASE)


class UnmatchedRequestError(Exception):
    """Raised for a request to which the cassette has no response left. The message lists the differences."""

    trims_traceback = True


class Difference(NamedTuple):
    """A difference between a request and a recorded request. `part` is one of `PARTS`; `place` is a location in it."""

    part: str
    place: str
    recorded: str
    got: str


class _Parts(NamedTuple):
    method: str
    host: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    is_json: bool


class RecordedRequest:
    """A recorded request, parsed for comparison. If it has placeholders, other requests are redacted and compared again."""

    def __init__(self, request: Request) -> None:
        self._parts = _parse(request)
        is_redacted = contains_placeholder(f"{request.url} {_text(request)}")
        self._redacted = _parse(_redact(request)) if is_redacted else None

    def differences(self, request: Request, relaxed: frozenset[str]) -> list[Difference]:
        """Return the differences between *request* and this recorded request. Do not compare the parts in *relaxed*."""
        found = list(_differences(_parse(request), self._parts, relaxed))
        if found and self._redacted is not None:
            found = list(_differences(_parse(_redact(request)), self._redacted, relaxed))
        return found


def unmatched_message(
    name: str, request: Request, recorded: Sequence[RecordedRequest], played: Sequence[bool], relaxed: frozenset[str]
) -> str:
    """Return the error message for *request*. *played* says for each of *recorded* whether it was already played."""
    call = tables().operation.name
    if not operation_matches(Interaction(request)):
        call = f"this {safe_method(request.method) or 'HTTP'} request"
    head = f"the cassette {name!a} has no interaction left for {call}"
    compared = [candidate.differences(request, relaxed) for candidate in recorded]
    if matches := sum(not differences for differences in compared):
        again = "allow_playback_repeats=True permits repeats"
        return f"{head}: {pluralise(matches, 'match', 'matches')} already played; {again}"
    index = min(range(len(compared)), key=lambda number: (len(compared[number]), played[number]))
    nearest = compared[index]
    state = " (already played)" if played[index] else ""
    lines = [f"{head}; the nearest is interaction {index + 1} of {len(compared)}{state}", ""]
    lines += [f"  {found.place:<44} recorded {found.recorded}, got {found.got}" for found in nearest[:_MAX_LINES]]
    if len(nearest) > _MAX_LINES:
        lines.append(f"  and {pluralise(len(nearest) - _MAX_LINES, 'more difference')}")
    return "\n".join([*lines, "", f"  do: send the recorded request, record again, or {_remedy(request, nearest)}"])


def _remedy(request: Request, differences: Sequence[Difference]) -> str:
    """Return remedies as text. For a call of another operation, do not suggest relax=, since an order could be played."""
    relax = sorted({found.part for found in differences})
    remedies = [f"exclude the difference from comparison with relax={relax}"]
    is_ours = operation_matches(Interaction(request))
    if not is_ours or "host" in relax:
        host = mask_name(_split(request.url).hostname or "")
        name = host if host and "(" not in host else "HOST"
        remedies.append(f"permit a call to another server with allow_hosts=[{name!r}]")
    return ", or ".join(remedies if is_ours else remedies[1:])


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _parse(request: Request) -> _Parts:
    url, text = _split(request.url), _text(request)
    if boundary := _BOUNDARY.match(request.header("content-type") or ""):  # clients choose it at random
        text = text.replace(boundary[1], "boundary")
    try:
        body, is_json = json.loads(text), True
    except (ValueError, RecursionError):
        body, is_json = text or None, False
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}".lower()
    query: dict[str, list[str]] = {}
    for name, value in sorted(parse_qsl(url.query, keep_blank_values=True)):
        query.setdefault(name, []).append(value)
    return _Parts(request.method.upper(), host, url.path or "/", query, body, is_json)


def _text(request: Request) -> str:
    return decode_body(request).decode("utf-8", "replace")


def _redact(request: Request) -> Request:
    """Return a redacted copy of *request*, without headers. Remove the numbers from its placeholders."""
    safe = Redactor().interaction(Interaction(request)).request
    if safe is None:
        raise AssertionError("redaction must keep the request")
    body = without_placeholder_numbers((safe.body or b"").decode("utf-8", "replace")).encode()
    return Request(safe.method, without_placeholder_numbers(safe.url), (), body)


def _differences(now: _Parts, recorded: _Parts, relaxed: frozenset[str]) -> Iterator[Difference]:
    if "method" not in relaxed and now.method != recorded.method:
        yield Difference("method", "method", recorded.method, now.method)
    if "host" not in relaxed and now.host != recorded.host:
        yield Difference("host", "host", "another host", "the host of this request")
    if "path" not in relaxed:
        yield from _path_differences(now.path, recorded.path, any_order="order_id" in relaxed)
    if "query" not in relaxed:
        for name in sorted(now.query.keys() | recorded.query.keys()):
            before, after = recorded.query.get(name), now.query.get(name)
            if before != after:
                place = mask_location(f"query:{name}")
                yield Difference("query", place, _described_query(before), _described_query(after))
    if "body" in relaxed:
        return
    if now.is_json and recorded.is_json:
        for pointer, before, after in diff(recorded.body, now.body):
            place = mask_pointer(pointer) or WHOLE_BODY
            is_same_kind = before is not ABSENT and after is not ABSENT and describe(before) == describe(after)
            yield Difference(
                "body", place, _described_value(before), "another one" if is_same_kind else _described_value(after)
            )
    elif (now.is_json, now.body) != (recorded.is_json, recorded.body):
        yield Difference("body", "body", _described_body(recorded), _described_body(now))


def _path_differences(now: str, recorded: str, *, any_order: bool) -> Iterator[Difference]:
    segment, recorded_segment = map(tables().operation.order_segment, (now, recorded))
    if now == recorded or (any_order and segment is not None and recorded_segment is not None):
        return
    if segment is None or recorded_segment is None:
        yield Difference("path", "path", "a path of another API operation", "the path of this call")
    elif segment != recorded_segment:
        yield Difference("order_id", "path:order_id", _described_id(recorded_segment), _described_id(segment))
    else:
        yield Difference("path", "path", "another base path", "the base path of this request")


def _described_id(segment: str) -> str:
    digits = segment.isascii() and segment.isdigit() and len(segment) < 20
    return describe_number(int(segment)) if digits else f"{pluralise(len(segment), 'character')}, not an integer"


def _described_query(values: list[str] | None) -> str:
    if values is None:
        return NOTHING
    sizes = " and ".join(pluralise(len(value), "character") for value in values)
    return f"a value of {sizes}" if len(values) == 1 else f"{len(values)} values of {sizes}"


def _described_body(parts: _Parts) -> str:
    if parts.is_json:
        return describe(parts.body)
    return NOTHING if parts.body is None else f"{pluralise(len(parts.body), 'character')}, not JSON"


def _described_value(value: Any) -> str:
    return NOTHING if value is ABSENT else describe(value)
