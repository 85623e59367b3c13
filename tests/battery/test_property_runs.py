"""The strategies in property tests of users, in runs of their own."""

from __future__ import annotations

import pytest

# The machine may be slow, so no example has a deadline; every other health check and every warning still fails a test.
PROPERTIES = """
from hypothesis import HealthCheck, given, settings
from pytest_veeqo_alloc.strategies import *

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

@untimed
@given(allocation_requests())
def test_requests(request_body): pass

@untimed
@given(allocation_responses(extra_fields=True))
def test_responses(order): pass

@untimed
@given(allocation_interactions(variant="observed"))
def test_interactions(interaction): pass

@settings(untimed, derandomize=True)
@given(invalid_allocation_requests(), invalid_allocation_responses(), malformed_bodies())
def test_broken(broken_request, broken_response, body): pass
"""


@pytest.mark.with_plugins("xdist", "hypothesispytest")
@pytest.mark.parametrize(
    "options",
    [[], ["--hypothesis-seed=7"], ["-n", "2"], ["--hypothesis-profile=ci"]],
    ids=["default", "seed", "xdist", "profile"],
)
def test_property_tests_meet_no_health_check_and_no_warning(pytester: pytest.Pytester, options: list[str]) -> None:
    pytester.makepyfile(PROPERTIES)
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:randomly", *options)
    result.assert_outcomes(passed=4)
