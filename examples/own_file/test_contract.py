"""The client half of the conformance suite, run as part of this project's tests with its ids, markers and options."""

import pytest

from pytest_veeqo_alloc.conformance.test_veeqo_alloc_client import *


@pytest.fixture(autouse=True)
def _known_gaps(request):
    if request.node.name == "test_client_accepts_response[client-rejects-documented-answer-objects that are null]":
        reason = "our client needs the customer of the order"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
