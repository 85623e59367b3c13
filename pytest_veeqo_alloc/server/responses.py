"""How an answer goes over the wire."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from pytest_veeqo_alloc.contract.error_responses import ERROR_RESPONSES, JSON_TYPE
from pytest_veeqo_alloc.core.http import TOKEN, Headers, Response
from pytest_veeqo_alloc.core.json_pointer import locate, mask_pointer
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.coverage.collector import OUR_SERVER
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.orders.observed import as_observed
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Story
from pytest_veeqo_alloc.server.state import CREATED, METHOD_NOT_ALLOWED, Outcome
from pytest_veeqo_alloc.spec.loader import tables

Cut = Literal["", "before headers", "before body", "within body", "after body"]
"""Where the connection is reset."""


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """An answer, and what is done to it on its way. `headers_after` and `body_after` are seconds to wait before the
    headers and in the middle of the body."""

    response: Response
    headers_after: float = 0
    body_after: float = 0
    cut: Cut = ""
    chunked: bool = False
    gzipped: bool = False


class Exchange(Protocol):
    """A request that was taken in, and its answer on the way."""

    @property
    def sending(self) -> ResponsePlan:
        """What to send."""

    @property
    def over(self) -> threading.Event:
        """Set where nobody waits for the answer any more: a slow one is cut short."""

    def finished(self, *, whole: bool) -> None:
        """Whether the answer was sent as a whole. Called once, whatever happens."""


def answer_to(outcome: Outcome, base_url: str = "") -> Response:
    """The whole answer: an order, or an error of the form that the API was seen to send."""
    if outcome.story is None:
        return error_answer(outcome.name, outcome.reason)
    body = order_text(outcome.story).encode()
    if outcome.name != CREATED:
        return Response(200, _HEADERS, body)
    operation = tables().operation
    # The Location of this call names the order, not the allocation.
    location = (operation.location_header, f"{base_url}/orders/{outcome.story.order_id}")
    return Response(operation.status, (*_HEADERS, location), body)


_NAME = ("Server", OUR_SERVER)
_HEADERS: Headers = (("Content-Type", JSON_TYPE), _NAME)


PLACEHOLDER = 7700770077007700
"""An id that stands for another in the text of an order: the order's own, and those after it for the allocations."""
_PLACEHOLDERS = re.compile(r"(77007700770077[0-9]{2})")


def order_text(story: Story) -> str:
    """The order of *story* as JSON. Stories of a test often differ in their ids alone, so the rest is encoded once."""
    if len(story.allocations) >= 100:  # there are no more placeholders
        return json.dumps(build_order(story), separators=(",", ":"))
    alike = tuple((each.warehouse_id, each.lines) for each in story.allocations)
    facts = (story.lines, story.discount, story.delivery, story.customer, story.placed_at)
    ids = (str(story.order_id), *(str(each.id) for each in story.allocations))
    parts = _encoded(alike, *facts)
    if not parts:
        return json.dumps(build_order(story), separators=(",", ":"))
    return "".join(part if isinstance(part, str) else ids[part] for part in parts)


@functools.lru_cache(maxsize=128)
def _encoded(
    alike: tuple[tuple[int, tuple[tuple[int, int], ...]], ...],
    lines: tuple[Line, ...],
    discount: int,
    delivery: int,
    customer: Customer,
    placed_at: str,
) -> tuple[str | int, ...]:
    """The text of an order, cut where its ids stand; each of these is told by its number. Nothing where something else in
    the order looks like a placeholder."""
    allocations = tuple(
        Allocation(warehouse, units, PLACEHOLDER + at) for at, (warehouse, units) in enumerate(alike, start=1)
    )
    story = Story(PLACEHOLDER, lines, allocations, discount, delivery, customer, placed_at)
    parts = _PLACEHOLDERS.split(json.dumps(build_order(story), separators=(",", ":")))
    # The order's own id stands in three places, and each allocation has one more of it beside its own.
    if len(parts) // 2 != 3 + 2 * len(alike):
        return ()
    return tuple(int(part) - PLACEHOLDER if at % 2 else part for at, part in enumerate(parts))


_FRAMING = ("content-length", "transfer-encoding", "connection")


