"""Readers of interaction files (JSON), VCR cassettes (YAML or JSON) and HAR files."""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import functools
import itertools
import json
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pytest_veeqo_alloc.capture.documents import UnreadableFileError, parse_document
from pytest_veeqo_alloc.core.http import ContentDecodingError, Headers, Interaction, Request, Response, decode_content

Kind = Literal["request", "response", "interaction", "cassette", "har"]
KINDS: tuple[Kind, ...] = ("request", "response", "interaction", "cassette", "har")

STAMP = "veeqo_alloc"
"""The top-level member of a cassette that holds the date, the kind of host and the package version of the recording."""

MAX_NODES = 1_000_000
"""The maximum number of values in a body that is stored as YAML. Expanded YAML aliases are included."""

_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, repr=False)
class LoadedFile:
    """The content of a file: interactions or one body. `skipped` is the number of calls of other operations."""

    kind: Kind
    interactions: tuple[Interaction, ...] = ()
    body: bytes = b""
    skipped: int = 0
    recorded_on: datetime.date | None = None
    document: Any = field(default=None, compare=False)
    is_json: bool = field(default=False, compare=False)


class CassetteVersionError(UnreadableFileError):
    """Raised for a cassette whose format version is not 1."""

    def __init__(self, version: object) -> None:
        super().__init__("a VCR cassette with a format version other than 1, the only version that vcrpy writes")
        self.version = version


def load(
    data: bytes,
    source: str,
    *,
    kind: Kind | None,
    side_of: Callable[[Any], Kind | None],
    matches: Callable[[Interaction], bool],
    decode: bool = True,
) -> LoadedFile | None:
    """Parse *data*, the content of the file *source*. Return None if *kind* is None and the content is not recognised.

    *side_of* recognises request and response bodies. Calls are skipped if *matches* returns false for their method and
    URL. Without *decode*, bodies stay compressed. Raise UnreadableFileError for a damaged file.
    """
    if kind in ("request", "response"):
        return LoadedFile(kind, body=data)
    document, is_json = parse_document(data)
    kind = kind or (side_of(document) if is_json else None) or _detect_kind(document)
    if kind is None:
        return None
    if kind in ("request", "response"):
        return LoadedFile(kind, body=data)
    form = _FORMATS[kind]
    try:
        entries = form.entries(document)
    except _MALFORMED:
        raise UnreadableFileError(f"not the structure of {form.name}") from None
    read = [_read_entry(form, number, entry, source, matches, decode) for number, entry in enumerate(entries, 1)]
    found = tuple(interaction for interaction in read if interaction is not None)
    day = _recording_day(document, found)
    return LoadedFile(kind, found, skipped=len(read) - len(found), recorded_on=day, document=document, is_json=is_json)


def _detect_kind(document: Any) -> Kind | None:
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("log"), dict) and "entries" in document["log"]:
        return "har"
    if "interactions" in document:
        return "cassette"
    request, response = document.get("request", ()), document.get("response")
    has_request = isinstance(request, dict) and "method" in request
    has_response = request is None and isinstance(response, dict) and "status" in response
    return "interaction" if has_request or has_response else None


def _read_entry(
    form: _Format, number: int, entry: Any, source: str, matches: Callable[[Interaction], bool], decode: bool
) -> Interaction | None:
    try:
        request, line = entry["request"], None
        if request is not None:
            line = Request(_scalar_text(request["method"]), _scalar_text(request[form.url_key]))
            if not matches(Interaction(line)):
                return None
        return form.interaction(entry, line, f"{source}#{number}", decode)
    except ContentDecodingError as error:
        remedy = f": {error.remedy}" if error.remedy else ""
        raise UnreadableFileError(f"entry {number} of {form.name} has {error}{remedy}") from None
    except _MALFORMED:
        raise UnreadableFileError(f"entry {number} of {form.name} has a missing or invalid member") from None


def _recording_day(document: Any, found: tuple[Interaction, ...]) -> datetime.date | None:
    """Return the recording date of *document*, otherwise the date of the first valid `Date` header, otherwise None."""
    for path in ((STAMP, "recorded_on"), ("log", "entries", 0, "startedDateTime")):
        with contextlib.suppress(*_MALFORMED):
            return datetime.date.fromisoformat(str(functools.reduce(operator.getitem, path, document))[:10])
    responses = (interaction.response for interaction in found if interaction.response)
    for value in itertools.chain.from_iterable(response.header_values("date") for response in responses):
        with contextlib.suppress(ValueError):
            return email.utils.parsedate_to_datetime(value).date()
    return None


