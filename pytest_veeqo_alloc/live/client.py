"""A client for a foreign server. Before it sends a write, it counts the write and records it in the journal."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import requests

from pytest_veeqo_alloc.contract.allocations import (
    ExistingAllocation,
    RequestScope,
    existing_allocations,
    request_scope,
)
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response, decode_body, is_client_error
from pytest_veeqo_alloc.live import JournalError, NotSentError, RefusedError
from pytest_veeqo_alloc.live.journal import Entry, JournalWriter, made_by, open_journal
from pytest_veeqo_alloc.live.permission import READS, PoolOrder, WritePermission, check_own_server, check_request
from pytest_veeqo_alloc.live.run_state import Charge, RunState
from pytest_veeqo_alloc.live.transport import Backoff, Timeouts, exchange, new_session
from pytest_veeqo_alloc.spec.loader import tables

Known = tuple[ExistingAllocation, ...] | None
"""The last known allocations of an order, or None if they are unknown."""

JSON_HEADERS: Headers = (("Content-Type", "application/json"),)


class Admission(AbstractContextManager["Admission"]):
    """Permission to send one request in a `with` block. The block should pass the response to `end`."""

    def __init__(self, live: LiveClient, request_id: str, entry: Entry | None, known: Known) -> None:
        self._live, self._request_id, self._entry, self._known = live, request_id, entry, known
        self._is_open = True

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.end("not sent" if isinstance(error, NotSentError) else None)

    def end(self, outcome: Response | Literal["not sent"] | None = None) -> None:
        """Record that the request has ended with *outcome* (None: unknown). Only the first call has an effect."""
        if self._is_open:
            self._is_open = False
            self._live.run_state.end(self._request_id)
            if self._entry is not None:
                self._live.record_outcome(self._entry, self._known, outcome)


class LiveClient:
    """A client that sends only the requests that *permission* allows. It records each write with *writer*."""

    def __init__(self, permission: WritePermission, writer: JournalWriter) -> None:
        self.permission, self.writer, self.target = permission, writer, permission.target
        self.run_state = RunState(writer.shared, permission.rate, permission.max_writes, writer.lock.check)
        self.timeouts: Timeouts = (5, 25)
        self.backoff = Backoff()
        self._session = new_session(permission)
        self._known: dict[int, Known] = {}
        self._listed: dict[int, set[int]] = {}
        self._intent_lock = threading.Lock()
        self._cassettes: set[str] = set()
        self._is_unproven = permission.is_own_server
        self._refusal: RefusedError | None = None

    def prove(self) -> None:
        """Ask a server of the user's own, once, whether it leads to another server. If so, raise RefusedError."""
        if self._is_unproven and self._refusal is None:
            try:
                check_own_server(self.read_order(0))
                self._is_unproven = False
            except RefusedError as error:
                self._refusal = error
        if self._refusal is not None:
            raise self._refusal

    def mount(self, adapter: requests.adapters.BaseAdapter) -> None:
        """Send all requests through *adapter* instead of the network."""
        self._session.mount(self.permission.base_url, adapter)

    def admission(self, request: Request) -> Admission:
        """Wait for the rate limit, then permit another client's *request*. Raise RefusedError if it may not be sent."""
        operation = tables().operation
        check_request(request, self.permission, operation)
        if request.method in READS:
            return self._admit()
        return self._admit(*self._plan(operation.order_id(request.url), request_scope(request.body)))

    def post(
        self,
        order_id: int,
        payload: Any,
        *,
        headers: Headers = JSON_HEADERS,
        key: str | None = None,
        meant: Any = None,
    ) -> Interaction:
        """Send an allocation call, and repeat it after a 429 response. If *payload* is not bytes, send it as JSON.

        *key* replaces the API key. If *key* is empty, no key is sent. If *payload* is a broken variant of a valid body,
        *meant* is the valid body, and *payload* may be unreadable. The units of both bodies are charged. They are
        refunded if the status is 4xx and the order has not changed. Raise RefusedError if the write is not permitted, or
        SendError if no response arrives.
        """
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        scope = request_scope(body)
        if meant is not None:
            scope = replace(scope, problem="").union(request_scope(json.dumps(meant).encode()))
        entry, charge = self._plan(order_id, scope)
        self._remember(order_id, allocations_in(self.read_order(order_id)))
        operation = tables().operation
        request = self._request(operation.method, operation.path_for(order_id), headers, body, key)
        response = self._send(request, replace(entry, before=()), charge)
        if meant is not None and charge and is_client_error(response.status) and self._is_unchanged(order_id):
            self.run_state.refund(charge)
        return Interaction(request, response)

    def reserve_cassette(self, path: Path) -> bool:
        """Reserve the cassette *path* for this process. Return False if another process of the run has reserved it."""
        name = f"cassette-{hashlib.sha256(os.path.realpath(path).encode()).hexdigest()}"
        if name not in self._cassettes and not self.run_state.reserve(name):
            return False
        self._cassettes.add(name)
        return True

    def held(self, order_id: int) -> int | None:
        """Return the last known number of allocations of the order, or None if it is unknown."""
        known = self._known.get(order_id)
        return None if known is None else len(known)

    def free_units(self, order: PoolOrder, used: Mapping[str, float] | None = None) -> dict[int, float]:
        """Map each sellable of *order* to the units that this run may still use. If *used* is None, read the used units."""
        used = self.run_state.used if used is None else used
        return {
            sellable: units - used.get(_charge_name(order.id, order.warehouse_id, sellable), 0)
            for sellable, units in order.sellables.items()
        }

    def _is_unchanged(self, order_id: int) -> bool:
        known, now = self._known.get(order_id), allocations_in(self.read_order(order_id))
        return known is not None and now is not None and known == tuple(now)

    def try_out(self, method: str, path: str, body: bytes | None) -> Interaction:
        """Send any request, and count it as a write. Raise RefusedError unless the order pool permits every order."""
        if not self.permission.pool.is_any:
            raise RefusedError("this request is sent only with --veeqo-alloc-orders any")
        request = self._request(method, path, JSON_HEADERS, body)
        return Interaction(request, self._send(request, Entry("post", 0), {}))

    def read_order(self, order_id: int) -> Response:
        """Return the response to `GET /orders/{order_id}`."""
        return self._send(self._request("GET", f"/orders/{order_id}"))

    def delete(self, order_id: int, allocation_id: int) -> Response:
        """Delete an allocation, and thereby all allocations of the order."""
        request = self._request("DELETE", f"/orders/{order_id}/allocations/{allocation_id}")
        return self._send(request, Entry("delete", order_id))

    def record_outcome(self, entry: Entry, known: Known, outcome: Response | Literal["not sent"] | None) -> None:
        """Write *outcome* to the journal, and remember the order's allocations. *known* are those before the write.

        If *outcome* is None (unknown), write nothing, and forget the order's allocations.
        """
        if outcome is None:
            self._known.pop(entry.order_id, None)
        elif isinstance(outcome, str):
            self.writer.outcome(entry.name, outcome)
        else:
            held = existing_allocations(decode_body(outcome) if outcome.is_success else None)
            is_made = held and entry.kind == "post"
            self.writer.outcome(entry.name, outcome.status, *(made_by(entry, known, held or ()) if is_made else ()))
            if outcome.is_success or outcome.status >= 500:
                self._remember(entry.order_id, held)

    def _request(
        self, method: str, path: str, headers: Headers = (), body: bytes | None = None, key: str | None = None
    ) -> Request:
        key = self.permission.api_key if key is None else key
        credentials = ((tables().operation.key_header, key),) if key else ()
        return Request(method, f"{self.permission.base_url}{path}", (*credentials, *headers), body)

    def _send(self, request: Request, entry: Entry | None = None, charge: Charge | None = None) -> Response:
        """Send *request*, and repeat it after a 429 response as the backoff permits. Return the last response."""
        started = self.backoff.clock()
        for tried in itertools.count(1):
            if tried > 1 and entry is not None and entry.before is not None:
                self._remember(entry.order_id, allocations_in(self.read_order(entry.order_id)))
            with self._admit(entry, charge) as admission:
                response = exchange(self._session, request, self.target, self.timeouts)
                admission.end(response)
            wait = self.backoff.wait_after(response, tried, started)
            if wait is None:
                break
            self.backoff.sleep(wait)
        return response

    def _admit(self, entry: Entry | None = None, charge: Charge | None = None) -> Admission:
        """Wait until the rate limit permits a request. Write *entry* to the journal. Raise JournalError on failure.

        `entry.before` must be empty if the order has just been read, otherwise None.
        """
        if entry is not None:
            self.prove()
        request_id, known = self.run_state.claim(charge), None
        if entry is not None:
            known, listed = self._known.get(entry.order_id), self._listed.setdefault(entry.order_id, set())
            try:
                with self._intent_lock:
                    new = () if known is None else tuple(item.id for item in known if item.id not in listed)
                    is_read = known is not None and entry.before is not None
                    entry = replace(entry, name=uuid.uuid4().hex, before=new if is_read else None)
                    self.writer.intent(entry)
                    listed.update(entry.before or ())
            except JournalError:
                self.run_state.end(request_id)
                raise
        return Admission(self, request_id, entry, known)

    def _plan(self, order_id: object, scope: RequestScope) -> tuple[Entry, Charge]:
        """Return the journal entry and the charge of a write with *scope*. Raise RefusedError if it may not be sent."""
        if order_id is None:
            raise RefusedError("the path has no numeric order id, so the order cannot be in the order pool")
        if isinstance(order_id, bool) or not isinstance(order_id, int):
            raise RefusedError(f"the order id must be an integer, not {type(order_id).__name__}")
        pool = self.permission.pool
        if reason := pool.refusal(order_id, scope):
            raise RefusedError(reason)
        if scope.problem and not pool.is_any:
            raise RefusedError(
                f"the request could write outside the order pool, since {scope.problem}: send JSON with a numeric "
                "warehouse_id, and a numeric sellable_id and quantity in each line item"
            )
        charge: Charge = {
            _charge_name(order_id, place.warehouse_id, sellable): (quantity, place.sellables[sellable])
            for place in pool.places(order_id, scope)
            for sellable, quantity in scope.units.items()
        }
        (warehouse_id, *others) = scope.warehouses or (None,)
        return Entry("post", order_id, None if others else warehouse_id, scope.units), charge

    def _remember(self, order_id: int, held: Sequence[ExistingAllocation] | None) -> None:
        """Remember the order's allocations (None: unknown), to find those that the next write adds."""
        self._known[order_id] = None if held is None else tuple(held)


def _charge_name(order_id: int, warehouse_id: int, sellable_id: int) -> str:
    return f"sellable {sellable_id} in warehouse {warehouse_id} for order {order_id}"


def allocations_in(response: Response) -> list[ExistingAllocation] | None:
    """Return the allocations in a response to `GET /orders/{order_id}`, or None if it contains no readable order."""
    return existing_allocations(decode_body(response)) if response.status == 200 else None


@contextmanager
def open_live(permission: WritePermission, journal: Path) -> Iterator[LiveClient]:
    """Yield a client for a test run in one process. Raise JournalError if the file *journal* cannot be used."""
    with open_journal(journal, permission.target) as writer:
        yield LiveClient(permission, writer)
