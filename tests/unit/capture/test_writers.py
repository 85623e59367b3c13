"""Atomic writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_veeqo_alloc.capture.writers import write_atomically


def test_new_file_is_readable_and_its_folders_are_created(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.yaml", "é\n")
    assert (tmp_path / "a" / "b.yaml").read_bytes() == "é\n".encode()
    assert (tmp_path / "a" / "b.yaml").stat().st_mode & 0o777 == 0o644


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

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"
