"""Interleaved rounds and their ratios.

Every round runs each row once, beginning with another one each time, so that a slow moment of the machine slows them
alike, and gives one ratio to the base row of its section. What is told is the median of these ratios and their spread
(10th to 90th percentile). A row `again` is the base against itself: how far it is from 1.00 is the noise.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass

Timed = Callable[[], float]
"""Runs a row once and returns seconds per piece of work."""


@dataclass(frozen=True)
class Row:
    """What was measured: median seconds, and the ratio to the base with its spread."""

    name: str
    seconds: float
    ratio: float
    low: float
    high: float


def rounds(rows: dict[str, Timed], count: int) -> list[Row]:
    """*count* interleaved rounds of *rows*, of which the first is the base."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for row in rows.values():
        row()
    names = list(rows)
    for turn in range(count):
        gc.collect()
        first = turn % len(names)  # what comes first after the collector is slower, so each row does in its turn
        for name in names[first:] + names[:first]:
            times[name].append(rows[name]())
    base = times[next(iter(rows))]
    return [_row(name, taken, base) for name, taken in times.items()]


def _row(name: str, taken: list[float], base: list[float]) -> Row:
    ratios = sorted(time / unit for time, unit in zip(taken, base, strict=True))
    edge = len(ratios) // 10
    return Row(name, statistics.median(taken), statistics.median(ratios), ratios[edge], ratios[-1 - edge])


def table(rows: list[Row], unit: str, scale: float) -> str:
    """The rows as Markdown; seconds are shown times *scale* in *unit*."""
    base = rows[0].name
    lines = [f"| | median {unit} | x {base} | spread |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.name} | {r.seconds * scale:,.2f} | {r.ratio:,.2f} | {r.low:,.2f} to {r.high:,.2f} |" for r in rows]
    return "\n".join(lines)
