"""A small server that keeps orders and stock in memory."""

import itertools
import json

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from pytest_veeqo_alloc import Allocation, Contract, Line, Stock, Story, build_order

KEY = "fake-key-for-tests"
CONTRACT = Contract("strict")

app = FastAPI()
orders = {}  # the line items of each order: pairs of a sellable id and a quantity
stock = {}  # the physical units by warehouse id and sellable id
allocations = {}  # the allocations of each order
ids = itertools.count(1000)


@app.post("/orders/{order_id}/allocations")
async def allocate(order_id: int, request: Request):
    """Reserve the requested units for the order, all of them or none."""
    if request.headers.get("x-api-key") != KEY:
        return error(401, "You're not authorized")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return error(415, "Send application/json")
    body = await request.body()
    if not CONTRACT.check_body("request", body).ok:
        return error(422, "Invalid request")
    if order_id not in orders:
        return error(404, "Not found")
    asked = json.loads(body)["allocation"]
    warehouse_id = int(asked["warehouse_id"])
    units = tuple((int(line["sellable_id"]), int(line["quantity"])) for line in asked["line_items_attributes"])
    if any(available(warehouse_id, sellable_id) < quantity for sellable_id, quantity in units):
        return error(422, "Not enough stock")
    allocations.setdefault(order_id, []).append(Allocation(warehouse_id, units, id=next(ids)))
    return JSONResponse(document(order_id), 201, {"Location": f"/orders/{order_id}"})


def allocated(warehouse_id, sellable_id, made):
    """Return how many units of the sellable the allocations *made* have in the warehouse."""
    lines = [line for allocation in made if allocation.warehouse_id == warehouse_id for line in allocation.lines]
    return sum(quantity for sellable, quantity in lines if sellable == sellable_id)


def available(warehouse_id, sellable_id):
    """Return how many units of the sellable can still be allocated in the warehouse."""
    made = [allocation for several in allocations.values() for allocation in several]
    return stock.get((warehouse_id, sellable_id), 0) - allocated(warehouse_id, sellable_id, made)


def document(order_id):
    """Return the order in the documented form. `build_order` adds the units that the order itself has."""
    own = allocations.get(order_id, [])
    lines = []
    for sellable_id, quantity in orders[order_id]:
        places = []
        for (warehouse_id, sellable), physical in stock.items():
            if sellable == sellable_id:
                others = physical - available(warehouse_id, sellable) - allocated(warehouse_id, sellable, own)
                places.append(Stock(warehouse_id, physical, others))
        lines.append(Line(sellable_id, quantity, stock=tuple(places)))
    return build_order(Story(order_id, tuple(lines), tuple(own)))


def error(status, message):
    """Return an error response in the form that the API uses."""
    return JSONResponse({"error_messages": message}, status)
