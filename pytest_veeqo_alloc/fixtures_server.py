"""The fixture `veeqo_alloc_server`, in three layers; what they need is imported when one is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pytest_veeqo_alloc.options import FAKES
from pytest_veeqo_alloc.watched import unwatch, watched

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import ServerSettings


@pytest.fixture(scope="session")
def veeqo_alloc_server_settings() -> ServerSettings:
    """Override it in your conftest.py for another address, key or policy."""
    from pytest_veeqo_alloc.server.runner import ServerSettings

    return ServerSettings()


@pytest.fixture(scope="session")
def veeqo_alloc_server_owner(
    pytestconfig: pytest.Config, veeqo_alloc_server_settings: ServerSettings, veeqo_alloc_contract: Contract
) -> Iterator[Fake]:
    """The one server of this process, for all tests in turn."""
    from pytest_veeqo_alloc.server.fake import Fake
    from pytest_veeqo_alloc.server.runner import ServerSettings, running

    given = veeqo_alloc_server_settings
    if not isinstance(given, ServerSettings):
        what = f"it returns {type(given).__name__}, not ServerSettings"
        pytest.fail(f"veeqo-alloc: the fixture veeqo_alloc_server_settings is overridden, but {what}", pytrace=False)
    fake = Fake(veeqo_alloc_contract, given.policy, given.api_key)
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
        pytestconfig.stash.setdefault(FAKES, []).append(front.netloc)
        yield fake
        pytestconfig.stash[FAKES].remove(front.netloc)


@pytest.fixture
def veeqo_alloc_server(
    request: pytest.FixtureRequest, veeqo_alloc_server_owner: Fake, veeqo_alloc_contract: Contract
) -> Iterator[Fake]:
    """A stand-in for the API on the loopback: give your client its `.url` and `.api_key`. Each request is checked, and an
    error in one fails the test. The world is empty at first, and what a client asks for is made up."""
    from pytest_veeqo_alloc.server.fake import Judge

    veeqo_alloc_server_owner.reset()
    watched(request.node, veeqo_alloc_contract).append(Judge(veeqo_alloc_server_owner))
    yield veeqo_alloc_server_owner
    veeqo_alloc_server_owner.settle()
    veeqo_alloc_server_owner.show()
    unwatch(request.node)
