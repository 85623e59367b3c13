"""`veeqo-alloc serve` in a subprocess."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Process:
    """A running `veeqo-alloc serve`: its URL and, after `stop()`, its output."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process, self.url = process, url
        self.out = self.err = ""

    def line(self) -> str:
        """Wait for the next line of output and return it."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def send(self, number: int) -> None:
        """Send the signal *number*."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end without reading the output, and return the exit status."""
        return self._process.wait(timeout=20)

    def close_output(self) -> None:
        """Close the reading end of the output."""
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal *number*, wait for the end, and return the exit status."""
        self._process.send_signal(number)
        self.out, self.err = self._process.communicate(timeout=20)
        return self._process.returncode


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "pytest_veeqo_alloc", "serve", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise AssertionError(process.communicate()[1])
        try:
            yield Process(process, url)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
