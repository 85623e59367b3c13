"""Baselines: deviation files that accept the findings in a report. An update keeps what people wrote in the file."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.capture.writers import write_atomically
from pytest_veeqo_alloc.contract.deviations import TYPED_RULES, VERSION, Deviation, parse
from pytest_veeqo_alloc.contract.findings import Finding
from pytest_veeqo_alloc.contract.rules import CATALOGUE, NOT_IN_BASELINES, SUITE_RULES
from pytest_veeqo_alloc.core.json_pointer import WHOLE_BODY, generalise
from pytest_veeqo_alloc.core.text import pluralise, printable, unknown_name
from pytest_veeqo_alloc.coverage.field_counts import OTHERS
from pytest_veeqo_alloc.coverage.report_model import Document, find_unmatched
from pytest_veeqo_alloc.spec.loader import field_trees

_HEADER = f"""\
# Deviations that are accepted. veeqo-alloc updates this file: it writes seen, count, first_seen, last_seen, types and stale.
# It keeps comments, and the reason, ticket and expires of each entry: they are yours.
version = {VERSION}
"""
_START = re.compile(r"\s*\[\[\s*deviation\s*\]\]\s*(#.*)?\Z")
_COMMENT = re.compile(r"\s*(#|\Z)")
_MAX_LISTED = 3


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """How to write a baseline. `expires` is the last day of added entries. `prune` removes entries that are stale.

    `partial` permits an incomplete run. `of` describes the interactions in an entry: `in 3 of 5 OF` (empty: by origin).
    """

    expires: datetime.date | None = None
    prune: bool = False
    partial: bool = False
    today: datetime.date = field(default_factory=datetime.date.today)
    of: str = ""


def expiry_date(text: str) -> datetime.date:
    """Return the date *text*, such as 2027-06-30. Raise ValueError if it is no date, or in the past."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"the last day of an entry must be a date such as 2027-06-30, not {text!a:.60}") from None
    if day < datetime.date.today():
        raise ValueError(f"the last day of an entry must not be in the past: {day}")
    return day


@dataclass(slots=True)
class _Observation:
    """The findings of one rule at one place in one case."""

    finding: Finding  # its pointer has `*` for every index
    example: Finding
    count: int = 0
    types: set[str] = field(default_factory=set)
    affected: Counter[str] = field(default_factory=Counter)  # interactions by origin
    is_accepted: bool = True
    is_known: bool = False  # whether an entry of the file matches it

    def matches(self, deviation: Deviation) -> bool:
        untyped = replace(deviation, types=())
        return untyped.matches(self.finding) or untyped.matches(self.example)


@dataclass(slots=True, eq=False)
class _Entry:
    """An entry of the file: its lines, beginning with the comments above it, and its keys as parsed."""

    lines: list[str]
    table: dict[str, Any]
    deviations: tuple[Deviation, ...]
    matching: list[_Observation] = field(default_factory=list)

    @property
    def order(self) -> tuple[str, ...]:
        first = self.deviations[0]
        return (first.place, first.rule, first.side or "", first.case or "")

    @property
    def end(self) -> int:
        """The number of lines up to the last key. Only comments and blank lines follow."""
        return max(index for index, line in enumerate(self.lines, 1) if not _COMMENT.match(line))

    def update(self, values: Mapping[str, Any]) -> None:
        """Set the keys in *values*. Remove those with None. Raise ValueError if the lines cannot be changed."""
        for key, value in values.items():
            pattern = re.compile(rf"(\s*{key}\s*=\s*)[^#]*?(\s*(?:#.*)?)\Z")
            found = next(
                ((index, match) for index, line in enumerate(self.lines) if (match := pattern.match(line))), None
            )
            if value is None:
                self.table.pop(key, None)
                if found is not None:
                    del self.lines[found[0]]
                continue
            self.table[key] = value
            if found is None:
                self.lines.insert(self.end, f"{key} = {_toml(value)}")
            else:
                self.lines[found[0]] = f"{found[1][1]}{_toml(value)}{found[1][2]}"
        if _tables("\n".join(self.lines)) != [self.table]:
            raise ValueError(
                f"the entry of {self.deviations[0].rule} at {self.deviations[0].place} cannot be updated: "
                "write each of its keys on one line"
            )


