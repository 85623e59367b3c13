"""The rules with their severity in each profile. The id and the meaning of a rule do not change between releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_veeqo_alloc.core.text import unknown_name

Severity = Literal["error", "warning", "off"]
Basis = Literal["documented", "rfc", "convention"]
BodySide = Literal["request", "response"]
Side = Literal["request", "response", "client", "file"]

Profile = Literal["lenient", "documented", "strict"]
RuleId = Literal[
    "wrong-method", "wrong-path", "order-id-not-integer", "undocumented-query", "api-key-missing", "key-in-url",
    "request-media-type", "response-media-type", "wrong-status", "undocumented-status", "server-error",
    "unexpected-status", "location-missing", "location-invalid", "location-order", "error-body-shape",
    "error-leaks-internals", "broken-request-accepted", "repeated-post", "key-sent-elsewhere", "unknown-call",
    "body-missing", "not-json", "not-utf8", "too-deep", "non-finite-number", "byte-order-mark", "duplicate-key",
    "request-not-wrapped", "wrong-type", "null-value", "required-field", "absent-field", "undocumented-field",
    "not-an-order", "untyped-field-value", "line-item-shape", "line-items-empty", "quantity-not-positive",
    "quantity-not-integer", "duplicate-sellable", "id-not-positive-integer", "datetime-format",
    "negative-amount", "order-echo", "allocation-echo", "allocation-quantity", "allocation-order",
    "payment-order", "available-stock", "stock-totals", "stock-copies", "stock-entry-sellable",
    "stock-entry-warehouse", "profit", "margin", "on-hand-value", "title-copies", "main-image-product",
    "subtotal", "total", "completeness", "allocated-sellable", "subscription-plan", "json-media-type-refused",
    "key-not-required", "method-accepted", "unknown-order-accepted", "order-id-not-positive-accepted",
    "trailing-data-accepted", "allocation-ids-not-distinct", "allocations-not-accumulated", "race-lost-update",
    "refusal-partly-applied", "stock-not-updated", "chunked-request-refused", "client-changes-allocation",
    "client-rejects-documented-answer", "client-hides-failure", "client-without-timeout",
    "client-retries-forever", "client-shows-key", "cassette-secret", "cassette-too-old", "cassette-format",
]  # fmt: skip
"""The id of a rule, for type checkers."""

BODY_SIDES: tuple[BodySide, ...] = get_args(BodySide)
PROFILES: tuple[Profile, ...] = get_args(Profile)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

READERS: Mapping[Side, str] = {
    "request": "client",
    "response": "server",
    "client": "client",
    "file": "person who keeps the file",
}
"""The program or person that can fix a finding of each side."""

_LETTERS: dict[str, Severity] = {"e": "error", "w": "warning", "-": "off"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the contract.

    `summary` names the problem, `wanted` the expectation, and `source` the document that states the rule. `remedies`
    has an instruction for each side, and `severities` a severity for each profile.
    """

    id: RuleId
    sides: tuple[Side, ...]
    basis: Basis
    severities: Mapping[str, Severity]
    summary: str
    wanted: str
    remedies: Mapping[Side, str]
    source: str
    stored: Severity = "error"  # the highest severity in a stored file, which may contain failures on purpose

    @property
    def general_remedies(self) -> dict[Side, str]:
        """The remedies in words that fit every documented type."""
        return {side: text.replace("{type}", "value of the documented type") for side, text in self.remedies.items()}


_Row = tuple[RuleId, Side | Literal["both"], Basis, str, str, str, str | tuple[str, str], str]

_PAGE = "Veeqo documentation, 'POST /orders/{order_id}/allocations'"
_PARAMETERS = "Veeqo documentation, 'Parameters'"
_HEADERS = "Veeqo documentation, 'Header Parameters'"
_TABLES = "Veeqo documentation, 'Request Body' and 'Responses'"
_RESPONSES = "Veeqo documentation, 'Responses'"
_EXAMPLE_REQUEST = "Veeqo documentation, example request"
_EXAMPLE_RESPONSE = "Veeqo documentation, example response"
_ORDERS = "Veeqo documentation, example response; three orders from 2017-18"
_JSON_TYPES = "application/json, or a type that ends in +json"
_JSON_TYPE = "RFC 8259 section 11; RFC 6839 section 3.1 for +json"
_GRAMMAR = "RFC 8259 section 2"
_OBSERVED = "accept this deviation with --veeqo-alloc-deviations observed"

