"""The log of a server: every request once, in order, with its findings; and the base class of servers that keep one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, overload

from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import Ending
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan
from pytest_veeqo_alloc.spec.loader import tables

NO_FINDINGS = Findings()
_SETTLE_SECONDS = 5


@dataclass(slots=True, repr=False)
class Record:
    """A request, what became of it, and its findings.

    `render` renders the response, which is not kept. `is_checked` says that the response counts too: it is the server's
    own, and no fault was put into it. `response_findings` is None until the response was checked.
    """

    number: int
    request: Request
    request_findings: Findings
    source: str = ""
    ending: Ending = "pending"
    render: Callable[[], Response | None] = lambda: None
    is_checked: bool = False
    response_findings: Findings | None = None

    def interaction(self) -> Interaction:
        """Return the request, with its response if that was sent completely."""
        response = self.render() if self.ending in ("answered", "elsewhere") else None
        return Interaction(self.request, response, f"request {self.number} of {self.source}")


class Interactions(Sequence[Interaction]):
    """The interactions of records, each rendered when it is accessed."""

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


class Log:
    """The records of one test, or of one run of a server; *on_record* is called with each record that was closed."""

    def __init__(self, source: str, on_record: Callable[[Record], object] | None = None) -> None:
        self.records: list[Record] = []
        self.published = 0
        self.aborted = threading.Event()
        self._source, self._on_record = source, on_record
        self._changed = threading.Condition()
        self._open = 0

    def open(self, request: Request, findings: Findings) -> Record:
        """Add a record for *request*, which ends with its exchange."""
        with self._changed:
            record = Record(len(self.records) + 1, request, findings, self._source)
            self.records.append(record)
            self._open += 1
        return record

    def exchange(self, record: Record, plan: ResponsePlan, ending: Ending = "answered") -> Exchange:
        """Return the exchange of *record*; *ending* is what becomes of it if the response is sent completely."""

        def finish(sent: bool) -> None:
            with self._changed:
                record.ending = ending if sent or ending == "elsewhere" else "unanswered"
                self._open -= 1
                if self._on_record is not None:
                    self._on_record(record)
                self._changed.notify_all()

        return Exchange(plan, self.aborted, finish)

    def settle(self) -> None:
        """Cut slow responses short, and wait until every open record is closed, for 5 seconds at most."""
        self.aborted.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, timeout=_SETTLE_SECONDS)


def findings_of_response(engine: Engine, interaction: Interaction, context: CheckContext | None = None) -> Findings:
    """Return what is wrong with the response of *interaction*, and with nothing else."""
    return engine.evaluate(interaction, context or CheckContext()).where(lambda finding: finding.side == "response")


class BaseServer(ABC):
    """A server at `url` that checks every request; *on_record* is called with each record that was closed.

    `log` has the requests since the last reset.
    """

    source: ClassVar[str]
    origin: ClassVar[Origin]

    def __init__(self, engine: Engine, on_record: Callable[[Record], object] | None) -> None:
        self.engine, self.url, self._on_record = engine, "", on_record
        self._begin()

    def _begin(self, *keys: str) -> None:
        """Start a new log; *keys* are those that the server accepts."""
        self.log, self._keys = Log(self.source, self._on_record), keys
        self._problems: list[str] = []

    @abstractmethod
    def handle(self, request: Request) -> Exchange:
        """Check *request*, and return the response to send."""

    def reset(self) -> None:
        """Return to the initial state and forget every request; requests under way end first."""
        self.log.settle()
        self.publish()
        self._begin()

    def settle(self) -> None:
        """Cut slow responses short, and wait until every request under way has ended."""
        self.log.settle()
        self.log.aborted.clear()

    @property
    def interactions(self) -> Interactions:
        """Every request so far, with its response, rendered when it is accessed."""
        return Interactions(list(self.log.records))

    @property
    def checked(self) -> int:
        """The number of requests so far."""
        return len(self.log.records)

    @property
    def findings(self) -> Findings:
        """Everything wrong with the requests and responses so far, each alone and in their order."""
        return self.engine.merge([*map(self.findings_of, self.log.records), self.sequence_findings()])

    def findings_of(self, record: Record) -> Findings:
        """Return everything wrong with one request and its response."""
        if record.response_findings is None and record.ending != "pending":
            record.response_findings = self._check_response(record)
        found = (record.request_findings, record.response_findings)
        return self.engine.merge(findings for findings in found if findings is not None)

    def _check_response(self, record: Record) -> Findings:
        if not record.is_checked or record.ending != "answered":
            return NO_FINDINGS
        interaction = record.interaction()
        status = interaction.response.status if interaction.response else 0
        # An error that the policy asks for is no departure from the page.
        return findings_of_response(self.engine, interaction, CheckContext(status if status >= 400 else None))

    def sequence_findings(self) -> Findings:
        """Return what is wrong with the order of the requests."""
        pairs = ((record.interaction(), record.ending) for record in self.log.records)
        return self.engine.evaluate_sequence(pairs, self._keys)

    @property
    def unexpected(self) -> Findings:
        """The findings that count, once every request has ended."""
        self.settle()
        return self.without_expected(self.findings)

    def without_expected(self, findings: Findings) -> Findings:
        """Return those of *findings* that count."""
        return findings

    @property
    def problems(self) -> list[str]:
        """Sentences about what is wrong besides findings; each fails a test."""
        return list(self._problems)

    def add_problem(self, sentence: str) -> None:
        """Add something that is wrong besides findings."""
        self._problems.append(sentence)

    def publish(self) -> None:
        """Publish the documented calls and calls with findings since the last time, if the listener counts coverage."""
        if not self.engine.is_counting:
            return
        records, self.log.published = self.log.records[self.log.published :], len(self.log.records)
        context = CheckContext(known_keys=tuple(self._keys), watched=True)
        for record in records:
            findings, interaction = self.without_expected(self.findings_of(record)), record.interaction()
            if len(findings) or tables().operation.matches(interaction):
                if not record.is_checked:  # what a fault put into the response is not the server's
                    interaction = Interaction(record.request, None, interaction.source)
                self.engine.publish(self.origin, interaction, findings, context)
        if records:
            self.engine.publish_findings(self.origin, self.without_expected(self.sequence_findings()))
