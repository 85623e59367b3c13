"""The responses of the fake: plans to send them, responses to outcomes, custom responses, stubs, and faults."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pytest_veeqo_alloc.contract.error_responses import ERROR_RESPONSES, JSON_TYPE
from pytest_veeqo_alloc.contract.http_rules import path_of
from pytest_veeqo_alloc.core.http import TOKEN, Headers, Request, Response
from pytest_veeqo_alloc.core.json_pointer import locate, mask_pointer
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.coverage.collector import OUR_SERVER
from pytest_veeqo_alloc.orders.builder import as_observed, build_order
from pytest_veeqo_alloc.orders.story import Allocation, Line, Story
from pytest_veeqo_alloc.server.state import CREATED, METHOD_NOT_ALLOWED, Outcome, Page
from pytest_veeqo_alloc.spec.loader import tables

# Response plans.


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """A response and the seconds to wait: `headers_after` before the headers, `body_after` halfway through the body."""

    response: Response
    headers_after: float = 0
    body_after: float = 0
    reset: Literal["", "before headers", "before body", "within body", "after body"] = ""
    chunked: bool = False
    gzipped: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response plan. Setting `aborted` ends its delays. `finish` is called with whether all of it was sent."""

    plan: ResponsePlan
    aborted: threading.Event
    finish: Callable[[bool], object]


# Responses to outcomes.

_SERVER = ("Server", OUR_SERVER)
_HEADERS: Headers = (("Content-Type", JSON_TYPE), _SERVER)
_FRAMING = ("content-length", "transfer-encoding", "connection")
_LATIN_LINE = re.compile(r"[ -~\xa1-\xac\xae-\xff]*")


def response_to(outcome: Outcome, base_url: str = "") -> Response:
    """Return the response for *outcome*: orders, an allocation, or an error like that of the live API."""
    operation = tables().operation
    if outcome.name == METHOD_NOT_ALLOWED:
        allow = (("Allow", operation.method),)
        return json_response(405, {"status": 405, "error": "Method Not Allowed"}, allow)
    if outcome.page is not None:
        return _list_response(outcome.page)
    if outcome.story is None:
        known = ERROR_RESPONSES[outcome.name]
        # The text of the captured 400 is about another call, and would mislead.
        if (known.observed and outcome.name != "bad-request") or not outcome.reason:
            return replace(known.response, headers=(*known.response.headers, _SERVER))
        return json_response(
            known.response.status, {"error_messages": outcome.reason if known.observed else [outcome.reason]}
        )
    if outcome.allocation_id is not None:
        allocations = build_order(outcome.story)["allocations"]
        return json_response(200, next(entry for entry in allocations if entry["id"] == outcome.allocation_id))
    body = order_text(outcome.story).encode()
    if outcome.name != CREATED:
        return Response(200, _HEADERS, body)
    # The Location of this call names the order, not the allocation.
    location = (operation.location_header, f"{base_url}/orders/{outcome.story.order_id}")
    return Response(operation.status, (*_HEADERS, location), body)


def _list_response(page: Page) -> Response:
    """Return the orders of *page*, with the pagination headers that the live API sends."""
    pages = -(-page.total // page.size)
    counts = {"X-Total-Count": page.total, "X-Total-Pages-Count": pages, "X-Page-Index": page.number,
              "X-Per-Page": page.size}  # fmt: skip
    headers = tuple((name, str(count)) for name, count in counts.items())
    return Response(200, (*_HEADERS, *headers), f"[{','.join(map(order_text, page.orders))}]".encode())


def signed(plan: ResponsePlan) -> ResponsePlan:
    """Return *plan* with the `Server` header of the fake. Checks recognise a response of the fake by this header."""
    others = [(name, value) for name, value in plan.response.headers if name.lower() != "server"]
    return replace(plan, response=replace(plan.response, headers=(*others, _SERVER)))


def json_response(status: int, value: Any, headers: Headers = ()) -> Response:
    """Return a response with *value* as JSON, and with the content type that the live API uses."""
    return Response(status, (*_HEADERS, *headers), _compact(value))


HeaderPairs = Mapping[str, str] | Iterable[tuple[str, str]]


def custom_response(status: int, body: object, headers: HeaderPairs) -> Response:
    """Build a response from the arguments of a test. Raise ValueError for a response that cannot be sent."""
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"status= must be a final status from 200 to 599, not {status!a}")
    pairs = _header_pairs(headers)
    for pair in pairs:
        if (
            not isinstance(pair, (tuple, list))
            or len(pair) != 2
            or not all(isinstance(text, str) and _LATIN_LINE.fullmatch(text) for text in pair)
        ):
            raise ValueError("headers= must be pairs of a name and a value, each a single line of Latin-1 characters")
        if re.fullmatch(TOKEN, pair[0]) is None or pair[0].lower() in _FRAMING:
            raise ValueError(f"headers= has {pair[0]!a}, which is not a header name or is set by the server itself")
    if body is None or isinstance(body, bytes):
        return Response(status, pairs, body or b"")
    raw = body.encode() if isinstance(body, str) else _compact(body)
    is_declared = any(name.lower() == "content-type" for name, _ in pairs)
    return Response(status, pairs if is_declared else (("Content-Type", JSON_TYPE), *pairs), raw)


