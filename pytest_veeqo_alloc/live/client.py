"""A client for a foreign server. It counts each write, and records it in the journal, before sending it."""

from __future__ import annotations

import hmac
import json
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import requests

from pytest_veeqo_alloc.contract.allocations import (
    ExistingAllocation,
    RequestScope,
    existing_allocations,
    request_scope,
    requested_allocation,
)
from pytest_veeqo_alloc.contract.http_rules import Operation, is_json_type
from pytest_veeqo_alloc.core.http import (
    Headers,
    Interaction,
    Request,
    Response,
    decode_content_or_empty,
    is_client_error,
)
from pytest_veeqo_alloc.live import JournalError, NotSentError, RefusedError
from pytest_veeqo_alloc.live.journal import Entry, JournalWriter, made_by, open_journal
from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, PoolOrder, WritePermission, port_of
from pytest_veeqo_alloc.live.run_state import Charge, RunState
from pytest_veeqo_alloc.live.transport import READS, Backoff, Timeouts, exchange, new_session, retry_after
from pytest_veeqo_alloc.spec.loader import tables

JSON_HEADERS: Headers = (("Content-Type", "application/json"),)


class Admission(AbstractContextManager["Admission"]):
    """Permission to send one request in a `with` block. The block should pass the response to `end`."""

    def __init__(self, live: LiveClient, request_id: str, entry: Entry | None) -> None:
        self._live, self._request_id, self._entry = live, request_id, entry
        self._is_open = True

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.end("not sent" if isinstance(error, NotSentError) else None)

    def end(self, outcome: Response | Literal["not sent"] | None = None) -> None:
        """Record that the request has ended with *outcome* (None: unknown). Only the first call has an effect."""
        if self._is_open:
            self._is_open = False
            self._live.run_state.end(self._request_id)
            if self._entry is not None:
                self._live.record_outcome(self._entry, outcome)


