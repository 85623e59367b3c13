"""Coverage: which documented fields the checked bodies contain, and how often each rule could be evaluated.

Each check sends an event to a listener. Two classes collect the coverage from the events, in a file or in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from pytest_veeqo_alloc.contract.checker import CheckContext, RawResult
from pytest_veeqo_alloc.contract.deviations import DeviationIndex, type_of
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES, Operation, keys_of
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, SUITE_RULES, BodySide
from pytest_veeqo_alloc.contract.structure import wrapped_allocation
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import generalise
from pytest_veeqo_alloc.coverage.field_counts import (
    BodyCounts,
    Counts,
    Node,
    add_counts,
    bump,
    bump_limited,
    tally_fields,
)

Origin = Literal["target", "fake", "cassette"]
ORIGINS: tuple[Origin, ...] = ("target", "fake", "cassette")
"""The origins of responses: the server under test ("target"), the fake server of this package, and cassettes."""

OUR_SERVER = "pytest-veeqo-alloc"
"""The value of the `Server` header (RFC 9110 section 10.2.4) in responses from this package's fake server."""


def origin_of(interaction: Interaction | None) -> Origin:
    """Return "fake" if the `Server` header shows that the fake server sent the response, otherwise "target"."""
    response = interaction.response if interaction is not None else None
    return "fake" if response is not None and response.header("server") == OUR_SERVER else "target"


_BODY_RULES = ("body-missing", "not-json", "not-utf8", "byte-order-mark")
_JSON_RULES = (
    "too-deep", "non-finite-number", "duplicate-key", "wrong-type", "null-value", "required-field", "undocumented-field",
)  # fmt: skip
RULES_OF_STAGE: Mapping[str, tuple[str, ...]] = {
    "request line": ("wrong-method", "wrong-path", "order-id-not-integer"),
    "call": ("undocumented-query", "api-key-missing", "key-in-url"),
    "request body": _BODY_RULES,
    "request JSON": (*_JSON_RULES, "request-media-type", "request-not-wrapped"),
    "response body": _BODY_RULES,
    "response JSON": (*_JSON_RULES, "response-media-type", "not-an-order"),
    "order": ("absent-field",),
    "status": ("wrong-status", "undocumented-status", "server-error"),
    "expected status": ("unexpected-status",),
    "broken request": ("broken-request-accepted",),
    "created": ("location-missing",),
    "located": ("location-invalid", "location-order"),
    "refusal": ("error-body-shape", "error-leaks-internals"),
    "echo": ("order-echo", "allocation-echo", "allocation-quantity"),
    "sequence": (*SEQUENCE_RULES, "unknown-call"),
    **{f"suite {rule}": (rule,) for rule in SUITE_RULES},
}
"""The rules of each stage of a check. A check that reaches a stage evaluates the rules of this stage once."""

FIELDS_OF_RULE: Mapping[str, tuple[str, ...]] = {
    "line-item-shape": ("request allocation.line_items_attributes",),
    "line-items-empty": ("request allocation.line_items_attributes",),
    "duplicate-sellable": ("request line_item.sellable_id",),
    "allocation-order": ("allocation.order_id", "order.id"),
    "payment-order": ("payment.order_id", "order.id"),
    "available-stock": ("stock_entry.physical_stock_level", "stock_entry.allocated_stock_level"),
    "stock-totals": ("inventory.physical_stock_level_at_all_warehouses", "stock_entry.physical_stock_level"),
    "stock-copies": (
        "sellable.available_stock_level_at_all_warehouses",
        "inventory.available_stock_level_at_all_warehouses",
    ),
    "stock-entry-sellable": ("stock_entry.sellable_id", "sellable.id"),
    "stock-entry-warehouse": ("stock_entry.warehouse_id", "warehouse.id"),
    "profit": ("sellable.profit", "sellable.price", "sellable.cost_price"),
    "margin": ("sellable.margin", "sellable.price", "sellable.cost_price"),
    "on-hand-value": ("stock_entry.sellable_on_hand_value", "stock_entry.physical_stock_level", "sellable.cost_price"),
    "title-copies": ("sellable.sellable_title", "sellable.title"),
    "main-image-product": ("main_image.product_id", "product.id"),
    "subtotal": ("order.subtotal_price", "order.total_discounts", "line_item.quantity", "line_item.price_per_unit"),
    "total": ("order.total_price", "order.subtotal_price", "order.total_tax", "order.delivery_cost"),
    "completeness": ("order.allocated_completely", "order.allocations", "line_item.quantity"),
    "allocated-sellable": ("allocation_line_item.sellable", "line_item.sellable"),
    "subscription-plan": ("company.subscription_plan_id", "subscription_plan.id"),
}
"""The fields that a rule compares, as `OBJECT_TYPE.FIELD`. The field with the fewest values limits the evaluations."""

