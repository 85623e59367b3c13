"""How an answer goes over the wire."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, Protocol

from pytest_veeqo_alloc.core.http import Response

Cut = Literal["", "before headers", "before body", "within body", "after body"]
"""Where the connection is reset."""


@dataclass(frozen=True, slots=True)
class Sending:
    """An answer, and what is done to it on its way. `headers_after` and `body_after` are seconds to wait before the
    headers and in the middle of the body."""

    response: Response
    headers_after: float = 0
    body_after: float = 0
    cut: Cut = ""
    chunked: bool = False
    gzipped: bool = False


class Exchange(Protocol):
    """A request that was taken in, and its answer on the way."""

    @property
    def sending(self) -> Sending:
        """What to send."""

    @property
    def over(self) -> threading.Event:
        """Set where nobody waits for the answer any more: a slow one is cut short."""

    def finished(self, *, whole: bool) -> None:
        """Whether the answer was sent as a whole. Called once, whatever happens."""
