"""Hypothesis strategies for valid response bodies (complete orders) and for interactions."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from pytest_veeqo_alloc.contract.arithmetic import ONLY_VARIANT
from pytest_veeqo_alloc.contract.field_table import Field
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.json_pointer import ABSENT, diff, join, mask_pointer, split
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.builder import (
    VARIANTS,
    Variant,
    as_observed,
    build_order,
    example_value,
    nullable_pointers,
    observed_types,
)
from pytest_veeqo_alloc.spec.loader import field_trees
from pytest_veeqo_alloc.strategies.requests import (
    MAX_LINES,
    MAX_QUANTITY,
    Ids,
    Payload,
    allocation_requests,
    check_choice,
    check_limits,
    id_strategy,
)
from pytest_veeqo_alloc.strategies.values import (
    ANYTHING,
    DATES,
    IDS,
    LARGEST_ID,
    NEW_NAMES,
    NUMBERS,
    REALISTIC_TEXTS,
    TEXTS,
    ValuePool,
    valid_value,
)
from pytest_veeqo_alloc.strategies.variations import (
    ANSWER_VARIATIONS,
    BALANCED_VARIATIONS,
    NINE_DIGITS,
    REALISTIC_WAREHOUSES,
    VARIATIONS,
    StoryConstraints,
    Variation,
    draw_realistic_story,
    draw_story,
    realistic_limits,
)

_BYTES = st.binary(min_size=64, max_size=64)
_FEW_BYTES = st.binary(min_size=6, max_size=6)
_MORE_BYTES = st.binary(min_size=32, max_size=32)
# Not all of Unicode: Hypothesis would first build a table of all characters, which takes a second.
_TEXT = st.text(
    "abcXYZ 019.,-_/\\\"'<>&%{}[]\n\t\x00\x7f\u00e4\u00df\u00e9\u0416\u044f\u6f22\u0645\u0631\u0301\u200b\u202e\U0001f4e6\U0001d54f",
    max_size=30,
)
_ID = st.integers(min_value=1, max_value=LARGEST_ID - 16)
_NUMBER = st.integers(min_value=-(10**9), max_value=10**9).map(lambda hundredths: hundredths / 100)
# A request that breaks only these rules still determines the allocation.
_ANSWERABLE = {"duplicate-sellable": "off", "undocumented-field": "off"}
_MAX_DIFFERENCES, _MAX_LENGTH = 25, 60
_ONLY_VARIANT_TITLES = {
    f"/{lines}/*/sellable/{name}": title
    for lines in ("allocations/*/line_items", "line_items")
    for name, title in (("title", ONLY_VARIANT), ("sellable_title", ""))
}


class GeneratedOrder(dict[str, Any]):
    """A generated order. Its repr shows only what differs from the documented example.

    To write an order as YAML, dump `dict(order)`.
    """

    def __repr__(self) -> str:
        changes = _changes(build_order(), self, "")
        different = [f"{mask_pointer(pointer)}: {_short(value)}" for pointer, value in changes]
        listed, more = different[:_MAX_DIFFERENCES], len(different) - _MAX_DIFFERENCES
        suffix = f", and {more} more" if more > 0 else ""
        return f"<the documented order{' but ' if different else ''}{', '.join(listed)}{suffix}>"


class GeneratedInteraction(Interaction):
    """A generated request with its 201 response. Its repr shows the request's body and how the order differs."""

    def __repr__(self) -> str:
        if self.request is None or self.response is None:
            return super().__repr__()
        order = GeneratedOrder(self.response.json())
        return f"<Interaction: POST {self.request.url} {self.request.json()}, answered with {order!r}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # Hypothesis would print each field of a dataclass
        printer.text(repr(self))


