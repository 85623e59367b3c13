"""What passed at a server: each request once, in the order in which they came, with what was found at once."""

from __future__ import annotations

import threading
import time
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
_PATIENCE = 5


@dataclass(slots=True, repr=False)
class Record:
    """One request. `answer` renders what was answered, which is not kept; `is_ours` says that the answer is held against
    the contract too: no fault was put into it."""

    number: int
    request: Request
    found: Findings
    source: str = ""
    ending: Ending = "pending"
    answer: Callable[[], Response | None] = lambda: None
    is_ours: bool = False
    answered: Findings | None = None

    def interaction(self) -> Interaction:
        """The request, and the answer where it was sent as a whole."""
        response = self.answer() if self.ending in ("answered", "elsewhere") else None
        return Interaction(self.request, response, f"request {self.number} of {self.source}")


@dataclass(slots=True)
class PendingExchange:
    """A request on its way: to be sent what *sending* says. *ending* is what has become of it if that arrives whole."""

    log: Log
    record: Record
    sending: ResponsePlan
    ending: Ending = "answered"

    @property
    def over(self) -> threading.Event:
        """Set where nobody waits for the answer any more."""
        return self.log.over

    def finished(self, *, whole: bool) -> None:
        """Whether the answer was sent as a whole."""
        self.log.ended(self.record, self.ending if whole or self.ending == "elsewhere" else "unanswered")


class Log:
    """The records of one test, or of one run of a server."""

    def __init__(
        self,
        engine: Engine,
        keys: Iterable[str],
        source: str,
        tell: Callable[[Record], object] | None = None,
        origin: Origin = "fake",
    ) -> None:
        self.over = threading.Event()
        self._tell = tell
        self._engine, self._keys, self._source = engine, tuple(keys), source
        self._origin, self._shown = origin, 0
        self._records: list[Record] = []
        self._changed = threading.Condition()
        self._under_way = 0

    def opened(self, request: Request, found: Findings) -> Record:
        """A request came; tell `ended` what became of it."""
        with self._changed:
            record = Record(len(self._records) + 1, request, found, self._source)
            self._records.append(record)
            self._under_way += 1
        return record

    def ended(self, record: Record, ending: Ending) -> None:
        """*record* is complete."""
        with self._changed:
            record.ending = ending
            self._under_way -= 1
            if self._tell is not None:
                self._tell(record)
            self._changed.notify_all()

    def settle(self) -> None:
        """Cut slow answers short, and wait until every request that came has ended."""
        self.over.set()
        until = time.monotonic() + _PATIENCE
        with self._changed:
            while self._under_way and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def resume(self) -> None:
        """Slow answers are slow again."""
        self.over.clear()

    def publish(self, counting: Callable[[Findings], Findings]) -> None:
        """Tells whoever counts of the documented calls that are new since the last time; *counting* says which findings
        count. What was put into an answer on purpose is not the server's."""
        records, self._shown = self._records[self._shown :], len(self._records)
        matches = tables().operation.matches
        for record in records:
            found = counting(self.findings_of(record))
            whole = record.interaction()
            if matches(whole) or len(found):
                shown = whole if record.is_ours else Interaction(record.request, None, whole.source)
                self._engine.publish(self._origin, shown, found, keys=self._keys, in_sequence=True)
        if records:
            self._engine.publish_findings(self._origin, counting(self.in_sequence()))

    @property
    def records(self) -> list[Record]:
        """Every request so far."""
        return list(self._records)

    @property
    def interactions(self) -> Interactions:
        """Every request so far, rendered when it is looked at."""
        return Interactions(self.records)

    def findings(self) -> Findings:
        """Everything that is wrong with them, by themselves and as they followed upon each other."""
        return self._engine.merge([*(self.findings_of(record) for record in self.records), self.in_sequence()])

    def findings_of(self, record: Record) -> Findings:
        """What is wrong with one of them by itself."""
        return self._engine.merge([record.found, self._answered(record)])

    def in_sequence(self) -> Findings:
        """What is wrong with them as they followed upon each other."""
        pairs = ((record.interaction(), record.ending) for record in self.records)
        return self._engine.evaluate_sequence(pairs, self._keys)

    def _answered(self, record: Record) -> Findings:
        """What is wrong with an answer of ours. An error that the policy asks for is no departure from the page."""
        if record.answered is None and record.ending != "pending":
            found = Findings()
            if record.is_ours and record.ending == "answered":
                interaction = record.interaction()
                status = interaction.response.status if interaction.response else 0
                found = self._engine.evaluate(interaction, CheckContext(status if status >= 400 else None))
            record.answered = responses_of(found)
        return NO_FINDINGS if record.answered is None else record.answered


def responses_of(found: Findings) -> Findings:
    """What of *found* is about responses."""
    return found.where(lambda each: each.side == "response")


class Interactions(Sequence[Interaction]):
    """Interactions that are rendered one by one, when they are looked at."""

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


class BaseServer(ABC):
    """Something that takes requests in at `url` and holds them against *contract*. *tell* hears of each that ended."""

    source: ClassVar[str]
    origin: ClassVar[Origin]

    def __init__(self, engine: Engine, tell: Callable[[Record], object] | None) -> None:
        self.engine, self.url, self._tell = engine, "", tell
        self._begin()

    def _begin(self, keys: Iterable[str] = ()) -> None:
        """Nothing seen. *keys* are those that are taken here."""
        self._log = Log(self.engine, keys, self.source, self._tell, self.origin)
        self._problems: list[str] = []

    @abstractmethod
    def take_in(self, request: Request) -> PendingExchange:
        """The front's way in."""

    @abstractmethod
    def reset(self) -> None:
        """Begin anew."""

    @property
    def log(self) -> Log:
        """What was seen since the start."""
        return self._log

    @property
    def interactions(self) -> Interactions:
        """Every request so far, rendered when it is looked at."""
        return self._log.interactions

    @property
    def findings(self) -> Findings:
        """Everything that is wrong so far."""
        return self._log.findings()

    @property
    def unexpected(self) -> Findings:
        """The findings that count."""
        return self.findings

    @property
    def problems(self) -> list[str]:
        """What is wrong besides findings."""
        return list(self._problems)

    def counting(self, findings: Findings) -> Findings:
        """Those of *findings* that count."""
        return findings

    def publish(self) -> None:
        """Tells whoever counts of what was seen since the last time."""
        if self.engine.is_counting:
            self._log.publish(self.counting)

    def complain(self, sentence: str) -> None:
        """Something that is wrong besides findings."""
        self._problems.append(sentence)

    def settle(self) -> None:
        """Cut slow answers short and wait until everything on its way has ended."""
        self._log.settle()
        self._log.resume()