# Columns: id, side, basis, severities (error, warning, -) in lenient, documented and strict, summary, wanted, remedy
# (or a pair: for the client's author and for the server's), source. {type} in a remedy is the documented type.

_ROWS: tuple[_Row, ...] = (
    # Messages: request line, headers and status.
    ("wrong-method", "request", "documented", "eee", "a method other than POST", "POST",
     "send POST; the Veeqo documentation lists no other method for this path", _PAGE),
    ("wrong-path", "request", "documented", "eee", "a path other than /orders/{order_id}/allocations",
     "<base path>/orders/{order_id}/allocations",
     "post to <base URL>/orders/{order_id}/allocations, without a trailing slash or an extension", _PAGE),
    ("order-id-not-integer", "request", "documented", "eee", "an order id in the path that is not an integer",
     "an integer", "put the numeric order id in the path, not the order number (such as #P-1)", _PARAMETERS),
    ("undocumented-query", "request", "documented", "-we", "an undocumented query parameter", "no query parameter",
     "remove the parameter; the Veeqo documentation lists no query parameters", _PARAMETERS),
    ("api-key-missing", "request", "convention", "-we", "no x-api-key header",
     "an x-api-key or Authorization: Bearer header", "send the API key in the x-api-key header",
     f"{_HEADERS} (not marked as required)"),
    ("key-in-url", "request", "convention", "wee", "a credential in the URL", "no credential in the URL",
     "send the API key in the x-api-key header only, and replace the exposed key: URLs end up in logs",
     f"{_HEADERS}; RFC 9110 section 17.9 on secrets in URIs"),
    ("request-media-type", "request", "rfc", "wee", "a request body that is not declared as JSON", _JSON_TYPES,
     "send the header content-type: application/json", _JSON_TYPE),
    ("response-media-type", "response", "rfc", "eee", "a response body that is not declared as JSON", _JSON_TYPES,
     "answer with the header content-type: application/json", _JSON_TYPE),
    ("wrong-status", "response", "documented", "eee", "a 2xx status other than 201", "201", "answer with 201 Created",
     _RESPONSES),
    ("undocumented-status", "response", "documented", "eee", "an undocumented status", "201, the only documented status",
     "read the response body for the reason; a test that expects this status passes expect_status=", _RESPONSES),
    ("server-error", "response", "rfc", "eee", "a 5xx status", "201, or a 4xx status for a client error",
     "find the cause in the server's log; a test that expects this status passes expect_status=", "RFC 9110 section 15.6"),
    ("unexpected-status", "response", "convention", "eee", "a status other than the expected one",
     "the status given as expect_status=", "read the response body for the reason, or correct expect_status=",
     "the expect_status= argument of the check"),
    ("location-missing", "response", "documented", "wee", "a 201 response without a Location header", "the URL of the order",
     "send the URL of the order in the Location header", "Veeqo documentation, 'Headers' of the 201 response"),
    ("location-invalid", "response", "rfc", "wee", "a Location header that is not a URI reference", "a URI reference",
     "percent-encode the characters that a URI cannot contain", "RFC 9110 section 10.2.2; RFC 3986 section 4.1"),
    ("location-order", "response", "convention", "-we", "a Location header that does not point to this order",
     "a path that ends in /orders/{id in the response body}", "send the URL of the order, not of the allocation",
     "the Location header that the live API sends"),
    ("error-body-shape", "response", "convention", "--w", "an error body in an unknown format",
     "an empty body, or an error format that the live API uses",
     'answer with {"error_messages": "..."} or {"error_messages": ["..."]}',
     "error responses to other calls of the live API, captured in 2026"),
    ("error-leaks-internals", "response", "convention", "wee", "an error body that shows internals of the server",
     "no API key, stack trace, database error or server file path",
     "answer with a message for the client, and write the details to the server's log",
     "OWASP, 'Improper Error Handling'"),
    # These severities are limited by those of the rules that the request is known to break.
    ("broken-request-accepted", "response", "convention", "eee", "an accepted request that the test broke on purpose",
     "a 4xx status", "answer with a 4xx status and allocate nothing",
     "RFC 9110 section 15.5; the broken_request= argument of the check"),
    ("repeated-post", "request", "convention", "wee", "a POST that was repeated before the order was read",
     "a read of the order before the POST is repeated",
     "read the order before you post again: if the first POST succeeded, a second one may allocate the units twice",
     "RFC 9110 section 9.2.2, on methods that are not idempotent"),
    ("key-sent-elsewhere", "request", "convention", "eee", "an API key that was sent to another host",
     "no API key in a request to another host",
     "remove the API key before you follow a redirect to another host, or do not follow the redirect",
     "RFC 9110 section 15.4, on headers to remove from a redirected request"),
    ("unknown-call", "request", "convention", "-ww", "a call that the fake does not know",
     "the documented call, another call that the fake answers, or a stub",
     "answer the call with a stub, such as veeqo_alloc_server.stub(\"GET\", \"/warehouses\", json=[]), or correct the path",
     "the calls that the fake answers"),
    # Bodies.
    ("body-missing", "both", "rfc", "eee", "no body", "a JSON body",
     ("send the allocation as a JSON object", "answer with the order as a JSON object"), _GRAMMAR),
    ("not-json", "both", "rfc", "eee", "a body that is not JSON", "a JSON body",
     ("send valid JSON; common mistakes are truncation and single quotes",
      "answer with valid JSON; common mistakes are truncation and an HTML error page"), _GRAMMAR),
    ("not-utf8", "both", "rfc", "eee", "a body that is not UTF-8", "UTF-8 text", "encode the body as UTF-8",
     "RFC 8259 section 8.1"),
    ("too-deep", "both", "rfc", "eee", "a body that is nested too deeply", "at most 64 levels of arrays and objects",
     "flatten the body; JSON parsers may reject deeper nesting", "RFC 8259 section 9, which lets a parser limit nesting"),
    ("non-finite-number", "both", "rfc", "eee", "a number that is not finite or has too many digits",
     "a finite number of at most 4,300 digits", "send a finite number; NaN and Infinity are not valid JSON",
     "RFC 8259 section 6"),
    ("byte-order-mark", "both", "rfc", "wee", "a byte order mark before the body", "no byte order mark",
     "encode the body without a byte order mark (in Python: utf-8, not utf-8-sig)", "RFC 8259 section 8.1"),
    ("duplicate-key", "both", "rfc", "wee", "a member that occurs more than once in an object",
     "one member with this name", "send the member once; JSON parsers disagree about which occurrence counts",
     "RFC 8259 section 4"),
    ("request-not-wrapped", "request", "documented", "wee", "an allocation without the wrapper object",
     "an object whose only member is 'allocation'",
     'wrap the body: {"allocation": {"warehouse_id": ..., "line_items_attributes": [...]}}', _EXAMPLE_REQUEST),
    ("wrong-type", "both", "documented", "eee", "a value of the wrong type", "the documented type",
     "send a JSON {type}", _TABLES),
    ("null-value", "both", "documented", "wee", "null in a field with a documented type", "the documented type",
     ("send a JSON {type}", f"send a JSON {{type}}; if the live API sends null here too, {_OBSERVED}"), _TABLES),
    ("required-field", "both", "documented", "eee", "a missing field that is marked as required", "the field",
     "send the field", _TABLES),
    ("absent-field", "both", "documented", "wee", "a missing documented field", "the field",
     ("send the field", f"send the field; if the live API omits the field too, {_OBSERVED}"), _RESPONSES),
    ("undocumented-field", "both", "documented", "-we", "an undocumented field", "no field with this name",
     ("remove the field, or accept the field as a deviation",
      f"remove the field; if the live API sends the field too, {_OBSERVED}"), _TABLES),
    ("not-an-order", "response", "documented", "eee", "a body that is not an order", "an object with the fields of an order",
     "answer with the whole order, and send error messages with a 4xx or 5xx status", _RESPONSES),
    ("untyped-field-value", "response", "convention", "-ww", "a value in a field without a documented type",
     "null, as in the documented example", "check that the value is intended; the Veeqo documentation states no type for this field",
     _EXAMPLE_RESPONSE),
    ("line-item-shape", "request", "convention", "eee", "a line item without a numeric sellable_id and quantity",
     "an object with a numeric sellable_id and quantity", 'send each line item as {"sellable_id": 1, "quantity": 1}',
     f"{_EXAMPLE_REQUEST}; VeeqoAPI/api-docs, resources/allocations.md"),
    ("line-items-empty", "request", "convention", "-we", "an allocation without line items",
     "at least one line item", "send at least one line item; an allocation without line items reserves nothing",
     _EXAMPLE_REQUEST),
    ("quantity-not-positive", "both", "convention", "-we", "a quantity of 0 or less", "a quantity of 1 or more",
     "send a quantity of 1 or more", "common sense"),
    ("quantity-not-integer", "both", "convention", "-we", "a fractional quantity", "a whole number",
     "send a whole number of units", "common sense"),
    ("duplicate-sellable", "request", "convention", "-we", "a sellable in more than one line item",
     "one line item per sellable", "combine the quantities into one line item", "common sense"),
    ("id-not-positive-integer", "both", "convention", "-we", "an id that is not a positive integer",
     "a positive integer", "send the id of an existing record", "Veeqo documentation, every id in the examples"),
    ("datetime-format", "response", "convention", "-we", "a date-time that is not in RFC 3339 format",
     "an RFC 3339 date-time", "write the date-time in the form 2016-04-06T12:25:40Z",
     f"RFC 3339 section 5.6; {_EXAMPLE_RESPONSE}"),
    ("negative-amount", "response", "convention", "-we", "a negative price or cost", "an amount of 0 or more",
     "send an amount of 0 or more; express a reduction as a discount", "common sense"),
    # Orders, compared with the request.
    ("order-echo", "response", "convention", "wee", "an order other than the requested one",
     "the order id in the request path", "answer with the requested order", _EXAMPLE_RESPONSE),
    ("allocation-echo", "response", "convention", "wee", "no allocation that matches the request",
     "an allocation of a requested sellable in the requested warehouse",
     "answer with the order as it is after this request", _EXAMPLE_RESPONSE),
    ("allocation-quantity", "response", "convention", "-we", "an allocation of units that were not requested",
     "only requested sellables, with at most the requested quantities (all that were open if allocated_completely is true)",
     "allocate what was requested, or answer with a 4xx status", _EXAMPLE_RESPONSE),
)  # fmt: skip

