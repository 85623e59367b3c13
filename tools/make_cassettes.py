"""Write the bundled cassettes, from `build_order` and the known error responses: `tox run -e cassettes`.

None of them is a recording of the live API. The first lines of each state the source of its body.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc import Interaction, Request, Response, Story, build_order
from pytest_veeqo_alloc.capture.writers import cassette_text
from pytest_veeqo_alloc.contract.error_responses import ERROR_RESPONSES, JSON_TYPE
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock
from pytest_veeqo_alloc.spec.loader import read_shipped_text

FOLDER = Path(__file__).resolve().parents[1] / "cassettes"

_COMMENT = "Not a recording of the live API: written by tools/make_cassettes.py."
_PAGE = "The body is transcribed from the documentation's example, with personal data and secrets replaced."
_SYNTHETIC = "The body is synthetic: a complete order in the documented form, built by build_order()."
_OBSERVED = (
    "The body is synthetic. It has the fields of three orders that were read in 2026 (see schemas/SOURCES.md):\n"
    "some documented fields are absent, and some fields are undocumented."
)
_ERRORS = ("bad-request", "forbidden", "not-found", "rate-limited", "server-error", "unauthorized")


def pack() -> dict[str, str]:
    """Return the text of each bundled cassette, by file name."""
    return {f"{name}.yaml": text for name, text in (*_successes(), *_errors())}


def _successes() -> Iterator[tuple[str, str]]:
    line, stock = Line(), Stock()
    yield "created", _order(json.loads(read_shipped_text("schemas/examples/response.json")), _PAGE)
    partial = Story(lines=(Line(quantity=3),), allocations=(Allocation(lines=((line.sellable_id, 1),)),))
    yield "created-partial", _order(build_order(partial), _SYNTHETIC, requested=3)
    second = Line(sellable_id=1226616, quantity=2, price=2550, cost=1200, stock=(Stock(physical=40, allocated=5),))
    third = Line(
        sellable_id=1226617, quantity=5, price=199, cost=50, stock=(stock, Stock(1785, physical=9, allocated=0))
    )
    lines = (line, second, third)
    several = Story(
        lines=lines,
        delivery=495,
        allocations=(Allocation(lines=tuple((line.sellable_id, line.quantity) for line in lines)),),
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


def _order(order: dict[str, Any], about: str, *, requested: int | None = None) -> str:
    """Return the cassette of a request for the allocation of *order*, answered by *order*.

    *requested* is the quantity of the request, if it differs from the allocated one.
    """
    (allocation,) = order["allocations"]
    lines = [
        {"sellable_id": item["sellable"]["id"], "quantity": requested or item["quantity"]}
        for item in allocation["line_items"]
    ]
    body = {"allocation": {"warehouse_id": allocation["warehouse"]["id"], "line_items_attributes": lines}}
    location = f"https://api.example.com/orders/{order['id']}"
    response = Response(201, (("Content-Type", JSON_TYPE), ("Location", location)), json.dumps(order).encode())
    return _cassette(order["id"], body, response, about)


def _errors() -> Iterator[tuple[str, str]]:
    request = json.loads(read_shipped_text("schemas/examples/request.json"))
    for name in _ERRORS:
        error = ERROR_RESPONSES[name]
        about = f"The response is {'observed' if error.observed else 'synthetic'}: {error.source}."
        yield name, _cassette(447452, request, error.response, about)


def _cassette(order_id: int, body: Any, response: Response, about: str) -> str:
    headers = (("x-api-key", "redacted-1"), ("Content-Type", "application/json"))
    url = f"https://api.example.com/orders/{order_id}/allocations"
    interaction = Interaction(Request("POST", url, headers, json.dumps(body).encode()), response)
    return cassette_text([interaction], {"made_from": about}, comment=_COMMENT)


def main() -> None:
    """Write the bundled cassettes."""
    for name, text in pack().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
