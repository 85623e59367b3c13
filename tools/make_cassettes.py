"""Makes the shipped cassettes anew from `orders.py` and the known error answers: `tox run -e cassettes`.

None of them is a recording of the live API. Each says in its first lines what its body rests on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc import Interaction, Request, Response, Story, build_order
from pytest_veeqo_alloc.capture.writers import cassette_text
from pytest_veeqo_alloc.contract.error_responses import ERROR_ANSWERS, JSON_TYPE
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock
from pytest_veeqo_alloc.spec.loader import read_shipped_text

FOLDER = Path(__file__).resolve().parents[1] / "cassettes"

_NO_RECORDING = "No recording of the live API: made by tools/make_cassettes.py."
_PAGE = "The body is transcribed from the documentation's example, with personal data and secrets replaced."
_SYNTHETIC = "The body is synthetic: a full order in the documented form, from the package's orders.py."
_OBSERVED = (
    "The body is synthetic, with the key set that three orders read in 2026 had (observed facts; see\n"
    "schemas/SOURCES.md): less than documented in places, and more in others."
)
_ERRORS = ("bad-request", "forbidden", "not-found", "rate-limited", "server-error", "unauthorized")


def pack() -> dict[str, str]:
    """The text of each shipped cassette by its file name."""
    return {f"{name}.yaml": text for name, text in (*_created(), *_refused())}


def _created() -> Iterator[tuple[str, str]]:
    line, stock = Line(), Stock()
    yield "created", _order(json.loads(read_shipped_text("schemas/examples/response.json")), _PAGE)
    partial = Story(lines=(Line(quantity=3),), allocations=(Allocation(lines=((line.sellable_id, 1),)),))
    yield "created-partial", _order(build_order(partial), _SYNTHETIC, asked=3)
    second = Line(sellable_id=1226616, quantity=2, price=2550, cost=1200, stock=(Stock(physical=40, allocated=5),))
    third = Line(
        sellable_id=1226617, quantity=5, price=199, cost=50, stock=(stock, Stock(1785, physical=9, allocated=0))
    )
    lines = (line, second, third)
    several = Story(
        lines=lines,
        delivery=495,
        allocations=(Allocation(lines=tuple((each.sellable_id, each.quantity) for each in lines)),),
    )
    yield "created-several-lines", _order(build_order(several), _SYNTHETIC)
    yield "created-unicode", _order(build_order(Story(customer=_UNICODE)), _SYNTHETIC)
    yield "created-observed", _order(build_order(variant="observed"), _OBSERVED)


_UNICODE = Customer(
    first_name="Zoë 🛒",
    last_name="Beispiel-Łódź",
    address1="例え通り 1",
    city="مدينة المثال",
    state="Přiklad",
)


def _order(order: dict[str, Any], about: str, *, asked: int | None = None) -> str:
    """The cassette of a request and the order that answers it; *asked* is a quantity that could not all be had."""
    (allocation,) = order["allocations"]
    lines = [
        {"sellable_id": each["sellable"]["id"], "quantity": asked or each["quantity"]}
        for each in allocation["line_items"]
    ]
    body = {"allocation": {"warehouse_id": allocation["warehouse"]["id"], "line_items_attributes": lines}}
    location = f"https://api.example.com/orders/{order['id']}"
    response = Response(201, (("Content-Type", JSON_TYPE), ("Location", location)), json.dumps(order).encode())
    return _cassette(order["id"], body, response, about)


def _refused() -> Iterator[tuple[str, str]]:
    request = json.loads(read_shipped_text("schemas/examples/request.json"))
    for name in _ERRORS:
        answer = ERROR_ANSWERS[name]
        about = f"The answer is {'observed' if answer.seen else 'synthetic'}: {answer.known_from}."
        yield name, _cassette(447452, request, answer.response, about)


def _cassette(order_id: int, body: Any, response: Response, about: str) -> str:
    headers = (("x-api-key", "redacted-1"), ("Content-Type", "application/json"))
    url = f"https://api.example.com/orders/{order_id}/allocations"
    interaction = Interaction(Request("POST", url, headers, json.dumps(body).encode()), response)
    return cassette_text([interaction], {"made_from": about}, comment=_NO_RECORDING)


def main() -> None:
    """Writes the pack."""
    for name, text in pack().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
