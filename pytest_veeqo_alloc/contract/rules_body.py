"""Rules about bodies: whether they can be read, their structure, and the values in single fields.

Rows: id, side, basis, severity in lenient, documented and strict (error, warning, -), holds when, remedy, source.
"""

from __future__ import annotations

_TABLES = "the page, 'Request Body' and 'Responses'"
_RESPONSE = "the page, 'Responses'"
_EXAMPLE = "the page's example request"
_GRAMMAR = "RFC 8259 section 2"

ROWS = (
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
     'wrap the body: {"allocation": {"warehouse_id": ..., "line_items_attributes": [...]}}', _EXAMPLE),
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
     'send each line as {"sellable_id": 1, "quantity": 1}', _EXAMPLE),
    ("line-items-empty", "request", "convention", "-we", "there is at least one line",
     "send at least one line; an allocation of nothing reserves nothing", _EXAMPLE),
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
