"""The conformance suite: tests of a server, a client, or both."""


class UncoveredError(Exception):
    """The error of a test that this run cannot cover. The test is skipped, with the error's message as the reason."""


class UnusableError(Exception):
    """The error of a server or client that cannot be tested. The run stops, with the error's message as the reason."""


class HookError(UnusableError):
    """The error of a hook whose server or order cannot be used. The test fails with the error's message."""
