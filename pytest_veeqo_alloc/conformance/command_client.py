"""A client under test that is a command: one process for each allocation, or one process for all allocations."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from pytest_veeqo_alloc.conformance import UnusableError
from pytest_veeqo_alloc.live.permission import KEY_VARIABLE, URL_VARIABLE

MAX_OUTPUT = 10_000_000
"""The maximum number of bytes that a command may print on standard output for one allocation."""

_VARIABLES = "VEEQO_ALLOC_"
_MAX_SHOWN = 2_000
_CHUNK = 65_536
_SECONDS = 1.0
_NOT_JSON = object()
_ANSWERS = '{"ok": true} or {"ok": false}'


class CommandError(Exception):
    """The failure of a client command, such as `exit status 1`. The message has no text that the command printed."""


class CommandClient:
    """The factory of a client that is a command. The command runs in *folder*.

    A persistent command makes all allocations in one process. Any other command is started for each allocation. Raise
    UnusableError if the command does not exist.
    """

    def __init__(self, command: str, folder: str, *, is_persistent: bool = False) -> None:
        self.arguments, self.folder, self.is_persistent = _parse(command, folder), folder, is_persistent
        self.url_name = "the member url" if is_persistent else f"the environment variable {URL_VARIABLE}"
        self.keys: list[bytes] = []
        self._program: _Program | None = None

    def __call__(self, base_url: str, api_key: str) -> CommandCall:
        """Return a function that has the command make one allocation."""
        self.keys.append(api_key.encode())
        return CommandCall(self, base_url, api_key)

    def persistent_program(self) -> _Program:
        """Return the running process of a persistent command. Start a process if none is running."""
        if self._program is None or not self._program.is_running:
            self.close()
            self._program = _Program(self.arguments, self.folder, {})
        return self._program

    def close(self) -> None:
        """End the process of a persistent command."""
        program, self._program = self._program, None
        if program is not None:
            with suppress(UnusableError):
                program.end(_SECONDS)


class CommandCall:
    """One allocation by a client command.

    Once the command has ended, `stderr` has the last characters of its standard error. `shows_key` says whether the
    command printed an API key. `problem` is a sentence if the command succeeded with output that is not JSON.
    """

    def __init__(self, client: CommandClient, base_url: str, api_key: str) -> None:
        self.stderr, self.shows_key, self.problem = "", False, ""
        self._client, self._url, self._key = client, base_url, api_key
        self._program: _Program | None = None
        self._is_stopped = False

    def __call__(self, order_id: int, warehouse_id: int, line_items: list[dict[str, Any]]) -> None:
        """Have the command make the allocation. Raise CommandError if the command fails."""
        client, given = self._client, {"order_id": order_id, "warehouse_id": warehouse_id, "line_items": line_items}
        if client.is_persistent:
            program, ask = client.persistent_program(), self._ask
            given = {"url": self._url, "api_key": self._key, **given}
        else:
            variables = {URL_VARIABLE: self._url, KEY_VARIABLE: self._key}
            program, ask = _Program(client.arguments, client.folder, variables), self._run
        self._program = program
        if self._is_stopped:
            program.kill()
        try:
            ask(program, json.dumps(given).encode() + b"\n")
        finally:
            self.shows_key = any(key in printed for key in client.keys for printed in (program.stdout, program.stderr))
            self.stderr = program.stderr[-_MAX_SHOWN:].decode(errors="replace")

    def stop(self) -> None:
        """Kill the command and all processes in its process group."""
        self._is_stopped = True
        if self._program is not None:
            self._program.kill()

    def _run(self, program: _Program, document: bytes) -> None:
        program.send(document)
        if status := program.end():
            raise CommandError(_describe(status))
        if program.stdout.strip() and _parsed(program.stdout) is _NOT_JSON:
            self.problem = (
                "the client command succeeds and prints text that is not JSON: it must print the order as JSON, or "
                "nothing, on standard output; log to standard error"
            )

    def _ask(self, program: _Program, document: bytes) -> None:
        if program.forget_output():
            raise UnusableError("the client command printed more than one line for one allocation")
        program.send(document)
        if (line := program.read_line()) is None:
            raise CommandError(f"{_describe(program.end(_SECONDS))} instead of an answer")
        answer = _parsed(line)
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            raise UnusableError(f"the client command must answer each line with {_ANSWERS} in one line")
        if not answer["ok"]:
            raise CommandError('the answer {"ok": false}')


def _parse(command: str, folder: str) -> list[str]:
    """Split *command* as a POSIX shell does, and replace its first word by the path of the program."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise UnusableError(
            f"--veeqo-alloc-client-command must be a command such as 'node allocate.mjs', not {command!a}"
        )
    program = words[0]
    path = shutil.which(os.path.join(folder, program) if os.path.dirname(program) else program)
    if path is None:
        raise UnusableError(f"the client command {program!a} does not exist, or may not be executed")
    return [path, *words[1:]]


