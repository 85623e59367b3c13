"""`veeqo-alloc record` as its how-to page shows it, from a server in another process."""

from __future__ import annotations

import datetime
import re
import shlex
from pathlib import Path

import pytest
from support.pages import blocks, page
from support.served import served

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.server.fake import API_KEY

PAGE = page("howto/record.md")
URL = "https://staging.example.com"


def commands(url: str) -> list[tuple[list[str], str]]:
    """Return the arguments and the shown output of each `veeqo-alloc` command of the page, for the server at *url*."""
    text = "".join(blocks("console", PAGE)).replace("veeqo-alloc-journal-staging.example.com-443", "journal")
    text = text.replace("staging.example.com:443", url.removeprefix("http://")).replace(URL, url)
    text = text.replace("--allow-host staging.example.com", f"--allow-host {url.removeprefix('http://')}")
    text = text.replace("staging.example.com", "127.0.0.1")
    text = re.sub(r"dated [\d-]+", f"dated {datetime.date.today()}", text)
    found = [part.split("\n", 1) for part in text.split("$ ") if part.startswith("veeqo-alloc ")]
    return [(shlex.split(command)[1:], output) for command, output in found]


def test_how_to_page_records_a_cassette_that_replays(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (pool,), (code,) = blocks("toml", PAGE), blocks("python", PAGE)
    (pytester.path / "pool.toml").write_text(pool, encoding="utf-8")
    answers: list[str] = []

    def answer(question: str) -> str:
        print(f"{question}{answers[0]}")
        return answers.pop(0)

    monkeypatch.setattr("builtins.input", answer)
    with served(Path(pytester.path)) as server:
        dry_run, record, in_ci, clean_up = commands(server.url)
        with monkeypatch.context() as now:
            now.setenv("VEEQO_ALLOC_API_KEY", API_KEY)
            for arguments, output in (dry_run, record):
                answers[:] = [] if "--dry-run" in arguments else ["127.0.0.1", "y"]
                assert main(arguments) == 0
                assert capsys.readouterr().out == output.rstrip("\n") + "\n"
            assert main([*in_ci[0], "--journal", "journal.jsonl"]) == 0
            assert main(clean_up[0]) == 0
        pytester.makepyfile(code.replace(URL, server.url))
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)
