"""The fixtures. What they need is imported when one is used: this module is loaded in every run."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_veeqo_alloc.plugin.observers import clear_observers, observers_of
from pytest_veeqo_alloc.plugin.options import FAKE_ADDRESSES, base_directory, setting
from pytest_veeqo_alloc.plugin.run_state import contract_of, engine_of, listener_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator as Validator

    from pytest_veeqo_alloc import Contract
    from pytest_veeqo_alloc.capture.client_objects import Watch
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.live.client import LiveClient
    from pytest_veeqo_alloc.live.permission import OrderPool
    from pytest_veeqo_alloc.recording.session import Cassettes
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import ServerSettings


@dataclass(frozen=True)
class Schemas:
    """jsonschema validators for one profile: `.request` and `.response`."""

    request: Validator
    response: Validator


@pytest.fixture(scope="session")
def veeqo_alloc_contract(pytestconfig: pytest.Config) -> Contract:
    """The contract, with the profile, rules and deviations of this run's options."""
    return contract_of(pytestconfig)


@pytest.fixture(scope="session")
def veeqo_alloc_schemas(veeqo_alloc_contract: Contract) -> Schemas:
    """Ready jsonschema validators that reject what the profile of this run makes an error."""
    from pytest_veeqo_alloc.reporting.report_file import validator
    from pytest_veeqo_alloc.spec.loader import load_schema

    profile = engine_of(veeqo_alloc_contract).profile
    return Schemas(validator(load_schema("request", profile)), validator(load_schema("response", profile)))


@pytest.fixture
def veeqo_alloc_watch(
    request: pytest.FixtureRequest, veeqo_alloc_contract: Contract
) -> Iterator[Callable[[Any], Watch]]:
    """Call it with a requests.Session, httpx.Client or httpx.AsyncClient: each allocation that it makes is checked, and
    an error fails the test. Returns the `Watch`."""
    watches: list[Watch] = []
    onlookers = observers_of(request.node, engine_of(veeqo_alloc_contract))

    def watch(session: Any) -> Watch:
        watches.append(veeqo_alloc_contract.watch(session))
        onlookers.append(watches[-1])
        return watches[-1]

    yield watch
    clear_observers(request.node)
    for each in watches:
        each.close()


class Target:
    """The server under test: `.base_url`, `.foreign`, and `.post(order_id, payload)`, which goes through the guards."""

    foreign = True

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    @property
    def base_url(self) -> str:
        """Where it is."""
        return self._live.permission.base_url

    def post(self, order_id: int, payload: Any) -> Interaction:
        """Allocates, for real: *payload* is a JSON value or bytes. LiveError, in one sentence, where it may not be sent or
        got no answer."""
        __tracebackhide__ = True
        return self._live.post(order_id, payload)


@pytest.fixture(scope="session")
def veeqo_alloc_target(pytestconfig: pytest.Config) -> Target:
    """The foreign server that `--veeqo-alloc-base-url` names."""
    return Target(live_or_fail(pytestconfig))


@pytest.fixture(scope="session")
def veeqo_alloc_orders(pytestconfig: pytest.Config) -> OrderPool:
    """The orders that may be written to: of `--veeqo-alloc-orders`."""
    return live_or_fail(pytestconfig).permission.pool


def live_or_fail(config: pytest.Config) -> LiveClient:
    """The way to the foreign server, or a failure with a sentence for each thing that is missing and no traceback."""
    from pytest_veeqo_alloc.live import LiveError
    from pytest_veeqo_alloc.plugin.live import live_of

    try:
        return live_of(config)
    except LiveError as error:
        sentences = str(error).splitlines()
    pytest.fail("veeqo-alloc: nothing is sent\n" + "\n".join(f"  - {each}" for each in sentences), pytrace=False)


@pytest.fixture(scope="session")
def veeqo_alloc_server_settings() -> ServerSettings:
    """Override it in your conftest.py for another address, key or policy."""
    from pytest_veeqo_alloc.server.runner import ServerSettings

    return ServerSettings()


