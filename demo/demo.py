"""A server on the loopback, a client that calls it, and the contract that looks at what passed between them.

Shows one interaction that is as documented and two that are not. Exits 0 if just the first one passes.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from pytest_veeqo_alloc import Contract, ContractViolation
from pytest_veeqo_alloc.data import read_text

ORDER = json.loads(read_text("schemas/examples/response.json"))
ALLOCATION = {"warehouse_id": 1784, "line_items_attributes": [{"sellable_id": 1226615, "quantity": 1}]}


class Server(BaseHTTPRequestHandler):
    """Answers every POST with the order of the documentation, or with one broken field under /broken."""

    def do_POST(self) -> None:  # the name that http.server looks for
        """Reads the request and answers it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        order: dict[str, Any] = json.loads(json.dumps(ORDER))
        if self.path.startswith("/broken"):
            del order["deliver_to"]["zip"]
        body = json.dumps(order).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "/orders/447452")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keeps the terminal for what the demo shows."""


@contextmanager
def serving() -> Iterator[str]:
    """The URL of a server that runs until the block is left."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def show(title: str, call: Callable[[], requests.Response]) -> bool:
    """Makes one call, holds it against the contract, prints the verdict and returns it."""
    print(f"\n=== {title}")
    try:
        findings = Contract().validate_response(call())
    except ContractViolation as violation:
        print(f"ContractViolation: {violation}")
        return False
    print(f"as documented: {len(findings)} findings")
    return True


def main() -> int:
    """Runs the three calls."""
    path, headers = "/orders/447452/allocations", {"x-api-key": "demo-key"}
    with serving() as url, requests.Session() as session:
        session.headers.update(headers)
        verdicts = [
            show(
                "a client and a server as documented", lambda: session.post(url + path, json={"allocation": ALLOCATION})
            ),
            show(
                "the server leaves a documented field out",
                lambda: session.post(url + "/broken" + path, json={"allocation": ALLOCATION}),
            ),
            show("the client forgets the wrapper", lambda: session.post(url + path, json=ALLOCATION)),
        ]
    expected = verdicts == [True, False, False]
    print(f"\n{'One pass and two failures, as they should be.' if expected else 'NOT what the demo should show.'}")
    return 0 if expected else 1


if __name__ == "__main__":
    sys.exit(main())
