"""The documented operation, and the rules about HTTP: request line, headers, status, and the sequence of requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, unquote_plus, urljoin, urlsplit

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import read_content
from pytest_veeqo_alloc.core.http import Interaction, Request, Response, Secret, is_client_error, is_success
from pytest_veeqo_alloc.core.json_pointer import mask_path
from pytest_veeqo_alloc.core.text import NOTHING, describe, describe_number, is_uri_reference, printable, safe_method


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """The documented operation. `path` is a template such as `/path/{parameter}`; `pattern` matches URL paths."""

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
        """Return the decoded text of the order id in the path of *url*, or None for an undocumented path."""
        match = self.pattern.search(path_of(url))
        return unquote(match[1]) if match else None

    def order_id(self, url: str) -> int | None:
        """Return the order id in the path of *url*. Return None for an undocumented path or a non-integer id."""
        return order_id_in(self.order_segment(url))

    def matches(self, interaction: Interaction) -> bool:
        """Return whether *interaction* is a call of this operation, with any order id."""
        request = interaction.request
        if request is None or request.method.upper() != self.method:
            return False
        return self.order_segment(request.url) is not None


def request_labels(requests: Sequence[Request | None], operation: Operation) -> list[str]:
    """Return a label for each of *requests*, such as `request 2 of 3, order 7`. Label a single request with ""."""
    if len(requests) < 2:
        return [""] * len(requests)
    order_ids = [None if request is None else operation.order_id(request.url) for request in requests]
    return [
        f"request {number} of {len(requests)}{'' if order_id is None else f', order {order_id}'}"
        for number, order_id in enumerate(order_ids, start=1)
    ]


def parse_operation(description: Mapping[str, Any]) -> Operation:
    """Build an operation from an OpenAPI operation object that has the additional members `method` and `path`."""
    path = description["path"]
    parameters = {parameter["in"]: parameter["name"] for parameter in description["parameters"]}
    (status, response), *_ = description["responses"].items()
    before, after = path.split("{" + parameters["path"] + "}")
    pattern = re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}\\Z")
    (location_header,) = response["headers"]
    return Operation(description["method"], path, parameters["header"], int(status), location_header, pattern)


def path_of(url: str) -> str:
    """Return the path of *url*, or an empty string for an invalid URL."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def order_id_in(segment: str | None) -> int | None:
    """Convert *segment* to an integer. Return None if it is not an integer, or has 30 or more characters."""
    return int(segment) if segment and len(segment) < 30 and is_integer(segment) else None


def is_integer(text: str) -> bool:
    """Return whether *text* consists of digits, after an optional minus sign."""
    return _INTEGER.fullmatch(text) is not None


_INTEGER = re.compile(r"-?[0-9]+")
_CREDENTIAL = re.compile(
    r"(?!.*(?:page|next|cursor)).*(?:token|secret|password|passwd|passphrase|signature|(?:api|app|access|auth|client|private)key)"
    r"|key|pwd|auth|authorization|bearer|jwt|credentials?"
)
_MEDIA_TYPE = re.compile(r"application/json|[!#$&^_.+a-z0-9-]+/[!#$&^_.+a-z0-9-]+\+json", re.IGNORECASE)
_KEY_IN_URL = Breach("key-in-url", None, "something that looks like a credential")
_UNDOCUMENTED_QUERY = Breach("undocumented-query", None, "a query parameter")
_SEND_JSON = "send the body as JSON, declared as application/json: in requests and httpx with json=, not data="
_MEDIA_TYPES = {
    "application/x-www-form-urlencoded": "a form",
    "multipart/form-data": "a multipart form",
    "text/html": "HTML",
}
_MAX_SHOWN = 200
LONG_KEY = 8  # a shorter API key could occur in a longer string by chance


def target_breaches(request: Request, segment: str | None, operation: Operation) -> list[Breach]:
    """Return the breaches about method and path. *segment* is the order id, or None for an undocumented path."""
    if segment is None:
        return [Breach("wrong-path", None, mask_path(path_of(request.url)) or "another path", location="path")]
    if request.method != operation.method:
        got = safe_method(request.method) or "another method"
        return [Breach("wrong-method", None, got, operation.method, "method")]
    if not is_integer(segment):
        return [Breach("order-id-not-integer", None, describe(segment), location="path:order_id")]
    return []


