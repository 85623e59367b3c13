"""Sending to a foreign server, and letting somebody else's client send: each request is admitted once."""

from __future__ import annotations

import hmac
import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pytest_veeqo_alloc.contract.allocations import (
    AllocationRequest,
    ExistingAllocation,
    RequestScope,
    asked_for,
    held_by,
    reach_of,
)
from pytest_veeqo_alloc.contract.http_rules import Operation, is_json_type
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response
from pytest_veeqo_alloc.live import JournalError, RefusedError
from pytest_veeqo_alloc.live.journal import Entry, Ids, Writer, made_by, new_name, opened
from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, WritePermission, port_of
from pytest_veeqo_alloc.live.run_state import Rate, Shared
from pytest_veeqo_alloc.live.transport import Sender, Waits
from pytest_veeqo_alloc.spec.loader import tables

JSON_HEADERS: Headers = (("Content-Type", "application/json"),)
READS = ("GET", "HEAD", "OPTIONS")


class Admission:
    """Leave to send one request. Tell it what came of that, even where nothing did: its slot is free only then."""

    def __init__(self, live: Live, slot: str, entry: Entry | None) -> None:
        self._live, self._slot, self._entry = live, slot, entry

    def finished(self, response: Response | None) -> None:
        """The answer, or None where none came: then a write stays UNKNOWN. A second call changes nothing."""
        if not self._slot:
            return
        self._live.shared.ended(self._slot)
        self._slot = ""
        if self._entry is not None:
            self._live.note(self._entry, response)

    def not_sent(self) -> None:
        """The request never left, and that is known."""
        if self._entry is not None and self._slot:
            self._live.writer.outcome(self._entry.name, "not sent")
            self._entry = None
        self.finished(None)


