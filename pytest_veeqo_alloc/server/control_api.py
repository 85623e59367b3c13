"""The control path of a served fake or proxy, for clients in any language. JSON in, JSON out; nothing secret in it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from typing import Any

from pytest_veeqo_alloc.capture.writers import interaction_document
from pytest_veeqo_alloc.contract.http_rules import is_json_type, path_of
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.redaction.redactor import redact
from pytest_veeqo_alloc.server.request_log import BaseServer, Log, Record
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan, json_answer

PREFIX = "/__veeqo_alloc__/"


class _Told:
    """An answer of the control path, which nobody keeps count of."""

    def __init__(self, log: Log, response: Response) -> None:
        self.sending, self.over = ResponsePlan(response), log.over

    def finished(self, *, whole: bool) -> None:
        """Nothing comes of it."""


def controlled(served: BaseServer) -> Callable[[Request], Exchange]:
    """The way in to *served*, with its control path before it."""

    def take_in(request: Request) -> Exchange:
        path = path_of(request.url)
        if not path.startswith(PREFIX):
            return served.take_in(request)
        try:
            answer = json_answer(200, _answer(served, request.method, path.removeprefix(PREFIX), request))
        except LookupError as error:
            answer = json_answer(404, {"error_messages": str(error.args[0])})
        except ValueError as error:
            answer = json_answer(400, {"error_messages": str(error)})
        return _Told(served.log, answer)

    return take_in


def _answer(served: BaseServer, method: str, name: str, request: Request) -> Any:
    reads = {"findings": _findings, "interactions": _interactions}
    if method == "GET" and name in reads:
        return reads[name](served)
    writes = {"reset": "reset", "faults": "inject_fault", "responses": "respond_with", "expect": "expect_finding"}
    if method == "POST" and hasattr(served, writes.get(name, "?")):
        call, arguments = getattr(served, writes[name]), _arguments(request)
        try:
            call(**arguments)
        except TypeError:
            takes = ", ".join(each for each in inspect.signature(call).parameters if each != "given") or "no argument"
            raise ValueError(f"POST {name} takes {takes}") from None
        return {"ok": True}
    known = [f"GET {each}" for each in reads] + [
        f"POST {each}" for each, call in writes.items() if hasattr(served, call)
    ]
    raise LookupError(f"below {PREFIX} there are {', '.join(known)}")


def _arguments(request: Request) -> dict[str, Any]:
    """The members of the body. Only JSON that is declared so is taken: a page in a browser can send any other."""
    if request.header("origin") is not None:
        raise ValueError("a page in a browser has no business here")
    if not request.body:
        return {}
    if not is_json_type(request.header("content-type") or ""):
        raise ValueError("send content-type: application/json")
    try:
        members = json.loads(request.body)
    except ValueError:
        raise ValueError("the body is no JSON") from None
    if not isinstance(members, dict):
        raise ValueError('the body is an object with the arguments, such as {"name": "gzip"}')
    return members


def _findings(served: BaseServer) -> dict[str, Any]:
    served.settle()
    listed = [(record.number, finding) for record in served.log.records for finding in served.log.findings_of(record)]
    in_sequence = ((None, finding) for finding in served.log.in_sequence())
    rows = [{**finding.as_row(), "request": number} for number, finding in (*listed, *in_sequence)]
    problems = served.problems
    return {"ok": served.unexpected.ok and not problems, "checked": len(served.log.records), "findings": rows,
            "complaints": problems}  # fmt: skip


def _interactions(served: BaseServer) -> dict[str, Any]:
    """Redacted, each as in a file of its own."""
    return {"interactions": list(_documents(served.log.records))}


def _documents(records: Iterable[Record]) -> Iterable[dict[str, Any]]:
    pairs = [(record.number, record.interaction()) for record in records]
    shown: list[Interaction] = redact(each for _, each in pairs)
    for (number, each), safe in zip(pairs, shown, strict=True):
        yield {"number": number, "source": each.source, **interaction_document(safe)}
