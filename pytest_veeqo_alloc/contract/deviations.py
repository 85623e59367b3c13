"""Deviations: findings that are known and accepted, with a reason."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.findings import Finding
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.json_pointer import generalise, is_index, split
from pytest_veeqo_alloc.core.text import unknown_name

_LOCATION = re.compile(r"method|path|path:order_id|status|(?:query|header):.*", re.DOTALL)
_KEYS = ("rule", "pointer", "location", "reason", "source", "expires")


@dataclass(frozen=True, slots=True)
class Deviation:
    """A finding that is known and accepted.

    `pointer` may hold `*` for an index; `location` is for what is in no body. `expires` is the last day on which it
    counts, None for ever. ValueError, in one sentence, where rule, place or reason do not do.
    """

    rule: str
    reason: str
    pointer: str | None = None
    location: str | None = None
    source: str = ""
    expires: datetime.date | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.rule, str) or self.rule not in CATALOGUE:
            raise ValueError(unknown_name("rule", self.rule, CATALOGUE))
        if not isinstance(self.reason, str) or not self.reason.strip():
            raise ValueError(f"the deviation of {self.rule} needs a reason: say why it is accepted")
        if (self.pointer is None) == (self.location is None):
            raise ValueError(f"the deviation of {self.rule} needs a pointer or a location, and not both")
        if not isinstance(self.pointer if self.location is None else self.location, str):
            raise ValueError(f"the place of the deviation of {self.rule} is a text such as '/line_items/*/id'")
        if self.pointer is not None:
            split(self.pointer)
        elif not _LOCATION.fullmatch(self.location or ""):
            raise ValueError(f"the location of the deviation of {self.rule} is one such as header:location or status")
        if not isinstance(self.source, str):
            raise ValueError(f"source of the deviation of {self.rule} is a text")
        if self.expires is not None and type(self.expires) is not datetime.date:
            raise ValueError(f"expires of the deviation of {self.rule} is a date such as 2027-01-31, without quotes")

    @property
    def place(self) -> str:
        """The pointer, or the location of what is in no body."""
        return (self.location if self.pointer is None else self.pointer) or ""

    def expired(self, today: datetime.date) -> bool:
        """Whether its last day is over on *today*."""
        return self.expires is not None and today > self.expires

    def matches(self, finding: Finding) -> bool:
        """Whether *finding* is of this rule at this place."""
        if finding.rule != self.rule:
            return False
        if self.pointer is None or finding.pointer is None:
            return self.pointer is None and finding.location == self.location
        want, have = split(self.pointer), split(finding.pointer)
        return len(want) == len(have) and all(map(_stands_for, want, have))


def _stands_for(wanted: str, got: str) -> bool:
    return wanted == got or (wanted == "*" and is_index(got))


def parse(text: str) -> tuple[Deviation, ...]:
    """The deviations in a TOML *text*: tables `[[deviation]]` with rule, pointer (or a list of them) or location,
    reason, source and expires. ValueError, in one sentence, for anything else."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    except RecursionError:
        raise ValueError("not TOML: nests too deep") from None
    tables = data.get("deviation", [])
    if set(data) - {"deviation"} or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ValueError("a deviation file holds tables [[deviation]] and nothing else")
    return tuple(deviation for number, table in enumerate(tables, 1) for deviation in _parse_table(number, table))


def _parse_table(number: int, table: Mapping[str, Any]) -> Iterable[Deviation]:
    for key in table:
        if key not in _KEYS:
            raise ValueError(f"deviation {number}: {unknown_name('key', key, _KEYS)}")
    pointers = table.get("pointer")
    places = pointers if isinstance(pointers, list) else [pointers]
    if not places:
        raise ValueError(f"deviation {number}: the list of pointers is empty")
    try:
        for pointer in places:
            rest = {key: value for key, value in table.items() if key != "pointer"}
            yield Deviation(**{"rule": "", "reason": "", **rest, "pointer": pointer})
    except ValueError as error:
        raise ValueError(f"deviation {number}: {error}") from None


class DeviationIndex:
    """Deviations arranged so that looking one up costs the same for many of them as for few."""

    def __init__(self, deviations: Iterable[Deviation], today: datetime.date) -> None:
        self.today = today
        self.all = tuple(deviations)
        self._by_place: dict[tuple[str, str], list[Deviation]] = {}
        for deviation in self.all:
            self._by_place.setdefault(_key(deviation), []).append(deviation)

    def find(self, finding: Finding) -> Deviation | None:
        """The deviation that covers *finding*, one that has not expired before one that has; None where none does."""
        if not self._by_place:
            return None
        matching = [deviation for deviation in self._by_place.get(_key(finding), ()) if deviation.matches(finding)]
        matching.sort(key=lambda deviation: deviation.expired(self.today))
        return matching[0] if matching else None


def _key(entry: Deviation | Finding) -> tuple[str, str]:
    place = entry.location or "" if entry.pointer is None else generalise(entry.pointer)
    return entry.rule, place
