"""Rules about the request line, the headers and the status.

Rows: id, side, basis, severity in lenient, documented and strict (error, warning, -), holds when, remedy, source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pytest_veeqo_alloc.core.text import unknown

_PAGE = "the page, 'POST /orders/{order_id}/allocations'"
_PARAMETERS = "the page, 'Parameters'"
_RESPONSES = "the page, 'Responses'"
_JSON_TYPE = "RFC 8259 section 11; RFC 6839 section 3.1 for +json"

_HTTP_ROWS = (
    ("wrong-method", "request", "documented", "eee", "the method is POST",
     "send POST; no other method of this path is documented", _PAGE),
    ("wrong-path", "request", "documented", "eee", "the path ends in /orders/{order_id}/allocations, below any base path",
     "post to <base URL>/orders/{order_id}/allocations, without a slash or an extension behind it", _PAGE),
    ("order-id-not-integer", "request", "documented", "eee", "order_id in the path is an integer",
     "put the numeric order id in the path, not the order number such as #P-1", _PARAMETERS),
    ("undocumented-query", "request", "documented", "-we", "the URL has no query parameter",
     "leave the parameter out; what it says belongs in the body, or nowhere", _PARAMETERS),
    ("api-key-missing", "request", "convention", "-we", "x-api-key or Authorization: Bearer is sent",
     "send the key in the header x-api-key", "the page, 'Header Parameters', where it is not marked required"),
    ("key-in-url", "request", "convention", "wee",
     "the API key stands nowhere in the URL, and no query parameter is named like a credential",
     "send the key in the header x-api-key alone: URLs end up in logs; then replace the key, since it may have leaked",
     "the page, 'Header Parameters'; RFC 9110 section 17.9 on secrets in URIs"),
    ("request-media-type", "request", "rfc", "wee", "the request body is declared as application/json or +json",
     "send content-type: application/json", _JSON_TYPE),
    ("response-media-type", "response", "rfc", "eee", "the response body is declared as application/json or +json",
     "answer with content-type: application/json", _JSON_TYPE),
    ("wrong-status", "response", "documented", "eee", "a success is 201", "answer 201 Created", _RESPONSES),
    ("undocumented-status", "response", "documented", "-we", "the status is not 3xx or 4xx (none is documented)",
     "if the failure is what the test wants, say so with expect_status=; else see the body of the answer", _RESPONSES),
    ("server-error", "response", "rfc", "wee", "the status is not 5xx",
     "look into the server's log; a fault of the caller is answered with 4xx", "RFC 9110 section 15.6"),
    ("unexpected-status", "response", "convention", "eee", "the status is the one that the caller expects",
     "see the body of the answer, or correct expect_status=", "expect_status= of the caller"),
    ("location-missing", "response", "documented", "wee", "a 201 has the header Location",
     "send Location with the URL of the order", "the page, 'Headers' of the 201"),
    ("location-invalid", "response", "rfc", "wee", "Location is a URI reference",
     "percent-encode what a URI may not hold", "RFC 9110 section 10.2.2; RFC 3986 section 4.1"),
    ("location-order", "response", "convention", "-we", "the path of Location ends in /orders/{id of the body}",
     "name the order, not the allocation", "the Location that the live API was seen to send"),
    ("error-body-shape", "response", "convention", "--w", "the body of a 4xx or 5xx is empty or of an observed form",
     'answer {"error_messages": "..."} or {"error_messages": ["..."]}', "error answers of other calls, seen in 2026"),
    ("error-leaks-internals", "response", "convention", "-we",
     "the body of an error shows no stack trace, database error or path of a file on the server",
     "answer with a message for the caller and keep the details in the server's log", "OWASP, 'Improper Error Handling'"),
    ("broken-request-accepted", "response", "convention", "eee",
     "a request that the caller knows to be broken is not answered with success",
     "answer 4xx and create nothing", "RFC 9110 section 15.5; asked for by the caller"),
    ("repeated-post", "request", "convention", "wee",
     "no POST is sent again after a time-out, a broken answer or a 5xx",
     "read the order first: the first POST may have been carried out, and a second would allocate twice",
     "RFC 9110 section 9.2.2, on methods that are not idempotent"),
    ("key-sent-elsewhere", "request", "convention", "eee", "the key follows no redirect to another host",
     "take the key out before you follow a redirect, or follow none",
     "RFC 9110 section 15.4, on headers that a redirected request leaves out"),
)  # fmt: skip


_TABLES = "the page, 'Request Body' and 'Responses'"
_RESPONSE = "the page, 'Responses'"
_EXAMPLE_REQUEST = "the page's example request"
_GRAMMAR = "RFC 8259 section 2"

_BODY_ROWS = (
    ("body-missing", "both", "rfc", "eee", "there is a body", "send a JSON object as the body", _GRAMMAR),
    ("not-json", "both", "rfc", "eee", "the body is JSON text",
     "send JSON; look for truncation, an HTML page, or a body that was encoded twice", _GRAMMAR),
    ("not-utf8", "both", "rfc", "eee", "the body is UTF-8", "encode the body as UTF-8", "RFC 8259 section 8.1"),
    ("too-deep", "both", "rfc", "eee", "arrays and objects nest at most 64 levels deep",
     "flatten the value; readers may refuse what nests deeper", "RFC 8259 section 9, which lets a reader set a limit"),
    ("non-finite-number", "both", "rfc", "eee",
     "every number is JSON, fits a double and has at most 4,300 digits; NaN and Infinity are not JSON",
     "send a finite number, or null where there is none", "RFC 8259 section 6"),
    ("byte-order-mark", "both", "rfc", "wee", "the body does not begin with a byte order mark",
     "encode as utf-8, not utf-8-sig", "RFC 8259 section 8.1"),
    ("duplicate-key", "both", "rfc", "wee", "no object names a member twice",
     "send each member once; readers disagree about which of two counts", "RFC 8259 section 4"),
    ("request-not-wrapped", "request", "documented", "wee",
     "warehouse_id and line_items_attributes do not stand at the root",
     'wrap the body: {"allocation": {"warehouse_id": ..., "line_items_attributes": [...]}}', _EXAMPLE_REQUEST),
    ("wrong-type", "both", "documented", "eee", "a field has its documented type", "send a JSON {wanted}", _TABLES),
    ("null-value", "both", "documented", "wee", "a field with a documented type is not null",
     "send a JSON {wanted}; if the live API sends null here, see --veeqo-alloc-deviations observed", _TABLES),
    ("required-field", "both", "documented", "eee", "a field marked required is there, and allocation, which holds such",
     "send the field", _TABLES),
    ("absent-field", "both", "documented", "wee", "every other documented field is there",
     "send the field; if the live API leaves it out, see --veeqo-alloc-deviations observed", _RESPONSE),
    ("undocumented-field", "both", "documented", "-we", "no other field is there",
     "leave the field out, or accept it as a deviation", _TABLES),
    ("not-an-order", "response", "documented", "eee", "the body has a documented field of an order besides status",
     "answer with the whole order; an error message needs a status of 4xx or 5xx", _RESPONSE),
    ("untyped-field-value", "response", "convention", "-ww", "a field with no documented type is null",
     "nothing, if the value is right: the page documents no type for it", "the page's example response"),
    ("line-item-shape", "request", "convention", "eee", "every line is an object with numeric sellable_id and quantity",
     'send each line as {"sellable_id": 1, "quantity": 1}', _EXAMPLE_REQUEST),
    ("line-items-empty", "request", "convention", "-we", "there is at least one line",
     "send at least one line; an allocation of nothing reserves nothing", _EXAMPLE_REQUEST),
    ("quantity-not-positive", "both", "convention", "-we", "a quantity is above 0", "send a quantity of 1 or more",
     "good sense"),
    ("quantity-not-integer", "both", "convention", "-we", "a quantity is a whole number", "send whole units",
     "good sense"),
    ("duplicate-sellable", "request", "convention", "-we", "no sellable stands in two lines",
     "add the quantities up in one line", "good sense"),
    ("id-not-positive-integer", "both", "convention", "-we", "an id is a whole number above 0", "send the id of a record",
     "every id of the page's example"),
    ("datetime-format", "response", "convention", "-we", "a date and time is written as in RFC 3339",
     "write it as 2016-04-06T12:25:40Z", "RFC 3339 section 5.6; the page's example response"),
    ("negative-amount", "response", "convention", "-we", "prices and costs are not below 0",
     "send an amount of 0 or more; what a customer gets off is a discount", "good sense"),
)  # fmt: skip


_ORDERS = "the page's example and three orders of 2017-18"
_EXAMPLE_RESPONSE = "the page's example response"


def _equation(rule_id: str, holds_when: str, remedy: str) -> tuple[str, str, str, str, str, str, str]:
    return (rule_id, "response", "convention", "-we", holds_when, remedy, _ORDERS)


_ORDER_ROWS = (
    ("order-echo", "response", "convention", "-we", "id = order_id of the path", "answer with the order that was asked for",
     _EXAMPLE_RESPONSE),
    ("allocation-echo", "response", "convention", "-we",
     "an allocation is in the requested warehouse and has no sellable and no quantity beyond the request, "
     "and all of it where the order is allocated completely",
     "answer with the order as it stands after this request", _EXAMPLE_RESPONSE),
    _equation("allocation-order", "order_id = id of the order", "give every allocation the id of its order"),
    _equation("payment-order", "payment.order_id = id of the order", "give the payment the id of its order"),
    _equation("available-stock", "available = physical - allocated", "derive available stock; it may be negative"),
    _equation("stock-totals", "physical, allocated and incoming of inventory = sums over stock_entries",
              "sum the stock entries anew after each change"),
    _equation("stock-copies", "the sellable's own stock levels = those of its inventory", "copy them from inventory"),
    _equation("stock-entry-sellable", "sellable_id = id of the sellable", "list each stock entry under its own sellable"),
    _equation("stock-entry-warehouse", "warehouse_id = warehouse.id", "show the warehouse that the stock entry names"),
    _equation("profit", "profit = price - cost_price", "derive profit; it may be negative"),
    _equation("margin", "margin = (price - cost_price) / price x 100", "derive margin as a percentage of the price"),
    _equation("on-hand-value", "value of stock = physical x cost_price, and their sum for the sellable",
              "value physical stock at cost price"),
    _equation("title-copies", "sellable_title = title and product_title = product.title", "copy the titles"),
    _equation("main-image-product", "main_image.product_id = id of the product", "show an image of this product"),
    _equation("subtotal", "subtotal_price = sum of quantity x price_per_unit - total_discounts",
              "sum the lines and take the discounts off"),
    _equation("total", "total_price = subtotal_price + total_tax + delivery_cost", "add tax and delivery to the subtotal"),
    _equation("completeness", "allocated_completely says whether each ordered sellable is allocated in full",
              "set it where allocated quantities reach ordered ones, for every sellable"),
    _equation("allocated-sellable", "what is allocated was ordered", "allocate only sellables of the order's own lines"),
    _equation("subscription-plan", "subscription_plan_id = subscription_plan.id", "show the plan that the id names"),
)  # fmt: skip

EQUATIONS = frozenset(row[0] for row in _ORDER_ROWS if row[6] == _ORDERS)
"""The rules whose words are an equation, to be shown beside the value that it asks for."""


_FILE_ROWS = (
    ("cassette-secret", "file", "convention", "wee",
     "a stored interaction holds no key, e-mail address, card or telephone number, and no string that looks random",
     "run veeqo-alloc redact --in-place on the file; then replace the key, which whoever can read the file has seen",
     "OWASP, 'Secrets Management Cheat Sheet'"),
    ("cassette-too-old", "file", "convention", "wee", "a recording is not older than --max-age days",
     "record it anew, which stamps it with the day", "--max-age of the caller"),
    ("cassette-format", "file", "convention", "wee", "a cassette has version 1, the only one that vcrpy writes",
     "record it anew with the vcrpy that is installed", "vcrpy's documentation of its cassettes"),
)  # fmt: skip


Severity = Literal["error", "warning", "off"]
Basis = Literal["documented", "rfc", "convention"]
BodySide = Literal["request", "response"]
Side = Literal["request", "response", "file"]

BODY_SIDES: tuple[BodySide, ...] = ("request", "response")

PROFILES = ("lenient", "documented", "strict")
SEVERITIES = ("error", "warning", "off")

_LETTERS: dict[str, Severity] = {"e": "error", "w": "warning", "-": "off"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong.

    `holds_when` says what is right, `remedy` what to do where it is not, `source` where that is written. `severities`
    has one entry per profile.
    """

    id: str
    sides: tuple[Side, ...]
    basis: Basis
    severities: Mapping[str, Severity]
    holds_when: str
    remedy: str
    source: str


