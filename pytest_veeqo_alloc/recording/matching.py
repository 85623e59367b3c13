"""Whether a request is the one that was recorded, and what differs: described, never quoted.

What was redacted in the recording counts as equal to whatever would be redacted in the request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pytest_veeqo_alloc.contract.http_rules import Operation
from pytest_veeqo_alloc.core.http import Interaction, Request, decode_content_or_empty
from pytest_veeqo_alloc.core.json_pointer import ABSENT, WHOLE_BODY, diff, mask_location, mask_pointer
from pytest_veeqo_alloc.core.text import NOTHING, describe, describe_number, safe_method
from pytest_veeqo_alloc.recording.paths import Place
from pytest_veeqo_alloc.redaction.placeholders import contains_placeholder, without_placeholder_numbers
from pytest_veeqo_alloc.redaction.redactor import new_redactor
from pytest_veeqo_alloc.spec.loader import operation_matches, tables

PARTS = ("method", "host", "path", "order_id", "query", "body")
"""What is compared, and can be relaxed by name. Without `order_id` any order and any base path will do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a request is another than the recorded one."""

    place: str
    recorded: str
    got: str


class Recorded:
    """A recorded request, made ready to be compared with."""

    def __init__(self, request: Request) -> None:
        self._parts = _parts(request)
        self._is_redacted = contains_placeholder(f"{request.url} {_text(request)}")
        self._blank = _parts(_blanked(request)) if self._is_redacted else self._parts

    def differences(self, now: Request, relaxed: frozenset[str], operation: Operation) -> list[Difference]:
        """What differs in *now*, leaving out the parts named in *relaxed*."""
        same = list(_differences(_parts(now), self._parts, relaxed, operation))
        if not same or not self._is_redacted:
            return same
        return list(_differences(_parts(_blanked(now)), self._blank, relaxed, operation))


@dataclass(frozen=True, slots=True)
class _Parts:
    method: str
    host: str
    path: str
    query: Sequence[tuple[str, str]]
    body: Any
    is_json: bool


def _parts(request: Request) -> _Parts:
    try:
        url = urlsplit(request.url)
    except ValueError:
        url = urlsplit("")
    body, is_json = _body(request)
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}".lower()
    query = sorted(parse_qsl(url.query, keep_blank_values=True))
    return _Parts(request.method.upper(), host, url.path or "/", query, body, is_json)


def _text(request: Request) -> str:
    return decode_content_or_empty(request.body, request.headers).decode("utf-8", "replace")


def _body(request: Request) -> tuple[Any, bool]:
    """The body as JSON, or else as the text that it is; None and an empty one are the same to HTTP clients."""
    text = _text(request)
    try:
        return (json.loads(text), True) if text else (None, False)
    except (ValueError, RecursionError):
        return text, False


def _blanked(request: Request) -> Request:
    """*request* redacted, with all stand-ins made one."""
    safe = new_redactor().interaction(Interaction(request)).request
    if safe is None:
        raise AssertionError("a request stays a request")
    body = without_placeholder_numbers((safe.body or b"").decode("utf-8", "replace")).encode()
    return Request(safe.method, without_placeholder_numbers(safe.url), (), body)


def _differences(now: _Parts, recorded: _Parts, relaxed: frozenset[str], operation: Operation) -> Iterator[Difference]:
    for part in ("method", "host"):
        one, other = getattr(now, part), getattr(recorded, part)
        if part not in relaxed and one != other:
            yield Difference(part, *((other, one) if part == "method" else ("another host", "this one")))
    if "path" not in relaxed:
        yield from _path_differences(now.path, recorded.path, operation, any_order="order_id" in relaxed)
    if "query" not in relaxed:
        yield from _query_differences(dict(now.query), dict(recorded.query))
    if "body" in relaxed:
        return
    if now.is_json and recorded.is_json:
        for pointer, before, after in diff(recorded.body, now.body):
            yield Difference(mask_pointer(pointer) or WHOLE_BODY, _described(before), _described(after))
    elif (now.is_json, now.body) != (recorded.is_json, recorded.body):
        yield Difference("body", _kind(recorded), _kind(now))


def _path_differences(now: str, recorded: str, operation: Operation, *, any_order: bool) -> Iterator[Difference]:
    one, other = operation.order_segment(now), operation.order_segment(recorded)
    if now == recorded or (any_order and one is not None and other is not None):
        return
    if one is None or other is None:
        yield Difference("path", "that of another call", "this one")
    elif one != other:
        yield Difference("path:order_id", _segment(other), _segment(one))
    else:
        yield Difference("path", "another base path", "this one")


def _segment(text: str) -> str:
    digits = text.isascii() and text.isdigit() and len(text) < 20
    return describe_number(int(text)) if digits else f"{len(text)} characters that are no integer"


def _query_differences(now: dict[str, str], recorded: dict[str, str]) -> Iterator[Difference]:
    for name in sorted(now.keys() | recorded.keys()):
        if now.get(name) != recorded.get(name):
            yield Difference(
                mask_location(f"query:{name}"), _value_or_nothing(recorded, name), _value_or_nothing(now, name)
            )


def _value_or_nothing(query: dict[str, str], name: str) -> str:
    return f"a value of {len(query[name])} characters" if name in query else NOTHING


def _kind(parts: _Parts) -> str:
    if parts.is_json:
        return describe(parts.body)
    return NOTHING if parts.body is None else f"text of {len(parts.body)} characters that is no JSON"


def _described(value: Any) -> str:
    if value is ABSENT:
        return NOTHING
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"number {describe_number(value)}" if number else describe(value)


_MOST = 8
_COLUMN = 44


class UnmatchedRequestError(Exception):
    """No recorded interaction is left for a request. The text describes what differs and quotes nothing."""

    trims_traceback = True


def nearest(
    now: Request, recorded: Sequence[Recorded], played: Sequence[bool], relaxed: frozenset[str], place: Place
) -> str:
    """The text of the failure."""
    operation = tables().operation
    what = (
        operation.name
        if operation_matches(Interaction(now))
        else f"a {safe_method(now.method) or 'request'} of another call"
    )
    head = f"the cassette {place.name!a} has no interaction left for {what}"
    compared = [each.differences(now, relaxed, operation) for each in recorded]
    if not compared:
        return f"{head}: it holds none"
    if any(not differences for differences in compared):
        times = sum(done and not differences for done, differences in zip(played, compared, strict=True))
        again = "allow_playback_repeats=True plays it again"
        return (
            f"{head}: {times} that match{'es' if times == 1 else ''} {'was' if times == 1 else 'were'} played; {again}"
        )
    at = min(range(len(compared)), key=lambda index: (len(compared[index]), played[index]))
    lines = [f"{head}; nearest is number {at + 1} of {len(compared)}{' (played already)' if played[at] else ''}", ""]
    lines += map(_line, compared[at][:_MOST])
    if len(compared[at]) > _MOST:
        lines.append(f"  and at {len(compared[at]) - _MOST} more places")
    return "\n".join([*lines, "", f"  do: {_remedy(compared[at])}"])


def _line(difference: Difference) -> str:
    return f"  {difference.place:<{_COLUMN}} recorded {difference.recorded}, got {difference.got}"


def _remedy(differences: list[Difference]) -> str:
    parts = {_part(difference.place) for difference in differences}
    names = ", ".join(repr(part) for part in sorted(parts))
    return f"send what was recorded, record it anew, or leave it out of the comparison with relax=[{names}]"


def _part(place: str) -> str:
    if place in ("method", "host", "path"):
        return place
    if place == "path:order_id":
        return "order_id"
    return "query" if place.startswith("query:") else "body"