class LiveClient:
    """A client that sends only what *permission* allows. All processes of a test run must share the same *folder*."""

    def __init__(self, permission: WritePermission, folder: Path, writer: JournalWriter) -> None:
        self.permission, self.writer, self.target = permission, writer, permission.target
        self.run_state = RunState(folder, permission.rate, permission.max_writes)
        self.timeouts: Timeouts = (5, 25)
        self.backoff = Backoff()
        self._session = new_session(permission)
        self._known: dict[int, tuple[ExistingAllocation, ...] | None] = {}

    def mount(self, adapter: requests.adapters.BaseAdapter) -> None:
        """Send all requests through *adapter* instead of the network."""
        self._session.mount(self.permission.base_url, adapter)

    def admission(self, request: Request) -> Admission:
        """Wait for the rate limit, then permit another client's *request*. Raise RefusedError if it may not be sent."""
        self._check_target(request)
        if request.method.upper() in READS:
            return self._admit()
        operation = tables().operation
        if not operation.matches(Interaction(request)):
            raise RefusedError(f"only {operation.name} may be sent: other calls are not known to be safe")
        self._check_key(request, operation)
        scope = request_scope(request.body)
        entry, charge = self._plan(operation.order_id(request.url), request.body, scope)
        self._check_bounds(request, scope)
        return self._admit(entry, charge)

    def post(
        self,
        order_id: int,
        payload: Any,
        *,
        headers: Headers = JSON_HEADERS,
        key: str | None = None,
        meant: Any = None,
    ) -> Interaction:
        """Send an allocation call, and repeat it after a 429 response. Bytes are sent unchanged, all else as JSON.

        *key* replaces the API key. If *key* is empty, no key is sent. If *payload* is a broken variant of a valid body,
        *meant* is the valid body. Its units are charged too, and refunded if the status is 4xx and the order unchanged.
        Raise RefusedError if the write is not permitted, or SendError if no response arrives.
        """
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        whole = body if meant is None else json.dumps(meant).encode()
        entry, charge = self._plan(order_id, whole, request_scope(body).union(request_scope(whole)))
        if self._known.get(order_id) is None:
            self._remember(order_id, allocations_in(self.read_order(order_id)))
        operation = tables().operation
        request = self._request(operation.method, operation.path_for(order_id), headers, body, key)
        response = self._send(request, entry, charge)
        if meant is not None and charge and is_client_error(response.status) and self._is_unchanged(order_id):
            self.run_state.refund(charge)
        return Interaction(request, response)

    def held(self, order_id: int) -> int | None:
        """Return the last known number of allocations of the order, or None if it is unknown."""
        known = self._known.get(order_id)
        return None if known is None else len(known)

    def free_units(self, order: PoolOrder) -> dict[int, float]:
        """Map each sellable of *order* to the units that this run may still allocate."""
        used = self.run_state.used
        return {
            sellable: units - used.get(_charge_name(order.id, order.warehouse_id, sellable), 0)
            for sellable, units in order.sellables.items()
        }

    def _is_unchanged(self, order_id: int) -> bool:
        known, now = self._known.get(order_id), allocations_in(self.read_order(order_id))
        return known is not None and now is not None and known == tuple(now)

    def try_out(self, method: str, path: str, body: bytes | None) -> Interaction:
        """Send a request, and count it as a write. Raise RefusedError unless the order pool permits every order."""
        if not self.permission.pool.is_any:
            raise RefusedError("this request is sent only with --veeqo-alloc-orders any")
        request = self._request(method, path, JSON_HEADERS, body)
        return Interaction(request, self._send(request, Entry("post", 0), {}))

    def read_order(self, order_id: int) -> Response:
        """Return the response to `GET /orders/{order_id}`."""
        return self._send(self._request("GET", f"/orders/{order_id}"))

    def delete(self, order_id: int, allocation_id: int, before: Sequence[int]) -> Response:
        """Delete an allocation, and thereby all allocations of the order. *before* has the ids of all of them."""
        request = self._request("DELETE", f"/orders/{order_id}/allocations/{allocation_id}")
        return self._send(request, Entry("delete", order_id, before=tuple(before)))

    def record_outcome(self, entry: Entry, outcome: Response | Literal["not sent"] | None) -> None:
        """Write *outcome* to the journal, and remember the order's allocations. For None, only forget them."""
        if outcome is None:
            self._known.pop(entry.order_id, None)
        elif isinstance(outcome, str):
            self.writer.outcome(entry.name, outcome)
        else:
            held = (
                existing_allocations(decode_content_or_empty(outcome.body, outcome.headers))
                if outcome.is_success
                else None
            )
            self.writer.outcome(entry.name, outcome.status, made_by(entry, held or ()))
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
        waited, delay = 0.0, self.backoff.first
        while True:
            with self._admit(entry, charge) as admission:
                response = exchange(self._session, request, self.target, self.timeouts)
                admission.end(response)
            wait = min(retry_after(response, delay), self.backoff.longest)
            if response.status != 429 or waited + wait > self.backoff.total:
                return response
            self.backoff.sleep(wait)
            waited, delay = waited + wait, delay * 2

    def _admit(self, entry: Entry | None = None, charge: Charge | None = None) -> Admission:
        """Wait until the rate limit permits a request. Write *entry* to the journal. Raise JournalError on failure."""
        request_id = self.run_state.claim(charge)
        if entry is not None:
            known = self._known.get(entry.order_id)
            ids = None if known is None else tuple(allocation.id for allocation in known)
            entry = replace(entry, name=uuid.uuid4().hex, before=ids if entry.before is None else entry.before)
            try:
                self.writer.intent(entry)
            except JournalError:
                self.run_state.end(request_id)
                raise
        return Admission(self, request_id, entry)

    def _plan(self, order_id: object, body: bytes | None, scope: RequestScope) -> tuple[Entry, Charge]:
        """Return the journal entry and the charge for a write. Raise RefusedError if the order pool forbids it."""
        if order_id is None:
            raise RefusedError("the path has no numeric order id, so the order cannot be in the order pool")
        if isinstance(order_id, bool) or not isinstance(order_id, int):
            raise RefusedError(f"the order id must be an integer, not {type(order_id).__name__}")
        pool, requested = self.permission.pool, requested_allocation(body)
        if reason := pool.refusal(order_id, scope):
            raise RefusedError(reason)
        warehouse_id = requested.warehouse_id
        charge: Charge = {
            # A server may read a quantity that is missing, or of a wrong kind, as 1.
            _charge_name(order_id, warehouse_id, sellable): (max(quantity, 1), free)
            for sellable, quantity in scope.units.items()
            if (free := pool.free_units(order_id, warehouse_id, sellable)) is not None
        }
        return Entry("post", order_id, warehouse_id, requested.units), charge

    def _remember(self, order_id: int, held: Sequence[ExistingAllocation] | None) -> None:
        """Remember the order's allocations (None: unknown), to find those that the next write adds."""
        self._known[order_id] = None if held is None else tuple(held)

    def _check_target(self, request: Request) -> None:
        base, url = urlsplit(self.permission.base_url), urlsplit(request.url)
        same = (url.scheme, url.hostname, port_of(url)) == (base.scheme, base.hostname, port_of(base))
        # Clients resolve dot segments after this check, and may then request a path outside the base path.
        moves = any(unquote(segment) in (".", "..") for segment in url.path.split("/"))
        if not same or moves or not url.path.startswith(f"{base.path.rstrip('/')}/"):
            raise RefusedError(
                f"the request is not for a path below {self.permission.base_url}, the only server that is allowed"
            )

    def _check_key(self, request: Request, operation: Operation) -> None:
        """Raise RefusedError unless *request* has the configured API key. Others may be for a production account."""
        if not self.permission.api_key:
            return
        sent = [*request.header_values(operation.key_header), *request.header_values("authorization")]
        keys = [value.rpartition(" ")[2].encode("utf-8", "replace") for value in sent]
        expected = self.permission.api_key.encode()
        if not keys or not all(hmac.compare_digest(key, expected) for key in keys):
            raise RefusedError(
                f"the request must carry the API key in {KEY_VARIABLE}: any other key may belong to another account"
            )

    def _check_bounds(self, request: Request, scope: RequestScope) -> None:
        """Raise RefusedError if a server could read *request* as a write outside the order pool."""
        headers = {name.lower() for name, _ in request.headers}
        odd = urlsplit(request.url).query or headers & {"content-encoding", "x-http-method-override"}
        form = request.body and not is_json_type(request.header("content-type") or "application/json")
        if not self.permission.pool.is_any and (odd or form or not scope.is_bounded):
            raise RefusedError(
                "the request could write outside the order pool: send JSON with numeric ids and quantities, without "
                "a query, a content encoding or a method override"
            )


def _charge_name(order_id: int, warehouse_id: int | None, sellable_id: int) -> str:
    return f"sellable {sellable_id} in warehouse {warehouse_id} for order {order_id}"


def allocations_in(response: Response) -> list[ExistingAllocation] | None:
    """Return the allocations in a response to `GET /orders/{order_id}`, or None if it contains no readable order."""
    return (
        existing_allocations(decode_content_or_empty(response.body, response.headers))
        if response.status == 200
        else None
    )


@contextmanager
def open_live(permission: WritePermission, journal: Path) -> Iterator[LiveClient]:
    """Yield a client for a test run in one process. Raise JournalError if the file *journal* cannot be used."""
    with open_journal(journal, permission.target) as writer, tempfile.TemporaryDirectory(prefix="veeqo-alloc-") as name:
        yield LiveClient(permission, Path(name), writer)
