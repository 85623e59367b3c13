"""Redaction of what is not JSON: URLs, headers, forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from pytest_veeqo_alloc.contract.http_rules import is_json_type
from pytest_veeqo_alloc.contract.safe import is_plain_name, is_safe_segment
from pytest_veeqo_alloc.contract.standins import StandIns, is_stand_in
from pytest_veeqo_alloc.core.formats import is_uri_reference

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


def redacted_header(name: str, value: str, stand_ins: StandIns, host: str) -> tuple[str, str]:
    """One header. *host* is that of the request, which is shown in `Host` and `Location` too."""
    lowered = name.lower()
    if not is_plain_name(name):
        return f"x-{stand_ins.text(name)}" if not is_stand_in(name.removeprefix("x-")) else name, stand_ins.text(value)
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


def _media_type(value: str, stand_ins: StandIns) -> str:
    """A media type of which the rule on media types says the same."""
    if _HEADERS["content-type"].fullmatch(value):
        return value
    if is_json_type(value):
        essence = value.partition(";")[0].strip().lower()
        return essence if essence == "application/json" else "application/vnd.redacted+json"
    return stand_ins.text(value)


def _location(value: str, stand_ins: StandIns, host: str) -> str:
    if not is_uri_reference(value):
        # Still none: a pair of angle brackets stands in no URI.
        inner = value.removeprefix("<").removesuffix(">")
        return f"<{stand_ins.text(inner)}>"
    return redacted_url(value, stand_ins, keep_host=host_of(value) == host)


def redacted_url(url: str, stand_ins: StandIns, *, keep_host: bool) -> str:
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


def _authority(netloc: str, stand_ins: StandIns, keep_host: bool) -> str:
    user, at, host = netloc.rpartition("@")
    name, colon, password = user.partition(":")
    shown_user = f"{_quoted(name, stand_ins)}{colon}{_quoted(password, stand_ins)}{at}"
    return f"{shown_user}{host if keep_host and _HOST.fullmatch(host) else _other_host(host, stand_ins)}"


def _other_host(host: str, stand_ins: StandIns) -> str:
    if not host or (host.endswith(_STAND_IN_HOST) and is_stand_in(host.removesuffix(_STAND_IN_HOST))):
        return host
    # A host is a name of letters, digits and hyphens, whatever format the stand-in of its text would have.
    return stand_ins.text(f"host {host}") + _STAND_IN_HOST


def _quoted(text: str, stand_ins: StandIns) -> str:
    return quote(stand_ins.text(unquote(text)), safe="")


def _segments(segments: list[str], stand_ins: StandIns) -> list[str]:
    """Names of resources and ids stay; the id of an order may be of any length that an id can have."""
    return [
        segment
        if not segment
        or segment in (".", "..")
        or is_safe_segment(segment)
        or (_ORDER_ID if before == "orders" else _ID).fullmatch(segment)
        else _quoted(segment, stand_ins)
        for before, segment in zip(["", *segments], segments, strict=False)
    ]


def redacted_form(form: str, stand_ins: StandIns) -> str:
    """A query or a form (`application/x-www-form-urlencoded`): names that are words stay, values do not."""
    return "&".join(_pair(pair, stand_ins) for pair in form.split("&"))


def _pair(pair: str, stand_ins: StandIns) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote_plus(name)
    shown = name if not name or is_plain_name(name) else quote_plus(stand_ins.text(plain))
    return f"{shown}{equals}{quote_plus(stand_ins.text(unquote_plus(value)))}"
