"""Bytes that are no body: what a reader must refuse before it looks at any field."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import strategies as st

from pytest_veeqo_alloc.strategies.payloads import allocation_requests

Spoiler = Callable[[st.DrawFn, str], bytes]


def malformed_bodies() -> st.SearchStrategy[bytes]:
    """Bytes that break a rule of the reading: empty, truncated, no JSON, no UTF-8, a byte order mark, a member twice, a
    number that is not finite, or nesting without end. Made from valid bodies of requests."""
    return _malformed()


@st.composite
def _malformed(draw: st.DrawFn) -> bytes:
    spoil: Spoiler = draw(st.sampled_from(_SPOILERS))
    return spoil(draw, json.dumps(draw(allocation_requests(max_lines=3))))


def _truncated(draw: st.DrawFn, text: str) -> bytes:
    return text.encode()[: draw(st.integers(1, len(text) - 1))]


def _bad_utf8(draw: st.DrawFn, text: str) -> bytes:
    wrong = draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"]))
    return text.encode().replace(b'"allocation"', b'"alloc' + wrong + b'ation"')


def _encoded(draw: st.DrawFn, text: str) -> bytes:
    return text.encode(draw(st.sampled_from(["utf-8-sig", "utf-16", "utf-32"])))


def _not_finite(draw: st.DrawFn, text: str) -> bytes:
    number = draw(st.sampled_from(["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 5000]))
    return text.replace('"quantity": ', f'"quantity": {number}, "was": ', 1).encode()


def _twice(draw: st.DrawFn, text: str) -> bytes:
    name = draw(st.sampled_from(["warehouse_id", "line_items_attributes", "sellable_id", "quantity"]))
    return text.replace(f'"{name}": ', f'"{name}": 1, "{name}": ', 1).encode()


def _deep(draw: st.DrawFn, text: str) -> bytes:
    levels = draw(st.sampled_from([65, 1_000, 100_000]))
    return draw(
        st.sampled_from([b"[" * levels, b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels])
    )


def _other_text(draw: st.DrawFn, text: str) -> bytes:
    single = text.replace('"', "'")
    return draw(
        st.sampled_from(
            [b"", b" ", b"<html></html>", b"allocation[warehouse_id]=5", single.encode(), (text + "}").encode()]
        )
    )


_SPOILERS: list[Spoiler] = [
    _truncated, _bad_utf8, _encoded, _not_finite, _twice, _deep, _other_text,
]  # fmt: skip