def write_baseline(report: Document, path: Path, options: BaselineOptions) -> list[str]:
    """Accept the findings of *report* in the deviations file *path*. Return lines about what has changed.

    Raise ValueError, and leave the file as it is, if the file cannot be read or written, or the run is incomplete.
    """
    name = ascii(str(path))
    try:
        old = path.read_bytes().decode("utf-8-sig") if path.is_file() else ""  # a pipe could block
        new, lines = update_baseline(report, old, options)
        if new.encode() != old.encode():
            write_atomically(path, new)
    except OSError as error:
        raise ValueError(f"the deviations file {name} cannot be written: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: not UTF-8, so not TOML") from None
    except ValueError as error:
        raise ValueError(f"{name} was not written: {error}") from None
    return [f"{printable(str(path))}: {lines[0]}", *lines[1:]]


def update_baseline(report: Document, old: str, options: BaselineOptions) -> tuple[str, list[str]]:
    """Return the text of a deviations file, *old*, updated from *report*. Also return lines about the changes."""
    reasons = dict.fromkeys(run["incomplete"] for run in report["runs"] if run.get("incomplete"))
    if reasons and not options.partial:
        raise ValueError(f"the run is incomplete ({'; '.join(reasons)}): complete the run, or permit it with --partial")
    observations, left_out = _observe(report)
    head, entries = _split(old.replace("\r\n", "\n") or _HEADER)
    is_whole = not reasons and not any(run.get("selection") for run in report["runs"])
    used = _match(entries, observations)
    stale = _unmatched(entries, used, report) if is_whole else []
    counts = Counter[str]()
    for entry in entries:
        counts.update(_update(entry, report, options, is_stale=entry in stale))
    if options.prune:
        counts["removed"] = _prune(head, entries)
    new = [found for found in observations if not found.is_accepted and not found.is_known]
    counts["added"] = len(new)
    entries = _with_added(entries, [_new_entry(found, report, options) for found in new])
    text = "\n\n".join("\n".join(part) for part in (head, *(entry.lines for entry in entries)) if any(part)) + "\n"
    parse(text)
    counts["stale"] = sum(bool(entry.table.get("stale")) for entry in entries)
    lines = [_summary(len(entries), counts), *left_out]
    return (text.replace("\n", "\r\n") if "\r\n" in old else text), lines


def _observe(report: Document) -> tuple[list[_Observation], list[str]]:
    """Return the observations in *report*, ordered by place, and lines about findings that cannot be accepted."""
    found: dict[tuple[str, ...], _Observation] = {}
    by_hand: dict[str, None] = {}
    unnamed: dict[str, None] = {}
    for run in report["runs"]:
        for origin, origin_row in run["origins"].items():
            for row, is_accepted in _rows(origin_row):
                rule, place = row["rule"], row["place"]
                if rule not in CATALOGUE:
                    raise ValueError(unknown_name("rule", rule, CATALOGUE))
                if rule in NOT_IN_BASELINES or (rule, place) == ("wrong-type", WHOLE_BODY):
                    by_hand |= {} if is_accepted else {f"{rule} at {row['side']} {place}": None}
                elif OTHERS in place or "(name of " in place:
                    unnamed |= {} if is_accepted else {f"{rule} at {row['side']} {place}": None}
                else:
                    key = (place, rule, row["side"], row.get("case", ""))
                    one = found.setdefault(key, _Observation(_finding(row, place), _finding(row, row["example"])))
                    one.count += row["count"]
                    one.affected[origin] += row.get("interactions", row["count"])
                    one.types |= set(row.get("types", ()))
                    one.is_accepted = one.is_accepted and is_accepted
    return [found[key] for key in sorted(found)], [
        *_left_out("a person must decide", by_hand),
        *_left_out("the report does not show the name", unnamed),
    ]