# Equations that hold in every known order, except anonymised ones: id, summary, wanted (the formula), remedy.
_EQUATIONS: tuple[tuple[RuleId, str, str, str], ...] = (
    ("allocation-order", "an allocation with the order_id of another order", "order_id = id of the order",
     "set order_id of every allocation to the id of its order"),
    ("payment-order", "a payment with the order_id of another order", "payment.order_id = id of the order",
     "set order_id of the payment to the id of its order"),
    ("available-stock", "available stock that does not equal physical minus allocated stock", "available = physical - allocated",
     "subtract allocated from physical stock; the result may be negative"),
    ("stock-totals", "inventory totals that differ from the sums of the stock entries",
     "physical, allocated and incoming of inventory = sums over stock_entries",
     "recalculate the inventory totals after each change of stock"),
    ("stock-copies", "stock levels of a sellable that differ from the stock levels in its inventory",
     "stock levels of the sellable = stock levels in its inventory", "copy the stock levels from inventory"),
    ("stock-entry-sellable", "a stock entry with the sellable_id of another sellable", "sellable_id = id of the sellable",
     "list each stock entry under its own sellable"),
    ("stock-entry-warehouse", "a stock entry with two different warehouse ids", "warehouse_id = warehouse.id",
     "return the warehouse whose id is warehouse_id"),
    ("profit", "a profit that is not price minus cost price", "profit = price - cost_price",
     "subtract cost_price from price; the result may be negative"),
    ("margin", "a margin that does not match price and cost price", "margin = (price - cost_price) / price x 100",
     "compute the margin as a percentage of the price"),
    ("on-hand-value", "a stock value that is not physical stock times cost price",
     "sellable_on_hand_value = physical stock x cost_price; on_hand_value = sum over stock_entries",
     "multiply the physical stock by cost_price"),
    ("title-copies", "a sellable_title or product_title that differs from the original title",
     'product_title = product.title and sellable_title = title, or "" if the title is "Default"',
     "copy the titles of the sellable and of the product"),
    ("main-image-product", "a main image with the product_id of another product", "main_image.product_id = id of the product",
     "return a main image of this product"),
    ("subtotal", "a subtotal that does not match the line items",
     "subtotal_price = sum of (quantity x price_per_unit) - total_discounts",
     "add up the line items and subtract the discounts"),
    ("total", "a total that is not the sum of its parts", "total_price = subtotal_price + total_tax + delivery_cost",
     "add tax and delivery to the subtotal"),
    ("completeness", "an allocated_completely value that contradicts the allocations",
     "allocated_completely = whether every ordered sellable is allocated in full",
     "set allocated_completely to true if every ordered sellable is allocated in full, otherwise to false"),
    ("allocated-sellable", "an allocated sellable that was not ordered", "a sellable from the order's line items",
     "allocate only sellables from the order's line items"),
    ("subscription-plan", "a subscription_plan_id that differs from subscription_plan.id",
     "subscription_plan_id = subscription_plan.id", "return the plan whose id is subscription_plan_id"),
)  # fmt: skip

