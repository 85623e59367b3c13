"""Each planted defect of a server is red in the test that names it: by default, or in "strict" if only a convention speaks."""

from __future__ import annotations

import html
import json
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from servers.defects import ANSWERS, REFUSALS, STATE, broken_test, refusal_test, refused_test, response_test
from servers.frameworks import in_http_server
from servers.shop import EXAMPLE, KEY, RejectedError, Reply, Shop
from servers.test_right_servers import ANY, run_suite

CONTROL = f"{ANSWERS}::test_response_follows_rule[location-missing]"
Allocation = dict[str, Any]
Defect = tuple[str, str, type[Shop]]
"""The test that must fail, the profile in which it does, and the server."""


def large(rule: str) -> str:
    return f"{ANSWERS}::test_large_ids_are_refused_or_answered_exactly[{rule}]"


UNKNOWN = f"{REFUSALS}::test_unknown_id_is_refused_or_allocated[allocation-echo]"
DISTINCT = f"{ANSWERS}::test_allocations_have_distinct_ids[allocation-ids-not-distinct]"
CHUNKS = f"{ANSWERS}::test_request_in_chunks_is_accepted_or_answered_with_411[chunked-request-refused]"
STOCK = f"{STATE}::test_stock_follows_allocations[stock-not-updated]"
ADDED = f"{STATE}::test_allocations_add_up[allocations-not-accumulated]"


def shop(**members: Any) -> type[Shop]:
    return type("WrongShop", (Shop,), members)


def reading(change: Callable[[Allocation], object]) -> type[Shop]:
    """Return a server that repairs an allocation before it is validated."""

    def validate(self: Shop, allocation: Allocation) -> None:
        change(allocation)
        Shop.validate(self, allocation)

    return shop(validate=validate)


def line_reading(change: Callable[[Allocation], object]) -> type[Shop]:
    """Return a server that repairs line items before they are validated."""

    def change_lines(allocation: Allocation) -> None:
        lines = allocation.get("line_items_attributes")
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, dict):
                change(line)

    return reading(change_lines)


def from_quotes(name: str) -> Callable[[Allocation], None]:
    def change(members: Allocation) -> None:
        if isinstance(members.get(name), str) and members[name].isdigit():
            members[name] = int(members[name])

    return change


def from_true(members: Allocation) -> None:
    for name, value in members.items():
        if value is True:
            members[name] = 1


def first_of_array(members: Allocation) -> None:
    for name, value in members.items():
        if name != "line_items_attributes" and isinstance(value, list) and value:
            members[name] = value[0]


def by_index(allocation: Allocation) -> None:
    lines = allocation.get("line_items_attributes")
    if isinstance(lines, dict):
        allocation["line_items_attributes"] = list(lines.values())


def whole_units(line: Allocation) -> None:
    if isinstance(line.get("quantity"), float):
        line["quantity"] = max(int(line["quantity"]), 1)


def all_lines(allocation: Allocation) -> None:
    allocation.setdefault("line_items_attributes", [{"sellable_id": 1226615, "quantity": 1}])


def rejecting(body: Callable[[Mapping[str, str]], str], media_type: str = "application/json") -> type[Shop]:
    """Return a server with other error bodies, made from the headers of the request."""

    def rejected(self: Shop, status: int, headers: Mapping[str, str]) -> Reply:
        return status, {"Content-Type": media_type}, body(headers).encode()

    return shop(rejected=rejected)


TRACE = 'Traceback (most recent call last):\n  File "/srv/shop/orders.py", line 3, in allocate'


def fails_on_null(self: Shop, body: bytes) -> Any:
    value = Shop.decode(self, body)
    if isinstance(value, dict) and value.get("allocation", {}) is None:
        raise RejectedError(500)
    return value


