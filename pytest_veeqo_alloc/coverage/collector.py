"""How often each rule had something to look at: by stages that an interaction reached, and by the fields of equations.

`MEANT` says of each rule what it needs. A test holds it against the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from pytest_veeqo_alloc.contract.checker import CheckContext, RawResult, Settings, Tables
from pytest_veeqo_alloc.contract.deviations import Deviation, generalised
from pytest_veeqo_alloc.contract.field_table import Field
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES, keys_of
from pytest_veeqo_alloc.contract.structure import wrapped_allocation
from pytest_veeqo_alloc.core.http import Interaction, Response
from pytest_veeqo_alloc.coverage.field_counts import (
    MAX_NAMES,
    OTHERS,
    BodyCounts,
    Counts,
    FieldTally,
    Node,
    add,
    build_field_tree,
    bump,
)

# What an interaction may reach.
LINE, CALL, REQUEST, REQUEST_JSON = "request line", "call", "request body", "request JSON"
STATUS, EXPECTED, BROKEN = "status", "expected status", "broken request"
RESPONSE, RESPONSE_JSON, ORDER = "response body", "response JSON", "order"
CREATED, LOCATED, REFUSAL, ECHO, SEQUENCE = "created", "located", "refusal", "echo", "sequence"

_BYTES = (REQUEST, RESPONSE)
_JSON = (REQUEST_JSON, RESPONSE_JSON)
_STAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("wrong-method", "wrong-path", "order-id-not-integer"), (LINE,)),
    **dict.fromkeys(("undocumented-query", "api-key-missing", "key-in-url"), (CALL,)),
    **dict.fromkeys(("body-missing", "not-json", "not-utf8", "byte-order-mark"), _BYTES),
    **dict.fromkeys(("too-deep", "non-finite-number", "duplicate-key", "wrong-type"), _JSON),
    **dict.fromkeys(("null-value", "required-field", "undocumented-field"), _JSON),
    "request-media-type": (REQUEST_JSON,),
    "request-not-wrapped": (REQUEST_JSON,),
    "response-media-type": (RESPONSE_JSON,),
    "not-an-order": (RESPONSE_JSON,),
    "absent-field": (ORDER,),
    **dict.fromkeys(("wrong-status", "undocumented-status", "server-error"), (STATUS,)),
    "unexpected-status": (EXPECTED,),
    "broken-request-accepted": (BROKEN,),
    "location-missing": (CREATED,),
    **dict.fromkeys(("location-invalid", "location-order"), (LOCATED,)),
    **dict.fromkeys(("error-body-shape", "error-leaks-internals"), (REFUSAL,)),
    **dict.fromkeys(("order-echo", "allocation-echo"), (ECHO,)),
    **dict.fromkeys(SEQUENCE_RULES, (SEQUENCE,)),
}

_SELLABLE = ("sellable.available_stock_level_at_all_warehouses", "inventory.available_stock_level_at_all_warehouses")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "line-item-shape": ("new allocation.line_items_attributes",),
    "line-items-empty": ("new allocation.line_items_attributes",),
    "duplicate-sellable": ("new line_item.sellable_id",),
    "allocation-order": ("allocation.order_id", "order.id"),
    "payment-order": ("payment.order_id", "order.id"),
    "available-stock": ("stock_entry.physical_stock_level", "stock_entry.allocated_stock_level"),
    "stock-totals": ("inventory.physical_stock_level_at_all_warehouses", "stock_entry.physical_stock_level"),
    "stock-copies": _SELLABLE,
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
"""Fields, as SHAPE.NAME (`new` before those of a request), without any of which a rule has nothing to compare."""

_VALUES: Mapping[str, str] = {
    "id-not-positive-integer": "is_id",
    "quantity-not-positive": "is_quantity",
    "quantity-not-integer": "is_quantity",
    "datetime-format": "is_datetime",
    "negative-amount": "is_amount",
}
"""Rules of single values, and the mark of the fields that they are about."""

RULES_WITH_PRECONDITIONS = (*_STAGES, *_FIELDS, *_VALUES, "untyped-field-value")


def evaluation_counts(
    stages: Mapping[str, int],
    response: tuple[Node, Mapping[str, FieldTally]],
    request: tuple[Node, Mapping[str, FieldTally]],
) -> dict[str, int]:
    """How often each rule could be looked at. For an equation it is how often the rarest of its fields was there."""
    found = {rule: sum(stages.get(stage, 0) for stage in needs) for rule, needs in _STAGES.items()}
    fields = list(chain(_fields(*response), _fields(*request, before="new ")))
    there: dict[str, int] = {}
    for name, _, tally in fields:
        there[name] = there.get(name, 0) + tally.non_null
    found |= {rule: min(there.get(name, 0) for name in names) for rule, names in _FIELDS.items()}
    found |= {
        rule: sum(tally.non_null for _, each, tally in fields if getattr(each, mark)) for rule, mark in _VALUES.items()
    }
    found["untyped-field-value"] = sum(tally.present for _, each, tally in fields if each.type is None)
    return found


def _fields(
    root: Node, tally_fields: Mapping[str, FieldTally], before: str = ""
) -> Iterable[tuple[str, Field, FieldTally]]:
    for node in root.nodes():
        for place in node.places:
            yield f"{before}{place.shape}.{place.field.name}", place.field, tally_fields[place.pointer]


Origin = Literal["target", "fake", "cassette"]
ORIGINS: tuple[Origin, ...] = ("target", "fake", "cassette")
"""Where an interaction came from: the server under test, our fake, a cassette."""

OUR_SERVER = "pytest-veeqo-alloc"
"""The header Server (RFC 9110 section 10.2.4) of our fake's answers."""

