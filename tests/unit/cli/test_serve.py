"""The command `serve` where it does not start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pytest_veeqo_alloc.cli.main import main


def test_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert (
        capsys.readouterr().err
        == f"veeqo-alloc: cannot listen at 127.0.0.1:{port}: Address already in use; choose another --port, or omit --port to use a free port\n"
    )


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--profile", "stric"], "unknown profile 'stric': did you mean 'strict'?"),
    (["--orders", "nowhere.toml"], "the order pool 'nowhere.toml' cannot be read: No such file or directory"),
    (["--allow-host", "x"], "--allow-host, --max-writes, --allow-reads and --allow-origin are for the proxy: give --upstream URL"),
    (["--upstream", "https://x.example.com", "--policy", "strict"], "--policy is for the fake: omit --policy, or omit --upstream"),
    (["--upstream", "https://x.example.com", "--stubs", "x.toml"], "--stubs is for the fake: omit --stubs, or omit --upstream"),
])  # fmt: skip
def test_invalid_option_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["serve", *arguments]) == 2
    assert capsys.readouterr().err == f"veeqo-alloc: {sentence}\n"


STUBS = {
    "missing": (None, "cannot be read: No such file or directory"),
    "no TOML": ("[[stub]", "cannot be parsed as TOML: "),
    "empty": ("", "must contain [[stub]] tables, and nothing else"),
    "another table": ('[[stubs]]\nmethod = "GET"', "must contain [[stub]] tables, and nothing else"),
    "one table": ('[stub]\nmethod = "GET"', "must contain [[stub]] tables, and nothing else"),
    "a typo": ('[[stub]]\nmethod = "GET"\npath = "/x"\nstatsu = 200', "stub 1: unknown key 'statsu': did you mean 'status'?"),
    "no method": ('[[stub]]\npath = "/x"', "stub 1: method= must be an HTTP method such as 'GET', not ''"),
    "no path": ('[[stub]]\nmethod = "GET"', "stub 1: path= must be a path such as"),
    "the documented call": ('[[stub]]\nmethod = "POST"\npath = "/orders/{id}/allocations"', "stub 1: POST /orders/{id}/allocations is the documented call"),
    "two for one call": ('[[stub]]\nmethod = "GET"\npath = "/x"\n[[stub]]\nmethod = "get"\npath = "/x"', "stub 2: the stub GET /x answers every GET /x already"),
    "a date": ('[[stub]]\nmethod = "GET"\npath = "/x"\njson = 2026-01-01', "stub 1: json= must be JSON: Object of type date is not JSON serializable"),
    "a header that is a number": ('[[stub]]\nmethod = "GET"\npath = "/x"\nheaders = { X-Page = 1 }', "stub 1: headers= must be pairs"),
    "no headers": ('[[stub]]\nmethod = "GET"\npath = "/x"\nheaders = "X-Page"', "stub 1: headers= must be pairs"),
    "headers that are no pairs": ('[[stub]]\nmethod = "GET"\npath = "/x"\nheaders = 1', "stub 1: headers= must be pairs"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), STUBS.values(), ids=STUBS)
def test_invalid_stub_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, sentence: str
) -> None:
    path = tmp_path / "stubs.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main(["serve", "--stubs", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"veeqo-alloc: the stub file {str(path)!a}")
    assert sentence in line


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_invalid_port_is_rejected(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit):
        main(["serve", f"--port={port}"])
    assert "a whole number from 0 to 65535" in capsys.readouterr().err


def test_report_with_an_unknown_suffix_is_rejected_before_serving(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--report", "out.txt"]) == 2
    assert "must end in .json or .html" in capsys.readouterr().err
