"""A proxy that checks requests to a real server and its responses. It forwards only permitted writes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import replace

from pytest_veeqo_alloc.contract.http_rules import STATUS_RULES, CallKey, is_json_type, keys_of, repeated_call
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError, NotSentError, SendError
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.permission import PROXY_PSEUDONYM, READS, is_loopback
from pytest_veeqo_alloc.live.transport import forward
from pytest_veeqo_alloc.server.request_log import NO_FINDINGS, BaseServer, Log, OnRecord, Record, findings_of_response
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan
from pytest_veeqo_alloc.spec.loader import tables


class Proxy(BaseServer):
    """A proxy that forwards the documented call to a target: the server of the client *live*.

    If *reads* is true, GET, HEAD and OPTIONS requests are forwarded too. API keys are forwarded, but never stored or
    shown. The proxy answers with 403 if a request is not permitted, and with 502 if the target does not respond.
    Requests from web pages are not permitted, except from pages whose origin is in *allow_origins*.
    """

    source, origin = "the proxy", "target"

    def __init__(
        self,
        engine: Engine,
        live: LiveClient,
        *,
        reads: bool = False,
        allow_origins: Collection[str] = (),
        on_record: OnRecord = None,
    ) -> None:
        super().__init__(engine, on_record)
        self._allow_origins = allow_origins
        self._live, self._reads, self._via = live, reads, f"{PROXY_PSEUDONYM}{uuid.uuid4().hex}"
        self._failed: dict[CallKey, Record] = {}

    def leads_to(self, own: str) -> bool:
        """Return whether the target is *own* (`host:port`), the address at which this proxy listens."""
        host, _, port = self._live.target.rpartition(":")
        own_host, _, own_port = own.rpartition(":")
        are_loopback = all(is_loopback(name.strip("[]")) for name in (host, own_host))
        return port == own_port and (host == own_host or are_loopback)

    def handle(self, request: Request) -> Exchange:
        """Check *request*, forward it if that is permitted, and return the response to send."""
        exchange = self._answer(request)
        response = exchange.plan.response
        signed = replace(response, headers=(*response.headers, ("Via", f"1.1 {self._via}")))
        return replace(exchange, plan=replace(exchange.plan, response=signed))

    def _answer(self, request: Request) -> Exchange:
        operation, log = tables().operation, self.log
        is_documented = operation.matches(Interaction(request))
        keys = keys_of(request, operation)
        record = log.open(request, self.engine.evaluate_served(request, keys)[0] if is_documented else NO_FINDINGS)
        if any(self._via in value for value in request.header_values("via")):
            return self._refuse(log, record, 508, "the upstream leads back to this proxy")
        is_read = self._reads and request.method in READS
        if not is_read and not is_documented:
            hint = "; give --allow-reads to forward reads as well" if request.method in READS else ""
            return self._refuse(log, record, 403, f"only {operation.name} is forwarded{hint}")
        if self._is_from_page(request):
            hint = "to allow that site, give --allow-origin with its origin"
            return self._refuse(log, record, 403, f"a web page of another site sent this request: {hint}")
        if not is_read and not is_json_type(request.header("content-type") or ""):
            return self._refuse(log, record, 415, "only JSON is forwarded: send content-type: application/json")
        try:
            return self._forward(log, record, is_read=is_read)
        except NotSentError as error:
            return self._refuse(log, record, 502, str(error))
        except SendError as error:
            self.add_problem(f"request {record.number}: {error}")
            return log.exchange(record, _error(502, str(error)), ending="unanswered")
        except LiveError as error:
            return self._refuse(log, record, 403, f"not forwarded: {error.for_command()}")

    def _is_from_page(self, request: Request) -> bool:
        """Return whether *request* was sent by a web page that may not use the proxy."""
        origins, sites = request.header_values("origin"), request.header_values("sec-fetch-site")
        if not origins:
            return any(site.lower() not in ("same-origin", "none") for site in sites)
        return any(origin not in self._allow_origins for origin in origins)

    def _refuse(self, log: Log, record: Record, status: int, sentence: str) -> Exchange:
        """Return an error response instead of forwarding the request. If the request is not a read, add a problem."""
        if record.request.method not in READS:
            self.add_problem(f"request {record.number} was answered with {status}: {sentence}")
        record.source += f", answered by the proxy with {status}: {sentence}"
        return log.exchange(record, _error(status, sentence))

    def _forward(self, log: Log, record: Record, *, is_read: bool) -> Exchange:
        live = self._live
        url = f"{live.permission.base_url}{record.request.url.removeprefix(self.url)}"
        headers = tuple(pair for pair in record.request.headers if pair[0].lower() != "host")
        request = replace(record.request, url=url, headers=headers)
        with live.admission(request) as admission:
            response = forward(request, live.permission, self._via, live.timeouts)
            admission.end(response)
        log.keep(record, response)
        record.ending, record.is_checked = "answered", not is_read
        if record.is_checked:
            interaction = Interaction(request, response)
            record.response_findings = findings_of_response(self.engine, interaction)
            if earlier := repeated_call(self._failed, interaction, record, tables().operation):
                # Only the status of the last response to a repeated call counts.
                earlier.response_findings = earlier.response_findings.where(
                    lambda found: found.rule not in STATUS_RULES
                )
        return log.exchange(record, ResponsePlan(response))


def _error(status: int, sentence: str) -> ResponsePlan:
    body = json.dumps({"error_messages": sentence}).encode()
    return ResponsePlan(Response(status, (("Content-Type", "application/json"),), body))