def shown_call(request: Request, operation: Operation, known_keys: Iterable[str] = ()) -> str:
    """Return the method, host and path of *request*, for `show_values`. API keys and the query are left out."""
    path = path_of(request.url)
    host = request.url.partition("://")[2].partition(path)[0].rpartition("@")[2] if path else ""
    text = f"{request.method} {host}{path}"
    for key in {*keys_of(request, operation), *known_keys}:
        text = text.replace(key, "(API key)")
    return printable(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


def unknown_call(request: Request) -> Breach:
    """Return the breach about *request*, which is neither the documented call nor one that the server knows."""
    call = f"{safe_method(request.method) or 'another method'} {mask_path(path_of(request.url)) or 'another path'}"
    return Breach("unknown-call", None, call, location=call)


def key_breaches(
    request: Request, operation: Operation, *, headers_filtered: bool, known_keys: Sequence[str]
) -> list[Breach]:
    """Return the breaches about API keys and query parameters. With *headers_filtered*, allow a missing API key."""
    sent = keys_of(request, operation)
    keys = list({*sent, *known_keys})
    breaches = []
    if not sent and not headers_filtered:
        breaches.append(Breach("api-key-missing", None, location=f"header:{operation.key_header}"))
    url, text = request.url, unquote(request.url)
    if "?" not in url and url.isprintable() and not [key for key in keys if key in text]:
        return breaches
    parts = urlsplit(url)
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


def _credential_places(request: Request, operation: Operation, known_keys: Sequence[str]) -> list[str]:
    """Return the location of each credential in the headers and the URL."""
    names = (operation.key_header, "authorization")
    headers = [name for name in names if any(request.header_values(name))]
    headers += [name for name, value in request.headers if name.lower() not in names and value in known_keys]
    breaches = key_breaches(request, operation, headers_filtered=True, known_keys=known_keys)
    return [f"header:{name.lower()}" for name in headers] + [b.location for b in breaches if b.rule == "key-in-url"]


def keys_of(request: Request, operation: Operation) -> list[str]:
    """Return the API keys in the headers of *request*, including bearer tokens."""
    keys: list[str] = [Secret(value.strip()) for value in request.header_values(operation.key_header)]
    for value in request.header_values("authorization"):
        if value.strip()[:7].lower() == "bearer ":
            keys.append(Secret(value.strip()[7:].strip()))
    return [key for key in keys if key]


def long_keys(request: Request, operation: Operation, known_keys: Iterable[str] = ()) -> tuple[str, ...]:
    """Return those API keys of *request* and those *known_keys* that are too long to occur in a text by chance."""
    return tuple(key for key in (*keys_of(request, operation), *known_keys) if len(key) >= LONG_KEY)


def is_credential(name: str) -> bool:
    """Return whether *name* is a typical name for a key, token or password."""
    return _CREDENTIAL.fullmatch(re.sub(r"[-_.\[\]\s]", "", name).lower()) is not None


def _query(query: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each name, and a tuple of the name and the value, each decoded with `+` as a space and as a plus."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            yield unquote_plus(name), (unquote_plus(name), unquote(name), unquote_plus(value), unquote(value))


def _show_key(texts: Iterable[str], keys: Iterable[str]) -> bool:
    return any(key == text or (len(key) >= LONG_KEY and key in text) for text in texts for key in keys)


def media_type_breach(message: Request | Response, rule: str) -> list[Breach]:
    """Return a list with a breach of *rule* if the content type of *message* is not JSON, otherwise an empty list."""
    value = message.header("content-type")
    if value == "application/json" or is_json_type(value or ""):
        return []
    return [Breach(rule, None, NOTHING if value is None else "another media type", location="header:content-type")]


def explaining_media_type_breach(message: Request | Response, rule: str) -> list[Breach]:
    """Return a list with a breach of *rule* if *message* declares a type other than JSON, otherwise an empty list."""
    name = (message.header("content-type") or "").partition(";")[0].strip().lower()
    got = f"{_MEDIA_TYPES.get(name, 'another media type')}, not JSON"
    remedy = _SEND_JSON if rule.startswith("request") else "answer with a JSON body, declared as application/json"
    return [breach._replace(got=got, remedy=remedy) for breach in media_type_breach(message, rule) if name]


def is_json_type(value: str) -> bool:
    """Return whether the content type *value* is JSON (RFC 8259 section 11, RFC 6839 section 3.1)."""
    return _MEDIA_TYPE.fullmatch(value.partition(";")[0].strip()) is not None


CallKey = tuple[str | None, bytes]
"""The order id in the path of a call, and a digest of the call's body."""
_Call = TypeVar("_Call")

Statuses = int | Iterable[int] | None  # one status, or several, or None for the documented status
STATUS_RULES = frozenset({"wrong-status", "undocumented-status", "server-error", "unexpected-status"})
"""The ids of the rules about the status. They do not apply if the same request was sent again."""


def expected_statuses(value: Statuses) -> frozenset[int] | None:
    """Return the status or statuses in *value* as a set. Return None for None. Raise TypeError for any other value."""
    if value is None:
        return None
    statuses: list[int] = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    if not statuses or any(isinstance(status, bool) or not isinstance(status, int) for status in statuses):
        raise TypeError(
            f"expect_status must be a number such as 404, or several such as {{201, 422}}, not {value!a:.60}"
        )
    return frozenset(statuses)


def resent(interactions: Sequence[Interaction], operation: Operation) -> frozenset[int]:
    """Return the indices of calls that got no 2xx response, and were repeated with the same order id and body."""
    failed: dict[CallKey, int] = {}
    repeated = [repeated_call(failed, call, index, operation) for index, call in enumerate(interactions)]
    return frozenset(index for index in repeated if index is not None)


def repeated_call(
    failed: dict[CallKey, _Call], interaction: Interaction, call: _Call, operation: Operation
) -> _Call | None:
    """Remove the call that *interaction* repeats from *failed*, and return it. Return None for a first call.

    If *interaction* has no 2xx response, add *call* to *failed*: a later repetition then returns *call*.
    """
    request, response = interaction.request, interaction.response
    if request is None:
        return None
    key = operation.order_segment(request.url), sha256(request.body or b"").digest()
    earlier = failed.pop(key, None)
    if response is None or not response.is_success:
        failed[key] = call
    return earlier


def status_breaches(
    status: int, operation: Operation, expected: frozenset[int] | None, broken: bool, is_final: bool
) -> list[Breach]:
    """Return the breach about *status*, if any. *expected* defaults to the documented status, or to a 4xx if *broken*."""
    if status == operation.status and expected is None and not broken:
        return []
    wanted = "a 4xx status" if broken else str(operation.status)
    if broken and is_success(status):
        rule = "broken-request-accepted"
    elif not is_final:
        rule = ""
    elif expected is not None:
        rule, wanted = ("" if status in expected else "unexpected-status"), " or ".join(map(str, sorted(expected)))
    elif broken and is_client_error(status):
        rule = ""
    elif 500 <= status < 600:
        rule = "server-error"
    else:
        rule = "wrong-status" if is_success(status) else "undocumented-status"
    return [Breach(rule, None, str(status), wanted, "status")] if rule else []


def location_breaches(
    response: Response, operation: Operation, order_id: float | None, request_url: str
) -> list[Breach]:
    """Return the breach in the Location header of a 201 *response*, if any. *order_id* is the id in the body.

    A relative reference is resolved against *request_url* (RFC 9110 section 10.2.2).
    """
    value = response.header(operation.location_header)
    place = f"header:{operation.location_header.lower()}"
    if value is None:
        return [Breach("location-missing", None, location=place)]
    if not is_uri_reference(value):
        return [Breach("location-invalid", None, describe(value), location=place)]
    if order_id is None:
        return []
    ending = f"/orders/{int(order_id)}"
    if path_of(value).endswith(ending) or path_of(_resolved(value, request_url)).endswith(ending):
        return []
    wanted = f"a path that ends in /orders/{describe_number(int(order_id))}"
    return [Breach("location-order", None, "another path", wanted, place)]


def _resolved(reference: str, base: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


Ending = Literal["answered", "unanswered", "pending", "elsewhere"]
"""Outcome of a request: complete response, incomplete response, not known yet, or sent to another host."""

SEQUENCE_RULES = ("repeated-post", "key-sent-elsewhere")
Seen = tuple[Interaction, Ending]


def sequence_breaches(seen: Iterable[Seen], operation: Operation, keys: Iterable[str]) -> Iterator[Breach]:
    """Yield a breach for each unsafely repeated POST, and for each credential sent to another host.

    If the outcome of a POST is uncertain, the client must read the order before it repeats the POST. A 404 is a read, too.
    """
    unresolved: dict[int | None, list[tuple[object, int, str]]] = {}
    known_keys = tuple(keys)
    for number, (interaction, ending) in enumerate(seen, start=1):
        request = interaction.request
        if request is None:
            continue
        if ending == "elsewhere":
            places = _credential_places(request, operation, known_keys)
            yield from (Breach("key-sent-elsewhere", None, "an API key", location=place) for place in places)
        elif not operation.matches(interaction):
            unresolved = {order: posts for order, posts in unresolved.items() if not _shows(interaction, order)}
        else:
            posts, reading = unresolved.setdefault(operation.order_id(request.url), []), read_content(request)
            content = reading.value if reading.readable else request.body
            for post in [post for post in posts if post[0] == content]:
                posts.remove(post)
                got = f"request {number} repeats request {post[1]} after {post[2]}"
                yield Breach("repeated-post", None, got, location="method")
            if reason := _uncertainty(interaction.response, ending):
                posts.append((content, number, reason))


def _shows(interaction: Interaction, order_id: int | None) -> bool:
    """Return whether *interaction*, a call of another operation, has shown the client the state of the order."""
    request, response = interaction.request, interaction.response
    if request is None or response is None or not (response.is_success or response.status == 404):
        return False
    path, query = path_of(request.url), request.url.partition("?")[2]
    if f"/orders/{order_id}/" in f"{path}/":
        return True
    is_read = request.method == "GET" and response.is_success
    return is_read and (path.endswith("/orders") or str(order_id) in re.findall("[0-9]+", unquote(f"{path} {query}")))


def _uncertainty(response: Response | None, ending: Ending) -> str:
    """Return the reason if the client cannot know whether the server made the allocation, otherwise an empty string."""
    if ending == "unanswered":
        return "an incomplete response"
    if ending == "pending" or response is None:
        return ""
    if response.status >= 500:
        return f"a {response.status} response"
    if not response.is_success or (is_json_type(response.header("content-type") or "") and _is_readable(response)):
        return ""
    return "an unreadable response"


def _is_readable(response: Response) -> bool:
    try:
        response.json()
    except (ValueError, RecursionError):
        return read_content(response).readable
    return True  # much sooner than the reading that explains
