"""What the body of an error may be, and what it may not show."""

from __future__ import annotations

import re
from typing import Any

from pytest_veeqo_alloc.contract.breach import Breach
from pytest_veeqo_alloc.contract.reading import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.core.text import describe

_LOOKED_AT = 1_000_000
"""Bytes of an error body that are searched; an error is told in its first lines."""

_SOURCE = r"rb|erb|py|js|ts|php|java|jsp|go|cs|cshtml|aspx|dll|exe|exs?|sql|log|conf|ini|env|pem|key"

_INTERNALS = (
    ("a Python stack trace", re.compile(r"Traceback \(most recent call last\)|File \"[^\"\n]{1,300}\", line [0-9]+, in ")),
    ("a Ruby stack trace", re.compile(r"[\w./-]{1,200}\.rb:[0-9]+:in [`']")),
    ("a Java or JavaScript stack trace", re.compile(r"\bat [\w.$<>]{1,200} ?\([^()\n]{1,300}:[0-9]+(?::[0-9]+)?\)")),
    ("a PHP error", re.compile(r"\.php(?:</b>)?(?::[0-9]+\b| on line (?:<b>)?[0-9]+)")),
    ("a Go stack trace", re.compile(r"\bgoroutine [0-9]+ \[[a-z ]{1,40}\]:")),
    ("a .NET stack trace", re.compile(r"\bat [\w.]{1,200}\([^()\n]{0,300}\) in [^\n]{1,300}:line [0-9]+")),
    ("a database error", re.compile(
        r"\b(?:PG|Mysql2?|SQLite3|ActiveRecord)::|\b(?:psycopg2?|sqlalchemy|java\.sql)\.|\bORA-[0-9]{5}\b|\bSQLSTATE\[|"
        r"You have an error in your SQL syntax|syntax error at or near|duplicate key value violates unique constraint"
    )),
    ("the path of a file on the server", re.compile(
        r"(?<![\w/.:])/(?:home|usr|var|opt|srv|app|etc|root|tmp)/[\w./-]{1,300}\.(?:" + _SOURCE + r")\b|"
        r"\b[A-Z]:\\{1,2}[\w .\\-]{1,300}\.(?:" + _SOURCE + r")\b"
    )),
)  # fmt: skip


def error_body_breaches(body: bytes | None) -> list[Breach]:
    """The form of an error's body, and internals that it shows."""
    if not body:
        return []
    text = body[:_LOOKED_AT].decode("utf-8", "replace")
    # A JSON string hides line breaks, quotes and slashes behind backslashes.
    plain = text.replace("\\n", "\n").replace('\\"', '"').replace("\\/", "/")
    breaches = [
        Breach("error-leaks-internals", "", name, "a message for the caller")
        for name, pattern in _INTERNALS
        if pattern.search(plain)
    ][:1]
    reading = read(body)
    if not reading.readable or nests_deeper(reading.value, MAX_DEPTH):
        breaches.append(Breach("error-body-shape", "", "a body that is no JSON", "an observed form"))
    elif not _observed(reading.value):
        breaches.append(Breach("error-body-shape", "", describe(reading.value), "an observed form"))
    return breaches


def _observed(value: Any) -> bool:
    """Whether *value* has one of the forms in which errors of other calls were seen in 2026."""
    if not isinstance(value, dict):
        return False
    if set(value) == {"error_messages"}:
        messages = value["error_messages"]
        return isinstance(messages, str) or (
            isinstance(messages, list) and all(isinstance(message, str) for message in messages)
        )
    if set(value) == {"status", "error"}:
        status = value["status"]
        return isinstance(status, (str, int)) and not isinstance(status, bool) and isinstance(value["error"], str)
    return False
