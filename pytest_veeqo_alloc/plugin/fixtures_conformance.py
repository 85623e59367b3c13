"""The fixtures of the conformance suite. Every run loads this module, so each fixture imports heavy modules itself."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_veeqo_alloc.plugin.observers import record_warnings
from pytest_veeqo_alloc.plugin.options import OPTIONS, setting
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of

if TYPE_CHECKING:
    from pytest_veeqo_alloc.conformance.client import ClientAssertions
    from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest
    from pytest_veeqo_alloc.server.fake import Fake

NOT_COVERED = "veeqo-alloc: not covered: "


@pytest.fixture(scope="session")
def _veeqo_alloc_server_of_session(request: pytest.FixtureRequest) -> Iterator[ServerUnderTest | str]:
    """Yield the server under test, or a string that says why there is none. Stop the run if writing is not permitted."""
    from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest, own_fake
    from pytest_veeqo_alloc.plugin.fixtures import live_or_fail

    if setting(request.config, "base-url"):
        try:
            live = live_or_fail(request.config)
        except pytest.fail.Exception:
            request.session.shouldfail = "veeqo-alloc: writing to the server under test is not permitted"
            raise
        yield ServerUnderTest(live, engine_of(contract_of(request.config)))
    elif is_client_named(request.config):
        yield "no server is named: give --veeqo-alloc-base-url, see docs/howto/staging.md"
    else:
        with own_fake(listener_of(request.config)) as server:
            yield server


@pytest.fixture
def _veeqo_alloc_server_under_test(
    request: pytest.FixtureRequest, _veeqo_alloc_server_of_session: ServerUnderTest | str
) -> ServerUnderTest:
    """Return the server under test, and record its warnings for this test. Skip the test if there is no server."""
    if isinstance(_veeqo_alloc_server_of_session, str):
        pytest.skip(_veeqo_alloc_server_of_session)
    _veeqo_alloc_server_of_session.warn = functools.partial(record_warnings, request.node)
    return _veeqo_alloc_server_of_session


@pytest.fixture(scope="session")
def veeqo_alloc_client(request: pytest.FixtureRequest) -> Any:
    """Return the factory of the client under test, or a string that says why there is no client.

    The factory comes from `--veeqo-alloc-client`, otherwise from the hook `pytest_veeqo_alloc_client`. If there is no
    hook and no option of the plugin is set, the factory creates the bundled reference client.
    """
    from pytest_veeqo_alloc.conformance import UnusableError
    from pytest_veeqo_alloc.conformance.client import load_client, make_client, validate_client

    config = request.config
    try:
        if name := setting(config, "client"):  # the option takes precedence over the hook
            return load_client(name, str(config.invocation_params.dir))
        if (implemented := config.hook.pytest_veeqo_alloc_client(request=request)) is not None:
            return validate_client(implemented)
    except UnusableError as error:
        request.session.shouldfail = f"veeqo-alloc: {error}"
        return str(error)
    if not any(setting(config, name) for name, *_ in OPTIONS):
        return make_client
    return (
        "no client is named: implement the hook pytest_veeqo_alloc_client(request) in a conftest.py, or give "
        "--veeqo-alloc-client module:make_client"
    )


@pytest.fixture
def _veeqo_alloc_client_assertions(
    request: pytest.FixtureRequest, veeqo_alloc_client: Any
) -> Iterator[ClientAssertions]:
    """Reset the fake that the client calls, and yield assertions about the client. Skip the test without a client."""
    from pytest_veeqo_alloc.conformance.client import ClientAssertions

    if isinstance(veeqo_alloc_client, str):
        if request.session.shouldfail:
            pytest.fail(f"veeqo-alloc: {veeqo_alloc_client}", pytrace=False)
        pytest.skip(veeqo_alloc_client)
    # Requested here and not as an argument, so that no server starts for a skipped test.
    fake: Fake = request.getfixturevalue("_veeqo_alloc_server_runner")
    fake.reset()
    timeout = float(setting(request.config, "client-timeout") or 5)
    yield ClientAssertions(veeqo_alloc_client, fake, timeout, functools.partial(record_warnings, request.node))
    fake.settle()
    fake.publish()


def is_client_named(config: pytest.Config) -> bool:
    """Return whether `--veeqo-alloc-client` or the hook `pytest_veeqo_alloc_client` supplies a client."""
    return bool(setting(config, "client") or config.hook.pytest_veeqo_alloc_client.get_hookimpls())


def uncovered_reason(report: Any) -> str:
    """Return the reason why a conformance test could not be run, or an empty string for any other *report*."""
    skipped = getattr(report, "skipped", False) and isinstance(report.longrepr, tuple)
    return str(report.longrepr[2]).partition(NOT_COVERED)[2] if skipped else ""


def replacement_for(item: pytest.Item, error: BaseException) -> BaseException | None:
    """Return the skip or failure that replaces *error*, or None if the conformance suite did not raise *error*."""
    from pytest_veeqo_alloc.conformance import UncoveredError, UnusableError

    if isinstance(error, UncoveredError):
        return pytest.skip.Exception(f"{NOT_COVERED}{error}")
    if isinstance(error, UnusableError):
        item.session.shouldfail = f"veeqo-alloc: {error}"
        return pytest.fail.Exception(f"veeqo-alloc: {error}", pytrace=False)
    return None
