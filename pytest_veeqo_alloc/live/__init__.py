"""Writes to a foreign server: permission, client, journal, cleanup."""

from __future__ import annotations


class LiveError(Exception):
    """The base class of errors about a foreign server. Messages never contain an API key or the body of a request."""

    trims_traceback = True

    def for_command(self) -> str:
        """Return the message with the names of command-line options: `--rate` instead of `--veeqo-alloc-rate`."""
        return str(self).replace("--veeqo-alloc-", "--")


class NotPermittedError(LiveError):
    """Raised if the user's options do not permit writes to a foreign server. The message has a line for each problem."""


class RefusedError(LiveError):
    """Raised if a request may not be sent, due to its order, quantity, URL, method or key, or if no writes are left."""


class SendError(LiveError):
    """Raised if no response arrived, although the request may have been sent."""


class NotSentError(SendError):
    """Raised if no connection was made, so that nothing was sent."""


class JournalError(LiveError):
    """Raised if the journal (the file that records the writes) cannot be read, written or used."""


class PoolError(LiveError):
    """Raised if the order pool (the list of orders that may be written to) is missing or invalid."""


class UnsuitableError(LiveError):
    """Raised if the application under test cannot be called in this process."""
