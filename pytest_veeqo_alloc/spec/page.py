"""The documentation page in a file, and its differences from the bundled schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from pytest_veeqo_alloc.contract.rules import BodySide
from pytest_veeqo_alloc.core.http import reason_phrase
from pytest_veeqo_alloc.core.json_pointer import join, resolve
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.spec.loader import load_schema, read_shipped_text, tables

Value = TypeVar("Value")


class PageField(NamedTuple):
    """What a page says about one field. `type` is the word on the page, such as `Array<object>`, or empty."""

    type: str
    is_required: bool = False


Page = dict[str, PageField]
"""The content of a page by place. Places are `response /allocations/*/id`, `path parameter order_id`, `status 201`."""

_REQUIRED = "required"
PATH_PARAMETER = re.compile(r"\{[^{}]*\}")
_MAX_DEPTH, _MAX_FIELDS = 32, 20_000
_STATUS, _HEADER = "status ", "response header "
_NO_TYPE = " No type is documented."


def schema_page(*, with_conventions: bool = False) -> Page:
    """Return what the bundled schemas say about the operation. *with_conventions*: also what only a convention says."""
    operation = json.loads(read_shipped_text("schemas/operation.json"))
    page: Page = {}
    for parameter in operation["parameters"]:
        page[f"{parameter['in']} parameter {parameter['name']}"] = _field_of(parameter["schema"], parameter["required"])
    page |= _members("request", load_schema("request"), with_conventions)
    for status, response in operation["responses"].items():
        page |= _response(status, response)
    return page | _members("response", load_schema("response"), with_conventions)


def differences(page: Page) -> list[str]:
    """Return a line for each difference between *page* and the bundled schemas, in the order of the page."""
    known = comparable_schema_page(page)
    lines: list[str] = []
    whole: list[str] = []
    for place in dict.fromkeys([*page, *known]):
        if any(place.startswith(f"{parent}/") for parent in whole):
            continue  # reported with its parent
        said, field = page.get(place), known.get(place)
        if said is None or field is None:
            whole.append(place)
            lines.append(f"new: {place}{_described(place, page)}" if said else f"missing: {place}")
            continue
        if said.type != field.type:
            lines.append(f"retyped: {place}: from {field.type or 'no type'} to {said.type or 'no type'}")
            whole.append(place)
        if said.is_required != field.is_required:
            lines.append(f"{'newly required' if said.is_required else 'no longer required'}: {place}")
    return lines


def comparable_schema_page(page: Page) -> Page:
    """Return what the bundled schemas say. Include what only a convention says if *page* has such fields."""
    known, every = schema_page(), schema_page(with_conventions=True)
    return known if page.keys().isdisjoint(every.keys() - known.keys()) else every


def _described(place: str, page: Page) -> str:
    inside = sum(other.startswith(f"{place}/") for other in page)
    words = [_REQUIRED] * page[place].is_required + [page[place].type] * bool(page[place].type)
    if not words:
        return "" if place.startswith("status") else ": no type"
    below = f" with {pluralise(inside, 'field')} inside" if inside else ""
    return f": {' '.join(words)}{below}"


def with_implied(page: Page) -> Page:
    """Mark each object of the request that has a required field as required, as in the bundled schemas."""
    for place in reversed(list(page)):
        parent = place.rpartition("/")[0]
        if page[place].is_required and place.startswith("request ") and parent in page:
            page[parent] = page[parent]._replace(is_required=True)
    return page


# JSON Schema and OpenAPI


def openapi_page(document: Any) -> Page:
    """Return the content of an OpenAPI document. Raise ValueError if it is invalid or lacks the operation."""
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise ValueError("not an OpenAPI 3 document: convert the document, or give the text of the page")
    operation, item = _find_operation(document)
    page: Page = {}
    schemes = _object(_object(document.get("components")).get("securitySchemes")).values()
    keys = [
        {"schema": {"type": "string"}, **scheme} for scheme in map(_object, schemes) if scheme.get("type") == "apiKey"
    ]
    for given in [*_array(item.get("parameters")), *_array(operation.get("parameters")), *keys]:
        parameter = _resolved(given, document)
        schema = _resolved(parameter.get("schema"), document)
        page[f"{parameter.get('in')} parameter {parameter.get('name')}"] = _field_of(schema, parameter.get(_REQUIRED))
    page |= _members("request", _body(operation.get("requestBody"), document, "request"), True, document)
    responses = _object(operation.get("responses"))
    for status, given in responses.items():
        response = _resolved(given, document)
        if not response.get("x-not-on-page"):
            page |= _response(str(status), response, document)
    first = next((response for status, response in responses.items() if str(status).startswith("2")), None)
    return page | _members("response", _body(first, document, "response"), True, document)


def _find_operation(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    ours = tables().operation
    path, listed = PATH_PARAMETER.sub("{}", ours.path), _object(document.get("paths"))
    for name, item in listed.items():
        item = _resolved(item, document)
        if PATH_PARAMETER.sub("{}", str(name)).endswith(path) and ours.method.lower() in item:
            return _resolved(item[ours.method.lower()], document), item
    raise ValueError(f"the OpenAPI document does not contain {ours.name}: give a document that contains the operation")


def _body(holder: Any, document: dict[str, Any], side: str) -> dict[str, Any]:
    contents = _object(_resolved(holder, document).get("content"))
    schemas = [_object(content).get("schema") for kind, content in contents.items() if "json" in str(kind)]
    if not schemas or not (schema := _resolved(schemas[0], document)).get("properties"):
        raise ValueError(f"the OpenAPI document has no schema with properties for the {side} body: add it")
    return schema


def _response(status: str, response: dict[str, Any], document: Any = None) -> Page:
    page = {f"status {status}": PageField("")}
    if status.startswith("2"):
        for name, given in _object(response.get("headers")).items():
            header = _resolved(given, document)
            page[f"response header {name}"] = _field_of(
                _resolved(header.get("schema"), document), header.get(_REQUIRED)
            )
    return page


def _members(
    side: str, schema: dict[str, Any], with_conventions: bool, document: Any = None, place: str = "", depth: int = 0
) -> Page:
    """Return the fields below *place* in a body. *schema* describes the object there; `$ref`s point into *document*."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the schema of the {side} body contains itself, so its fields cannot be listed")
    document = schema if document is None else document
    place = place or f"{side} "
    page: Page = {}
    for name, given in _object(schema.get("properties")).items():
        member = _resolved(given, document)
        items = _resolved(member.get("items"), document)
        if "x-rule" in items and not with_conventions:
            items = {}
        here = join(place, str(name))
        is_required = name in _array(schema.get(_REQUIRED))
        page[here] = _field_of({**member, "items": items}, is_required)
        inner, below = (items, f"{here}/*") if page[here].type.startswith("Array") else (member, here)
        page |= _members(side, inner, with_conventions, document, below, depth + 1)
        if len(page) > _MAX_FIELDS:
            raise ValueError(
                f"the schema of the {side} body has more than {_MAX_FIELDS} fields, so this is not the page"
            )
    return page


