"""Checks of files (option `--lint`) for secrets, for old recordings, and for unsupported versions of cassettes."""

from __future__ import annotations

import datetime
import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_veeqo_alloc.contract.findings import Breach
from pytest_veeqo_alloc.contract.http_rules import is_credential
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read_content
from pytest_veeqo_alloc.core.http import Interaction, Request, Response, decode_body
from pytest_veeqo_alloc.core.json_pointer import join
from pytest_veeqo_alloc.core.text import KEY_PREFIX, UUID
from pytest_veeqo_alloc.redaction.allowlist import is_allowed_text, is_card_number, is_personal_number_name
from pytest_veeqo_alloc.redaction.redactor import is_placeholder, is_placeholder_number, without_placeholder_numbers

_REDACT = "run veeqo-alloc redact --in-place on the file"
_EXPOSED = "it is compromised if others could read the file"
_REPLACE = "replace the value in the file with a made-up value"


class SecretKind(NamedTuple):
    """A kind of secret. `kind` describes it in messages. `remedy` is the advice for a file that contains it."""

    kind: str
    remedy: str = _REDACT


CREDENTIAL = SecretKind("something that looks like a credential", f"{_REDACT}, then revoke the credential: {_EXPOSED}")
USERINFO = SecretKind("a user name or password", f"{_REDACT}, then change the password: {_EXPOSED}")
EMAIL_ADDRESS = SecretKind("an e-mail address")
CARD_NUMBER = SecretKind("a card number")
PERSONAL_NUMBER = SecretKind("a telephone, card or tax number")
RANDOM_STRING = SecretKind(
    "a random-looking string", f"{_REDACT}, or, if the string is harmless, accept it with a deviation"
)

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})")
# Host names that RFC 2606 and RFC 6761 reserve for tests and documentation.
_RESERVED = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|net|org)|(?:[^.]+\.)?(?:test|example|invalid|localhost))", re.IGNORECASE
)
_CARD = re.compile(r"(?<![0-9])[3-6][0-9](?:[ -]?[0-9]){12,17}(?![0-9])")
_PHONE = re.compile(r"\+?[0-9](?:[ ().-]{0,2}[0-9]){6,14}")
# Telephone numbers that Ofcom and the North American Numbering Plan reserve for fiction, and obvious dummies.
_DRAMA = re.compile(r"(?:(?:44|0)(?:20?7946|1632960|7700900)0?[0-9]{3,9}|1?[2-9][0-9]{2}55501[0-9]{2}|0+|1234567890?)")
_DUMMY_WORDS = (
    "redacted", "removed", "filtered", "hidden", "masked", "omitted", "sanitized", "dummy", "fake", "test", "testing",
    "tests", "example", "sample", "placeholder", "secret", "changeme", "none", "null", "my", "your", "the", "api", "app",
    "key", "token", "password", "user", "bearer", "basic", "session", "demo", "bench", "some", "any", "value", "here",
)  # fmt: skip
_DUMMY_PART = re.compile(r"[a-z]+|[0-9]+|[^\W_]")
_SHORTEST_TOKEN = 20
_TOKEN = re.compile(rf"[A-Za-z0-9+/_=-]{{{_SHORTEST_TOKEN},}}")
_URL = re.compile(r"[a-z]+://\S*")
_COOKIE = re.compile(r"/cookies/[0-9]+/value\Z")
_SHORT, _LONG = 4, 200
_SHORT_NAME = 64
_MASK = "[masked]"
_ASSIGNED = re.compile(r"""(([\w-]{1,64})["']?[ ]?[:=>]{1,2}[ ]?["']?(?:Bearer |Basic )?)([^\s"',;&]+)""")
_WORD = re.compile(r"""[^\s"',;()<>]+""")


def recognise_secret(name: str, text: str) -> SecretKind | None:
    """Return the kind of secret that *text*, the value of *name*, looks like, or None if *text* looks harmless."""
    if not text or is_placeholder(text) or is_allowed_text(name, text):
        return None
    if (is_credential(name) and len(text) >= _SHORT and not is_dummy_value(text)) or KEY_PREFIX.search(text):
        return CREDENTIAL
    if "@" in text and any(not _RESERVED.fullmatch(match[1]) for match in _MAIL.finditer(text)):
        return EMAIL_ADDRESS
    cards = [is_card_number(_digits(match[0])) for match in _CARD.finditer(text)]
    if True in cards and not name.lower().endswith(("id", "_code")):
        return CARD_NUMBER
    is_named = is_personal_number_name(name) or text.startswith("+")
    if is_named and _PHONE.fullmatch(text) and not _DRAMA.fullmatch(_digits(text)):
        return PERSONAL_NUMBER
    return RANDOM_STRING if len(text) >= _SHORTEST_TOKEN and _has_random(text) else None


