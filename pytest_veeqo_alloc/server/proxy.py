"""The proxy in front of somebody else's server: both directions are checked, and every write goes through `live`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace

from pytest_veeqo_alloc.contract.http_rules import keys_of
from pytest_veeqo_alloc.core.http import Interaction, Request, Response, decode_content_or_empty
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError, NotSentError, SendError
from pytest_veeqo_alloc.live.client import READS, LiveClient
from pytest_veeqo_alloc.live.permission import is_loopback
from pytest_veeqo_alloc.live.transport import Forwarder
from pytest_veeqo_alloc.server.request_log import NO_FINDINGS, BaseServer, Log, PendingExchange, Record, responses_of
from pytest_veeqo_alloc.server.responses import ResponsePlan
from pytest_veeqo_alloc.spec.loader import tables


class Proxy(BaseServer):
    """Passes the documented call on to the server of *live*, and with *reads* what only reads as well.

    The client's key is passed, and none is added, kept or shown. Where the guards of `live` refuse a request it is
    answered with 403 and not passed on; where the server gives no answer, with 502.
    """

    source, origin = "the proxy", "target"

    def __init__(
        self,
        engine: Engine,
        live: LiveClient,
        *,
        reads: bool = False,
        tell: Callable[[Record], object] | None = None,
        timeouts: tuple[float, float] = (5, 30),
    ) -> None:
        super().__init__(engine, tell)
        self._live, self._reads = live, reads
        self._forwarder = Forwarder(live.permission, f"veeqo-alloc-{uuid.uuid4().hex}", timeouts)

    def reset(self) -> None:
        """Nothing seen."""
        self._log.settle()
        self.publish()
        self._begin()

    def leads_to(self, own: str) -> bool:
        """Whether the server behind is at `host:port` *own*, which is where this proxy listens."""
        host, _, port = self._live.target.rpartition(":")
        own_host, _, own_port = own.rpartition(":")
        return port == own_port and (
            host == own_host or (is_loopback(host.strip("[]")) and is_loopback(own_host.strip("[]")))
        )

    def take_in(self, request: Request) -> PendingExchange:
        """The front's way in."""
        target = replace(request, url=self._forwarder.target_of(request.url.removeprefix(self.url)))
        is_read = self._reads and request.method in READS
        keys = keys_of(request, tables().operation)
        is_meant = tables().operation.matches(Interaction(request))
        found = self.engine.evaluate_served(request, keys)[0] if is_meant else NO_FINDINGS
        log = self._log
        record = log.opened(request, found)
        if any(self._forwarder.via in value for value in request.header_values("via")):
            return self._refused(log, record, 508, "the upstream leads back to this proxy")
        if not is_read and not is_meant:
            return self._refused(log, record, 403, f"only {tables().operation.name} is passed on{_hint(request)}")
        try:
            return self._passed_on(log, record, target, is_read=is_read)
        except NotSentError as error:
            return self._refused(log, record, 502, str(error))
        except SendError as error:
            self.complain(f"request {record.number}: {error}")
            return PendingExchange(log, record, _sentence(502, str(error)), ending="unanswered")
        except LiveError as error:
            return self._refused(log, record, 403, f"not passed on: {error.for_command()}")

    def _refused(self, log: Log, record: Record, status: int, sentence: str) -> PendingExchange:
        """An answer of the proxy's own to what it did not pass on: nobody's but ours, so the interaction has none. That
        counts, but for a read: a client may look, and nothing was lost."""
        if record.request.method not in READS:
            self.complain(f"request {record.number} was answered with {status}: {sentence}")
        record.source += f", answered here with {status}: {sentence}"
        return PendingExchange(log, record, _sentence(status, sentence))

    def _passed_on(self, log: Log, record: Record, target: Request, *, is_read: bool) -> PendingExchange:
        with self._live.admission(target) as admission:
            answer = self._forwarder.send(target)
            plain = replace(answer, body=decode_content_or_empty(answer.body, answer.headers))
            admission.answered(plain)
        record.answer, record.ending = lambda: plain, "answered"
        record.is_ours = not is_read
        if record.is_ours:
            record.answered = responses_of(self.engine.evaluate(Interaction(target, plain)))
        return PendingExchange(log, record, ResponsePlan(answer))


def _hint(request: Request) -> str:
    return "; give --allow-reads to read through it" if request.method in READS else ""


def _sentence(status: int, sentence: str) -> ResponsePlan:
    body = json.dumps({"error_messages": sentence}).encode()
    return ResponsePlan(Response(status, (("Content-Type", "application/json"),), body))