def _field_of(schema: dict[str, Any], is_required: object = False) -> PageField:
    types = schema.get("type")
    listed = [kind for kind in (types if isinstance(types, list) else [types]) if kind not in (None, "null")]
    word = str(listed[0]) if listed else "object" if schema.get("properties") else ""
    if word == "array":
        word = "Array<object>" if _field_of(_object(schema.get("items"))).type == "object" else "Array"
    return PageField(word, bool(is_required))


def _resolved(given: Any, document: Any) -> dict[str, Any]:
    """Return the object *given*, merged with its `$ref`, `allOf`, and the first non-null part of `anyOf` or `oneOf`."""
    schema = dict(_object(given))
    for _ in range(_MAX_DEPTH):
        parts = _array(schema.pop("allOf", None))
        for keyword in ("anyOf", "oneOf"):
            parts += [part for part in _array(schema.pop(keyword, None)) if part != {"type": "null"}][:1]
        if (reference := schema.pop("$ref", None)) is not None:
            parts.append(_referenced(reference, document))
        if not parts:
            return schema
        for part in map(_object, parts):
            properties = _object(part.get("properties")) | _object(schema.get("properties"))
            required = [*_array(part.get(_REQUIRED)), *_array(schema.get(_REQUIRED))] or schema.get(_REQUIRED)
            schema = {**part, **schema}
            schema |= {"properties": properties} if properties else {}
            schema |= {_REQUIRED: required} if required else {}
    raise ValueError("the document has a $ref that leads to itself: correct it")


def _referenced(reference: object, document: Any) -> Any:
    try:
        if str(reference).startswith("#/"):
            return resolve(document, str(reference).removeprefix("#"))
    except LookupError:
        pass
    raise ValueError(f"the $ref {str(reference)!a} leads to nothing in the document: put all parts into one file")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _array(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


# The schema files


def revised_files(page: Page) -> dict[str, str]:
    """Map the name of each schema file to its text, revised to say what *page* says.

    Text that pages do not have, such as a description, is kept.
    """
    documents = {
        "operation.json": _revised_operation(page),
        "request.json": _SchemaRevision("request", page).schema(),
        "response.json": _SchemaRevision("response", page).schema(),
    }
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in documents.items()}


