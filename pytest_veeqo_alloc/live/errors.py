"""Why nothing was sent, or what came of it: each one sentence, or one for each thing that is missing."""

from __future__ import annotations

from collections.abc import Sequence


class LiveError(Exception):
    """Something about a foreign server. The text never has a key or a body in it."""

    hides_libraries = True


class NotPermittedError(LiveError):
    """The run may not write to a foreign server. `sentences` has one for each thing that is missing."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


class RefusedError(LiveError):
    """A request that may not be sent, though the run may write: by its order, the budget, its target or method."""


class SendError(LiveError):
    """A request went out, or tried to, and no answer came."""


class JournalError(LiveError):
    """A journal that cannot be read or used."""


class PoolError(LiveError):
    """An order pool that cannot be read."""
