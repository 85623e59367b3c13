"""Files: interaction JSON, VCR cassettes (YAML or JSON) and HAR, told apart by their content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from pytest_veeqo_alloc.capture.encoding import CodingError, body_bytes, decoded
from pytest_veeqo_alloc.contract.interaction import Headers, Interaction, Request, Response

Kind = Literal["request", "response", "interaction", "cassette", "har"]
KINDS: tuple[Kind, ...] = ("request", "response", "interaction", "cassette", "har")

_MAX_YAML_DEPTH = 200
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableFileError(Exception):
    """A file that cannot be read as what it is, in one sentence without the file's name."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file holds: interactions, or the bytes of one body."""

    kind: Kind
    interactions: tuple[Interaction, ...] = ()
    body: bytes = b""


def load(data: bytes, source: str, *, kind: Kind | None, side_of: Callable[[Any], Kind | None]) -> Loaded | None:
    """What *data*, the content of the file *source*, holds.

    *kind* None means to tell it from the content; *side_of* says of a parsed value whose body it is. None is returned
    where the content is nothing of ours. UnreadableFileError where it is something of ours that cannot be read, or no text
    format at all.
    """
    if kind in ("request", "response"):
        return Loaded(kind, body=data)
    document = _parse(data)
    kind = kind or _kind_of(document) or side_of(document)
    if kind is None:
        return None
    if kind in ("request", "response"):
        return Loaded(kind, body=data)
    read = {"interaction": _interaction, "cassette": _cassette, "har": _har}[kind]
    try:
        return Loaded(kind, tuple(read(document, source)))
    except CodingError as error:
        raise UnreadableFileError(f"{_ARTICLE[kind]} with {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise UnreadableFileError(
            f"{_ARTICLE[kind]} that lacks what every {_WORD[kind]} has, or has it in another form"
        ) from None


_WORD = {"interaction": "interaction file", "cassette": "VCR cassette", "har": "HAR file"}
_ARTICLE = {"interaction": "an interaction file", "cassette": "a VCR cassette", "har": "a HAR file"}


def _parse(data: bytes) -> Any:
    """*data* as JSON, or else as YAML; only to tell what it is and to find interactions, never to judge a body."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFileError("not UTF-8, so neither JSON nor YAML") from None
    try:
        return json.loads(text)
    except RecursionError:
        raise UnreadableFileError("nests too deep to be read") from None
    except ValueError as error:
        if text.lstrip()[:1] in ("{", "["):
            raise UnreadableFileError(f"not JSON, or cut off: {_plain(error)}") from None
    try:
        _refuse_depth(text)
        return yaml.load(text, Loader=_YAML)  # noqa: S506  # the safe loader, in C where it is to be had
    except RecursionError:
        raise UnreadableFileError("nests too deep to be read") from None
    except yaml.constructor.ConstructorError as error:
        if "python/" in str(error.problem):
            raise UnreadableFileError(
                "has a Python-object tag, which is never constructed: record the cassette anew"
            ) from None
        raise UnreadableFileError(f"not YAML that can be read safely{_line(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableFileError(f"neither JSON nor YAML{_line(error)}") from None


def _refuse_depth(text: str) -> None:
    """The C loader goes down into YAML without a limit and takes the process with it; the event parser does not."""
    depth = 0
    for event in yaml.parse(text, Loader=_YAML):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_YAML_DEPTH:
            raise UnreadableFileError("nests too deep to be read")


def _plain(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    return "a number that is too long"


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _kind_of(document: Any) -> Kind | None:
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("log"), dict):
        return "har"
    if "interactions" in document:
        return "cassette"
    request = document.get("request")
    return "interaction" if isinstance(request, dict) and "method" in request else None


def _interaction(document: Mapping[str, Any], source: str) -> Iterator[Interaction]:
    request, response = document["request"], document.get("response")
    yield Interaction(
        None
        if request is None
        else Request(_string(request["method"]), _string(request["url"]), _pairs(request), body_bytes(request)),
        None if response is None else Response(_status(response["status"]), _pairs(response), body_bytes(response)),
        source,
    )


def _cassette(document: Mapping[str, Any], source: str) -> Iterator[Interaction]:
    version = document.get("version")
    if version != 1:
        got = f"version {version}" if isinstance(version, (int, float)) else "no version"
        raise UnreadableFileError(f"a cassette of {got}; version 1 is the only one that vcrpy writes")
    for number, recorded in enumerate(document["interactions"] or (), 1):
        request, response = recorded["request"], recorded["response"]
        sent, received = _mapping_headers(request), _mapping_headers(response)
        body = response.get("body") or {}
        yield Interaction(
            Request(
                _string(request["method"]), _string(request["uri"]), sent, decoded(_raw(request.get("body")), sent)
            ),
            Response(_status(response["status"]["code"]), received, decoded(_raw(body.get("string")), received)),
            f"{source}#{number}",
        )


def _har(document: Mapping[str, Any], source: str) -> Iterator[Interaction]:
    for number, entry in enumerate(document["log"]["entries"], 1):
        request, response = entry["request"], entry["response"]
        # A browser notes status 0 for a request that nobody answered.
        answered = _status(response["status"]) != 0
        yield Interaction(
            Request(
                _string(request["method"]), _string(request["url"]), _named(request), _har_body(request.get("postData"))
            ),
            Response(response["status"], _named(response), _har_body(response.get("content"))) if answered else None,
            f"{source}#{number}",
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
    if _nodes_beyond(body, 1_000_000):
        raise UnreadableFileError("a cassette whose aliases unfold to more than a million values")
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
    return tuple((_string(name), _string(value)) for name, value in message.get("headers") or ())


def _named(message: Mapping[str, Any]) -> Headers:
    return tuple((_string(header["name"]), _string(header["value"])) for header in message.get("headers") or ())


def _mapping_headers(message: Mapping[str, Any]) -> Headers:
    headers = message.get("headers") or {}
    return tuple(
        (_string(name), _string(value))
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    )


def _string(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError("text is due")


def _status(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a status is a number")
    return value
