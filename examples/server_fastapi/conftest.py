"""The server that the conformance suite tests, and how an order is created in it."""

import app


def pytest_veeqo_alloc_server(request):
    """Return the ASGI application, which is called in this process."""
    return app.app


def pytest_veeqo_alloc_arrange(order):
    """Create the order, its line items and their stock."""
    app.orders[order["id"]] = [(line["sellable_id"], line["quantity"]) for line in order["lines"]]
    for line in order["lines"]:
        app.stock[order["warehouse_id"], line["sellable_id"]] = line["available"]
