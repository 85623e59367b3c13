"""Writing files so that a reader, or a process that is killed, never sees half of one."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

_READABLE = 0o644


def write_atomically(path: Path, text: str) -> None:
    """Puts *text* (UTF-8) in the place of the file *path*, whose mode it keeps; folders that are missing are made.

    A link stays a link: what it leads to is replaced. OSError where that cannot be done; then nothing has changed.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _READABLE
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
