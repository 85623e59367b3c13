"""Deletion of what a journal says was allocated. All servers are on the loopback."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.live import KEY, live_at, pool_request
from support.staging import Staging, staging

from pytest_veeqo_alloc import Response
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.allocations import ExistingAllocation
from pytest_veeqo_alloc.live import JournalError, SendError
from pytest_veeqo_alloc.live.cleanup import CleanupResult, clean_up, settle
from pytest_veeqo_alloc.live.client import LiveClient
from pytest_veeqo_alloc.live.journal import Entry, Journal, open_journal, parse_journal, read_journal


def test_order_with_other_allocations_is_not_cleaned_up(server: Staging, tmp_path: Path) -> None:
    server.allocate(7, 5, ((11, 1),))
    with live_at(server.url, tmp_path, orders="any", rate=1000) as live:
        live.post(7, pool_request())
        live.post(8, pool_request())
        cleaned = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
        assert cleaned == [
            CleanupResult("order 7: kept allocation 5002: the order also has allocation 5001, which other runs or users made, "
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


def test_allocation_of_another_person_between_two_writes_is_not_ours(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        server.allocate(7, 5, ((11, 1),))
        live.post(7, pool_request())
        journal = read_journal(tmp_path / "journal.jsonl")
        assert [(entry.before, entry.made) for entry in journal.entries] == [((), (5001,)), ((5001, 5002), (5003,))]
        (cleaned,) = clean_up(journal, live)
    assert cleaned.is_left
    assert cleaned.sentence.startswith(
        "order 7: kept allocations 5001, 5003: the order also has allocation 5002, which"
    )
    assert [allocation.id for allocation in server.orders[7]] == [5001, 5002, 5003]


BY_HAND = "possibly made by writes of this journal: check the order by hand"


@pytest.mark.parametrize("sent", ["answered", "unknown", "refused"])
def test_allocation_between_the_read_and_the_write_leaves_a_doubt(sent: str, server: Staging, tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {"answered": [], "unknown": ["die"], "refused": [(422, ())]}
    server.answers = answers[sent]
    with live_at(server.url, tmp_path) as live:
        read = live.read_order

        def read_too_early(order_id: int) -> Response:
            response = read(order_id)
            server.allocate(order_id, 5, ((11, 1),))
            return response

        live.read_order = read_too_early  # type: ignore[method-assign]
        with contextlib.suppress(SendError):
            live.post(7, pool_request())
        live.read_order = read  # type: ignore[method-assign]
        (entry,) = read_journal(tmp_path / "journal.jsonl").entries
        assert (entry.made, entry.candidates) == ((), (5001, 5002) if sent == "answered" else ())
        (cleaned,) = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
    both = "allocation 5001" if sent == "refused" else "allocations 5001, 5002"
    assert cleaned == CleanupResult(f"order 7: has {both}, {BY_HAND}", True)
    assert [method for method, *_ in server.seen if method == "DELETE"] == []


def test_unknown_write_that_did_nothing_does_not_own_another_allocation(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.run_state.limit = 1000
        for units in (2, 1):
            server.answers = [(500, ())]
            live.post(7, pool_request(units))
            server.allocate(7, 5, ((11, 1),))
        (cleaned,) = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
        assert cleaned.sentence.startswith("order 7: kept allocation 5002")
        server.orders[7] = server.orders[7][:1]
        (cleaned,) = clean_up(read_journal(tmp_path / "journal.jsonl"), live)
    assert cleaned == CleanupResult(f"order 7: has allocation 5001, {BY_HAND}", True)


def test_allocation_that_has_changed_since_it_was_made_is_left(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        server.orders[7] = [replace(server.orders[7][0], lines=((11, 2),))]
        assert clean_up(read_journal(tmp_path / "journal.jsonl"), live) == [
            CleanupResult(f"order 7: has allocation 5001, {BY_HAND}", True)
        ]


UNITS = {11: 1.0}


def written(name: str, outcome: int | None = 201, **more: Any) -> Entry:
    return Entry("post", 7, 5, UNITS, **{"before": (), "name": name, "outcome": outcome, **more})


@pytest.mark.parametrize(
    ("entries", "ours", "doubtful"),
    [
        ([written("a", made=(1,)), written("b", candidates=(1, 2)), written("c", candidates=(1, 2, 3))], {1, 2, 3}, []),
        ([written("a", candidates=(1, 2)), written("b", candidates=(1, 2, 3))], set(), [1, 2, 3]),
        ([written("a", candidates=(2, 3))], set(), [1, 2, 3]),
        ([written("a", before=(1, 2, 3))], set(), []),
        ([written("a", None, before=(1, 2))], {3}, []),
        ([written("a", None, before=(1,))], set(), [2, 3]),
        ([written("a", None, before=None)], set(), [1, 2, 3]),
        ([written("a", None, before=(1,)), written("b", None, before=(2,))], {2, 3}, []),
        ([written("a", 502, before=(1,)), written("b", before=(2,), made=(3,))], {2, 3}, []),
        ([written("a", None, before=(1,)), written("b", before=None, made=(3,))], {3}, [2]),
        ([written("a", 422, before=(1, 2))], set(), [3]),
        ([replace(written("a", 422), units={12: 1.0})], set(), []),
        ([written("a", 201, before=(1, 2))], set(), [3]),
    ],
)
def test_each_write_owns_at_most_one_allocation(entries: list[Entry], ours: set[int], doubtful: list[int]) -> None:
    assert settle(entries, [ExistingAllocation(number, 5, UNITS) for number in (1, 2, 3)]) == (ours, doubtful)


class Orders(LiveClient):
    """A client of orders in memory. Deleted allocations are in `deleted`."""

    def __init__(self, orders: dict[int, list[int]]) -> None:
        self.target, self.orders, self.deleted = "staging:1", orders, list[int]()

    def read_order(self, order_id: int) -> Response:
        lines = [{"quantity": 1, "sellable": {"id": 11}}]
        held = [{"id": number, "warehouse": {"id": 5}, "line_items": lines} for number in self.orders[order_id]]
        return Response(200, (), json.dumps({"allocations": held}).encode())

    def delete(self, order_id: int, allocation_id: int) -> Response:
        self.deleted += self.orders[order_id]
        self.orders[order_id] = []
        return Response(200)


def test_no_damage_of_a_journal_deletes_anothers_allocation_or_hides_ours(tmp_path: Path) -> None:
    """Order 1 has an allocation of ours, order 2 one of an unknown write, order 3 one that another person made."""
    path = tmp_path / "j"
    with open_journal(path, "staging:1") as writer:
        for order_id, outcome in ((1, 201), (2, None), (3, 422)):
            writer.intent(entry := Entry("post", order_id, 5, UNITS, (9,) if order_id == 3 else (), f"name-{order_id}"))
            if outcome is not None:
                writer.outcome(entry.name, outcome, (1,) if order_id == 1 else ())
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    damaged = [data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :] for at in range(len(data))]
    damaged += [data[: data.rindex(b"\n", 0, -1) + 1 + at] for at in range(1, len(lines[-1]))]
    for at, line in enumerate(lines):
        around = lines[:at], lines[at + 1 :]
        damaged += [b"".join([*around[0], *new, *around[1]]) for new in ([line, line], [line[: len(line) // 2]])]
    for text in [data, *damaged]:
        live = Orders({1: [1], 2: [2], 3: [9]})
        with contextlib.suppress(JournalError):
            results = clean_up(parse_journal(text, path), live)
            assert any(result.is_left for result in results) or live.orders == {1: [], 2: [], 3: [9]}
        assert 9 not in live.deleted


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
    host = server.url.partition("://")[2]
    assert main(["cleanup", str(tmp_path / "none"), "--base-url", server.url, "--allow-host", host]) == 2
    assert capsys.readouterr().err == f"veeqo-alloc: the journal {tmp_path / 'none'} does not exist\n"
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
        monkeypatch.setattr(live, "delete", lambda order_id, allocation_id: Response(status))
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