def mask_secrets(text: str, *keys: str) -> str:
    """Return *text*, such as the log of a program, with `[masked]` in place of *keys* and of apparent secrets."""
    for key in keys:
        text = text.replace(key, _MASK)
    text = _ASSIGNED.sub(lambda match: f"{match[1]}{_MASK if recognise_secret(match[2], match[3]) else match[3]}", text)
    text = _CARD.sub(lambda match: _MASK if is_card_number(_digits(match[0])) else match[0], text)
    return _WORD.sub(lambda match: _MASK if _is_secret_word(match[0]) else match[0], text)


def _is_secret_word(word: str) -> bool:
    found = (secret for _, secret in _url_secrets(word)) if "://" in word else (recognise_secret("", word),)
    return any(found)


def _is_personal_number(name: str, number: float) -> bool:
    if not isinstance(number, int) or 0 <= number < 10**6 or is_placeholder_number(number):
        return False
    digits = str(number) if abs(number) < 10**20 else ""
    if is_personal_number_name(name):
        return len(digits) > 6 and not _DRAMA.fullmatch(digits)
    is_id = name.lower().endswith("id")
    return not is_id and len(digits) in (15, 16) and digits[0] in "3456" and is_card_number(digits)


def is_dummy_value(text: str) -> bool:
    """Return whether *text* is a dummy value: a word such as `REDACTED`, asterisks, zeros or a placeholder."""
    return len(set(text)) <= 2 or is_placeholder(text) or (len(text) <= _LONG and _has_dummy_words_only(text))


def _has_dummy_words_only(text: str) -> bool:
    """Return whether *text* consists of dummy words, such as `test-key1`. A short number may follow each word."""
    before, is_first = "0", True
    for part in _DUMMY_PART.findall(text.lower()):
        is_number = part.isdigit()
        if (is_number and (len(part) > 4 or before.isdigit())) or not (is_number or _is_made_of_dummy_words(part)):
            return False
        before, is_first = part, False
    return not is_first


def _is_made_of_dummy_words(letters: str) -> bool:
    ends = {0}
    for start in range(len(letters)):
        if start in ends:
            ends.update(start + len(word) for word in _DUMMY_WORDS if letters.startswith(word, start))
    return len(letters) in ends


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _has_random(text: str) -> bool:
    if text.startswith(("http://", "https://")):
        text = text.partition("?")[2]  # the paths of images and labels often look like keys
    return any(_is_random(token) for token in _TOKEN.findall(without_placeholder_numbers(text)))


def _is_random(token: str) -> bool:
    """Return whether *token* looks random: it changes between digits, lower and upper case more often than words do."""
    if re.fullmatch(UUID, token) or is_placeholder(token) or sum(character.isdigit() for character in token) < 2:
        return False
    kinds = [0 if c.isdigit() else 1 if c.islower() else 2 if c.isupper() else 3 for c in token]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    shares = [count / len(token) for count in Counter(token).values()]
    entropy = -sum(share * math.log2(share) for share in shares)  # Shannon entropy in bits per character
    return changes >= len(token) / 4 and entropy >= 3


# Headers whose values look random but are not credentials.
_RANDOM_BY_NATURE = frozenset({
    "cf-ray", "content-security-policy", "etag", "if-none-match", "nel", "report-to", "request-id", "traceparent",
    "tracestate", "user-agent", "x-amz-cf-id", "x-amz-id-2", "x-amz-request-id", "x-correlation-id", "x-request-id",
})  # fmt: skip


def secret_breaches(interaction: Interaction) -> list[Breach]:
    """Return a `cassette-secret` breach for every place in *interaction* that probably contains a secret."""
    breaches = [
        Breach("cassette-secret", pointer, f"{secret.kind} in the {side}", location=location, remedy=secret.remedy)
        for side, message in (("request", interaction.request), ("response", interaction.response))
        if message is not None
        for location, pointer, secret in _secrets(message)
        if secret is not None
    ]
    return list(dict.fromkeys(breaches))


def body_breaches(side: str, body: bytes) -> list[Breach]:
    """Return a `cassette-secret` breach for every probable secret in *body*, the whole content of a file."""
    request = Request("", "", (), body) if side == "request" else None
    breaches = secret_breaches(Interaction(request, None if request else Response(0, (), body)))
    # The command redact rejects a file that contains only a body.
    return [breach._replace(remedy=breach.remedy.replace(_REDACT, _REPLACE)) for breach in breaches]


