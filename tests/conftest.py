from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml  # noqa: F401  # pytester forgets what is first imported in a test, and the C part of PyYAML can be imported only once
from hypothesis import settings
from support.plugins import blocking
from support.servers import serving

# Every run tries the same few examples, without deadlines, so that a busy machine fails no test;
# `--hypothesis-profile=thorough`, which the battery uses, tries many.
settings.register_profile("suite", derandomize=True, deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(autouse=True)
def _runs_of_pytester(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run of its own starts with. Plugins of others take five times as long to load as the rest of such a run, so
    only those are loaded that the marker `beside` names."""
    if "pytester" not in request.fixturenames:
        return
    request.getfixturevalue("pytester")  # which takes PYTEST_ADDOPTS away
    # A test that is written anew within a second, as long as before, is to Python the same file.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    # What the surrounding run measures is none of the business of the runs in it.
    monkeypatch.delenv("COV_CORE_SOURCE", raising=False)
    marker = request.node.get_closest_marker("beside")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(blocking(*(marker.args if marker else ()))))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "beside(*names): plugins of others, by entry point, for runs of pytester")
