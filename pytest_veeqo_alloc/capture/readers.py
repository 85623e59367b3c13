"""Files: interaction JSON, VCR cassettes (YAML or JSON) and HAR, told apart by their content."""

from __future__ import annotations

import base64
import datetime
import email.utils
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_veeqo_alloc.capture.documents import UnreadableFileError, parse_document
from pytest_veeqo_alloc.core.http import ContentDecodingError, Headers, Interaction, Request, Response, decode_content

Kind = Literal["request", "response", "interaction", "cassette", "har"]
KINDS: tuple[Kind, ...] = ("request", "response", "interaction", "cassette", "har")

_MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, repr=False)
class LoadedFile:
    """What a file holds: interactions, or the bytes of one body; and how many calls were passed over."""

    kind: Kind
    interactions: tuple[Interaction, ...] = ()
    body: bytes = b""
    skipped: int = 0
    recorded_on: datetime.date | None = None
    document: Any = field(default=None, compare=False)
    is_json: bool = field(default=False, compare=False)


class CassetteVersionError(UnreadableFileError):
    """A cassette of another version than 1."""

    def __init__(self, version: object) -> None:
        super().__init__("a VCR cassette of another version than 1, which is the only one that vcrpy writes")
        self.version = version


STAMP = "veeqo_alloc"
"""The member of a cassette that says when, how and from what it was made."""


@dataclass(frozen=True, slots=True)
class _Format:
    """A kind of file: what it is called, its entries, the method and URL of one, and one as an interaction."""

    name: str
    entries: Callable[[Any], list[Any]]
    line: Callable[[Any], Request | None]
    interaction: Callable[[Any, str, bool], Interaction]
    recorded_on: Callable[[Any], str | None] = lambda document: None


def load(
    data: bytes,
    source: str,
    *,
    kind: Kind | None,
    side_of: Callable[[Any], Kind | None],
    matches: Callable[[Interaction], bool],
    decode: bool = True,
) -> LoadedFile | None:
    """What *data*, the content of the file *source*, holds.

    *kind* None means to tell it from the content; *side_of* says of parsed JSON whose body it is. Of the calls in a
    file only those that *means* recognises by method and URL are read; the rest is counted. Without *decode*
    bodies stay compressed where they are. None is returned where the content is nothing of ours. UnreadableFileError
    where it is something of ours that cannot be read, or no document.
    """
    if kind in ("request", "response"):
        return LoadedFile(kind, body=data)
    document, is_json = parse_document(data)
    kind = kind or (side_of(document) if is_json else None) or _kind_of(document)
    if kind is None:
        return None
    if kind in ("request", "response"):
        return LoadedFile(kind, body=data)
    form = _FORMATS[kind]
    try:
        entries = form.entries(document)
    except _MISSHAPEN:
        raise UnreadableFileError(f"not what {form.name} looks like") from None
    read = [
        _read(form, number, entry, f"{source}#{number}", matches, decode) for number, entry in enumerate(entries, 1)
    ]
    found = tuple(interaction for interaction in read if interaction is not None)
    skipped, day = len(read) - len(found), _day(form, document, found)
    return LoadedFile(kind, found, skipped=skipped, recorded_on=day, document=document, is_json=is_json)


def _day(form: _Format, document: Any, found: tuple[Interaction, ...]) -> datetime.date | None:
    """The day of the recording: as the file says it, else by the clock of the first server that tells it."""
    try:
        if said := form.recorded_on(document):
            return datetime.date.fromisoformat(said[:10])
    except (*_MISSHAPEN, IndexError):
        pass
    dates = (value for each in found if each.response for value in each.response.header_values("date"))
    for value in dates:
        try:
            return email.utils.parsedate_to_datetime(value).date()
        except ValueError:
            continue
    return None


def _read(
    form: _Format, number: int, entry: Any, source: str, matches: Callable[[Interaction], bool], decode: bool
) -> Interaction | None:
    """One call of a file, or None where it is another than the documented one."""
    try:
        line = form.line(entry)
        if line is not None and not matches(Interaction(line)):
            return None
        return form.interaction(entry, source, decode)
    except ContentDecodingError as error:
        raise UnreadableFileError(f"entry {number} of {form.name} has {error}") from None
    except _MISSHAPEN:
        raise UnreadableFileError(f"entry {number} of {form.name} lacks a member, or has it in another form") from None


def _kind_of(document: Any) -> Kind | None:
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("log"), dict) and "entries" in document["log"]:
        return "har"
    if "interactions" in document:
        return "cassette"
    if "request" not in document:
        return None
    request, response = document["request"], document.get("response")
    known = isinstance(request, dict) and "method" in request
    return "interaction" if known or (request is None and isinstance(response, dict) and "status" in response) else None


def _interaction(document: Mapping[str, Any], source: str, decode: bool) -> Interaction:
    line, response = _line(document), document.get("response")
    request = None if line is None else _with_rest(line, document["request"])
    answer = (
        None if response is None else Response(status_code(response["status"]), pairs(response), body_bytes(response))
    )
    return Interaction(request, answer, source.rpartition("#")[0])


