"""Readers of interaction files (JSON), cassettes of VCR for Python and Ruby (YAML or JSON), and HAR files."""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import itertools
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from pytest_veeqo_alloc.capture.documents import (
    ForeignFormatError,
    GitPointerError,
    InvalidMemberError,
    Node,
    UnreadableFileError,
    UnsupportedTag,
    foreign_format,
    parse_document,
    walk,
)
from pytest_veeqo_alloc.contract.http_rules import path_of
from pytest_veeqo_alloc.core.http import (
    ContentDecodingError,
    Headers,
    Interaction,
    Request,
    Response,
    decode_content,
    decode_content_or_empty,
)
from pytest_veeqo_alloc.core.json_pointer import generalise, mask_path
from pytest_veeqo_alloc.core.text import safe_method

Kind = Literal["request", "response", "interaction", "cassette", "har"]
KINDS: tuple[Kind, ...] = ("request", "response", "interaction", "cassette", "har")

STAMP = "veeqo_alloc"
"""The name of a top-level member of cassettes. It describes the recording: date, kind of host, package version."""

RUBY = "http_interactions"
"""The name of the top-level member that contains the entries in a cassette of VCR for Ruby or of Betamax."""

_MAX_EXPANSION = 64_000_000
"""The maximum number of bytes by which all bodies of a file together may grow when they are decompressed."""


@dataclass(frozen=True, slots=True, repr=False)
class LoadedFile:
    """The content of a file: interactions, or a single body.

    `skipped` has a sentence for each call of another operation, and `broken` one for each entry that cannot be read.
    """

    kind: Kind
    interactions: tuple[Interaction, ...] = ()
    body: bytes = b""
    skipped: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    recorded_on: datetime.date | None = None
    document: Any = field(default=None, compare=False)
    is_json: bool = field(default=False, compare=False)

    def others(self) -> Iterator[tuple[str, str, Any, Mapping[Any, Any]]]:
        """Yield pointer, name, value and parent of each scalar outside the interactions, such as a cookie in a HAR file."""
        if self.kind in ("request", "response"):
            return
        read = _form_of(self.kind, self.document).read
        for pointer, name, value, parent in walk(self.document):
            general = generalise(pointer)
            if not any(general == part or general.startswith(f"{part}/") for part in read):
                yield pointer, name, value, parent


class CassetteVersionError(UnreadableFileError):
    """Raised for a cassette whose format version is not 1."""

    is_relevant = True

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
    """Parse *data*, the content of the file *source*. If *kind* is None, detect the kind. Return None if it is unknown.

    *side_of* gets a JSON document, and returns 'request' or 'response' if the document is such a body, otherwise None. A
    call is skipped if *matches* returns false for its method and URL. If *decode* is false, bodies stay compressed. Raise
    UnreadableFileError for a file that cannot be read.
    """
    if kind in ("request", "response"):
        if _is_yaml(data):
            raise UnreadableFileError("a body must be JSON, not YAML")
        return LoadedFile(kind, body=data)
    document, is_json = parse_document(data)
    if kind is None:
        kind = (side_of(document) if is_json else None) or _detect_kind(document)
        if kind is None:
            return None
    if kind in ("request", "response"):
        return LoadedFile(kind, body=data)
    form = _form_of(kind, document)
    try:
        entries = form.entries(Node(document))
    except InvalidMemberError as error:
        raise UnreadableFileError(f"{form.name}: {error}") from None
    single, decoder = source if form is _FILE else "", _limited_decoder(is_used=decode)
    read = [
        _read_or_explain(form, number, entry, single or f"{source}#{number}", matches, decoder)
        for number, entry in enumerate(entries, 1)
    ]
    broken = tuple(result for result in read if isinstance(result, str))
    calls = [result for result in read if isinstance(result, Interaction)]
    is_ours = [call.request is None or matches(call) for call in calls]
    found = tuple(itertools.compress(calls, is_ours))
    others = itertools.compress(calls, map(operator.not_, is_ours))
    skipped = tuple(f"{call.source}: {_shown_call(call)}, another operation" for call in others)
    return LoadedFile(kind, found, b"", skipped, broken, _recording_day(document, found), document, is_json)


