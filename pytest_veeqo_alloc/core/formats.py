"""Formats of strings: RFC 3339 date-times, RFC 9562 UUIDs and RFC 3986 URI references."""

from __future__ import annotations

import calendar
import re

UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_DATE_TIME = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-([0-9]{2})"
    r"[Tt](?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]|(?:[01][0-9]|2[0-3]):59:60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
)


def is_date_time(text: str) -> bool:
    """Return whether *text* is a date-time (RFC 3339 section 5.6). A leap second is valid only in minute 59."""
    match = _DATE_TIME.match(text)
    if match is None:
        return False
    year, month, day = match.groups()
    if "01" <= day <= "28":
        return True
    # The calendar repeats every 400 years; the calendar module lacks the year 0000, which RFC 3339 allows.
    return 1 <= int(day) <= calendar.monthrange(int(year) % 400 + 400, int(month))[1]


_ESCAPE = r"%[0-9A-Fa-f]{2}"
_CHARACTER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPE})"
_NO_COLON = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_ESCAPE})"
_USER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_ESCAPE})*@"
_HOST = rf"(?:\[[0-9A-Fa-fv:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPE})*)"
_SEGMENTS = rf"(?:/{_CHARACTER}*)*"
_AUTHORITY = rf"//(?:{_USER})?{_HOST}(?::[0-9]*)?{_SEGMENTS}"
_ROOTED = rf"/(?:{_CHARACTER}+{_SEGMENTS})?"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}|{_ROOTED}|{_CHARACTER}+{_SEGMENTS}|)"
    rf"|{_AUTHORITY}|{_ROOTED}|{_NO_COLON}+{_SEGMENTS}|)"
    rf"(?:\?(?:{_CHARACTER}|[/?])*)?(?:#(?:{_CHARACTER}|[/?])*)?\Z"
)


def is_uri_reference(text: str) -> bool:
    """Return whether *text* is a URI reference (RFC 3986 section 4.1): a URI or a relative reference."""
    return _REFERENCE.match(text) is not None
