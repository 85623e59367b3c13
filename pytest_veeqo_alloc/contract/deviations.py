"""Deviations (known differences, accepted for a stated reason), and lists of the response fields that a client uses."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.findings import Finding
from pytest_veeqo_alloc.contract.rules import CATALOGUE, SUITE_RULES, Side
from pytest_veeqo_alloc.core.json_pointer import generalise, is_index, parents, split
from pytest_veeqo_alloc.core.text import nearest, unknown_name

_DATE = datetime.date
_LOCATION = re.compile(r"method|path|path:order_id|status|call|(?:query|header):.*|[A-Z]+ /.*", re.DOTALL)
_INFORMATION: dict[str, type] = {
    "ticket": str, "seen": str, "count": int, "first_seen": _DATE, "last_seen": _DATE, "stale": bool,
}  # fmt: skip
"""The keys of an entry that do not affect which findings it accepts, mapped to the types of their values."""

_DECIDING = ("rule", "pointer", "location", "side", "case", "types", "reason", "source", "expires")
_KEYS = (*_DECIDING, *_INFORMATION)
_KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    _DATE: "a date such as 2027-01-31, without quotes",
    bool: "true or false",
}
TYPES = ("array", "boolean", "null", "number", "object", "string")
TYPED_RULES = ("undocumented-field", "untyped-field-value", "wrong-type")
"""The ids of the rules whose findings are about the JSON type of a value."""

VERSION = 1
"""The version of the format of deviation files."""


def type_of(finding: Finding) -> str:
    """Return the JSON type of the value at *finding*, or an empty string if its rule is not one of `TYPED_RULES`."""
    kind = finding.got.partition(" ")[0].rstrip(":")
    return kind if finding.rule in TYPED_RULES and kind in TYPES else ""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A known difference from the contract. Findings of its rule at its place are accepted.

    The place is a `pointer` into the body, with `*` for any array index, or a `location` outside the body. `expires` is
    the last day on which findings are accepted. If given, `side`, `case` and `types` (JSON types of the value) limit
    which findings at the place are accepted. Raise ValueError for an invalid value.
    """

    rule: str
    reason: str
    pointer: str | None = None
    location: str | None = None
    source: str = ""
    expires: datetime.date | None = None
    side: Side | None = None
    case: str | None = None
    types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.rule, str) or self.rule not in CATALOGUE:
            raise ValueError(unknown_name("rule", self.rule, CATALOGUE))
        of_rule = f"of the deviation of {self.rule}"
        if not isinstance(self.reason, str) or not self.reason.strip():
            raise ValueError(f"the deviation of {self.rule} needs a reason: state why the deviation is accepted")
        if (self.pointer is None) == (self.location is None):
            raise ValueError(f"the deviation of {self.rule} needs either a pointer or a location")
        if self.pointer is None and not (isinstance(self.location, str) and _LOCATION.fullmatch(self.location)):
            raise ValueError(f"the location {of_rule} must be a string such as 'header:location' or 'status'")
        if not isinstance(self.pointer, (str, type(None))):
            raise ValueError(f"the pointer {of_rule} must be a string such as '/line_items/*/id'")
        split(self.pointer or "")  # raises for an invalid pointer
        if not isinstance(self.source, str):
            raise ValueError(f"the source {of_rule} must be a string")
        if self.expires is not None and type(self.expires) is not datetime.date:
            raise ValueError(f"'expires' {of_rule} must be a date such as 2027-01-31, without quotes")
        if self.side not in (None, *CATALOGUE[self.rule].sides):
            raise ValueError(unknown_name(f"side {of_rule}", self.side, CATALOGUE[self.rule].sides))
        if not isinstance(self.case, (str, type(None))):
            raise ValueError(f"the case {of_rule} must be a string")
        self._validate_types(of_rule)

    def _validate_types(self, of_rule: str) -> None:
        if not isinstance(self.types, (list, tuple)):
            raise ValueError(f"'types' {of_rule} must be a list of JSON types")
        object.__setattr__(self, "types", tuple(self.types))  # TOML has lists, which have no hash
        if self.types and self.rule not in TYPED_RULES:
            raise ValueError(
                f"'types' is not for {self.rule}: remove it; only these rules have it: {', '.join(TYPED_RULES)}"
            )
        for kind in self.types:
            if kind not in TYPES:
                raise ValueError(unknown_name(f"type {of_rule}", kind, TYPES))

    @property
    def place(self) -> str:
        """The pointer or, outside the body, the location."""
        return (self.location if self.pointer is None else self.pointer) or ""

    @property
    def key(self) -> str:
        """A text that identifies what the deviation accepts: rule, side (`-`: any), place and case."""
        return " ".join((self.rule, self.side or "-", self.place, self.case or ""))

    def expired(self, today: datetime.date) -> bool:
        """Return whether the deviation no longer applies on the day *today*."""
        return self.expires is not None and today > self.expires

    def matches(self, finding: Finding) -> bool:
        """Return whether this deviation accepts *finding*: same rule and place and, if given, side, case and type."""
        if (finding.rule, finding.location) != (self.rule, self.location or "body"):
            return False
        if self.side not in (None, finding.side) or self.case not in (None, finding.case):
            return False
        if self.types and type_of(finding) not in self.types:
            return False
        pattern, tokens = split(self.pointer or ""), split(finding.pointer or "")
        return len(pattern) == len(tokens) and all(
            wanted == token or (wanted == "*" and is_index(token))
            for wanted, token in zip(pattern, tokens, strict=True)
        )


