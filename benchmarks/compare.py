"""Compare the speed of two checkouts: `python benchmarks/compare.py OTHER_CHECKOUT [--python OTHER_PYTHON]`.

Both sides run the same code, written with public names only, in a worker process each: PYTHONPATH makes the worker import
its own checkout. A second worker of this checkout is the control: its distance from 1.00 is the noise. The sides take turns
in 30 interleaved rounds, each side first in its turn. Ratios are to this checkout, so 1.50 means 1.5 times as slow.

Both sides share the interpreter and the installed libraries, unless `--python` names an interpreter of the other side: the
row "import jsonschema" compares two environments and means something only then. The package must be installed in each
environment, since pytest loads the plugin through its entry point.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measure import Timed, rounds, table

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, EXCHANGES, CHECKS, TESTS = 30, 50, 100, 40
HEADERS = (("content-type", "application/json"), ("x-api-key", "bench"), ("location", "/orders/447452"))
LINE = {"sellable_id": 1226615, "quantity": 1}
BODY = json.dumps({"allocation": {"warehouse_id": 1784, "line_items_attributes": [LINE]}}).encode()
TEST = f"""
import itertools, time, pytest, requests

@pytest.mark.veeqo_alloc_cassette("created")
@pytest.mark.parametrize("number", range({TESTS}))
def test_replay(number, times=[]):
    response = requests.post("https://api.example.com/orders/447452/allocations", json={json.loads(BODY)!r},
                             headers={{"x-api-key": "test"}}, timeout=5)
    assert response.status_code == 201
    times.append(time.perf_counter())
    if number == {TESTS} - 1:
        print("seconds:", min(end - start for start, end in itertools.pairwise(times)))
"""
IMPORT = "import time; start = time.perf_counter(); import jsonschema; print('seconds:', time.perf_counter() - start)"


def run_python(*arguments: str, folder: str) -> float:
    """Run this interpreter with *arguments* in *folder*, and return the seconds that it prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    printed = re.search(r"^\.*seconds: (\S+)", done.stdout, re.MULTILINE)
    if done.returncode or printed is None:
        raise SystemExit(done.stdout + done.stderr)
    return float(printed[1])


def exchange(connection: socket.socket, request: bytes) -> None:
    """Send *request* and read the whole response, which must be a 201."""
    connection.sendall(request)
    head, end, body = b"", b"", b""
    while not end:
        head, end, body = (head + connection.recv(65536)).partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if length is None or not head.startswith(b"HTTP/1.1 201"):
        raise SystemExit(head.decode("latin-1"))
    while len(body) < int(length[1]):
        body += connection.recv(65536)


def work(checkout: Path) -> None:
    """Print the seconds of each row that standard input names, or the names of all rows for an empty line."""
    import pytest_veeqo_alloc
    from pytest_veeqo_alloc import Contract, Interaction, Request, Response, build_order, serve_fake

    if not Path(str(pytest_veeqo_alloc.__file__)).is_relative_to(checkout):
        raise SystemExit(f"{checkout} is not what is imported: {pytest_veeqo_alloc.__file__}")
    request = Request("POST", "https://api.example.com/orders/447452/allocations", HEADERS, BODY)
    interaction = Interaction(request, Response(201, HEADERS, json.dumps(build_order()).encode()))
    contract = Contract()
    assert not len(contract.check(interaction)), "the interaction has findings, so this would measure something else"
    with ExitStack() as stack:
        server = stack.enter_context(serve_fake())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder, "test_replay.py").write_text(TEST, encoding="utf-8")
        address = urlsplit(server.url)
        connection = stack.enter_context(socket.create_connection((str(address.hostname), int(address.port or 80))))
        fields = f"Host: {address.netloc}\r\nx-api-key: {server.api_key}\r\nContent-Length: {len(BODY)}".encode()
        template = b"POST /orders/%d/allocations HTTP/1.1\r\nContent-Type: application/json\r\n%b\r\n\r\n%b"

        def exchanges() -> None:
            server.reset()
            for order_id in range(447452, 447452 + EXCHANGES):
                exchange(connection, template % (order_id, fields, BODY))

        pytest = ("-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:randomly")
        rows: dict[str, Callable[[], float]] = {
            "the full check": lambda: min(timeit.repeat(lambda: contract.check(interaction), number=CHECKS)) / CHECKS,
            "one exchange of the fake": lambda: min(timeit.repeat(exchanges, number=1)) / EXCHANGES,
            "a replayed test": lambda: run_python(*pytest, folder=folder),
            "import jsonschema": lambda: run_python("-c", IMPORT, folder=folder),
        }
        for name in map(str.strip, sys.stdin):
            print(json.dumps(rows[name]() if name else list(rows)), flush=True)


@contextmanager
def worker(python: str, checkout: Path) -> Iterator[Callable[[str], Any]]:
    """Start a worker for *checkout* and yield a function that sends it the name of a row and returns its answer."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"}
    command = [python, str(Path(__file__).resolve()), "--worker", str(checkout)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment) as process:  # -1: a pipe

        def ask(row: str) -> Any:
            print(row, file=process.stdin, flush=True)
            answer = process.stdout.readline() if process.stdout else ""
            return json.loads(answer) if answer else sys.exit(f"the worker of {checkout} has stopped")

        yield ask
        process.communicate()


def main() -> None:
    """Print a table of ratios for each row."""
    parser = argparse.ArgumentParser(description="Compare the speed of two checkouts.")
    parser.add_argument("other", type=Path, metavar="OTHER_CHECKOUT")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the other side (default: this one)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    other = options.other.resolve()
    if options.worker:
        work(other)
        return
    with ExitStack() as stack:
        sides = ((sys.executable, ROOT), (sys.executable, ROOT), (options.python, other))
        asks = [stack.enter_context(worker(python, checkout)) for python, checkout in sides]
        for row in asks[0](""):
            names = ("this checkout", "this checkout, again", str(other))
            timed: dict[str, Timed] = {name: partial(ask, row) for name, ask in zip(names, asks, strict=True)}
            print(f"\n{row}\n\n{table(rounds(timed, options.rounds), 'ms', 1e3)}", flush=True)


if __name__ == "__main__":
    main()
