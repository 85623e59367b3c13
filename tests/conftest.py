from __future__ import annotations

from collections.abc import Iterator

import jsonschema  # noqa: F401  # see below
import pytest
import yaml  # noqa: F401  # see below
from hypothesis import settings
from support.plugins import disable_others
from support.servers import serving
from support.staging import Staging, staging

# A run of pytester in this process forgets the modules that it was the first to import. PyYAML's C part cannot be imported
# twice, and jsonschema takes long, so both are imported before any such run.

# Every run tries the same few examples, without deadlines, so that a busy machine fails no test;
# `--hypothesis-profile=thorough`, as in `tox run -e thorough`, tries many.
settings.register_profile("suite", derandomize=True, deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Yield the URL of a server that answers every allocation with the documented response."""
    with serving() as url:
        yield url


@pytest.fixture
def server() -> Iterator[Staging]:
    """Yield a staging server of this test."""
    with staging() as started:
        yield started


@pytest.fixture(autouse=True)
def _environment_of_inner_runs(request: pytest.FixtureRequest) -> None:
    """Disable the other installed plugins in runs of pytester, except those that the marker `with_plugins` names.

    They take five times as long to load as the rest of such a run.
    """
    if "pytester" not in request.fixturenames:
        return
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    request.getfixturevalue("pytester")  # it removes PYTEST_ADDOPTS, which is set below
    # Python would use the cached bytecode of a test file that is rewritten within a second with the same size.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("COV_CORE_SOURCE", raising=False)  # inner runs are not measured
    marker = request.node.get_closest_marker("with_plugins")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(disable_others(*(marker.args if marker else ()))))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "with_plugins(*names): entry points of other plugins to load in runs of pytester"
    )
