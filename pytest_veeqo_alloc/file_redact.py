"""Redacting files: cassettes, HAR and interaction files, to a text or in their own place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.readers import Loaded, load
from pytest_veeqo_alloc.capture.writers import rewritten, write_atomically
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.file_walk import walk
from pytest_veeqo_alloc.redaction.redactor import new_redactor
from pytest_veeqo_alloc.spec.loader import side_of


@dataclass(frozen=True, slots=True)
class Redacted:
    """A file redacted: its new text, whether that differs, and how many bodies were dropped as unreadable."""

    path: str
    text: str
    changed: bool
    dropped: int


def redact_files(paths: list[str], troubles: list[tuple[str, str]]) -> list[Redacted]:
    """Every file of *paths* that holds calls, redacted in one session. What cannot be is told in *troubles*, with one
    sentence; a file in a folder that holds no calls is passed over."""
    loaded = list(_loaded(paths, troubles))
    redactor = new_redactor()
    for _, _, file in loaded:
        for interaction in file.interactions:
            redactor.expect(interaction)
    results = []
    for path, data, file in loaded:
        safe = [redactor.interaction(each) for each in file.interactions]
        try:
            text = rewritten(file.kind, file.document, safe, as_json=file.is_json)
        except ValueError as error:
            troubles.append((path, str(error)))
            continue
        dropped = sum(map(_dropped, safe)) - sum(map(_dropped, file.interactions))
        results.append(Redacted(path, text, text.encode() != data, dropped))
    return results


def write_back(redacted: Redacted) -> None:
    """Puts the redacted text in the place of its file, atomically; OSError where that cannot be done."""
    if redacted.changed:
        write_atomically(Path(redacted.path), redacted.text)


def _loaded(paths: list[str], troubles: list[tuple[str, str]]) -> Iterator[tuple[str, bytes, Loaded]]:
    for path, named, data in walk(paths, lambda file, sentence: troubles.append((file, sentence))):
        try:
            file = load(data, path, kind=None, side_of=side_of, means=lambda _: True, decode=False)
        except UnreadableFileError as error:
            troubles.append((path, str(error)))
            continue
        if file is None or file.kind in ("request", "response"):
            if named:
                troubles.append((path, "no cassette, HAR file or interaction, and nothing else is redacted here"))
            continue
        yield path, data, file


def _dropped(interaction: Interaction) -> int:
    messages = (interaction.request, interaction.response)
    return sum(bool(message and (message.body or b"").startswith(b"[redacted: ")) for message in messages)
