"""Files: interaction JSON, VCR cassettes (YAML or JSON) and HAR, told apart by their content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_veeqo_alloc.capture.documents import UnreadableFileError, parse
from pytest_veeqo_alloc.capture.encoding import CodingError, body_bytes, decoded
from pytest_veeqo_alloc.contract.interaction import Headers, Interaction, Request, Response

Kind = Literal["request", "response", "interaction", "cassette", "har"]
KINDS: tuple[Kind, ...] = ("request", "response", "interaction", "cassette", "har")

MAX_NODES = 1_000_000

_MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """What a file holds: interactions, or the bytes of one body; and how many calls were passed over."""

    kind: Kind
    interactions: tuple[Interaction, ...] = ()
    body: bytes = b""
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class _Format:
    """A kind of file: what it is called, its entries, the method and URL of one, and one as an interaction."""

    name: str
    entries: Callable[[Any], list[Any]]
    line: Callable[[Any], Request | None]
    interaction: Callable[[Any, str], Interaction]


def load(
    data: bytes,
    source: str,
    *,
    kind: Kind | None,
    side_of: Callable[[Any], Kind | None],
    means: Callable[[Interaction], bool],
) -> Loaded | None:
    """What *data*, the content of the file *source*, holds.

    *kind* None means to tell it from the content; *side_of* says of parsed JSON whose body it is. Of the calls in a
    file only those that *means* recognises by method and URL are read; the rest is counted. None is returned where the
    content is nothing of ours. UnreadableFileError where it is something of ours that cannot be read, or no document.
    """
    if kind in ("request", "response"):
        return Loaded(kind, body=data)
    document, is_json = parse(data)
    kind = kind or (side_of(document) if is_json else None) or _kind_of(document)
    if kind is None:
        return None
    if kind in ("request", "response"):
        return Loaded(kind, body=data)
    form = _FORMATS[kind]
    try:
        entries = form.entries(document)
    except _MISSHAPEN:
        raise UnreadableFileError(f"not what {form.name} looks like") from None
    read = [_read(form, number, entry, f"{source}#{number}", means) for number, entry in enumerate(entries, 1)]
    found = tuple(interaction for interaction in read if interaction is not None)
    return Loaded(kind, found, skipped=len(read) - len(found))


def _read(
    form: _Format, number: int, entry: Any, source: str, means: Callable[[Interaction], bool]
) -> Interaction | None:
    """One call of a file, or None where it is another than the documented one."""
    try:
        line = form.line(entry)
        if line is not None and not means(Interaction(line)):
            return None
        return form.interaction(entry, source)
    except CodingError as error:
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


def _interaction(document: Mapping[str, Any], source: str) -> Interaction:
    line, response = _line(document), document.get("response")
    request = None if line is None else _with_rest(line, document["request"])
    answer = None if response is None else Response(_status(response["status"]), _pairs(response), body_bytes(response))
    return Interaction(request, answer, source.rpartition("#")[0])


def _line(document: Mapping[str, Any]) -> Request | None:
    request = document["request"]
    return None if request is None else Request(_text(request["method"]), _text(request["url"]))


def _with_rest(line: Request, request: Mapping[str, Any]) -> Request:
    return Request(line.method, line.url, _pairs(request), body_bytes(request))


def _cassette_entries(document: Mapping[str, Any]) -> list[Any]:
    if "version" not in document:
        raise UnreadableFileError("a VCR cassette without its version, which stands last: it may be cut off")
    if document["version"] != 1:
        raise UnreadableFileError("a VCR cassette of another version than 1, which is the only one that vcrpy writes")
    return list(document["interactions"] or ())


def _cassette_line(entry: Mapping[str, Any]) -> Request:
    return Request(_text(entry["request"]["method"]), _text(entry["request"]["uri"]))


def _cassette_interaction(entry: Mapping[str, Any], source: str) -> Interaction:
    line, request, response = _cassette_line(entry), entry["request"], entry["response"]
    sent, received = _mapped(request), _mapped(response)
    body = (response.get("body") or {}).get("string")
    return Interaction(
        Request(line.method, line.url, sent, decoded(_raw(request.get("body")), sent)),
        Response(_status(response["status"]["code"]), received, decoded(_raw(body), received)),
        source,
    )


def _har_line(entry: Mapping[str, Any]) -> Request:
    return Request(_text(entry["request"]["method"]), _text(entry["request"]["url"]))


def _har_interaction(entry: Mapping[str, Any], source: str) -> Interaction:
    line, request, response = _har_line(entry), entry["request"], entry["response"]
    # A browser notes status 0 for a request that nobody answered.
    status = _status(response["status"])
    answer = Response(status, _named(response), _har_body(response.get("content"))) if status else None
    return Interaction(
        Request(line.method, line.url, _named(request), _har_body(request.get("postData"))), answer, source
    )


def _har_body(content: Mapping[str, Any] | None) -> bytes | None:
    if not content or "text" not in content:
        return None
    key = "body_base64" if content.get("encoding") == "base64" else "body"
    return body_bytes({key: content["text"]})


def _raw(body: Any) -> bytes | None:
    """A cassette's body: text, bytes, or for some clients the value that was sent as JSON."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if _nodes_beyond(body, MAX_NODES):
        raise CodingError(f"aliases that unfold to more than {MAX_NODES:,} values")
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


def _pairs(message: Mapping[str, Any]) -> Headers:
    return tuple((_text(name), _text(value)) for name, value in message.get("headers") or ())


def _named(message: Mapping[str, Any]) -> Headers:
    return tuple((_text(header["name"]), _text(header["value"])) for header in message.get("headers") or ())


def _mapped(message: Mapping[str, Any]) -> Headers:
    return tuple(
        (_text(name), _text(value))
        for name, values in (message.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError("text is due")


def _status(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise TypeError("a status is a number of three digits")
    return value


_FORMATS: Mapping[str, _Format] = {
    "interaction": _Format("an interaction file", lambda document: [document], _line, _interaction),
    "cassette": _Format("a VCR cassette", _cassette_entries, _cassette_line, _cassette_interaction),
    "har": _Format("a HAR file", lambda document: list(document["log"]["entries"]), _har_line, _har_interaction),
}