def injected_answer(status: int, body: object, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Response:
    """The answer that a test asks for. ValueError, in one sentence, for what cannot be sent."""
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"status= is a final status from 200 to 599, not {status!a}")
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(text, str) and text.isprintable() and _is_latin(text) for text in pair):
            raise ValueError("headers= are names and values that are text of one line in Latin-1")
        if re.fullmatch(TOKEN, pair[0]) is None or pair[0].lower() in _FRAMING:
            raise ValueError(f"headers= has {pair[0]!a}: it is no name of a header, or the server sets it itself")
    if body is None or isinstance(body, bytes):
        return Response(status, pairs, body or b"")
    raw = body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()
    declared = any(name.lower() == "content-type" for name, _ in pairs)
    return Response(status, pairs if declared else (("Content-Type", JSON_TYPE), *pairs), raw)


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def error_answer(name: str, reason: str = "") -> Response:
    """The error answer *name*; one that nobody has seen may as well say why."""
    if name == METHOD_NOT_ALLOWED:
        return json_answer(405, {"status": 405, "error": "Method Not Allowed"}, (("Allow", tables().operation.method),))
    known = ERROR_RESPONSES[name]
    if known.observed or not reason:
        return replace(known.response, headers=(*known.response.headers, _NAME))
    return json_answer(known.response.status, {"error_messages": [reason]})


def json_answer(status: int, value: Any, headers: Headers = ()) -> Response:
    """*value* as JSON, declared as the API declares it."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(status, (*_HEADERS, *headers), body)


Given = Mapping[str, Any]
"""What was said with a fault, by name, and `elsewhere`: the URL of the order at another host."""


class DoesNotApplyError(ValueError):
    """The answer has not what the fault would change. The text is a noun phrase."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done in the place of an answer. Where `carried_out` is true, the world has changed before."""

    name: str
    does: str
    change: Callable[[ResponsePlan, Given], ResponsePlan]
    carried_out: bool = True
    needs: tuple[str, ...] = ()
    may_take: tuple[str, ...] = ()


def known_fault(name: str, given: Given) -> Fault:
    """The fault *name*. ValueError, in one sentence, for a name or argument that it does not have."""
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(unknown_name("fault", name, FAULTS))
    fault = FAULTS[name]
    for each in given:
        if each not in (*fault.needs, *fault.may_take):
            takes = ", ".join(f"{known}=" for known in (*fault.needs, *fault.may_take)) or "no argument"
            raise ValueError(f"the fault {name!r} has no {each}=: it takes {takes}")
        if not _ARGUMENTS[each](given[each]):
            raise ValueError(f"{each}= of the fault {name!r} is {_WORDS[each]}, not {given[each]!a}")
    if missing := [each for each in fault.needs if each not in given]:
        raise ValueError(f"the fault {name!r} needs {missing[0]}=, such as {_EXAMPLES[missing[0]]}")
    if "pointer" in given:
        try:
            _at(build_order(), given["pointer"], there=name != "extra-member")
        except DoesNotApplyError as error:
            raise ValueError(f"{error} of the documented order") from None
    return fault


_ARGUMENTS: Mapping[str, Callable[[Any], bool]] = {
    "pointer": lambda value: isinstance(value, str) and value.startswith("/"),
    "seconds": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 3600,
    "retry_after": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
}
_WORDS = {
    "pointer": "a JSON Pointer that begins with /", "seconds": "a number from 0 to 3600",
    "retry_after": "a whole number of seconds",
}  # fmt: skip
_EXAMPLES = {"pointer": "pointer='/deliver_to/zip'"}


def _error(name: str) -> Callable[[ResponsePlan, Given], ResponsePlan]:
    return lambda sending, given: ResponsePlan(ERROR_RESPONSES[name].response)


def _rate_limited(sending: ResponsePlan, given: Given) -> ResponsePlan:
    answer = ERROR_RESPONSES["rate-limited"].response
    if "retry_after" in given:
        answer = replace(answer, headers=(*answer.headers, ("Retry-After", str(given["retry_after"]))))
    return ResponsePlan(answer)


def _answer(change: Callable[[Response, Given], Response]) -> Callable[[ResponsePlan, Given], ResponsePlan]:
    return lambda sending, given: replace(sending, response=change(sending.response, given))