def _changes(documented: Any, value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yield the pointer and the value of each difference. If an array of objects differs, also compare its objects."""
    for place, before, after in diff(documented, value, pointer):
        yield place, after
        if isinstance(before, list) and before and _has_objects(after):
            for index, item in enumerate(after):
                yield from _changes(before[min(index, len(before) - 1)], item, join(place, index))


def _has_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _short(value: Any) -> str:
    if _has_objects(value):
        return f"{len(value)} items"
    text = "absent" if value is ABSENT else repr(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."


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
    realistic: bool = False,
) -> st.SearchStrategy[GeneratedOrder]:
    """Return a strategy for valid bodies of a 201 response: complete orders that satisfy every rule of the contract.

    *request* is a valid request body. If it is given, each order has the requested allocation. Otherwise, *warehouse_ids*,
    *sellable_ids*, *min_lines* and *max_lines* limit the allocation. *max_quantity* limits the allocated quantities,
    but not the ordered quantities. *complete* is the value of `allocated_completely` (None: true or false). With the
    *variant* "observed", all orders have the members that the live API returned in 2026. Some of them also have nulls,
    values and members from other years. The deviation pack "observed" accepts such orders. With *extra_fields*,
    objects may have undocumented members. Clients must ignore these members. The profile "strict" reports them. With
    *realistic*, ids, names, prices and dates are such as a shop has, for demonstrations and screenshots; without it,
    they also have extreme values. Raise `hypothesis.errors.InvalidArgument` for invalid arguments.
    """
    check_choice("variant", variant, VARIANTS)
    check_choice("complete", complete, (True, False, None))
    check_choice("extra_fields", extra_fields, (True, False))
    check_choice("realistic", realistic, (True, False))
    fewest, most = check_limits(min_lines, max_lines, max_quantity, sellable_ids)
    if request is not None and not (
        isinstance(request, Mapping) and Engine("strict", rules=_ANSWERABLE).check_body("request", request).ok
    ):
        raise InvalidArgument("request must be a valid request body, such as allocation_requests() generates")
    given = {"order_ids": order_ids, "warehouse_ids": warehouse_ids, "sellable_ids": sellable_ids}
    orders, warehouses, sellables = (None if ids is None else id_strategy(name, ids) for name, ids in given.items())
    constraints = StoryConstraints(orders, warehouses, sellables, fewest, most, max_quantity, complete)
    free_fields()  # read the schema now: Hypothesis sets a deadline for the first example
    variations = VARIATIONS if request is None else ANSWER_VARIATIONS
    return _orders(constraints, request, variations, variant=variant, extra=extra_fields, realistic=realistic)


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
    realistic: bool = False,
) -> st.SearchStrategy[Interaction]:
    """Return a strategy for interactions. Each has a valid request and its valid response, with URL and headers.

    The arguments and errors are those of `allocation_requests` and `allocation_responses`.
    """
    limits = {"min_lines": min_lines, "max_lines": max_lines, "max_quantity": max_quantity}
    answers = {"complete": complete, "variant": variant, "extra_fields": extra_fields, "realistic": realistic}
    allocation_responses(**limits, **answers)  # type: ignore[arg-type]  # called only to check the arguments
    if realistic:
        warehouse_ids = REALISTIC_WAREHOUSES if warehouse_ids is None else warehouse_ids
        sellable_ids = NINE_DIGITS if sellable_ids is None else sellable_ids
        max_lines, max_quantity = realistic_limits(min_lines, max_lines, max_quantity)
        limits.update(max_lines=max_lines, max_quantity=max_quantity)
    requests = allocation_requests(warehouse_ids=warehouse_ids, sellable_ids=sellable_ids, **limits)  # type: ignore[arg-type]  # the values are of their own types
    orders = None if realistic and order_ids is None else id_strategy("order_ids", order_ids)
    warehouses = None if warehouse_ids is None else id_strategy("warehouse_ids", warehouse_ids)
    constraints = StoryConstraints(orders, warehouses, None, 1, max_lines, max_quantity, complete)
    return _interactions(requests, constraints, variant, extra_fields, realistic)


def balanced_orders() -> st.SearchStrategy[GeneratedOrder]:
    """Return a strategy for valid orders that contain every field used by an arithmetic rule."""
    return _orders(StoryConstraints(None, None, None, 1, 3, MAX_QUANTITY, None), None, BALANCED_VARIATIONS)


@st.composite
def _interactions(
    draw: st.DrawFn,
    requests: st.SearchStrategy[Payload],
    constraints: StoryConstraints,
    variant: Variant,
    extra: bool,
    realistic: bool,
) -> Interaction:
    body = draw(requests)
    order = draw(_orders(constraints, body, ANSWER_VARIATIONS, variant=variant, extra=extra, realistic=realistic))
    url = f"https://api.example.com/orders/{order['id']}"
    json_type = ("content-type", "application/json;charset=utf-8")
    return GeneratedInteraction(
        Request("POST", f"{url}/allocations", (json_type, ("x-api-key", "example-key")), json.dumps(body).encode()),
        Response(201, (json_type, ("location", url)), json.dumps(order).encode()),
        "strategy",
    )


@st.composite
def _orders(
    draw: st.DrawFn,
    constraints: StoryConstraints,
    request: Mapping[str, Any] | None,
    variations: tuple[Variation, ...],
    *,
    variant: Variant = "documented",
    extra: bool = False,
    realistic: bool = False,
) -> GeneratedOrder:
    if realistic:
        order = _realistic_order(draw, constraints, request)
    else:
        order = _any_order(draw, constraints, request, variations)
    if variant == "observed":
        _make_observed(draw, order)
    if extra:
        _add_fields(draw, order)
    return order


def _realistic_order(
    draw: st.DrawFn, constraints: StoryConstraints, request: Mapping[str, Any] | None
) -> GeneratedOrder:
    story = draw_realistic_story(draw, constraints, request)
    codes = draw(_MORE_BYTES)
    leaves = {
        (shape, field.name): texts[codes[index % len(codes)] % len(texts)]
        for index, (shape, field) in enumerate(free_fields())
        if field.type == "string" and (texts := REALISTIC_TEXTS.get(field.name))
    }
    dates = {(shape, field.name): story.placed_at for shape, field in free_fields() if field.is_datetime and field.type}
    return GeneratedOrder(build_order(story, leaves={**leaves, **dates}))


def _any_order(
    draw: st.DrawFn,
    constraints: StoryConstraints,
    request: Mapping[str, Any] | None,
    variations: tuple[Variation, ...],
) -> GeneratedOrder:
    fields = free_fields()
    # Each byte other than 0 chooses a field or a variation. Hypothesis often repeats a byte, so the index is added.
    choices = [(index, (byte + 37 * index) % 256) for index, byte in enumerate(draw(_BYTES)) if byte]
    changed = [(index, fields[choice]) for index, choice in choices if choice < len(fields)]
    chosen = {variations[(byte + 7 * index) % len(variations)] for index, byte in enumerate(draw(_FEW_BYTES)) if byte}
    chosen |= {variations[(choice + index) % len(variations)] for index, choice in choices if choice >= len(fields)}
    story = draw_story(draw, constraints, request, chosen)
    # Draw the values after the story: then the other draws keep their positions when shrinking removes the last change.
    return GeneratedOrder(build_order(story, leaves=_values(draw, changed) if changed else None))


def _values(draw: st.DrawFn, changed: list[tuple[int, tuple[str, Field]]]) -> dict[tuple[str, str], Any]:
    """Draw a value for each field in *changed*, pairs of index and field. The byte at the index selects the value."""
    codes, pool = draw(_BYTES), ValuePool((draw(_TEXT), draw(_TEXT)), (draw(_ID),), (draw(_NUMBER),))
    return {
        (shape, field.name): valid_value(field, example_value(shape, field.name), codes[index], pool)
        for index, (shape, field) in changed
    }


def _make_observed(draw: st.DrawFn, order: GeneratedOrder) -> None:
    """Give *order* the members that the live API returned in 2026. Draw some of the values, and set some to null."""
    codes, nullable = draw(_MORE_BYTES), nullable_pointers()
    titles = _ONLY_VARIANT_TITLES if draw(st.booleans()) else {}
    nulls = [nullable[(byte + 7 * index) % len(nullable)] for index, byte in enumerate(codes[:8]) if byte]
    as_observed(order, nulls=nulls, values={**titles, **observed_values(codes[8:])})


def observed_values(codes: bytes) -> dict[str, Any]:
    """Map pointers to values such as the live API returned. Each byte except 0 selects a pointer and its value."""
    values = {}
    added, others = list(observed_types("added")), list(observed_types("earlier", "untyped", "arrays"))
    for index, byte in enumerate(codes):
        if byte:
            pointers = others if index % 4 else added
            pointer = pointers[(byte + 37 * index) % len(pointers)]
            values[pointer] = _observed_value(pointer, byte + index // 2)
    return values


def _observed_value(pointer: str, code: int) -> Any:
    """Return a value for the member at *pointer*. *code* selects one of the JSON types that the live API returned."""
    types, name = observed_types("added", "earlier", "untyped", "arrays", "members")[pointer], split(pointer)[-1]
    json_type = types[code % len(types)]
    if json_type == "object":
        inner = enumerate(_inner_pointers(pointer), code)
        return {split(member)[-1]: _observed_value(member, number) for number, member in inner}
    if json_type == "array":
        return [_observed_value(item, code) for item in _inner_pointers(pointer)]
    choices: tuple[Any, ...] = (None,) if json_type == "null" else (True, False)
    if json_type == "string":
        choices = DATES if name.endswith("_at") else TEXTS
    elif json_type == "number":
        choices = IDS if name == "id" or name.endswith("_id") else NUMBERS
    return choices[code % len(choices)]


@functools.cache
def _inner_pointers(pointer: str) -> list[str]:
    return [member for member in observed_types("members") if member.rpartition("/")[0] == pointer]


def _add_fields(draw: st.DrawFn, order: GeneratedOrder) -> None:
    objects = list(_objects(order))
    for byte in draw(st.binary(min_size=1, max_size=8)):
        owner, name = objects[byte % len(objects)], NEW_NAMES[byte % len(NEW_NAMES)]
        owner.setdefault(name, copy.deepcopy(ANYTHING[byte % len(ANYTHING)]))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in *value*. The root comes first: Hypothesis prefers the first object when it shrinks."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _objects(item)


@functools.cache
def free_fields() -> tuple[tuple[str, Field], ...]:
    """Return (object type, field) for each field that is not computed from the story. There are at most 255."""
    documented, no_values = build_order(), ValuePool((), (), ())
    places = field_trees()["response"].all_places()
    fields = {(place.shape, place.field.name): place.field for place in places if place.field.shape is None}

    def is_free(shape: str, field: Field) -> bool:
        other = valid_value(field, example_value(shape, field.name), 0, no_values)
        return build_order(leaves={(shape, field.name): other}) != documented

    return tuple((shape, field) for (shape, _), field in fields.items() if is_free(shape, field))
