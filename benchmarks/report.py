"""A report of 10,000 interactions: the time to merge and write it, and its size."""

from __future__ import annotations

import datetime
import json
import tempfile
import time
from pathlib import Path

from check import RecordingListener, compact

from pytest_veeqo_alloc.coverage.collector import CheckEvent, CoverageRecorder, read_recorded
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.report_file import build_run, save

INTERACTIONS = 10_000


class _NumberedListener(RecordingListener):
    """A listener that counts every check as a test of its own, the worst case for a report."""

    def __init__(self, recorder: CoverageRecorder) -> None:
        super().__init__(recorder)
        self._number = 0

    def on_check(self, event: CheckEvent) -> None:
        """Record *event* under the next test id."""
        self._number += 1
        self._recorder.record("target", event.coverage(f"tests/test_shop.py::test_allocation[{self._number}]"))


def measure_report() -> str:
    """Return a sentence on a report in which one in ten responses has an undocumented field and a null."""
    clean = compact("schemas/examples/response.json")
    order = json.loads(clean)
    order["colour"], order["deliver_to"]["zip"] = "red", None
    invalid = json.dumps(order).encode()
    with tempfile.TemporaryDirectory() as folder:
        contract = Engine().with_listener(_NumberedListener(CoverageRecorder(Path(folder))))
        for number in range(INTERACTIONS):
            contract.check_body("response", clean if number % 10 else invalid)
        start = time.perf_counter()
        started = datetime.datetime.now(datetime.UTC)
        run = build_run(contract, read_recorded(Path(folder)), "the bench", started, "0" * 32)
        sizes = []
        for kind in ("json", "html"):
            path = Path(folder, f"out.{kind}")
            save(run.report, path)
            sizes.append(f"{path.stat().st_size / 1e6:.2f} MB of {kind.upper()}")
        seconds = time.perf_counter() - start
    return (
        f"A report of {INTERACTIONS:,} interactions, each in a test of its own: {seconds:.2f} s, {' and '.join(sizes)}."
    )
