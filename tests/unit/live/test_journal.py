"""The journal: its content, and the files that it refuses."""

from __future__ import annotations

import datetime
import json
import uuid
from pathlib import Path

import pytest

from pytest_veeqo_alloc.live import JournalError
from pytest_veeqo_alloc.live.journal import Entry, JournalWriter, default_name, open_journal, read_journal

TARGET = "127.0.0.1:8000"


def entry(**changes: object) -> Entry:
    fields: dict[str, object] = {"name": uuid.uuid4().hex, "kind": "post", "order_id": 7, "warehouse_id": 5,
                                 "units": {1: 2.0}, "before": (3,)}  # fmt: skip
    return Entry(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("127.0.0.1:8000", "veeqo-alloc-journal-127.0.0.1-8000.jsonl"),
        ("[::1]:443", "veeqo-alloc-journal-1-443.jsonl"),
        ("a/../b:1", "veeqo-alloc-journal-a-..-b-1.jsonl"),
    ],
)
def test_each_server_has_a_journal_of_its_own(target: str, name: str) -> None:
    assert default_name(target) == name


def test_journal_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    one, other, third = entry(), entry(before=None, warehouse_id=None, units={}), entry(kind="delete")
    with open_journal(path, TARGET) as writer:
        for written in (one, other, third):
            writer.intent(written)
        writer.outcome(one.name, 201, [4])
        writer.outcome(third.name, "not sent")
    journal = read_journal(path)
    assert journal.target == TARGET
    assert [(read.name, read.before, read.outcome, read.made, read.is_unknown) for read in journal.entries] == [
        (one.name, (3,), 201, (4,), False),
        (other.name, None, None, (), True),
        (third.name, (3,), "not sent", (), False),
    ]
    assert journal.of_run(writer.run).entries == journal.entries
    assert journal.of_run("another").entries == ()
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(datetime.datetime.fromisoformat(line["at"]).utcoffset() == datetime.timedelta() for line in lines)


def test_server_error_leaves_a_write_unknown() -> None:
    assert entry(outcome=502).is_unknown
    assert not entry(outcome=422).is_unknown


def test_consecutive_runs_share_a_journal(tmp_path: Path) -> None:
    for _ in range(2):
        with open_journal(tmp_path / "j", TARGET) as writer:
            writer.intent(entry())
    assert len(read_journal(tmp_path / "j").entries) == 2
    assert len({read.run for read in read_journal(tmp_path / "j").entries}) == 2


def test_run_without_writes_leaves_no_trace(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", TARGET):
        pass
    assert list(tmp_path.iterdir()) == []
    with open_journal(tmp_path / "j", TARGET) as writer:
        writer.intent(entry())
    before = (tmp_path / "j").read_bytes()
    with open_journal(tmp_path / "j", TARGET):
        pass
    assert (tmp_path / "j").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_full_disk_is_a_journal_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_journal(tmp_path / "j", TARGET) as writer:
        monkeypatch.setattr("os.write", lambda handle, data: len(data) - 1)
        with pytest.raises(JournalError, match="cannot be written: No space left on device"):
            writer.intent(entry())
        monkeypatch.undo()


def test_second_run_cannot_open_a_journal_in_use(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", TARGET):
        before = (tmp_path / "j").read_bytes()
        with (
            pytest.raises(JournalError, match="is in use by another run: wait, or"),
            open_journal(tmp_path / "j", TARGET),
        ):
            pass
        assert (tmp_path / "j").read_bytes() == before


def test_journal_of_another_server_is_not_opened(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", TARGET) as writer:
        writer.intent(entry())
    with (
        pytest.raises(JournalError, match=f"belongs to another server, {TARGET}"),
        open_journal(tmp_path / "j", "other:1"),
    ):
        pass


def header(**changes: object) -> str:
    return json.dumps({"journal": "veeqo-alloc", "version": 1, "target": TARGET, "run": "r"} | changes) + "\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            header() + '{"intent": "a", "ki',
            "the last line of the journal PATH is cut off: delete the line; a write that the line announced was not sent",
        ),
        (header(version=[1]), "the journal PATH is from another version of veeqo-alloc: clean up with that version"),
        (header(version=2), "the journal PATH is from another version of veeqo-alloc: clean up with that version"),
        (header() + header(version=2), "the journal PATH is from another version of veeqo-alloc"),
        (header(journal="other"), "PATH is not a journal of veeqo-alloc, or it was edited"),
        ("[1]\n", "PATH is not a journal of veeqo-alloc"),
        ("words\n", "PATH is not a journal of veeqo-alloc"),
        (header() + '{"intent": "a"}\n', "PATH is not a journal of veeqo-alloc, or it was edited"),
        (
            header() + '{"intent": "a", "order_id": 1e999, "kind": "post", "warehouse_id": 1, "units": {}}\n',
            "PATH is not a journal",
        ),
        (header() + "[]\n", "PATH is not a journal of veeqo-alloc, or it was edited"),
        (b"\xff\n", "PATH is not a journal: it is not UTF-8"),
    ],
)
def test_malformed_journal_is_rejected_and_left_unchanged(content: str | bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    for use in (lambda: read_journal(path), lambda: open_journal(path, TARGET).__enter__()):
        with pytest.raises(JournalError) as caught:
            use()
        assert str(caught.value).startswith(sentence.replace("PATH", str(path)))
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == data


def test_inaccessible_journal_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(JournalError, match="cannot be written"), open_journal(tmp_path / "file" / "j", TARGET):
        pass
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        read_journal(tmp_path / "none")


def test_intent_is_on_the_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    JournalWriter(path, "r").intent(entry())
    assert path.read_text(encoding="utf-8").endswith("\n")
    assert set(json.loads(path.read_text(encoding="utf-8"))) == {
        "intent", "kind", "order_id", "warehouse_id", "before", "units", "at", "run",
    }  # fmt: skip
