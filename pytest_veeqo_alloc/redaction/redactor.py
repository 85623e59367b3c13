"""Redaction of what is not JSON: URLs, headers, forms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, overload
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from pytest_veeqo_alloc.contract.checker import Tables
from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.http_rules import is_json_type
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.contract.rules import Side
from pytest_veeqo_alloc.core.formats import is_uri_reference
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response, decode_content_or_empty
from pytest_veeqo_alloc.core.text import safe_method
from pytest_veeqo_alloc.redaction.allowlist import (
    allowed_text,
    is_allowed_segment,
    is_card_value,
    is_personal_number_name,
    is_plain_name,
)
from pytest_veeqo_alloc.redaction.placeholders import Placeholders, is_placeholder
from pytest_veeqo_alloc.spec.loader import tables

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{1,5})?")
_ID = re.compile(r"-?(?:0|[1-9][0-9]{0,9})")
_ORDER_ID = re.compile(r"-?[0-9]{1,29}")
_SCHEME = re.compile(r"(Bearer|Basic|Digest|Token) (.+)", re.IGNORECASE | re.DOTALL)
_KNOWN_TYPE = (
    r"(?:\*/\*|application/(?:json|x-www-form-urlencoded|xml|octet-stream|vnd\.redacted\+json)|text/(?:html|plain|xml))"
    r"(?:; ?charset=(?:utf-8|us-ascii|iso-8859-1|utf-16))?"
)
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
_STAND_IN_HOST = ".example.com"
_COUNT = r"[0-9]{1,9}"

_HEADERS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "accept": rf"{_KNOWN_TYPE}(?:, ?{_KNOWN_TYPE})*",
        "accept-encoding": r"(?:gzip|x-gzip|deflate|br|zstd|identity)(?:, ?(?:gzip|x-gzip|deflate|br|zstd|identity))*",
        "connection": r"keep-alive|close",
        "content-length": r"[0-9]{1,12}",
        "content-type": _KNOWN_TYPE,
        "date": _DAY,
        "retry-after": rf"{_COUNT}|{_DAY}",
        "transfer-encoding": r"chunked",
        "x-page-index": _COUNT,
        "x-per-page": _COUNT,
        "x-total-count": _COUNT,
        "x-total-pages-count": _COUNT,
    }.items()
}
"""The headers whose values may be shown, and which values those are. Every other keeps its name alone."""


def host_of(url: str) -> str:
    """Host and port of *url*, without userinfo; empty where it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def redacted_header(name: str, value: str, stand_ins: Placeholders, host: str) -> tuple[str, str]:
    """One header. *host* is that of the request, which is shown in `Host` and `Location` too."""
    lowered = name.lower()
    if not is_plain_name(name):
        return f"x-{stand_ins.text(name)}" if not is_placeholder(name.removeprefix("x-")) else name, stand_ins.text(
            value
        )
    if lowered == "location":
        return name, _location(value, stand_ins, host)
    if lowered == "host" and host and value == host:
        return name, value
    if lowered == "content-type":
        return name, _media_type(value, stand_ins)
    allowed = _HEADERS.get(lowered)
    if allowed is not None and allowed.fullmatch(value):
        return name, value
    if match := _SCHEME.fullmatch(value):
        return name, f"{match[1]} {stand_ins.text(match[2].strip())}"
    return name, stand_ins.text(value)


def _media_type(value: str, stand_ins: Placeholders) -> str:
    """A media type of which the rule on media types says the same."""
    if _HEADERS["content-type"].fullmatch(value):
        return value
    if is_json_type(value):
        essence = value.partition(";")[0].strip().lower()
        return essence if essence == "application/json" else "application/vnd.redacted+json"
    return stand_ins.text(value)


def _location(value: str, stand_ins: Placeholders, host: str) -> str:
    if not is_uri_reference(value):
        # Still none: a pair of angle brackets stands in no URI.
        inner = value.removeprefix("<").removesuffix(">")
        return f"<{stand_ins.text(inner)}>"
    return redacted_url(value, stand_ins, keep_host=host_of(value) == host)