def _truncated(response: Response, given: Given) -> Response:
    body = response.body or b""
    return replace(response, body=body[: len(body) // 2])


def _without(response: Response, name: str) -> Response:
    kept = tuple(pair for pair in response.headers if pair[0].lower() != name)
    if len(kept) == len(response.headers):
        raise DoesNotApplyError(f"the answer has no header {name}")
    return replace(response, headers=kept)


def _media_type(response: Response, given: Given) -> Response:
    response = _without(response, "content-type")
    return replace(response, headers=(("Content-Type", "text/html; charset=utf-8"), *response.headers))


def _ok(response: Response, given: Given) -> Response:
    if response.status != 201:
        raise DoesNotApplyError("the answer is no success")
    return replace(response, status=200)


def _redirect(response: Response, given: Given) -> Response:
    return Response(307, (("Location", given["elsewhere"]),), b"")


def _member(
    change: Callable[[dict[str, Any], str], None], *, there: bool = True
) -> Callable[[ResponsePlan, Given], ResponsePlan]:
    def changed(response: Response, given: Given) -> Response:
        order = _order(response)
        change(*_at(order, given["pointer"], there=there))
        return _with_body(response, order)

    return _answer(changed)


def _observed(response: Response, given: Given) -> Response:
    return _with_body(response, as_observed(_order(response)))


def _order(response: Response) -> dict[str, Any]:
    if response.status != 201:
        raise DoesNotApplyError("the answer is no order")
    order: dict[str, Any] = json.loads(response.body or b"{}")
    return order


def _with_body(response: Response, order: Any) -> Response:
    return replace(response, body=json.dumps(order, separators=(",", ":")).encode())


def _at(order: dict[str, Any], pointer: str, *, there: bool) -> tuple[dict[str, Any], str]:
    """The object that has, or is to have, the member that *pointer* leads to, and its name."""
    try:
        owner, name = locate(order, pointer)
    except LookupError:
        owner = name = None
    if not isinstance(owner, dict) or (name in owner) != there:
        raise DoesNotApplyError(f"{mask_pointer(pointer)} is {'no' if there else 'already a'} member")
    return owner, name


def _null(owner: dict[str, Any], name: str) -> None:
    owner[name] = None


def _absent(owner: dict[str, Any], name: str) -> None:
    del owner[name]


def _extra(owner: dict[str, Any], name: str) -> None:
    owner[name] = "unexpected"


def _wrong_type(owner: dict[str, Any], name: str) -> None:
    value = owner[name]
    owner[name] = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 1


def _on_the_wire(**changes: Any) -> Callable[[ResponsePlan, Given], ResponsePlan]:
    return lambda sending, given: replace(sending, **changes)


def _slow(part: str) -> Callable[[ResponsePlan, Given], ResponsePlan]:
    return lambda sending, given: replace(sending, **{part: given.get("seconds", 30)})


_ERRORS = (
    ("bad-request", "400"), ("unauthorized", "401"), ("forbidden", "403"), ("not-found", "404"),
    ("unprocessable", "422"), ("server-error", "500"), ("bad-gateway", "502 with an HTML page"),
    ("service-unavailable", "503"),
)  # fmt: skip

_LIST = (
    *(Fault(name, does, _error(name), carried_out=False) for name, does in _ERRORS),
    Fault("rate-limited", "429, its body empty", _rate_limited, carried_out=False, may_take=("retry_after",)),
    Fault("slow-headers", "waits before it answers (30 seconds)", _slow("headers_after"), may_take=("seconds",)),
    Fault("slow-body", "waits in the middle of the body (30 seconds)", _slow("body_after"), may_take=("seconds",)),
    Fault("reset-before-headers", "resets the connection and answers nothing", _on_the_wire(cut="before headers")),
    Fault("reset-before-body", "resets the connection after the headers", _on_the_wire(cut="before body")),
    Fault("reset-within-body", "resets the connection after half the body", _on_the_wire(cut="within body")),
    Fault(
        "reset-after-body", "answers, and resets the connection when it is used again", _on_the_wire(cut="after body")
    ),
    Fault("truncated-json", "a body that ends half way, its length declared so", _answer(_truncated)),
    Fault("wrong-media-type", "the body declared as text/html", _answer(_media_type)),
    Fault("gzip", "the body compressed", _on_the_wire(gzipped=True)),
    Fault("chunked", "the body in chunks, its length not declared", _on_the_wire(chunked=True)),
    Fault("ok-instead-of-created", "200 instead of 201", _answer(_ok)),
    Fault("no-location", "no header Location", _answer(lambda response, given: _without(response, "location"))),
    Fault("null-member", "null at pointer=", _member(_null), needs=("pointer",)),
    Fault("absent-member", "no member at pointer=", _member(_absent), needs=("pointer",)),
    Fault(
        "extra-member", "a member that is not documented at pointer=", _member(_extra, there=False), needs=("pointer",)
    ),
    Fault("wrong-type-member", "another type at pointer=", _member(_wrong_type), needs=("pointer",)),
    Fault("redirect-elsewhere", "307 to another host", _answer(_redirect), carried_out=False),
    Fault("observed", "the key set that the live API had in 2026", _answer(_observed)),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _LIST}
"""Every fault by its name."""