@pytest.fixture(scope="session")
def _veeqo_alloc_server_runner(
    pytestconfig: pytest.Config, veeqo_alloc_server_settings: ServerSettings, veeqo_alloc_contract: Contract
) -> Iterator[Fake]:
    """The one server of this process, for all tests in turn."""
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import ServerSettings, running

    given = veeqo_alloc_server_settings
    if not isinstance(given, ServerSettings):
        what = f"it returns {type(given).__name__}, not ServerSettings"
        pytest.fail(f"veeqo-alloc: the fixture veeqo_alloc_server_settings is overridden, but {what}", pytrace=False)
    fake = Fake(engine_of(veeqo_alloc_contract), given.policy, given.api_key)
    with ExitStack() as stack:
        try:
            front = stack.enter_context(running(fake, host=given.host, port=given.port))
        except OSError as error:
            where = f"the fake cannot listen on {given.host}:{given.port}"
            trouble = f"{where}: {error.strerror}; without port= each process takes one that is free"
        else:
            trouble = ""
        if trouble:
            pytest.fail(f"veeqo-alloc: {trouble}", pytrace=False)
        pytestconfig.stash.setdefault(FAKE_ADDRESSES, []).append(front.netloc)
        yield fake
        pytestconfig.stash[FAKE_ADDRESSES].remove(front.netloc)


@pytest.fixture
def veeqo_alloc_server(
    request: pytest.FixtureRequest, _veeqo_alloc_server_runner: Fake, veeqo_alloc_contract: Contract
) -> Iterator[Fake]:
    """A stand-in for the API on the loopback: give your client its `.url` and `.api_key`. Each request is checked, and an
    error in one fails the test. The world is empty at first, and what a client asks for is made up."""
    from pytest_veeqo_alloc.server.fake import Judge

    _veeqo_alloc_server_runner.reset()
    observers_of(request.node, engine_of(veeqo_alloc_contract)).append(Judge(_veeqo_alloc_server_runner))
    yield _veeqo_alloc_server_runner
    _veeqo_alloc_server_runner.settle()
    _veeqo_alloc_server_runner.publish()
    clear_observers(request.node)


MARKER = "veeqo_alloc_cassette"
USED: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
PASSED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.fixture
def veeqo_alloc_cassette(request: pytest.FixtureRequest, veeqo_alloc_contract: Contract) -> Iterator[Cassettes]:
    """`.use(name)` plays a cassette: no network, no key, and every allocation that passes is checked. With
    `--veeqo-alloc-record-mode once` what is missing is recorded, redacted, and written when the test has passed."""
    from pytest_veeqo_alloc.recording.session import Cassettes

    config = request.config
    mode = setting(config, "record-mode") or "none"
    fakes = config.stash.setdefault(FAKE_ADDRESSES, [])
    cassettes = Cassettes(
        engine_of(veeqo_alloc_contract), cassette_folder(config), mode, lambda: _live(config), lambda: fakes
    )
    observers_of(request.node, engine_of(veeqo_alloc_contract)).append(cassettes)
    listener_of(config).owners.append(cassettes.owns)
    request.node.stash[PASSED] = False
    with ExitStack() as stack:
        if (marker := request.node.get_closest_marker(MARKER)) is not None:
            _enter(stack, cassettes, marker)
        yield cassettes
    cassettes.publish()
    clear_observers(request.node)
    passed = request.node.stash[PASSED]
    request.node.stash[USED] = [dataclasses.asdict(used) for used in cassettes.usage(passed=passed)]
    if passed and (trouble := _trouble(lambda: cassettes.save(datetime.date.today()))):
        pytest.fail(trouble, pytrace=False)


def _enter(stack: ExitStack, cassettes: Cassettes, marker: pytest.Mark) -> None:
    if trouble := _trouble(lambda: stack.enter_context(cassettes.use(*marker.args, **marker.kwargs))):
        pytest.fail(trouble, pytrace=False)


def _trouble(work: Callable[[], object]) -> str:
    """What stands in the way of *work*, in one sentence; nothing where it was done."""
    try:
        work()
    except TypeError:
        return (
            f"veeqo-alloc: the marker is used as @pytest.mark.{MARKER}('name'), with the arguments of "
            "veeqo_alloc_cassette.use(): relax=, strict_play=, allow_playback_repeats=, allow_hosts=, record_mode="
        )
    except ValueError as error:
        return f"veeqo-alloc: {error}"
    return ""


def _live(config: pytest.Config) -> LiveClient:
    from pytest_veeqo_alloc.plugin.live import live_of

    return live_of(config)


def cassette_folder(config: pytest.Config) -> Path:
    """The user's folder of cassettes, by default `tests/cassettes`."""
    return base_directory(config, "cassette-dir") / str(setting(config, "cassette-dir") or "tests/cassettes")
