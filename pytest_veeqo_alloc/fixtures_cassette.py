"""The fixture `veeqo_alloc_cassette` and its marker; what they need is imported when one is used."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_veeqo_alloc.options import FAKES, folder_for, setting
from pytest_veeqo_alloc.told import told_in
from pytest_veeqo_alloc.watched import unwatch, watched

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.live.client import Live
    from pytest_veeqo_alloc.recording.session import Cassettes

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
    fakes = config.stash.setdefault(FAKES, [])
    cassettes = Cassettes(veeqo_alloc_contract, folder_of(config), mode, lambda: _live(config), lambda: fakes)
    watched(request.node, veeqo_alloc_contract).append(cassettes)
    told_in(config).played.append(lambda: cassettes.interactions)
    request.node.stash[PASSED] = False
    with ExitStack() as stack:
        if (marker := request.node.get_closest_marker(MARKER)) is not None:
            _enter(stack, cassettes, marker)
        yield cassettes
    cassettes.show()
    unwatch(request.node)
    passed = request.node.stash[PASSED]
    request.node.stash[USED] = [dataclasses.asdict(used) for used in cassettes.used(passed=passed)]
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


def _live(config: pytest.Config) -> Live:
    from pytest_veeqo_alloc.live_plugin import live_of

    return live_of(config)


def folder_of(config: pytest.Config) -> Path:
    """The user's folder of cassettes, by default `tests/cassettes`."""
    return folder_for(config, "cassette-dir") / str(setting(config, "cassette-dir") or "tests/cassettes")