def _is_yaml(data: bytes) -> bool:
    if data.lstrip()[:1] in (b"{", b"[", b"<", b'"'):
        return False
    try:
        document, is_json = parse_document(data)
    except GitPointerError:
        raise
    except UnreadableFileError:
        return False
    return not is_json and isinstance(document, (dict, list))


def _shown_call(interaction: Interaction) -> str:
    request = interaction.request or Request("", "")
    return f"{safe_method(request.method) or 'another method'} {mask_path(path_of(request.url)) or '/'}"


def _detect_kind(document: Any) -> Kind | None:
    """Return the kind of *document*, or None if unknown. Raise ForeignFormatError for a known unsupported format."""
    if isinstance(document, dict):
        if isinstance(document.get("log"), dict) and "entries" in document["log"]:
            return "har"
        if RUBY in document:
            return "cassette"
    if name := foreign_format(document):
        raise ForeignFormatError(name)
    if not isinstance(document, dict):
        return None
    if "interactions" in document:
        return "cassette"
    request, response = document.get("request", ()), document.get("response")
    has_request = isinstance(request, dict) and "method" in request
    has_response = request is None and isinstance(response, dict) and "status" in response
    return "interaction" if has_request or has_response else None


def _read_or_explain(
    form: _Format, number: int, entry: Node, source: str, matches: Callable[[Interaction], bool], decode: _Decoder
) -> Interaction | str:
    """Return the interaction in *entry*. If it cannot be read, return a sentence with the reason."""
    try:
        return _read_entry(form, entry, source, matches, decode)
    except InvalidMemberError as error:
        return f"entry {number} of {form.name}: {error}"
    except ContentDecodingError as error:
        remedy = f": {error.remedy}" if error.remedy else ""
        return f"entry {number} of {form.name} has {error}{remedy}"


def _read_entry(
    form: _Format, entry: Node, source: str, matches: Callable[[Interaction], bool], decode: _Decoder
) -> Interaction:
    """Return the interaction in *entry*. Read only its method and URL if *matches* returns false for them."""
    line, answer, sent, received = None, None, entry.get("request"), entry.get("response")
    if form.is_partial and sent.value is None and received.value is None:
        raise sent.error("an object")
    if sent.value is not None or not form.is_partial:
        method = sent.get("method").text()
        line = Request(method.upper() if form is _RUBY else method, sent.get(form.url_key).text())
        if not matches(Interaction(line)):
            return Interaction(line, source=source)
        line = Request(line.method, line.url, *_decoded(form.message(sent, True), decode))
    if received.value is not None or not form.is_partial:
        status = _status(received.get(*form.status))
        if status or form is not _HAR:  # browsers write the status 0 if a request got no response
            answer = Response(status, *_decoded(form.message(received, False), decode))
    return Interaction(line, answer, source)


_Decoder = Callable[[bytes | None, Headers], bytes | None]

_Content = tuple[Headers, bytes | None, bool]
"""The headers and the body of a message, and whether the body is known. A HAR file may lack the body."""


def _decoded(content: _Content, decode: _Decoder) -> _Content:
    headers, body, is_known = content
    return headers, decode(body, headers), is_known


def _limited_decoder(*, is_used: bool) -> _Decoder:
    """Return a function that decompresses the bodies of one file. If *is_used* is false, it returns them compressed.

    In both cases, it raises UnreadableFileError if the bodies together expand too much.
    """
    left = _MAX_EXPANSION

    def decode(body: bytes | None, headers: Headers) -> bytes | None:
        nonlocal left
        plain = decode_content(body, headers) if is_used else decode_content_or_empty(body, headers)
        left -= max(len(plain or b"") - len(body or b""), 0)
        if left < 0:
            limit = _MAX_EXPANSION // 1_000_000
            raise UnreadableFileError(f"its compressed bodies expand by more than {limit} MB, which is the maximum")
        return plain if is_used else body

    return decode


def _status(node: Node) -> int:
    try:
        return status_code(node.value)
    except TypeError:
        raise node.error("an integer from 0 to 999") from None


