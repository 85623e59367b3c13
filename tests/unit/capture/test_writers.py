"""Atomic writing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_veeqo_alloc.capture import writers
from pytest_veeqo_alloc.capture.writers import write_atomically


def test_new_file_is_readable_and_its_folders_are_created(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.yaml", "é\n")
    assert (tmp_path / "a" / "b.yaml").read_bytes() == "é\n".encode()
    assert (tmp_path / "a" / "b.yaml").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o002])
def test_new_file_and_its_folders_honour_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "in" / "new", "x", folder=tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "in" / "new").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "in").stat().st_mode & 0o777 == 0o777 & ~mask


def test_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "out")
    (folder / "file").symlink_to(tmp_path / "out" / "new")
    for name in ("link/new", "file", "../out/new"):
        with pytest.raises(OSError, match="leads out of the folder"):
            write_atomically(folder / name, "x", folder=folder)
    assert list((tmp_path / "out").iterdir()) == []


def test_link_that_is_made_after_the_check_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("old", encoding="utf-8")
    folder = tmp_path / "in"
    folder.mkdir()
    check = writers.leads_out

    def check_and_swap(*arguments: Any) -> bool:
        found = check(*arguments)
        (folder / "sub").symlink_to(tmp_path / "out")
        (folder / "file").symlink_to(tmp_path / "out" / "a")
        return found

    for name in ("sub/a", "file"):
        monkeypatch.setattr(writers, "leads_out", check_and_swap)
        with pytest.raises(OSError, match=r"regular file|Not a directory|symbolic links"):
            write_atomically(folder / name, "x", folder=folder)
        for link in folder.iterdir():
            link.unlink()
    assert (tmp_path / "out" / "a").read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path / "out") == ["a"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        write_atomically(tmp_path / "pipe", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_mode_and_link_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o600)
    (tmp_path / "link").symlink_to(target)
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"
