"""Hostile files at their full size, as the command line reads them."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from support.measured import run_measured

ENTRY = (
    '- &e {request: {method: POST, uri: "http://h/orders/1/allocations", headers: {}, body: "x"}, '
    "response: {status: {code: 201, message: Created}, headers: {Content-Encoding: [gzip]}, body: {string: %s}}}\n"
)


def aliases() -> str:
    return "interactions:\n" + ENTRY % ("y" * 155_000) + "- *e\n" * 40_000 + "version: 1\n"


def merge_keys() -> str:
    merges = (f"a{level}: &a{level} {{<<: [{','.join([f'*a{level - 1}'] * 9)}]}}\n" for level in range(1, 11))
    return "".join(["a0: &a0 {k: v}\n", *merges, "version: 1\ninteractions: []\n"])


def gzip_bombs() -> str:
    bomb = base64.b64encode(gzip.compress(b"[" + b" " * 19_999_998 + b"]")).decode()
    return (
        "interactions:\n" + "".join(ENTRY.replace("&e ", "") % f"!!binary {bomb}" for _ in range(20)) + "version: 1\n"
    )


@pytest.mark.parametrize("command", ["check", "check --lint", "redact"])
@pytest.mark.parametrize("make", [aliases, merge_keys, gzip_bombs])
def test_file_that_unfolds_without_end_is_refused_in_one_sentence(
    make: Callable[[], str], command: str, tmp_path: Path
) -> None:
    (tmp_path / "bomb.yaml").write_text(make(), encoding="utf-8")
    measured = run_measured("-m", "pytest_veeqo_alloc", *command.split(), "bomb.yaml", folder=tmp_path)
    assert measured.status == 2
    assert len(measured.err.splitlines()) == 1
