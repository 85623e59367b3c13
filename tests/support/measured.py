"""A command in a process of its own, with its time and its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

MAX_SECONDS, MAX_MEGABYTES = 30, 300
"""What an experiment may take. `tests/attack` holds every one of them to these limits."""


class Measured(NamedTuple):
    """The end of a command: its exit status, its output, and what it took."""

    status: int
    out: str
    err: str
    seconds: float
    megabytes: float


def run_measured(*arguments: str, folder: Path) -> Measured:
    """Run Python with *arguments* in *folder*. Fail if the command takes more time or memory than an experiment may."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds, megabytes = time.monotonic() - start, usage.ru_maxrss / 1024
        texts = [(stream.seek(0), stream.read().decode())[1] for stream in (out, err)]
    measured = Measured(process.returncode, texts[0], texts[1], seconds, megabytes)
    assert seconds < MAX_SECONDS, measured
    assert megabytes < MAX_MEGABYTES, measured
    return measured
