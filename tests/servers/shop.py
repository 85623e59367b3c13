"""A server of the call, written from its documentation alone. Each defect of `test_wrong_servers` changes one method."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pytest_veeqo_alloc.spec.loader import read_shipped_text

KEY = "key-of-the-shop-2026"
EXAMPLE = json.loads(read_shipped_text("schemas/examples/response.json"))
WAREHOUSES, SELLABLES = {1784}, {1226615, 1226616}
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body of a response."""


class RejectedError(Exception):
    """The request is rejected with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Shop:
    """A server that keeps orders, allocations and stock, and takes on any order with the units first requested for it.

    Headers are given with names in lower case. `ordered` is the quantity of the line items of every order, if fixed.
    """

    physical = 10**6
    knows_all = False
    most_bytes = 10**9

    def __init__(self, ordered: int | None = None) -> None:
        self.ordered = ordered
        self.allocations: dict[int, list[dict[str, Any]]] = {}
        self.reserved = Counter[tuple[int, int]]()
        self.last_id = 1000
        self.lock = threading.Lock()

    def respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return the response to a request."""
        try:
            self.authorise(headers)
            if method == "GET" and (match := re.fullmatch(r"/orders/([0-9]{1,15})", path)):
                return self.read(int(match[1]))
            order_id = self.order_id(method, path)
            return self.created(self.allocate(order_id, self.parse(headers, body)))
        except RejectedError as error:
            return self.rejected(error.status, headers)

    def authorise(self, headers: Mapping[str, str]) -> None:
        if headers.get("x-api-key") != KEY:
            raise RejectedError(401)

    def read(self, order_id: int) -> Reply:
        if order_id not in self.allocations and self.ordered is None:
            raise RejectedError(404)
        return 200, {"Content-Type": "application/json"}, json.dumps(self.order(order_id)).encode()

    def order_id(self, method: str, path: str) -> int:
        match = re.fullmatch(r"/orders/([^/]+)/allocations", path)
        if match is None:
            raise RejectedError(404)
        if method != "POST":
            raise RejectedError(405)
        return self.parse_order_id(match[1])

    def parse_order_id(self, text: str) -> int:
        if not re.fullmatch(r"[1-9][0-9]{0,15}", text):
            raise RejectedError(404)
        return int(text)

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Return the requested allocation."""
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RejectedError(415)
        value = self.decode(body)
        allocation = value.get("allocation") if isinstance(value, dict) else None
        if not isinstance(allocation, dict):
            raise RejectedError(422)
        self.validate(allocation)
        return allocation

    def decode(self, body: bytes) -> Any:
        def no_constant(text: str) -> Any:
            raise ValueError(text)

        try:
            return json.loads(body.decode("utf-8"), parse_constant=no_constant)
        except (ValueError, RecursionError):
            raise RejectedError(400) from None

    def validate(self, allocation: dict[str, Any]) -> None:
        lines = allocation.get("line_items_attributes")
        if not self.is_id(allocation.get("warehouse_id")) or not isinstance(lines, list) or not lines:
            raise RejectedError(422)
        for line in lines:
            self.validate_line(line)
        sellables = [line["sellable_id"] for line in lines]
        if len(set(sellables)) < len(sellables):
            raise RejectedError(422)
        self.validate_known(allocation["warehouse_id"], sellables)

    def validate_line(self, line: Any) -> None:
        if not isinstance(line, dict) or not all(self.is_id(line.get(name)) for name in ("sellable_id", "quantity")):
            raise RejectedError(422)

    def validate_known(self, warehouse: int, sellables: list[int]) -> None:
        if not self.knows_all and (warehouse not in WAREHOUSES or not SELLABLES.issuperset(sellables)):
            raise RejectedError(422)

    def is_id(self, value: Any) -> bool:
        return type(value) is int and 0 < value < 2**53

    def allocate(self, order_id: int, allocation: dict[str, Any]) -> dict[str, Any]:
        """Carry out an allocation, and return the order."""
        lines = [(line["sellable_id"], line["quantity"]) for line in allocation["line_items_attributes"]]
        with self.lock:
            self.add(order_id, allocation["warehouse_id"], lines)
            return self.order(order_id)

    def add(self, order_id: int, warehouse: int, lines: list[tuple[int, int]]) -> None:
        self.last_id += 1
        entry = {"id": self.last_id, "warehouse": warehouse, "lines": lines}
        self.allocations.setdefault(order_id, []).append(entry)
        self.reserve(warehouse, lines)

    def reserve(self, warehouse: int, lines: list[tuple[int, int]]) -> None:
        for sellable, quantity in lines:
            self.reserved[warehouse, sellable] += quantity

    def order(self, order_id: int) -> dict[str, Any]:
        """Return the order as the documentation shows one."""
        held = self.allocations.get(order_id, [])
        totals = Counter[tuple[int, int]]()
        for entry in held:
            totals.update({(entry["warehouse"], sellable): quantity for sellable, quantity in entry["lines"]})
        ordered = {sellable: self.ordered or quantity for (_, sellable), quantity in totals.items()}
        order: dict[str, Any] = copy.deepcopy(EXAMPLE)
        (line,), (allocation,) = order["line_items"], order["allocations"]
        order |= {"id": order_id, "number": f"#P-{order_id}"}
        order["payment"]["order_id"] = order_id
        order["allocated_completely"] = self.ordered is None
        order["line_items"] = [
            {**line, "id": index, "quantity": quantity, "sellable": self.sellable(1784, sellable)}
            for index, (sellable, quantity) in enumerate(ordered.items(), order_id * 10)
        ]
        order["allocations"] = [self.allocation(allocation, order_id, entry) for entry in held]
        order["subtotal_price"] = order["total_price"] = round(line["price_per_unit"] * sum(ordered.values()), 2)
        return order

    def allocation(self, template: dict[str, Any], order_id: int, entry: dict[str, Any]) -> dict[str, Any]:
        (line,) = template["line_items"]
        lines = [
            {**line, "id": index, "quantity": quantity, "sellable": self.sellable(entry["warehouse"], sellable)}
            for index, (sellable, quantity) in enumerate(entry["lines"], entry["id"] * 10)
        ]
        warehouse = {**template["warehouse"], "id": entry["warehouse"]}
        return {**template, "id": entry["id"], "order_id": order_id, "warehouse": warehouse, "line_items": lines}

    def sellable(self, warehouse: int, sellable: int) -> dict[str, Any]:
        shown: dict[str, Any] = copy.deepcopy(EXAMPLE["line_items"][0]["sellable"])
        reserved = self.reserved[warehouse, sellable]
        levels = {"physical": self.physical, "allocated": reserved, "available": self.physical - reserved}
        everywhere = {f"{name}_stock_level_at_all_warehouses": level for name, level in levels.items()}
        (entry,) = shown["stock_entries"]
        entry |= {f"{name}_stock_level": level for name, level in levels.items()}
        entry |= {"sellable_id": sellable, "warehouse_id": warehouse}
        entry["warehouse"]["id"] = warehouse
        shown["inventory"] |= everywhere
        shown["stock_level_at_all_warehouses"] = everywhere.pop("physical_stock_level_at_all_warehouses")
        return {**shown, **everywhere, "id": sellable}

    def created(self, order: dict[str, Any]) -> Reply:
        headers = {"Content-Type": "application/json", "Location": f"/orders/{order['id']}"}
        return 201, headers, json.dumps(order).encode()

    def rejected(self, status: int, headers: Mapping[str, str]) -> Reply:
        return status, {"Content-Type": "application/json"}, json.dumps({"error_messages": "no"}).encode()


class StatelessShop(Shop):
    """A server that answers each allocation as if it were the first one, and stores nothing."""

    def allocate(self, order_id: int, allocation: dict[str, Any]) -> dict[str, Any]:
        return Shop.allocate(Shop(), order_id, allocation)

    def read(self, order_id: int) -> Reply:
        raise RejectedError(404)
