"""The response fields that a client uses: lists of them, and a view of an order that notes which fields are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Self

from pytest_veeqo_alloc.contract.findings import Finding
from pytest_veeqo_alloc.contract.rules import SUITE_RULES
from pytest_veeqo_alloc.core.json_pointer import generalise, join
from pytest_veeqo_alloc.core.text import nearest

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
        self._parents = {parent for pointer in self.pointers for parent in _parents(pointer)}
        self._whole = set(self.pointers) - self._parents

    def concern(self, pointer: str) -> bool:
        """Return whether the place *pointer* is a used field, contains a used field, or is part of a used object."""
        place = generalise(pointer)
        return place in self._parents or any(part in self._whole for part in (place, *_parents(place)))

    def concern_finding(self, finding: Finding) -> bool:
        """Return whether *finding* concerns the client. Only findings about fields of the response may not."""
        is_field = finding.side == "response" and finding.pointer is not None and finding.location == "body"
        return not is_field or finding.rule in _OF_THE_WHOLE_ORDER or self.concern(finding.pointer or "")


def _parents(pointer: str) -> Iterator[str]:
    """Yield the pointer of each object and array that contains *pointer*, from the inside to the whole body."""
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer


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
    """Return the text *old* of a list of used fields, with *fields* in it. Comments and the order of lines are kept.

    Fields that are not in *fields* are removed unless *keep* is true. *undocumented* members are added as comments.
    """
    found, lines = set(fields), []
    for line in (old or _HEADER).splitlines():
        pointer = line.partition("#")[0].strip()
        if (keep or not pointer or pointer in found) and not line.startswith(_UNDOCUMENTED):
            lines.append(line)
        found.discard(pointer)
    return (
        "\n".join([*lines, *sorted(found), *(f"{_UNDOCUMENTED}{pointer}" for pointer in sorted(undocumented))]) + "\n"
    )


class Tracker:
    """The fields that a client reads while it uses `order`, a read-only view of an order. Ends with the `with` block.

    The view is a `Mapping`, and its arrays are `Sequence` objects: neither is a `dict` or `list`.
    """

    def __init__(self, documented: Iterable[str], order: Any, on_close: Callable[[Tracker], object]) -> None:
        self._documented, self._on_close = frozenset(documented), on_close
        self._read: set[str] = set()
        self._is_open = True
        self.order = self.view(order)

    @property
    def fields(self) -> tuple[str, ...]:
        """The pointers of the documented fields that were read. An object is left out if a field in it was read."""
        return _innermost(self._read & self._documented)

    @property
    def undocumented(self) -> tuple[str, ...]:
        """The pointers of the other members that were read or looked for."""
        items = {pointer for pointer in self._read if pointer.endswith("/*")}
        return _innermost(self._read - self._documented - items)

    def view(self, value: Any, pointer: str = "") -> Any:
        """Return a view of *value*, which is at *pointer* in the order. Scalars are returned unchanged."""
        if isinstance(value, dict):
            return _TrackedObject(value, pointer, self)
        return _TrackedArray(value, f"{pointer}/*", self) if isinstance(value, list) else value

    def note(self, pointer: str) -> None:
        """Note that the client has read *pointer*, or has looked for it."""
        self._read.add(pointer)

    def close(self) -> None:
        """Report the fields to the run. Closing twice is allowed."""
        if self._is_open:
            self._is_open = False
            self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Tracker: {', '.join(self.fields) or 'no field'}>"


def _innermost(pointers: Iterable[str]) -> tuple[str, ...]:
    found = set(pointers)
    return tuple(sorted(found - {parent for pointer in found for parent in _parents(pointer)}))


class _View:
    """A read-only part of a tracked order. A copy is the view itself, so that reads of the copy are noted as well."""

    __slots__ = ("_pointer", "_tracker", "_value")
    __hash__ = None  # type: ignore[assignment]  # as for a dict and a list

    def __init__(self, value: Any, pointer: str, tracker: Tracker) -> None:
        self._value, self._pointer, self._tracker = value, pointer, tracker

    def __len__(self) -> int:
        return len(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tracked order cannot be pickled: the fields that are read from the copy would not be noted")

    def __repr__(self) -> str:
        return f"<tracked {'object' if isinstance(self._value, dict) else 'array'} at {self._pointer or 'the root'}>"


class _TrackedObject(_View, Mapping[str, Any]):
    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        pointer = join(self._pointer, str(name))
        self._tracker.note(pointer)
        return self._tracker.view(self._value[name], pointer)

    def __contains__(self, name: object) -> bool:
        self._tracker.note(join(self._pointer, str(name)))
        return name in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)


class _TrackedArray(_View, Sequence[Any]):
    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = self._value[index]
        if isinstance(index, slice):
            return [self._tracker.view(item, self._pointer) for item in found]
        return self._tracker.view(found, self._pointer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, _TrackedArray)) and list(self) == list(other)
