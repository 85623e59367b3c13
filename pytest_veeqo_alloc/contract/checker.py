"""The one way from an interaction to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pytest_veeqo_alloc.contract.allocations import echo_breaches, request_line_breaches
from pytest_veeqo_alloc.contract.arithmetic import number, order_breaches
from pytest_veeqo_alloc.contract.deviations import DeviationIndex
from pytest_veeqo_alloc.contract.error_responses import error_body_breaches
from pytest_veeqo_alloc.contract.field_table import Shape
from pytest_veeqo_alloc.contract.findings import Accepted, Breach, Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import (
    LONG_KEY,
    Operation,
    key_breaches,
    keys_of,
    location_breaches,
    media_type_breach,
    status_breaches,
    target_breaches,
)
from pytest_veeqo_alloc.contract.json_reader import Reading, from_parsed, read
from pytest_veeqo_alloc.contract.rules import CATALOGUE, EQUATIONS, Severity, Side
from pytest_veeqo_alloc.contract.structure import walk_request, walk_response
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.core.text import NOTHING, describe_openly


@dataclass(frozen=True, slots=True)
class Tables:
    """What the schema files say, compiled."""

    operation: Operation
    request: Shape
    response: Shape


@dataclass(frozen=True, slots=True)
class Settings:
    """How bad each rule is, what is accepted, and whether scalars may be quoted."""

    profile: str
    severities: Mapping[str, Severity]
    deviations: DeviationIndex
    show_values: bool = False


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the caller knows of an interaction: the status it expects, that it broke the request on purpose, that headers
    were filtered before it was stored, keys that stand for themselves wherever they are, or that it watched the order in
    which requests came."""

    expect_status: int | None = None
    broken_request: bool = False
    stored: bool = False
    known_keys: tuple[str, ...] = ()
    watched: bool = False


SidedBreach = tuple[Side, Breach, Any]
"""A breach, its side, and the body in which it is."""


