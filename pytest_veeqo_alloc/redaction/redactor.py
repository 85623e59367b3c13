"""Redaction of JSON bodies, forms, headers and URLs. Placeholders replace strings that the allowlist does not permit."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, overload
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from pytest_veeqo_alloc.contract.field_table import Field
from pytest_veeqo_alloc.contract.http_rules import is_json_type
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response, decode_body
from pytest_veeqo_alloc.core.text import UUID, is_plain_name, is_uri_reference, safe_method
from pytest_veeqo_alloc.redaction.allowlist import (
    allowed_text,
    is_allowed_number,
    is_allowed_segment,
    is_personal_number_name,
)
from pytest_veeqo_alloc.spec.loader import tables

FIRST_NUMBER = 442_079_460_000_000
"""Placeholders for telephone, card and tax numbers are above this number. It has too many digits for a telephone."""

_LONG = 2048

# For each format of strings: a pattern of originals, a template of placeholders, and a pattern of placeholders. No
# placeholder is a hash, since a short secret can be guessed from its hash. RFC 2606 reserves the host name example.com,
# and Ofcom the telephone numbers.
_FORMATS = [
    (re.compile(original), template, placeholder)
    for original, template, placeholder in (
        (r"[^@\s/]+@[^@\s/]+\.[^@\s/]+", "redacted-{number}@example.com", r"redacted-(\d{1,9})@example\.com"),
        (r"(?is)https?://.*", "https://example.com/redacted-{number}", r"https://example\.com/redacted-(\d{1,9})"),
        (UUID, "00000000-0000-4000-8000-{number:012d}", r"00000000-0000-4000-8000-(\d{12})"),
        # A placeholder with fewer leading zeros could be a real key.
        (r"[0-9a-fA-F]{16,}|[0-9]{13,}", "{number:0{width}d}", r"0000000000*(\d{1,9})"),
        (r"\+?(?:[ ().-]*[0-9]){7,15}", "+44 20 7946 0{number:03d}", r"\+44 20 7946 0(\d{3,9})"),
        (r"(?s).*", "redacted-{number}", r"redacted-(\d{1,9})"),
    )
]
_PLACEHOLDER = re.compile("|".join(f"(?:{placeholder})" for _, _, placeholder in _FORMATS))
_NUMBER = rf"{(_START := str(FIRST_NUMBER)[:-6])}(?<=\b{_START})(\d{{6}})\b"
_ANYWHERE = re.compile(rf"{_PLACEHOLDER.pattern}|{_NUMBER}")
_PATTERNS = [*(placeholder for _, _, placeholder in _FORMATS), _NUMBER]
# A pattern that contains another pattern is left out: the shorter pattern finds the same counters.
_NUMBERS = [re.compile(one) for one in _PATTERNS if not any(other in one for other in _PATTERNS if other != one)]
"""Patterns that find the counters in placeholders. Each begins with a constant text, which makes the search fast."""

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{1,5})?")
_ID = re.compile(r"-?(?:0|[1-9][0-9]{0,9})")
_ORDER_ID = re.compile(r"-?[0-9]{1,29}")
_PLACEHOLDER_HOST = ".example.com"

_KNOWN_TYPE = (
    r"(?:\*/\*|application/(?:json|x-www-form-urlencoded|xml|octet-stream|vnd\.redacted\+json)|text/(?:html|plain|xml))"
    r"(?:; ?charset=(?:utf-8|us-ascii|iso-8859-1|utf-16))?"
)
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
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
"""For each header, the pattern of values that may be shown. Other values are replaced with placeholders."""
_SCHEME = re.compile(r"(Bearer|Basic|Digest|Token) (.+)", re.IGNORECASE | re.DOTALL)

Fields = Mapping[str, Field]
_FORM = re.compile(rb"[^=&\s{}\[\]<>\"]+=[^&\s{}<>\"]*(?:&[^=&\s{}\[\]<>\"]+=[^&\s{}<>\"]*)*")
_DROPPED = re.compile(rb"\[redacted: [0-9]+ bytes that are no JSON\]")


def is_placeholder(text: str) -> bool:
    """Return whether the whole of *text* is a placeholder."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_placeholder_number(number: float) -> bool:
    """Return whether *number* is a placeholder for a telephone, card or tax number."""
    return FIRST_NUMBER < number < FIRST_NUMBER + 1_000_000


def contains_placeholder(text: str) -> bool:
    """Return whether *text* contains a placeholder."""
    return _ANYWHERE.search(text) is not None


def without_placeholder_numbers(text: str) -> str:
    """Return *text* without the counters in placeholders, to compare it with another redacted text."""
    return _PLACEHOLDER.sub("redacted", re.sub(_NUMBER, str(FIRST_NUMBER), text))


