"""The allowlist: values that may be shown, by member name. They reveal no person, no account and no key."""

from __future__ import annotations

import functools
import http
import re
from collections.abc import Mapping

from pytest_veeqo_alloc.contract.arithmetic import ONLY_VARIANT
from pytest_veeqo_alloc.contract.error_responses import MESSAGES
from pytest_veeqo_alloc.core.text import WORDS, is_date_time

_MAX_NAME = 64
_MAX_NAMES = 1024  # the size of caches by name, since bodies repeat their names
_PERSONAL = frozenset({
    "abn", "card", "cell", "cnpj", "cpf", "cvc", "cvv", "ein", "eori", "fax", "gsm", "iban", "ims", "ioss", "landline",
    "mobile", "msisdn", "nif", "nino", "pan", "passport", "pesel", "phone", "ssn", "tel", "telephone", "tin", "utr",
    "whatsapp",
})  # fmt: skip
_BY_NUMBER = frozenset({"account", "sort", "tax", "vat"})
_NUMBERED = frozenset({"code", "id", "no", "number", "ref", "reference", "registration"})
_BIRTH = frozenset({"birth", "birthday", "birthdate", "born", "dob"})
_LONGEST_DATE_TIME = 35  # a date-time with nine digits after the decimal point and with an offset
_LONG_FRACTION = re.compile(r"\.[0-9]{10,}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_MESSAGES = MESSAGES | {status.phrase for status in http.HTTPStatus}

_LISTED: Mapping[str, frozenset[str]] = {
    "billing_interval": frozenset({"day", "week", "month", "year"}),
    "customer_type": frozenset({"retail", "wholesale"}),
    "dimensions_unit": frozenset({"mm", "cm", "m", "in", "inches", "ft"}),
    "error": _MESSAGES,
    "error_messages": _MESSAGES,
    "inventory_type_code": frozenset({"wavg", "fifo", "lifo"}),
    "payment_type": frozenset({"bank_transfer", "card", "cash", "cheque", "credit_card", "paypal"}),
    "picked_status": frozenset({"unpicked", "partially_picked", "picked"}),
    "state": frozenset({"active", "inactive", "passive", "pending"}),
    "status": frozenset({
        "awaiting_payment", "awaiting_stock", "awaiting_fulfillment", "shipped", "on_hold", "cancelled", "refunded",
        *map(str, range(400, 600)),
    }),
    "subscription_status": frozenset({"trialing", "active", "past_due", "canceled", "unpaid"}),
    "type": frozenset({"ProductVariant", "Kit"}),
    "type_code": frozenset({"direct", "amazon", "amazon_fba", "ebay", "shopify", "woocommerce", "magento"}),
    "weight_unit": frozenset({"g", "kg", "oz", "lb"}),
    **dict.fromkeys(("product_title", "sellable_title", "title"), frozenset({ONLY_VARIANT})),
}  # fmt: skip

_CODES: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("country", "country_code", "marketplace_country", "origin_country"), re.compile(r"[A-Z]{2}")),
    **dict.fromkeys(("currency", "currency_code"), re.compile(r"[A-Z]{3}")),
}

_SEGMENTS = frozenset({
    "", ".", "..", "allocation_package", "allocations", "api", "carriers", "channels", "current_company",
    "current_user", "customers", "delivery_methods", "notes", "orders", "products", "purchase_orders", "rates",
    "returns", "rest", "sellables", "shipments", "shipping", "stock_entries", "stores", "suppliers", "tags", "users",
    "warehouses",
})  # fmt: skip
_VERSION = re.compile(r"v[0-9]{1,2}")


def allowed_text(name: str, text: str) -> str | None:
    """Return *text* if it may be shown as the value of *name*, otherwise None. A long fraction of a second is removed."""
    if is_allowed_text(name, text):
        return text
    # A long fraction of a second could be a secret number.
    shortened = _LONG_FRACTION.sub("", text) if "." in text else text
    return shortened if shortened != text and is_allowed_text(name, shortened) else None


def is_allowed_text(name: str, text: str) -> bool:
    """Return whether *text* may be shown as the value of *name*: a listed value, a code or a date (no birth date)."""
    if name in _LISTED and text in _LISTED[name]:
        return True
    if name in _CODES:
        return _CODES[name].fullmatch(text) is not None
    is_date = len(text) <= _LONGEST_DATE_TIME and is_date_time(text)
    if not is_date and not (name.endswith("_date") and _DATE.fullmatch(text)):
        return False
    return _BIRTH.isdisjoint(_words(name[:_MAX_NAME]))


def is_allowed_segment(segment: str) -> bool:
    """Return whether *segment* of a URL path may be shown: a resource name, an API version, `.`, `..` or empty."""
    return segment in _SEGMENTS or _VERSION.fullmatch(segment) is not None


def is_personal_number_name(name: str) -> bool:
    """Return whether *name* suggests a card, telephone, account or tax number."""
    return _is_personal(name[:_MAX_NAME])


@functools.lru_cache(_MAX_NAMES)
def _is_personal(name: str) -> bool:
    words = _words(name)
    return bool(_PERSONAL & words or words == {"vat"} or (_BY_NUMBER & words and _NUMBERED & words))


@functools.lru_cache(_MAX_NAMES)
def _words(name: str) -> frozenset[str]:
    """Return the words in *name* (snake case or camel case) in lower case, and also each plural without its s."""
    words = [word.lower() for word in WORDS.findall(name)]
    return frozenset([*words, *(word[:-1] for word in words if word.endswith("s"))])


def is_allowed_number(name: str, number: float) -> bool:
    """Return whether *number*, the value of *name*, may be shown. Card, telephone, account and tax numbers may not."""
    is_card = 10**12 <= number < 10**19 and number == int(number) and is_card_number(str(int(number)))
    return not is_card and not is_personal_number_name(name)


def is_card_number(digits: str) -> bool:
    """Return whether *digits* have the checksum of a payment card number (ISO/IEC 7812)."""
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 if number > 9 else number for number in doubled)
    return total % 10 == 0
