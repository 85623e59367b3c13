"""What is wrong with a stored interaction as a file: secrets, age, format."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.contract.secrets import is_placeholder, is_secret_number, kind_of_secret
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.json_pointer import join

_WANTED = "nothing that must not be shown"
_COOKIES = ("cookie", "set-cookie", "proxy-authorization")
# Headers whose values look random and open no door.
_RANDOM_BY_NATURE = frozenset({
    "cf-ray", "content-security-policy", "etag", "if-none-match", "nel", "report-to", "request-id", "traceparent",
    "tracestate", "user-agent", "x-amz-cf-id", "x-amz-id-2", "x-amz-request-id", "x-correlation-id", "x-request-id",
})  # fmt: skip


def secret_breaches(interaction: Interaction) -> list[Breach]:
    """Every place of *interaction* where something seems to stand that must not be shown; each told once."""
    found: list[Breach] = []
    for side, message in (("request", interaction.request), ("response", interaction.response)):
        if message is not None:
            found += (
                Breach("cassette-secret", pointer, f"{kind}, in the {side}", _WANTED, location)
                for location, pointer, kind in _message(message)
            )
    return list(dict.fromkeys(found))


def age_breaches(recorded: datetime.date | None, today: datetime.date, max_age: int) -> list[Breach]:
    """Whether a recording of the day *recorded* (None: the file does not say) is older than *max_age* days."""
    wanted = f"at most {max_age} days"
    if recorded is None:
        return [Breach("cassette-too-old", None, "no date of recording", wanted, "recorded_on")]
    age = (today - recorded).days
    return [Breach("cassette-too-old", None, f"{age} days", wanted, "recorded_on")] if age > max_age else []


def format_breach(version: object) -> Breach:
    """A cassette of another version than the one there is."""
    got = f"version {version}" if isinstance(version, int) and abs(version) < 10**6 else "something else"
    return Breach("cassette-format", None, got, "version 1", "version")


Place = tuple[str, str | None, str]


def _message(message: Request | Response) -> Iterator[Place]:
    if isinstance(message, Request):
        yield from _url(message.url)
    for name, value in message.headers:
        if kind := _header(name.lower(), value):
            yield f"header:{name}", None, kind
    reading = read(message.body)
    if reading.readable and not nests_deeper(reading.value, MAX_DEPTH):
        yield from (("body", pointer, kind) for pointer, kind in _value(reading.value, "", ""))
    elif message.body:
        yield from (("body", "", kind) for kind in _text(message.body.decode("utf-8", "replace")))


def _url(url: str) -> Iterator[Place]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    user, at, _ = parts.netloc.rpartition("@")
    if at and not all(is_placeholder(part) for part in user.split(":") if part):
        yield "path", None, "a user name or password"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if kind := kind_of_secret(name, value):
            yield f"query:{name}", None, kind
    if kind := kind_of_secret("", unquote(parts.path)):
        yield "path", None, kind


def _header(name: str, value: str) -> str | None:
    if name == "authorization":
        _, space, rest = value.partition(" ")
        value = rest if space else value
    if name in _COOKIES:
        return None if is_placeholder(value) else "what is named like a key"
    if name in _RANDOM_BY_NATURE or (name == "location" and "?" not in value):
        return None
    return kind_of_secret(name, value)


def _value(value: Any, name: str, here: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if kind := kind_of_secret(name, value):
            yield here, kind
    elif isinstance(value, dict):
        for key, inner in value.items():
            if kind := kind_of_secret("", key):
                yield join(here, key), kind
            yield from _value(inner, key, join(here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value(item, name, join(here, index))
    elif value is not None and is_secret_number(name, value):
        yield here, "a telephone, card or tax number"


def _text(text: str) -> Iterator[str]:
    """A body that is no JSON: a form by its pairs, anything else as one text."""
    pairs = parse_qsl(text, keep_blank_values=True) if "=" in text and "<" not in text else []
    for name, value in pairs or [("", text)]:
        if kind := kind_of_secret(name, value):
            yield kind
