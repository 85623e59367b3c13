"""The server that the conformance suite tests, and how an order is created in it."""


def pytest_veeqo_alloc_server(request):
    request.getfixturevalue("db")  # the database of the test
    from shop.wsgi import application

    return application


def pytest_veeqo_alloc_arrange(order):
    from shop.models import LineItem, Order, Stock

    Order.objects.create(id=order["id"])
    for line in order["lines"]:
        sellable_id, place = line["sellable_id"], order["warehouse_id"]
        LineItem.objects.create(order_id=order["id"], sellable_id=sellable_id, quantity=line["quantity"])
        Stock.objects.create(warehouse_id=place, sellable_id=sellable_id, physical=line["available"])