def cut(function: Callable[[int], int], name: str) -> type[Shop]:
    """Return a server that stores ids of any size, those called *name* in a type that is too small."""

    def add(self: Shop, order_id: int, warehouse: int, lines: list[tuple[int, int]]) -> None:
        if name == "warehouse":
            warehouse = function(warehouse)
        if name == "sellable":
            lines = [(function(sellable), quantity) for sellable, quantity in lines]
        Shop.add(self, order_id, warehouse, lines)

    def parse_order_id(self: Shop, text: str) -> int:
        order_id = Shop.parse_order_id(self, text)
        return function(order_id) if name == "order" else order_id

    return shop(knows_all=True, add=add, parse_order_id=parse_order_id)


def to_32_bits(number: int) -> int:
    return number & 0xFFFFFFFF


def to_float(number: int) -> int:
    # The order ids of a run are above 2**24, and if they were cut as well, another test would fail.
    return number if number < 2**32 else int(struct.unpack("f", struct.pack("f", number))[0])


def as_double(self: Shop, text: str) -> int:
    if not text.isdigit() or text == "0":
        raise RejectedError(404)
    return int(float(text))


def skips_unknown(self: Shop, allocation: Allocation) -> None:
    lines = allocation.get("line_items_attributes")
    known = [line for line in lines or () if not isinstance(line, dict) or line.get("sellable_id") != 2**53 - 1]
    allocation["line_items_attributes"] = known if isinstance(lines, list) else lines
    Shop.validate(self, allocation)


def replaces_warehouse(allocation: Allocation) -> None:
    if allocation.get("warehouse_id") == 2**53 - 1:
        allocation["warehouse_id"] = 1784


def half_written(self: Shop, headers: Mapping[str, str], body: bytes) -> Allocation:
    allocation: Allocation = self.decode(body)["allocation"]
    done: list[tuple[int, int]] = []
    try:
        for line in allocation["line_items_attributes"]:
            self.validate_line(line)
            self.validate_known(1784, [line["sellable_id"]])
            done.append((line["sellable_id"], line["quantity"]))
    except RejectedError:
        if done:
            self.add(self.latest, 1784, done)  # type: ignore[attr-defined]  # set by `remembers_order`
        raise
    return allocation


def remembers_order(self: Shop, text: str) -> int:
    self.latest = Shop.parse_order_id(self, text)  # type: ignore[attr-defined]
    return int(text)


def ignores_garbage(self: Shop, body: bytes) -> Any:
    try:
        return json.JSONDecoder().raw_decode(body.decode())[0]
    except (ValueError, RecursionError):
        raise RejectedError(400) from None


def knows_lower_case(self: Shop, headers: Mapping[str, str]) -> None:
    if "x-api-key" not in headers["raw names"].split():
        raise RejectedError(401)
    Shop.authorise(self, headers)


def no_chunks(status: int) -> type[Shop]:
    def parse(self: Shop, headers: Mapping[str, str], body: bytes) -> Allocation:
        if headers.get("transfer-encoding"):
            raise RejectedError(status)
        return Shop.parse(self, headers, body)

    return shop(parse=parse)


def loses_updates(self: Shop, order_id: int, allocation: Allocation) -> Allocation:
    held = list(self.allocations.get(order_id, ()))
    time.sleep(0.1)  # the defect: others read and write meanwhile
    with self.lock:
        self.allocations[order_id] = held
        lines = [(line["sellable_id"], line["quantity"]) for line in allocation["line_items_attributes"]]
        self.add(order_id, allocation["warehouse_id"], lines)
        return self.order(order_id)


def fails_in_a_race(self: Shop, order_id: int, allocation: Allocation) -> Allocation:
    if not self.busy.acquire(blocking=False):  # type: ignore[attr-defined]  # a lock
        raise RejectedError(500)
    try:
        time.sleep(0.1)  # the defect: it lasts, and no other request is carried out meanwhile
        return Shop.allocate(self, order_id, allocation)
    finally:
        self.busy.release()  # type: ignore[attr-defined]


def reserves_first(self: Shop, allocation: Allocation) -> None:
    try:
        Shop.validate(self, allocation)
    except RejectedError:
        lines = allocation.get("line_items_attributes")
        if isinstance(lines, list) and len(lines) == 2:
            self.reserve(1784, [(lines[0]["sellable_id"], lines[0]["quantity"])])
        raise


