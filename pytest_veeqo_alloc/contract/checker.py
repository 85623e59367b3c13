"""Checks of interactions: find all breaches of rules, then turn them into findings with a profile and deviations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pytest_veeqo_alloc.contract.allocations import echo_breaches, request_line_breaches
from pytest_veeqo_alloc.contract.arithmetic import as_object, number, order_breaches
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
    order_id_in,
    status_breaches,
    target_breaches,
)
from pytest_veeqo_alloc.contract.json_reader import Reading, from_parsed, read
from pytest_veeqo_alloc.contract.rules import CATALOGUE, EQUATIONS, Severity, Side
from pytest_veeqo_alloc.contract.structure import walk_request, walk_response
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.json_pointer import is_index, resolve
from pytest_veeqo_alloc.core.text import NOTHING, describe_openly

UNREADABLE = frozenset({"body-missing", "not-json", "not-utf8", "too-deep"})
"""The ids of the rules about unreadable bodies. If a body breaks one, its media type and content are not checked."""

_BODILESS = (204, 205)


@dataclass(frozen=True, slots=True)
class Tables:
    """The compiled schema files: the operation, and the documented request and response bodies."""

    operation: Operation
    request: Shape
    response: Shape


@dataclass(frozen=True, slots=True)
class Settings:
    """A profile's severities, the accepted deviations, and whether findings may show scalar values from bodies."""

    profile: str
    severities: Mapping[str, Severity]
    deviations: DeviationIndex
    show_values: bool = False


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the caller of a check knows about the interaction.

    `expect_status` is the status that the test expects. `broken_request` means that the request is broken on purpose,
    `stored` that the interaction comes from a file, which may lack headers, and `watched` that the sequence of requests
    is checked as well. `known_keys` are API keys to search for in the request.
    """

    expect_status: int | None = None
    broken_request: bool = False
    stored: bool = False
    known_keys: tuple[str, ...] = ()
    watched: bool = False


SidedBreach = tuple[Side, Breach, Any]
"""A side (request or response), a breach on that side, and the parsed body of that side."""


@dataclass(frozen=True, slots=True)
class RawResult:
    """Every breach in an interaction, without severities, and the parsed bodies.

    `request_body` is None if the request is unknown or broken on purpose, and `response_body` if no 2xx arrived.
    """

    breaches: list[SidedBreach]
    request_body: Reading | None = None
    response_body: Reading | None = None


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request with its parsed path and body. `segment` is the order id in a documented path, otherwise None."""

    request: Request
    segment: str | None
    body: Reading

    @classmethod
    def of(cls, request: Request, operation: Operation) -> Self:
        """Parse the path and the body of *request*."""
        return cls(request, operation.order_segment(request.url), read(request.body))


def examine(
    interaction: Interaction, tables: Tables, context: CheckContext, parsed: ParsedRequest | None = None
) -> RawResult:
    """Return every breach in *interaction*. *parsed* is the parsed request, if the caller has already parsed it."""
    breaches: list[SidedBreach] = []
    request, response = interaction.request, interaction.response
    if request is not None and parsed is None:
        parsed = ParsedRequest.of(request, tables.operation)
    response_body = read(response.body) if response is not None and response.is_success else None
    expected = context.expect_status
    is_broken = context.broken_request or (expected is not None and 400 <= expected < 500)
    if parsed is not None and not is_broken:
        breaches += (("request", breach, parsed.body.value) for breach in _request(parsed, tables, context))
    if response is not None:
        found = _response(response, response_body, tables, context)
        if parsed is not None and response_body is not None:
            order = _order(response_body, found)
            found += echo_breaches(order, order_id_in(parsed.segment), parsed.body.value)
        value = response_body.value if response_body is not None else None
        breaches += (("response", breach, value) for breach in found)
    return RawResult(breaches, None if is_broken or parsed is None else parsed.body, response_body)


def examine_body(side: Side, value: Any, tables: Tables) -> RawResult:
    """Return every breach in a body. *side* is `request` or `response`, and *value* is bytes or a parsed JSON value."""
    reading = read(value) if isinstance(value, bytes) else from_parsed(value)
    bodies = (reading, None) if side == "request" else (None, reading)
    return RawResult([(side, breach, reading.value) for breach in _body(side, reading, tables)], *bodies)


