"""Checks of interactions: find every breach of a rule, then convert the breaches to findings."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Any, Self

from pytest_veeqo_alloc.contract.allocations import echo_breaches, request_line_breaches
from pytest_veeqo_alloc.contract.arithmetic import order_breaches
from pytest_veeqo_alloc.contract.content import decode
from pytest_veeqo_alloc.contract.deviations import TYPES, DeviationIndex, Uses
from pytest_veeqo_alloc.contract.error_responses import error_body_breaches
from pytest_veeqo_alloc.contract.field_table import Shape
from pytest_veeqo_alloc.contract.findings import Accepted, Breach, Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import (
    Operation,
    explaining_media_type_breach,
    key_breaches,
    location_breaches,
    long_keys,
    media_type_breach,
    order_id_in,
    shown_call,
    status_breaches,
    target_breaches,
    unknown_call,
)
from pytest_veeqo_alloc.contract.json_reader import TOO_DEEP, Reading, from_parsed, read, read_content
from pytest_veeqo_alloc.contract.rules import CATALOGUE, EQUATIONS, SEVERITIES, Severity, Side
from pytest_veeqo_alloc.contract.structure import has_allocation, walk_request, walk_response
from pytest_veeqo_alloc.core.http import Interaction, Request, Response, decode_body, is_client_error
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY, mask_location, mask_pointer, resolve
from pytest_veeqo_alloc.core.text import NOTHING, describe_openly

UNREADABLE = frozenset({"body-missing", "not-json", "not-utf8", "too-deep"})
"""The ids of the rules about unreadable bodies. The media type and the content of such a body are not checked."""

_MEDIA_TYPE_RULES = ("request-media-type", "response-media-type")
_CALL_LOCATIONS = ("method", "path", "path:order_id")
_NO_INTERACTION = Interaction(None)
_NO_RULES = frozenset[str]()
_INDEX = re.compile(r"(?<=\0)[0-9]{1,19}(?![^\0])")


@dataclass(frozen=True, slots=True)
class Tables:
    """The documented operation, and the compiled schemas for its request and response bodies."""

    operation: Operation
    request: Shape
    response: Shape


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a contract. With `show_values`, findings may show scalar values from bodies."""

    profile: str
    severities: Mapping[str, Severity]
    deviations: DeviationIndex
    show_values: bool = False
    uses: Uses | None = None  # None: every field concerns the client


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the caller of a check knows about the interaction.

    `expected`: the statuses that the test expects (None: the documented status). `broken_request`: the request is
    broken on purpose, so that a 2xx status is a breach. `skips_request`: do not check the request. `stored`: the
    interaction comes from a file, and may lack headers. `watched`: a server received the request, perhaps for another
    operation. `is_final`: check the status; false if the same request was sent again, or the fake answered.
    `known_keys`: API keys that the request must not expose. `case`: the name of the broken request (empty: it is named
    by the rules that it breaks).
    """

    expected: frozenset[int] | None = None
    broken_request: bool = False
    skips_request: bool = False
    stored: bool = False
    known_keys: tuple[str, ...] = field(default=(), repr=False)
    watched: bool = False
    is_final: bool = True
    case: str = ""


def expecting(statuses: frozenset[int] | None, response: Response | None, *, stored: bool = False) -> CheckContext:
    """Return the context of a check that expects *statuses*. If the test expects a 4xx, do not check the request."""
    if statuses is None:
        return CheckContext(stored=stored) if stored else NO_CONTEXT
    failures = frozenset(filter(is_client_error, statuses))
    is_failure = bool(failures) and (failures == statuses or (response is not None and response.status in failures))
    return CheckContext(statuses, skips_request=is_failure, stored=stored)


NO_CONTEXT = CheckContext()


@dataclass(slots=True, repr=False)
class Body:
    """A checked body. If it is not JSON, `content` and `value` are None.

    A body that conforms to its schema is parsed only when `reading` or `value` is first used.
    """

    breaches: list[Breach]
    content: Any = None
    counts: tuple[int, ...] | None = None  # of `Typed`, if the body conforms to its schema
    parsed: Reading | None = None
    raw: bytes | None = None

    @property
    def reading(self) -> Reading:
        """The body as parsed JSON."""
        if self.parsed is None:
            self.parsed = read(self.raw)
        return self.parsed

    @property
    def value(self) -> Any:
        """The parsed JSON value."""
        return self.reading.value

    @property
    def readable(self) -> bool:
        """Whether the body is JSON."""
        return self.parsed is None or self.parsed.readable

    @property
    def has_content(self) -> bool:
        """Whether the body is JSON that does not nest too deeply."""
        return self.parsed is None or (self.parsed.readable and TOO_DEEP not in self.breaches)


def check_bytes(side: Side, raw: bytes | None, tables: Tables) -> Body:
    """Check *raw*, a body as bytes. *side* is `request` or `response`."""
    return _typed_body(side, raw, tables) or check_reading(side, read(raw), tables)


def check_message(side: Side, message: Request | Response, tables: Tables) -> Body:
    """Check the decompressed body of *message*. *side* is `request` or `response`."""
    raw = decode_body(message)
    return _typed_body(side, raw, tables) or check_reading(side, read_content(message), tables)


def _typed_body(side: Side, raw: bytes | None, tables: Tables) -> Body | None:
    """Check *raw* quickly. Return None if it might not conform to its schema; the slow check then explains why."""
    typed = decode(raw, tables.request if side == "request" else tables.response) if raw else None
    if typed is None:
        return None
    content, counts = typed
    if side == "request":
        content = content.allocation
        return Body(request_line_breaches(content), content, counts, None, raw)
    return Body(order_breaches(content), content, counts, None, raw)


def check_reading(side: Side, reading: Reading, tables: Tables) -> Body:
    """Check *reading*, a parsed body. *side* is `request` or `response`."""
    if not reading.readable:
        return Body([*reading.breaches], parsed=reading)
    walk, shape = (walk_request, tables.request) if side == "request" else (walk_response, tables.response)
    walked = walk(reading.value, shape, is_plain=reading.is_plain)
    breaches = [*reading.breaches, *walked.breaches]
    content, pointer = walked.content, walked.pointer
    if TOO_DEEP not in walked.breaches:
        breaches += request_line_breaches(content, pointer) if side == "request" else order_breaches(content)
    return Body(breaches, content, walked.counts, parsed=reading)


SidedBreach = tuple[Side, Breach, Body | None]


@dataclass(slots=True)  # not frozen, which would take three times as long
class RawResult:
    """The breaches that a check found, without severities. For a body that was not checked, the attribute is None."""

    breaches: list[SidedBreach]
    interaction: Interaction | None = None
    context: CheckContext = NO_CONTEXT
    request_body: Body | None = None
    response_body: Body | None = None
    broken_rules: frozenset[str] = _NO_RULES  # the rules that the request breaks on purpose
    case: str = ""  # the name of a request that is broken on purpose


@dataclass(slots=True)
class ParsedRequest:
    """A request with its parsed body. `segment` is the order id in its path, or None for an undocumented path."""

    request: Request
    segment: str | None
    body: Body

    @classmethod
    def of(cls, request: Request, tables: Tables) -> Self:
        """Parse the path and the body of *request*, which may be a call of any operation."""
        return cls(request, tables.operation.order_segment(request.url), check_message("request", request, tables))


def examine(
    interaction: Interaction, tables: Tables, context: CheckContext, parsed: ParsedRequest | None = None
) -> RawResult:
    """Return every breach in *interaction*. *parsed* is its request, if the caller has already parsed it."""
    breaches: list[SidedBreach] = []
    request, response = interaction.request, interaction.response
    if request is not None and parsed is None:
        parsed = ParsedRequest.of(request, tables)
    response_body = None
    if response is not None and response.is_success:
        response_body = check_message("response", response, tables)
    is_broken = context.broken_request or context.skips_request
    sent = [] if parsed is None or context.skips_request else _request(parsed, tables, context)
    if sent and parsed is not None and not is_broken:
        breaches += [("request", breach, parsed.body) for breach in sent]
    case = (context.case or _case_of(sent)) if context.broken_request else ""
    if response is not None and (found := _response(response, response_body, parsed, tables, context)):
        if case:
            found = [b._replace(case=case) if b.rule == "broken-request-accepted" else b for b in found]
        breaches += [("response", breach, response_body) for breach in found]
    request_body = None if is_broken or parsed is None else parsed.body
    rules = frozenset(breach.rule for breach in sent) if context.broken_request else _NO_RULES
    return RawResult(breaches, interaction, context, request_body, response_body, rules, case)


def _case_of(broken: Iterable[Breach]) -> str:
    return "; ".join(sorted({_how_broken(breach) for breach in broken})) or "a request that breaks no rule"


def _how_broken(breach: Breach) -> str:
    """Describe *breach* without lengths and numbers, which may differ between generated requests."""
    place = mask_location(breach.location) if breach.pointer is None else mask_pointer(breach.pointer) or WHOLE_BODY
    described = " ".join((place, breach.got.partition(" ")[0])) if breach.got.startswith(TYPES) else place
    return f"{breach.rule} at {described}"


def examine_body(side: Side, value: Any, tables: Tables) -> RawResult:
    """Return every breach in *value*: the body of *side*, as JSON text (bytes or str) or as parsed JSON."""
    if isinstance(value, str) and value.lstrip("\ufeff \t\r\n").startswith(("{", "[")):  # JSON text, not yet parsed
        value = value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        body = check_bytes(side, bytes(value), tables)
    else:
        body = check_reading(side, from_parsed(value), tables)
    breaches: list[SidedBreach] = [(side, breach, body) for breach in body.breaches]
    if side == "request":
        return RawResult(breaches, None, NO_CONTEXT, body)
    return RawResult(breaches, None, NO_CONTEXT, None, body)


def _request(parsed: ParsedRequest, tables: Tables, context: CheckContext) -> list[Breach]:
    request = parsed.request
    if context.watched and parsed.segment is None:
        is_post = request.method.upper() == tables.operation.method
        if not (is_post and has_allocation(parsed.body.value)):
            return [unknown_call(request)]
    target = target_breaches(request, parsed.segment, tables.operation)
    if target and target[0].rule in ("wrong-method", "wrong-path"):
        return target
    keys = key_breaches(request, tables.operation, headers_filtered=context.stored, known_keys=context.known_keys)
    media_type = _media_type(request, "request-media-type", parsed.body)
    return [*target, *keys, *media_type, *parsed.body.breaches]


def _response(
    response: Response, body: Body | None, parsed: ParsedRequest | None, tables: Tables, context: CheckContext
) -> list[Breach]:
    operation = tables.operation
    status = status_breaches(response.status, operation, context.expected, context.broken_request, context.is_final)
    if body is None:
        if response.status < 400:
            return status
        keys = () if parsed is None else long_keys(parsed.request, operation, context.known_keys)
        return [*status, *error_body_breaches(decode_body(response), keys)]
    if response.status in (204, 205) and not response.body:
        return status
    order = body.content if body.has_content else None
    headers = _media_type(response, "response-media-type", body)
    if response.status == operation.status:
        shown = None if order is None or isnan(order.id) else order.id
        request_url = "" if parsed is None else parsed.request.url
        headers += location_breaches(response, operation, shown, request_url)
    echo = []
    if parsed is not None and order is not None:
        echo = echo_breaches(order, order_id_in(parsed.segment), parsed.body.content)
    return [*status, *headers, *body.breaches, *echo]


def _media_type(message: Request | Response, rule: str, body: Body) -> list[Breach]:
    """Return the breach of the media type *rule*, if any. If *body* is unreadable, the type must explain that."""
    if body.has_content:
        return media_type_breach(message, rule)
    is_not_json = any(breach.rule == "not-json" for breach in body.breaches)
    return explaining_media_type_breach(message, rule) if is_not_json else []


def _severities(raw: RawResult, settings: Settings) -> Mapping[str, Severity]:
    """Return the severity of each rule. `broken-request-accepted` is no more severe than the rules that are broken."""
    if not raw.broken_rules:
        return settings.severities
    # A server that ignores an unknown member does no harm.
    broken = {settings.severities[rule] for rule in raw.broken_rules if rule != "undocumented-field"}
    highest: Severity = min(broken, key=SEVERITIES.index, default="off")
    lower = max(highest, settings.severities["broken-request-accepted"], key=SEVERITIES.index)
    return {**settings.severities, "broken-request-accepted": lower}


def to_findings(raw: RawResult, tables: Tables, settings: Settings) -> Findings:
    """Return the breaches in *raw* as findings, ordered by place. API keys are masked."""
    if not raw.breaches:
        return _no_findings(settings.profile, tables.operation)
    severities, interaction = _severities(raw, settings), raw.interaction or _NO_INTERACTION
    is_stored = raw.context.stored or bool(interaction.exchange_id)  # in a file, or played from a cassette
    findings, accepted = [], []
    for side, breach, body in raw.breaches:
        severity = severities[breach.rule]
        if severity == "off":
            continue
        if is_stored and severity == "error":
            severity = CATALOGUE[breach.rule].stored
        finding = _finding(side, breach, severity, body if settings.show_values else None)
        if settings.show_values and breach.location in _CALL_LOCATIONS and interaction.request is not None:
            finding = replace(finding, got=shown_call(interaction.request, tables.operation, raw.context.known_keys))
        deviation = settings.deviations.find(finding) if settings.deviations.all else None
        if deviation is None:
            findings.append(finding)
        elif deviation.expired(settings.deviations.today):
            remedy = f"{finding.remedy}; or renew its deviation, which expired on {deviation.expires}"
            findings.append(replace(finding, remedy=remedy))
        else:
            accepted.append(Accepted(finding, deviation.reason))
    if _is_explained(interaction.response, findings):
        findings = [finding for finding in findings if finding.rule != "undocumented-status"]
    findings = _without_consequences(findings)
    findings.sort(key=_place())
    if (findings or accepted) and interaction.request is not None:
        keys = long_keys(interaction.request, tables.operation, raw.context.known_keys)
        findings = [finding.mask_keys(keys) for finding in findings]
        accepted = [Accepted(entry.finding.mask_keys(keys), entry.reason) for entry in accepted]
    unused: tuple[Finding, ...] = ()
    if settings.uses is not None:
        unused = tuple(finding for finding in findings if not settings.uses.concern_finding(finding))
        findings = [finding for finding in findings if settings.uses.concern_finding(finding)]
    return Findings(tuple(findings), tuple(accepted), settings.profile, tables.operation.name, unused)


@functools.cache
def _no_findings(profile: str, operation: Operation) -> Findings:
    return Findings((), (), profile, operation.name)


def _is_explained(response: Response | None, findings: Iterable[Finding]) -> bool:
    """Return whether *response* is a 4xx and the request has an error, which explains the status."""
    is_rejected = response is not None and is_client_error(response.status)
    return is_rejected and any(finding.side == "request" and finding.severity == "error" for finding in findings)


def _without_consequences(findings: list[Finding]) -> list[Finding]:
    """Remove `not-json` findings about a side that also has a media type finding, which explains them."""
    media_types = {finding.side: finding for finding in findings if finding.rule in _MEDIA_TYPE_RULES}
    consequences = [finding for finding in findings if finding.rule == "not-json" and finding.side in media_types]
    for finding in consequences:
        cause = media_types[finding.side]
        findings.remove(finding)
        if cause.severity != finding.severity:  # a milder cause must not hide the error
            findings[findings.index(cause)] = replace(finding, got=cause.got, remedy=cause.remedy)
    return findings


def _finding(side: Side, breach: Breach, severity: Severity, body: Body | None) -> Finding:
    rule = CATALOGUE[breach.rule]
    wanted, got = breach.wanted or rule.wanted, breach.got
    if breach.wanted and breach.rule in EQUATIONS:
        wanted = f"{wanted} ({rule.wanted})"
    if body is not None and breach.pointer and got != NOTHING:
        got = describe_openly(resolve(body.value, breach.pointer), breach.pointer)
    remedy = breach.remedy or rule.remedies[side].replace("{type}", wanted)
    place = (breach.location, breach.pointer)
    return Finding(rule.id, rule.basis, severity, side, *place, wanted, got, remedy, case=breach.case)


def _place() -> Callable[[Finding], tuple[str, ...]]:
    """Return a key function to sort findings by place. Array indices are padded with zeros, to sort as numbers."""
    padded = functools.cache(lambda text: _INDEX.sub(lambda match: f"\1{match[0]:0>19}", text))

    def key(finding: Finding) -> tuple[str, ...]:
        owner, _, name = (finding.pointer or "").replace("/", "\0").rpartition("\0")
        return finding.side, finding.location, padded(owner) + padded(f"\0{name}"), finding.rule

    return key
