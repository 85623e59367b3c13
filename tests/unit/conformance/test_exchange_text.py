"""The request and the response that the failure of a conformance test shows."""

from __future__ import annotations

import json
import shlex

import pytest

from pytest_veeqo_alloc.conformance.server_under_test import exchange_text
from pytest_veeqo_alloc.core.http import Interaction, Request, Response

URL = "http://127.0.0.1:8000/orders/447452/allocations"


def exchange(body: bytes) -> Interaction:
    headers = (("x-api-key", "not-a-real-key"), ("Content-Type", "application/json"))
    return Interaction(Request("POST", URL, headers, body), Response(404, (), b""))


def test_shown_command_can_be_pasted_into_a_shell() -> None:
    body = json.dumps({"allocation": {"line_items_attributes": [{"sellable_id": number} for number in range(20)]}})
    command, _, came = exchange_text(exchange(body.encode()), 0).removeprefix("  sent\n").rpartition("\n")
    assert came == "  came    404, no content type"
    *_, sent = shlex.split(command.replace("\\\n", ""))
    assert json.loads(sent) == json.loads(body)


@pytest.mark.parametrize(
    "body", [b"1" * 1_000_000, b"\xff" * 1_000_000, b"\n" * 1_000_000], ids=["line", "bytes", "lines"]
)
def test_long_command_is_cut(body: bytes) -> None:
    text = exchange_text(exchange(body), 2)
    assert len(text) < 10_000
    assert "not-a-real-key" not in text
    assert "... (the JUnit report has the whole command)\n" in text
    assert text.endswith("\n  and 2 more such requests")
