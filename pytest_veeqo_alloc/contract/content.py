"""The contents of bodies: Python objects whose attributes are the documented members. msgspec builds the valid ones.

`LenientContent` is for invalid bodies. The attribute of a member that is absent or has the wrong type is NaN if a number
is documented, a content without members if an object is documented, and otherwise None.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple

from pytest_veeqo_alloc.contract.arithmetic import number
from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.core.text import is_date_time

_LARGEST_TYPED = 2**63 - 1  # of the integers that msgspec compares
_OPEN_LEVELS = 40  # of arrays and objects in an array without documented items; deeper ones are walked


Typed = tuple[Any, tuple[int, ...]]
"""The content of an object that conforms to its schema, and the counts that `counters` names, in the same order."""


class _Decoding(NamedTuple):
    """The functions for objects of one shape. `decode` and `convert` raise one of `errors` for an invalid object."""

    decode: Callable[[bytes], Any]
    convert: Callable[[dict[str, Any]], Any]
    errors: tuple[type[Exception], ...]
    tally: Callable[[Any], tuple[tuple[int, ...], float, set[str], list[list[Any]]]]


def decode(body: bytes, shape: Shape) -> Typed | None:
    """Parse *body* as an object of *shape*. Return None if its JSON or structure might have a defect."""
    decoding = _decoding(shape)
    if decoding is None:
        return None
    try:
        content = decoding.decode(body)
    except decoding.errors:
        return None
    counts, quotes = _tally(content, decoding, set())
    return (content, counts) if quotes == _quotes_in(body) else None


def convert(members: dict[str, Any], shape: Shape, dates: set[str]) -> Typed | None:
    """Convert *members*, a parsed JSON object, to an object of *shape*. Return None if they might not conform.

    *dates* contains strings that were found to be valid date-times. This function adds the date-times in *members* to *dates*.
    """
    decoding = _decoding(shape)
    if decoding is None:
        return None
    try:
        content = decoding.convert(members)
    except decoding.errors:
        return None
    counts, quotes = _tally(content, decoding, dates)
    return (content, counts) if quotes < math.inf else None


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
    """Return the names of the counts in `Typed`: "object POINTER" or "null POINTER", with `*` for every array index."""
    return tuple(_counting_code(shape)[1])


def _tally(content: Any, decoding: _Decoding, known: set[str]) -> tuple[tuple[int, ...], float]:
    """Count the objects in *content*, and the quotes that its JSON text has if no object repeats a member.

    The number of quotes is infinite if a date-time is invalid, or if an array without documented items nests deeply or
    has large numbers. The strings in *known* are valid date-times. This function adds those in *content* to *known*.
    """
    counts, quotes, dates, open_arrays = decoding.tally(content)
    if open_arrays:
        quotes += sum(_quotes_of(array, _OPEN_LEVELS) for array in open_arrays)
    dates -= known
    if not all(map(is_date_time, dates)):
        return counts, math.inf
    known |= dates
    return counts, quotes


def _quotes_of(value: Any, levels: int) -> float:
    """Return the number of quotes in the JSON text of *value*. Return infinity for deep nesting or large numbers."""
    if isinstance(value, str):
        return 2
    if isinstance(value, (list, dict)):
        parts = value if isinstance(value, list) else (*value, *value.values())
        return sum(_quotes_of(part, levels - 1) for part in parts) if levels else math.inf
    return 0 if value is None or -_LARGEST_TYPED <= value <= _LARGEST_TYPED else math.inf


def _quotes_in(body: bytes) -> int | None:
    r"""Return the number of quotes in *body* that begin or end a string, or None if it is unknown.

    Without two backslashes in a row, every `\"` is a quote inside a string, and no other quote is.
    """
    if b"\\" not in body:
        return body.count(b'"')
    return None if b"\\\\" in body else body.count(b'"') - body.count(b'\\"')


def _counting_code(shape: Shape) -> tuple[str, dict[str, int]]:
    """Return the source of the function `tally` for objects of *shape*, and the number of quotes for each counter.

    The source calls no functions, since calls would take most of the time. Only objects in arrays have counters of their
    own.
    """
    quotes: dict[str, int] = {}
    statements = _statements(shape, "content", "", quotes)
    names = [f"n{number}" for number in range(len(quotes))]
    total = " + ".join(f"{name} * {count}" for name, count in zip(names, quotes.values(), strict=True))
    lines = [
        f"{' = '.join(names)} = 0",
        "n0, dates, open_arrays = 1, set(), []",
        *statements,
        f"return ({', '.join(names)},), {total}, dates, open_arrays",
    ]
    return "\n    ".join(["def tally(content):", *lines]), quotes


def _statements(shape: Shape, owner: str, pointer: str, quotes: dict[str, int]) -> list[str]:
    """Return statements that tally the object at *pointer* in the variable *owner*. Add its counters to *quotes*."""
    places = [*_places(shape, "")]
    quotes[f"object {pointer}"] = sum(4 if field.type == "string" else 2 for _, field in places)
    lines = []
    if dates := "".join(f"{owner}.{name}, " for name, field in places if field.is_datetime):
        lines.append(f"dates |= {{{dates}}}")
    opens = [f"{owner}.{name}" for name, field in places if field.type == "array" and not field.shape]
    if opens:
        lines.append(f"if {' or '.join(opens)}: open_arrays += {', '.join(opens)},")
    for name, field in places:
        inner = f"{pointer}/{name.replace('.', '/')}"
        if field.nullable:
            lines.append(f"if {owner}.{name} is None: n{len(quotes)} += 1")
            quotes[f"null {inner}"] = -2
        elif field.type == "array" and field.shape:
            item = f"item{len(quotes)}"
            lines += (f"n{len(quotes)} += len({owner}.{name})", f"for {item} in {owner}.{name}:")
            lines += (f"    {line}" for line in ["pass", *_statements(field.shape, item, f"{inner}/*", quotes)])
    return lines


def _places(shape: Shape, prefix: str) -> Iterator[tuple[str, Field]]:
    """Yield each field of *shape*, and of the objects in it but not in arrays, with its dotted path."""
    for name, field in shape.fields.items():
        yield f"{prefix}{name}", field
        if field.type == "object" and field.shape:
            yield from _places(field.shape, f"{prefix}{name}.")


@functools.cache
def _decoding(shape: Shape) -> _Decoding | None:
    """Return the functions for *shape*, or None on a platform where msgspec cannot be imported."""
    try:
        import msgspec
    except ImportError:
        return None
    struct, names = _struct(shape), dict[str, Any]()
    exec(_counting_code(shape)[0], names)  # noqa: S102  # made of the names in our own schema
    return _Decoding(
        msgspec.json.Decoder(struct).decode,
        functools.partial(msgspec.convert, type=struct),
        (msgspec.MsgspecError, RecursionError, UnicodeError),
        names["tally"],
    )


@functools.cache
def _struct(shape: Shape) -> type:
    from msgspec import defstruct

    members = [(name, _type(field)) for name, field in shape.fields.items()]
    return defstruct(shape.name, members, forbid_unknown_fields=True, gc=False)


def _type(field: Field) -> Any:
    """Return a type for the values of *field*. A value of this type breaks no rule."""
    from msgspec import Meta

    if field.type == "number":
        if field.is_id or field.is_quantity:
            return Annotated[int, Meta(ge=1, le=_LARGEST_TYPED)]
        limits = Meta(ge=0 if field.is_amount else -_LARGEST_TYPED, le=_LARGEST_TYPED)
        return Annotated[int, limits] | Annotated[float, limits]
    if field.type == "array":
        return list[_struct(field.shape)] if field.shape else list[Any]  # type: ignore[misc]  # a type made at run time
    if field.type == "object" and field.shape:
        return _struct(field.shape)
    documented: Any = {"string": str, "boolean": bool, None: None}[field.type]
    return documented | None if field.nullable else documented
