"""The log of the requests to a server, and the base class of servers that check and log requests."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, overload

from pytest_veeqo_alloc.contract.allocations import requested_allocation
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.failure import counts_of
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import Ending, request_labels
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.story import units_by_sellable
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan
from pytest_veeqo_alloc.server.state import CREATED, Outcome
from pytest_veeqo_alloc.spec.loader import tables

NO_FINDINGS = Findings()
_SETTLE_SECONDS = 5
_MAX_BYTES, _MAX_WHOLE, _MAX_SENTENCES = 50_000_000, 10_000, 1000
_OTHER = Interaction(None)


@dataclass(slots=True, repr=False)
class Record:
    """A request in the log. `render` builds the response, and `is_checked` says whether the response is checked.

    `outcome` is the result of an allocation call to the fake, and None for any other request. `key` is the API key
    whose world the request used, or empty for the default world. `forwarded` is the response of a target, and `size`
    the bytes of request and forwarded response.
    """

    number: int
    request: Request
    request_findings: Findings
    source: str = ""
    ending: Ending = "pending"
    render: Callable[[], Response | None] = lambda: None
    is_checked: bool = False
    response_findings: Findings = NO_FINDINGS
    outcome: Outcome | None = None
    key: str = ""
    forwarded: Response | None = None
    size: int = 0

    def shorten(self) -> None:
        """Drop the headers and the bodies. Keep the findings, the outcome, the status, the method and the path."""
        url = self.request.url.partition("?")[0]
        self.request = replace(self.request, url=url, headers=(), body=None, is_body_known=False)
        if self.forwarded is not None:
            self.forwarded = replace(self.forwarded, headers=(), body=None, is_body_known=False)

    def interaction(self) -> Interaction:
        """Return the request and, if all of the response was sent, the response."""
        response = self.render() if self.ending in ("answered", "elsewhere") else None
        return Interaction(self.request, response, f"request {self.number} of {self.source}")


class Interactions(Sequence[Interaction]):
    """A sequence of interactions. The log does not store responses, so each interaction is built on access."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    @overload
    def __getitem__(self, index: int) -> Interaction: ...
    @overload
    def __getitem__(self, index: slice) -> list[Interaction]: ...
    def __getitem__(self, index: int | slice) -> Interaction | list[Interaction]:
        if isinstance(index, slice):
            return [record.interaction() for record in self._records[index]]
        return self._records[index].interaction()

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<Interactions: {len(self)}>"


OnRecord = Callable[[Record], object] | None
"""A function to call with the record of each request that has ended, or None."""


_OURS = re.compile(rb"(?im)/orders/[^/\s]+/allocations|^[ \t]*(?:x-api-key|authorization)[ \t]*:")
"""Matches bytes of a request that was meant for the API: the documented path, or a header with a key."""
_TLS = b"\x16\x03"  # how a TLS connection begins
_HOST = re.compile(rb"(?im)^host:[ \t]*(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,64})")


class Log:
    """The records of the requests in one test, or in one run of a server.

    The latest 10,000 requests are kept whole, up to 50 MB. `shortened` counts the earlier records, which have lost
    their headers and bodies.
    """

    def __init__(self, source: str, on_record: OnRecord) -> None:
        self.records: list[Record] = []
        self.refusals: list[str] = []
        self.published = self.shortened = self.refused = 0
        self._bytes = 0
        self.aborted = threading.Event()
        self._source, self._on_record = source, on_record
        self._changed = threading.Condition()
        self._open = self._stuck = 0

    def open(self, request: Request, findings: Findings) -> Record:
        """Add and return a record for *request*."""
        with self._changed:
            record = Record(len(self.records) + 1, request, findings, self._source)
            self.records.append(record)
            self._count(record, message_size(request) + len(request.url))
            self._open += 1
        return record

    def keep(self, record: Record, response: Response) -> None:
        """Add the *response* of a target to *record*."""
        with self._changed:
            record.forwarded, record.render = response, lambda: record.forwarded
            self._count(record, message_size(response))

    def _count(self, record: Record, size: int) -> None:
        """Add *size* bytes of *record*. Shorten the earliest records if there are too many bytes or records."""
        record.size += size
        self._bytes += size
        while self.shortened < len(self.records) - 1 and (
            self._bytes > _MAX_BYTES or len(self.records) - self.shortened > _MAX_WHOLE
        ):
            earliest = self.records[self.shortened]
            self._bytes -= earliest.size
            self.shortened += 1
            earliest.shorten()

    def exchange(self, record: Record, plan: ResponsePlan, ending: Ending = "answered") -> Exchange:
        """Return an exchange for *plan*. Once the response is sent completely, the ending of *record* is *ending*."""

        def finish(sent: bool) -> None:
            record.ending = ending if sent or ending == "elsewhere" else "unanswered"
            if self._on_record is not None:
                self._on_record(record)
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

        return Exchange(plan, self.aborted, finish)

    def settle(self, seconds: float = _SETTLE_SECONDS) -> None:
        """End the delays of responses. Wait at most *seconds* for requests in progress.

        Do not wait again for requests that did not end in an earlier call.
        """
        self.aborted.set()
        with self._changed:
            if self._open and self._open != self._stuck:
                self._changed.wait_for(lambda: not self._open, timeout=seconds)
            self._stuck = self._open


