"""What a single value of the right type may still have wrong: conventions of ids, quantities, amounts and dates."""

from __future__ import annotations

from typing import Any

from pytest_veeqo_alloc.contract.breach import Breach
from pytest_veeqo_alloc.contract.table import Field
from pytest_veeqo_alloc.core.formats import is_date_time
from pytest_veeqo_alloc.core.text import describe, describe_number


def value_breaches(value: Any, field: Field, here: str, dates: set[str]) -> list[Breach]:
    """The conventions that *value*, which has its documented type, does not meet. Adds to *dates* what is a date."""
    if field.is_datetime:
        if value in dates or is_date_time(value):
            dates.add(value)
            return []
        return [Breach("datetime-format", here, describe(value), "an RFC 3339 date-time")]
    if field.is_id and not (value > 0 and value == int(value)):
        return [Breach("id-not-positive-integer", here, describe_number(value), "a whole number above 0")]
    if field.is_quantity and value != int(value):
        return [Breach("quantity-not-integer", here, describe_number(value), "a whole number")]
    if field.is_quantity and value <= 0:
        return [Breach("quantity-not-positive", here, describe_number(value), "1 or more")]
    if field.is_amount and value < 0:
        return [Breach("negative-amount", here, describe_number(value), "0 or more")]
    return []
