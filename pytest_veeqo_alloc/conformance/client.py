"""The client under test, and what it is held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_veeqo_alloc.conformance.driving import ClientError, Driven, MakeClient, drive
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.server.fake import Fake

BODY: dict[str, Any] = {
    "allocation": {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}
}


class ClientJudge:
    """Drives the client of *make_client* against *fake*, and judges what it did. Warnings are handed to *warn*."""

    def __init__(self, make_client: MakeClient, fake: Fake, timeout: float, warn: Callable[[Findings], object]) -> None:
        self.fake, self.timeout = fake, timeout
        self._make_client, self._warn = make_client, warn

    def call(self, body: dict[str, Any] | None = None, order_id: int = 447452) -> Driven:
        """One allocation. The test fails where the client cannot be driven, or ends the process."""
        __tracebackhide__ = True
        driven = drive(self._make_client, self.fake, order_id, body or BODY, self.timeout)
        if isinstance(driven.raised, ClientError):
            raise driven.raised
        if isinstance(driven.raised, (SystemExit, KeyboardInterrupt)):
            raise ClientError(f"the client ends the process ({type(driven.raised).__name__})") from None
        if not driven.ended:
            pytest.fail(
                f"veeqo-alloc: the client did not give up within {self.timeout:g} seconds (--veeqo-alloc-client-timeout): "
                "give it a time-out",
                pytrace=False,
            )
        return driven

    def demand_success(self, driven: Driven, what: str) -> None:
        """Fails the test where the client did not cope with a documented answer."""
        __tracebackhide__ = True
        if driven.raised is not None:
            kind = type(driven.raised).__name__
            pytest.fail(f"the client raises {kind} on {what}, which is a success", pytrace=False)

    def demand_failure(self, driven: Driven, what: str) -> None:
        """Fails the test where the client took a failure for a success."""
        __tracebackhide__ = True
        if driven.raised is None:
            kind = type(driven.returned).__name__
            pytest.fail(f"the client returns (a value of type {kind}) after {what}: it should raise", pytrace=False)

    def demand_no_key(self, text: str, sentence: str) -> None:
        """Fails the test with *sentence* where *text* has the key in it; no assertion shows it."""
        __tracebackhide__ = True
        if self.fake.api_key in text:
            pytest.fail(sentence, pytrace=False)

    def demand_sent(self, only: str = "") -> None:
        """Fails the test where what the client sent has an error, of one rule or of any."""
        __tracebackhide__ = True
        self.fake.settle()
        found = self.fake.findings
        if not len(self.fake.interactions):
            pytest.fail("veeqo-alloc: the client sent nothing to the URL that it was given", pytrace=False)
        findings = found.carrying(each for each in found if each.side == "request" and only in ("", each.rule))
        self._warn(findings)
        if not findings.ok:
            pytest.fail(f"the client: {self.fake.contract.violation(findings)}", pytrace=False)
