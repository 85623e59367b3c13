"""The packaged test suite, which checks a server, a client, or both."""


class UncoveredError(Exception):
    """A test that this run cannot cover, for the reason in the text: it is skipped."""


class UnusableError(Exception):
    """A server or client that cannot be tested at all, for the reason in the text: the run stops."""
