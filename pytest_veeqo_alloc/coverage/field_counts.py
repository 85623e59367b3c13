"""What of the documented bodies was seen: counts by place, never values.

A body in which all is as documented has every field wherever the object that holds it stands, so of such a body only the
objects in arrays are counted, and the few texts that may be null. Any other is walked member by member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.structure import json_type
from pytest_veeqo_alloc.core.json_pointer import hidden, join, shown

ABSENT, NULL = "absent", "null"
OTHERS = "(others)"
"""What stands for the undocumented members beyond the first `MOST`. No pointer reads so."""
MAX_NAMES = 500


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """One documented member at one place: its pointer with `*` for an index, what is documented, and its holder."""

    pointer: str
    holder: str
    shape: str
    field: Field

    @property
    def expected(self) -> str:
        """The JSON type that is nothing out of the ordinary here; `null` where no type is documented."""
        return self.field.type or NULL


@dataclass(frozen=True, slots=True)
class Node:
    """A documented object at one place: its members, the objects in it, and what has to be counted of a clean body.

    That is the items of `arrays` and the nulls of `texts`, each a path through objects and the slot that it is counted
    in; `slots` says what every slot is for, as `KIND POINTER`.
    """

    pointer: str
    places: tuple[FieldPlace, ...]
    children: Mapping[str, Node]
    rows: tuple[tuple[str, str, str, Node | None], ...]
    arrays: tuple[tuple[tuple[str, ...], int, Node], ...]
    texts: tuple[tuple[tuple[str, ...], int], ...]
    counters: Sequence[str]

    def nodes(self) -> Iterator[Node]:
        """It and every one below it."""
        yield self
        for child in self.children.values():
            yield from child.nodes()


def build_field_tree(shape: Shape, pointer: str = "", counters: list[str] | None = None) -> Node:
    """Every place of *shape*, whose instances stand at *pointer*."""
    counters = ["object "] if counters is None else counters
    places = tuple(FieldPlace(f"{pointer}/{name}", pointer, shape.name, each) for name, each in shape.fields.items())
    children: dict[str, Node] = {}
    arrays: list[tuple[tuple[str, ...], int, Node]] = []
    texts: list[tuple[tuple[str, ...], int]] = []
    for place in places:
        if place.field.type and place.field.nullable:
            texts.append(((place.field.name,), len(counters)))
            counters.append(f"{NULL} {place.pointer}")
    for name, is_array, inner in shape.children:
        if is_array:
            slot = len(counters)
            counters.append(f"object {pointer}/{name}/*")
            children[name] = build_field_tree(inner, f"{pointer}/{name}/*", counters)
            arrays.append(((name,), slot, children[name]))
        else:
            child = children[name] = build_field_tree(inner, f"{pointer}/{name}", counters)
            arrays += (((name, *path), slot, node) for path, slot, node in child.arrays)
            texts += (((name, *path), slot) for path, slot in child.texts)
    rows = tuple((p.field.name, p.pointer, p.expected, children.get(p.field.name)) for p in places)
    return Node(pointer, places, children, rows, tuple(arrays), tuple(texts), counters)


Counts = dict[str, int]
"""Numbers by what was counted. A check makes several, and a Counter costs ten times as much to make."""


def bump(counted: Counts, key: str, by: int = 1) -> None:
    """Counts *key* once more."""
    counted[key] = counted.get(key, 0) + by


def add(counted: Counts, more: Mapping[str, int]) -> None:
    """Adds *more* to what was counted."""
    for key, count in more.items():
        bump(counted, key, count)


@dataclass(slots=True)
class BodyCounts:
    """Counts of bodies of one side. `clean` has the numbers in the slots of a body in which all is as documented, `walked`
    the objects of others by their place, `odd` what was not as documented in them (`KIND POINTER`, KIND being a JSON type
    or `absent`), `extra` undocumented members likewise."""

    clean: Counts = field(default_factory=dict)
    walked: Counts = field(default_factory=dict)
    odd: Counts = field(default_factory=dict)
    extra: Counts = field(default_factory=dict)

    def add(self, other: BodyCounts) -> None:
        """Adds the counts of *other*."""
        add(self.clean, other.clean)
        add(self.walked, other.walked)
        add(self.odd, other.odd)
        for key, count in other.extra.items():
            self._extra(key, count)

    def count_clean(self, members: dict[str, Any], root: Node) -> None:
        """Counts a body that departs in nothing from what is documented."""
        numbers = [1, *[0] * (len(root.counters) - 1)]
        _fill(numbers, members, root)
        bump(self.clean, " ".join(map(str, numbers)))

    def count(self, members: dict[str, Any], node: Node, keys: Iterable[str] = ()) -> None:
        """Counts any other body. A name that holds one of *keys* is masked, as is one that may not be shown."""
        bump(self.walked, node.pointer)
        known = 0
        for name, pointer, expected, child in node.rows:
            if name not in members:
                bump(self.odd, f"{ABSENT} {pointer}")
                continue
            known += 1
            kind = _kind(members[name])
            if kind != expected:
                bump(self.odd, f"{kind} {pointer}")
            elif child is not None:
                self._count_inner(members[name], child, keys)
        if len(members) > known:
            for name in members.keys() - {row[0] for row in node.rows}:
                self._extra(f"{_kind(members[name])} {node.pointer}{_masked(name, keys)}", 1)

    def _count_inner(self, value: Any, child: Node, keys: Iterable[str]) -> None:
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):  # one that is not has its finding, and no members to be counted
                self.count(item, child, keys)

    def _extra(self, key: str, count: int) -> None:
        if key not in self.extra and len(self.extra) >= MAX_NAMES:
            key = f"{key.partition(' ')[0]} {OTHERS}"
        bump(self.extra, key, count)

    def counters(self, root: Node) -> Counts:
        """What the slots of all clean bodies add up to."""
        found: Counts = {}
        for key, count in self.clean.items():
            for slot, number in zip(root.counters, key.split(), strict=True):
                bump(found, slot, int(number) * count)
        return found

    def instances(self, root: Node) -> dict[str, int]:
        """How many objects there were at each place."""
        found: dict[str, int] = {}
        counters = self.counters(root)

        def descend(node: Node, clean: int) -> None:
            # In a clean body, what is no item of an array stands wherever its holder does.
            clean = counters.get(f"object {node.pointer}", clean)
            found[node.pointer] = clean + self.walked.get(node.pointer, 0)
            for child in node.children.values():
                descend(child, clean)

        descend(root, 0)
        return found


def _fill(numbers: list[int], members: dict[str, Any], node: Node) -> None:
    for path, slot, inner in node.arrays:
        items: Any = members
        for name in path:
            items = items[name]
        numbers[slot] += len(items)
        if inner.arrays or inner.texts:
            for item in items:
                _fill(numbers, item, inner)
    for path, slot in node.texts:
        value: Any = members
        for name in path:
            value = value[name]
        numbers[slot] += value is None


@dataclass(slots=True)
class FieldTally:
    """What was seen of one field: how often it was looked for, there, not null, and of which types."""

    instances: int = 0
    present: int = 0
    non_null: int = 0
    types: Counter[str] = field(default_factory=Counter)


def tally_fields(bodies: BodyCounts, root: Node) -> dict[str, FieldTally]:
    """The tally of every documented field, by pointer, in the order of the page."""
    instances = bodies.instances(root)
    found: dict[str, FieldTally] = {}
    odd: dict[str, dict[str, int]] = {}
    for source in (bodies.odd, bodies.counters(root)):
        for key, count in source.items():
            kind, _, pointer = key.partition(" ")
            kinds = odd.setdefault(pointer, {})
            kinds[kind] = kinds.get(kind, 0) + count
    for node in root.nodes():
        for place in node.places:
            total = instances[node.pointer]
            kinds = odd.get(place.pointer, {})
            present = total - kinds.get(ABSENT, 0)
            types = Counter({kind: count for kind, count in kinds.items() if kind != ABSENT})
            types[place.expected] += present - types.total()
            found[place.pointer] = FieldTally(total, present, present - types[NULL], +types)
    return found


def _kind(value: Any) -> str:
    return NULL if value is None else json_type(value) or "number"


def _masked(name: str, keys: Iterable[str]) -> str:
    """*name* as the last part of a pointer, as far as it may be shown."""
    pointer = join("", name)
    for key in keys:
        pointer = hidden(pointer, key) or pointer
    return shown(pointer) or pointer
