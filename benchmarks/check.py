"""What a full check costs beside `json.loads` of the same bytes.

Rounds are interleaved, and each round gives one ratio, so that a slow moment of the machine slows both alike. The row
`json.loads again` is the thing against itself: how far it is from 1.00 is the noise.
"""

from __future__ import annotations

import gc
import json
import statistics
import timeit
from collections.abc import Callable

from pytest_veeqo_alloc import Contract, Interaction, Request, Response
from pytest_veeqo_alloc.data import read_text

ROUNDS, REPEATS = 40, 25


def compact(path: str) -> bytes:
    """A shipped example as a server would send it."""
    return json.dumps(json.loads(read_text(path)), separators=(",", ":")).encode()


def measure(rows: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds per call of each row, one figure per round."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for row in rows.values():
        row()
    for _ in range(ROUNDS):
        gc.collect()
        for name, row in rows.items():
            seconds[name].append(min(timeit.repeat(row, number=REPEATS, repeat=3)) / REPEATS)
    return seconds


def main() -> None:
    """Prints the table."""
    response, request = compact("schemas/examples/response.json"), compact("schemas/examples/request.json")
    contract = Contract()
    headers = (("content-type", "application/json"), ("x-api-key", "bench"), ("location", "/orders/447452"))
    interaction = Interaction(
        Request("POST", "https://api.example.com/orders/447452/allocations", headers, request),
        Response(201, headers, response),
    )
    if not contract.check_body("response", response).ok or len(contract.check_body("response", response)):
        raise SystemExit("the example is not clean, so this would measure something else")
    rows: dict[str, Callable[[], object]] = {
        "json.loads of the response": lambda: json.loads(response),
        "json.loads again": lambda: json.loads(response),
        "check of the response's bytes": lambda: contract.check_body("response", response),
        "check of the request's bytes": lambda: contract.check_body("request", request),
        "check of the whole interaction": lambda: contract.check(interaction),
    }
    seconds = measure(rows)
    floor = seconds["json.loads of the response"]
    print(f"response of {len(response)} bytes, request of {len(request)} bytes, {ROUNDS} interleaved rounds")
    print(f"{'':<34} {'median us':>10} {'x json.loads':>13} {'spread':>13}")
    for name, times in seconds.items():
        ratios = sorted(time / base for time, base in zip(times, floor, strict=True))
        spread = f"{ratios[len(ratios) // 10]:.2f}-{ratios[-len(ratios) // 10]:.2f}"
        print(f"{name:<34} {statistics.median(times) * 1e6:>10.1f} {statistics.median(ratios):>13.2f} {spread:>13}")


if __name__ == "__main__":
    main()