def parse(text: str) -> tuple[Deviation, ...]:
    """Parse a TOML file of `[[deviation]]` tables. A `pointer` may be a list. Raise ValueError for an invalid file."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    except RecursionError:
        raise ValueError("cannot be parsed: nested too deeply") from None
    version, tables = document.pop("version", VERSION), document.get("deviation", [])
    if version != VERSION or isinstance(version, bool):
        raise ValueError(f"not in version {VERSION} of the format of deviation files: update pytest-veeqo-alloc")
    if set(document) - {"deviation"} or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ValueError("a deviation file must contain only [[deviation]] tables and a version")
    return tuple(deviation for number, table in enumerate(tables, 1) for deviation in _parse_table(number, table))


def _parse_table(number: int, table: Mapping[str, Any]) -> Iterator[Deviation]:
    for key in table:
        if key not in _KEYS:
            raise ValueError(f"deviation {number}: {unknown_name('key', key, _KEYS)}")
        if key in _INFORMATION and type(table[key]) is not _INFORMATION[key]:
            raise ValueError(f"deviation {number}: {key!r} must be {_KINDS[_INFORMATION[key]]}")
    pointers = table.get("pointer")
    if pointers == []:
        raise ValueError(f"deviation {number}: empty list of pointers")
    try:
        deciding = {key: value for key, value in table.items() if key in _DECIDING}
        for pointer in pointers if isinstance(pointers, list) else [pointers]:
            yield Deviation(**{"rule": "", "reason": "", **deciding, "pointer": pointer})
    except ValueError as error:
        raise ValueError(f"deviation {number}: {error}") from None


class DeviationIndex:
    """Deviations, indexed by rule and place. `today` is the date for the expiry of deviations."""

    def __init__(self, deviations: Iterable[Deviation], today: datetime.date) -> None:
        self.today = today
        self.all = tuple(deviations)
        self._by_place: dict[tuple[str, str], list[Deviation]] = {}
        for deviation in self.all:
            self._by_place.setdefault(_key(deviation), []).append(deviation)

    def find(self, finding: Finding) -> Deviation | None:
        """Return a deviation that matches *finding*, or None. Prefer one that has not expired, then one with a case."""
        if not self._by_place:
            return None
        matching = (deviation for deviation in self._by_place.get(_key(finding), ()) if deviation.matches(finding))
        return min(matching, key=lambda entry: (entry.expired(self.today), entry.case is None), default=None)


def _key(entry: Deviation | Finding) -> tuple[str, str]:
    return entry.rule, entry.location or "" if entry.pointer is None else generalise(entry.pointer)


_OF_THE_WHOLE_ORDER = SUITE_RULES | {"order-echo", "allocation-echo", "allocation-quantity"}
"""The ids of the rules whose findings concern every client, whatever fields it uses."""

_HEADER = "# The response fields that the client uses. Give this file to --veeqo-alloc-uses.\n"
_UNDOCUMENTED = "# read, but not documented: "


class Uses:
    """The response fields that a client uses, as JSON Pointers with `*` for every index.

    A listed object or array stands for all that is in it, unless the list has a field in it.
    """

    def __init__(self, pointers: Iterable[str]) -> None:
        self.pointers = tuple(sorted({generalise(pointer) for pointer in pointers}))
        self._parents = {parent for pointer in self.pointers for parent in parents(pointer)}
        self._whole = set(self.pointers) - self._parents

    def concern(self, pointer: str) -> bool:
        """Return whether the place *pointer* is a used field, contains a used field, or is part of a used object."""
        place = generalise(pointer)
        return place in self._parents or any(part in self._whole for part in (place, *parents(place)))

    def concern_finding(self, finding: Finding) -> bool:
        """Return whether *finding* concerns the client. A finding that is not about a response field always does."""
        is_field = finding.side == "response" and finding.pointer is not None and finding.location == "body"
        return not is_field or finding.rule in _OF_THE_WHOLE_ORDER or self.concern(finding.pointer or "")


def parse_uses(text: str, documented: Iterable[str]) -> tuple[str, ...]:
    """Return the pointers in *text*, one on each line, without comments. Raise ValueError unless all are *documented*."""
    known = set(documented)
    pointers = [line.partition("#")[0].strip() for line in text.splitlines()]
    uses = tuple(dict.fromkeys(filter(None, pointers)))
    for pointer in uses:
        validate_use(pointer, known)
    if not uses:
        raise ValueError("it lists no field: write one on each line, such as /allocations/*/id")
    return uses


def validate_use(pointer: str, documented: Iterable[str]) -> None:
    """Raise ValueError unless *pointer* is one of the *documented* response fields."""
    known = set(documented)
    if generalise(pointer) not in known:
        near = nearest(generalise(pointer), sorted(known))
        hint = f"did you mean {near!r}?" if near else "such as '/allocations/*/id'"
        raise ValueError(f"no documented response field {pointer!a:.100}: {hint}")


def update_uses(old: str, fields: Iterable[str], undocumented: Iterable[str], *, keep: bool) -> str:
    """Return *old*, the text of a list of used fields, with *fields* added. Keep comments and the order of lines.

    Remove all other fields unless *keep* is true. Add *undocumented* members as comments.
    """
    found, lines = set(fields), []
    for line in (old or _HEADER).splitlines():
        pointer = line.partition("#")[0].strip()
        if (keep or not pointer or pointer in found) and not line.startswith(_UNDOCUMENTED):
            lines.append(line)
        found.discard(pointer)
    comments = [f"{_UNDOCUMENTED}{pointer}" for pointer in sorted(undocumented)]
    return "\n".join([*lines, *sorted(found), *comments, ""])
