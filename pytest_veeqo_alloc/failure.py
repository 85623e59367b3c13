"""The failure of a test in which the contract was broken before the eyes of a fixture."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_veeqo_alloc.contract.failure import ContractViolation


class _WatchedViolation(ContractViolation, pytest.fail.Exception):  # type: ignore[misc,name-defined]  # pytest gives the class as an attribute of a function
    """A ContractViolation that pytest shows without a traceback: the test's own lines are not where it is."""

    def __init__(self, violation: ContractViolation, more: Sequence[str]) -> None:
        ContractViolation.__init__(self, violation.findings, violation.hint)
        self.msg = "\n\n".join([str(violation), *more])
        self.pytrace = False


# What a failure shows is the name under which users know it.
_WatchedViolation.__name__ = _WatchedViolation.__qualname__ = ContractViolation.__name__
_WatchedViolation.__module__ = ContractViolation.__module__


def failure(violation: ContractViolation | None, complaints: Sequence[str]) -> BaseException:
    """*violation* and *complaints* as one failure, to be raised where no frame is worth showing."""
    if violation is not None:
        return _WatchedViolation(violation, complaints)
    return pytest.fail.Exception("veeqo-alloc: " + "\n\n".join(complaints), pytrace=False)