def _recording_day(document: Any, found: Iterable[Interaction]) -> datetime.date | None:
    """Return the recording date in *document*, otherwise the first valid date in `Date` headers, otherwise None."""
    for path in ((STAMP, "recorded_on"), ("log", "entries", "startedDateTime"), (RUBY, "recorded_at")):
        with contextlib.suppress(InvalidMemberError, IndexError):
            *parents, name = path
            owner = Node(document).get(*parents)
            text = (owner.items()[0] if isinstance(owner.value, list) else owner).get(name).value
            if (day := _day(str(text))) is not None:
                return day
    responses = (interaction.response for interaction in found if interaction.response)
    days = (_day(value) for response in responses for value in response.header_values("date"))
    return next(filter(None, days), None)


def _day(text: str) -> datetime.date | None:
    with contextlib.suppress(ValueError):
        return datetime.date.fromisoformat(text[:10])
    with contextlib.suppress(ValueError):
        return email.utils.parsedate_to_datetime(text).date()
    return None


def _file_message(message: Node, is_request: bool) -> _Content:
    headers, body, encoded = message.get("headers"), message.get("body"), message.get("body_base64")
    if isinstance(headers.value, dict):
        pairs = _header_map(headers)
    else:
        if not isinstance(headers.value, (list, type(None))):
            raise headers.error("an object, or an array of pairs of a name and a value")
        pairs = tuple((name.text(), value.text()) for name, value in map(_pair, _optional_items(headers)))
    if encoded.value is not None:
        return pairs, _base64(encoded), True
    return pairs, _json_or_text(body), True


def _pair(node: Node) -> list[Node]:
    if not isinstance(node.value, list) or len(node.value) != 2:
        raise node.error("a pair of a name and a value")
    return node.items()


def _cassette_entries(document: Node) -> list[Node]:
    version = document.object().get("version", 1)
    if version != 1 or isinstance(version, bool):
        raise CassetteVersionError(version)
    entries = _optional_items(document.get("interactions"))
    if "version" not in document.value:
        raise UnreadableFileError("a VCR cassette without 'version', its last member: the file may be truncated")
    return entries


def _cassette_message(message: Node, is_request: bool) -> _Content:
    body = message.get("body")
    if not is_request and body.value is not None:
        body = body.get("string")
    return _header_map(message.get("headers")), _json_or_text(body), True


def _ruby_message(message: Node, is_request: bool) -> _Content:
    body = message.get("body")
    if isinstance(body.value, dict):
        encoded, body = body.get("base64_string"), body.get("string")
        if encoded.value is not None:
            return _header_map(message.get("headers")), _base64(encoded), True
    return _header_map(message.get("headers")), _text(body), True


def _har_message(message: Node, is_request: bool) -> _Content:
    headers = tuple(
        (header.get("name").text(), header.get("value").text()) for header in _optional_items(message.get("headers"))
    )
    content = message.get("postData" if is_request else "content")
    if content.value is not None:
        text, size = content.get("text"), content.get("size").value
        if text.value is not None and (text.value or not _is_positive(size)):
            return headers, _har_text(content, text), True
        if is_request and (params := content.get("params")).value is not None:
            pairs = [(param.get("name").text(), param.get("value").value or "") for param in params.items()]
            return headers, urlencode(pairs).encode(), True
    sizes = [message.get("bodySize").value, *(value for name, value in headers if name.lower() == "content-length")]
    is_empty = content.value is None if is_request else content.value is not None and content.get("size").value == 0
    return headers, None, is_empty and not any(map(_is_positive, sizes))


def _is_positive(size: Any) -> bool:
    if isinstance(size, str):  # of a header
        return size.strip("0123456789") == "" and size.strip("0") != ""
    return isinstance(size, (int, float)) and size > 0


def _har_text(content: Node, text: Node) -> bytes | None:
    """Return *text* as bytes. Polly.js stores a compressed body as a JSON array of base64 or hex strings."""
    is_base64 = content.get("encoding").value == "base64"
    if not (is_base64 or content.get("_isBinary").value is True) or not isinstance(text.value, str):
        return _text(text)
    if not text.value.startswith("["):
        return _base64(text) if is_base64 else _text(text)
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        chunks = json.loads(text.value)
        return b"".join(
            base64.b64decode(chunk, validate=True) if is_base64 else bytes.fromhex(chunk) for chunk in chunks
        )
    raise text.error("an array of base64 or hexadecimal strings")


