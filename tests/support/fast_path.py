"""The check of typed bodies, beside the walk that explains, and mutants of the bytes of a body."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fuzz import mutate_bytes, mutate_values

from pytest_veeqo_alloc.contract.checker import Body, check_bytes, check_reading
from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import read
from pytest_veeqo_alloc.contract.rules import BodySide
from pytest_veeqo_alloc.core.json_pointer import resolve
from pytest_veeqo_alloc.spec.loader import tables
from support.bodies import drop, order, put


def walked(side: BodySide, raw: bytes) -> Body:
    """Check *raw* without msgspec: parse it and walk every member."""
    return check_reading(side, replace(read(raw), is_plain=False), tables())


def assert_same_verdict(side: BodySide, raw: bytes) -> tuple[bool, list[Breach]]:
    """Assert that the check of *raw* finds what the walk finds. Return whether it was typed, and what was found."""
    body, reference = check_bytes(side, raw, tables()), walked(side, raw)
    is_typed = body.parsed is None
    assert body.breaches == reference.breaches, raw
    assert body.readable is reference.readable
    assert body.value == reference.value or body.value != body.value
    return is_typed, body.breaches


def assert_field_variants(pointer: str) -> None:
    """Assert that the check and the walk agree about the documented order with another value at *pointer*, or none."""
    for value in (None, -1, 1.0, "x"):
        assert_same_verdict("response", json.dumps(put(order(), pointer, value)).encode())
    extra = put(order(), f"{pointer.rpartition('/')[0]}/extra", None)
    for body in (drop(order(), pointer), extra):
        assert not assert_same_verdict("response", json.dumps(body).encode())[0]


def assert_repetition_is_found(pointer: str, space: bytes) -> None:
    """Assert that the member at *pointer*, once more with *space* before its colon, is found as a duplicate."""
    name = pointer.rpartition("/")[2].encode()
    marked = json.dumps(put(order(), pointer, "@")).encode()
    member = b'"%b"%b:%b' % (name, space, json.dumps(resolve(order(), pointer)).encode())
    raw = marked.replace(b'"%b": "@"' % name, member + b"," + member)
    typed, breaches = assert_same_verdict("response", raw)
    assert not typed
    assert "duplicate-key" in {breach.rule for breach in breaches}


def mutate_text(raw: bytes, source: random.Random) -> bytes:
    """Return *raw* with one change that looks harmless: a repeated member, white space, an escape, a date, a number."""
    member = rb'"\w+" ?: ?(?:"[^"]*"|[\d.]+|null|true|false|\[\])'
    edits: list[tuple[bytes, Callable[[bytes], bytes]]] = [
        (member, lambda text: text + b"," + text),
        (member, lambda text: text.replace(b":", source.choice([b" :", b"\t:", b":\n", b"\r\n: "]), 1)),
        (rb'"\w+" ?:', lambda text: b'"\\u%04x' % text[1] + text[2:]),
        (rb'"[^"]*"', lambda text: text[:-1] + source.choice([b'\\"', b"\\\\", b'\\\\\\"', b"\\ud800", b"null", b"\xff", b'\\",\\"id\\":1']) + b'"'),
        (rb"\d\dT\d\d", lambda text: text.replace(b"T", source.choice([b"t", b" ", b"", b"_"]))),
        (rb':\d\dZ"', lambda text: text.replace(b"Z", source.choice([b"z", b"", b"+01:00", b"+0100", b"+01", b".5Z", b".Z", b"-24:00", b" Z"]))),
        (rb"-\d\dT", lambda text: source.choice([b"-30T", b"-31T", b"-00T"])),
        (rb"\d+(?:\.\d+)?", lambda text: source.choice([b"0", b"-1", b"1.0", b"1e0", b"-0", b"1e400", b"1E400", b"1e151", b"9" * 30, b"9" * 5000, b"01", b"+1", b"NaN", b"true", text + b"0", text + b".5", b"0.1e1"])),
        (rb"\[\]", lambda text: source.choice([b'["x"]', b'[{"a":"b"}]', b'[{"a":1,"a":1}]', b"[[]]", b"[" * 70 + b"]" * 70, b"[1e400]", b"[NaN]", b'["a\\"b"]', b"[" + b"9" * 5000 + b"]"])),
        (rb"null|true|false", lambda text: source.choice([b"null", b"true", b"false", b"0", b'""', b"[]", b"{}"])),
    ]  # fmt: skip
    pattern, change = source.choice(edits)
    found = [*re.finditer(pattern, raw)]
    if not found:
        return raw
    match = source.choice(found)
    return raw[: match.start()] + change(match[0]) + raw[match.end() :]


def fuzzed(seeds: list[bytes], source: random.Random) -> bytes:
    """Return a mutant of one of *seeds*."""
    raw = source.choice(seeds)
    mutate: Any = source.choice([mutate_text, mutate_text, mutate_text, mutate_values, mutate_bytes])
    for _ in range(source.choice([1, 1, 2])):
        raw = mutate(raw, source)
    return raw
