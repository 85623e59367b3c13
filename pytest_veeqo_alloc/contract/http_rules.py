"""The documented operation: which requests it means, told from `schemas/operation.json`."""

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
from pytest_veeqo_alloc.core.text import NOTHING, describe

_LONGEST_ID = 30


@dataclass(frozen=True, slots=True)
class Operation:
    """Method, path template, the header that carries the key, the status and the header of the answer."""

    method: str
    path: str
    key_header: str
    status: int
    location_header: str
    pattern: re.Pattern[str]

    @property
    def name(self) -> str:
        """`METHOD /path/{parameter}`, as the page writes it."""
        return f"{self.method} {self.path}"

    def path_for(self, order_id: object) -> str:
        """The path of a call with *order_id*, whatever that is, in the place of the order's."""
        return re.sub(r"\{\w+\}", lambda match: str(order_id), self.path)

    def order_segment(self, url: str) -> str | None:
        """What stands for the order id in the path of *url*, decoded; None where the path is another."""
        match = self.pattern.search(path_of(url))
        return unquote(match[1]) if match else None

    def order_id(self, url: str) -> int | None:
        """The order id in the path of *url*; None where there is none."""
        return order_id_in(self.order_segment(url))

    def matches(self, interaction: Interaction) -> bool:
        """Whether *interaction* is a call of this operation: by method and path, whatever stands for the order id."""
        request = interaction.request
        return (
            request is not None
            and request.method.upper() == self.method
            and self.order_segment(request.url) is not None
        )


def parse_operation(description: Mapping[str, Any]) -> Operation:
    """The operation that *description* (an OpenAPI operation with `method` and `path`) tells of."""
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
    """The path of *url*, also where the rest of it is no URL."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def order_id_in(segment: str | None) -> int | None:
    """Return the order id that a path segment is; None for another segment, or none."""
    return int(segment) if segment and len(segment) < _LONGEST_ID and is_integer(segment) else None


def is_integer(text: str) -> bool:
    """Whether *text* is an integer as JSON writes one."""
    return re.fullmatch(r"-?[0-9]+", text) is not None


_CREDENTIAL = re.compile(
    r"(?!.*(?:page|next|cursor)).*(?:token|secret|password|passwd|passphrase|signature|(?:api|app|access|auth|client|private)key)"
    r"|key|pwd|auth|authorization|bearer|jwt|credentials?"
)
_MEDIA_TYPE = re.compile(r"application/json|[!#$&^_.+a-z0-9-]+/[!#$&^_.+a-z0-9-]+\+json", re.IGNORECASE)
LONG_KEY = 8
"""A key at least this long is looked for inside other text; a shorter one could stand there by chance."""


def target_breaches(request: Request, segment: str | None, operation: Operation) -> list[Breach]:
    """Return what is wrong with method and path, which hides all else of a request; *segment* stands for the order id."""
    breaches = []
    if request.method != operation.method:
        breaches.append(Breach("wrong-method", None, "another method", operation.method, "method"))
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


Ending = Literal["answered", "unanswered", "pending", "elsewhere"]
"""What became of a request: it was answered; the client left, or the connection broke, before the answer was complete;
it is not known yet; or it came to a host that is not the API."""

SEQUENCE_RULES = ("repeated-post", "key-sent-elsewhere")
"""The rules about requests as they follow upon each other."""

Seen = tuple[Interaction, Ending]


def sequence_breaches(seen: Iterable[Seen], operation: Operation, keys: Iterable[str] = ()) -> Iterator[Breach]:
    """A POST that is sent again though nobody knows what became of the first, and a key that went to another host.

    *seen* is in the order in which the requests came, and *keys* are those that the API takes. A read of the order, or
    a call that deletes, in between says that the client has looked, and a POST after a 429 is safe: that was refused
    before it was carried out.
    """
    unknown: dict[int | None, list[tuple[object, int, str]]] = {}
    known_keys = tuple(keys)
    for number, (interaction, ending) in enumerate(seen, start=1):
        request = interaction.request
        if request is None:
            continue
        if ending == "elsewhere":
            places = credential_places(request, operation, known_keys)
            yield from (Breach("key-sent-elsewhere", None, "the key, at another host", "", place) for place in places)
        elif not operation.matches(interaction):
            if _tells(interaction.response):
                for order_id in [one for one in unknown if _names(request, one)]:
                    del unknown[order_id]
        else:
            same, content = unknown.setdefault(operation.order_id(request.url), []), _content(request)
            for entry in [one for one in same if one[0] == content]:
                same.remove(entry)
                got = f"request {entry[1]} again, as request {number}, after {entry[2]}"
                yield Breach("repeated-post", None, got, "", "method")
            if reason := _not_known(interaction.response, ending):
                same.append((content, number, reason))


def _not_known(response: Response | None, ending: Ending) -> str:
    """Why the client cannot know whether its request was carried out; nothing where it can."""
    if ending == "unanswered":
        return "an answer that did not arrive whole"
    if ending == "pending" or response is None:
        return ""
    if response.status >= 500:
        return f"a {response.status}"
    readable = is_json_type(response.header("content-type") or "") and read(response.body).readable
    return "" if readable or not response.is_success else "an answer that cannot be read"


def _tells(response: Response | None) -> bool:
    """Whether an answer says what became of an order: it is there, or it is not."""
    return response is not None and (response.is_success or response.status == 404)


def _names(request: Request, order_id: int | None) -> bool:
    return f"/orders/{order_id}/" in f"{path_of(request.url)}/"


def _content(request: Request) -> object:
    """What makes a body the same: its JSON value, or its bytes where it has none."""
    reading = read(request.body)
    return reading.value if reading.readable else request.body
