"""Writing what was recorded: redacted, looked over once more, stamped, and in one move."""

from __future__ import annotations

import datetime
import ipaddress
from importlib.metadata import version
from urllib.parse import urlsplit

from pytest_veeqo_alloc.capture.writers import cassette_text, write_atomically
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.json_pointer import shown, shown_location
from pytest_veeqo_alloc.live.permission import is_loopback
from pytest_veeqo_alloc.recording.names import CassetteError, Place
from pytest_veeqo_alloc.redaction.lint import secret_breaches
from pytest_veeqo_alloc.redaction.redactor import redact

_COMMENT = "Recorded by pytest-veeqo-alloc and redacted: every text that is not known to be safe is a stand-in."


def save(place: Place, interactions: list[Interaction], today: datetime.date) -> None:
    """Puts *interactions* in the place of the cassette. CassetteError, and nothing written, where something still
    looks like a secret after redaction, or the file cannot be written."""
    safe = redact(interactions)
    for each in safe:
        for breach in secret_breaches(each):
            where = shown(breach.pointer) or shown_location(breach.location)
            raise CassetteError(f"the cassette {place.path} was not written: {breach.got}, remains at {where}")
    stamp = {
        "recorded_on": today.isoformat(),
        "host": class_of_host(interactions[-1]),
        "package": version("pytest-veeqo-alloc"),
    }
    try:
        write_atomically(place.path, cassette_text(safe, stamp, comment=_COMMENT))
    except OSError as error:
        raise CassetteError(f"the cassette {place.path} cannot be written: {error.strerror}") from None


def class_of_host(interaction: Interaction) -> str:
    """`loopback`, `private` or `public`: what kind of host was recorded, told from its name alone."""
    host = (urlsplit(interaction.request.url).hostname or "") if interaction.request else ""
    if is_loopback(host):
        return "loopback"
    try:
        is_private = ipaddress.ip_address(host).is_private
    except ValueError:
        is_private = "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
    return "private" if is_private else "public"
