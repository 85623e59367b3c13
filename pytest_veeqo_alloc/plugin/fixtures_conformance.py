"""The fixtures of the conformance suite. Every run loads this module, so each fixture imports heavy modules itself."""

from __future__ import annotations

import functools
import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_veeqo_alloc.plugin.observers import record_suite_test
from pytest_veeqo_alloc.plugin.options import REPORT_PLUGIN, base_directory, is_any_option_set, setting
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of

if TYPE_CHECKING:
    from pytest_veeqo_alloc.conformance.client import ClientUnderTest
    from pytest_veeqo_alloc.conformance.server_under_test import Arrange, ServerUnderTest
    from pytest_veeqo_alloc.live.permission import WriteOptions
    from pytest_veeqo_alloc.server.runner import ServerSettings


SUITE_TEST, CLIENT_TESTS = "test_veeqo_alloc_", "test_veeqo_alloc_client"
"""The prefix of the names of the suite's test modules, and the name of the module with the client tests."""

NOT_COVERED = "veeqo-alloc: not covered: "


ServerOfTest = Callable[["pytest.FixtureRequest"], "ServerUnderTest"]


@pytest.fixture(scope="session")
def _veeqo_alloc_server_of_session(request: pytest.FixtureRequest) -> Iterator[ServerUnderTest | ServerOfTest | str]:
    """Yield the server under test, a function that returns it for a test, or the reason why there is no server.

    If the options do not permit writing, the run stops.
    """
    from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest, own_fake
    from pytest_veeqo_alloc.plugin.fixtures import live_or_fail

    config = request.config
    if setting(config, "base-url"):
        try:
            live = live_or_fail(config)
        except pytest.fail.Exception:
            request.session.shouldfail = "veeqo-alloc: writing to the server under test is not permitted"
            raise
        yield ServerUnderTest(live, engine_of(contract_of(config)))
    elif config.hook.pytest_veeqo_alloc_server.get_hookimpls():
        with _server_of_hook(config) as server_of_test:
            yield server_of_test
    elif is_client_named(config):
        yield (
            "no server is named: implement the hook pytest_veeqo_alloc_server(request) in a conftest.py, or give "
            "--veeqo-alloc-base-url"
        )
    else:
        with own_fake(listener_of(config)) as server:
            yield server


@contextmanager
def _server_of_hook(config: pytest.Config) -> Iterator[ServerOfTest]:
    """Yield a function that calls the hook for a test, and returns the hook's server as the server under test.

    If the hook returns the same server as before, so does the function. It raises HookError for an unusable server.
    """
    from pytest_veeqo_alloc.conformance import HookError
    from pytest_veeqo_alloc.conformance.server_under_test import ORDERS, random_first_order, server_of_hook

    first_orders, failures = itertools.count(random_first_order(), ORDERS), list[str]()
    known: list[tuple[object, ServerUnderTest]] = []
    with ExitStack() as stack:

        def server_of_test(request: pytest.FixtureRequest) -> ServerUnderTest:
            server = config.hook.pytest_veeqo_alloc_server(request=request)
            if failures:
                raise HookError(failures[0])
            if not known or (server is not known[0][0] and server != known[0][0]):
                stack.close()
                engine, options = engine_of(contract_of(config)), _options_for_hook(config)
                started = stack.enter_context(server_of_hook(server, options, engine, next(first_orders)))
                started.arrange = arranger(request)
                known[:] = [(server, started)]
                try:
                    # In one test, since the database of the next test may give the same ids again.
                    started.documented()
                except HookError as error:
                    failures.append(str(error))
                    raise
            return known[0][1]

        yield server_of_test


def _options_for_hook(config: pytest.Config) -> WriteOptions:
    from pytest_veeqo_alloc.plugin.live import write_options_of
    from pytest_veeqo_alloc.server.fake import API_KEY

    options = write_options_of(config)
    orders = options.orders or "any"
    return replace(
        options,
        api_key=options.api_key or API_KEY,
        orders=orders,
        max_writes=options.max_writes or 10**6,
        rate=10**5 if options.rate is None and orders == "any" else options.rate,
    )


@pytest.fixture
def _veeqo_alloc_server_under_test(
    request: pytest.FixtureRequest, _veeqo_alloc_server_of_session: ServerUnderTest | ServerOfTest | str
) -> ServerUnderTest:
    """Return the server under test. Its findings are recorded for this test. Skip the test if there is no server."""
    server = _veeqo_alloc_server_of_session
    if isinstance(server, str):
        pytest.skip(server)
    try:
        server = server(request) if callable(server) else server
        server.report = functools.partial(record_suite_test, request.node)
        server.arrange = arranger(request)
        server.require_api()
    except Exception as error:
        raise replacement_for(request.node, error) or error from None
    return server


def arranger(request: pytest.FixtureRequest) -> Arrange | None:
    """Return the function that creates an order: from the option, otherwise from the hook, otherwise None."""
    config = request.config
    if not is_server_named(config):
        return None  # the bundled fake has its orders
    if url := setting(config, "arrange-url"):
        from pytest_veeqo_alloc.conformance.server_under_test import arrange_at

        return functools.partial(arrange_at, url)
    hook = config.hook.pytest_veeqo_alloc_arrange
    return (lambda order: next(iter(hook(order=order, request=request)), None)) if hook.get_hookimpls() else None


