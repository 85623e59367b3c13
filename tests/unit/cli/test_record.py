"""The command `veeqo-alloc record`, against a server on the loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bodies import drop, order
from support.live import KEY, POOL
from support.staging import Staging, staging

from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.live.journal import read_journal
from pytest_veeqo_alloc.recording import session

CASSETTE = Path("cassettes/one-unit.yaml")
Record = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> Iterator[Staging]:
    with staging() as server:
        yield server


@pytest.fixture
def record(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Record:
    """Run the command with options and answers. Return the exit status, the output and the errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    Path("pool.toml").write_text(POOL, encoding="utf-8")

    def run(*options: str, answers: tuple[str, ...] = (), output: str = str(CASSETTE)) -> tuple[int, str, str]:
        left = iter(answers)

        def answer(question: str) -> str:
            print(question, end="")
            try:
                return next(left)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", answer)
        status = main(["record", "--base-url", server.url, "--orders", "pool.toml", "-o", output, *options])
        printed = capsys.readouterr()
        assert KEY not in printed.out + printed.err
        assert list(left) == []
        return status, printed.out, printed.err

    return run


def host_of(server: Staging) -> str:
    return server.url.removeprefix("http://")


def test_confirmed_request_is_recorded_redacted_and_deleted(record: Record, server: Staging) -> None:
    status, output, errors = record(answers=("127.0.0.1", "y"))
    assert (status, errors) == (0, "")
    shown, question = output.split("To send it, type the name of the host: ")
    assert '"$VEEQO_ALLOC_API_KEY"' in shown
    assert f"1 unit of sellable 11 in warehouse 5 for order 7 at {host_of(server)}.\n" in shown
    assert re.fullmatch(
        rf"wrote {CASSETTE}: redacted, searched for secrets, and dated \d{{4}}-\d\d-\d\d\n"
        r"interaction of POST /orders/\{order_id\}/allocations: 0 errors \(profile documented\)\n"
        r"coverage: the response has 475 of 475 documented fields\n"
        r"Delete the allocation\? \[y/N\] order 7: deleted allocation 5001\n",
        question,
    )
    assert [(method, path) for method, path, *_ in server.seen][:2] == [
        ("GET", "/orders/7"),
        ("POST", "/orders/7/allocations"),
    ]
    assert server.orders == {7: []}
    ((_, _, headers, body, _),) = server.posts
    assert headers["x-api-key"] == KEY
    assert f"'{body.decode()}'" in shown
    assert KEY not in CASSETTE.read_text(encoding="utf-8")
    assert main(["check", "--lint", "--max-age", "1", str(CASSETTE)]) == 0


def test_dry_run_needs_no_key_and_sends_and_writes_nothing(
    record: Record, server: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    status, output, _ = record("--dry-run")
    assert (status, output.splitlines()[-1]) == (0, "nothing was sent (--dry-run)")
    assert f"-X POST {server.url}/orders/7/allocations" in output
    assert (server.seen, list(Path().iterdir())) == ([], [Path("pool.toml")])


def test_allocation_that_cannot_be_deleted_alone_is_kept_and_the_command_shown(record: Record, server: Staging) -> None:
    record(answers=("127.0.0.1", "n"))
    status, output, _ = record("--force", answers=("127.0.0.1", "y"))
    kept, command = output.splitlines()[-2:]
    assert (status, "kept allocation 5002: the order also has allocation 5001" in kept) == (1, True)
    assert main(command.removeprefix("to delete the allocation: veeqo-alloc ").split()) == 0
    assert server.orders == {7: []}


@pytest.mark.parametrize("answers", [(), ("y",), ("example.com",)], ids=["none", "another word", "another host"])
def test_request_that_is_not_confirmed_is_not_sent(record: Record, server: Staging, answers: tuple[str, ...]) -> None:
    status, _, errors = record(answers=answers)
    assert status == 2
    assert errors == (
        "veeqo-alloc: the host was not confirmed, so nothing was sent: in CI, give --yes and --allow-host\n"
    )
    assert (server.seen, CASSETTE.exists()) == ([], False)


def test_run_in_ci_asks_nothing_and_shows_how_to_clean_up(record: Record, server: Staging) -> None:
    status, output, _ = record("--yes", "--allow-host", host_of(server), "--journal", "journal.jsonl")
    assert status == 0
    command = output.splitlines()[-1].removeprefix("to delete the allocation: veeqo-alloc ").split()
    assert main(command) == 0
    assert server.orders == {7: []}
    status, _, errors = record("--yes")
    assert (status, len(server.posts)) == (2, 1)
    assert "exists, so nothing was sent" in errors
    status, _, errors = record("--yes", "--force")
    assert (status, len(server.posts)) == (2, 1)
    assert "confirm the host that may receive writes: --allow-host" in errors
    assert record("--yes", "--force", "--allow-host", host_of(server))[0] == 0


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("one-unit.json", "a cassette must end in .yaml or .yml, not 'one-unit.json'"),
        ("pool.toml/one-unit.yaml", "the cassette pool.toml/one-unit.yaml cannot be written: Not a directory"),
        ("cassettes/unit?.yaml", "invalid cassette name 'unit?.yaml'"),
        ("there.yaml", "'there.yaml' exists, so nothing was sent: choose another name, or give --force"),
    ],
)
def test_output_that_cannot_be_written_is_found_before_the_request(
    record: Record, server: Staging, output: str, sentence: str
) -> None:
    Path("there.yaml").mkdir()
    status, _, errors = record("--yes", "--allow-host", host_of(server), output=output)
    assert (status, len(errors.splitlines()), server.seen) == (2, 1, [])
    assert errors.startswith(f"veeqo-alloc: {sentence}")
    forced = record("--yes", "--force", "--allow-host", host_of(server), output="there.yaml")
    assert (forced[0], server.seen) == (2, [])
    assert "'there.yaml' is a folder, so nothing was sent" in forced[2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--orders", "any"), "name the order to write to: --orders pool.toml, since 'any' names no order"),
        (("--orders", "none.toml"), "the order pool 'none.toml' cannot be read"),
        (("--base-url", "http://example.com"), "use https in --base-url"),
        (("--base-url", ""), "name the server: --base-url"),
        (("--journal", "pool.toml"), "pool.toml is not a journal of veeqo-alloc"),
        (("--profile", "strct"), "unknown profile 'strct'"),
    ],
)
def test_wrong_option_is_one_sentence_and_sends_nothing(
    record: Record, server: Staging, options: tuple[str, ...], sentence: str
) -> None:
    status, _, errors = record("--yes", "--allow-host", host_of(server), "--allow-host", "example.com", *options)
    assert (status, server.seen, CASSETTE.exists()) == (2, [], False)
    assert errors.startswith(f"veeqo-alloc: {sentence}")


