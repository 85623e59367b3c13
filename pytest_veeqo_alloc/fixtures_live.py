"""The fixtures of a foreign server; what they need is imported when one is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_veeqo_alloc.core.http import Interaction
    from pytest_veeqo_alloc.live.client import Live
    from pytest_veeqo_alloc.live.permission import OrderPool


class Target:
    """The server under test: `.base_url`, `.foreign`, and `.post(order_id, payload)`, which goes through the guards."""

    foreign = True

    def __init__(self, live: Live) -> None:
        self._live = live

    @property
    def base_url(self) -> str:
        """Where it is."""
        return self._live.permit.base_url

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
    return live_or_fail(pytestconfig).permit.pool


def live_or_fail(config: pytest.Config) -> Live:
    """The way to the foreign server, or a failure with a sentence for each thing that is missing and no traceback."""
    from pytest_veeqo_alloc.live import LiveError
    from pytest_veeqo_alloc.live_plugin import live_of

    try:
        return live_of(config)
    except LiveError as error:
        sentences = str(error).splitlines()
    pytest.fail("veeqo-alloc: nothing is sent\n" + "\n".join(f"  - {each}" for each in sentences), pytrace=False)
