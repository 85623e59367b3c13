"""Measure rows in interleaved rounds and compare them as ratios.

Every round runs each row once and starts with a different row than the round before, so that a slow moment of the machine
affects all rows. A round gives one ratio to the first row, the base; results are the median of these ratios and their spread
(10th to 90th percentile). A row `again` is the base compared with itself: its distance from 1.00 is the noise.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass

Timed = Callable[[], float]
"""Runs a row once and returns seconds per operation."""


@dataclass(frozen=True)
class Row:
    """A measured row: the median in seconds, and the ratio to the base with its 10th and 90th percentile."""

    name: str
    seconds: float
    ratio: float
    low: float
    high: float


def rounds(rows: dict[str, Timed], count: int) -> list[Row]:
    """Run *count* interleaved rounds of *rows* and return a Row for each; the first one is the base of all ratios."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for row in rows.values():
        row()
    names = list(rows)
    for turn in range(count):
        gc.collect()
        first = turn % len(names)  # the first row after a collection is slower, so the rows take turns
        for name in names[first:] + names[:first]:
            times[name].append(rows[name]())
    base = times[next(iter(rows))]
    return [_row(name, taken, base) for name, taken in times.items()]


def _row(name: str, taken: list[float], base: list[float]) -> Row:
    ratios = sorted(time / unit for time, unit in zip(taken, base, strict=True))
    edge = len(ratios) // 10
    return Row(name, statistics.median(taken), statistics.median(ratios), ratios[edge], ratios[-1 - edge])


def table(rows: list[Row], unit: str, scale: float) -> str:
    """Return the rows as a Markdown table, with the seconds multiplied by *scale* and labelled *unit*."""
    base = rows[0].name
    lines = [f"| | median {unit} | x {base} | spread |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.name} | {r.seconds * scale:,.2f} | {r.ratio:,.2f} | {r.low:,.2f} to {r.high:,.2f} |" for r in rows]
    return "\n".join(lines)
