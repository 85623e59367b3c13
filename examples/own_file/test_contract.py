"""The client half of the suite, with one's own tests: ids, markers and options are those of this project."""

import pytest

from pytest_veeqo_alloc.conformance.test_veeqo_alloc_client import *  # noqa: F403


@pytest.fixture(autouse=True)
def _known_gaps(request):
    if request.node.name == "test_client_accepts_response[compressed body]":
        reason = "our client knows no gzip, and does not ask for it"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