def test_missing_key_is_named(record: Record, server: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    status, _, errors = record()
    assert (status, server.seen) == (2, [])
    assert errors == "veeqo-alloc: put the API key into the environment variable VEEQO_ALLOC_API_KEY\n"


@pytest.mark.parametrize(
    ("answer", "sentence", "is_uncertain"),
    [
        ((401, ()), "was not written, since the response has the status 401", False),
        ((429, (("Retry-After", "0"),)), "was not written, since the response has the status 429", False),
        ((503, ()), "was not written, since the response has the status 503", True),
        ("die", "got no response: connection broken or response not HTTP; whether the request was carried out is UNKNOWN", True),
    ],
)  # fmt: skip
def test_failed_request_is_sent_once_and_leaves_the_cassette(
    record: Record, server: Staging, answer: Any, sentence: str, is_uncertain: bool
) -> None:
    CASSETTE.parent.mkdir()
    CASSETTE.write_text("old", encoding="utf-8")
    server.answers.append(answer)
    status, output, errors = record("--force", answers=("127.0.0.1",))
    assert (status, len(errors.splitlines()), len(server.posts)) == (2, 1, 1)
    assert sentence in errors
    assert CASSETTE.read_text(encoding="utf-8") == "old"
    assert ("to delete the allocation: veeqo-alloc cleanup" in output) == is_uncertain


def test_deviating_response_is_recorded_with_the_command_that_accepts_it(
    record: Record, server: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deviating(order_id: int) -> bytes:
        return json.dumps({**drop(order(), "/due_date"), "id": order_id, "notes_count": 3}).encode()

    monkeypatch.setattr(server, "order", deviating)
    status, output, _ = record(answers=("127.0.0.1", "n"))
    assert status == 1
    assert "/due_date" in output
    assert f"to accept these errors: veeqo-alloc check {CASSETTE} --write-deviations accepted.toml\n" in output
    assert "coverage: the response has 474 of 475 documented fields\n" in output
    assert main(["check", str(CASSETTE)]) == 1
    assert main(["check", str(CASSETTE), "--write-deviations", "accepted.toml"]) == 1  # the exit status stays
    assert main(["check", str(CASSETTE), "--deviations", "accepted.toml"]) == 0
    assert record("--force", "--deviations", "accepted.toml", answers=("127.0.0.1", "n"))[0] == 0


def test_cassette_that_fails_to_be_written_does_not_hide_the_allocation(
    record: Record, server: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session, "write_atomically", full)
    status, output, errors = record(answers=("127.0.0.1",))
    assert status == 2
    assert errors == f"veeqo-alloc: the cassette {CASSETTE} cannot be written: No space left on device\n"
    assert "to delete the allocation: veeqo-alloc cleanup" in output
    (journal,) = Path().glob("veeqo-alloc-journal-*.jsonl")
    (entry,) = read_journal(journal).entries
    assert entry.made == (5001,)


def test_cassette_that_appears_meanwhile_is_not_replaced(
    record: Record, server: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = server.order

    def order_and_write(order_id: int) -> bytes:
        CASSETTE.parent.mkdir(exist_ok=True)
        CASSETTE.write_text("of another program", encoding="utf-8")
        return answer(order_id)

    monkeypatch.setattr(server, "order", order_and_write)
    status, output, errors = record(answers=("127.0.0.1",))
    assert (status, CASSETTE.read_text(encoding="utf-8")) == (2, "of another program")
    assert "was not written, since another program has changed it meanwhile" in errors
    assert "to delete the allocation: veeqo-alloc cleanup" in output


def test_allocation_beside_those_of_others_is_kept_and_reported(record: Record, server: Staging) -> None:
    server.allocate(7, 5, ((11, 1),))
    status, output, _ = record(answers=("127.0.0.1", "y"))
    assert status == 1
    assert "order 7: kept allocation 5002: the order also has allocation 5001" in output
