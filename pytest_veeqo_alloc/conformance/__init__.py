"""The conformance suite: tests of a server, a client, or both."""


class UncoveredError(Exception):
    """A test that this run cannot cover. The test is skipped; the error's message gives the reason."""


class UnusableError(Exception):
    """A server or client that cannot be tested. The run stops; the error's message gives the reason."""


class HookError(UnusableError):
    """A server or an order of a hook that cannot be used. The test fails; the error's message gives the reason."""