def other_breaches(values: Iterable[tuple[str, str, Any, Mapping[Any, Any]]]) -> list[Breach]:
    """Return a `cassette-secret` breach for every probable secret. *values* has (pointer, name, value, parent object).

    If a parent has the members `name` and `value`, such as a cookie in a HAR file, the text in `name` counts as the name.
    """
    breaches = []
    for pointer, key, value, parent in values:
        name = str(parent.get("name")) if key == "value" and "name" in parent else key
        for secret in _other_secrets(pointer, name, value):
            if secret is not None:
                breaches.append(Breach("cassette-secret", pointer, f"{secret.kind} in the file", remedy=secret.remedy))
    return list(dict.fromkeys(breaches))


def _other_secrets(pointer: str, name: str, value: Any) -> Iterator[SecretKind | None]:
    if not isinstance(value, str):
        yield _secret_in_scalar(name, value)
    elif _COOKIE.search(pointer):
        yield None if is_dummy_value(value) else CREDENTIAL
    elif _URL.fullmatch(value):
        yield from (secret for _, secret in _url_secrets(value))
    else:
        yield recognise_secret(name, value)


def age_breaches(recorded: datetime.date | None, today: datetime.date, max_age: int) -> list[Breach]:
    """Return a `cassette-too-old` breach if *recorded* is unknown (None) or more than *max_age* days before *today*."""
    if recorded is not None and (today - recorded).days <= max_age:
        return []
    got = "a recording without a date" if recorded is None else f"a recording from {(today - recorded).days} days ago"
    return [Breach("cassette-too-old", None, got, f"a recording from the last {max_age} days", "recorded_on")]


def format_breach(version: object) -> Breach:
    """Return a `cassette-format` breach about *version*, the unsupported format version of a cassette."""
    got = f"version {version}" if isinstance(version, int) and abs(version) < 10**6 else "an invalid version"
    return Breach("cassette-format", None, got, location="version")


def _secrets(message: Request | Response) -> Iterator[tuple[str, str | None, SecretKind | None]]:
    """Yield (location, pointer, secret) for each string in *message*. `secret` is None if the string is harmless."""
    if isinstance(message, Request):
        yield from ((location, None, secret) for location, secret in _url_secrets(message.url))
    yield from ((f"header:{name}", None, _header_secret(name.lower(), value)) for name, value in message.headers)
    reading = read_content(message)
    if reading.readable and not nests_deeper(reading.value, MAX_DEPTH):
        yield from (("body", pointer, secret) for pointer, secret in _json_secrets(reading.value, "", ""))
    elif body := decode_body(message) or message.body:
        text = body.decode("utf-8", "replace")
        form = parse_qsl(text, keep_blank_values=True) if "=" in text and "<" not in text else []
        for name, value in form or [("", text)]:
            yield "body", "", recognise_secret(name, value) or recognise_secret("", name)


def _url_secrets(url: str) -> Iterator[tuple[str, SecretKind | None]]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    userinfo = parts.netloc.rpartition("@")[0]
    if not all(is_dummy_value(part) for part in userinfo.split(":") if part):
        yield "path", USERINFO
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in pairs:
        yield f"query:{name}", recognise_secret(name, value) or recognise_secret("", name)
    yield "path", recognise_secret("", unquote(parts.path))


def _header_secret(name: str, value: str) -> SecretKind | None:
    if name in ("cookie", "set-cookie", "proxy-authorization"):
        return None if is_dummy_value(value) else CREDENTIAL
    if name in _RANDOM_BY_NATURE or (name == "location" and "?" not in value):
        return None
    # The authentication scheme, such as Bearer, is no secret.
    return recognise_secret(name, value.split(" ", 1)[-1] if name == "authorization" else value)


def _json_secrets(value: Any, name: str, pointer: str) -> Iterator[tuple[str, SecretKind]]:
    """Yield the pointer and the kind of each probable secret in *value*, the value of *name* at *pointer*."""
    if isinstance(value, dict):
        owner = f"{name}_" if is_personal_number_name(name) else ""  # {"phone": {"number": 1}} counts as phone_number
        for key, member in value.items():
            if secret := _secret_in_name(key):
                yield join(pointer, key), secret
            if isinstance(member, (dict, list)):
                yield from _json_secrets(member, owner + key, join(pointer, key))
            elif secret := _secret_in_scalar(owner + key, member):
                yield join(pointer, key), secret
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _json_secrets(item, name, join(pointer, index))
    elif secret := _secret_in_scalar(name, value):
        yield pointer, secret


def _secret_in_scalar(name: str, value: Any) -> SecretKind | None:
    if isinstance(value, str):
        return recognise_secret(name, value)
    return PERSONAL_NUMBER if value is not None and _is_personal_number(name, value) else None


def _secret_in_name(name: str) -> SecretKind | None:
    return recognise_secret("", name) if len(name) >= _SHORT_NAME else _secret_in_short_name(name)


@functools.lru_cache(1024)  # bodies repeat their names
def _secret_in_short_name(name: str) -> SecretKind | None:
    return recognise_secret("", name)
