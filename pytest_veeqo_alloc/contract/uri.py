"""URI references as RFC 3986 section 4.1 has them."""

from __future__ import annotations

import re

_ESCAPED = r"%[0-9A-Fa-f]{2}"
_CHARACTER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPED})"
_NO_COLON = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_ESCAPED})"
_USER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_ESCAPED})*@"
_HOST = rf"(?:\[[0-9A-Fa-fv:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPED})*)"
_SEGMENTS = rf"(?:/{_CHARACTER}*)*"
_AUTHORITY = rf"//(?:{_USER})?{_HOST}(?::[0-9]*)?{_SEGMENTS}"
_ROOTED = rf"/(?:{_CHARACTER}+{_SEGMENTS})?"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}|{_ROOTED}|{_CHARACTER}+{_SEGMENTS}|)"
    rf"|{_AUTHORITY}|{_ROOTED}|{_NO_COLON}+{_SEGMENTS}|)"
    rf"(?:\?(?:{_CHARACTER}|[/?])*)?(?:#(?:{_CHARACTER}|[/?])*)?\Z"
)


def is_uri_reference(text: str) -> bool:
    """Whether *text* is a URI or a relative reference, by its characters and their order."""
    return _REFERENCE.match(text) is not None
