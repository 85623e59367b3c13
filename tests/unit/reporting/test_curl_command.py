"""The shell command that repeats a request, run by real shells with a stub named curl, and with curl itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from email.message import Message
from pathlib import Path

import pytest
from support.servers import recording, serving

from pytest_veeqo_alloc.core.http import Headers, Request
from pytest_veeqo_alloc.reporting.formatters import curl_command

KEY = "the-key-of-this-test"
URL = "http://127.0.0.1:1/orders/447452/allocations"
JSON = ("Content-Type", "application/json")
STUB = """#!{python}
import json, os, sys
body = sys.stdin.buffer.read().decode("latin-1") if "@-" in sys.argv else ""
with open(os.environ["RECORD"], "w") as file:
    json.dump({{"arguments": [os.fsencode(text).decode("latin-1") for text in sys.argv[1:]], "body": body}}, file)
"""

BODIES = {
    "JSON": b'{"allocation": {"warehouse_id": 1784}}',
    "quotes": b"""'"it's" \\ $HOME `id` $(id) !x""",
    "at sign": b"@/etc/hostname",
    "dash and percent": b"-n %s %d \\x41",
    "line feeds": b"\n{}\r\n\n",
    "escape sequence": b"\x1b[31m\x07",
    "text direction": "\u202e{}".encode(),
    "Unicode": "Zo\u00eb \U0001f9f5".encode(),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "every byte": bytes(range(256)),
    "dash before a byte": b"-\xff",
    "nothing": b"",
    "1 MB": b"x" * 1_000_000,
    "1 MB of bytes": b"\x00\xff" * 500_000,
}


def run_stub(folder: Path, command: str, shell: str) -> tuple[list[str], bytes]:
    """Run *command* in *shell* with a stub named curl. Return its arguments, and the body that it would send."""
    stub, record, script = folder / "curl", folder / "record.json", folder / "script"
    stub.write_text(STUB.format(python=sys.executable), encoding="utf-8")
    stub.chmod(0o755)
    script.write_text(command, encoding="utf-8")
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "RECORD": str(record), "VEEQO_ALLOC_API_KEY": KEY}
    subprocess.run([shell, str(script)], env=environment, check=True, timeout=60)
    recorded = json.loads(record.read_text(encoding="utf-8"))
    arguments = recorded["arguments"]
    option, text = arguments[-2:]
    body = text if option == "--data-raw" else recorded["body"]
    return arguments, body.encode("latin-1")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX shell")
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("name", BODIES)
def test_command_sends_the_same_body(name: str, shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    command = curl_command(Request("POST", URL, (JSON,), BODIES[name]))
    arguments, body = run_stub(tmp_path, command, shell)
    assert body == BODIES[name]
    assert arguments[:6] == ["-g", "-X", "POST", URL, "-H", "Content-Type: application/json"]


@pytest.mark.parametrize("name", BODIES)
def test_command_is_printable_text(name: str) -> None:
    command = curl_command(Request("POST", URL, (JSON,), BODIES[name]))
    assert all(line.isprintable() for line in command.split("\n"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX shell")
@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ((("X-Api-Key", "secret"), JSON), f"X-Api-Key: {KEY}"),
        ((("authorization", "Bearer secret"), JSON), f"authorization: Bearer {KEY}"),
    ],
    ids=["x-api-key", "bearer"],
)
def test_environment_variable_replaces_the_key(headers: Headers, sent: str, tmp_path: Path) -> None:
    command = curl_command(Request("POST", URL, headers, b"{}"))
    assert "secret" not in command
    assert sent in run_stub(tmp_path, command, "sh")[0]


def test_key_that_is_no_secret_is_shown() -> None:
    request = Request("POST", URL, (("x-api-key", "wrong"), JSON), b"{}")
    assert "-H 'x-api-key: wrong'" in curl_command(request, shown_keys=("wrong",))
    assert "wrong" not in curl_command(request, shown_keys=("other",))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX shell")
def test_missing_media_type_is_not_added_by_curl(tmp_path: Path) -> None:
    arguments, _ = run_stub(tmp_path, curl_command(Request("POST", URL, (), b"{}")), "sh")
    assert arguments[4:6] == ["-H", "Content-Type:"]


def test_request_without_a_body_has_no_data() -> None:
    command = curl_command(Request("GET", "http://127.0.0.1:1/orders/1'2/allocations", (JSON,)))
    assert command == (
        "curl -g -X GET 'http://127.0.0.1:1/orders/1'\"'\"'2/allocations' \\\n  -H 'Content-Type: application/json'"
    )


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("name", BODIES)
def test_curl_sends_the_same_request(name: str, tmp_path: Path) -> None:
    received: list[tuple[str, Message, bytes]] = []
    script = tmp_path / "script"
    with serving(recording(received)) as url:
        request = Request("POST", f"{url}/orders/447452/allocations", (("x-api-key", "secret"),), BODIES[name])
        script.write_text(f"{curl_command(request)} --silent --noproxy '*'", encoding="utf-8")
        environment = {"PATH": os.environ["PATH"], "VEEQO_ALLOC_API_KEY": KEY}
        subprocess.run(["sh", str(script)], env=environment, check=True, timeout=60, stdout=subprocess.DEVNULL)
    ((path, headers, body),) = received
    assert (path, body) == ("/orders/447452/allocations", BODIES[name])
    assert (headers["x-api-key"], headers["content-type"]) == (KEY, None)