def _header_pairs(headers: HeaderPairs) -> tuple[tuple[str, str], ...]:
    if not isinstance(headers, Iterable):
        raise ValueError(f"headers= must be pairs of a name and a value, not {headers!a}")
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)


def _compact(value: Any, *, allow_nan: bool = True) -> bytes:
    """Return *value* as compact JSON in UTF-8. Non-ASCII characters are not escaped, except lone surrogates."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan)
    return text.encode("utf-8", "backslashreplace")


# Stubs.


class StubError(Exception):
    """Raised if the function of a stub fails, or returns a value that cannot be sent."""


@dataclass(slots=True, eq=False)
class Stub:
    """A response to calls that have a certain method and path. A segment `{name}` of `path` matches any text.

    `value` is a JSON value to send, or a function that returns it. `body` is text or bytes to send unchanged. `times`
    is the number of calls left to answer, or None if there is no limit. Raise ValueError for an invalid stub.
    """

    method: str
    path: str
    value: object = None
    body: str | bytes | None = None
    status: int = 200
    headers: HeaderPairs = field(default=(), repr=False)
    times: int | None = None
    was_called: bool = False

    def __post_init__(self) -> None:
        names = _validate_template(self.method, self.path)
        self.method = self.method.upper()
        operation = tables().operation
        documented = operation.path.split("/")[1:]
        if self.method == operation.method and _overlap(self.segments[-len(documented) :], documented):
            raise ValueError(f"{self.name} is the documented call: answer it with respond_with() or inject_fault()")
        if self.times is not None:
            validate_times(self.times)
        if self.body is not None and (self.value is not None or not isinstance(self.body, (str, bytes))):
            raise ValueError(f"body= of the stub {self.name} must be text or bytes, and given without json=")
        self.headers = _header_pairs(self.headers)
        if callable(self.value):
            _validate_function(self.value, names)
            self._response(None)
        else:
            self.value = self._response(self.value)

    @property
    def name(self) -> str:
        """The method and the path, such as `GET /warehouses/{id}`."""
        return f"{self.method} {self.path}"

    @property
    def segments(self) -> list[str]:
        """The segments of the path."""
        return self.path.split("/")

    def named_segments(self, request: Request) -> dict[str, str] | None:
        """Map each segment name to its text in the path of *request*. Return None if *request* does not match."""
        texts = list(map(unquote, path_of(request.url).split("/")))
        if request.method != self.method or len(texts) != len(self.segments):
            return None
        pairs = list(zip(self.segments, texts, strict=True))
        if not all(text if _is_name(segment) else text == unquote(segment) for segment, text in pairs):
            return None
        return {segment[1:-1]: text for segment, text in pairs if _is_name(segment)}

    def respond(self, request: Request, named_segments: Mapping[str, str]) -> Response:
        """Return the stub's response to *request*. Raise StubError if its function fails, or if the result cannot be sent."""
        if isinstance(self.value, Response):
            return self.value
        try:
            function: Any = self.value
            value = function(request, **named_segments)
        except BaseException as error:  # also the outcome of pytest.fail()
            frames = traceback.extract_tb(error.__traceback__)[1:2]
            place = "".join(f" in {Path(frame.filename).name}, line {frame.lineno}" for frame in frames)
            raise StubError(f"the function of the stub {self.name} raised {type(error).__name__}{place}") from None
        try:
            if isinstance(value, Response):
                return custom_response(value.status, value.body, value.headers)
            if value is None:
                raise ValueError("json= must be JSON: the function returned None")
            return self._response(value)
        except ValueError as error:
            raise StubError(f"the function of the stub {self.name} returned an invalid value: {error}") from None

    def _response(self, value: object) -> Response:
        body = self.body
        if value is not None:
            try:
                body = _compact(value, allow_nan=False).decode()
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"json= must be JSON: {error}") from None
        return custom_response(self.status, body, self.headers)