def _parsed(text: bytes | bytearray) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _describe(status: int) -> str:
    """Describe an exit status. A negative status is the number of the signal that ended the process."""
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return f"an end by the signal {signal.Signals(-status).name}"
    return f"an end by the signal {-status}"


class _Program:
    """A process in a process group of its own. Threads read its output into `stdout` and `stderr`.

    A process that prints more than MAX_OUTPUT bytes on standard output is killed. On standard error, further bytes are
    dropped.
    """

    def __init__(self, arguments: Sequence[str], folder: str, variables: Mapping[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_VARIABLES)}
        self.stdout, self.stderr = bytearray(), bytearray()
        self._is_closed, self._changed = False, threading.Condition()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # the user's own command
                arguments, cwd=folder, env={**kept, **variables}, bufsize=0, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise UnusableError(f"the client command {arguments[0]!a} cannot be run: {error.strerror}") from None
        given, output, errors = self._process.stdin, self._process.stdout, self._process.stderr
        assert given is not None
        assert output is not None
        assert errors is not None
        self._stdin, pairs = given, ((output, self.stdout), (errors, self.stderr))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pairs]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[bytes], kept: bytearray) -> None:
        with stream:
            while chunk := stream.read(_CHUNK):
                with self._changed:
                    kept += chunk[: MAX_OUTPUT + 1 - len(kept)]
                    self._changed.notify()
                if len(self.stdout) > MAX_OUTPUT:
                    self.kill()
        if kept is self.stdout:
            self._close()

    def _close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    @property
    def is_running(self) -> bool:
        """Whether the process runs, and has not been killed."""
        return not self._is_closed and self._process.poll() is None

    def send(self, document: bytes) -> None:
        """Write *document* to standard input."""
        with suppress(OSError):  # the process may have ended
            self._stdin.write(document)

    def read_line(self) -> bytes | None:
        """Wait for the first line of standard output. Return None if the output ends without one."""
        with self._changed:
            self._changed.wait_for(lambda: b"\n" in self.stdout or self._is_closed)
            line, newline, _ = self.stdout.partition(b"\n")
            return bytes(line) if newline else None

    def forget_output(self) -> bytes:
        """Clear `stdout` and `stderr`. Return what followed the first line of standard output."""
        with self._changed:
            rest = bytes(self.stdout.partition(b"\n")[2])
            self.stdout.clear()
            self.stderr.clear()
            return rest

    def end(self, seconds: float | None = None) -> int:
        """Close standard input, and wait for the end of the process, at most *seconds*. Return the exit status.

        Then kill all processes that are left in the group. Raise UnusableError if the process printed too much.
        """
        with suppress(OSError):
            self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()
        status = self._process.wait()
        for reader in self._readers:
            reader.join(_SECONDS)  # a process that left the group may hold the pipe
        if len(self.stdout) > MAX_OUTPUT:
            raise UnusableError(f"the client command prints more than {MAX_OUTPUT:,} bytes on standard output")
        return status

    def kill(self) -> None:
        """Kill the process group. On Windows, kill the process only."""
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._close()