class Placeholders:
    """An assignment of placeholders to values. Equal values get equal placeholders."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._numbers: dict[float, int] = {}
        self._reserved: set[int] = set()
        self._counters = itertools.filterfalse(self._reserved.__contains__, itertools.count(1))

    def reserve(self, text: str) -> None:
        """Reserve the placeholders in *text*: no value gets one of them from now on."""
        for pattern in _NUMBERS:
            self._reserved.update(map(int, pattern.findall(text)))

    def text(self, text: str) -> str:
        """Return the placeholder for *text*. If *text* is a placeholder or empty, return it unchanged."""
        if not text or is_placeholder(text):
            return text
        if text not in self._texts:
            # A very long string has no special format, and some patterns would take long to match.
            formats = _FORMATS if len(text) <= _LONG else _FORMATS[-1:]
            counters = {"number": next(self._counters), "width": len(text)}
            made = (template.format_map(counters) for original, template, _ in formats if original.fullmatch(text))
            self._texts[text] = next(filter(is_placeholder, made))  # a short number has no room for leading zeros
        return self._texts[text]

    def number(self, number: float) -> float:
        """Return the placeholder for *number*, an int or a float. If *number* is a placeholder, return it unchanged."""
        if is_placeholder_number(number):
            return number
        if number not in self._numbers:
            self._numbers[number] = FIRST_NUMBER + next(self._counters)
        return type(number)(self._numbers[number])


@overload
def redact(interactions: Interaction) -> Interaction: ...
@overload
def redact(interactions: Iterable[Interaction]) -> list[Interaction]: ...
def redact(interactions: Interaction | Iterable[Interaction]) -> Interaction | list[Interaction]:
    """Return a redacted copy of an interaction, or a list of redacted copies of several interactions.

    A placeholder replaces every string that the allowlist does not permit. Equal values get equal placeholders in all
    interactions. A body is decompressed. If it is neither JSON nor a form, a marker replaces it. Redacting the result
    again changes nothing.
    """
    redactor = Redactor()
    if isinstance(interactions, Interaction):
        return redactor.interaction(interactions)
    several = list(interactions)
    for interaction in several:
        redactor.reserve_placeholders(interaction)
    return [redactor.interaction(interaction) for interaction in several]


class Redactor:
    """A redactor for any number of interactions. Equal values get equal placeholders in all interactions."""

    def __init__(self) -> None:
        request, response = tables().request, tables().response
        ((_, _, allocation),) = request.children
        # The members of a request body may be inside the object `allocation` or, by mistake, at the root.
        self._fields = {"request": {**allocation.fields, **request.fields}, "response": response.fields}
        self._placeholders = Placeholders()

    def reserve_placeholders(self, interaction: Interaction) -> None:
        """Reserve the placeholders in *interaction*. Call this for all interactions before redacting the first."""
        for message in [side for side in (interaction.request, interaction.response) if side is not None]:
            for _, value in message.headers:
                self._placeholders.reserve(value)
            self._placeholders.reserve(decode_body(message).decode("utf-8", "replace"))
        if interaction.request is not None:
            self._placeholders.reserve(interaction.request.url)

    def interaction(self, interaction: Interaction) -> Interaction:
        """Return a redacted copy of *interaction* with the same `source`."""
        self.reserve_placeholders(interaction)
        request, response = interaction.request, interaction.response
        host = _host_of(request.url) if request is not None else ""
        if request is not None:
            body = self._body(request, "request")
            url = self._url(request.url, keep_host=True)
            method = safe_method(request.method) or self._placeholders.text(request.method)
            headers = self._headers(request.headers, body, host)
            request = replace(request, method=method, url=url, headers=headers, body=body)
        if response is not None:
            body = self._body(response, "response")
            response = replace(response, headers=self._headers(response.headers, body, host), body=body)
        return replace(interaction, request=request, response=response)

    def _body(self, message: Request | Response, side: str) -> bytes | None:
        if not message.body or _DROPPED.fullmatch(message.body):
            return message.body
        body = decode_body(message)
        reading = read(body)
        if reading.readable and not nests_deeper(reading.value, MAX_DEPTH):
            return json.dumps(self._value(reading.value, "", None, self._fields[side])).encode()
        if _FORM.fullmatch(body):
            return self._form(body.decode("latin-1")).encode("ascii")
        return b"[redacted: %d bytes that are no JSON]" % len(message.body)

    def _value(self, value: Any, name: str, field: Field | None, fields: Fields) -> Any:
        """Redact *value*, the value of the member *name*. *fields* are the documented members of *value* by name."""
        if isinstance(value, str):
            return allowed_text(name, value) or self._placeholders.text(value)
        if isinstance(value, dict):
            is_owner = field is None and is_personal_number_name(name)
            return self._object(value, fields, f"{name}_" if is_owner else "")
        if isinstance(value, list):
            return [self._value(item, name, field, fields) for item in value]
        is_documented_number = field is not None and field.type == "number"
        if value is None or isinstance(value, bool) or is_documented_number or is_allowed_number(name, value):
            return value
        return self._placeholders.number(value)

    def _object(self, members: dict[str, Any], fields: Fields, owner: str) -> dict[str, Any]:
        """Redact *members*. *owner* prefixes their names: after `phone_`, the member `number` is a telephone number."""
        redacted = {}
        for name, value in members.items():
            field, kind = fields.get(name), type(value)
            full_name = f"{owner}{name}" if owner else name
            shown_name = name if field is not None or is_plain_name(name) else self._placeholders.text(name)
            if kind is str:
                value = allowed_text(full_name, value) or self._placeholders.text(value)
            elif kind is not bool and value is not None and not (kind is int and field and field.type == "number"):
                value = self._value(value, full_name, field, field.shape.fields if field and field.shape else {})
            redacted[shown_name] = value
        return redacted

    def _form(self, form: str) -> str:
        """Redact a URL query or a form body: all values, and the names that do not consist of words."""
        pairs = (pair.partition("=") for pair in form.split("&"))
        return "&".join(
            f"{name if is_plain_name(name) else self._form_text(name)}{equals}{self._form_text(value)}"
            for name, equals, value in pairs
        )

    def _form_text(self, text: str) -> str:
        return quote_plus(self._placeholders.text(unquote_plus(text)))

    def _headers(self, headers: Headers, body: bytes | None, host: str) -> Headers:
        return tuple(
            self._header(name, str(len(body or b"")) if name.lower() == "content-length" else value, host)
            for name, value in headers
            if name.lower() != "content-encoding"  # the body is stored decoded
        )

    def _header(self, name: str, value: str, host: str) -> tuple[str, str]:
        """Redact a header. Do not redact *host*, the host of the request, in the headers `Host` and `Location`."""
        lowered = name.lower()
        if not is_plain_name(name):
            is_redacted = is_placeholder(name.removeprefix("x-"))
            shown_name = name if is_redacted else f"x-{self._placeholders.text(name)}"
            return shown_name, self._placeholders.text(value)
        if lowered == "location":
            if is_uri_reference(value):
                return name, self._url(value, keep_host=_host_of(value) == host)
            # Keep an invalid reference invalid: a URI may not contain angle brackets.
            return name, f"<{self._placeholders.text(value.removeprefix('<').removesuffix('>'))}>"
        allowed = _HEADERS.get(lowered)
        if (allowed is not None and allowed.fullmatch(value)) or (lowered == "host" and host and value == host):
            return name, value
        if lowered == "content-type" and is_json_type(value):  # keep a JSON type for the rule about media types
            is_plain = value.partition(";")[0].strip().lower() == "application/json"
            return name, "application/json" if is_plain else "application/vnd.redacted+json"
        if lowered != "content-type" and (match := _SCHEME.fullmatch(value)):
            return name, f"{match[1]} {self._placeholders.text(match[2].strip())}"
        return name, self._placeholders.text(value)

    def _url(self, url: str, *, keep_host: bool) -> str:
        try:
            parts = urlsplit(url)
        except ValueError:
            return self._quoted(url)
        is_http = parts.scheme in ("http", "https") and "://" in url
        if parts.scheme and not is_http and not parts.netloc:
            return self._quoted(url)
        scheme = f"{parts.scheme}://" if is_http else "//" if parts.netloc else ""
        segments = parts.path.split("/")
        path = "/".join(map(self._segment, ["", *segments], segments))
        query = f"?{self._form(parts.query)}" if parts.query else ""
        fragment = f"#{self._quoted(parts.fragment)}" if parts.fragment else ""
        userinfo, at, host = parts.netloc.rpartition("@")
        user, colon, password = userinfo.partition(":")
        userinfo = f"{self._quoted(user)}{colon}{self._quoted(password)}{at}"
        if not (keep_host and _HOST.fullmatch(host)):
            host = self._other_host(host)
        return f"{scheme}{userinfo}{host}{path}{query}{fragment}"

    def _other_host(self, host: str) -> str:
        if not host or (host.endswith(_PLACEHOLDER_HOST) and is_placeholder(host.removesuffix(_PLACEHOLDER_HOST))):
            return host
        # The prefix ensures a placeholder of letters, digits and hyphens, whatever the format of the host.
        return self._placeholders.text(f"host {host}") + _PLACEHOLDER_HOST

    def _segment(self, before: str, segment: str) -> str:
        """Redact *segment* of a URL path unless it is a resource name or an id. *before* is the segment before it."""
        is_id = (_ORDER_ID if before == "orders" else _ID).fullmatch(segment)
        return segment if is_id or is_allowed_segment(segment) else self._quoted(segment)

    def _quoted(self, text: str) -> str:
        return quote(self._placeholders.text(unquote(text)), safe="")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