EQUATIONS = frozenset(row[0] for row in _EQUATIONS)
"""The ids of the equations. A finding shows the formula in `wanted` after the expected value."""

# Checked by `--lint` only.
_FILE_ROWS: tuple[_Row, ...] = (
    ("cassette-secret", "file", "convention", "wee", "something that looks like a secret",
     "no secret and no personal data", "run veeqo-alloc redact --in-place on the file",
     "OWASP, 'Secrets Management Cheat Sheet'"),
    ("cassette-too-old", "file", "convention", "wee", "a recording that is too old", "a recording from the last --max-age days",
     "record the cassette again; a new recording contains its date", "the --max-age option"),
    ("cassette-format", "file", "convention", "wee", "a cassette in a version other than 1",
     "version 1, the only one that vcrpy writes", "record the cassette again with the installed vcrpy",
     "vcrpy documentation"),
)  # fmt: skip

# Behaviours of a server or a client that only the conformance suite can see.
_SUITE_ROWS: tuple[_Row, ...] = (
    ("json-media-type-refused", "response", "rfc", "wee", "a JSON media type that was refused", "a 2xx status",
     "compare the media type without its parameters and regardless of case", "RFC 9110 section 8.3.1"),
    ("key-not-required", "response", "convention", "-we", "an accepted request without a valid API key",
     "a 4xx status, such as 401", "check the API key before anything else", _HEADERS),
    ("method-accepted", "response", "rfc", "wee", "an accepted request with a method other than POST", "a 4xx status, such as 405",
     "answer other methods with 405 and an Allow header, or with 404", "RFC 9110 section 15.5.6"),
    ("unknown-order-accepted", "response", "convention", "-we", "an accepted allocation to an unknown order",
     "a 4xx status, such as 404", "answer with 404 if there is no such order", _PARAMETERS),
    ("order-id-not-positive-accepted", "response", "convention", "-we",
     "an accepted allocation to an order id of 0 or less", "a 4xx status, such as 404",
     "answer with 404 if there is no such order", _PARAMETERS),
    ("trailing-data-accepted", "response", "rfc", "wee", "an accepted body with text after its JSON value",
     "a 4xx status, such as 400", "answer with 400 if anything follows the JSON value in the body", _GRAMMAR),
    ("allocation-ids-not-distinct", "response", "convention", "-we", "two allocations or line items with the same id",
     "a different id for each", "give each allocation, and each of its line items, an id of its own", _EXAMPLE_RESPONSE),
    ("allocations-not-accumulated", "response", "convention", "-we", "an order without its earlier allocations",
     "the sum of all allocations of the order", "keep the allocations of an order, and answer with all of them",
     _EXAMPLE_RESPONSE),
    ("race-lost-update", "response", "convention", "-we", "an allocation that was lost when several were made at once",
     "the sum of all accepted allocations", "change the stock and the order in one transaction, or lock the order",
     "common sense"),
    ("refusal-partly-applied", "response", "convention", "-we", "a refused request that was partly carried out",
     "no change of the order", "check every line item before you allocate, or undo all of it when one fails",
     "common sense"),
    ("stock-not-updated", "response", "convention", "-we", "stock levels that an allocation did not change",
     "stock levels that change by the allocated units", "subtract the allocated units from the available stock, once",
     _EXAMPLE_RESPONSE),
    ("chunked-request-refused", "response", "convention", "-we", "a refused request with a chunked body",
     "a 2xx status, or 411", "read the body until its last chunk, or answer with 411 Length Required",
     "RFC 9112 section 7.1; RFC 9110 section 15.5.12"),
    ("client-changes-allocation", "client", "convention", "wee", "a client that changes the given allocation",
     "the order, warehouse, sellables and quantities that the client was given",
     "send the ids and quantities as they are, as JSON integers", _EXAMPLE_REQUEST),
    ("client-rejects-documented-answer", "client", "convention", "wee", "a client that raises an exception after a success",
     "no exception", "accept every documented response, and ignore what the client does not need", _RESPONSES),
    ("client-hides-failure", "client", "convention", "wee", "a client that reports success after a failure",
     "an exception, unless exactly the given allocation was made",
     "raise an exception unless the response is a 201 with the order, or a read of the order shows the allocation",
     _RESPONSES),
    ("client-without-timeout", "client", "convention", "wee", "a client that waits too long for a response",
     "a return or an exception within --veeqo-alloc-client-timeout", "give every request a timeout", "common sense"),
    ("client-retries-forever", "client", "convention", "wee", "a client that does not stop retrying",
     "a return or an exception within --veeqo-alloc-client-timeout", "limit the number of retries, and their time",
     "RFC 6585 section 4; RFC 9110 section 15.6.4"),
    ("client-shows-key", "client", "convention", "wee", "a client that shows its API key",
     "no API key in output, logs, warnings and exceptions", "keep the API key out of messages and logs",
     "OWASP, 'Secrets Management Cheat Sheet'"),
)  # fmt: skip
SUITE_RULES = frozenset(row[0] for row in _SUITE_ROWS)
"""The ids of the rules about behaviours that only the conformance suite can see."""

