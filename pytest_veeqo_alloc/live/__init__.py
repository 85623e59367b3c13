"""Writes to a server that is not ours: permission, journal and cleanup."""

from __future__ import annotations


class LiveError(Exception):
    """Something about a foreign server. The text never has a key or a body in it."""

    trims_traceback = True

    def for_command(self) -> str:
        """The text with the options of the command, where it names those of pytest."""
        return str(self).replace("--veeqo-alloc-", "--")


class NotPermittedError(LiveError):
    """The run may not write to a foreign server. The text has a line for each thing that is missing."""


class RefusedError(LiveError):
    """A request that may not be sent, though the run may write: by its order, the budget, its target or method."""


class SendError(LiveError):
    """A request went out, or tried to, and no answer came."""


class JournalError(LiveError):
    """A journal that cannot be read or used."""


class PoolError(LiveError):
    """An order pool that cannot be read."""