def first_line_only(self: Shop, order_id: int, warehouse: int, lines: list[tuple[int, int]]) -> None:
    Shop.add(self, order_id, warehouse, lines[:1])


def swapped(self: Shop, order_id: int, warehouse: int, lines: list[tuple[int, int]]) -> None:
    quantities = [quantity for _, quantity in reversed(lines)]
    Shop.add(self, order_id, warehouse, list(zip((sellable for sellable, _ in lines), quantities, strict=True)))


def reserving(factor: int) -> type[Shop]:
    def reserve(self: Shop, warehouse: int, lines: list[tuple[int, int]]) -> None:
        Shop.reserve(self, warehouse, lines * factor)

    return shop(reserve=reserve)


def one_id(self: Shop, template: Allocation, order_id: int, entry: Allocation) -> Allocation:
    return Shop.allocation(self, template, order_id, entry) | {"id": 1}


def one_line_id(self: Shop, template: Allocation, order_id: int, entry: Allocation) -> Allocation:
    shown = Shop.allocation(self, template, order_id, entry)
    return shown | {"line_items": [{**line, "id": 1} for line in shown["line_items"]]}


def error_page(self: Shop, status: int, headers: Mapping[str, str]) -> Reply:
    return (500 if status == 422 else status), {"Content-Type": "text/html"}, b"<h1>Something went wrong</h1>"


def as_page(self: Shop, order: Allocation) -> Reply:
    status, headers, body = Shop.created(self, order)
    return status, {**headers, "Content-Type": "text/html"}, body


def another_order(self: Shop, order: Allocation) -> Reply:
    return Shop.created(self, EXAMPLE)


def adding(quantity: Callable[[int], int], warehouse: int = 1784) -> type[Shop]:
    """Return a server that allocates other quantities than requested, or in another warehouse."""

    def add(self: Shop, order_id: int, _: int, lines: list[tuple[int, int]]) -> None:
        Shop.add(self, order_id, warehouse, [(sellable, quantity(units)) for sellable, units in lines])

    return shop(add=add)


def forgets(self: Shop, order_id: int, allocation: Allocation) -> Allocation:
    self.allocations.pop(order_id, None)
    return Shop.allocate(self, order_id, allocation)


def any_method(self: Shop, method: str, path: str) -> int:
    return Shop.order_id(self, "POST" if method in ("PUT", "PATCH") else method, path)


def any_order_id(self: Shop, text: str) -> int:
    return 0 if text == "0" else Shop.parse_order_id(self, text)


