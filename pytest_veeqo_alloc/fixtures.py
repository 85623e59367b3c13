"""The fixtures. What they need is imported when one is used: this module is loaded in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_veeqo_alloc.watched import unwatch, watched

if TYPE_CHECKING:
    from pytest_veeqo_alloc.api import Contract
    from pytest_veeqo_alloc.capture.client_objects import Watch
    from pytest_veeqo_alloc.reporting.report_file import Validator


@dataclass(frozen=True)
class Schemas:
    """jsonschema validators for one profile: `.request` and `.response`."""

    request: Validator
    response: Validator


@pytest.fixture(scope="session")
def veeqo_alloc_contract(pytestconfig: pytest.Config) -> Contract:
    """The contract, with the profile, rules and deviations of this run's options."""
    from pytest_veeqo_alloc.plugin import contract_of  # the plugin imports this module

    return contract_of(pytestconfig)


@pytest.fixture(scope="session")
def veeqo_alloc_schemas(veeqo_alloc_contract: Contract) -> Schemas:
    """Ready jsonschema validators that reject what the profile of this run makes an error."""
    from pytest_veeqo_alloc.reporting.report_file import validator
    from pytest_veeqo_alloc.spec.loader import load_schema

    profile = veeqo_alloc_contract.profile
    return Schemas(validator(load_schema("request", profile)), validator(load_schema("response", profile)))


@pytest.fixture
def veeqo_alloc_watch(
    request: pytest.FixtureRequest, veeqo_alloc_contract: Contract
) -> Iterator[Callable[[Any], Watch]]:
    """Call it with a requests.Session, httpx.Client or httpx.AsyncClient: each allocation that it makes is checked, and
    an error fails the test. Returns the `Watch`."""
    watches: list[Watch] = []
    onlookers = watched(request.node, veeqo_alloc_contract)

    def watch(session: Any) -> Watch:
        watches.append(veeqo_alloc_contract.watch(session))
        onlookers.append(watches[-1])
        return watches[-1]

    yield watch
    unwatch(request.node)
    for each in watches:
        each.close()
