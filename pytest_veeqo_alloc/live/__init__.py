"""Writes to a server that is not ours: permission, journal and cleanup."""

from __future__ import annotations


class LiveError(Exception):
    """The base of all errors about a foreign server. Its text never contains a key or a body."""

    trims_traceback = True

    def for_command(self) -> str:
        """Return the text with the command's option names in place of pytest's."""
        return str(self).replace("--veeqo-alloc-", "--")


class NotPermittedError(LiveError):
    """The options do not permit writes to a foreign server: one line for each thing that is missing."""


class RefusedError(LiveError):
    """A request was refused although the run may write: because of its order, the budget, its target or its method."""


class SendError(LiveError):
    """No response arrived, although the request may have been sent."""


class NotSentError(SendError):
    """No connection was made, so nothing was sent."""


class JournalError(LiveError):
    """A journal cannot be read or used."""


class PoolError(LiveError):
    """An order pool cannot be read."""
