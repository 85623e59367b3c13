"""How a test of the suite judges, and what it says where nothing can be judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pytest_veeqo_alloc.conformance.server_under_test import ServerUnderTest
from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live.permission import PoolOrder


class ServerAssertions:
    """Judges what a subject answered. Warnings are handed to *warn*."""

    def __init__(self, subject: ServerUnderTest, warn: Callable[[Findings], object]) -> None:
        self.subject, self._warn = subject, warn

    @property
    def engine(self) -> Engine:
        """What it is judged by."""
        return self.subject.engine

    def body(self, interaction: Interaction) -> Any:
        """The order that was answered; the test fails where there is none."""
        __tracebackhide__ = True
        try:
            return json.loads((interaction.response.body if interaction.response else None) or b"")
        except ValueError:
            pytest.fail("the answer is no JSON", pytrace=False)

    def generated(self, number: int) -> tuple[PoolOrder, Any]:
        """An order, and a generated body for it."""
        from pytest_veeqo_alloc.strategies.sampling import valid_requests  # loads Hypothesis

        order = self.subject.take()
        return order, valid_requests(
            number + 1, order.warehouse_id, list(order.sellables), min(order.sellables.values())
        )[-1]

    def assert_ok(self, interaction: Interaction, *, only: str = "") -> None:
        """Fails the test where *interaction* has an error, of one rule or of any."""
        __tracebackhide__ = True
        found = self.engine.check(interaction)
        self._conclude(found.where(lambda each: each.rule == only) if only else found)

    def assert_rejected(self, interaction: Interaction) -> None:
        """Fails the test where a broken request was not answered with a readable 4xx that shows nothing internal."""
        __tracebackhide__ = True
        found = self.engine.check(interaction, CheckContext(broken_request=True))
        self._conclude(found)
        status = interaction.response.status if interaction.response else 0
        if not 400 <= status < 500:
            pytest.fail(f"a broken request is answered with {status}, where a 4xx is due", pytrace=False)

    def assert_no_server_error(self, interaction: Interaction) -> None:
        """Fails the test where the server failed, or said that it succeeded with an answer that is not as documented."""
        __tracebackhide__ = True
        if interaction.response is not None and interaction.response.is_success:
            answer = Interaction(None, interaction.response)  # whether the request was right is not asked here
            self._conclude(self.engine.check(answer))
        else:
            self.assert_rejected(interaction)

    def _conclude(self, findings: Findings) -> None:
        __tracebackhide__ = True
        self._warn(findings)
        if not findings.ok:
            pytest.fail(f"the server: {self.engine.violation(findings)}", pytrace=False)


def by_rule(rules: Iterable[str]) -> list[Any]:
    """Parameters of tests by rule, each with its basis."""
    return [
        pytest.param(rule, id=rule, marks=pytest.mark.veeqo_alloc_basis(basis=CATALOGUE[rule].basis)) for rule in rules
    ]