def _revised_operation(page: Page) -> dict[str, Any]:
    operation: dict[str, Any] = json.loads(read_shipped_text("schemas/operation.json"))
    known = schema_page()
    old = {f"{parameter['in']} parameter {parameter['name']}": parameter for parameter in operation["parameters"]}
    operation["parameters"] = [
        {
            **old.get(place, dict(zip(("in", "name"), place.split(" parameter "), strict=True))),
            _REQUIRED: page[place].is_required,
            "schema": old[place]["schema"] if page[place] == known.get(place) else _typed(page[place], {}),
        }
        for place in _sorted_like({place: place for place in page if " parameter " in place}, old)
    ]
    (success,) = operation["responses"].values()
    headers = {name.removeprefix(_HEADER): field for name, field in page.items() if name.startswith(_HEADER)}
    success["headers"] = {
        name: success["headers"][name] if field == known.get(_HEADER + name) else {"schema": _typed(field, {})}
        for name, field in headers.items()
    }
    statuses = [place.removeprefix(_STATUS) for place in page if place.startswith(_STATUS)]
    statuses.sort(key=lambda status: not status.startswith("2"))
    others = {status: {"description": reason_phrase(int(re.sub(r"\D", "0", status)))} for status in statuses[1:]}
    operation["responses"] = {**dict.fromkeys(statuses[:1], success), **others}
    return operation


class _SchemaRevision:
    """A revision of the schema of one body. A shape whose fields differ by place becomes several."""

    def __init__(self, side: BodySide, page: Page) -> None:
        self._side, self._page, self._known = side, page, comparable_schema_page(page)
        self._variants: dict[str, list[Page]] = {}
        self._shapes: dict[str, Any] = {}

    def schema(self) -> dict[str, Any]:
        """Return the revised schema."""
        old = load_schema(self._side)
        self._old_shapes = old.pop("$defs")
        for _ in range(2):  # the first pass finds the variants of each shape, the second pass names them
            self._shapes.clear()
            revised = self._object(old, f"{self._side} ")
        return {**revised, "$defs": _sorted_like(self._shapes, self._old_shapes)}

    def _object(self, old: dict[str, Any], place: str) -> dict[str, Any]:
        fields = {name: field for name, field in _below(self._page, place).items() if "/" not in name}
        members = {
            name: self._member(old["properties"].get(name, {}), field, f"{place}/{name}")
            for name, field in _sorted_like(fields, old["properties"]).items()
        }
        required = [name for name in members if fields[name].is_required]
        revised = {**old, "properties": members, _REQUIRED: required}
        return {key: value for key, value in revised.items() if key != _REQUIRED or required}

    def _member(self, old: dict[str, Any], field: PageField, place: str) -> dict[str, Any]:
        shape = {**old, **old.get("items", {})}.get("$ref", "").rpartition("/")[2]
        kind = "object" if "$ref" in old else _field_of(old).type
        inner = f"{place}/*" if field.type.startswith("Array") else place
        if not _below(self._page, inner):
            if "x-rule" in self._old_shapes.get(shape, {}):
                self._shapes[shape] = self._old_shapes[shape]
                return old
            return old if old and kind == field.type and not shape else _typed(field, old)
        shape = shape or place.rpartition("/")[2]
        name = self._shape_name(shape, inner)
        new = {"title": name.replace("_", " ").capitalize(), "type": "object", "properties": {}}
        self._shapes[name] = self._object(self._old_shapes.get(shape, new), inner)
        link = {"$ref": f"#/$defs/{name}"}
        if inner != place:
            return {**(old if kind == "Array" else _typed(field, old)), "items": link}
        return link | {key: value for key, value in _typed(field, old).items() if key != "type"}

    def _shape_name(self, shape: str, place: str) -> str:
        """Return the name for the shape at *place*: *shape*, with a number if its fields differ by place."""
        variants, fields = self._variants.setdefault(shape, []), _below(self._page, place)
        if fields not in variants:  # the unchanged variant comes first, and keeps the name
            variants.insert(0 if fields == _below(self._known, place) else len(variants), fields)
        index = variants.index(fields)
        return f"{shape}_{index + 1}" if index else shape


def _below(page: Page, place: str) -> Page:
    return {name.removeprefix(f"{place}/"): field for name, field in page.items() if name.startswith(f"{place}/")}


def _sorted_like(values: Mapping[str, Value], old: Mapping[str, object]) -> dict[str, Value]:
    """Return *values* in the order of *old*. A name that is not in *old* follows its predecessor in *values*."""
    names = [name for name in old if name in values]
    for before, name in pairwise(["", *values]):
        if name not in old:
            names.insert(names.index(before) + 1 if before else 0, name)
    return {name: values[name] for name in names}


def _typed(field: PageField, old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema for the type of *field*, with the description in *old*."""
    word, _, nullable = field.type.partition(" or ")
    kind = word.partition("<")[0].lower()
    schema: dict[str, Any] = {"type": [kind, nullable] if nullable else kind} if kind else {}
    description = old.get("description", "").removesuffix(_NO_TYPE)
    return schema | ({"description": description if kind else description + _NO_TYPE} if description else {})
