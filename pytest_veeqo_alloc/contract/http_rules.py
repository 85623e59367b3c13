"""The documented operation, and the rules about HTTP: request line, headers, status, and the sequence of requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, unquote_plus, urlsplit

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.core.formats import is_uri_reference
from pytest_veeqo_alloc.core.http import Interaction, Request, Response, is_success
from pytest_veeqo_alloc.core.text import NOTHING, describe, describe_number, safe_method

_MAX_ID_LENGTH = 30


@dataclass(frozen=True, slots=True)
class Operation:
    """The documented call. `path` is a template such as `/path/{parameter}`; `pattern` matches the end of a path."""

    method: str
    path: str
    key_header: str
    status: int
    location_header: str
    pattern: re.Pattern[str]

    @property
    def name(self) -> str:
        """The method and the path template: `METHOD /path/{parameter}`."""
        return f"{self.method} {self.path}"

    def path_for(self, order_id: object) -> str:
        """Return the path of the call for *order_id*, which need not be a valid id."""
        return re.sub(r"\{\w+\}", lambda match: str(order_id), self.path)

    def order_segment(self, url: str) -> str | None:
        """Return the decoded order id in the path of *url*, valid or not, or None for an undocumented path."""
        match = self.pattern.search(path_of(url))
        return unquote(match[1]) if match else None

    def order_id(self, url: str) -> int | None:
        """Return the order id in the path of *url*, or None for an undocumented path or a non-integer id."""
        return order_id_in(self.order_segment(url))

    def matches(self, interaction: Interaction) -> bool:
        """Return whether *interaction* is a call of this operation, with any order id."""
        request = interaction.request
        if request is None or request.method.upper() != self.method:
            return False
        return self.order_segment(request.url) is not None


def parse_operation(description: Mapping[str, Any]) -> Operation:
    """Parse *description*, an OpenAPI operation with the additional members `method` and `path`."""
    path = description["path"]
    parameters = {parameter["in"]: parameter["name"] for parameter in description["parameters"]}
    (status, response), *_ = description["responses"].items()
    before, after = path.split("{" + parameters["path"] + "}")
    return Operation(
        method=description["method"],
        path=path,
        key_header=parameters["header"],
        status=int(status),
        location_header=next(iter(response["headers"])),
        pattern=re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}\\Z"),
    )


def path_of(url: str) -> str:
    """Return the path of *url*, or an empty string for an invalid URL."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def order_id_in(segment: str | None) -> int | None:
    """Return *segment* as an integer, or None if it is not an integer of fewer than 30 characters."""
    return int(segment) if segment and len(segment) < _MAX_ID_LENGTH and is_integer(segment) else None


def is_integer(text: str) -> bool:
    """Return whether *text* consists of digits, after an optional minus sign."""
    return re.fullmatch(r"-?[0-9]+", text) is not None


_CREDENTIAL = re.compile(
    r"(?!.*(?:page|next|cursor)).*(?:token|secret|password|passwd|passphrase|signature|(?:api|app|access|auth|client|private)key)"
    r"|key|pwd|auth|authorization|bearer|jwt|credentials?"
)
_MEDIA_TYPE = re.compile(r"application/json|[!#$&^_.+a-z0-9-]+/[!#$&^_.+a-z0-9-]+\+json", re.IGNORECASE)
_KEY_IN_URL = Breach("key-in-url", None, "something that looks like a credential")
_UNDOCUMENTED_QUERY = Breach("undocumented-query", None, "a query parameter")
LONG_KEY = 8
"""The minimum length of an API key that is searched for within longer strings. A shorter one could occur by chance."""


def target_breaches(request: Request, segment: str | None, operation: Operation) -> list[Breach]:
    """Return the breaches about method and path. *segment* is the order id, or None for an undocumented path."""
    breaches = []
    if request.method != operation.method:
        got = safe_method(request.method) or "another method"
        breaches.append(Breach("wrong-method", None, got, operation.method, "method"))
    if segment is None:
        breaches.append(Breach("wrong-path", None, "another path", location="path"))
    elif not is_integer(segment) and not breaches:
        breaches.append(Breach("order-id-not-integer", None, describe(segment), location="path:order_id"))
    return breaches


def key_breaches(
    request: Request, operation: Operation, *, headers_filtered: bool, known: Sequence[str]
) -> list[Breach]:
    """Return the breaches about the API key and the query parameters of a request with the documented path.

    With *headers_filtered*, a missing key is not a breach. The URL must contain no key from the headers or *known*.
    """
    sent = keys_of(request, operation)
    keys = list(dict.fromkeys([*sent, *known]))
    breaches = []
    if not sent and not headers_filtered:
        breaches.append(Breach("api-key-missing", None, location=f"header:{operation.key_header}"))
    parts = urlsplit(request.url)
    leaks: dict[str, bool] = {}
    for name, texts in _query(parts.query):
        leaks[name] = leaks.get(name, False) or is_credential(name) or _show_key(texts, keys)
    for name, is_leak in leaks.items():
        breaches.append((_KEY_IN_URL if is_leak else _UNDOCUMENTED_QUERY)._replace(location=f"query:{name}"))
    # A short key could equal the order id by chance.
    *before, order_id, last = parts.path.split("/")
    elsewhere = [parts.netloc, parts.fragment, *before, last, *([] if is_integer(unquote(order_id)) else [order_id])]
    if _show_key(map(unquote, elsewhere), keys):
        breaches.append(_KEY_IN_URL._replace(location="path"))
    return breaches