def with_stub(stubs: tuple[Stub, ...], stub: Stub) -> tuple[Stub, ...]:
    """Return *stubs* with *stub* added. Raise ValueError if another stub answers the same calls without a limit."""
    for other in stubs:
        if other.times is None and other.method == stub.method and _overlap(other.segments, stub.segments):
            raise ValueError(
                f"the stub {other.name} answers every {stub.name} already: give the first stub times=, or use one "
                "stub with a function"
            )
    return (*stubs, stub)


def validate_times(times: int) -> None:
    """Raise ValueError unless *times* is a whole number above 0."""
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise ValueError(f"times= must be a number of requests, at least 1, not {times!a}")


def _validate_template(method: str, path: str) -> list[str]:
    """Return the names of the segments `{name}` in *path*. Raise ValueError for an invalid method or path."""
    if not isinstance(method, str) or re.fullmatch("[A-Za-z]+", method) is None:
        raise ValueError(f"method= must be an HTTP method such as 'GET', not {method!a}")
    segments = path.split("/") if isinstance(path, str) else []
    names = [segment[1:-1] for segment in segments if _is_name(segment)]
    literal = "".join(segment for segment in segments if not _is_name(segment))
    if len(segments) < 2 or segments[0] or re.search(r"[{}?#\s]", literal) or len(set(names)) < len(names):
        raise ValueError(f"path= must be a path such as '/warehouses/{{id}}', without host and query, not {path!a}")
    return names


def _validate_function(function: Callable[..., Any], names: Sequence[str]) -> None:
    is_valid = not inspect.iscoroutinefunction(function)
    try:
        with contextlib.suppress(ValueError):  # a function in C may have no signature
            inspect.signature(function).bind(None, **dict.fromkeys(names))
    except TypeError:
        is_valid = False
    if not is_valid:
        parameters = ", ".join(["request", *names])
        raise ValueError(f"json= must be a JSON value, or a function that takes ({parameters}) and is not async")


def _is_name(segment: str) -> bool:
    return segment[:1] == "{" and segment[-1:] == "}" and segment[1:-1].isidentifier()


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether some path matches both templates. A template is a list of the segments of a path."""
    return len(one) == len(other) and all(
        bool(left and right) if _is_name(left) or _is_name(right) else unquote(left) == unquote(right)
        for left, right in zip(one, other, strict=True)
    )


# Serialised orders. The orders of a test often differ only in their ids, so the JSON around the ids is cached.

PLACEHOLDER = 7700770077007700
"""The placeholder for the order's id in cached JSON. The next 99 numbers are placeholders for allocation ids."""
_PLACEHOLDERS = re.compile(r"(77007700770077[0-9]{2})")


def order_text(story: Story) -> str:
    """Return the JSON of the order that *story* describes."""
    units = tuple((allocation.warehouse_id, allocation.lines) for allocation in story.allocations)
    facts = (story.lines, story.discount, story.delivery, story.customer, story.placed_at)
    parts = _encoded_around_ids(units, *facts) if len(units) < 100 else ()  # the number of placeholders
    if not parts:
        return _compact(build_order(story)).decode()
    ids = (str(story.order_id), *(str(allocation.id) for allocation in story.allocations))
    return "".join(part if isinstance(part, str) else ids[part] for part in parts)


@functools.lru_cache(maxsize=128)
def _encoded_around_ids(
    units: tuple[tuple[int, tuple[tuple[int, int], ...]], ...], lines: tuple[Line, ...], *facts: Any
) -> tuple[str | int, ...]:
    """Return an order's JSON in parts. Each id is replaced by a number: 0 for the order, n for allocation n.

    Return () if another value looks like a placeholder.
    """
    allocations = tuple(Allocation(*unit, PLACEHOLDER + index) for index, unit in enumerate(units, start=1))
    story = Story(PLACEHOLDER, lines, allocations, *facts)
    parts = _PLACEHOLDERS.split(_compact(build_order(story)).decode())
    # An order contains its own id three times. Each allocation contains its own id and that of the order.
    if len(parts) // 2 != 3 + 2 * len(units):
        return ()
    return tuple(int(part) - PLACEHOLDER if index % 2 else part for index, part in enumerate(parts))


