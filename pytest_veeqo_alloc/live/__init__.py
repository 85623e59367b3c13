"""Writes to a foreign server: permission, client, journal, cleanup."""

from __future__ import annotations


class LiveError(Exception):
    """The base class of errors about a foreign server. Messages never contain an API key or the body of a request."""

    trims_traceback = True

    def for_command(self) -> str:
        """Return the message with the names of command-line options: `--rate` instead of `--veeqo-alloc-rate`."""
        return str(self).replace("--veeqo-alloc-", "--")


class NotPermittedError(LiveError):
    """The user's options do not permit writes to a foreign server. The message has a line for each problem."""


class RefusedError(LiveError):
    """A request was not sent: its order, quantity, URL, method or API key is not permitted, or no writes are left."""


class SendError(LiveError):
    """No response arrived, although the request may have been sent."""


class NotSentError(SendError):
    """No connection was made, so nothing was sent."""


class JournalError(LiveError):
    """The journal (the file that records the writes) cannot be read, written or used."""


class PoolError(LiveError):
    """The order pool (the list of orders that may be written to) is missing or invalid."""


class UnsuitableError(LiveError):
    """The application under test cannot be called in this process."""