def values_by_header(headers: Headers) -> dict[str, list[str]]:
    """Map each name in *headers* to the list of its values. Cassettes store headers in this form."""
    groups: dict[str, list[str]] = {}
    for name, value in headers:
        groups.setdefault(name, []).append(str(value))  # YAML cannot represent a Secret
    return groups


def cassette_headers(message: Mapping[str, Any]) -> Headers:
    """Return the headers of *message*, a request or response in a cassette. A name has one value or a list of values."""
    return _header_map(Node(message.get("headers")))


def _header_map(headers: Node) -> Headers:
    if headers.value is None:
        return ()
    return tuple(
        (Node(name, headers.pointer).text(), value.text())
        for name, values in headers.object().items()
        for node in [Node(values, f"{headers.pointer}/{name}")]
        for value in (node.items() if isinstance(values, list) else [node])
    )


def _optional_items(node: Node) -> list[Node]:
    return [] if node.value is None else node.items()


def _text(body: Node) -> bytes | None:
    if body.value is None or isinstance(body.value, bytes):
        return body.value
    if not isinstance(body.value, str):
        raise body.error("a string")
    return body.value.encode("utf-8", "surrogatepass")


def _base64(body: Node) -> bytes:
    with contextlib.suppress(ValueError, TypeError):
        return base64.b64decode(body.value, validate=True)
    raise body.error("base64")


def _json_or_text(body: Node) -> bytes | None:
    """Return *body* as bytes. An object or array, as some recorders store it, is serialised to JSON."""
    if not isinstance(body.value, (dict, list)):
        return _text(body)
    stack: list[Any] = [body.value]
    while stack:
        value = stack.pop()
        if isinstance(value, UnsupportedTag):
            raise Node(value, body.pointer).error("JSON")
        if isinstance(value, (dict, list)):
            stack.extend(value.values() if isinstance(value, dict) else value)
    try:
        return json.dumps(body.value).encode()
    except (TypeError, ValueError, RecursionError):
        raise body.error("a string, or JSON of at most a few hundred levels") from None


def status_code(value: Any) -> int:
    """Return *value* unchanged. Raise TypeError unless it is an integer from 0 to 999."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 999:
        raise TypeError("a status must be an integer from 0 to 999")
    return value


class _Format(NamedTuple):
    name: str  # a noun phrase for messages
    url_key: str  # the member that contains a request's URL
    status: tuple[str, ...]  # the path to the status in a response
    entries: Callable[[Node], list[Node]]  # returns the entries in a document
    message: Callable[[Node, bool], _Content]  # reads a request (True) or a response (False)
    read: tuple[str, ...]  # patterns of pointers to the values that become part of interactions
    is_partial: bool = False  # whether the request or the response may be null


def _parts(entry: str, url_key: str, status: str) -> tuple[str, ...]:
    request, response = f"{entry}/request", f"{entry}/response"
    return (
        *(f"{request}/{name}" for name in ("method", url_key, "headers", "body", "body_base64")),
        *(f"{response}/{name}" for name in (status, "headers", "body", "body_base64")),
    )


_FILE = _Format(
    "an interaction file", "url", ("status",), lambda document: [document], _file_message, _parts("", "url", "status"),
    is_partial=True,
)  # fmt: skip
_VCR = _Format(
    "a VCR cassette", "uri", ("status", "code"), _cassette_entries, _cassette_message,
    _parts("/interactions/*", "uri", "status"),
)  # fmt: skip
_RUBY = _Format(
    "a cassette of VCR for Ruby", "uri", ("status", "code"), lambda document: _optional_items(document.get(RUBY)),
    _ruby_message, _parts(f"/{RUBY}/*", "uri", "status"),
)  # fmt: skip
_HAR = _Format(
    "a HAR file", "url", ("status",), lambda document: document.get("log", "entries").items(), _har_message,
    tuple(
        f"/log/entries/*/{part}" for part in (
            "request/method", "request/url", "request/headers/*/name", "request/headers/*/value",
            "request/postData/text", "response/status", "response/headers/*/name", "response/headers/*/value",
            "response/content/text",
        )
    ),
)  # fmt: skip


def _form_of(kind: Kind, document: Any) -> _Format:
    if kind == "cassette":
        return _RUBY if isinstance(document, dict) and RUBY in document else _VCR
    return _HAR if kind == "har" else _FILE