@pytest.fixture(scope="session")
def veeqo_alloc_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield the factory of the client under test, or a string that says why there is no client.

    The factory comes from `--veeqo-alloc-client` or `--veeqo-alloc-client-command`, otherwise from the hook
    `pytest_veeqo_alloc_client`. If no option or hook of the plugin is used, it is the factory of the bundled reference
    client.
    """
    from pytest_veeqo_alloc.conformance import UnusableError

    with ExitStack() as stack:
        try:
            client = _named_client(request, stack)
        except UnusableError as error:
            request.session.shouldfail = f"veeqo-alloc: {error}"
            client = str(error)
        yield client


def _named_client(request: pytest.FixtureRequest, stack: ExitStack) -> Any:
    from pytest_veeqo_alloc.conformance.client import load_client, make_client, validate_client

    config = request.config
    if name := setting(config, "client"):  # the options take precedence over the hook
        return load_client(name, str(config.invocation_params.dir))
    if command := setting(config, "client-command"):
        from pytest_veeqo_alloc.conformance.command_client import CommandClient

        folder, is_persistent = str(base_directory(config, "client-command")), setting(config, "client-persistent")
        client = CommandClient(command, folder, is_persistent=is_persistent)
        stack.callback(client.close)
        return client
    if (implemented := config.hook.pytest_veeqo_alloc_client(request=request)) is not None:
        return validate_client(implemented)
    if not is_any_option_set(config) and not is_server_named(config):
        return make_client
    return (
        "no client is named: implement the hook pytest_veeqo_alloc_client(request) in a conftest.py, or give "
        "--veeqo-alloc-client module:make_client or --veeqo-alloc-client-command 'COMMAND'"
    )


@pytest.fixture(scope="session")
def _veeqo_alloc_client_of_session(
    request: pytest.FixtureRequest, veeqo_alloc_client: Any, veeqo_alloc_server_settings: ServerSettings
) -> Iterator[ClientUnderTest | str]:
    """Yield the client under test, or the reason why no client is tested. At the end, report late requests."""
    from pytest_veeqo_alloc.conformance.client import ClientUnderTest
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import running

    config, settings = request.config, veeqo_alloc_server_settings
    if isinstance(veeqo_alloc_client, str):
        yield veeqo_alloc_client
        return
    engine, addresses = engine_of(contract_of(config)), listener_of(config).fake_addresses

    def start_fake(stack: ExitStack) -> Fake:
        fake = Fake(engine, settings.policy, f"conformance-{uuid.uuid4().hex}")
        address = stack.enter_context(running(fake, host=settings.host)).netloc
        addresses.append(address)
        stack.callback(addresses.remove, address)
        return fake

    client = ClientUnderTest(veeqo_alloc_client, start_fake, float(setting(config, "client-timeout") or 5), engine)
    yield client
    if plugin := config.pluginmanager.get_plugin(REPORT_PLUGIN):
        for problem in client.late_requests():
            plugin.add_problem(problem)


@pytest.fixture
def _veeqo_alloc_client_under_test(
    request: pytest.FixtureRequest, _veeqo_alloc_client_of_session: ClientUnderTest | str
) -> Iterator[ClientUnderTest]:
    """Yield the client under test. After the test, wait for the client's calls. Skip the test if there is no client."""
    client = _veeqo_alloc_client_of_session
    if isinstance(client, str):
        if request.session.shouldfail:
            pytest.fail(f"veeqo-alloc: {client}", pytrace=False)
        pytest.skip(client)
    client.report = functools.partial(record_suite_test, request.node)
    yield client
    client.finish_calls(request.node.name)


def deselect_unnamed_half(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the suite's server tests if only a client is given, and its client tests if only a server is given.

    If no other test of the suite is selected, they are kept, and are skipped with a reason.
    """
    has_client, has_server = is_client_named(config), is_server_named(config)
    without_server = has_client and not has_server
    without_client = not has_client and (has_server or is_any_option_set(config))
    suite = [item for item in items if item.path.name.startswith(SUITE_TEST)]
    unnamed = [item for item in suite if (without_client if item.path.stem == CLIENT_TESTS else without_server)]
    if unnamed and len(unnamed) < len(suite):
        config.hook.pytest_deselected(items=unnamed)
        items[:] = [item for item in items if item not in unnamed]


def is_client_named(config: pytest.Config) -> bool:
    """Return whether an option or the hook `pytest_veeqo_alloc_client` supplies a client."""
    is_in_option = setting(config, "client") or setting(config, "client-command")
    return bool(is_in_option or config.hook.pytest_veeqo_alloc_client.get_hookimpls())


def is_server_named(config: pytest.Config) -> bool:
    """Return whether `--veeqo-alloc-base-url` or the hook `pytest_veeqo_alloc_server` supplies a server."""
    return bool(setting(config, "base-url") or config.hook.pytest_veeqo_alloc_server.get_hookimpls())


def uncovered_reason(report: Any) -> str:
    """Return the reason why a conformance test could not be run. For any other *report*, return an empty string."""
    skipped = getattr(report, "skipped", False) and isinstance(report.longrepr, tuple)
    return str(report.longrepr[2]).partition(NOT_COVERED)[2] if skipped else ""


def replacement_for(item: pytest.Item, error: BaseException) -> BaseException | None:
    """Return the skip or failure to raise instead of *error*. Return None unless *error* is one of the suite's own."""
    from pytest_veeqo_alloc.conformance import HookError, UncoveredError, UnusableError

    if isinstance(error, UncoveredError):
        return pytest.skip.Exception(f"{NOT_COVERED}{error}")
    if isinstance(error, UnusableError):
        if not isinstance(error, HookError):
            item.session.shouldfail = f"veeqo-alloc: {error}"
        return pytest.fail.Exception(f"veeqo-alloc: {error}", pytrace=False)
    return None
