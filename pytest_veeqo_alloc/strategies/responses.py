"""How a generated order looks when Hypothesis prints it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.json_pointer import ABSENT, diff, mask_pointer
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.builder import DERIVED, VARIANTS, Variant, build_order, example_value
from pytest_veeqo_alloc.orders.observed import added_types, as_observed, nullable_pointers
from pytest_veeqo_alloc.spec.loader import response_shape
from pytest_veeqo_alloc.strategies.requests import (
    MAX_LINES,
    MAX_QUANTITY,
    MOST_UNITS,
    Ids,
    Payload,
    allocation_requests,
    id_strategy,
    line_numbers,
    one_of,
    whole_number,
)
from pytest_veeqo_alloc.strategies.values import ANYTHING, LARGEST_ID, NUMBERS, TEXTS, ValuePool, value_for
from pytest_veeqo_alloc.strategies.variations import (
    ANSWERING,
    BALANCED_VARIATIONS,
    PARTS,
    StoryConstraints,
    Variation,
    answered_story,
    documented_story,
    tell,
)

_MOST, _LONGEST = 25, 60


class GeneratedOrder(dict[str, Any]):
    """A plain dict whose repr tells, by JSON Pointer, what differs from the documented order.

    `dict(order)` is one without it, for what takes no subclass, such as `yaml.safe_dump`. Written out, an order of two lines fills ten screens, and Hypothesis warns of it.
    """

    def __repr__(self) -> str:
        changes = diff(build_order(), self)
        told = [f"{mask_pointer(pointer)}: {_short(value)}" for pointer, _, value in changes]
        more = f", and {len(told) - _MOST} more" if len(told) > _MOST else ""
        return f"<the documented order{' but ' if told else ''}{', '.join(told[:_MOST])}{more}>"


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} items"
    text = "absent" if value is ABSENT else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


_CHANGES = 64
_BYTES = st.binary(min_size=_CHANGES, max_size=_CHANGES)
_SHORT = st.binary(min_size=6, max_size=6)
# Letters of several scripts, marks, quotes, controls. All of Unicode would cost each fresh checkout a second, for the
# table of it that Hypothesis makes, in the first example of somebody else's test.
_TEXT = st.text(
    "abcXYZ 019.,-_/\\\"'<>&%{}[]\n\t\x00\x7f\u00e4\u00df\u00e9\u0416\u044f\u6f22\u0645\u0631\u0301\u200b\u202e\U0001f4e6\U0001d54f",
    max_size=30,
)
_ID = st.integers(min_value=1, max_value=LARGEST_ID - 16)
_NUMBER = st.integers(min_value=-(10**9), max_value=10**9).map(lambda hundredths: hundredths / 100)
# What may be wrong with a request and still leaves no doubt about what it asks for.
_ANSWERABLE = {"duplicate-sellable": "off", "undocumented-field": "off"}
_NEW_NAMES = ("new_field", "is_new?", "with space", "a/b~c", "\u043a\u043b\u044e\u0447", "", "newField", "x" * 200)


def allocation_responses(
    *,
    request: Mapping[str, Any] | None = None,
    order_ids: Ids = None,
    warehouse_ids: Ids = None,
    sellable_ids: Ids = None,
    min_lines: int = 1,
    max_lines: int = MAX_LINES,
    max_quantity: int = MAX_QUANTITY,
    complete: bool | None = None,
    variant: Variant = "documented",
    extra_fields: bool = False,
) -> st.SearchStrategy[GeneratedOrder]:
    """Valid bodies of the 201: full orders in which every field varies and every equation holds.

    *request* is the body of the request that the order answers; then lines and warehouse are what was asked for, and the
    sellables and limits given here do not count. *order_ids*, *warehouse_ids* and *sellable_ids* are sequences or
    strategies. *max_quantity* bounds a quantity at a time; earlier allocations and units that could not be allocated
    are ordered on top. *complete* asks for orders that are allocated
    completely, or not. *variant* `observed` has the key set that the live API was seen to have in 2026, which the
    contract takes only with the deviations `observed`. *extra_fields* adds undocumented members anywhere, which a
    client must ignore and the profile `strict` refuses. Raises InvalidArgument, at once and in one sentence.
    """
    one_of("variant", variant, VARIANTS)
    one_of("complete", complete, (True, False, None))
    one_of("extra_fields", extra_fields, (True, False))
    whole_number("max_quantity", max_quantity, MOST_UNITS)
    least, most = line_numbers(min_lines, max_lines, sellable_ids)
    if request is not None and not (
        isinstance(request, Mapping) and Engine("strict", rules=_ANSWERABLE).check_body("request", request).ok
    ):
        raise InvalidArgument("request takes the valid body of a request, as allocation_requests() makes them")
    given = {"order_ids": order_ids, "warehouse_ids": warehouse_ids, "sellable_ids": sellable_ids}
    pools = {name: None if ids is None else id_strategy(name, ids) for name, ids in given.items()}
    terms = StoryConstraints(**pools, least_lines=least, most_lines=most, max_quantity=max_quantity, complete=complete)
    free_leaves()  # the schema is read now rather than in the first example, which has a time to keep to
    return _orders(terms, request, PARTS if request is None else ANSWERING, variant=variant, extra=extra_fields)


def allocation_interactions(
    *,
    order_ids: Ids = None,
    warehouse_ids: Ids = None,
    sellable_ids: Ids = None,
    min_lines: int = 1,
    max_lines: int = MAX_LINES,
    max_quantity: int = MAX_QUANTITY,
    complete: bool | None = None,
    variant: Variant = "documented",
    extra_fields: bool = False,
) -> st.SearchStrategy[Interaction]:
    """A valid request and the response that answers it, with method, URL, headers and bodies as bytes.

    The arguments are those of `allocation_requests` and `allocation_responses`.
    """
    limits = {"min_lines": min_lines, "max_lines": max_lines, "max_quantity": max_quantity}
    answering = {"complete": complete, "variant": variant, "extra_fields": extra_fields}
    requests = allocation_requests(warehouse_ids=warehouse_ids, sellable_ids=sellable_ids, **limits)  # type: ignore[arg-type]  # the values are of their own types
    allocation_responses(**limits, **answering)  # type: ignore[arg-type]  # made only to refuse wrong arguments at once
    ids = id_strategy("order_ids", order_ids)
    warehouses = None if warehouse_ids is None else id_strategy("warehouse_ids", warehouse_ids)
    terms = StoryConstraints(ids, warehouses, None, 1, max_lines, max_quantity, complete)
    return _interactions(requests, terms, variant, extra_fields)


def orders_to_break() -> st.SearchStrategy[GeneratedOrder]:
    """Valid orders in which every equation has all its operands, so that each can be broken."""
    return _orders(StoryConstraints(None, None, None, 1, 3, MAX_QUANTITY, None), None, BALANCED_VARIATIONS)


@st.composite
def _interactions(
    draw: st.DrawFn, requests: st.SearchStrategy[Payload], terms: StoryConstraints, variant: Variant, extra: bool
) -> Interaction:
    sent = draw(requests)
    order = draw(_orders(terms, sent, ANSWERING, variant=variant, extra=extra))
    url = f"https://api.example.com/orders/{order['id']}"
    json_type = ("content-type", "application/json;charset=utf-8")
    return Interaction(
        Request("POST", f"{url}/allocations", (json_type, ("x-api-key", "example-key")), json.dumps(sent).encode()),
        Response(201, (json_type, ("location", url)), json.dumps(order).encode()),
        "strategy",
    )


@st.composite
def _orders(
    draw: st.DrawFn,
    terms: StoryConstraints,
    request: Mapping[str, Any] | None,
    parts: tuple[Variation, ...],
    *,
    variant: Variant = "documented",
    extra: bool = False,
) -> GeneratedOrder:
    leaves = free_leaves()
    # The position counts too, since Hypothesis likes to repeat a byte.
    places = [(at, (code + 37 * at) % 256) for at, code in enumerate(draw(_BYTES)) if code]
    changed = [(at, leaves[place]) for at, place in places if place < len(leaves)]
    chosen = {parts[(code + 7 * at) % len(parts)] for at, code in enumerate(draw(_SHORT)) if code}
    chosen |= {parts[(place + at) % len(parts)] for at, place in places if place >= len(leaves)}
    story = documented_story(draw, terms) if request is None else answered_story(draw, terms, request)
    story = tell(draw, story, chosen, terms)
    # Drawn after the story: where the last change goes, so do these, and no other draw changes its place.
    values = _values(draw, changed) if changed else None
    order = GeneratedOrder(build_order(story, leaves=values))
    if variant == "observed":
        _observed(draw, order)
    if extra:
        _add_fields(draw, order)
    return order


def _values(draw: st.DrawFn, changed: list[tuple[int, tuple[str, Field]]]) -> dict[tuple[str, str], Any]:
    """A value for each changed field, which the byte at its position chooses."""
    what, palette = draw(_BYTES), ValuePool((draw(_TEXT), draw(_TEXT)), (draw(_ID),), (draw(_NUMBER),))
    return {
        (shape, field.name): value_for(field, example_value(shape, field.name), what[at], palette)
        for at, (shape, field) in changed
    }


def _observed(draw: st.DrawFn, order: GeneratedOrder) -> None:
    """Today's key set; which of its nulls there are, and a value for some of its additions, is drawn."""
    which, what = draw(_SHORT), draw(_SHORT)
    nullable, added = nullable_pointers(), list(added_types().items())
    nulls = [nullable[code % len(nullable)] for code in which if code]
    values = {}
    for code in what:
        pointer, types = added[code % len(added)]
        if code:
            values[pointer] = _of_type(types[code % len(types)], code)
    as_observed(order, nulls=nulls, values=values)


