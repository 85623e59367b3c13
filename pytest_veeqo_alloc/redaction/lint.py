"""What a secret looks like. A guess from names and patterns: it finds what people forget, not what they hide."""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.http_rules import is_credential
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.redaction.allowlist import is_allowed_text, is_card_number, is_personal_number_name
from pytest_veeqo_alloc.redaction.placeholders import is_placeholder, is_placeholder_number, without_placeholder_numbers

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})")
# RFC 2606 and RFC 6761: names that nobody can own.
_RESERVED = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|net|org)|(?:[^.]+\.)?(?:test|example|invalid|localhost))", re.IGNORECASE
)
_CARD = re.compile(r"(?<![0-9])[3-6][0-9](?:[ -]?[0-9]){12,17}(?![0-9])")
_PHONE = re.compile(r"\+?[0-9](?:[ ().-]{0,2}[0-9]){6,14}")
# The ranges that Ofcom and the North American plan keep for drama.
_DRAMA = re.compile(r"(?:(?:44|0)(?:20?7946|1632960|7700900)0?[0-9]{3,9}|1?[2-9][0-9]{2}55501[0-9]{2}|0+|1234567890?)")
_PLACEHOLDER = re.compile(
    r"[\W_]*(?:(?:redacted|removed|filtered|hidden|masked|omitted|sanitized|dummy|fake|test|testing|tests|example|sample"
    r"|placeholder|secret|changeme|none|null|my|your|the|api|app|key|token|password|user|bearer|basic|session|demo|bench"
    r"|some|any|value|here)[\W_]*[0-9]{0,4}[\W_]*)+",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_SHORT, _LONG = 4, 200


def kind_of_secret(name: str, text: str) -> str | None:
    """What *text*, which stands under *name*, seems to be, as a noun phrase; None where it seems harmless."""
    if not text or is_placeholder(text) or is_allowed_text(name, text):
        return None
    if is_credential(name) and len(text) >= _SHORT and not is_dummy_value(text):
        return "what is named like a key"
    if any(not _RESERVED.fullmatch(match[1]) for match in _MAIL.finditer(text)):
        return "an e-mail address"
    if not name.lower().endswith(("id", "_code")) and any(is_card_number(_digits(m[0])) for m in _CARD.finditer(text)):
        return "a card number"
    named = is_personal_number_name(name)
    if (named or text.startswith("+")) and _PHONE.fullmatch(text) and not _DRAMA.fullmatch(_digits(text)):
        return "a telephone, card or tax number"
    return "a string that looks random" if _has_random(text) else None


def is_secret_number(name: str, number: float) -> bool:
    """Whether *number*, which stands under *name*, seems to be a person's."""
    if not isinstance(number, int) or isinstance(number, bool) or is_placeholder_number(number):
        return False
    digits = str(number) if abs(number) < 10**20 else ""
    if is_personal_number_name(name):
        return len(digits) > 6 and not _DRAMA.fullmatch(digits)
    return (
        not name.lower().endswith("id") and len(digits) in (15, 16) and digits[0] in "3456" and is_card_number(digits)
    )


def is_dummy_value(text: str) -> bool:
    """Whether *text* is what people put where a secret was: a word such as `REDACTED`, asterisks, zeros."""
    if len(set(text)) <= 2 or is_placeholder(text):
        return True
    return len(text) <= _LONG and _PLACEHOLDER.fullmatch(text) is not None


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _has_random(text: str) -> bool:
    if text.startswith(("http://", "https://")):
        text = text.partition("?")[2]  # the paths of images and labels are full of what only looks like a key
    return any(_is_random(token) for token in _TOKEN.findall(without_placeholder_numbers(text)))


def _is_random(token: str) -> bool:
    """Letters and digits in no order: words, even written together, change between kinds of characters far less."""
    if _UUID.fullmatch(token) or is_placeholder(token) or sum(character.isdigit() for character in token) < 2:
        return False
    kinds = [0 if c.isdigit() else 1 if c.islower() else 2 if c.isupper() else 3 for c in token]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return changes >= len(token) / 4 and _entropy(token) >= 3


def _entropy(text: str) -> float:
    """Bits per character (Shannon)."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())


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


SecretPlace = tuple[str, str | None, str]


def _message(message: Request | Response) -> Iterator[SecretPlace]:
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


def _url(url: str) -> Iterator[SecretPlace]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    user, at, _ = parts.netloc.rpartition("@")
    if at and not all(is_dummy_value(part) for part in user.split(":") if part):
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
        return None if is_dummy_value(value) else "what is named like a key"
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
