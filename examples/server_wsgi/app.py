"""A small server of one's own, with a bug in it: quantities are answered as text. `--fixed` mends it."""

import json
import re
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from pytest_veeqo_alloc import Allocation, Contract, Line, Stock, Story, build_order

KEY = "example-key"
FIXED = "--fixed" in sys.argv
PATH = re.compile(r"/orders/([1-9][0-9]{0,14})/allocations\Z")
held = {}


def answer(environ):
    """Status, headers and body."""
    match = PATH.match(environ["PATH_INFO"])
    if match is None:
        return refusal(404, "Not found")
    if environ["REQUEST_METHOD"] != "POST":
        return refusal(405, "Method not allowed")
    if environ.get("HTTP_X_API_KEY") != KEY:
        return refusal(401, "You're not authorized")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if not Contract("strict").check_body("request", body).ok:
        return refusal(422, "The request is not as documented")
    return created(int(match[1]), json.loads(body)["allocation"])


def created(order_id, asked):
    """The order with one allocation more."""
    lines = tuple((int(line["sellable_id"]), int(line["quantity"])) for line in asked["line_items_attributes"])
    before = held.setdefault(order_id, [])
    before.append(Allocation(int(asked["warehouse_id"]), lines, id=1000 + sum(map(len, held.values()))))
    sold = {}
    for sellable, quantity in (pair for each in before for pair in each.lines):
        sold[sellable] = sold.get(sellable, 0) + quantity
    stock = (Stock(int(asked["warehouse_id"]), physical=10**9, allocated=0),)
    story = Story(order_id, tuple(Line(sellable, many, stock=stock) for sellable, many in sold.items()), tuple(before))
    order = build_order(story)
    if not FIXED:
        for allocation in order["allocations"]:
            for line in allocation["line_items"]:
                line["quantity"] = str(line["quantity"])
    return 201, [("Location", f"/orders/{order_id}")], order


def refusal(status, message):
    """An error in the form of the API."""
    return status, [], {"error_messages": message}


def app(environ, start_response):
    """The WSGI application."""
    status, headers, value = answer(environ)
    body = json.dumps(value).encode()
    kind = ("Content-Type", "application/json")
    start_response(f"{status} X", [kind, ("Content-Length", str(len(body))), *headers])
    return [body]


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request."""

    daemon_threads = True


if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), app, Server) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
