"""Valid and invalid values for single fields."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.arithmetic import ONLY_VARIANT
from pytest_veeqo_alloc.contract.field_table import Field

LARGEST_ID = 2**53 - 1
"""The largest integer that every JSON reader can represent exactly (RFC 8259, section 6)."""

TEXTS = (
    "", "x", " ", "x" * 1000, "quotes \" and ' and `", "back\\slash / slash", "line\nbreak\ttab", "</script><!--",
    "\u0645\u0631\u062d\u0628\u0627", "\u202eright to left", "\U0001f4e6\U0001d54f", "e\u0301 \u00df \u0130", "null",
    "\u0000\u007f", ONLY_VARIANT,
)  # fmt: skip
DATES = (
    "2017-09-25T16:04:52.266Z", "2026-11-23T21:18:00+01:00", "2016-02-29T23:59:59Z", "2000-01-01T00:00:00.0Z",
    "0001-01-01T00:00:00-00:00", "9999-12-31T23:59:59.999999999-23:59",
)  # fmt: skip
NUMBERS = (-1, 0.5, 1, 10**12, -3.25, 1e-7, 2**31, 0)
AMOUNTS = (0.01, 1, 12.5, 10**9, 0.3)
IDS = (1, 2**31 - 1, 2**31, 2**32 + 1, LARGEST_ID - 16)

# Values such as a shop may have. A string field without an entry keeps the value of the documented example.
REALISTIC_DATES = (
    "2021-03-14T09:26:53Z", "2023-11-24T07:58:02Z", "2024-02-29T16:40:11Z", "2025-12-19T22:13:45Z", "2026-06-30T11:05:30Z",
)  # fmt: skip
REALISTIC_PEOPLE = (
    ("Amelia", "Example", "12 Example Lane", "Exampleby", "ZZ98 8ZZ", "GB", ""),
    ("Chloé", "Exemple", "3 rue de l'Exemple", "Exempleville", "00000", "FR", ""),
    ("Jürgen", "Beispiel", "Beispielweg 7", "Beispielstadt", "00000", "DE", ""),
    ("Riley", "Sample-Jones", "400 Sample Ave Apt 5", "Sampleton", "00000", "US", "CA"),
)
"""First name, last name, street, city, postal code, country and state of people who do not exist."""
REALISTIC_TEXTS = {
    "address2": ("", "Flat 2", "c/o Example Ltd"),
    "company": ("", "Example Ltd", "Beispiel GmbH"),
    "full_title": ("Example Mug Blue", "Example Hoodie Black XL", "Example Tea Towel, set of 2"),
    "name": ("Example Warehouse North", "Example Shop", "Standard delivery"),
    "payment_type": ("bank_transfer", "credit_card", "paypal"),
    "phone": ("+44 20 7946 0018", "+1 202 555 0143", ""),
    "sku_code": ("EXA-MUG-BLUE", "EXA-0042-XL", "EXA 7/2"),
    "title": ("Blue", "XL / Black", "Set of 2"),
    "upc_code": ("", "000000000000"),
}

# Lists and objects are copied on use, so that a test may change one body without changing the next body.
ANYTHING: tuple[Any, ...] = (
    "text", 7, True, "2016-04-06T12:25:40Z", {}, [], {"id": 1, "text": "note", "is_new?": False}, [{"id": 1}, None, 0.5],
    -0.25, "",
)  # fmt: skip
LISTS: tuple[list[Any], ...] = ([1], [{"id": 1, "name": "x"}], ["a", "b"], [None], [[], {}])

NEW_NAMES = ("new_field", "is_new?", "with space", "a/b~c", "\u043a\u043b\u044e\u0447", "", "newField", "x" * 200)
NEW_VALUES = (None, 0, "x", True)
NOT_IDS = (0, -1, 0.5, -(2**53), 1e-3)
NOT_FINITE = (math.nan, math.inf, -math.inf)
NOT_DATES = (
    "", "yesterday", "2016-04-06", "2016-04-06 12:25:40Z", "2016-04-06T12:25:40", "2016-02-30T12:25:40Z",
    "2016-04-06T24:00:00Z", "06/04/2016", "1459945540", "2016-04-06T12:25:40+0100",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ValuePool:
    """Values that were drawn for one order. `valid_value` also uses the constants of this module."""

    texts: tuple[str, ...]
    ids: tuple[int, ...]
    numbers: tuple[float, ...]


def valid_value(field: Field, example: Any, byte: int, pool: ValuePool) -> Any:
    """Return a valid value for *field*. *byte* selects it. If *field* has a type, the value differs from *example*."""
    if field.type is None:
        return copy.deepcopy(ANYTHING[byte % len(ANYTHING)])
    if field.type == "boolean":
        return not example
    if field.type == "array":
        return copy.deepcopy(LISTS[byte % len(LISTS)])
    choices: tuple[Any, ...]
    if field.type == "number":
        choices = pool.ids + IDS if field.is_id else AMOUNTS if field.is_amount else pool.numbers + NUMBERS
    else:
        choices = DATES if field.is_datetime else pool.texts + TEXTS
    value = choices[byte % len(choices)]
    return choices[(byte + 1) % len(choices)] if value == example else value
