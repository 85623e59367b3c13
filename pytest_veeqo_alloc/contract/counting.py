"""What of the documented bodies was seen: counts by place, never values.

A body in which all is as documented has every field wherever the object that holds it stands, so of such a body only the
objects in arrays are counted, and the few texts that may be null. Any other is walked member by member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_veeqo_alloc.contract.pointer import hidden, join, shown
from pytest_veeqo_alloc.contract.table import Field, Shape
from pytest_veeqo_alloc.contract.walk import json_type

ABSENT, NULL = "absent", "null"
OTHERS = "(others)"
"""What stands for the undocumented members beyond the first `MOST`. No pointer reads so."""
MOST = 500


@dataclass(frozen=True, slots=True)
class Place:
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
    """A documented object at one place: its members, the objects in it, and what has to be counted of a clean one."""

    pointer: str
    places: tuple[Place, ...]
    children: Mapping[str, Node]
    rows: tuple[tuple[str, str, str, Node | None], ...]
    arrays: tuple[tuple[tuple[str, ...], Node], ...]
    texts: tuple[tuple[tuple[str, ...], str, str], ...]

    def nodes(self) -> Iterator[Node]:
        """It and every one below it."""
        yield self
        for child in self.children.values():
            yield from child.nodes()


def chart(shape: Shape, pointer: str = "") -> Node:
    """Every place of *shape*, whose instances stand at *pointer*."""
    places = tuple(Place(f"{pointer}/{name}", pointer, shape.name, each) for name, each in shape.fields.items())
    children: dict[str, Node] = {}
    arrays: list[tuple[tuple[str, ...], Node]] = []
    texts = [((), each.field.name, each.pointer) for each in places if each.field.type and each.field.nullable]
    for name, is_array, inner in shape.children:
        child = children[name] = chart(inner, f"{pointer}/{name}/*" if is_array else f"{pointer}/{name}")
        if is_array:
            arrays.append(((name,), child))
        else:
            arrays += (((name, *path), node) for path, node in child.arrays)
            texts += (((name, *path), text, where) for path, text, where in child.texts)  # type: ignore[misc]  # paths of any length
    rows = tuple((p.field.name, p.pointer, p.expected, children.get(p.field.name)) for p in places)
    return Node(pointer, places, children, rows, tuple(arrays), tuple(texts))


@dataclass(slots=True)
class Bodies:
    """Counts of bodies of one side. `clean` and `walked` have objects by their place, `odd` what was not as documented
    (`KIND POINTER`, KIND being a JSON type or `absent`), `extra` undocumented members likewise."""

    clean: Counter[str] = field(default_factory=Counter)
    walked: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)

    def add(self, other: Bodies) -> None:
        """Adds the counts of *other*."""
        self.clean.update(other.clean)
        self.walked.update(other.walked)
        self.odd.update(other.odd)
        for key, count in other.extra.items():
            self._extra(key, count)

    def count_clean(self, members: dict[str, Any], node: Node) -> None:
        """Counts a body that departs in nothing from what is documented."""
        self.clean[node.pointer] += 1
        self._count_clean(members, node)

    def count(self, members: dict[str, Any], node: Node, keys: Iterable[str] = ()) -> None:
        """Counts any other body. A name that holds one of *keys* is masked, as is one that may not be shown."""
        self.walked[node.pointer] += 1
        known = 0
        for name, pointer, expected, child in node.rows:
            if name not in members:
                self.odd[f"{ABSENT} {pointer}"] += 1
                continue
            known += 1
            kind = _kind(members[name])
            if kind != expected:
                self.odd[f"{kind} {pointer}"] += 1
            elif child is not None:
                self._count_inner(members[name], child, keys)
        if len(members) > known:
            for name in members.keys() - {row[0] for row in node.rows}:
                self._extra(f"{_kind(members[name])} {_masked(join(node.pointer, name), keys)}", 1)

    def _count_inner(self, value: Any, child: Node, keys: Iterable[str]) -> None:
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                self.count(item, child, keys)
            else:
                self.odd[f"{_kind(item)} {child.pointer}"] += 1

    def _count_clean(self, members: dict[str, Any], node: Node) -> None:
        for path, inner in node.arrays:
            items: Any = members
            for name in path:
                items = items[name]
            self.clean[inner.pointer] += len(items)
            if inner.arrays or inner.texts:
                for item in items:
                    self._count_clean(item, inner)
        for path, name, pointer in node.texts:
            holder: Any = members
            for step in path:
                holder = holder[step]
            if holder[name] is None:
                self.odd[f"{NULL} {pointer}"] += 1

    def _extra(self, key: str, count: int) -> None:
        if key not in self.extra and len(self.extra) >= MOST:
            key = f"{key.partition(' ')[0]} {OTHERS}"
        self.extra[key] += count

    def instances(self, root: Node) -> dict[str, int]:
        """How many objects there were at each place."""
        found: dict[str, int] = {}

        def descend(node: Node, clean: int) -> None:
            # In a clean body, what is no item of an array stands wherever its holder does.
            found[node.pointer] = clean + self.walked[node.pointer]
            for child in node.children.values():
                descend(child, self.clean[child.pointer] if child.pointer.endswith("*") else clean)

        descend(root, self.clean[root.pointer])
        return found


@dataclass(slots=True)
class Tally:
    """What was seen of one field: how often it was looked for, there, not null, and of which types."""

    looked_at: int = 0
    present: int = 0
    non_null: int = 0
    types: Counter[str] = field(default_factory=Counter)


def tallies(bodies: Bodies, root: Node) -> dict[str, Tally]:
    """The tally of every documented field, by pointer, in the order of the page."""
    instances = bodies.instances(root)
    found: dict[str, Tally] = {}
    odd: dict[str, dict[str, int]] = {}
    for key, count in bodies.odd.items():
        kind, _, pointer = key.partition(" ")
        odd.setdefault(pointer, {})[kind] = count
    for node in root.nodes():
        for place in node.places:
            looked_at = instances[node.pointer]
            kinds = odd.get(place.pointer, {})
            present = looked_at - kinds.get(ABSENT, 0)
            types = Counter({kind: count for kind, count in kinds.items() if kind != ABSENT})
            types[place.expected] += present - types.total()
            found[place.pointer] = Tally(looked_at, present, present - types[NULL], +types)
    return found


def _kind(value: Any) -> str:
    return _KINDS.get(type(value)) or json_type(value) or "number"


_KINDS = {
    type(None): NULL,
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


def _masked(pointer: str, keys: Iterable[str]) -> str:
    for key in keys:
        pointer = hidden(pointer, key) or pointer
    return shown(pointer) or pointer
