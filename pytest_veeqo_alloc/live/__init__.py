"""Writes to a foreign server: permission, client, journal, cleanup."""

from __future__ import annotations


class LiveError(Exception):
    """The base class of all errors about a foreign server. The message never contains an API key or a body."""

    trims_traceback = True

    def for_command(self) -> str:
        """Return the message with pytest's option names replaced with the option names of the command."""
        return str(self).replace("--veeqo-alloc-", "--")


class NotPermittedError(LiveError):
    """The options do not permit writes to a foreign server. The message has a line for each problem."""


class RefusedError(LiveError):
    """A request was not sent because of its order, quantity, URL, method or API key, or because the budget is spent."""


class SendError(LiveError):
    """No response arrived, although the request may have been sent."""


class NotSentError(SendError):
    """No connection was made, so nothing was sent."""


class JournalError(LiveError):
    """A journal cannot be read, written or used."""


class PoolError(LiveError):
    """An order pool cannot be read."""
