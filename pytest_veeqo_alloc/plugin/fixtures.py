"""The fixtures for users. Every run loads this module, so each fixture imports heavy modules itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_veeqo_alloc.core.text import printable
from pytest_veeqo_alloc.plugin.options import LIVE_PLUGIN, base_directory, setting
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator as Validator

    from pytest_veeqo_alloc import Contract
    from pytest_veeqo_alloc.capture.client_objects import Watch
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.engine import Engine
    from pytest_veeqo_alloc.live.client import LiveClient
    from pytest_veeqo_alloc.live.permission import OrderPool
    from pytest_veeqo_alloc.recording.session import Cassettes
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import ServerSettings

CASSETTE_MARKER = "veeqo_alloc_cassette"
CASSETTES_USED: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
TEST_PASSED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.fixture(scope="session")
def veeqo_alloc_contract(pytestconfig: pytest.Config) -> Contract:
    """Return the documented contract, with the profile, rules and deviations that the options set."""
    return contract_of(pytestconfig)


@dataclass(frozen=True)
class Schemas:
    """The jsonschema validators of the request body and the response body."""

    request: Validator
    response: Validator


@pytest.fixture(scope="session")
def veeqo_alloc_schemas(veeqo_alloc_contract: Contract) -> Schemas:
    """Return two jsonschema validators, `.request` and `.response`. They check structural rules of severity `error`."""
    from pytest_veeqo_alloc.reporting.report_file import validator
    from pytest_veeqo_alloc.spec.loader import load_schema

    profile = engine_of(veeqo_alloc_contract).profile
    return Schemas(validator(load_schema("request", profile)), validator(load_schema("response", profile)))


@pytest.fixture
def veeqo_alloc_watch(pytestconfig: pytest.Config, veeqo_alloc_contract: Contract) -> Iterator[Callable[..., Watch]]:
    """Return a function `watch(session)` for a requests.Session, httpx.Client or httpx.AsyncClient.

    It returns a `Watch`, which checks every allocation that the session sends. An error fails the test. If the test
    expects an error status, pass `expect_status=` (one status or several), or call `expect_status(...)` of the `Watch`.
    With `track=True`, `.json()` of a response returns a read-only view that notes which fields the client reads.
    """
    with ExitStack() as stack:

        def watch(session: Any, expect_status: int | Iterable[int] | None = None, *, track: bool = False) -> Watch:
            started = veeqo_alloc_contract.watch(session, expect_status=expect_status, track=track)
            stack.callback(started.close)
            listener_of(pytestconfig).observe(engine_of(veeqo_alloc_contract), started)
            return started

        yield watch


class Target:
    """The server under test. Options limit the number of writes and the orders to which tests may write."""

    foreign = True

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    def __repr__(self) -> str:
        return f"<Target: {urlsplit(self.base_url).hostname}>"

    @property
    def base_url(self) -> str:
        """The URL given with `--veeqo-alloc-base-url`."""
        return self._live.permission.base_url

    def post(self, order_id: int, payload: Any) -> Interaction:
        """Send an allocation (JSON or bytes). Return the interaction. Raise LiveError if it is forbidden or fails."""
        __tracebackhide__ = True
        return self._live.post(order_id, payload)


@pytest.fixture(scope="session")
def veeqo_alloc_target(pytestconfig: pytest.Config) -> Target:
    """Return the server given with `--veeqo-alloc-base-url`. Its `.post(order_id, payload)` sends an allocation."""
    return Target(live_or_fail(pytestconfig))


@pytest.fixture(scope="session")
def veeqo_alloc_orders(pytestconfig: pytest.Config) -> OrderPool:
    """Return the orders to which tests may write, as given with `--veeqo-alloc-orders`."""
    return live_or_fail(pytestconfig).permission.pool


def live_or_fail(config: pytest.Config) -> LiveClient:
    """Return the client that writes to the server under test. Fail the test if writing is not permitted."""
    from pytest_veeqo_alloc.live import LiveError

    try:
        return _live(config)
    except (LiveError, ValueError) as error:
        raise _failed("nothing was sent:" + "".join(f"\n  - {line}" for line in str(error).splitlines())) from None


def _live(config: pytest.Config) -> LiveClient:
    from pytest_veeqo_alloc.plugin.live import LivePlugin

    plugin: LivePlugin = config.pluginmanager.get_plugin(LIVE_PLUGIN) or LivePlugin(config)
    return plugin.live()


def _failed(message: str) -> BaseException:
    lines = map(printable, f"veeqo-alloc: {message}".split("\n"))
    return pytest.fail.Exception("\n".join(lines), pytrace=False)


@pytest.fixture(scope="session")
def veeqo_alloc_server_settings() -> ServerSettings:
    """Return the host, port, API key and policy of `veeqo_alloc_server`. Override this fixture in your conftest.py."""
    from pytest_veeqo_alloc.server.runner import ServerSettings

    return ServerSettings()


@pytest.fixture(scope="session")
def _veeqo_alloc_server_runner(
    pytestconfig: pytest.Config, veeqo_alloc_server_settings: ServerSettings, veeqo_alloc_contract: Contract
) -> Iterator[Fake]:
    """Yield the fake (a local stand-in server) that all tests of this process share."""
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import ServerSettings, running

    settings = veeqo_alloc_server_settings
    if not isinstance(settings, ServerSettings):
        kind = type(settings).__name__
        raise _failed(f"the fixture veeqo_alloc_server_settings must return ServerSettings, not {kind}")
    fake = Fake(engine_of(veeqo_alloc_contract), settings.policy, settings.api_key)
    with ExitStack() as stack:
        try:
            names = tuple(settings.names)
            address = stack.enter_context(running(fake, host=settings.host, port=settings.port, names=names)).netloc
        except OSError as error:
            problem = f"the fake cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            raise _failed(f"{problem}; omit port= to use a free port") from None
        listener_of(pytestconfig).fake_addresses.append(address)
        yield fake
        listener_of(pytestconfig).fake_addresses.remove(address)


@pytest.fixture
def veeqo_alloc_server(
    request: pytest.FixtureRequest, _veeqo_alloc_server_runner: Fake, veeqo_alloc_contract: Contract
) -> Iterator[Fake]:
    """Yield a local fake of the API. Give your client the URL `.url` and the API key `.api_key` of the fake.

    Every request is checked. An error fails the test. The fake creates an order when its id first occurs in a request.
    """
    fake = _veeqo_alloc_server_runner
    fake.reset()
    listener_of(request.config).observe(engine_of(veeqo_alloc_contract), fake)
    yield fake
    fake.settle()
    fake.publish()


@pytest.fixture
def veeqo_alloc_cassette(request: pytest.FixtureRequest, veeqo_alloc_contract: Contract) -> Iterator[Cassettes]:
    """Yield the cassettes of the test. `with veeqo_alloc_cassette.use(name):` plays one; no network or key is needed.

    Every played or recorded allocation is checked. With `--veeqo-alloc-record-mode once`, a missing cassette is
    recorded. The recording is redacted, and is saved only if the test passes.
    """
    item, engine = request.node, engine_of(veeqo_alloc_contract)
    cassettes = _cassettes(request.config, engine)
    listener_of(request.config).observe(engine, cassettes)
    item.stash[TEST_PASSED] = False
    with ExitStack() as stack:
        if closest := next(item.iter_markers_with_node(CASSETTE_MARKER), None):
            node, marker = closest
            if sum(mark.name == CASSETTE_MARKER for mark in node.own_markers) > 1:
                raise _failed(
                    f"several markers {CASSETTE_MARKER} on one test: keep one, and play the other cassettes with veeqo_alloc_cassette.use()"
                )
            with _short_failure():
                stack.enter_context(cassettes.use(*(marker.args or _default_name(item, marker)), **marker.kwargs))
        yield cassettes
    cassettes.publish()
    passed = item.stash[TEST_PASSED]
    item.stash[CASSETTES_USED] = cassettes.usage(passed=passed)
    if passed:
        with _short_failure():
            cassettes.save(datetime.date.today())


@pytest.fixture(scope="session")
def veeqo_alloc_cassettes(request: pytest.FixtureRequest, veeqo_alloc_contract: Contract) -> Iterator[Cassettes]:
    """Yield cassettes for fixtures of module or session scope. `with veeqo_alloc_cassettes.use(name):` plays one.

    Every played or recorded allocation is checked. An error fails the test that played the allocation. Recordings are
    saved at the end of the run, and only if no test has failed.
    """
    engine, listener = engine_of(veeqo_alloc_contract), listener_of(request.config)
    cassettes = _cassettes(request.config, engine)
    listener.observe_run(engine, cassettes)
    yield cassettes
    cassettes.publish()
    news = [*listener.left_over, cassettes.take_news()]
    findings = engine.merge(part.findings for part in news)
    problems = [*(problem for part in news for problem in part.problems), *cassettes.problems]
    if listener.item is not None:
        usage = cassettes.usage(passed=not request.session.testsfailed)
        listener.item.stash[CASSETTES_USED] = [*listener.item.stash.get(CASSETTES_USED, ()), *usage]
    if not findings.ok or problems:
        raise _failed("\n\n".join([*([] if findings.ok else [str(engine.violation(findings))]), *problems]))
    if not request.session.testsfailed:
        with _short_failure():
            cassettes.save(datetime.date.today())


def _cassettes(config: pytest.Config, engine: Engine) -> Cassettes:
    from pytest_veeqo_alloc.recording.session import Cassettes

    age = max_age(config)
    mode, allowed = setting(config, "record-mode") or "none", setting(config, "cassette-allow-hosts")
    own_servers, target = listener_of(config).fake_addresses, setting(config, "base-url") or ""
    return Cassettes(engine, cassette_folder(config), mode, lambda: _live(config), own_servers, allowed, age, target)


def _default_name(item: pytest.Item, marker: pytest.Mark) -> tuple[str, ...]:
    """Return a tuple of the cassette name derived from *item*. It is empty if *marker* has the argument `name=`."""
    from pytest_veeqo_alloc.recording import name_of_test

    if "name" in marker.kwargs:
        return ()
    names = [node.name for node in item.listchain() if isinstance(node, (pytest.Class, pytest.Item))]
    folders = cassette_folder(item.config).parent, item.config.rootpath, item.path.parent
    folder = next(folder for folder in folders if item.path.is_relative_to(folder))
    return (name_of_test(item.path.relative_to(folder), names),)


@contextmanager
def _short_failure() -> Iterator[None]:
    """Fail the test without a traceback if the `with` block raises a TypeError or ValueError."""
    try:
        yield
    except TypeError:
        raise _failed(
            f"invalid marker arguments; use @pytest.mark.{CASSETTE_MARKER}('name'), with the arguments of "
            "veeqo_alloc_cassette.use(): relax=, strict_play=, allow_playback_repeats=, allow_hosts=, record_mode="
        ) from None
    except ValueError as error:
        raise _failed(str(error)) from None


def max_age(config: pytest.Config) -> int | None:
    """Return the maximum age of a cassette in days, or None for no limit."""
    text = setting(config, "cassette-max-age")
    return int(text) if text else None


def cassette_folder(config: pytest.Config) -> Path:
    """Return the user's cassette folder, by default `tests/cassettes`."""
    return base_directory(config, "cassette-dir") / str(setting(config, "cassette-dir") or "tests/cassettes")
