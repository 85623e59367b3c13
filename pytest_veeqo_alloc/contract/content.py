"""The contents of bodies: Python objects whose attributes are the documented members. msgspec builds the valid ones.

`LenientContent` is for other bodies. If a member is absent or has the wrong type, its attribute is NaN (documented as
a number), a content without members (documented as an object) or None (otherwise).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

from pytest_veeqo_alloc.contract.arithmetic import number
from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.core.text import is_date_time

Getter = Callable[[Any], Any]

_LARGEST_TYPED = 2**63 - 1  # of the integers that msgspec compares
_OPEN_LEVELS = 40  # of arrays and objects in an array without documented items; deeper ones are walked


class Typed(NamedTuple):
    """The content of an object that conforms to its schema. `counts` are numbers in the order of `counters`."""

    content: Any
    counts: tuple[int, ...]
    open_quotes: float  # in the JSON text of the arrays whose items have no documented type


class _Group(NamedTuple):
    """The root of a body, or all items of the arrays at one pointer. An object in an object is part of its owner."""

    pointer: str
    parent: int  # the number of the group whose objects contain the array, from 1
    items: Getter  # returns the array in an object of the parent
    quotes: int  # in the JSON text of an object, without those of its arrays and of null values
    dates: Getter | None  # returns the date-times of an object as a tuple
    opens: Getter | None  # returns the arrays of an object whose items have no documented type, as a tuple
    nullables: tuple[tuple[str, Getter], ...]  # for each member that may be null: pointer, and function of its value


def decode(body: bytes, shape: Shape) -> Typed | None:
    """Parse *body* as an object of *shape*. Return None if its JSON or structure might have a defect."""
    kit = _msgspec()
    if kit is None:
        return None
    try:
        content = _decoder(shape)(body)
    except (kit.MsgspecError, RecursionError, UnicodeError):
        return None
    typed = _typed(content, shape, set())
    return typed if typed is not None and _repeats_no_member(body, typed, shape) else None


def convert(members: dict[str, Any], shape: Shape, dates: set[str]) -> Typed | None:
    """Convert *members*, a parsed JSON object, to an object of *shape*. Return None if they might not conform.

    *dates* contains strings that were found to be valid date-times. This function adds the date-times in *members*.
    """
    kit = _msgspec()
    if kit is None:
        return None
    try:
        content = kit.convert(members, _struct(shape))
    except (kit.MsgspecError, RecursionError, UnicodeError):
        return None
    return _typed(content, shape, dates)


class LenientContent:
    """The content of an object that may not conform to *shape*. *children* maps member names to contents."""

    def __init__(self, members: dict[str, Any], shape: Shape, children: dict[str, Any]) -> None:
        self._members, self._shape = members, shape
        self.__dict__.update(children)

    def __getattr__(self, name: str) -> Any:
        """Return the value of a member on its first use, and keep it."""
        field, value = self._shape.fields[name], self._members.get(name)
        if field.shape is not None:  # a child would have been found
            value = absent(field.shape) if field.type == "object" else None
        elif field.type == "number":
            value = math.nan if (known := number(value)) is None else known
        elif not isinstance(value, bool if field.type == "boolean" else str):
            value = None
        self.__dict__[name] = value
        return value


@functools.cache
def absent(shape: Shape) -> LenientContent:
    """Return the content to use if an object of *shape* is absent."""
    return LenientContent({}, shape, {})


def counters(shape: Shape) -> tuple[str, ...]:
    """Name the counts in `Typed.counts`: "object POINTER" or "null POINTER", with `*` for every array index."""
    return tuple(
        f"{kind} {pointer}"
        for group in _groups(shape)
        for kind, pointer in (("object", group.pointer), *(("null", pointer) for pointer, _ in group.nullables))
    )


def _typed(content: Any, shape: Shape, known: set[str]) -> Typed | None:
    """Count the objects in *content*. Return None if a date-time is invalid and not *known*, or an array nests deeply."""
    found: list[list[Any]] = [[content]]
    counts: list[int] = []
    dates: set[str] = set()
    open_quotes = 0.0
    for _, parent, items_of, _, dates_of, opens_of, nullables in _groups(shape):
        objects: list[Any] = []
        for owner in found[parent]:
            objects += items_of(owner)
        found.append(objects)
        counts.append(len(objects))
        for _, value_of in nullables:
            counts.append([*map(value_of, objects)].count(None))
        if dates_of is not None:
            for item in objects:
                dates.update(dates_of(item))
        if opens_of is not None:
            for item in objects:
                for array in filter(None, opens_of(item)):
                    open_quotes += _quotes_in(array, _OPEN_LEVELS)
    dates -= known
    if not all(map(is_date_time, dates)) or open_quotes == math.inf:
        return None
    known |= dates
    return Typed(content, tuple(counts), open_quotes)


def _quotes_in(value: Any, levels: int) -> float:
    """Return the number of quotes in the JSON text of *value*. Return infinity for deep nesting or large numbers."""
    if isinstance(value, str):
        return 2
    if isinstance(value, (list, dict)):
        parts = value if isinstance(value, list) else (*value, *value.values())
        return sum(_quotes_in(part, levels - 1) for part in parts) if levels else math.inf
    return 0 if value is None or -_LARGEST_TYPED <= value <= _LARGEST_TYPED else math.inf


def _repeats_no_member(body: bytes, typed: Typed, shape: Shape) -> bool:
    r"""Return true if no object in *body* repeats a member, judged by the number of quotes; false if this is unknown.

    Without two backslashes in a row, every `\"` is a quote inside a string, and no other quote is.
    """
    if b"\\" not in body:
        quotes = body.count(b'"')
    elif b"\\\\" not in body:
        quotes = body.count(b'"') - body.count(b'\\"')
    else:
        return False
    return quotes == typed.open_quotes + sum(map(int.__mul__, typed.counts, _weights(shape)))


@functools.cache
def _weights(shape: Shape) -> tuple[int, ...]:
    return tuple(chain.from_iterable((group.quotes, *(-2 for _ in group.nullables)) for group in _groups(shape)))


@functools.cache
def _groups(shape: Shape) -> tuple[_Group, ...]:
    """Return the groups in a body of *shape*. A parent precedes its children."""
    groups: list[_Group] = []
    pending: list[tuple[Shape, str, int, Getter]] = [(shape, "", 0, lambda root: (root,))]
    while pending:
        inner, pointer, parent, items = pending.pop()
        places = [*_places(inner, "")]
        dates = [name for name, field in places if field.is_datetime]
        opens = [name for name, field in places if field.type == "array" and not field.shape]
        groups.append(
            _Group(
                pointer,
                parent,
                items,
                quotes=sum(4 if field.type == "string" else 2 for _, field in places),
                dates=_values_of(dates),
                opens=_values_of(opens),
                nullables=tuple(
                    (f"{pointer}/{name.replace('.', '/')}", attrgetter(name))
                    for name, field in places
                    if field.nullable
                ),
            )
        )
        pending += (
            (field.shape, f"{pointer}/{name.replace('.', '/')}/*", len(groups), attrgetter(name))
            for name, field in places
            if field.type == "array" and field.shape
        )
    return tuple(groups)


def _values_of(names: list[str]) -> Getter | None:
    if len(names) == 1:  # with one name, attrgetter returns no tuple
        value_of = attrgetter(*names)
        return lambda item: (value_of(item),)
    return attrgetter(*names) if names else None


def _places(shape: Shape, prefix: str) -> Iterator[tuple[str, Field]]:
    """Yield each field of *shape*, and of the objects in it but not in arrays, with its dotted path."""
    for name, field in shape.fields.items():
        yield f"{prefix}{name}", field
        if field.type == "object" and field.shape:
            yield from _places(field.shape, f"{prefix}{name}.")


@functools.cache
def _msgspec() -> Any:
    """Return the module msgspec, or None on a platform where it cannot be imported."""
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec


@functools.cache
def _decoder(shape: Shape) -> Callable[[bytes], Any]:
    decoder: Callable[[bytes], Any] = _msgspec().json.Decoder(_struct(shape)).decode
    return decoder


@functools.cache
def _struct(shape: Shape) -> type:
    members = [(name, _type(field)) for name, field in shape.fields.items()]
    struct: type = _msgspec().defstruct(shape.name, members, forbid_unknown_fields=True, gc=False)
    return struct


def _type(field: Field) -> Any:
    """Return the type of the values of *field* about which no rule reports anything."""
    meta = _msgspec().Meta
    if field.type == "number":
        if field.is_id or field.is_quantity:
            return Annotated[int, meta(ge=1, le=_LARGEST_TYPED)]
        limits = meta(ge=0 if field.is_amount else -_LARGEST_TYPED, le=_LARGEST_TYPED)
        return Annotated[int, limits] | Annotated[float, limits]
    if field.type == "array":
        return list[_struct(field.shape)] if field.shape else list[Any]  # type: ignore[misc]  # a type made at run time
    if field.type == "object" and field.shape:
        return _struct(field.shape)
    documented: Any = {"string": str, "boolean": bool, None: None}[field.type]
    return documented | None if field.nullable else documented