VALUES_OF_RULE: Mapping[str, str] = {
    "id-not-positive-integer": "is_id",
    "quantity-not-positive": "is_quantity",
    "quantity-not-integer": "is_quantity",
    "datetime-format": "is_datetime",
    "negative-amount": "is_amount",
}
"""For each rule about single values, an attribute of `Field`. The rule applies to fields with a true attribute."""

FINDINGS, ACCEPTED, UNUSED = "", "accepted_", "unused_"
"""The prefixes of severities in keys of `Coverage.findings`: for plain, accepted and unused findings (see `Findings`)."""

MAX_FINDINGS = 5_000
"""The maximum number of different findings that are counted separately."""

FieldTrees = Mapping[BodySide, Node]
"""Two trees of documented fields, keyed by side: one for request bodies, one for response bodies."""


@dataclass(slots=True)
class Coverage:
    """The counts from one or more checks. All keys are strings, so that the counts can be written as JSON."""

    interactions: int = 0
    stages: Counts = field(default_factory=dict)  # key: the stages that a check reached, separated by commas
    statuses: Counts = field(default_factory=dict)
    calls: Counts = field(default_factory=dict)  # key: STATUS ERRORS WARNINGS TEST
    findings: Counts = field(default_factory=dict)  # key: prefix and SEVERITY, RULE SIDE PLACE, a line break, CASE
    affected: Counts = field(default_factory=dict)  # interactions with a finding; key as in `findings`
    types: Counts = field(default_factory=dict)  # values with a finding; key: TYPE, a space, key as in `findings`
    examples: dict[str, str] = field(default_factory=dict)  # an exact place for each key of `findings`
    cases: Counts = field(default_factory=dict)  # cases in which a behaviour was tried; key: RULE CASE
    deviations: Counts = field(default_factory=dict)  # key: `Deviation.key`
    read: Counts = field(default_factory=dict)  # how many trackers noted a read of a response field; key: POINTER
    read_undocumented: Counts = field(
        default_factory=dict
    )  # undocumented members that the client read, with masked names
    bodies: dict[BodySide, BodyCounts] = field(default_factory=lambda: {side: BodyCounts() for side in BODY_SIDES})

    def add(self, other: Coverage) -> None:
        """Add the counts from *other* to this object."""
        self.interactions += other.interactions
        for name in ("stages", "statuses", "calls", "cases", "deviations", "read", "read_undocumented"):
            add_counts(getattr(self, name), getattr(other, name))
        limited = {
            key: self._add_limited(key, count, other.examples[key], other.affected[key])
            for key, count in other.findings.items()
        }
        for key, count in other.types.items():
            kind, _, of_finding = key.partition(" ")
            bump(self.types, f"{kind} {limited[of_finding]}", count)
        for side, bodies in self.bodies.items():
            bodies.add(other.bodies[side])

    def _add_limited(self, key: str, count: int, example: str, affected: int) -> str:
        """Add to the counts of the finding *key*. Return *key*, shortened if there are too many.

        *example* is the exact place of a finding.
        """
        key = bump_limited(self.findings, key, 3, count, MAX_FINDINGS)
        bump(self.affected, key, affected)
        self.examples.setdefault(key, example)
        return key

    def count_finding(self, finding: Finding, prefix: str = FINDINGS) -> None:
        """Count *finding*. *prefix* says whether it is plain, accepted or unused."""
        # `place` is already masked. Masking the result would also mask the `*`.
        place = generalise(finding.place) if finding.pointer else finding.place
        key = f"{prefix}{finding.severity} {finding.rule} {finding.side} {place}\n{finding.case}"
        key = self._add_limited(key, 1, finding.place, key not in self.findings)
        if kind := type_of(finding):
            bump(self.types, f"{kind} {key}")

    def as_row(self) -> dict[str, Any]:
        """Return the counters as a JSON object. Empty counters are left out."""
        return _non_empty(self) | {"bodies": {side: _non_empty(bodies) for side, bodies in self.bodies.items()}}