def message_size(message: Request | Response) -> int:
    """Return the number of bytes in the headers and the body of *message*."""
    return len(message.body or b"") + sum(len(name) + len(value) for name, value in message.headers)


def findings_of_response(engine: Engine, interaction: Interaction, context: CheckContext | None = None) -> Findings:
    """Check *interaction*, and return only the findings about the response."""
    return engine.evaluate(interaction, context or CheckContext()).where(lambda finding: finding.side == "response")


class BaseServer(ABC):
    """The base class of the fake and the proxy: a server that checks and logs every request."""

    source: ClassVar[str]
    origin: ClassVar[Origin]

    def __init__(self, engine: Engine, on_record: OnRecord) -> None:
        self.engine, self.url, self._on_record = engine, "", on_record
        self.on_refusal: Callable[[str], object] = lambda sentence: None
        self._begin()

    def _begin(self, *keys: str) -> None:
        """Start an empty log. *keys* are the API keys that the server accepts."""
        self.log, self._keys = Log(self.source, self._on_record), keys
        self._problems: list[str] = []

    def __repr__(self) -> str:
        requests = pluralise(len(self.log.records), "request")
        return f"<{self.source.removeprefix('the ')} at {self.url}: {requests}, {counts_of(self.findings)}>"

    @abstractmethod
    def handle(self, request: Request) -> Exchange:
        """Check *request*, and return the response to send."""

    def reset(self) -> None:
        """Wait for the requests in progress, then restore the initial state and empty the log."""
        self.log.settle()
        self.publish()
        self._begin()

    def settle(self, seconds: float = _SETTLE_SECONDS) -> None:
        """End the delays of slow responses, and wait at most *seconds* for the requests in progress."""
        self.log.settle(seconds)
        self.log.aborted.clear()

    @property
    def interactions(self) -> Interactions:
        """The requests so far, with their responses. A response is built when it is accessed."""
        return Interactions(list(self.log.records))

    @property
    def findings(self) -> Findings:
        """The findings about every request and response so far, and about the sequence of requests."""
        records = list(self.log.records)
        labels = request_labels([record.request for record in records], tables().operation)
        parts = (self.findings_of(record).with_source(label) for record, label in zip(records, labels, strict=True))
        return self.engine.merge([*parts, self.sequence_findings()])

    def findings_of(self, record: Record) -> Findings:
        """Return the findings about one request and its response."""
        if record.response_findings is NO_FINDINGS and record.is_checked and record.ending == "answered":
            context = CheckContext(is_final=False)  # the policy of the fake decides the status
            record.response_findings = findings_of_response(self.engine, record.interaction(), context)
        return self.engine.merge([record.request_findings, record.response_findings])

    def sequence_findings(self) -> Findings:
        """Return the findings about sequences of requests, such as a repeated POST. Each world has its own sequence."""
        records = list(self.log.records)
        # Requests to another world are left out, but keep their numbers.
        return self.engine.merge(
            self.engine.evaluate_sequence(
                ((record.interaction() if record.key == key else _OTHER, record.ending) for record in records),
                self._keys,
            )
            for key in dict.fromkeys(record.key for record in records)
        )

    @property
    def checked(self) -> int:
        """The number of requests so far."""
        return len(self.log.records)

    @property
    def unexpected(self) -> Findings:
        """The findings that the test does not expect. Reading this first waits for the requests in progress."""
        self.settle()
        return self.without_expected(self.findings)

    def without_expected(self, findings: Findings) -> Findings:
        """Return *findings* without those that the test expects."""
        return findings

    @property
    def problems(self) -> list[str]:
        """Sentences about failures that are not findings. Each sentence fails the test."""
        return list(self._problems)

    def refuse(self, status: int, reason: str, received: bytes) -> None:
        """Report a request that the HTTP server refused, and log a sentence about it. *received* has its first bytes.

        Add a problem if these bytes contain the documented path or an API key. *status* is 0 for a connection without a
        request, which is reported but not logged.
        """
        if not status:
            self.on_refusal(reason)
            return
        if received.startswith(_TLS):
            reason = "a TLS connection was attempted: use http://, not https://"
        elif status == 421:
            host = match[1].decode("ascii").strip("[]") if (match := _HOST.search(received)) else "NAME"
            reason += f": to accept it, give --name {host}, or names=({host!r},) in ServerSettings"
        sentence = f"a request was refused with {status} and is not in the log: {reason}"
        self.log.refused += 1
        if len(self.log.refusals) < _MAX_SENTENCES:
            self.log.refusals.append(sentence)
        if _OURS.search(received) or any(key and key.encode() in received for key in self._keys):
            self.add_problem(sentence)
        self.on_refusal(sentence)

    @property
    def notes(self) -> list[str]:
        """Sentences that do not fail the test: about refused requests, and about request bodies that are not kept."""
        notes = [sentence for sentence in self.log.refusals if sentence not in self._problems]
        if self.log.shortened:
            limit = f"{_MAX_WHOLE:,} requests and {_MAX_BYTES // 1_000_000} MB"
            lost = f"{pluralise(self.log.shortened, 'earlier request')} lost headers and body"
            notes.append(f"the log keeps {limit}: {lost}")
        if self.log.refused > len(self.log.refusals):
            notes.append(f"{pluralise(self.log.refused - len(self.log.refusals), 'more request')} were refused")
        return notes

    def add_problem(self, sentence: str) -> None:
        """Add a sentence about a failure that is not a finding."""
        if len(self._problems) == _MAX_SENTENCES:
            sentence = "there are more problems, which were not kept"
        if len(self._problems) <= _MAX_SENTENCES:
            self._problems.append(sentence)

    def publish(self) -> None:
        """Report new records to the listener that counts coverage, except undocumented calls without findings."""
        if not self.engine.is_counting:
            return
        records, self.log.published = self.log.records[self.log.published :], len(self.log.records)
        context = CheckContext(known_keys=self._keys, watched=True)
        for record in records:
            findings, interaction = self.without_expected(self.findings_of(record)), record.interaction()
            if not findings.is_empty or tables().operation.matches(interaction):
                if not record.is_checked:  # a response changed by a fault is not checked
                    interaction = Interaction(record.request, None, interaction.source)
                self.engine.publish(self.origin, interaction, findings, context)
        if records:
            self.engine.publish_findings(self.origin, self.without_expected(self.sequence_findings()))