def credential_places(request: Request, operation: Operation, known: Sequence[str]) -> list[str]:
    """Return the location of each credential in the headers and the URL. *known* lists API keys to search for."""
    names = (operation.key_header, "authorization")
    headers = [name for name in names if any(request.header_values(name))]
    headers += [name for name, value in request.headers if name.lower() not in names and value in known]
    places = [f"header:{name.lower()}" for name in headers]
    leaks = (b for b in key_breaches(request, operation, headers_filtered=True, known=known) if b.rule == "key-in-url")
    return places + [breach.location for breach in leaks]


def keys_of(request: Request, operation: Operation) -> list[str]:
    """Return the API keys in the headers of *request*, including bearer tokens."""
    authorizations = (value.strip() for value in request.header_values("authorization"))
    keys = request.header_values(operation.key_header)
    keys += [value[7:] for value in authorizations if value[:7].lower() == "bearer "]
    return [key.strip() for key in keys if key.strip()]


def is_credential(name: str) -> bool:
    """Return whether *name* is a typical name for a key, token or password."""
    return _CREDENTIAL.fullmatch(re.sub(r"[-_.\[\]\s]", "", name).lower()) is not None


def _query(query: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the decoded name of each parameter, and its name and value, with `+` read both as a space and as a plus."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            yield unquote_plus(name), (unquote_plus(name), unquote(name), unquote_plus(value), unquote(value))


def _show_key(texts: Iterable[str], keys: Iterable[str]) -> bool:
    return any(key == text or (len(key) >= LONG_KEY and key in text) for text in texts for key in keys)


def media_type_breach(message: Request | Response, rule: str) -> list[Breach]:
    """Return a breach of *rule* if the content type of *message* is not JSON, otherwise an empty list."""
    value = message.header("content-type")
    if is_json_type(value or ""):
        return []
    return [Breach(rule, None, NOTHING if value is None else "another media type", location="header:content-type")]


def is_json_type(value: str) -> bool:
    """Return whether the content type *value* is JSON (RFC 8259 section 11, RFC 6839 section 3.1)."""
    return _MEDIA_TYPE.fullmatch(value.partition(";")[0].strip()) is not None


def status_breaches(status: int, operation: Operation, *, expect: int | None, broken: bool) -> list[Breach]:
    """Return the breach of a rule about *status*, or an empty list.

    *expect* defaults to the documented status, or to any 4xx for a *broken* request. A 2xx for a *broken* request is
    always a breach.
    """
    wanted = "a 4xx status" if broken else str(operation.status)
    if broken and is_success(status):
        rule = "broken-request-accepted"
    elif expect is not None:
        rule, wanted = ("" if status == expect else "unexpected-status"), str(expect)
    elif status == operation.status or (broken and 400 <= status < 500):
        rule = ""
    elif 500 <= status < 600:
        rule = "server-error"
    else:
        rule = "wrong-status" if is_success(status) else "undocumented-status"
    return [Breach(rule, None, str(status), wanted, "status")] if rule else []


def location_breaches(response: Response, operation: Operation, order_id: float | None) -> list[Breach]:
    """Return the breach about the Location header of a 201, if any. *order_id* is the id in the body or None."""
    value = response.header(operation.location_header)
    place = f"header:{operation.location_header.lower()}"
    if value is None:
        return [Breach("location-missing", None, location=place)]
    if not is_uri_reference(value):
        return [Breach("location-invalid", None, describe(value), location=place)]
    if order_id is None or path_of(value).endswith(f"/orders/{int(order_id)}"):
        return []
    wanted = f"a path that ends in /orders/{describe_number(int(order_id))}"
    return [Breach("location-order", None, "another path", wanted, place)]


Ending = Literal["answered", "unanswered", "pending", "elsewhere"]
"""The outcome of a request.

`answered` means that the complete response was sent, `unanswered` that it was not, `pending` that it is not known yet,
and `elsewhere` that the request was sent to a host other than the API.
"""

SEQUENCE_RULES = ("repeated-post", "key-sent-elsewhere")
"""The ids of the rules about a sequence of requests."""

Seen = tuple[Interaction, Ending]


def sequence_breaches(seen: Iterable[Seen], operation: Operation, keys: Iterable[str]) -> Iterator[Breach]:
    """Yield a breach for each unsafely repeated POST, and for each credential sent to another host.

    *seen* is in order of arrival, and *keys* are known API keys. A POST with an uncertain outcome may be repeated only
    after another call about its order succeeded or returned 404.
    """
    unresolved: dict[int | None, list[tuple[object, int, str]]] = {}
    known_keys = tuple(keys)
    for number, (interaction, ending) in enumerate(seen, start=1):
        request = interaction.request
        if request is None:
            continue
        if ending == "elsewhere":
            places = credential_places(request, operation, known_keys)
            yield from (Breach("key-sent-elsewhere", None, "an API key", location=place) for place in places)
        elif not operation.matches(interaction):
            response = interaction.response
            if response is not None and (response.is_success or response.status == 404):
                path = f"{path_of(request.url)}/"
                unresolved = {order: posts for order, posts in unresolved.items() if f"/orders/{order}/" not in path}
        else:
            posts, reading = unresolved.setdefault(operation.order_id(request.url), []), read(request.body)
            content = reading.value if reading.readable else request.body
            for post in [post for post in posts if post[0] == content]:
                posts.remove(post)
                got = f"request {number}, which repeats request {post[1]} after {post[2]}"
                yield Breach("repeated-post", None, got, location="method")
            if reason := _uncertainty(interaction.response, ending):
                posts.append((content, number, reason))


def _uncertainty(response: Response | None, ending: Ending) -> str:
    """Return why the client cannot know whether its request was carried out, or an empty string if it can."""
    if ending == "unanswered":
        return "an incomplete response"
    if ending == "pending" or response is None:
        return ""
    if response.status >= 500:
        return f"a {response.status} response"
    readable = is_json_type(response.header("content-type") or "") and read(response.body).readable
    return "" if readable or not response.is_success else "an unreadable response"