@dataclass(frozen=True, slots=True)
class RawResult:
    """Every departure of an interaction from the strict reading, before a profile says how severe it is.

    `request_body` and `response_body` are what was checked: None for a request that is unknown or broken on purpose, and
    for a response that is missing or no success.
    """

    breaches: list[SidedBreach]
    request_body: Reading | None = None
    response_body: Reading | None = None


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request with what stands for its order id (None: another path) and its body, each read once and carried along."""

    request: Request
    segment: str | None
    body: Reading

    @classmethod
    def of(cls, request: Request, operation: Operation) -> Self:
        """Match the path of *request* and read its body."""
        return cls(request, operation.order_segment(request.url), read(request.body))


def findings_of(
    raw: RawResult, interaction: Interaction, tables: Tables, settings: Settings, context: CheckContext
) -> Findings:
    """Everything wrong with *interaction*, as it was examined."""
    findings = to_findings(raw.breaches, tables, settings, stored=context.stored)
    return mask_keys(findings, interaction.request, tables, context)


def mask_keys(findings: Findings, request: Request | None, tables: Tables, context: CheckContext) -> Findings:
    """*findings* with every name masked that is, or holds, a key that *request* sent: such a name is shown nowhere."""
    if request is None or not (len(findings) or findings.accepted):
        return findings
    keys = [key for key in (*keys_of(request, tables.operation), *context.known_keys) if len(key) >= LONG_KEY]
    return findings.with_findings(
        (each.mask_keys(keys) for each in findings),
        (Accepted(each.finding.mask_keys(keys), each.reason) for each in findings.accepted),
    )


def examine(
    interaction: Interaction, tables: Tables, context: CheckContext, parsed: ParsedRequest | None = None
) -> RawResult:
    """Return every departure of *interaction* from the strict reading; *parsed* is its request, if it was read before."""
    breaches: list[SidedBreach] = []
    request, response = interaction.request, interaction.response
    body = answer = None
    broken = context.broken_request or (context.expect_status is not None and 400 <= context.expect_status < 500)
    if request is not None:
        parsed = parsed or ParsedRequest.of(request, tables.operation)
        body = parsed.body
        if not broken:
            breaches += (("request", b, body.value) for b in _request(parsed, tables, context))
    if response is not None:
        answer = read(response.body) if response.is_success else None
        known = (request, body) if request is not None and body is not None else None
        found = _response(response, answer, known, tables, context)
        breaches += (("response", b, answer.value if answer else None) for b in found)
    return RawResult(breaches, None if broken else body, answer)


def examine_body(side: Side, value: Any, tables: Tables) -> RawResult:
    """Holds a body against it: bytes as they were sent, or what somebody else parsed."""
    reading = read(value) if isinstance(value, bytes) else from_parsed(value)
    if side == "request":
        return RawResult([(side, breach, reading.value) for breach in _request_body(reading, tables)], reading)
    return RawResult([(side, breach, reading.value) for breach in _response_body(reading, tables)], None, reading)


def _request(parsed: ParsedRequest, tables: Tables, context: CheckContext) -> Iterable[Breach]:
    request = parsed.request
    target = target_breaches(request, parsed.segment, tables.operation)
    if any(breach.rule in ("wrong-method", "wrong-path") for breach in target):
        return target
    filtered, known = context.stored, context.known_keys
    keys = key_breaches(request, tables.operation, headers_filtered=filtered, known=known)
    found = _request_body(parsed.body, tables)
    media = [] if _unreadable(found) else media_type_breach(request, "request-media-type")
    return [*target, *keys, *media, *found]


def _unreadable(breaches: Iterable[Breach]) -> bool:
    """Whether the body could not be read, which hides its media type and all that would be said of its content."""
    return any(breach.rule in UNREADABLE for breach in breaches)


UNREADABLE = frozenset({"body-missing", "not-json", "not-utf8", "too-deep"})
"""The rules of a body that cannot be read."""


def _request_body(body: Reading, tables: Tables) -> list[Breach]:
    if not body.readable:
        return list(body.breaches)
    walked = walk_request(body.value, tables.request)
    lines = [] if _unreadable(walked) else request_line_breaches(body.value)
    return [*body.breaches, *walked, *lines]


def _response(
    response: Response,
    answer: Reading | None,
    known: tuple[Request, Reading] | None,
    tables: Tables,
    context: CheckContext,
) -> Iterable[Breach]:
    operation = tables.operation
    status = status_breaches(response.status, operation, expect=context.expect_status, broken=context.broken_request)
    if answer is None:
        return [*status, *(error_body_breaches(response.body) if response.status >= 400 else [])]
    if response.status in _BODILESS and not response.body:
        return status
    found = _response_body(answer, tables)
    readable = not _unreadable(found)
    media = media_type_breach(response, "response-media-type") if readable else []
    order = answer.value if readable and isinstance(answer.value, dict) else {}
    location: list[Breach] = []
    if response.status == operation.status:
        location = location_breaches(response, operation, number(order.get("id")))
    breaches = [*status, *media, *location, *found]
    if known is not None and readable:
        request, body = known
        breaches += echo_breaches(order, operation.order_id(request.url), body.value if body.readable else None)
    return breaches


_BODILESS = (204, 205)


def _response_body(answer: Reading, tables: Tables) -> list[Breach]:
    if not answer.readable:
        return list(answer.breaches)
    walked = walk_response(answer.value, tables.response)
    if any(breach.rule in ("too-deep", "not-an-order") for breach in walked):
        return [*answer.breaches, *walked]
    return [*answer.breaches, *walked, *order_breaches(answer.value)]


def to_findings(
    breaches: Iterable[SidedBreach], tables: Tables, settings: Settings, *, stored: bool = False
) -> Findings:
    """What a profile and its deviations make of breaches: findings, in order."""
    findings, accepted = [], []
    for side, breach, body in breaches:
        severity = settings.severities[breach.rule]
        if severity == "off":
            continue
        if stored and severity == "error":
            severity = CATALOGUE[breach.rule].stored
        finding = _finding(side, breach, severity, body if settings.show_values else None)
        deviation = settings.deviations.find(finding)
        if deviation is None:
            findings.append(finding)
        elif deviation.expired(settings.deviations.today):
            remedy = f"{finding.remedy}; or renew its deviation, which expired on {deviation.expires}"
            findings.append(replace(finding, remedy=remedy))
        else:
            accepted.append(Accepted(finding, deviation.reason))
    findings.sort(key=_by_place())
    return Findings(findings, accepted=accepted, profile=settings.profile, operation=tables.operation.name)


def _finding(side: Side, breach: Breach, severity: Severity, body: Any) -> Finding:
    rule = CATALOGUE[breach.rule]
    wanted = _wanted(breach)
    got = breach.got
    if body is not None and breach.pointer and got != NOTHING:
        got = describe_openly(resolve(body, breach.pointer), breach.pointer)
    remedy = breach.remedy or rule.remedies[side].replace("{wanted}", wanted)
    return Finding(rule.id, rule.basis, severity, side, breach.location, breach.pointer, wanted, got, remedy)


def _wanted(breach: Breach) -> str:
    rule = CATALOGUE[breach.rule]
    if breach.wanted and breach.rule in EQUATIONS:
        return f"{breach.wanted} ({rule.wanted})"
    return breach.wanted or rule.wanted


def _by_place() -> Callable[[Finding], tuple[Any, ...]]:
    """A key to sort by: indices as numbers, everything else as text. Many pointers have what is before their last part in
    common, so that is looked at once."""
    known: dict[str, list[tuple[int, int | str]]] = {"": []}

    def natural(pointer: str) -> list[tuple[int, int | str]]:
        before, _, last = pointer.rpartition("/")
        if before not in known:
            known[before] = natural(before)
        is_index = last.isdecimal() and last.isascii() and len(last) < 20
        return [*known[before], (0, int(last)) if is_index else (1, last)]

    return lambda finding: (
        finding.side,
        finding.location,
        natural(finding.pointer) if finding.pointer else [],
        finding.rule,
    )