def _non_empty(counted: Coverage | BodyCounts) -> dict[str, Any]:
    return {name: counts for name in counted.__slots__ if (counts := getattr(counted, name))}


def coverage_from_row(row: Mapping[str, Any]) -> Coverage:
    """Convert *row*, a JSON object from `Coverage.as_row`, back to a `Coverage`."""
    return Coverage(**{**row, "bodies": {side: BodyCounts(**counts) for side, counts in row["bodies"].items()}})


def evaluation_counts(coverage: Coverage, field_trees: FieldTrees) -> dict[str, int]:
    """Return how often each rule could be evaluated, keyed by rule id."""
    counts = Counter({rule: 0 for rules in RULES_OF_STAGE.values() for rule in rules})
    for stages, count in coverage.stages.items():
        for stage in filter(None, stages.split(", ")):
            for rule in RULES_OF_STAGE[stage]:
                counts[rule] += count
    values: Counter[str] = Counter()
    for side, root in field_trees.items():
        prefix = "request " if side == "request" else ""
        tallies = tally_fields(coverage.bodies[side], root)
        for place in root.all_places():
            documented, tally = place.field, tallies[place.pointer]
            values[f"{prefix}{place.shape}.{place.name}"] += tally.non_null
            counts["untyped-field-value"] += 0 if documented.type else tally.present
            for rule, flag in VALUES_OF_RULE.items():
                counts[rule] += tally.non_null if getattr(documented, flag) else 0
    return dict(counts) | {rule: min(values[name] for name in names) for rule, names in FIELDS_OF_RULE.items()}


def coverage_of_check(
    interaction: Interaction | None,
    raw: RawResult,
    findings: Findings,
    context: CheckContext,
    operation: Operation,
    field_trees: FieldTrees,
    deviations: DeviationIndex,
    test_id: str,
) -> Coverage:
    """Return the coverage from one check in the test *test_id*. *interaction* is None if only a body was checked."""
    coverage = coverage_of_findings(findings)
    coverage.interactions = 1
    coverage.stages = {_stages(interaction, raw, operation, context): 1}
    request, keys = interaction.request if interaction else None, context.known_keys
    if raw.breaches and request:  # no member is masked in a body that conforms
        keys = (*keys_of(request, operation), *keys)
    for side, root in field_trees.items():
        _count_body(coverage.bodies[side], side, raw, root, keys)
    status = str(interaction.response.status) if interaction and interaction.response else "none"
    coverage.statuses = {status: 1} if interaction else {}
    severities = [finding.severity for finding in findings]
    coverage.calls = {f"{status} {severities.count('error')} {severities.count('warning')} {test_id}": 1}
    coverage.cases = {f"broken-request-accepted {raw.case}": 1} if context.broken_request else {}
    _count_deviations(coverage, findings, deviations)
    return coverage


def _count_deviations(coverage: Coverage, findings: Findings, deviations: DeviationIndex) -> None:
    for accepted in findings.accepted:
        if deviation := deviations.find(accepted.finding):
            bump(coverage.deviations, deviation.key)


def coverage_of_behaviour(rule: str, case: str, findings: Findings, deviations: DeviationIndex) -> Coverage:
    """Return the coverage from one evaluation of *rule* by the conformance suite. It counts no interaction."""
    coverage = coverage_of_findings(findings)
    coverage.stages[f"suite {rule}"] = 1
    coverage.cases[f"{rule} {case}"] = 1
    _count_deviations(coverage, findings, deviations)
    return coverage


def coverage_of_findings(findings: Findings) -> Coverage:
    """Return coverage that counts *findings* and nothing else."""
    coverage = Coverage()
    for finding in findings:
        coverage.count_finding(finding)
    for entry in findings.accepted:
        coverage.count_finding(entry.finding, ACCEPTED)
    for finding in findings.unused:
        coverage.count_finding(finding, UNUSED)
    return coverage


