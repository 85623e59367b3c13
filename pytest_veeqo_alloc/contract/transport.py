"""The request line, the headers and the status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, unquote_plus, urlsplit

from pytest_veeqo_alloc.contract.breach import Breach
from pytest_veeqo_alloc.contract.operation import Operation, is_integer, path_of
from pytest_veeqo_alloc.core.formats import is_uri_reference
from pytest_veeqo_alloc.core.http import Request, Response, is_success
from pytest_veeqo_alloc.core.text import NOTHING, describe

_CREDENTIAL = re.compile(
    r"(?!.*(?:page|next|cursor)).*(?:token|secret|password|passwd|passphrase|signature|(?:api|app|access|auth|client|private)key)"
    r"|key|pwd|auth|authorization|bearer|jwt|credentials?"
)
_MEDIA_TYPE = re.compile(r"application/json|[!#$&^_.+a-z0-9-]+/[!#$&^_.+a-z0-9-]+\+json", re.IGNORECASE)
LONG_KEY = 8
"""A key at least this long is looked for inside other text; a shorter one could stand there by chance."""


def target_breaches(request: Request, operation: Operation) -> list[Breach]:
    """Method and path; what is wrong with these hides all else of a request."""
    breaches = []
    if request.method != operation.method:
        breaches.append(Breach("wrong-method", None, "another method", operation.method, "method"))
    segment = operation.order_segment(request.url)
    if segment is None:
        wanted = f"<base path>{operation.path}"
        breaches.append(Breach("wrong-path", None, "another path", wanted, "path"))
    elif not is_integer(segment) and not breaches:
        got = f"{len(segment)} characters that are no integer"
        breaches.append(Breach("order-id-not-integer", None, got, "an integer", "path:order_id"))
    return breaches


def key_breaches(
    request: Request, operation: Operation, *, headers_filtered: bool, known: Sequence[str] = ()
) -> list[Breach]:
    """The API key, in the header and nowhere else, and query parameters, of a request whose path is right. *known* are
    keys that a server takes, whether or not they stand in a header."""
    sent = keys_of(request, operation)
    keys = list(dict.fromkeys([*sent, *known]))
    breaches = []
    if not sent and not headers_filtered:
        wanted = f"{operation.key_header}, or Authorization: Bearer"
        breaches.append(Breach("api-key-missing", None, NOTHING, wanted, f"header:{operation.key_header}"))
    parts = urlsplit(request.url)
    leaking: dict[str, bool] = {}
    for name, texts in _query(parts.query):
        leaks = is_credential(name) or any(_holds(text, key) for text in texts for key in keys)
        leaking[name] = leaking.get(name, False) or leaks
    for name, leaks in leaking.items():
        where = f"query:{name}"
        breaches.append(
            _key_in_url(where) if leaks else Breach("undocumented-query", None, "a query parameter", NOTHING, where)
        )
    elsewhere = [unquote(text) for text in (parts.netloc, parts.fragment, *_other_segments(parts.path))]
    if any(_holds(text, key) for text in elsewhere for key in keys):
        breaches.append(_key_in_url("path"))
    return breaches


def credential_places(request: Request, operation: Operation, known: Sequence[str] = ()) -> list[str]:
    """Every place of *request* that has a credential in it, by the name of the place or as one of the *known* keys."""
    names = (operation.key_header, "authorization")
    headers = [name for name in names if any(request.header_values(name))]
    headers += [name for name, value in request.headers if name.lower() not in names and value in known]
    places = [f"header:{name.lower()}" for name in headers]
    leaks = (b for b in key_breaches(request, operation, headers_filtered=True, known=known) if b.rule == "key-in-url")
    return places + [breach.location for breach in leaks]


def media_type_breach(message: Request | Response, rule: str) -> list[Breach]:
    """Whether the body is declared as JSON; parameters such as charset are ignored (RFC 8259 section 11)."""
    value = message.header("content-type")
    if is_json_type(value or ""):
        return []
    got = NOTHING if value is None else "another media type"
    return [Breach(rule, None, got, "application/json", "header:content-type")]


def is_json_type(value: str) -> bool:
    """Whether the content type *value* is that of JSON (RFC 8259 section 11, RFC 6839 section 3.1)."""
    return _MEDIA_TYPE.fullmatch(value.partition(";")[0].strip()) is not None


def status_breaches(status: int, operation: Operation, *, expect: int | None, broken: bool) -> list[Breach]:
    """The status, against the page or against what the caller expects."""
    wanted = "a status of 4xx" if broken else str(operation.status)
    if broken and is_success(status):
        return [Breach("broken-request-accepted", None, str(status), wanted, "status")]
    if expect is not None:
        return [] if status == expect else [Breach("unexpected-status", None, str(status), str(expect), "status")]
    if status == operation.status or (broken and 400 <= status < 500):
        return []
    if 500 <= status < 600:
        return [Breach("server-error", None, str(status), wanted, "status")]
    rule = "wrong-status" if is_success(status) else "undocumented-status"
    return [Breach(rule, None, str(status), wanted, "status")]


def location_breaches(response: Response, operation: Operation, order_id: float | None) -> list[Breach]:
    """The header Location of a 201: there, a URI reference, and naming the order."""
    value = response.header(operation.location_header)
    place = f"header:{operation.location_header.lower()}"
    if value is None:
        return [Breach("location-missing", None, NOTHING, "the URL of the order", place)]
    if not is_uri_reference(value):
        return [Breach("location-invalid", None, describe(value), "a URI reference", place)]
    if order_id is None or path_of(value).endswith(f"/orders/{int(order_id)}"):
        return []
    return [Breach("location-order", None, "another path", "a path that ends in /orders/{id of the body}", place)]


def keys_of(request: Request, operation: Operation) -> list[str]:
    """The keys that the headers of *request* carry, alone or as a bearer token."""
    keys, key_header = [], operation.key_header.lower()
    for name, value in request.headers:
        field = name.lower()
        if field == key_header:
            keys.append(value.strip())
        elif field == "authorization" and value.strip()[:7].lower() == "bearer ":
            keys.append(value.strip()[7:].strip())
    return [key for key in keys if key]


def _key_in_url(place: str) -> Breach:
    return Breach("key-in-url", None, "what is a key, or is named like one", "no key in the URL", place)


def _query(query: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each parameter's name, and every text that it may stand for: a plus is a space to some and itself to others."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            yield unquote_plus(name), (unquote_plus(name), unquote(name), unquote_plus(value), unquote(value))


def is_credential(name: str) -> bool:
    """Whether a header, parameter or member called *name* holds a key, token or password by its name."""
    return _CREDENTIAL.fullmatch(re.sub(r"[-_.\[\]\s]", "", name).lower()) is not None


def _other_segments(path: str) -> list[str]:
    """The segments of *path*, but for an order id, which a short key could equal by chance."""
    *before, order_id, last = path.split("/")
    return [*before, last] if is_integer(unquote(order_id)) else [*before, order_id, last]


def _holds(text: str, key: str) -> bool:
    return key == text or (len(key) >= LONG_KEY and key in text)
