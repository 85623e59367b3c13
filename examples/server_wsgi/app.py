"""A small server with a bug: it sends quantities as strings, unless it is started with `--fixed`."""

import json
import re
import sys
from collections import Counter
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from pytest_veeqo_alloc import Allocation, Contract, Line, Stock, Story, build_order

KEY = "example-key"
FIXED = "--fixed" in sys.argv
PATH = re.compile(r"/orders/([1-9][0-9]{0,14})/allocations\Z")
allocations = {}


def respond(environ):
    """Return status, headers and body of the response."""
    match = PATH.match(environ["PATH_INFO"])
    if match is None:
        return error(404, "Not found")
    if environ["REQUEST_METHOD"] != "POST":
        return error(405, "Method not allowed")
    if environ.get("HTTP_X_API_KEY") != KEY:
        return error(401, "You're not authorized")
    if "HTTP_TRANSFER_ENCODING" in environ:
        return error(411, "Send a Content-Length")  # WSGI has no end of a body without one
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if not Contract("strict").check_body("request", body).ok:
        return error(422, "Invalid request")
    return created(int(match[1]), json.loads(body)["allocation"])


def created(order_id, allocation):
    """Add an allocation and return the response with the order."""
    lines = tuple((int(line["sellable_id"]), int(line["quantity"])) for line in allocation["line_items_attributes"])
    warehouse_id = int(allocation["warehouse_id"])
    made = allocations.setdefault(order_id, [])
    made.append(Allocation(warehouse_id, lines, id=1000 + sum(map(len, allocations.values()))))
    ordered = Counter()
    for earlier in made:
        for sellable_id, quantity in earlier.lines:
            ordered[sellable_id] += quantity
    stock = (Stock(warehouse_id, physical=10**9, allocated=0),)
    order_lines = tuple(Line(sellable_id, quantity, stock=stock) for sellable_id, quantity in ordered.items())
    order = build_order(Story(order_id, order_lines, tuple(made)))
    if not FIXED:
        for shown in order["allocations"]:
            for line in shown["line_items"]:
                line["quantity"] = str(line["quantity"])
    return 201, [("Location", f"/orders/{order_id}")], order


def error(status, message):
    """Return an error response in the form that the API uses."""
    return status, [], {"error_messages": message}


def app(environ, start_response):
    """Serve one request: the WSGI application."""
    status, headers, value = respond(environ)
    body = json.dumps(value).encode()
    content_type = ("Content-Type", "application/json")
    start_response(f"{status} X", [content_type, ("Content-Length", str(len(body))), *headers])
    return [body]


class Server(ThreadingMixIn, WSGIServer):
    """A WSGI server with a thread per request."""

    daemon_threads = True


if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), app, Server) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