def _rule(row: tuple[str, str, str, str, str, str, str]) -> Rule:
    rule_id, sides, basis, letters, holds_when, remedy, source = row
    return Rule(
        id=rule_id,
        sides=("request", "response") if sides == "both" else (cast(Side, sides),),
        basis=cast(Basis, basis),
        severities=dict(zip(PROFILES, (_LETTERS[letter] for letter in letters), strict=True)),
        holds_when=holds_when,
        remedy=remedy,
        source=source,
    )


CATALOGUE: Mapping[str, Rule] = {row[0]: _rule(row) for row in (*_HTTP_ROWS, *_BODY_ROWS, *_ORDER_ROWS, *_FILE_ROWS)}
"""Every rule by its id, in the order in which they are told: transport, bodies, the order's own arithmetic, files."""


def severities(profile: str, overrides: Mapping[str, str] | None = None) -> dict[str, Severity]:
    """The severity of every rule in *profile*, with single entries replaced by *overrides*.

    ValueError, with the nearest known name, for a profile, rule or severity that does not exist.
    """
    if profile not in PROFILES:
        raise ValueError(unknown("profile", profile, PROFILES))
    if overrides is not None and not isinstance(overrides, Mapping):
        raise TypeError("rules maps rule ids to severities, such as {'null-value': 'warning'}")
    chosen = {rule.id: rule.severities[profile] for rule in CATALOGUE.values()}
    for rule_id, severity in (overrides or {}).items():
        if rule_id not in CATALOGUE:
            raise ValueError(unknown("rule", rule_id, CATALOGUE))
        if severity not in SEVERITIES:
            raise ValueError(unknown(f"severity for {rule_id}", severity, SEVERITIES))
        chosen[rule_id] = cast(Severity, severity)
    return chosen
