"""Rules about files that hold interactions: whether they may be shown to others, and whether they are still true.

Looked at only where `--lint` asks for it. Rows: id, side, basis, severity in lenient, documented and strict (error,
warning, -), holds when, remedy, source.
"""

from __future__ import annotations

ROWS = (
    ("cassette-secret", "file", "convention", "wee",
     "a stored interaction holds no key, e-mail address, card or telephone number, and no string that looks random",
     "run veeqo-alloc redact --in-place on the file; then replace the key, which whoever can read the file has seen",
     "OWASP, 'Secrets Management Cheat Sheet'"),
    ("cassette-too-old", "file", "convention", "wee", "a recording is not older than --max-age days",
     "record it anew, which stamps it with the day", "--max-age of the caller"),
    ("cassette-format", "file", "convention", "wee", "a cassette has version 1, the only one that vcrpy writes",
     "record it anew with the vcrpy that is installed", "vcrpy's documentation of its cassettes"),
)  # fmt: skip
