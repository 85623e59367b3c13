"""What a secret looks like. A guess from names and patterns: it finds what people forget, not what they hide."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

from pytest_veeqo_alloc.contract.http_rules import is_credential
from pytest_veeqo_alloc.contract.safe import is_card_number, is_personal_number_name, is_safe_text
from pytest_veeqo_alloc.contract.standins import is_number_stand_in, is_stand_in, without_numbers

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
    if not text or is_stand_in(text) or is_safe_text(name, text):
        return None
    if is_credential(name) and len(text) >= _SHORT and not is_placeholder(text):
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
    if not isinstance(number, int) or isinstance(number, bool) or is_number_stand_in(number):
        return False
    digits = str(number) if abs(number) < 10**20 else ""
    if is_personal_number_name(name):
        return len(digits) > 6 and not _DRAMA.fullmatch(digits)
    return (
        not name.lower().endswith("id") and len(digits) in (15, 16) and digits[0] in "3456" and is_card_number(digits)
    )


def is_placeholder(text: str) -> bool:
    """Whether *text* is what people put where a secret was: a word such as `REDACTED`, asterisks, zeros."""
    if len(set(text)) <= 2 or is_stand_in(text):
        return True
    return len(text) <= _LONG and _PLACEHOLDER.fullmatch(text) is not None


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _has_random(text: str) -> bool:
    if text.startswith(("http://", "https://")):
        text = text.partition("?")[2]  # the paths of images and labels are full of what only looks like a key
    return any(_is_random(token) for token in _TOKEN.findall(without_numbers(text)))


def _is_random(token: str) -> bool:
    """Letters and digits in no order: words, even written together, change between kinds of characters far less."""
    if _UUID.fullmatch(token) or is_stand_in(token) or sum(character.isdigit() for character in token) < 2:
        return False
    kinds = [0 if c.isdigit() else 1 if c.islower() else 2 if c.isupper() else 3 for c in token]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return changes >= len(token) / 4 and _entropy(token) >= 3


def _entropy(text: str) -> float:
    """Bits per character (Shannon)."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())
