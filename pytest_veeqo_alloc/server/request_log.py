"""The log of a server: every request once, in order, with its findings; and the base class of servers that keep one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, overload

from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import Ending
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.responses import ResponsePlan
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


@dataclass(slots=True)
class PendingExchange:
    """A request whose response is still to be sent; *ending* is what became of it if that succeeds."""

    log: Log
    record: Record
    plan: ResponsePlan
    ending: Ending = "answered"

    @property
    def aborted(self) -> threading.Event:
        """Set once nobody waits for the response: a slow one is cut short."""
        return self.log.aborted

    def finish(self, *, sent: bool) -> None:
        """Close the record; *sent* says whether the response was sent completely."""
        self.log.close(self.record, self.ending if sent or self.ending == "elsewhere" else "unanswered")


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

    def __iter__(self) -> Iterator[Interaction]:
        return (record.interaction() for record in self._records)

    def __repr__(self) -> str:
        return f"<Interactions: {len(self)}>"


class Log:
    """The records of one test, or of one run of a server. *keys* are those that the server accepts."""

    def __init__(
        self,
        engine: Engine,
        keys: Iterable[str],
        source: str,
        on_record: Callable[[Record], object] | None = None,
        origin: Origin = "fake",
    ) -> None:
        self.aborted = threading.Event()
        self._engine, self._keys, self._source = engine, tuple(keys), source
        self._on_record, self._origin, self._published = on_record, origin, 0
        self._records: list[Record] = []
        self._changed = threading.Condition()
        self._open = 0

    def open(self, request: Request, findings: Findings) -> Record:
        """Add a record for *request*, which `close` completes."""
        with self._changed:
            record = Record(len(self._records) + 1, request, findings, self._source)
            self._records.append(record)
            self._open += 1
        return record

    def close(self, record: Record, ending: Ending) -> None:
        """Complete *record*, and pass it to `on_record`."""
        with self._changed:
            record.ending = ending
            self._open -= 1
            if self._on_record is not None:
                self._on_record(record)
            self._changed.notify_all()

    def settle(self) -> None:
        """Cut slow responses short, and wait until every open record is closed, for 5 seconds at most."""
        self.aborted.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, timeout=_SETTLE_SECONDS)

    def resume(self) -> None:
        """Let slow responses be slow again."""
        self.aborted.clear()

    def publish(self, without_expected: Callable[[Findings], Findings]) -> None:
        """Publish the documented calls, and any call with findings, that are new since the last time."""
        records, self._published = self._records[self._published :], len(self._records)
        for record in records:
            findings = without_expected(self.findings_of(record))
            interaction = record.interaction()
            if len(findings) or tables().operation.matches(interaction):
                if not record.is_checked:  # a fault in the response is not the server's
                    interaction = Interaction(record.request, None, interaction.source)
                self._engine.publish(self._origin, interaction, findings, keys=self._keys, in_sequence=True)
        if records:
            self._engine.publish_findings(self._origin, without_expected(self.sequence_findings()))

    @property
    def records(self) -> list[Record]:
        """Every record so far."""
        return list(self._records)

    @property
    def interactions(self) -> Interactions:
        """Every request so far, with its response."""
        return Interactions(self.records)

    def findings(self) -> Findings:
        """Return everything wrong with the requests and responses, each alone and in their order."""
        return self._engine.merge([*(self.findings_of(record) for record in self.records), self.sequence_findings()])

    def findings_of(self, record: Record) -> Findings:
        """Return everything wrong with one request and its response."""
        if record.response_findings is None and record.ending != "pending":
            record.response_findings = self._check_response(record)
        found = (record.request_findings, record.response_findings)
        return self._engine.merge(findings for findings in found if findings is not None)

    def _check_response(self, record: Record) -> Findings:
        if not record.is_checked or record.ending != "answered":
            return NO_FINDINGS
        interaction = record.interaction()
        status = interaction.response.status if interaction.response else 0
        # An error that the policy asks for is no departure from the page.
        return findings_of_response(self._engine, interaction, CheckContext(status if status >= 400 else None))

    def sequence_findings(self) -> Findings:
        """Return what is wrong with the order of the requests."""
        pairs = ((record.interaction(), record.ending) for record in self.records)
        return self._engine.evaluate_sequence(pairs, self._keys)


def findings_of_response(engine: Engine, interaction: Interaction, context: CheckContext | None = None) -> Findings:
    """Return what is wrong with the response of *interaction*, and with nothing else."""
    return engine.evaluate(interaction, context or CheckContext()).where(lambda finding: finding.side == "response")


class BaseServer(ABC):
    """A server at `url` that checks every request; *on_record* is called with each record that was closed."""

    source: ClassVar[str]
    origin: ClassVar[Origin]

    def __init__(self, engine: Engine, on_record: Callable[[Record], object] | None) -> None:
        self.engine, self.url, self._on_record = engine, "", on_record
        self._begin()

    def _begin(self, keys: Iterable[str] = ()) -> None:
        """Start a new log; *keys* are those that the server accepts."""
        self._log = Log(self.engine, keys, self.source, self._on_record, self.origin)
        self._problems: list[str] = []

    @abstractmethod
    def handle(self, request: Request) -> PendingExchange:
        """Check *request*, and return it with the response to send."""

    @abstractmethod
    def reset(self) -> None:
        """Forget every request."""

    @property
    def log(self) -> Log:
        """The log since the last reset."""
        return self._log

    @property
    def interactions(self) -> Interactions:
        """Every request so far, with its response, rendered when it is accessed."""
        return self._log.interactions

    @property
    def checked(self) -> int:
        """The number of requests so far."""
        return len(self._log.records)

    @property
    def findings(self) -> Findings:
        """Everything wrong so far."""
        return self._log.findings()

    @property
    def unexpected(self) -> Findings:
        """The findings that count."""
        return self.findings

    def without_expected(self, findings: Findings) -> Findings:
        """Return those of *findings* that count."""
        return findings

    @property
    def problems(self) -> list[str]:
        """Sentences about what is wrong besides findings."""
        return list(self._problems)

    def add_problem(self, sentence: str) -> None:
        """Add something that is wrong besides findings."""
        self._problems.append(sentence)

    def publish(self) -> None:
        """Publish what was checked since the last time, if the listener counts coverage."""
        if self.engine.is_counting:
            self._log.publish(self.without_expected)

    def settle(self) -> None:
        """Cut slow responses short, and wait until every request under way has ended."""
        self._log.settle()
        self._log.resume()