# Faults.

Arguments = Mapping[str, Any]
"""Maps argument names of a fault to values. The fake adds the request's `path` and, for a redirect, a base URL."""

FaultName = Literal[
    "bad-request", "unauthorized", "forbidden", "not-found", "unprocessable", "server-error", "bad-gateway",
    "service-unavailable", "rate-limited", "slow-headers", "slow-body", "reset-before-headers",
    "reset-before-body", "reset-within-body", "reset-after-body", "truncated-json", "wrong-media-type", "gzip",
    "chunked", "ok-instead-of-created", "no-location", "null-member", "absent-member", "extra-member",
    "wrong-type-member", "redirect-elsewhere", "observed",
]  # fmt: skip
"""The name of a fault, for type checkers."""

Change = Callable[[ResponsePlan, Arguments], ResponsePlan]


class DoesNotApplyError(ValueError):
    """Raised if a fault cannot change a response: the part to change is missing, or the part to add exists already."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. `argument` names its only argument, if any. `carried_out`: whether the fake carries out the request."""

    name: str
    does: str
    change: Change
    argument: str = ""
    carried_out: bool = True


def validate_fault(name: str, arguments: Arguments) -> Fault:
    """Return the fault named *name*. Raise ValueError for an unknown name or an invalid argument."""
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(unknown_name("fault", name, FAULTS))
    fault = FAULTS[name]
    for argument, value in arguments.items():
        if argument != fault.argument:
            takes = f"{fault.argument}=" if fault.argument else "no argument"
            raise ValueError(f"the fault {name!r} has no {argument}=: it takes {takes}")
        is_valid, what = _ARGUMENTS[argument]
        if not is_valid(value):
            raise ValueError(f"{argument}= of the fault {name!r} must be {what}, not {value!a}")
    if fault.argument == "pointer":
        if "pointer" not in arguments:
            raise ValueError(f"the fault {name!r} needs pointer=, such as pointer='/deliver_to/zip'")
        try:
            _owner_of(build_order(), arguments["pointer"], exists=name != "extra-member")
        except DoesNotApplyError as error:
            raise ValueError(f"{error} of the documented order") from None
    return fault


_ARGUMENTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "pointer": (lambda value: isinstance(value, str) and value.startswith("/"), "a JSON Pointer that begins with /"),
    "seconds": (lambda value: _is_number(value) and 0 <= value <= 3600, "a number from 0 to 3600"),
    "retry_after": (lambda value: _is_number(value, int) and value >= 0, "a whole number of seconds"),
}
"""Maps an argument to a function that returns whether a value is valid, and a description of valid values."""


