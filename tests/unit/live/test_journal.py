"""The journal: its content, and the files that it refuses."""

from __future__ import annotations

import datetime
import json
import os
import stat
import uuid
import zlib
from pathlib import Path

import pytest

from pytest_veeqo_alloc.live import JournalError
from pytest_veeqo_alloc.live.journal import Entry, default_name, join_journal, open_journal, parse_journal, read_journal

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
        writer.outcome(one.name, 201, (4,))
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
        writer.intent(entry())
        before = (tmp_path / "j").read_bytes()
        write = os.write
        monkeypatch.setattr("os.write", lambda handle, data: write(handle, data[:-1]))
        with pytest.raises(JournalError, match="cannot be written: No space left on device"):
            writer.intent(entry())
        assert (tmp_path / "j").read_bytes() == before
        monkeypatch.undo()
        writer.intent(entry())
    assert len(read_journal(tmp_path / "j").entries) == 2


def test_second_run_cannot_open_a_journal_in_use(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path / "j", TARGET),
        pytest.raises(JournalError, match="is in use by another run: wait, or"),
        open_journal(tmp_path / "j", TARGET),
    ):
        pass


def test_journal_of_another_server_is_not_opened(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", TARGET) as writer:
        writer.intent(entry())
    with (
        pytest.raises(JournalError, match=f"belongs to another server, {TARGET}"),
        open_journal(tmp_path / "j", "other:1"),
    ):
        pass


def journal(folder: Path, *, runs: int = 2) -> bytes:
    """Return a journal in which each of *runs* runs has one finished write."""
    for _ in range(runs):
        with open_journal(folder / "made", TARGET) as writer:
            writer.intent(written := entry())
            writer.outcome(written.name, 201, (4,))
    data = (folder / "made").read_bytes()
    (folder / "made").unlink()
    return data


def checked(text: str) -> bytes:
    return f'{text}, "crc": "{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def numbered(number: int, **members: object) -> bytes:
    return checked(json.dumps({"line": number, **members, "at": "2026", "run": "r"})[:-1])


HEADER = numbered(1, journal="veeqo-alloc", version=2, target=TARGET)
INTENT = {"intent": "a", "kind": "post", "order_id": 7, "warehouse_id": 5, "before": None, "units": {}}
OTHER_VERSION = (
    "the journal PATH is from another version of veeqo-alloc: clean up with that version, or check the orders"
)
NO_JOURNAL = "PATH is not a journal of veeqo-alloc, or its first line is damaged: choose another file"
EDITED = "PATH is not a journal of veeqo-alloc, or it was edited"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"journal": "veeqo-alloc", "version": 1, "target": "a:1"}\n', OTHER_VERSION),
        (numbered(1, journal="veeqo-alloc", version=3, target=TARGET), OTHER_VERSION),
        (numbered(1, journal="other", version=2, target=TARGET), NO_JOURNAL),
        (HEADER[:30], NO_JOURNAL),
        (b"[1]\n", NO_JOURNAL),
        (b"words\n", NO_JOURNAL),
        (checked("words"), NO_JOURNAL),
        (checked('{"journal": "veeqo-alloc", "version": 2, "target": "a:1"'), OTHER_VERSION),
        (HEADER + checked('{"a": ' + "[" * 10**5), "the journal PATH is damaged in its last line: check"),
        (HEADER + numbered(2, **INTENT | {"order_id": 1e999}), EDITED),
        (b"\n", NO_JOURNAL),
        (b"\xff\n", NO_JOURNAL),
        (HEADER + numbered(2, intent="a"), EDITED),
        (HEADER + numbered(2, **INTENT, more=1), EDITED),
        (HEADER + numbered(2, **INTENT | {"order_id": "x"}), EDITED),
        (HEADER + numbered(2, **INTENT) + numbered(3, **INTENT), EDITED),
        (HEADER + numbered(2, outcome="a", status=201, made=[], candidates=[]), EDITED),
        (HEADER + numbered(2, **INTENT) + numbered(3, outcome="a", status=201, made=[], candidates=[]) + numbered(4, outcome="a", status=422, made=[], candidates=[]), EDITED),
        (HEADER + numbered(2, other=1), EDITED),
        (HEADER + numbered(2, journal="veeqo-alloc", version=2, target="other:1"), EDITED),
        (HEADER + HEADER, "the journal PATH is damaged after line 1: check the orders that it names by hand, and move the file"),
        (HEADER + b"[]\n", "the journal PATH is damaged in its last line: check"),
        (HEADER + b"half\nhalf", "the journal PATH is damaged after line 1: check"),
        (HEADER + numbered(3, **INTENT), "the journal PATH is damaged after line 1: check"),
    ],
)  # fmt: skip
def test_malformed_journal_is_rejected_and_left_unchanged(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    for use in (lambda: read_journal(path), lambda: open_journal(path, TARGET).__enter__()):
        with pytest.raises(JournalError) as caught:
            use()
        assert str(caught.value).startswith(sentence.replace("PATH", str(path)))
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_changed_lines_are_never_believed(tmp_path: Path) -> None:
    """Flip each byte, and cut, repeat, remove and exchange lines: the journal is refused, or says that it is incomplete."""
    path, data = tmp_path / "j", journal(tmp_path, runs=1)
    whole = parse_journal(data, path).entries
    lines = data.splitlines(keepends=True)
    changed = [
        data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :] for at in range(len(data)) for flip in (1, 32, 255)
    ]
    changed += [b"".join([*lines[:at], lines[at], *lines[at:]]) for at in range(len(lines))]
    changed += [b"".join([*lines[:at], *lines[at + 1 :]]) for at in range(len(lines) - 1)]
    changed += [b"".join([*lines[:at], lines[at][: len(lines[at]) // 2], *lines[at + 1 :]]) for at in range(len(lines))]
    changed += [b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]) for at in range(len(lines) - 1)]
    refused = 0
    for text in changed:
        try:
            read = parse_journal(text, path)
        except JournalError:
            refused += 1
        else:
            assert read.incomplete
            assert [known.order_id for known in read.entries] == [known.order_id for known in whole]
            assert all(known.is_unknown or known == before for known, before in zip(read.entries, whole, strict=True))
    assert refused > 0.9 * len(changed)


def test_line_that_was_cut_off_stops_no_later_run(tmp_path: Path) -> None:
    path, data = tmp_path / "j", journal(tmp_path, runs=1)
    path.write_bytes(data[:-20])
    assert len(read_journal(path).incomplete) == 1
    for _ in range(2):
        with open_journal(path, TARGET) as writer:
            writer.intent(entry())
            assert read_journal(path).of_run(writer.run).incomplete == ()
    known = read_journal(path)
    assert [written.outcome for written in known.entries] == [None] * 3
    assert len(known.incomplete) == 1
    assert path.read_bytes().startswith(data[:-20] + b'\n{"line": 3, "journal"')


def test_journal_removed_or_cut_during_the_run_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with open_journal(path, TARGET) as writer:
        writer.intent(entry())
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"\n") + 1])
        with pytest.raises(
            JournalError, match=r"lines of the journal .* were removed during the run: nothing more is sent"
        ):
            writer.intent(entry())
        path.unlink()
        with pytest.raises(JournalError, match="was removed during the run: nothing more is sent"):
            writer.intent(entry())
        assert not path.exists()
        path.write_bytes(b"")
        with pytest.raises(JournalError, match="were removed during the run"):
            writer.intent(entry())