# Assertions about the allocation calls in a log.


def allocation_failure(records: Sequence[Record], wanted: Mapping[str, Any], times: int) -> str:
    """Return an empty string if exactly *times* records are allocations as *wanted*. Otherwise, return a message.

    *wanted* may have `order_id`, `warehouse_id` and `lines` (sellable ids mapped to quantities), compared with `==`.
    """
    calls = {record.number: list(_differences(record, wanted)) for record in records if record.outcome is not None}
    met = [number for number, differences in calls.items() if not differences]
    if len(met) == times:
        return ""
    got = f"{len(met)}, by {_requests(met)}" if met else "0"
    lines = []
    if len(met) < times and (others := {number: found for number, found in calls.items() if found}):
        nearest = min(others, key=lambda number: ("order_id" in dict(others[number]), len(others[number]), -number))
        kind = "other call" if met else "call"
        which = f"the only {kind}" if len(others) == 1 else f"the nearest of {pluralise(len(others), kind)}"
        got += f"; {which} is request {nearest}"
        width = max(len(place) for place, _ in others[nearest])
        lines = [f"      {place:<{width}}  {difference}" for place, difference in others[nearest]]
    elif not calls:
        got += ": the client sent no allocation"
    wanted_text = ", ".join(f"{name}={value!r}" for name, value in wanted.items()) or "any"
    head = f"{pluralise(len(met), 'such allocation')} instead of {times}"
    return "\n".join(
        [head, "", f"  wanted  {pluralise(times, 'allocation')}: {wanted_text}", f"  got     {got}", *lines]
    )


def call_failure(records: Sequence[Record]) -> str:
    """Return an error message if there are allocation calls in *records*; otherwise return an empty string."""
    calls = [record for record in records if record.outcome is not None]
    if not calls:
        return ""
    facts = ", ".join(f"{name}={value!r}" for name, value in _facts(calls[-1]).items())
    got = f"{_requests([call.number for call in calls])}; the last one has {facts}"
    return f"{pluralise(len(calls), 'allocation call')} instead of 0\n\n  wanted  no allocation call\n  got     {got}"


def _facts(record: Record) -> dict[str, Any]:
    """Return the order id, the warehouse id and the units that *record* allocated or, if it failed, requested."""
    order_id = tables().operation.order_id(record.request.url)
    if record.outcome is not None and record.outcome.name == CREATED and record.outcome.story is not None:
        allocation = record.outcome.story.allocations[-1]
        return {"order_id": order_id, "warehouse_id": allocation.warehouse_id,
                "lines": dict(units_by_sellable(allocation.lines))}  # fmt: skip
    requested = requested_allocation(record.request.body)
    return {"order_id": order_id, "warehouse_id": requested.warehouse_id, "lines": requested.units}


def _differences(record: Record, wanted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the place and a description of each difference between *record* and *wanted*."""
    for name, got in _facts(record).items():
        if name not in wanted or wanted[name] == got:
            continue
        if isinstance(wanted[name], Mapping):
            for sellable in dict.fromkeys([*wanted[name], *got]):
                pair = [units.get(sellable, 0) for units in (wanted[name], got)]
                if pair[0] != pair[1]:
                    yield f"lines[{sellable!r}]", f"wanted {pair[0]!r}, got {pair[1]!r}"
        else:
            yield name, f"wanted {wanted[name]!r}, got {got!r}"
    outcome = record.outcome
    if outcome is not None and outcome.name != CREATED:
        reason = f": {outcome.reason}" if outcome.reason else ""
        yield "response", f"wanted {CREATED}, got {outcome.name}{reason}"


def _requests(numbers: Sequence[int]) -> str:
    return f"request{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
