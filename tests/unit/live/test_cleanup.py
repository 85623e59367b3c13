"""Deletion of what a journal says was allocated. All servers are on the loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.live import KEY, live_at, pool_request
from support.staging import Staging, staging

from pytest_veeqo_alloc import Response
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.live import JournalError, SendError
from pytest_veeqo_alloc.live.cleanup import CleanupResult, clean_up
from pytest_veeqo_alloc.live.journal import Journal, read_journal


def test_order_with_other_allocations_is_not_cleaned_up(server: Staging, tmp_path: Path) -> None:
    server.allocate(7, 5, ((11, 1),))
    with live_at(server.url, tmp_path, orders="any", rate=1000) as live:
        live.post(7, pool_request())
        live.post(8, pool_request())
        cleaned = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
        assert cleaned == [
            CleanupResult("order 7: kept allocation 5002: the order also has allocation 5001, which this journal does not list, "
                       "and a deletion would remove all allocations of the order", True),
            CleanupResult("order 8: deleted allocation 5003", False),
        ]  # fmt: skip
        assert len(server.orders[7]) == 2
        server.orders[7] = server.orders[7][1:]
        again = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
    assert [result.sentence for result in again] == [
        "order 7: deleted allocation 5002",
        "order 8: no allocation of this journal is left",
    ]
    deletes = [path for method, path, *_ in server.seen if method == "DELETE"]
    assert deletes == ["/orders/8/allocations/5003", "/orders/7/allocations/5002"]


def test_allocation_that_does_not_fit_the_write_is_left_and_reported(server: Staging, tmp_path: Path) -> None:
    other = server.order

    def quicker(order_id: int) -> bytes:
        """Allocate two units for another client, between the read and the write of this one."""
        answer = other(order_id)
        if not server.orders.get(order_id):
            server.allocate(order_id, 5, ((11, 2),))
        return answer

    server.order = quicker  # type: ignore[method-assign]
    server.answers = [(201, ())]
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        cleaned = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
    assert cleaned == [
        CleanupResult(
            "order 7: has allocation 5001, possibly made by writes of this journal: check the order by hand", True
        )
    ]
    assert [method for method, *_ in server.seen if method == "DELETE"] == []


def test_command_cleans_up_the_journals_own_server_only(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    journal = str(tmp_path / "journal.jsonl")
    with staging() as other:
        host = other.url.partition("://")[2]
        assert main(["cleanup", journal, "--base-url", other.url, "--allow-host", host]) == 2
        assert "belongs to another server" in capsys.readouterr().err
        assert other.seen == []
    monkeypatch.delenv("VEEQO_ALLOC_API_KEY")
    assert main(["cleanup", journal, "--base-url", server.url]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"veeqo-alloc: confirm the host that may receive writes: --allow-host {server.url.partition('://')[2]}",
        "veeqo-alloc: put the API key into the environment variable VEEQO_ALLOC_API_KEY",
    ]


def test_journal_in_use_is_not_cleaned_up(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    host = server.url.partition("://")[2]
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        assert main(["cleanup", str(tmp_path / "journal.jsonl"), "--base-url", server.url, "--allow-host", host]) == 2
    assert "is in use by another run" in capsys.readouterr().err
    assert [method for method, *_ in server.seen if method == "DELETE"] == []


def test_unreadable_order_is_left(tmp_path: Path, server: Staging) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        server.order = lambda order_id: b"{}"  # type: ignore[method-assign]  # the server lost it
        (cleaned,) = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
    assert cleaned == CleanupResult("order 7: cannot be read (status 200), so nothing was deleted", True)


def test_journal_of_another_server_is_rejected(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live, pytest.raises(JournalError, match="correct --base-url"):
        clean_up(Journal("other:1", ()), live)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (500, "order 7: allocation 5001 is left: the response to its deletion has status 500"),
        (200, "order 7: allocations are left after 50 deletions"),
    ],
)
def test_failed_deletion_is_reported(
    status: int, sentence: str, server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_at(server.url, tmp_path, rate=1000, orders="any") as live:
        live.post(7, pool_request())
        monkeypatch.setattr(live, "delete", lambda order_id, allocation_id, before: Response(status))
        assert clean_up(read_journal(tmp_path / "journal.jsonl"), live) == [CleanupResult(sentence, True)]


def test_order_whose_server_does_not_answer_is_left(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_at(server.url, tmp_path, rate=1000, orders="any") as live:
        live.post(7, pool_request())
        live.post(8, pool_request())
        read_order = live.read_order

        def break_off(order_id: int) -> Response:
            if order_id == 7:
                raise SendError("GET to 127.0.0.1 got no response")
            return read_order(order_id)

        monkeypatch.setattr(live, "read_order", break_off)
        assert clean_up(read_journal(tmp_path / "journal.jsonl"), live) == [
            CleanupResult("order 7: GET to 127.0.0.1 got no response", True),
            CleanupResult("order 8: deleted allocation 5002", False),
        ]
