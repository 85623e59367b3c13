from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.servers import serving

# The same examples in every run, and no example judged by the clock: a busy machine is no failure.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(autouse=True)
def _no_stale_bytecode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that is written anew within a second, as long as before, is to Python the same file."""
    if "pytester" in request.fixturenames:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
