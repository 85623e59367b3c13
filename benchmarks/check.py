"""A full check, compared with `json.loads` of the same bytes."""

from __future__ import annotations

import json
import tempfile
import timeit
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from measure import Row, Timed, rounds

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.contract.checker import check_bytes
from pytest_veeqo_alloc.coverage.collector import CheckEvent, CoverageRecorder
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.spec.loader import read_shipped_text, tables
from pytest_veeqo_alloc.strategies import allocation_responses

ROUNDS, REPEATS = 40, 25


def compact(path: str) -> bytes:
    """Return the bundled JSON file *path* without whitespace, as a server would send it."""
    return json.dumps(json.loads(read_shipped_text(path)), separators=(",", ":")).encode()


def timed(work: Callable[[], object], repeats: int = REPEATS) -> Timed:
    """Return a `Timed` that takes the best of three runs of *work*, in seconds per call."""
    return lambda: min(timeit.repeat(work, number=repeats, repeat=3)) / repeats


def measure_checks() -> list[Row]:
    """Measure checks of the documented example, which has no findings, from bytes to findings."""
    response, contract = compact("schemas/examples/response.json"), Engine()
    line = {"sellable_id": 1226615, "quantity": 1}
    request = json.dumps({"allocation": {"warehouse_id": 1784, "line_items_attributes": [line]}}).encode()
    headers = (("content-type", "application/json"), ("x-api-key", "bench"), ("location", "/orders/447452"))
    interaction = Interaction(
        Request("POST", "https://api.example.com/orders/447452/allocations", headers, request),
        Response(201, headers, response),
    )
    if len(contract.check(interaction)):
        raise SystemExit("the example has findings, so this would measure something else")
    with tempfile.TemporaryDirectory() as folder:
        recording = contract.with_listener(RecordingListener(CoverageRecorder(Path(folder))))
        return _rows(response, request, interaction, contract, recording)


class RecordingListener:
    """A listener that records every check in a run folder, as a pytest run with a report does."""

    counts = True

    def __init__(self, recorder: CoverageRecorder) -> None:
        self._recorder = recorder

    def on_check(self, event: CheckEvent) -> None:
        """Record *event*."""
        self._recorder.record(event.origin or "target", event.coverage("tests/test_shop.py::test_allocation"))


def _rows(response: bytes, request: bytes, interaction: Interaction, contract: Engine, recording: Engine) -> list[Row]:
    rows: dict[str, Callable[[], object]] = {
        "json.loads of the response": lambda: json.loads(response),
        "json.loads of the response, again": lambda: json.loads(response),
        "check of the response": lambda: contract.check_body("response", response),
        "check of the response, coverage on": lambda: recording.check_body("response", response),
        "check of the request": lambda: contract.check_body("request", request),
        "check of the whole interaction": lambda: contract.check(interaction),
        "check of the whole interaction, coverage on": lambda: recording.check(interaction),
    }
    return rounds({name: timed(work) for name, work in rows.items()}, ROUNDS)


def typed_share(count: int = 1000) -> str:
    """Return a sentence on how many of *count* generated orders msgspec decodes, so that they are not walked."""
    found: Counter[bool] = Counter()

    @settings(max_examples=count, database=None, deadline=None)
    @given(allocation_responses())
    def draw(order: dict[str, Any]) -> None:
        body = check_bytes("response", json.dumps(order).encode(), tables())
        if not body.breaches:
            found[body.parsed is None] += 1

    draw()
    share = found[True] / found.total()
    return (
        f"Of {found.total()} generated orders without findings in any profile, {share:.1%} are decoded and not walked."
    )