DEFECTS: dict[str, Defect] = {
    "quantity in quotes": (broken_test("line-item-shape"), "documented", line_reading(from_quotes("quantity"))),
    "sellable in quotes": (broken_test("line-item-shape"), "documented", line_reading(from_quotes("sellable_id"))),
    "warehouse in quotes": (broken_test("wrong-type"), "documented", reading(from_quotes("warehouse_id"))),
    "true as 1": (broken_test("line-item-shape"), "documented", line_reading(from_true)),
    "array with one id": (broken_test("line-item-shape"), "documented", line_reading(first_of_array)),
    "lines by index": (broken_test("wrong-type"), "documented", reading(by_index)),
    "quantity missing": (broken_test("line-item-shape"), "documented", line_reading(lambda line: line.setdefault("quantity", 1))),
    "lines missing": (broken_test("required-field"), "documented", reading(all_lines)),
    "warehouse missing": (broken_test("required-field"), "documented", reading(lambda members: members.setdefault("warehouse_id", 1784))),
    "fraction cut": (broken_test("quantity-not-integer"), "strict", line_reading(whole_units)),
    "null fails": (refusal_test("server-error"), "documented", shop(decode=fails_on_null)),
    "order cut to 32 bits": (large("order-echo"), "documented", cut(to_32_bits, "order")),
    "order cut to a float": (large("order-echo"), "documented", cut(to_float, "order")),
    "warehouse cut to 32 bits": (large("allocation-echo"), "documented", cut(to_32_bits, "warehouse")),
    "sellable cut to 32 bits": (large("allocation-echo"), "documented", cut(to_32_bits, "sellable")),
    "sellable cut to a float": (large("allocation-echo"), "documented", cut(to_float, "sellable")),
    "huge order cut to a double": (f"{REFUSALS}::test_huge_order_id_is_refused_or_answered_exactly[unknown-order-accepted]", "strict", shop(parse_order_id=as_double)),
    "unknown sellable skipped": (UNKNOWN, "documented", shop(validate=skips_unknown)),
    "unknown warehouse replaced": (UNKNOWN, "documented", reading(replaces_warehouse)),
    "key in an error": (refusal_test("error-leaks-internals"), "documented", rejecting(lambda headers: json.dumps({"error_messages": f"not for {headers.get('x-api-key')}"}))),
    "stack trace": (refusal_test("error-leaks-internals"), "documented", rejecting(lambda headers: json.dumps({"error_messages": TRACE}))),
    "stack trace on a page": (refusal_test("error-leaks-internals"), "documented", rejecting(lambda headers: f"<pre>{html.escape(TRACE)}</pre>", "text/html")),
    "error page": (refusal_test("server-error"), "documented", shop(rejected=error_page)),
    "JSON as a page": (response_test("response-media-type"), "documented", shop(created=as_page)),
    "half of it written": (f"{STATE}::test_refused_request_changes_nothing[refusal-partly-applied]", "strict", shop(parse=half_written, parse_order_id=remembers_order)),
    "half of it reserved": (f"{STATE}::test_refused_request_changes_nothing[refusal-partly-applied]", "strict", shop(validate=reserves_first)),
    "error in a race": (f"{STATE}::test_simultaneous_allocations_are_all_kept[server-error]", "documented", shop(allocate=fails_in_a_race, busy=threading.Lock())),
    "first line only": (ADDED, "strict", shop(add=first_line_only)),
    "quantities swapped": (response_test("allocation-quantity"), "strict", shop(add=swapped)),
    "garbage ignored": (refused_test("trailing-data-accepted"), "documented", shop(decode=ignores_garbage)),
    "header in lower case only": (f"{ANSWERS}::test_names_of_headers_are_known_in_any_case[undocumented-status]", "documented", shop(authorise=knows_lower_case)),
    "400 for chunks": (CHUNKS, "strict", no_chunks(400)),
    "500 for chunks": (CHUNKS, "strict", no_chunks(500)),
    "lost update": (f"{STATE}::test_simultaneous_allocations_are_all_kept[race-lost-update]", "strict", shop(allocate=loses_updates)),
    "stock kept": (STOCK, "strict", reserving(0)),
    "stock taken twice": (STOCK, "strict", reserving(2)),
    "one allocation id": (DISTINCT, "strict", shop(allocation=one_id)),
    "one line id": (DISTINCT, "strict", shop(allocation=one_line_id)),
    "another order": (response_test("order-echo"), "documented", shop(created=another_order)),
    "another warehouse": (response_test("allocation-echo"), "documented", adding(lambda units: units, 1785)),
    "more units": (response_test("allocation-quantity"), "strict", adding(lambda units: units + 1)),
    "fewer units": (ADDED, "strict", adding(lambda units: 1)),
    "forgotten allocations": (ADDED, "strict", shop(allocate=forgets)),
    "any key": (refused_test("key-not-required"), "strict", shop(authorise=lambda self, headers: None)),
    "other methods": (refused_test("method-accepted"), "documented", shop(order_id=any_method)),
    "order 0": (refused_test("order-id-not-positive-accepted"), "strict", shop(parse_order_id=any_order_id)),
}  # fmt: skip
"""The defects by name."""


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_is_red_in_the_test_that_names_it(name: str, pytester: pytest.Pytester) -> None:
    test, profile, wrong = DEFECTS[name]
    with in_http_server(wrong()) as url:
        result = run_suite(pytester, url, *ANY, test, CONTROL, profile=profile)
    assert f"FAILED {test.replace('::', '.py::')}" in result.stdout.str()
    result.assert_outcomes(failed=1, passed=1)