NOT_IN_BASELINES = frozenset({
    "body-missing", "client-shows-key", "error-leaks-internals", "key-in-url", "key-sent-elsewhere", "non-finite-number",
    "not-an-order", "not-json", "not-utf8", "order-id-not-integer", "repeated-post", "server-error", "too-deep",
    "undocumented-status", "unexpected-status", "wrong-method", "wrong-path", "wrong-status",
    *(row[0] for row in _FILE_ROWS),
})  # fmt: skip
"""The ids of the rules whose findings no baseline accepts: exposed secrets, unreadable bodies, failed calls."""

_EQUATION_ROWS: tuple[_Row, ...] = tuple(
    (row[0], "response", "convention", "-we", *row[1:], _ORDERS) for row in _EQUATIONS
)
_WARNINGS_IF_STORED = ("undocumented-status", "server-error", "order-echo", "allocation-echo")


def _rule(row: _Row) -> Rule:
    rule_id, side, basis, letters, summary, wanted, remedy, source = row
    sides: tuple[Side, ...] = BODY_SIDES if side == "both" else (side,)
    remedies = dict.fromkeys(sides, remedy) if isinstance(remedy, str) else dict(zip(sides, remedy, strict=True))
    severities: dict[str, Severity] = dict(zip(PROFILES, map(_LETTERS.__getitem__, letters), strict=True))
    stored: Severity = "warning" if rule_id in _WARNINGS_IF_STORED else "error"
    return Rule(rule_id, sides, basis, severities, summary, wanted, remedies, source, stored)


