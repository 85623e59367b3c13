"""The failure of a test whose watched session broke the contract."""

from __future__ import annotations

import pytest

from pytest_veeqo_alloc.contract.violation import ContractViolation


class _WatchedViolation(ContractViolation, pytest.fail.Exception):  # type: ignore[misc,name-defined]  # pytest gives the class as an attribute of a function
    """A ContractViolation that pytest shows without a traceback: the test's own lines are not where it is."""

    def __init__(self, violation: ContractViolation) -> None:
        ContractViolation.__init__(self, violation.findings, violation.hint)
        self.msg = str(violation)
        self.pytrace = False


# What a failure shows is the name under which users know it.
_WatchedViolation.__name__ = _WatchedViolation.__qualname__ = ContractViolation.__name__
_WatchedViolation.__module__ = ContractViolation.__module__


def watched_failure(violation: ContractViolation) -> BaseException:
    """*violation*, to be raised where no frame is worth showing."""
    return _WatchedViolation(violation)