def _file_interaction(entry: Mapping[str, Any], line: Request | None, source: str, decode: bool) -> Interaction:
    response = entry.get("response")
    sent = None if line is None else Request(line.method, line.url, *_file_message(entry["request"]))
    answer = None if response is None else Response(status_code(response["status"]), *_file_message(response))
    return Interaction(sent, answer, source.rpartition("#")[0])


def _file_message(message: Mapping[str, Any]) -> tuple[Headers, bytes | None]:
    headers = _header_pairs((name, value) for name, value in message.get("headers") or ())
    return headers, _body(message.get("body"), message.get("body_base64"))


def _cassette_entries(document: Mapping[str, Any]) -> list[Any]:
    if not isinstance(document, dict):
        raise TypeError("a cassette must be an object")
    if "version" not in document:
        raise UnreadableFileError("a VCR cassette without its last member, the version: the file may be truncated")
    if document["version"] != 1:
        raise CassetteVersionError(document["version"])
    return list(document["interactions"] or ())


def _cassette_interaction(entry: Mapping[str, Any], line: Request, source: str, decode: bool) -> Interaction:
    request, response = entry["request"], entry["response"]
    sent_headers, received_headers = cassette_headers(request), cassette_headers(response)
    sent, received = _cassette_body(request.get("body")), _cassette_body((response.get("body") or {}).get("string"))
    if decode:
        sent, received = decode_content(sent, sent_headers), decode_content(received, received_headers)
    answer = Response(status_code(response["status"]["code"]), received_headers, received)
    return Interaction(Request(line.method, line.url, sent_headers, sent), answer, source)


def _cassette_body(body: Any) -> bytes | None:
    """Convert *body* to bytes. For some HTTP clients, cassettes contain JSON values instead of strings or bytes."""
    if body is None or isinstance(body, (bytes, str)):
        return _body(body)
    stack, count = [body], 0
    while stack:
        value = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise ContentDecodingError(f"aliases that expand to more than {MAX_NODES:,} values")
        if isinstance(value, (dict, list)):
            stack.extend(value.values() if isinstance(value, dict) else value)
    return json.dumps(body).encode()


def cassette_headers(message: Mapping[str, Any]) -> Headers:
    """Return the headers of a request or response in a cassette. A header has one value or a list of values."""
    return _header_pairs(
        (name, value)
        for name, values in (message.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def values_by_header(headers: Headers) -> dict[str, list[str]]:
    """Map each header name to the list of its values, as cassettes store headers."""
    groups: dict[str, list[str]] = {}
    for name, value in headers:
        groups.setdefault(name, []).append(value)
    return groups


def _har_interaction(entry: Mapping[str, Any], line: Request, source: str, decode: bool) -> Interaction:
    request, response, answer = entry["request"], entry["response"], None
    if status := status_code(response["status"]):  # browsers write the status 0 if a request got no response
        answer = Response(status, *_har_message(response, "content"))
    return Interaction(Request(line.method, line.url, *_har_message(request, "postData")), answer, source)


def _har_message(message: Mapping[str, Any], body_key: str) -> tuple[Headers, bytes | None]:
    headers = _header_pairs((header["name"], header["value"]) for header in message.get("headers") or ())
    content = message.get(body_key) or {}
    text = content.get("text")
    return headers, _body(None, text) if content.get("encoding") == "base64" else _body(text)


class _Format(NamedTuple):
    name: str  # a noun phrase for messages
    url_key: str  # the member that contains a request's URL
    entries: Callable[[Any], list[Any]]  # returns the entries in a document
    interaction: Callable[..., Interaction]  # arguments: entry, method and URL, source, whether to decompress


_FORMATS: Mapping[str, _Format] = {
    "interaction": _Format("an interaction file", "url", lambda document: [document], _file_interaction),
    "cassette": _Format("a VCR cassette", "uri", _cassette_entries, _cassette_interaction),
    "har": _Format("a HAR file", "url", lambda document: list(document["log"]["entries"]), _har_interaction),
}


def _body(body: Any, encoded: Any = None) -> bytes | None:
    """Return *body* as bytes, or decode *encoded* (base64). Raise TypeError if *body* is of another type."""
    if encoded is not None:
        return base64.b64decode(encoded, validate=True)
    if body is None or isinstance(body, bytes):
        return body
    if not isinstance(body, str):
        raise TypeError("a body must be a string, even if it is JSON")
    return body.encode("utf-8", "surrogatepass")


def _header_pairs(pairs: Iterable[tuple[Any, Any]]) -> Headers:
    return tuple((_scalar_text(name), _scalar_text(value)) for name, value in pairs)


def _scalar_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError("the method, the URL and the headers must be strings")


def status_code(value: Any) -> int:
    """Return *value* as a status code. Raise TypeError unless it is an integer from 0 to 999."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise TypeError("a status must be an integer from 0 to 999")
    return value
