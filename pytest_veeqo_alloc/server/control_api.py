"""The control API of a fake or a proxy: JSON over HTTP, for tests in any language. Its responses contain no secrets."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pytest_veeqo_alloc.capture.writers import interaction_document
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import is_json_type, path_of
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.redaction.redactor import redact
from pytest_veeqo_alloc.server.request_log import BaseServer, message_size
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan, json_response

PREFIX = "/__veeqo_alloc__/"
_MAX_INTERACTIONS, _MAX_BYTES = 1000, 10_000_000
_ANY_ORIGIN = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*"))
_METHODS = {
    "reset": "reset", "faults": "inject_fault", "responses": "respond_with", "expect": "expect_finding",
    "keys": "new_key", "stubs": "stub",
}  # fmt: skip
"""Maps the name of a POST call to the name of a method of the server. A proxy has only some of these methods."""


def with_control_api(server: BaseServer) -> Callable[[Request], Exchange]:
    """Return a request handler that answers calls of the control API, and passes other requests to *server*."""

    def handle(request: Request) -> Exchange:
        path = path_of(request.url)
        if not path.startswith(PREFIX):
            return _handle_call(server, request)
        try:
            response = json_response(200, _answer(server, path.removeprefix(PREFIX), request))
        except (LookupError, ValueError) as error:
            status = 404 if isinstance(error, LookupError) else 400
            response = json_response(status, {"error_messages": str(error)})
        return _unlogged(server, response)

    return handle


def _unlogged(server: BaseServer, response: Response) -> Exchange:
    return Exchange(ResponsePlan(response), server.log.aborted, lambda sent: None)


def _handle_call(server: BaseServer, request: Request) -> Exchange:
    """Return the response of *server*. A fake has no secrets, so pages of any origin may read its responses (CORS)."""
    origin = request.header("origin")
    if origin is None or server.origin != "fake":
        return server.handle(request)
    if request.method == "OPTIONS" and request.header("access-control-request-method") is not None:
        asked = {name: request.header(f"access-control-request-{name}") for name in ("headers", "private-network")}
        headers = (
            *_ANY_ORIGIN,
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            *((f"Access-Control-Allow-{name.title()}", value) for name, value in asked.items() if value is not None),
            ("Access-Control-Max-Age", "600"),
        )
        return _unlogged(server, Response(204, headers))
    exchange = server.handle(request)
    response = exchange.plan.response
    return replace(
        exchange, plan=replace(exchange.plan, response=replace(response, headers=response.headers + _ANY_ORIGIN))
    )


def _answer(server: BaseServer, name: str, request: Request) -> dict[str, Any]:
    """Return the result of the call *name*. Raise LookupError for an unknown call, ValueError for invalid arguments."""
    if request.method in ("GET", "HEAD") and name in _READS:
        return _READS[name](server)
    writes = {write: getattr(server, method) for write, method in _METHODS.items() if hasattr(server, method)}
    if request.method == "POST" and name in writes:
        try:
            returned = writes[name](**_arguments(request))
        except TypeError:
            parameters = inspect.signature(writes[name]).parameters.values()
            takes = [parameter.name for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD]
            raise ValueError(f"POST {name} takes {', '.join(takes) or 'no argument'}") from None
        return {"ok": True} if returned is None else {"ok": True, "api_key": returned}
    known = [*(f"GET {read}" for read in _READS), *(f"POST {write}" for write in writes)]
    raise LookupError(f"unknown call; the calls under {PREFIX} are {', '.join(known)}")


def _arguments(request: Request) -> dict[str, Any]:
    """Return the arguments of a POST call. Raise ValueError if they are not JSON, or if a web page sent the request."""
    if request.header("origin") is not None:
        raise ValueError("requests from a web page (with an Origin header) are not accepted")
    if not request.body:
        return {}
    if not is_json_type(request.header("content-type") or ""):
        raise ValueError("send content-type: application/json")
    try:
        members = json.loads(request.body)
    except ValueError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(members, dict):
        raise ValueError('the body must be an object with the arguments, such as {"name": "gzip"}')
    return members


def _findings(server: BaseServer) -> dict[str, Any]:
    server.settle()
    problems = server.problems
    parts: list[tuple[int | None, Findings]] = [(one.number, server.findings_of(one)) for one in server.log.records]
    parts.append((None, server.sequence_findings()))
    rows = [{**finding.as_row(), "request": number} for number, part in parts for finding in part]
    unexpected = server.without_expected(server.engine.merge(part for _, part in parts))
    return {"ok": unexpected.ok and not problems, "checked": len(server.log.records), "findings": rows,
            "complaints": problems}  # fmt: skip


def _interactions(server: BaseServer) -> dict[str, Any]:
    """Return the latest interactions of *server* in the format of interaction files, with secrets redacted.

    `omitted` is the number of the earlier interactions, which are left out to limit the size.
    """
    stored, latest, size = server.interactions, list[Interaction](), 0
    for index in range(len(stored) - 1, max(len(stored) - _MAX_INTERACTIONS, 0) - 1, -1):
        interaction = stored[index]
        messages = (interaction.request, interaction.response)
        size += sum(message_size(message) for message in messages if message is not None)
        if latest and size > _MAX_BYTES:
            break
        latest.insert(0, interaction)
    omitted = len(stored) - len(latest)
    documents = [
        {"number": number, "source": interaction.source, **interaction_document(interaction)}
        for number, interaction in enumerate(redact(latest), start=omitted + 1)
    ]
    return {"interactions": documents, "omitted": omitted}


_READS: Mapping[str, Callable[[BaseServer], dict[str, Any]]] = {
    "findings": _findings,
    "interactions": _interactions,
    "health": lambda server: {"ok": True},
}
