"""The command `serve` where it does not start."""

from __future__ import annotations

import socket

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
    (["--allow-host", "x"], "--allow-host, --max-writes and --allow-reads are for the proxy: give --upstream URL"),
    (["--upstream", "https://x.example.com", "--policy", "strict"], "--policy is for the fake: omit --policy, or omit --upstream"),
])  # fmt: skip
def test_invalid_option_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["serve", *arguments]) == 2
    assert capsys.readouterr().err == f"veeqo-alloc: {sentence}\n"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_invalid_port_is_rejected(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit):
        main(["serve", f"--port={port}"])
    assert "a whole number from 0 to 65535" in capsys.readouterr().err


def test_report_with_an_unknown_suffix_is_rejected_before_serving(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--report", "out.txt"]) == 2
    assert "must end in .json or .html" in capsys.readouterr().err