def _request(parsed: ParsedRequest, tables: Tables, context: CheckContext) -> list[Breach]:
    request = parsed.request
    target = target_breaches(request, parsed.segment, tables.operation)
    if any(breach.rule in ("wrong-method", "wrong-path") for breach in target):
        return target
    keys = key_breaches(request, tables.operation, headers_filtered=context.stored, known=context.known_keys)
    found = _body("request", parsed.body, tables)
    media_type = [] if _is_unreadable(found) else media_type_breach(request, "request-media-type")
    return [*target, *keys, *media_type, *found]


def _response(response: Response, body: Reading | None, tables: Tables, context: CheckContext) -> list[Breach]:
    operation = tables.operation
    status = status_breaches(response.status, operation, expect=context.expect_status, broken=context.broken_request)
    if body is None:
        return [*status, *(error_body_breaches(response.body) if response.status >= 400 else [])]
    if response.status in _BODILESS and not response.body:
        return status
    found = _body("response", body, tables)
    headers = [] if _is_unreadable(found) else media_type_breach(response, "response-media-type")
    if response.status == operation.status:
        headers += location_breaches(response, operation, number(_order(body, found).get("id")))
    return [*status, *headers, *found]


def _body(side: Side, body: Reading, tables: Tables) -> list[Breach]:
    if not body.readable:
        return list(body.breaches)
    is_request = side == "request"
    found = walk_request(body.value, tables.request) if is_request else walk_response(body.value, tables.response)
    if not _is_unreadable(found):
        found += request_line_breaches(body.value) if is_request else order_breaches(body.value)
    return [*body.breaches, *found]


def _order(body: Reading, found: Iterable[Breach]) -> dict[str, Any]:
    return {} if _is_unreadable(found) else as_object(body.value)


def _is_unreadable(breaches: Iterable[Breach]) -> bool:
    return any(breach.rule in UNREADABLE for breach in breaches)


def findings_of(
    raw: RawResult, interaction: Interaction, tables: Tables, settings: Settings, context: CheckContext
) -> Findings:
    """Return the breaches in *raw*, the result for *interaction*, as findings. API keys are masked."""
    findings = to_findings(raw.breaches, tables, settings, stored=context.stored)
    return mask_keys(findings, interaction.request, tables, context)


def mask_keys(findings: Findings, request: Request | None, tables: Tables, context: CheckContext) -> Findings:
    """Return *findings* with a placeholder for each name that contains an API key from *request* or *context*."""
    if request is None or not (len(findings) or findings.accepted):
        return findings
    keys = [key for key in (*keys_of(request, tables.operation), *context.known_keys) if len(key) >= LONG_KEY]
    return findings.with_findings(
        (finding.mask_keys(keys) for finding in findings),
        (Accepted(entry.finding.mask_keys(keys), entry.reason) for entry in findings.accepted),
    )


def to_findings(
    breaches: Iterable[SidedBreach], tables: Tables, settings: Settings, *, stored: bool = False
) -> Findings:
    """Return *breaches* as findings, ordered by place. In a *stored* file, some rules cause only warnings."""
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
    findings.sort(key=_place_key())
    return Findings(findings, accepted=accepted, profile=settings.profile, operation=tables.operation.name)


def _finding(side: Side, breach: Breach, severity: Severity, body: Any) -> Finding:
    rule = CATALOGUE[breach.rule]
    wanted, got = breach.wanted or rule.wanted, breach.got
    if breach.wanted and breach.rule in EQUATIONS:
        wanted = f"{wanted} ({rule.wanted})"
    if body is not None and breach.pointer and got != NOTHING:
        got = describe_openly(resolve(body, breach.pointer), breach.pointer)
    remedy = breach.remedy or rule.remedies[side].replace("{type}", wanted)
    return Finding(rule.id, rule.basis, severity, side, breach.location, breach.pointer, wanted, got, remedy)


def _place_key() -> Callable[[Finding], tuple[Any, ...]]:
    """Return a key function that sorts findings by place, and array indices as numbers. It caches split pointers."""
    known: dict[str, list[tuple[int, int | str]]] = {"": []}

    def tokens(pointer: str) -> list[tuple[int, int | str]]:
        parent, slash, last = pointer.rpartition("/")
        if parent not in known:
            known[parent] = tokens(parent)
        return [*known[parent], (0, int(last)) if is_index(last) else (1, last)] if slash else []

    return lambda finding: (finding.side, finding.location, tokens(finding.pointer or ""), finding.rule)
