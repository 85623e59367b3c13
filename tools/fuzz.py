"""Fuzz every parser of outside data with mutated inputs: `tox run -e fuzz [-- COUNT SEED]`.

A parser may raise its own exceptions. Any other exception, and an input that takes longer than SECONDS, is a defect, which is
printed with its input and the seed, so that it can be reproduced.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import gzip
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.readers import load
from pytest_veeqo_alloc.capture.writers import render_redacted
from pytest_veeqo_alloc.contract import deviations
from pytest_veeqo_alloc.contract.checker import CheckContext, check_bytes, check_reading
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.contract.rules import BODY_SIDES
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import LiveError
from pytest_veeqo_alloc.live.journal import read_journal
from pytest_veeqo_alloc.live.permission import load_pool
from pytest_veeqo_alloc.redaction.lint import other_breaches
from pytest_veeqo_alloc.redaction.redactor import Redactor
from pytest_veeqo_alloc.reporting.report_file import load as load_report
from pytest_veeqo_alloc.server.http_server import RefusedRequestError, RequestParser
from pytest_veeqo_alloc.spec.loader import read_shipped_text, side_of, tables

SECONDS = 5
ORDER, REQUEST = (read_shipped_text(f"schemas/examples/{side}.json").encode() for side in ("response", "request"))
CASSETTE = read_shipped_text("cassettes/created-partial.yaml").encode()
HAR = json.dumps({"log": {"entries": [{
    "startedDateTime": "2026-01-31T00:00:00Z",
    "request": {"method": "POST", "url": "https://api.example.com/orders/1/allocations", "headers": [{"name": "a", "value": "b"}],
                "postData": {"mimeType": "application/json", "text": REQUEST.decode()}},
    "response": {"status": 201, "headers": [{"name": "Date", "value": "Sat, 31 Jan 2026 00:00:00 GMT"}],
                 "content": {"text": ORDER.decode(), "encoding": ""}},
}]}}).encode()  # fmt: skip
_CONTENT = {"encoding": "UTF-8", "string": REQUEST.decode()}
RUBY = json.dumps({"http_interactions": [{
    "request": {"method": "post", "uri": "https://api.example.com/orders/1/allocations", "headers": {"a": ["b"]}, "body": _CONTENT},
    "response": {"status": {"code": 201, "message": "Created"}, "headers": {"a": ["b"]},
                 "body": {"encoding": "ASCII-8BIT", "base64_string": base64.b64encode(gzip.compress(ORDER)).decode()}},
    "recorded_at": "Fri, 12 Jul 2019 10:20:04 GMT",
}], "recorded_with": "VCR 6.2.0"}).encode()  # fmt: skip
POLLY = json.dumps({"log": {"entries": [{
    "request": {"method": "POST", "url": "/orders/1/allocations", "postData": {"params": [{"name": "a", "value": "b"}]}, "bodySize": 3,
                "cookies": [{"name": "a", "value": "b"}]},
    "response": {"status": 201, "headers": [{"name": "content-encoding", "value": "gzip"}],
                 "content": {"encoding": "base64", "_isBinary": True,
                             "text": json.dumps([base64.b64encode(gzip.compress(ORDER)).decode()])}},
}]}}).encode()  # fmt: skip
FILE = json.dumps({"request": {"method": "POST", "url": "/orders/1/allocations", "headers": {"a": "b"}, "body": {"a": 1}},
                   "response": {"status": 201, "headers": [["a", "b"]], "body_base64": "e30="}}).encode()  # fmt: skip
WIREMOCK = (
    b'{"mappings": [{"request": {"method": "POST", "urlPath": "/x"}, "response": {"status": 201, "jsonBody": {}}}]}'
)
POOL = b"[[order]]\nid = 447452\nwarehouse_id = 1784\nsellables = { 1226615 = 3, 1226616 = 1 }\n"
DEVIATIONS = b'[[deviation]]\nrule = "absent-field"\npointer = "/a/*/b"\nreason = "x"\nexpires = 2027-06-30\n'
HEAD = (
    b"POST /orders/1/allocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
CHUNKED = b"POST /orders/1/allocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
JOURNAL = b"\n".join(json.dumps(entry).encode() for entry in (
    {"journal": "veeqo-alloc", "version": 1, "run": "a", "target": "127.0.0.1:80", "at": "2026-01-31T00:00:00Z"},
    {"intent": "b", "run": "a", "kind": "post", "order_id": 1, "warehouse_id": 5, "units": {"11": 1}, "before": [1]},
    {"outcome": "b", "run": "a", "status": 201, "made": [7]},
)) + b"\n"  # fmt: skip
TOKENS = [b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"- ", b"&a ", b"*a",
          b"!!python/object:os.system", b"<<: ", b"1e400", b"-", b"0" * 30, b"NaN", b"null", b"\xed\xa0\x80", b"\\ud800", b"[" * 200,
          b"{" + b'"a":{' * 80, b"=", b"'''", b"9" * 5000, b"\x1b[31m", b"%0a", b"A" * 70_000]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**400,
    1e308,
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    {"a": 1},
    "\x00",
    float("inf"),
]


def mutate_bytes(data: bytes, source: random.Random) -> bytes:
    """Return *data* with up to eight pieces deleted, doubled or replaced."""
    for _ in range(source.choice([1, 1, 2, 3, 8])):
        start = source.randrange(len(data) + 1)
        end = min(len(data), start + source.choice([0, 1, 2, 8, 64, 1000]))
        piece = source.choice([b"", source.choice(TOKENS), data[start:end] * 2, bytes([source.randrange(256)])])
        data = data[:start] + piece + data[end:]
    return data


def mutate_values(data: bytes, source: random.Random) -> bytes:
    """Return JSON *data* with up to five of its values replaced; data that is not JSON is returned unchanged."""
    try:
        document = json.loads(data)
    except ValueError:
        return data
    for _ in range(source.choice([1, 1, 2, 5])):
        container: Any = None
        key: Any = None
        value = document
        while isinstance(value, (dict, list)) and value and (container is None or source.random() < 0.8):
            container, key = value, source.choice(list(value) if isinstance(value, dict) else range(len(value)))
            value = container[key]
        if container is not None:
            container[key] = copy.deepcopy(source.choice(VALUES))
    return json.dumps(document).encode()


def _parse_file(data: bytes, folder: Path) -> None:
    loaded = load(data, "x", kind=None, side_of=side_of, matches=lambda interaction: True)
    contract = Engine("strict")
    other_breaches(loaded.others() if loaded else ())
    for interaction in loaded.interactions if loaded else ():
        contract.evaluate(interaction, CheckContext(stored=True))
        contract.lint(interaction)
        safe = Redactor().interaction(interaction)
        if loaded is not None and len(loaded.interactions) == 1 and not loaded.broken:
            with contextlib.suppress(ValueError):  # a cassette without a response cannot be written
                render_redacted(loaded.kind, loaded.document, [safe], as_json=loaded.is_json)


def _name_file(data: bytes, folder: Path) -> None:
    with contextlib.suppress(UnreadableFileError):
        load(data, "x", kind=None, side_of=side_of, matches=lambda interaction: True)


def _check_body(data: bytes, folder: Path) -> None:
    contract = Engine("strict")
    for side in BODY_SIDES:
        contract.check_body(side, data)
        walked = check_reading(side, replace(read(data), is_plain=False), tables())
        if check_bytes(side, data, tables()).breaches != walked.breaches:
            raise AssertionError(f"the walk of the {side} alone finds something else")
    headers = (("content-type", "application/json"), ("x-api-key", "k" * 20))
    interaction = Interaction(Request("POST", "/orders/1/allocations?a=b", headers, data), Response(422, headers, data))
    str(contract.violation(contract.check(interaction)))


def _parse_request(data: bytes, folder: Path) -> None:
    parser = RequestParser({"x"})
    parser.feed(data)
    parser.end()


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    """Return a parser that writes its input to a file called *name* and calls *read* with the path."""

    def parse(data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        read(path)

    return parse


def _parse_deviations(data: bytes, folder: Path) -> None:
    deviations.parse(data.decode("utf-8"))


def _report() -> bytes:
    tally = {"looked_at": 1, "present": 1, "non_null": 1, "types": {"number": 1}}
    origin = {
        "interactions": 1, "statuses": {"201": 1}, "request_fields": {}, "response_fields": {"/id": tally},
        "undocumented": {"request": {}, "response": {}}, "rules": {}, "findings": [], "calls": [],
    }  # fmt: skip
    run = {
        "id": "a" * 32, "started": "2026-01-31T00:00:00Z", "by": "x", "version": "0", "profile": "strict",
        "origins": {"target": origin}, "deviations": [],
    }  # fmt: skip
    return json.dumps({"format": "pytest-veeqo-alloc report", "version": 1, "runs": [run]}).encode()


PARSERS: dict[str, tuple[list[bytes], Callable[[bytes, Path], None], tuple[type[Exception], ...], int]] = {
    "bodies": ([ORDER, REQUEST], _check_body, (), 30),
    "cassettes, HAR and interaction files": ([CASSETTE, HAR, FILE], _parse_file, (UnreadableFileError,), 15),
    "files of other tools": ([RUBY, POLLY], _parse_file, (UnreadableFileError,), 9),
    "files that are not read": ([WIREMOCK], _name_file, (UnreadableFileError,), 1),
    "requests": ([HEAD, CHUNKED], _parse_request, (RefusedRequestError,), 20),
    "order pools": ([POOL], in_file("pool.toml", lambda path: load_pool(path.name, path.parent)), (LiveError,), 10),
    "deviations": ([DEVIATIONS], _parse_deviations, (ValueError,), 5),
    "journals": ([JOURNAL], in_file("journal.jsonl", read_journal), (LiveError,), 8),
    "reports": ([_report()], in_file("report.json", lambda path: load_report(str(path))), (ValueError,), 2),
}
"""For each kind of input: seed inputs, the parser, the exceptions that it may raise, and its share of all inputs in percent."""


def _raise_timeout(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def fuzz(count: int, seed: int) -> int:
    """Feed *count* mutated inputs to the parsers and return the number of defects."""
    source, defects = random.Random(seed), 0  # noqa: S311  # not used for a secret
    signal.signal(signal.SIGALRM, _raise_timeout)
    with tempfile.TemporaryDirectory() as name:
        for kind, (seeds, parser, allowed, share) in PARSERS.items():
            for data in seeds:
                parser(data, Path(name))  # a seed that is rejected would make its mutants worthless
            start, number = time.perf_counter(), count * share // 100
            for _ in range(number):
                mutate = mutate_bytes if source.random() < 0.6 else mutate_values
                data = mutate(source.choice(seeds), source)
                signal.alarm(SECONDS)
                try:
                    parser(data, Path(name))
                except allowed:
                    pass
                except Exception:
                    defects += 1
                    print(f"{kind}: {data[:2000]!a}\n{traceback.format_exc()}", file=sys.stderr)
                finally:
                    signal.alarm(0)
            print(f"{kind}: {number:,} inputs in {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{defects} defects, seed {seed}")
    return defects


if __name__ == "__main__":
    count, seed = [*map(int, sys.argv[1:]), *(100_000, 1)[len(sys.argv) - 1 :]]
    sys.exit(bool(fuzz(count, seed)))