def _of_type(kind: str, code: int) -> Any:
    if kind == "string":
        return TEXTS[code % len(TEXTS)]
    if kind == "number":
        return NUMBERS[code % len(NUMBERS)]
    return {"null": None, "boolean": True, "object": {"id": code}, "array": [code]}[kind]


def _add_fields(draw: st.DrawFn, order: GeneratedOrder) -> None:
    objects = list(_objects(order))
    for code in draw(st.binary(min_size=1, max_size=8)):
        owner, name = objects[code % len(objects)], _NEW_NAMES[code % len(_NEW_NAMES)]
        if name not in owner:
            owner[name] = ANYTHING[code % len(ANYTHING)]()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of an order, in a fixed sequence; the root first, to which examples shrink."""
    if isinstance(value, dict):
        yield value
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _objects(each)


@functools.cache
def free_leaves() -> tuple[tuple[str, Field], ...]:
    """Every documented field that follows from no story, with the name of its shape; told from the schema. One byte
    names each of them, and there are fewer than 256."""
    leaves: dict[tuple[str, str], tuple[str, Field]] = {}

    def collect(shape: Shape) -> None:
        for field in shape.fields.values():
            if field.name not in DERIVED.get(shape.name, frozenset()):
                leaves[shape.name, field.name] = (shape.name, field)
        for _, _, child in shape.children:
            collect(child)

    collect(response_shape())
    return tuple(leaves.values())