CATALOGUE: Mapping[str, Rule] = {row[0]: _rule(row) for row in (*_ROWS, *_EQUATION_ROWS, *_SUITE_ROWS, *_FILE_ROWS)}
"""Every rule by its id, in the order of docs and reports: messages, bodies, orders, behaviours, files."""


def severities(profile: str, overrides: Mapping[str, str] | None = None) -> dict[str, Severity]:
    """Return the severities by rule id. *overrides* win over *profile*. Raise ValueError for an unknown name."""
    if profile not in PROFILES:
        raise ValueError(unknown_name("profile", profile, PROFILES))
    if overrides is not None and not isinstance(overrides, Mapping):
        raise TypeError("rules must map rule ids to severities, such as {'null-value': 'warning'}")
    chosen = {rule_id: rule.severities[profile] for rule_id, rule in CATALOGUE.items()}
    for rule_id, severity in (overrides or {}).items():
        if rule_id not in CATALOGUE:
            raise ValueError(unknown_name("rule", rule_id, CATALOGUE))
        if severity not in SEVERITIES:
            raise ValueError(unknown_name(f"severity for {rule_id}", severity, SEVERITIES))
        chosen[rule_id] = severity
    return chosen


def parse_overrides(settings: Iterable[str]) -> dict[Any, Any]:
    """Map rule ids to severities in strings such as `null-value=warning`. Raise ValueError for a string without `=`."""
    overrides: dict[Any, Any] = {}
    for setting in settings:
        rule, equals, severity = setting.partition("=")
        if not equals:
            raise ValueError(f"expected ID=SEVERITY, such as null-value=warning, not {setting!a}")
        overrides[rule.strip()] = severity.strip()
    return overrides