def _is_number(value: object, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _error(name: str) -> Change:
    return lambda plan, arguments: ResponsePlan(ERROR_RESPONSES[name].response)


def _sending(**changes: Any) -> Change:
    return lambda plan, arguments: replace(plan, **changes)


def _slow(field: str) -> Change:
    return lambda plan, arguments: replace(plan, **{field: arguments.get("seconds", 30)})


def _response(change: Callable[[Response], Response]) -> Change:
    return lambda plan, arguments: replace(plan, response=change(plan.response))


def _member(change: Callable[[dict[str, Any], str], object], *, exists: bool = True) -> Change:
    def changed(plan: ResponsePlan, arguments: Arguments) -> ResponsePlan:
        order = _order(plan.response)
        change(*_owner_of(order, arguments["pointer"], exists=exists))
        return replace(plan, response=replace(plan.response, body=_compact(order)))

    return changed


def _rate_limited(plan: ResponsePlan, arguments: Arguments) -> ResponsePlan:
    response = ERROR_RESPONSES["rate-limited"].response
    if "retry_after" in arguments:
        response = replace(response, headers=(*response.headers, ("Retry-After", str(arguments["retry_after"]))))
    return ResponsePlan(response)


def _truncated(response: Response) -> Response:
    body = response.body or b""
    return replace(response, body=body[: len(body) // 2])


def _without_header(response: Response, name: str) -> Response:
    kept = tuple(pair for pair in response.headers if pair[0].lower() != name)
    if len(kept) == len(response.headers):
        raise DoesNotApplyError(f"the response has no header {name}")
    return replace(response, headers=kept)


def _html_media_type(response: Response) -> Response:
    response = _without_header(response, "content-type")
    return replace(response, headers=(("Content-Type", "text/html; charset=utf-8"), *response.headers))


def _ok(response: Response) -> Response:
    if response.status != 201:
        raise DoesNotApplyError("the response is not a success")
    return replace(response, status=200)


def _redirect(plan: ResponsePlan, arguments: Arguments) -> ResponsePlan:
    return ResponsePlan(Response(307, (("Location", f"{arguments['elsewhere']}{arguments['path']}"),), b""))


def _order(response: Response) -> dict[str, Any]:
    if response.status != 201:
        raise DoesNotApplyError("the response is not an order")
    order: dict[str, Any] = json.loads(response.body or b"{}")
    return order


def _as_observed(response: Response) -> Response:
    return replace(response, body=_compact(as_observed(_order(response))))


def _owner_of(order: dict[str, Any], pointer: str, *, exists: bool) -> tuple[dict[str, Any], str]:
    """Return the object and the name of the member at *pointer*. *exists* says whether it must exist already."""
    try:
        owner, name = locate(order, pointer)
    except LookupError:
        owner = name = None
    if not isinstance(owner, dict) or (name in owner) != exists:
        raise DoesNotApplyError(f"{mask_pointer(pointer)} is {'not' if exists else 'already'} a member")
    return owner, name


def _set(value: Any) -> Callable[[dict[str, Any], str], object]:
    return lambda owner, name: owner.update({name: value})


def _set_other_type(owner: dict[str, Any], name: str) -> None:
    value = owner[name]
    owner[name] = str(value) if _is_number(value) else 1


_ERRORS = (
    ("bad-request", "400"), ("unauthorized", "401"), ("forbidden", "403"), ("not-found", "404"),
    ("unprocessable", "422"), ("server-error", "500"), ("bad-gateway", "502 with an HTML page"),
    ("service-unavailable", "503"),
)  # fmt: skip
_LIST = (
    *(Fault(name, status, _error(name), carried_out=False) for name, status in _ERRORS),
    Fault("rate-limited", "429 with an empty body", _rate_limited, "retry_after", carried_out=False),
    Fault("slow-headers", "waits before the headers (default: 30 s)", _slow("headers_after"), "seconds"),
    Fault("slow-body", "waits halfway through the body (default: 30 s)", _slow("body_after"), "seconds"),
    Fault("reset-before-headers", "resets the connection without a response", _sending(reset="before headers")),
    Fault("reset-before-body", "resets the connection after the headers", _sending(reset="before body")),
    Fault("reset-within-body", "resets the connection after half the body", _sending(reset="within body")),
    Fault("reset-after-body", "answers, then resets the connection on its next use", _sending(reset="after body")),
    Fault("truncated-json", "sends half the body, with a matching Content-Length", _response(_truncated)),
    Fault("wrong-media-type", "declares the body as text/html", _response(_html_media_type)),
    Fault("gzip", "compresses the body for a client that accepts gzip", _sending(gzipped=True)),
    Fault("chunked", "sends the body in chunks, without Content-Length", _sending(chunked=True)),
    Fault("ok-instead-of-created", "200 instead of 201", _response(_ok)),
    Fault("no-location", "no Location header", _response(functools.partial(_without_header, name="location"))),
    Fault("null-member", "sets the member at pointer= to null", _member(_set(None)), "pointer"),
    Fault("absent-member", "omits the member at pointer=", _member(dict.__delitem__), "pointer"),
    Fault("extra-member", "adds a member at pointer=", _member(_set("unexpected"), exists=False), "pointer"),
    Fault("wrong-type-member", "changes the JSON type of the member at pointer=", _member(_set_other_type), "pointer"),
    Fault("redirect-elsewhere", "307 to another host", _redirect, carried_out=False),
    Fault("observed", "sends the members that the live API returned in 2026", _response(_as_observed)),
)
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _LIST}
"""The faults by name."""
