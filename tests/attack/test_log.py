"""The log of a fake after many requests."""

from __future__ import annotations

from pathlib import Path

from support.measured import run_measured

SCRIPT = """
import json
from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.control_api import with_control_api
from pytest_veeqo_alloc.server.fake import Fake, API_KEY

fake = Fake(Engine())
handle = with_control_api(fake)
headers = (("x-api-key", API_KEY), ("content-type", "application/json"), ("x-padding", "x" * 50_000))
lines = [{"sellable_id": 11, "quantity": 1}]
body = json.dumps({"allocation": {"warehouse_id": 5, "line_items_attributes": lines}}).encode()
for number in range(8_000):
    handle(Request("POST", f"{fake.url}/orders/{number % 1000 + 1}/allocations", headers, body)).finish(True)
for number in range(60):
    handle(Request("POST", f"{fake.url}/orders/7/allocations", headers[:2], b" " * 9_900_000)).finish(True)
answer = json.loads(handle(Request("GET", f"{fake.url}/__veeqo_alloc__/interactions")).plan.response.body)
print(len(answer["interactions"]) + answer["omitted"], len(answer["interactions"]) <= 1000, fake.log.shortened > 5_000)
"""


def test_log_of_many_requests_stays_bounded(tmp_path: Path) -> None:
    measured = run_measured("-c", SCRIPT, folder=tmp_path)
    assert (measured.out, measured.err) == ("8060 True True\n", "")