class Live:
    """The foreign server of *permit*, with the budget and rate of *shared* and the journal of *writer*."""

    def __init__(
        self,
        permit: WritePermission,
        shared: Shared,
        writer: Writer,
        *,
        timeouts: tuple[float, float] = (5, 30),
        waits: Waits | None = None,
    ) -> None:
        self.permit, self.shared, self.writer = permit, shared, writer
        self._sender = Sender(permit, timeouts, waits or Waits())
        self._known: dict[int, Ids] = {}
        self._lock = threading.Lock()

    @property
    def target(self) -> str:
        """`host:port` of the server."""
        return self.permit.target

    def admit(self, request: Request) -> Admission:
        """Leave for somebody else's client to send *request*, which waits for its slot. RefusedError, in one sentence,
        for another server, another key, another call that writes, an order beyond the pool, a spent budget."""
        self._refuse_target(request)
        if request.method.upper() in READS:
            return self._admit_read()
        operation = tables().operation
        if not operation.matches(Interaction(request)):
            raise RefusedError(f"only {operation.name} may be sent: of other calls nothing is known that is safe")
        self._refuse_key(request, operation)
        order_id, reach = operation.order_id(request.url), reach_of(request.body)
        self._refuse_order(order_id, reach)
        self._refuse_unbounded(request, reach)
        return self._admit_write(order_id, asked_for(request.body), reach)

    def post(
        self, order_id: int, payload: Any, *, headers: Headers = JSON_HEADERS, key: str | None = None
    ) -> Interaction:
        """Allocates: *payload* is a JSON value, or the bytes of a body. The answer, whatever its status; a 429 is waited
        out. *headers* and *key* are for requests that are broken on purpose. RefusedError, and nothing sent, as for
        `admit`; SendError where no answer came, and then nobody knows what became of it: it is in the journal and not
        sent again."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        asked, reach = asked_for(body), reach_of(body)
        self._refuse_order(order_id, reach)
        self._look_before(order_id)
        operation = tables().operation
        path = operation.path_for(order_id)
        admit = lambda: self._admit_write(order_id, asked, reach)  # noqa: E731  # what the sender calls for each sending
        return Interaction(*self._sender.send(operation.method, path, headers, body, admit=admit, key=key))

    def try_out(self, method: str, path: str, body: bytes | None) -> Interaction:
        """Sends any request below the base URL, charged as a write: only to a server that makes up what is asked, since
        nothing is known of it that is safe. RefusedError where the orders are not `any`."""
        if not self.permit.pool.is_any:
            raise RefusedError("such a request is sent only to a server that may be written to freely (orders any)")

        def admit() -> Admission:
            return self._announced(Entry(new_name(), "post", 0), charged=True, units={}, free={})

        return Interaction(*self._sender.send(method, path, JSON_HEADERS, body, admit=admit))

    def read(self, order_id: int) -> Response:
        """The order. Outside the documented page: other pages of the API document this call. SendError where no answer
        came."""
        return self._sender.send("GET", f"/orders/{order_id}", (), None, admit=self._admit_read)[1]

    def delete(self, order_id: int, allocation_id: int, before: Sequence[int]) -> Response:
        """Deletes an allocation, and by the documentation of that call every other of the order. Only for `cleanup`."""

        def admit() -> Admission:
            entry = Entry(new_name(), "delete", order_id, before=tuple(before))
            return self._announced(entry, charged=False, units={}, free={})

        path = f"/orders/{order_id}/allocations/{allocation_id}"
        return self._sender.send("DELETE", path, (), None, admit=admit)[1]

    def note(self, entry: Entry, response: Response | None) -> None:
        """Writes the outcome of a write, if there is one, and remembers what its order holds now."""
        answered = response is not None and response.is_success
        held = held_by(response.body) if response is not None and answered else None
        if response is not None:
            self.writer.outcome(entry.name, response.status, made_by(entry, held or ()))
        with self._lock:
            if held is not None:
                self._known[entry.order_id] = tuple(each.id for each in held)
            elif response is None or answered or response.status >= 500:
                self._known.pop(entry.order_id, None)

    def _look_before(self, order_id: int) -> None:
        """Know what the order holds, if it tells: what an intent with no outcome brought about is told from that."""
        if order_id in self._known:
            return
        held = held_in(self.read(order_id))
        if held is not None:
            with self._lock:
                self._known[order_id] = tuple(each.id for each in held)

    def _admit_read(self) -> Admission:
        return Admission(self, self.shared.claim(charged=False, units={}, free={}), None)

    def _admit_write(self, order_id: int | None, asked: AllocationRequest, reach: RequestScope) -> Admission:
        if order_id is None:
            raise RefusedError("the path names no order by a number, so it is in no pool")
        before = self._known.get(order_id)
        entry = Entry(new_name(), "post", order_id, asked.warehouse_id, dict(asked.units), before)
        units, free = self._units(order_id, asked.warehouse_id, reach)
        return self._announced(entry, charged=True, units=units, free=free)

    def _announced(self, entry: Entry, *, charged: bool, units: dict[str, float], free: dict[str, float]) -> Admission:
        """Leave for a write whose intent is on the disk. Where it cannot be put there, nothing is sent."""
        slot = self.shared.claim(charged=charged, units=units, free=free)
        try:
            self.writer.intent(entry)
        except JournalError:
            self.shared.ended(slot)
            raise
        return Admission(self, slot, entry)

    def _units(
        self, order_id: int, warehouse_id: int | None, reach: RequestScope
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Units that a write would use, and how many there are, by a name that the message of a refusal can show."""
        units: dict[str, float] = {}
        free: dict[str, float] = {}
        for sellable, quantity in reach.units.items() if warehouse_id is not None else ():
            limit = self.permit.pool.free(order_id, warehouse_id or 0, sellable)
            if limit is not None:
                name = f"sellable {sellable} in warehouse {warehouse_id} for order {order_id}"
                units[name], free[name] = quantity, limit
        return units, free

    def _refuse_order(self, order_id: int | None, reach: RequestScope) -> None:
        if isinstance(order_id, bool) or not isinstance(order_id, int | None):
            raise RefusedError(f"the id of an order is a number, not {type(order_id).__name__}")
        if reason := self.permit.pool.refusal(order_id, reach):
            raise RefusedError(reason)

    def _refuse_unbounded(self, request: Request, reach: RequestScope) -> None:
        """What somebody else's client sends in a way that nobody looked at could be more than the pool has."""
        headers = {name.lower() for name, _ in request.headers}
        odd = urlsplit(request.url).query or headers & {"content-encoding", "x-http-method-override"}
        form = request.body and not is_json_type(request.header("content-type") or "application/json")
        if not self.permit.pool.is_any and (odd or form or not reach.is_bounded):
            raise RefusedError(
                "the request has a query, an override of its method, or a body that cannot be told to stay within the "
                "order pool, so it is not sent"
            )

    def _refuse_target(self, request: Request) -> None:
        base, url = urlsplit(self.permit.base_url), urlsplit(request.url)
        same = (url.scheme, url.hostname, port_of(url)) == (base.scheme, self.permit.host, self.permit.port)
        # Clients resolve dot segments after this was looked at, and may end up beside the base path.
        moves = any(unquote(segment) in (".", "..") for segment in url.path.split("/"))
        if not same or moves or not url.path.startswith(f"{base.path.rstrip('/')}/"):
            raise RefusedError(
                f"the request goes to another server than {base.scheme}://{self.target}, the only one that is allowed"
            )

    def _refuse_key(self, request: Request, operation: Operation) -> None:
        """A key other than the one of the run could be that of production, on the same host."""
        if not self.permit.api_key:
            return
        sent = [*request.header_values(operation.key_header), *request.header_values("authorization")]
        keys = [value.rpartition(" ")[2].encode("utf-8", "replace") for value in sent]
        wanted = self.permit.api_key.encode()
        if not keys or not all(hmac.compare_digest(key, wanted) for key in keys):
            raise RefusedError(
                f"the request has no key, or another than that in {KEY_VARIABLE}: it may be another account's"
            )


def held_in(answer: Response) -> list[ExistingAllocation] | None:
    """What an order that was read holds; None where the answer does not tell."""
    return held_by(answer.body) if answer.status == 200 else None


@contextmanager
def live_alone(granted: WritePermission, journal: Path) -> Iterator[Live]:
    """The one way to the server of *granted* for a run that is a single process. JournalError where *journal* cannot be
    used."""
    with opened(journal, granted.target) as writer, tempfile.TemporaryDirectory(prefix="veeqo-alloc-") as folder:
        yield Live(granted, Shared(Path(folder), Rate.per_second(granted.rate), granted.max_writes), writer)
