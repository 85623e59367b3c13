"""What a fake and a proxy have in common: a log, its verdict, and what is wrong besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

from pytest_veeqo_alloc.api import Contract
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.coverage.collector import Origin
from pytest_veeqo_alloc.server.log import Interactions, Log, Record, Taken


class Served(ABC):
    """Something that takes requests in at `url` and holds them against *contract*. *tell* hears of each that ended."""

    source: ClassVar[str]
    origin: ClassVar[Origin]

    def __init__(self, contract: Contract, tell: Callable[[Record], object] | None) -> None:
        self._telling, self.contract, self.url, self._tell = contract, contract.telling(None), "", tell
        self._begin()

    def _begin(self, keys: Iterable[str] = ()) -> None:
        """Nothing seen. *keys* are those that are taken here."""
        self._log = Log(self._telling, keys, self.source, self._tell, self.origin)
        self._complaints: list[str] = []

    @abstractmethod
    def take_in(self, request: Request) -> Taken:
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
    def complaints(self) -> list[str]:
        """What is wrong besides findings."""
        return list(self._complaints)

    def counting(self, findings: Findings) -> Findings:
        """Those of *findings* that count."""
        return findings

    def show(self) -> None:
        """Tells whoever counts of what was seen since the last time."""
        if self._telling.is_counted:
            self._log.show(self.counting)

    def complain(self, sentence: str) -> None:
        """Something that is wrong besides findings."""
        self._complaints.append(sentence)

    def settle(self) -> None:
        """Cut slow answers short and wait until everything on its way has ended."""
        self._log.settle()
        self._log.resume()
