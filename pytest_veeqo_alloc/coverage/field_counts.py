"""Counts of documented and undocumented members in checked bodies, by JSON Pointer. No value from a body is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_veeqo_alloc.contract.content import counters
from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.structure import json_type
from pytest_veeqo_alloc.core.json_pointer import join, mask_key, mask_pointer

ABSENT, NULL = "absent", "null"
MAX_NAMES = 500
"""The maximum number of different undocumented members that are counted separately."""
OTHERS = "(others)"
"""The name under which all members or findings beyond `MAX_NAMES` are counted together. It is not a valid pointer."""


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """A documented field at one place in a body. In `pointer`, every array index is `*`."""

    name: str
    pointer: str
    expected: str  # the documented JSON type, or "null" if no type is documented
    child: Node | None  # the object in the field, or an item of the array of objects in the field
    shape: str  # the object type that contains the field, as named in the schema
    field: Field


@dataclass(frozen=True, slots=True)
class Node:
    """A node in the tree of documented objects: an object, its documented members, and the objects inside it."""

    pointer: str
    places: tuple[FieldPlace, ...]  # the documented members of the object
    names: frozenset[str]  # the names of these members
    counters: tuple[str, ...]  # the keys of all counts in a conforming body: "object POINTER" or "null POINTER"

    def all_places(self) -> Iterator[FieldPlace]:
        """Yield the documented members of this object and of all objects inside it."""
        yield from self.places
        for place in self.places:
            if place.child is not None:
                yield from place.child.all_places()

    @property
    def field_count(self) -> int:
        """The number of documented members of this object and of all objects inside it."""
        return sum(1 for _ in self.all_places())


def build_field_tree(shape: Shape, pointer: str = "") -> Node:
    """Build the tree of documented objects. Its root is an object of the type *shape* at *pointer*."""
    places = []
    for name, member in shape.fields.items():
        inner = f"{pointer}/{name}"
        items = f"{inner}/*" if member.type == "array" else inner
        child = build_field_tree(member.shape, items) if member.shape else None
        places.append(FieldPlace(name, inner, member.type or NULL, child, shape.name, member))
    return Node(pointer, tuple(places), frozenset(shape.fields), counters(shape))


Counts = dict[str, int]
"""Counts by key. Each check creates several dicts, and creating a Counter would take ten times as long."""


def bump(counts: Counts, key: str, by: int = 1) -> None:
    """Add *by* to the count of *key*."""
    counts[key] = counts.get(key, 0) + by


def bump_limited(counts: Counts, key: str, words: int, by: int, most: int = MAX_NAMES) -> str:
    """Add *by* to the count of *key*. Return *key*, which is shortened if it is new and *counts* is full.

    A shortened key consists of the first *words* words of *key*, then `OTHERS`. *counts* is full at *most* keys.
    """
    if key not in counts and len(counts) >= most:
        key = " ".join((*key.split(" ", words)[:words], OTHERS))
    bump(counts, key, by)
    return key


def by_pointer(counts: Iterable[tuple[str, int]]) -> dict[str, Counts]:
    """Group *counts*, pairs of a key `KIND POINTER` and a number. Map each pointer to a dict from kind to number."""
    grouped: dict[str, Counts] = {}
    for key, count in counts:
        kind, _, pointer = key.partition(" ")
        bump(grouped.setdefault(pointer, {}), kind, count)
    return grouped


def add_counts(counts: Counts, more: Mapping[str, int]) -> None:
    """Add every count in *more* to *counts*."""
    for key, count in more.items():
        bump(counts, key, count)


@dataclass(slots=True)
class BodyCounts:
    """The counts from request bodies or from response bodies. In keys, KIND is a JSON type or "absent"."""

    conforming: Counts = field(default_factory=dict)  # bodies with the documented structure; key: a number per counter
    walked: Counts = field(default_factory=dict)  # objects in all other bodies; key: POINTER
    departures: Counts = field(
        default_factory=dict
    )  # absent members and wrong types in `walked` objects; key: KIND POINTER
    undocumented: Counts = field(default_factory=dict)  # undocumented members; key: KIND POINTER

    def add(self, other: BodyCounts) -> None:
        """Add the counts from *other* to this object."""
        for name in ("conforming", "walked", "departures"):
            add_counts(getattr(self, name), getattr(other, name))
        for key, count in other.undocumented.items():
            bump_limited(self.undocumented, key, 1, count)

    def count_conforming(self, counts: Iterable[int]) -> None:
        """Count a body that has the documented structure. *counts* has a number for each key in `Node.counters`."""
        bump(self.conforming, " ".join(map(str, counts)))

    def count(self, members: dict[str, Any], node: Node, keys: Iterable[str] = ()) -> None:
        """Count *members*, an object at *node*, and objects in it. Mask names that may contain secrets or *keys*."""
        bump(self.walked, node.pointer)
        for place in node.places:
            if place.name not in members:
                bump(self.departures, f"{ABSENT} {place.pointer}")
            elif (kind := _kind(value := members[place.name])) != place.expected:
                bump(self.departures, f"{kind} {place.pointer}")
            elif place.child is not None:
                for item in value if isinstance(value, list) else (value,):
                    if isinstance(item, dict):  # a value of another type has a finding, but no members to count
                        self.count(item, place.child, keys)
        for name in members.keys() - node.names:
            key = f"{_kind(members[name])} {node.pointer}{_masked(name, keys)}"
            bump_limited(self.undocumented, key, 1, 1)

    def conforming_totals(self, root: Node) -> Counts:
        """Add up the numbers from all conforming bodies. Return the totals, keyed by the strings in `root.counters`."""
        totals: Counts = {}
        for key, count in self.conforming.items():
            for counter, number in zip(root.counters, key.split(), strict=True):
                bump(totals, counter, int(number) * count)
        return totals

    def instances(self, root: Node) -> dict[str, int]:
        """Map the pointer of each documented object to the number of such objects in all counted bodies."""
        totals = self.conforming_totals(root)
        conforming = {"": totals.get("object ", 0)}
        for place in root.all_places():
            if place.child is not None:
                # A conforming body has one object per parent. Only the items of an array have a counter.
                in_parent = conforming[place.pointer.rpartition("/")[0]]
                conforming[place.child.pointer] = totals.get(f"object {place.child.pointer}", in_parent)
        return {pointer: count + self.walked.get(pointer, 0) for pointer, count in conforming.items()}


def _kind(value: Any) -> str:
    return NULL if value is None else json_type(value) or "number"


def _masked(name: str, keys: Iterable[str]) -> str:
    pointer = join("", name)
    for key in keys:
        pointer = mask_key(pointer, key) or pointer
    return mask_pointer(pointer) or pointer


@dataclass(slots=True)
class FieldTally:
    """The counts of one documented field."""

    instances: int = 0  # objects that could contain the field
    present: int = 0  # objects that contain the field
    non_null: int = 0  # objects that contain the field with a value other than null
    types: Counts = field(default_factory=dict)  # key: the JSON type of a value


def tally_fields(bodies: BodyCounts, root: Node) -> dict[str, FieldTally]:
    """Return the counts of each documented field, keyed by pointer, in the order of the documentation."""
    instances = bodies.instances(root)
    departures = by_pointer([*bodies.departures.items(), *bodies.conforming_totals(root).items()])
    tallies: dict[str, FieldTally] = {}
    for place in root.all_places():
        total = instances[place.pointer.rpartition("/")[0]]
        types = Counter(departures.get(place.pointer, {}))
        present = total - types.pop(ABSENT, 0)
        types[place.expected] += present - types.total()
        tallies[place.pointer] = FieldTally(total, present, present - types[NULL], +types)
    return tallies
