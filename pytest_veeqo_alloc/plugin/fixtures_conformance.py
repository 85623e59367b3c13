"""The fixtures of the packaged suite; what they need is imported when one is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pytest_veeqo_alloc.plugin.observers import record_warnings
from pytest_veeqo_alloc.plugin.options import OPTIONS, setting
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of

if TYPE_CHECKING:
    from pytest_veeqo_alloc.conformance.assertions import ServerAssertions
    from pytest_veeqo_alloc.conformance.client import ClientAssertions
    from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest


NOT_COVERED = "veeqo-alloc: not covered: "


@pytest.fixture(scope="session")
def veeqo_alloc_subject(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[ServerUnderTest | str]:
    """The server under test, or why there is none. Where it may not be written to, the run stops."""
    from pytest_veeqo_alloc.conformance.server_under_test import foreign, own_fake

    with ExitStack() as stack:
        if setting(pytestconfig, "base-url"):
            from pytest_veeqo_alloc.plugin.fixtures import live_or_fail

            try:
                live = live_or_fail(pytestconfig)
            except pytest.fail.Exception:
                request.session.shouldfail = "veeqo-alloc: the server under test may not be written to"
                raise
            yield foreign(live, engine_of(contract_of(pytestconfig)))
        elif is_client_named(pytestconfig):
            yield "no server is named: --veeqo-alloc-base-url does, as docs/howto/staging.md says"
        else:
            yield stack.enter_context(own_fake(listener_of(pytestconfig)))


@pytest.fixture
def veeqo_alloc_judge(request: pytest.FixtureRequest, veeqo_alloc_subject: ServerUnderTest | str) -> ServerAssertions:
    """What judges the server under test in this test."""
    from pytest_veeqo_alloc.conformance.assertions import ServerAssertions

    if isinstance(veeqo_alloc_subject, str):
        pytest.skip(veeqo_alloc_subject)
    return ServerAssertions(veeqo_alloc_subject, lambda findings: record_warnings(request.node, findings))


@pytest.fixture(scope="session")
def veeqo_alloc_client(request: pytest.FixtureRequest) -> Any:
    """`make_client` of the client under test: of the option, of the hook, or the reference client where nothing at all
    was said; else why there is none."""
    from pytest_veeqo_alloc.conformance.client import ClientError, checked, named_client

    config = request.config
    try:
        named = setting(config, "client")
        if named:  # an option wins over what a conftest.py says
            return named_client(named, str(config.invocation_params.dir))
        made = config.hook.pytest_veeqo_alloc_client(request=request)
        if made is not None:
            return checked(made)
    except ClientError as error:
        request.session.shouldfail = f"veeqo-alloc: {error}"
        return str(error)
    if any(setting(config, name) for name, *_ in OPTIONS):
        return (
            "no client is named: implement the hook pytest_veeqo_alloc_client(request) in a conftest.py, or give "
            "--veeqo-alloc-client module:make_client"
        )
    from pytest_veeqo_alloc.conformance.client import make_client

    return make_client


@pytest.fixture
def veeqo_alloc_client_judge(request: pytest.FixtureRequest, veeqo_alloc_client: Any) -> Iterator[ClientAssertions]:
    """What judges the client under test in this test: a fake that is fresh, and not watched by itself."""
    from pytest_veeqo_alloc.conformance.client import ClientAssertions

    if isinstance(veeqo_alloc_client, str):
        if request.session.shouldfail:
            pytest.fail(f"veeqo-alloc: {veeqo_alloc_client}", pytrace=False)
        pytest.skip(veeqo_alloc_client)
    fake = request.getfixturevalue("_veeqo_alloc_server_runner")
    fake.reset()
    timeout = float(setting(request.config, "client-timeout") or 5)
    yield ClientAssertions(veeqo_alloc_client, fake, timeout, lambda findings: record_warnings(request.node, findings))
    fake.settle()
    fake.show()


def is_client_named(config: pytest.Config) -> bool:
    """Whether somebody said which client is to be judged."""
    implementations = config.hook.pytest_veeqo_alloc_client.get_hookimpls()
    return bool(setting(config, "client") or implementations)


def uncovered_reason(report: Any) -> str:
    """Why the suite could not cover the test of *report*; nothing where it did, or where it is another's test."""
    skipped = getattr(report, "skipped", False) and isinstance(report.longrepr, tuple)
    return str(report.longrepr[2]).partition(NOT_COVERED)[2] if skipped else ""


def replacement_for(item: pytest.Item, error: BaseException) -> BaseException | None:
    """What is raised in the place of *error*: a skip where something is not covered, one sentence and a stop where the
    target is no target or the client is none."""
    from pytest_veeqo_alloc.conformance.client import ClientError
    from pytest_veeqo_alloc.conformance.server_under_test import TargetError, UncoveredError

    if isinstance(error, UncoveredError):
        return pytest.skip.Exception(f"{NOT_COVERED}{error}")
    if isinstance(error, (TargetError, ClientError)):
        item.session.shouldfail = f"veeqo-alloc: {error}"
        return pytest.fail.Exception(f"veeqo-alloc: {error}", pytrace=False)
    return None
