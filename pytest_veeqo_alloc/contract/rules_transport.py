"""Rules about the request line, the headers and the status.

Rows: id, side, basis, severity in lenient, documented and strict (error, warning, -), holds when, remedy, source.
"""

from __future__ import annotations

_PAGE = "the page, 'POST /orders/{order_id}/allocations'"
_PARAMETERS = "the page, 'Parameters'"
_RESPONSES = "the page, 'Responses'"
_JSON_TYPE = "RFC 8259 section 11; RFC 6839 section 3.1 for +json"

ROWS = (
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