def _rows(origin_row: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    for name in ("findings", "accepted", "unused"):
        yield from ((row, name != "findings") for row in origin_row.get(name, ()))


def _left_out(reason: str, places: Iterable[str]) -> list[str]:
    listed = list(places)
    more = f", and {len(listed) - _MAX_LISTED} more" if len(listed) > _MAX_LISTED else ""
    return [printable(f"left out, since {reason}: {', '.join(listed[:_MAX_LISTED])}{more}")] if listed else []


def _finding(row: Mapping[str, Any], place: str) -> Finding:
    is_pointer = place.startswith("/") or place == WHOLE_BODY
    pointer = ("" if place == WHOLE_BODY else place) if is_pointer else None
    location = "body" if is_pointer else place
    parts = (row["rule"], row["basis"], row["severity"], row["side"], location, pointer)
    return Finding(*parts, "", "", "", case=row.get("case", ""))


def _split(text: str) -> tuple[list[str], list[_Entry]]:
    """Return the lines above the first entry, and the entries. A comment directly above an entry is part of it."""
    deviations, tables, lines = parse(text), _tables(text), text.rstrip("\n").split("\n")
    starts = []
    for index, line in enumerate(lines):
        if _START.match(line):
            while index and lines[index - 1].startswith("#"):
                index -= 1
            starts.append(index)
    parts = [_without_blank_end(lines[start:end]) for start, end in itertools.pairwise([*starts, len(lines)])]
    if [table for part in parts for table in _tables("\n".join(part))] != tables or len(parts) != len(tables):
        raise ValueError("its layout cannot be kept: write each entry below a line [[deviation]]")
    entries, rest = [], list(deviations)
    for part, table in zip(parts, tables, strict=True):
        count = len(table["pointer"]) if isinstance(table.get("pointer"), list) else 1
        entries.append(_Entry(part, table, tuple(rest[:count])))
        del rest[:count]
    return _without_blank_end(lines[: starts[0]] if starts else lines), entries


def _without_blank_end(lines: list[str]) -> list[str]:
    return "\n".join(lines).rstrip().split("\n")


def _tables(text: str) -> Any:
    try:
        return tomllib.loads(text).get("deviation", [])
    except tomllib.TOMLDecodeError:
        return None


def _match(entries: list[_Entry], observations: list[_Observation]) -> set[str]:
    """Connect each entry with the observations that it matches. Return the keys of the deviations that match one."""
    by_place: dict[tuple[str, str], list[_Observation]] = {}
    for found in observations:
        finding = found.finding
        place = finding.location if finding.pointer is None else finding.pointer
        by_place.setdefault((finding.rule, place), []).append(found)
    used = set()
    for entry in entries:
        for deviation in entry.deviations:
            for found in by_place.get((deviation.rule, generalise(deviation.place)), ()):
                if found.matches(deviation):
                    used.add(deviation.key)
                    entry.matching.append(found)
                    found.is_known = True
    return used


def _unmatched(entries: list[_Entry], used: set[str], report: Document) -> list[_Entry]:
    """Return the entries whose deviations all match nothing, although their places were checked."""
    rows = [row for run in report["runs"] for row in run["origins"].values()]
    deviations = [deviation for entry in entries for deviation in entry.deviations]
    unmatched = find_unmatched(deviations, used, rows, field_trees())
    return [entry for entry in entries if all(deviation in unmatched for deviation in entry.deviations)]


def _update(entry: _Entry, report: Document, options: BaselineOptions, *, is_stale: bool) -> list[str]:
    """Write the matching observations into *entry*. Return the names of the summary counts that grow by 1."""
    matching = entry.matching
    if not matching:
        if is_stale and not entry.table.get("stale"):
            entry.update({"stale": True})
        return []
    values: dict[str, Any] = {"stale": None}
    if "seen" in entry.table:  # otherwise, a person wrote the entry
        seen = _seen(matching, report, options)
        if entry.table["reason"] == f"seen {entry.table['seen']}":
            values["reason"] = f"seen {seen}"
        values |= {"seen": seen, "count": sum(found.count for found in matching), "last_seen": options.today}
    if "types" in entry.table:
        observed = set().union(*(found.types for found in matching))
        values["types"] = sorted(observed if options.prune else observed.union(entry.table["types"]))
    entry.update(values)
    is_expired = all(deviation.expired(options.today) for deviation in entry.deviations)
    return ["again", *(["expired"] if is_expired else [])]


def _prune(head: list[str], entries: list[_Entry]) -> int:
    """Remove the stale entries, but not the comments below them. Return how many entries were removed."""
    kept: list[_Entry] = []
    for entry in entries:
        if not entry.table.get("stale"):
            kept.append(entry)
        elif any(comments := entry.lines[entry.end :]):
            (kept[-1].lines if kept else head).extend(comments)
    removed = len(entries) - len(kept)
    entries[:] = kept
    return removed


def _seen(matching: list[_Observation], report: Document, options: BaselineOptions) -> str:
    """Describe how often the observations were made: `in 3 of 5 interactions from the target`."""
    if matching[0].finding.rule in SUITE_RULES:
        return f"in {pluralise(sum(found.count for found in matching), 'check')} of the conformance suite"
    totals: Counter[str] = Counter()
    affected: Counter[str] = Counter()
    for run in report["runs"]:
        for origin, row in run["origins"].items():
            totals[origin] += row["interactions"]
    for found in matching:
        affected |= found.affected  # the largest: the same interaction may have several of these findings
    if options.of:
        return f"in {affected.total()} of {totals.total()} {options.of}"
    shares = [
        f"{count} of {pluralise(max(totals[origin], count), 'interaction')} from the {origin}"
        for origin, count in sorted(affected.items())
    ]
    return f"in {' and '.join(shares)}"


def _new_entry(found: _Observation, report: Document, options: BaselineOptions) -> _Entry:
    finding, seen = found.finding, _seen([found], report, options)
    is_typed = finding.rule in TYPED_RULES and found.types
    table: dict[str, Any] = {
        "rule": finding.rule,
        "side": finding.side if len(CATALOGUE[finding.rule].sides) > 1 else None,
        "pointer": finding.pointer,
        "location": finding.location if finding.pointer is None else None,
        "case": finding.case or None,
        "types": sorted(found.types) if is_typed else None,
        "reason": f"seen {seen}",
        "seen": seen,
        "count": found.count,
        "first_seen": options.today,
        "last_seen": options.today,
        "expires": options.expires,
    }
    table = {key: value for key, value in table.items() if value is not None}
    lines = ["[[deviation]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return _Entry(lines, table, parse("\n".join(lines)))


def _with_added(entries: list[_Entry], added: list[_Entry]) -> list[_Entry]:
    """Insert each entry of *added* after the last of *entries* that sorts before it by place. Return the new list."""
    orders = [(index, entry.order) for index, entry in enumerate(entries, 1)]
    behind: dict[int, list[_Entry]] = {}
    for entry in added:
        index = next((index for index, order in reversed(orders) if order < entry.order), 0)
        behind.setdefault(index, []).append(entry)
    old = [[entry, *behind.get(index, ())] for index, entry in enumerate(entries, 1)]
    return [*behind.get(0, ()), *itertools.chain.from_iterable(old)]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()  # TOML has no lone surrogates
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)


def _summary(total: int, counts: Mapping[str, int]) -> str:
    parts = [f"{counts[name]} {text}" for name, text in _COUNTED.items() if counts[name]]
    return f"{pluralise(total, 'entry', 'entries')}{': ' if parts else ''}{', '.join(parts)}"


_COUNTED = {
    "added": "added",
    "again": "seen again",
    "removed": "removed",
    "stale": "stale (--prune removes them)",
    "expired": "expired and still needed (set a later expires in the file)",
}
