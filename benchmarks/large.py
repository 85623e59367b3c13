"""Large bodies: 5 MB with nothing wrong, with 1, 100 and 10,000 errors, and a root that lacks 40 fields."""

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
    """*order* as a server would send it."""
    return json.dumps(order, separators=(",", ":")).encode()


def large_order() -> dict[str, Any]:
    """An order of 1,000 lines, each with a sellable of its own: about 5 MB."""
    lines = tuple(Line(1_000_000 + number) for number in range(LINES))
    allocated = Allocation(1784, tuple((line.sellable_id, 1) for line in lines), 323498)
    return build_order(Story(lines=lines, allocations=(allocated,)))


def with_errors(count: int) -> bytes:
    """The same with *count* numbers turned into text, in the sellables of the lines."""
    order = large_order()
    names = [name for name, value in order["line_items"][0]["sellable"].items() if type(value) in (int, float)]
    places = [(line["sellable"], name) for name in names for line in order["line_items"]]
    for sellable, name in places[:count]:
        sellable[name] = "1"
    return encoded(order)


def without_most() -> bytes:
    """A root that has nothing but its lines, so 40 fields are missing, and 2.7 MB."""
    lines = large_order()["line_items"]
    return encoded({"line_items": lines})


def explained(contract: Contract, body: bytes) -> Callable[[], int]:
    """Bytes in, and findings with pointers, messages and the whole failure text out."""

    def work() -> int:
        findings = contract.check_body("response", body)
        shown = [(finding.pointer, finding.message) for finding in findings]
        return len(shown) + len(str(ContractViolation(findings)))

    return work


def beside_loads(body: bytes, name: str) -> list[Row]:
    """A check of *body* that explains, beside `json.loads` of it."""
    work = explained(Contract(), body)
    rows: dict[str, Callable[[], object]] = {
        f"json.loads ({len(body) / 1e6:.1f} MB)": lambda: json.loads(body),
        "again": lambda: json.loads(body),
        name: work,
    }
    return rounds({each: timed(task, repeats=1) for each, task in rows.items()}, ROUNDS)


def sections() -> list[tuple[str, list[Row]]]:
    """Every large body with its rows."""
    bodies = {"nothing wrong": encoded(large_order())}
    bodies |= {f"{count:,} errors": with_errors(count) for count in (1, 100, 10_000)}
    bodies["a root that lacks 40 fields"] = without_most()
    return [(name, beside_loads(body, f"check, {name}")) for name, body in bodies.items()]


def peak() -> float:
    """The most memory that a check of the large clean body holds at once, as a multiple of the body."""
    body, contract = encoded(large_order()), Contract()
    contract.check_body("response", body)
    tracemalloc.start()
    contract.check_body("response", body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / len(body)