_STRUCTURAL = frozenset({
    "wrong-type", "null-value", "required-field", "absent-field", "undocumented-field", "not-an-order",
    "untyped-field-value", "line-item-shape", "request-not-wrapped", "non-finite-number",
})  # fmt: skip
"""The rules by which a body may depart from the documented structure; where all of them hold, it need not be walked."""

_NOT_LOOKED_INTO = frozenset({"not-an-order", "too-deep", "wrong-method", "wrong-path"})
"""Those that hide whatever a body holds."""


@dataclass(frozen=True, slots=True)
class FieldTrees:
    """Every place of the documented bodies."""

    request: Node
    response: Node


def field_trees_of(tables: Tables) -> FieldTrees:
    """The places of the documented bodies."""
    return FieldTrees(build_field_tree(tables.request), build_field_tree(tables.response))


@dataclass(slots=True)
class Coverage:
    """Counts of interactions. Keys are texts, so that they cross from one process to another: `stages` has all that an
    interaction reached, `findings` has `SEVERITY RULE SIDE PLACE`, `calls` has `STATUS ERRORS WARNINGS TEST`, `deviations`
    has `RULE PLACE`."""

    interactions: int = 0
    stages: Counts = field(default_factory=dict)
    statuses: Counts = field(default_factory=dict)
    calls: Counts = field(default_factory=dict)
    findings: Counts = field(default_factory=dict)
    deviations: Counts = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    request: BodyCounts = field(default_factory=BodyCounts)
    response: BodyCounts = field(default_factory=BodyCounts)

    def add(self, other: Coverage) -> None:
        """Adds the counts of *other*."""
        self.interactions += other.interactions
        for name in _COUNTERS:
            add(getattr(self, name), getattr(other, name))
        for key, count in other.findings.items():
            self._find(key, count, other.examples[key])
        self.request.add(other.request)
        self.response.add(other.response)

    def _find(self, key: str, count: int, example: str) -> None:
        if key not in self.findings and len(self.findings) >= MAX_NAMES:
            key = " ".join((*key.split(" ", 3)[:3], OTHERS))
        bump(self.findings, key, count)
        self.examples.setdefault(key, example)

    def reached(self) -> dict[str, int]:
        """How many interactions reached each stage."""
        found: Counts = {}
        for stages, count in self.stages.items():
            for stage in stages.split(", "):
                bump(found, stage, count)
        return found

    def find(self, finding: Finding) -> None:
        """Counts a finding at its place, with one pointer for an example."""
        # Masked before indices become `*`, which is no name that may be shown.
        place = generalised(finding.place, None) if finding.pointer else finding.place
        self._find(f"{finding.severity} {finding.rule} {finding.side} {place}", 1, finding.place)

    def as_row(self) -> dict[str, Any]:
        """What another process is told: what is not nothing, as JSON has it."""
        row: dict[str, Any] = {"interactions": self.interactions}
        for name in _OF_A_ROW:
            if counted := getattr(self, name):
                row[name] = counted
        for side, bodies in (("request", self.request), ("response", self.response)):
            if bodies.clean:
                row[f"{side} clean"] = bodies.clean
            if bodies.walked:
                row |= {f"{side} {name}": getattr(bodies, name) for name in _BODIES}
        return row


_COUNTERS = ("stages", "statuses", "calls", "deviations")
_OF_A_ROW = (*_COUNTERS, "findings", "examples")
_BODIES = ("clean", "walked", "odd", "extra")