def test_line_of_a_process_that_died_before_it_was_counted_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with open_journal(path, TARGET) as writer:
        writer.intent(entry())
        path.write_bytes(path.read_bytes() + numbered(3, **INTENT))
        writer.intent(entry())
    assert len(read_journal(path).entries) == 3


def test_processes_of_a_run_number_their_lines_together(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with (
        open_journal(path, TARGET) as first,
        join_journal(path, TARGET, first.shared.folder, first.run) as other,
    ):
        for writer in (other, first, other):
            writer.intent(entry())
    assert {known.run for known in read_journal(path).entries} == {first.run}
    assert len(read_journal(path).entries) == 3


def test_folder_of_a_fresh_journal_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    sync = os.fsync

    def sync_and_note(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        sync(handle)

    monkeypatch.setattr(os, "fsync", sync_and_note)
    with open_journal(tmp_path / "j", TARGET) as writer:
        writer.intent(entry())
        writer.intent(entry())
    assert synced == [False, True, False]


def test_inaccessible_journal_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(JournalError, match="cannot be written"), open_journal(tmp_path / "file" / "j", TARGET):
        pass
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        read_journal(tmp_path / "none")


def test_intent_is_on_the_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with open_journal(path, TARGET) as writer:
        writer.intent(entry())
        assert path.read_text(encoding="utf-8").endswith("\n")
        line = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    assert list(line) == [
        "line", "intent", "kind", "order_id", "warehouse_id", "before", "units", "at", "run", "crc",
    ]  # fmt: skip
