"""The allocation call."""

import json

from django.conf import settings
from django.db import transaction
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

from pytest_veeqo_alloc import Allocation, Contract, Line, Stock, Story, build_order
from shop import models

CONTRACT = Contract("strict")


@csrf_exempt
def allocate(request, order_id):
    """Reserve the requested units for the order, all of them or none."""
    if request.method != "POST":
        return error(405, "Method not allowed")
    if request.headers.get("x-api-key") != settings.VEEQO_API_KEY:
        return error(401, "You're not authorized")
    if request.content_type != "application/json":
        return error(415, "Send application/json")
    if not CONTRACT.check_body("request", request.body).ok:
        return error(422, "Invalid request")
    asked = json.loads(request.body)["allocation"]
    units = [(int(line["sellable_id"]), int(line["quantity"])) for line in asked["line_items_attributes"]]
    with transaction.atomic():
        order = models.Order.objects.filter(id=order_id).first()
        if order is None:
            return error(404, "Not found")
        if not reserve(int(asked["warehouse_id"]), units):
            return error(422, "Not enough stock")
        order.allocations.create(warehouse_id=int(asked["warehouse_id"]), units=units)
    response = JsonResponse(document(order), status=201)
    response["Location"] = f"/orders/{order_id}"
    return response


def reserve(warehouse_id, units):
    """Reserve *units* in the warehouse, and return True; or return False if it has too few."""
    rows = []
    for sellable_id, quantity in units:
        places = models.Stock.objects.select_for_update().filter(warehouse_id=warehouse_id, sellable_id=sellable_id)
        stock = places.first()
        if stock is None or stock.physical - stock.allocated < quantity:
            return False
        stock.allocated += quantity
        rows.append(stock)
    models.Stock.objects.bulk_update(rows, ["allocated"])
    return True


def document(order):
    """Return the order in the documented form."""
    allocations = [
        Allocation(made.warehouse_id, tuple(map(tuple, made.units)), id=made.id) for made in order.allocations.all()
    ]
    lines = [line_of(line, allocations) for line in order.lines.all()]
    return build_order(Story(order.id, tuple(lines), tuple(allocations)))


def line_of(line, allocations):
    """Return a line item with its stock. `build_order` adds the units that the order itself has."""
    stock = []
    for row in models.Stock.objects.filter(sellable_id=line.sellable_id):
        places = [made for made in allocations if made.warehouse_id == row.warehouse_id]
        own = sum(units for made in places for sellable, units in made.lines if sellable == line.sellable_id)
        stock.append(Stock(row.warehouse_id, row.physical, row.allocated - own))
    return Line(line.sellable_id, line.quantity, stock=tuple(stock))


def error(status, message):
    """Return an error response in the form that the API uses."""
    return JsonResponse({"error_messages": message}, status=status)