_OTHER_CALL = frozenset({"wrong-method", "wrong-path", "unknown-call"})
_HIDING = _OTHER_CALL | {"not-an-order", "too-deep"}
"""If an interaction breaks one of these rules, the members of its body are not counted."""


def _count_body(bodies: BodyCounts, side: str, raw: RawResult, node: Node, keys: Iterable[str]) -> None:
    body = raw.request_body if side == "request" else raw.response_body
    if body is None:
        return
    broken = {breach.rule for breach_side, breach, _ in raw.breaches if breach_side == side}
    if not broken.isdisjoint(_HIDING):
        return
    if body.counts is not None:
        bodies.count_conforming(body.counts)
    elif isinstance(body.value, dict):
        is_bare = "request-not-wrapped" in broken
        bodies.count({"allocation": wrapped_allocation(body.value)[0]} if is_bare else body.value, node, keys)


def _stages(interaction: Interaction | None, raw: RawResult, operation: Operation, context: CheckContext) -> str:
    request_body, response_body = raw.request_body, raw.response_body
    broken = {(side, breach.rule) for side, breach, _ in raw.breaches}
    is_call = request_body is not None and broken.isdisjoint(("request", rule) for rule in _OTHER_CALL)
    is_object = response_body is not None and (bool(response_body.counts) or isinstance(response_body.value, dict))
    messages = {} if interaction is None else {"request": interaction.request, "response": interaction.response}
    unknown = {side for side, message in messages.items() if message is not None and not message.is_body_known}
    reached: dict[str, bool] = {
        "sequence": context.watched,
        "request line": request_body is not None and interaction is not None,
        "call": is_call and interaction is not None,
        "request body": is_call and "request" not in unknown,
        "request JSON": request_body is not None and is_call and request_body.readable,
        "response body": response_body is not None and "response" not in unknown,
        "response JSON": response_body is not None and response_body.readable,
        "order": is_object and ("response", "not-an-order") not in broken,
        "echo": is_object and interaction is not None and request_body is not None,
    }
    if interaction is not None and (response := interaction.response) is not None:
        status, expected = response.status, context.expected is not None
        is_created = status == operation.status
        reached |= {
            "expected status": expected and context.is_final,
            "broken request": context.broken_request,
            "status": context.is_final and not expected and (not context.broken_request or status >= 300),
            "created": is_created,
            "located": is_created and response.header(operation.location_header) is not None,
            "refusal": status >= 400,
        }
    return ", ".join(compress(reached, reached.values()))


class CheckEvent(NamedTuple):
    """An event about one check."""

    origin: Origin | None  # None: derive the origin from the `Server` header of the response
    interaction: Interaction | None  # None if only a body, or a sequence of interactions, was checked
    findings: Findings
    coverage: Callable[[str], Coverage]  # returns the coverage from the check for a given test id


class Listener(Protocol):
    """An object that receives an event for every check of an engine."""

    @property
    def counts(self) -> bool:
        """Whether this listener counts coverage. If not, servers and cassettes send no events to it."""

    def on_check(self, event: CheckEvent) -> None:
        """Handle the event for one check."""


class CoverageRecorder:
    """A thread-safe recorder of coverage. It creates a file in *folder* and writes one line for each check."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._file = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

    def record(self, origin: Origin, coverage: Coverage) -> None:
        """Write the coverage from one check."""
        os.write(self._file, f"{origin} {self._encode(coverage.as_row())}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_recorded(folder: Path) -> dict[Origin, Coverage]:
    """Add up the coverage in the files of `CoverageRecorder` in *folder*. Return the totals, keyed by origin."""
    found: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            origin, _, row = line.partition(b" ")
            with contextlib.suppress(ValueError, KeyError):  # the last line of a process that was killed is incomplete
                found[origin.decode()].add(coverage_from_row(json.loads(row)))  # type: ignore[index]  # or a KeyError
    return found


class CoverageCounter:
    """A listener that keeps the total coverage of this process in memory, keyed by origin."""

    counts = True

    def __init__(self) -> None:
        self.by_origin: dict[Origin, Coverage] = {origin: Coverage() for origin in ORIGINS}
        self._lock = threading.Lock()

    def on_check(self, event: CheckEvent) -> None:
        """Add the coverage from one check to the totals."""
        with self._lock:
            self.by_origin[event.origin or origin_of(event.interaction)].add(event.coverage(""))