def _line(document: Mapping[str, Any]) -> Request | None:
    request = document["request"]
    return None if request is None else Request(text(request["method"]), text(request["url"]))


def _with_rest(line: Request, request: Mapping[str, Any]) -> Request:
    return Request(line.method, line.url, pairs(request), body_bytes(request))


def _cassette_entries(document: Mapping[str, Any]) -> list[Any]:
    if not isinstance(document, dict):
        raise TypeError("a cassette is an object")
    if "version" not in document:
        raise UnreadableFileError("a VCR cassette without its version, which stands last: it may be cut off")
    if document["version"] != 1:
        raise CassetteVersionError(document["version"])
    return list(document["interactions"] or ())


def _cassette_line(entry: Mapping[str, Any]) -> Request:
    return Request(text(entry["request"]["method"]), text(entry["request"]["uri"]))


def _stamped(document: Mapping[str, Any]) -> str | None:
    return str(document[STAMP]["recorded_on"])


def cassette_interaction(entry: Mapping[str, Any], source: str, decode: bool) -> Interaction:
    """One entry of a cassette, as vcrpy has it in memory and on disk, as an interaction; ContentDecodingError for a body that
    cannot be decoded, where *decode* asks for it."""
    line, request, response = _cassette_line(entry), entry["request"], entry["response"]
    sent, received = cassette_headers(request), cassette_headers(response)
    asked, answer = raw(request.get("body")), raw((response.get("body") or {}).get("string"))
    if decode:
        asked, answer = decode_content(asked, sent), decode_content(answer, received)
    status = status_code(response["status"]["code"])
    return Interaction(Request(line.method, line.url, sent, asked), Response(status, received, answer), source)


def _har_entries(document: Mapping[str, Any]) -> list[Any]:
    return list(document["log"]["entries"])


def _started(document: Mapping[str, Any]) -> str | None:
    return str(document["log"]["entries"][0]["startedDateTime"])


def _har_line(entry: Mapping[str, Any]) -> Request:
    return Request(text(entry["request"]["method"]), text(entry["request"]["url"]))


def _har_interaction(entry: Mapping[str, Any], source: str, decode: bool) -> Interaction:
    line, request, response = _har_line(entry), entry["request"], entry["response"]
    # A browser notes status 0 for a request that nobody answered.
    status = status_code(response["status"])
    answer = Response(status, named(response), _har_body(response.get("content"))) if status else None
    return Interaction(
        Request(line.method, line.url, named(request), _har_body(request.get("postData"))), answer, source
    )


def _har_body(content: Mapping[str, Any] | None) -> bytes | None:
    if not content or "text" not in content:
        return None
    key = "body_base64" if content.get("encoding") == "base64" else "body"
    return body_bytes({key: content["text"]})


_FORMATS: Mapping[str, _Format] = {
    "interaction": _Format("an interaction file", lambda document: [document], _line, _interaction),
    "cassette": _Format("a VCR cassette", _cassette_entries, _cassette_line, cassette_interaction, _stamped),
    "har": _Format("a HAR file", _har_entries, _har_line, _har_interaction, _started),
}


MAX_NODES = 1_000_000


def body_bytes(message: Mapping[str, Any]) -> bytes | None:
    """The body of an interaction file's request or response: `body` as text, or `body_base64`; None for neither."""
    if (encoded := message.get("body_base64")) is not None:
        return base64.b64decode(encoded, validate=True)
    text = message.get("body")
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError("body is text; a JSON body is written as a string")
    return text.encode("utf-8", "surrogatepass")


def raw(body: Any) -> bytes | None:
    """A cassette's body: text, bytes, or for some clients the value that was sent as JSON."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if _nodes_beyond(body, MAX_NODES):
        raise ContentDecodingError(f"aliases that unfold to more than {MAX_NODES:,} values")
    return json.dumps(body).encode()


def _nodes_beyond(value: Any, limit: int) -> bool:
    stack = [value]
    while stack:
        limit -= 1
        if limit < 0:
            return True
        inner = stack.pop()
        if isinstance(inner, (dict, list)):
            stack.extend(inner.values() if isinstance(inner, dict) else inner)
    return False


def pairs(message: Mapping[str, Any]) -> Headers:
    """The headers of an interaction file: a list of pairs."""
    return tuple((text(name), text(value)) for name, value in message.get("headers") or ())


def named(message: Mapping[str, Any]) -> Headers:
    """The headers of a HAR file: a list of objects with name and value."""
    return tuple((text(header["name"]), text(header["value"])) for header in message.get("headers") or ())


def cassette_headers(message: Mapping[str, Any]) -> Headers:
    """The headers of a cassette: an object whose values are lists, or single ones."""
    return tuple(
        (text(name), text(value))
        for name, values in (message.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def values_by_header(headers: Headers) -> dict[str, list[str]]:
    """Header pairs as a cassette has them: lists of values by name."""
    groups: dict[str, list[str]] = {}
    for name, value in headers:
        groups.setdefault(name, []).append(value)
    return groups


def text(value: Any) -> str:
    """A scalar as text; TypeError for anything else."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError("text is due")


def status_code(value: Any) -> int:
    """A status code; TypeError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise TypeError("a status is a number of three digits")
    return value