def coverage_from_row(row: Mapping[str, Any]) -> Coverage:
    """What `as_row` told."""
    counted = Coverage(row.get("interactions", 0), examples=row.get("examples", {}))
    for name in (*_COUNTERS, "findings"):
        add(getattr(counted, name), row.get(name, {}))
    for side, bodies in (("request", counted.request), ("response", counted.response)):
        for name in _BODIES:
            add(getattr(bodies, name), row.get(f"{side} {name}", {}))
    return counted


def coverage_of_check(
    interaction: Interaction | None,
    examined: RawResult,
    findings: Findings,
    described: tuple[Tables, FieldTrees],
    settings: Settings,
    context: CheckContext,
    test: str,
) -> Coverage:
    """What one check showed: of *interaction*, or of a body alone where that is None."""
    tables, field_trees = described
    counted = Coverage(1)
    bump(counted.stages, ", ".join(_stages(interaction, examined, tables, context)))
    request = interaction.request if interaction else None
    keys = (*keys_of(request, tables.operation), *context.known_keys) if request else context.known_keys
    _count(counted.request, "request", examined, field_trees.request, keys)
    _count(counted.response, "response", examined, field_trees.response, keys)
    status = str(interaction.response.status) if interaction and interaction.response else "none"
    if interaction is not None:
        bump(counted.statuses, status)
    bump(counted.calls, f"{status} {len(findings.errors)} {len(findings.warnings)} {test}")
    for finding in findings:
        counted.find(finding)
    for deviation in filter(None, (settings.accepting.find(accepted.finding) for accepted in findings.accepted)):
        bump(counted.deviations, deviation_key(deviation))
    return counted


def origin_of(interaction: Interaction | None) -> Origin:
    """Where an interaction came from that somebody handed over: our fake says so in its answers."""
    response = interaction.response if interaction is not None else None
    return "fake" if response is not None and response.header("server") == OUR_SERVER else "target"


def coverage_of_findings(findings: Findings) -> Coverage:
    """What findings show that are about several interactions together."""
    coverage = Coverage()
    for finding in findings:
        coverage.find(finding)
    return coverage


def deviation_key(deviation: Deviation) -> str:
    """What a deviation is counted under."""
    return f"{deviation.rule} {deviation.place}"


def _count(bodies: BodyCounts, side: str, examined: RawResult, node: Node, keys: tuple[str, ...]) -> None:
    reading = examined.sent if side == "request" else examined.answer
    if reading is None or not reading.readable or not isinstance(reading.value, dict):
        return
    broken = {breach.rule for where, breach, _ in examined.said if where == side}
    if not broken.isdisjoint(_NOT_LOOKED_INTO):
        return
    if broken.isdisjoint(_STRUCTURAL):
        bodies.count_clean(reading.value, node)
    else:
        value = reading.value
        if side == "request" and "request-not-wrapped" in broken:
            value = {"allocation": wrapped_allocation(value)[0]}
        bodies.count(value, node, keys)


def _stages(
    interaction: Interaction | None, examined: RawResult, tables: Tables, context: CheckContext
) -> Iterator[str]:
    sent, answer = examined.sent, examined.answer
    yield from (SEQUENCE,) if context.watched else ()
    broken = {(side, breach.rule) for side, breach, _ in examined.said}
    is_call = not broken & {("request", "wrong-method"), ("request", "wrong-path")}
    if sent is not None:
        if interaction is not None:
            yield LINE
        if is_call:
            yield from (CALL,) if interaction is not None else ()
            yield REQUEST
            yield from (REQUEST_JSON,) if sent.readable else ()
    is_order = answer is not None and answer.readable and isinstance(answer.value, dict)
    if answer is not None:
        yield RESPONSE
        yield from (RESPONSE_JSON,) if answer.readable else ()
        yield from (ORDER,) if is_order and ("response", "not-an-order") not in broken else ()
    if interaction is not None and interaction.response is not None:
        yield from _status_stages(interaction.response, tables, context)
        if is_order and sent is not None:
            yield ECHO


def _status_stages(response: Response, tables: Tables, context: CheckContext) -> Iterator[str]:
    if context.broken_request:
        yield BROKEN
    if context.expect_status is not None:
        yield EXPECTED
    elif not context.broken_request or response.status >= 300:
        yield STATUS
    if response.status == tables.operation.status:
        yield CREATED
        yield from (LOCATED,) if response.header(tables.operation.location_header) is not None else ()
    if response.status >= 400:
        yield REFUSAL
