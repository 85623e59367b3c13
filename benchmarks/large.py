"""Large bodies: 5 MB without errors, with 1, 100 and 10,000 errors, and a root object without 40 of its fields."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

from check import timed
from measure import Row, rounds

from pytest_veeqo_alloc import Contract, ContractViolation, Story, build_order
from pytest_veeqo_alloc.orders.story import Allocation, Line

LINES = 1000
ROUNDS = 9


def encoded(order: Any) -> bytes:
    """Return *order* as compact JSON, as a server would send it."""
    return json.dumps(order, separators=(",", ":")).encode()


def large_order() -> dict[str, Any]:
    """Build an order of 1,000 lines, each with a sellable of its own: about 5 MB."""
    lines = tuple(Line(1_000_000 + number) for number in range(LINES))
    allocated = Allocation(1784, tuple((line.sellable_id, 1) for line in lines), 323498)
    return build_order(Story(lines=lines, allocations=(allocated,)))


def with_errors(count: int) -> bytes:
    """Return the large order with *count* numbers of its sellables as strings."""
    order = large_order()
    names = [name for name, value in order["line_items"][0]["sellable"].items() if type(value) in (int, float)]
    targets = [(line["sellable"], name) for name in names for line in order["line_items"]]
    for sellable, name in targets[:count]:
        sellable[name] = "1"
    return encoded(order)


def without_most() -> bytes:
    """Return the large order with only `line_items`, so that 40 fields are absent: 2.7 MB."""
    lines = large_order()["line_items"]
    return encoded({"line_items": lines})


def explained(contract: Contract, body: bytes) -> Callable[[], int]:
    """Return a function that checks *body* and produces pointers, messages and the whole failure text."""

    def work() -> int:
        findings = contract.check_body("response", body)
        shown = [(finding.pointer, finding.message) for finding in findings]
        return len(shown) + len(str(ContractViolation(findings)))

    return work


def compare_with_loads(body: bytes, name: str) -> list[Row]:
    """Measure a check of *body* with its explanations, compared with `json.loads`."""
    work = explained(Contract(), body)
    rows: dict[str, Callable[[], object]] = {
        f"json.loads ({len(body) / 1e6:.1f} MB)": lambda: json.loads(body),
        "again": lambda: json.loads(body),
        name: work,
    }
    return rounds({row: timed(task, repeats=1) for row, task in rows.items()}, ROUNDS)


def measure_large_bodies() -> list[tuple[str, list[Row]]]:
    """Measure every large body; return its description and its rows."""
    bodies = {"no errors": encoded(large_order())}
    bodies |= {f"{count:,} errors": with_errors(count) for count in (1, 100, 10_000)}
    bodies["40 absent fields"] = without_most()
    return [(name, compare_with_loads(body, f"check, {name}")) for name, body in bodies.items()]


def peak_memory() -> float:
    """Return the peak memory of a check of the large order, as a multiple of the size of its body."""
    body, contract = encoded(large_order()), Contract()
    contract.check_body("response", body)
    tracemalloc.start()
    contract.check_body("response", body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / len(body)