def redacted_url(url: str, stand_ins: Placeholders, *, keep_host: bool) -> str:
    """*url* with userinfo, host (unless *keep_host*), path, query and fragment as far as they may be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _quoted(url, stand_ins)
    scheme = (
        f"{parts.scheme}://" if parts.scheme in ("http", "https") and "://" in url else "//" if parts.netloc else ""
    )
    if parts.scheme and not scheme:
        return _quoted(url, stand_ins)
    path = "/".join(_segments(parts.path.split("/"), stand_ins))
    query = f"?{redacted_form(parts.query, stand_ins)}" if parts.query else ""
    fragment = f"#{_quoted(parts.fragment, stand_ins)}" if parts.fragment else ""
    return f"{scheme}{_authority(parts.netloc, stand_ins, keep_host)}{path}{query}{fragment}"


def _authority(netloc: str, stand_ins: Placeholders, keep_host: bool) -> str:
    user, at, host = netloc.rpartition("@")
    name, colon, password = user.partition(":")
    shown_user = f"{_quoted(name, stand_ins)}{colon}{_quoted(password, stand_ins)}{at}"
    return f"{shown_user}{host if keep_host and _HOST.fullmatch(host) else _other_host(host, stand_ins)}"


def _other_host(host: str, stand_ins: Placeholders) -> str:
    if not host or (host.endswith(_STAND_IN_HOST) and is_placeholder(host.removesuffix(_STAND_IN_HOST))):
        return host
    # A host is a name of letters, digits and hyphens, whatever format the stand-in of its text would have.
    return stand_ins.text(f"host {host}") + _STAND_IN_HOST


def _quoted(text: str, stand_ins: Placeholders) -> str:
    return quote(stand_ins.text(unquote(text)), safe="")


def _segments(segments: list[str], stand_ins: Placeholders) -> list[str]:
    """Names of resources and ids stay; the id of an order may be of any length that an id can have."""
    return [
        segment
        if not segment
        or segment in (".", "..")
        or is_allowed_segment(segment)
        or (_ORDER_ID if before == "orders" else _ID).fullmatch(segment)
        else _quoted(segment, stand_ins)
        for before, segment in zip(["", *segments], segments, strict=False)
    ]


def redacted_form(form: str, stand_ins: Placeholders) -> str:
    """A query or a form (`application/x-www-form-urlencoded`): names that are words stay, values do not."""
    return "&".join(_pair(pair, stand_ins) for pair in form.split("&"))


def _pair(pair: str, stand_ins: Placeholders) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote_plus(name)
    shown = name if not name or is_plain_name(name) else quote_plus(stand_ins.text(plain))
    return f"{shown}{equals}{quote_plus(stand_ins.text(unquote_plus(value)))}"


Fields = Mapping[str, Field]

_NO_FIELDS: Fields = {}
_FORM = re.compile(rb"[^=&\s{}\[\]<>\"]+=[^&\s{}<>\"]*(?:&[^=&\s{}\[\]<>\"]+=[^&\s{}<>\"]*)*")
_DROPPED = re.compile(rb"\[redacted: [0-9]+ bytes that are no JSON\]")


class Redactor:
    """Redacts any number of interactions; a value gets the same stand-in in all of them."""

    def __init__(self, tables: Tables) -> None:
        (_, _, allocation), *_ = tables.request.children
        # A request may stand bare at the root as well.
        self._fields: dict[Side, Fields] = {
            "request": {**allocation.fields, **tables.request.fields},
            "response": tables.response.fields,
        }
        self._stand_ins = Placeholders()

    def interaction(self, interaction: Interaction) -> Interaction:
        """*interaction* without what may not be shown; `source` is kept."""
        self.reserve_placeholders(interaction)
        request, response = interaction.request, interaction.response
        host = host_of(request.url) if request is not None else ""
        return replace(
            interaction,
            request=None if request is None else self._request(request, host),
            response=None if response is None else self._response(response, host),
        )

    def reserve_placeholders(self, interaction: Interaction) -> None:
        """Note which stand-ins *interaction* has already. Tell it of all before the first is redacted, and a
        stand-in that only a later one has is not given to another value."""
        for message in (interaction.request, interaction.response):
            if message is None:
                continue
            for _, value in message.headers:
                self._stand_ins.reserve(value)
            if isinstance(message, Request):
                self._stand_ins.reserve(message.url)
            self._stand_ins.reserve(decode_content_or_empty(message.body, message.headers).decode("utf-8", "replace"))

    def _request(self, request: Request, host: str) -> Request:
        body = self._body(request, "request")
        url = redacted_url(request.url, self._stand_ins, keep_host=True)
        method = safe_method(request.method) or self._stand_ins.text(request.method)
        return Request(method, url, self._headers(request.headers, body, host), body)

    def _response(self, response: Response, host: str) -> Response:
        body = self._body(response, "response")
        return Response(response.status, self._headers(response.headers, body, host), body)

    def _headers(self, headers: Headers, body: bytes | None, host: str) -> Headers:
        kept = []
        for name, value in headers:
            if name.lower() == "content-encoding":
                continue  # the body is stored decoded
            if name.lower() == "content-length":
                value = str(len(body or b""))
            kept.append(redacted_header(name, value, self._stand_ins, host))
        return tuple(kept)

    def _body(self, message: Request | Response, side: Side) -> bytes | None:
        if not message.body or _DROPPED.fullmatch(message.body):
            return message.body
        body = decode_content_or_empty(message.body, message.headers)
        reading = read(body)
        if reading.readable and not nests_deeper(reading.value, MAX_DEPTH):
            return json.dumps(self._value(reading.value, "", None, self._fields[side])).encode()
        if _FORM.fullmatch(body):
            return redacted_form(body.decode("latin-1"), self._stand_ins).encode("ascii")
        return b"[redacted: %d bytes that are no JSON]" % len(message.body)

    def _value(self, value: Any, name: str, field: Field | None, fields: Fields) -> Any:
        """*value*, which stands under *name*; *fields* are the documented members of an object in its place."""
        if isinstance(value, str):
            shown = allowed_text(name, value)
            return self._stand_ins.text(value) if shown is None else shown
        if isinstance(value, dict):
            return {
                key if key in fields or is_plain_name(key) else self._stand_ins.text(key): self._value(
                    inner, key, fields.get(key), _below(fields.get(key))
                )
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._value(item, name, field, fields) for item in value]
        if value is None or isinstance(value, bool) or (field is not None and field.type == "number"):
            return value
        personal = is_personal_number_name(name) or is_card_value(value)
        return self._stand_ins.number(value) if personal else value


def _below(field: Field | None) -> Fields:
    shape: Shape | None = field.shape if field is not None else None
    return shape.fields if shape is not None else _NO_FIELDS


@overload
def redact(interactions: Interaction) -> Interaction: ...
@overload
def redact(interactions: Iterable[Interaction]) -> list[Interaction]: ...
def redact(interactions: Interaction | Iterable[Interaction]) -> Interaction | list[Interaction]:
    """One interaction or several, redacted: every string that is not known to be safe is replaced by a stand-in.

    A value has the same stand-in wherever it stands in one call. Bodies come back decoded, and one that is neither JSON
    nor a form is dropped, with a marker in its place. Twice is the same as once.
    """
    redactor = new_redactor()
    if isinstance(interactions, Interaction):
        return redactor.interaction(interactions)
    several = list(interactions)
    for each in several:
        redactor.reserve_placeholders(each)
    return [redactor.interaction(each) for each in several]


def new_redactor() -> Redactor:
    """A redactor that knows the documented fields, for as many interactions as are to share their stand-ins."""
    return Redactor(tables())
