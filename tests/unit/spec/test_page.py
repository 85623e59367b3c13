"""The reader of the documentation page, its differences from the schemas, and `veeqo-alloc page`."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bodies import drop, order, put
from support.documentation import page_lines, page_text
from support.pages import ROOT, blocks, page

from pytest_veeqo_alloc import load_schema
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.contract.field_table import compile_schema
from pytest_veeqo_alloc.spec.loader import openapi_document
from pytest_veeqo_alloc.spec.page import differences, openapi_page, revised_files
from pytest_veeqo_alloc.spec.page_reader import read_page

TEXT = page_text()
MARK = r"\n(string|number|integer|boolean|object|Array<object>|Array|required)(?=\n)"
FILES = ("operation.json", "request.json", "response.json")


def found_in(text: str) -> list[str]:
    """Return the differences between the page with this *text* and the schemas."""
    return differences(read_page(text.encode()))


def changed(*changes: tuple[str, str]) -> str:
    """Return the text of the page with each pair of lines (old, new) replaced. The old lines must occur once."""
    text = TEXT
    for old, new in changes:
        assert TEXT.count(f"\n{old}\n") == 1
        text = text.replace(f"\n{old}\n", f"\n{new}\n" if new else "\n")
    return text


def as_html(text: str) -> str:
    lines = [html.escape(line) for line in text.splitlines()]
    cells = [
        f"<pre><code>{line}</code></pre>" if line.startswith("{") else f"<div><b>{line}</b></div>" for line in lines
    ]
    return f"<!DOCTYPE html><html><style>p {{}}</style><script>if (1 < 2) {{}}</script>{''.join(cells)}</html>"


def test_page_made_from_the_schemas_does_not_differ() -> None:
    assert found_in(TEXT) == []
    assert {name: (ROOT / "schemas" / name).read_text(encoding="utf-8") for name in FILES} == revised_files(
        read_page(TEXT.encode())
    )


@pytest.mark.parametrize(
    "saved",
    [
        b"\xef\xbb\xbf" + TEXT.replace("\n", "  \r\n\r\n").encode(),
        re.sub(MARK, "\t\\1", TEXT.replace(" ", "\u00a0")).encode("utf-16"),
        re.sub(rf"(?<=\n)([a-z_-]+){MARK}", r"\1 \2", f"Caf\u00e9\n{TEXT}").encode("cp1252"),
        f"API\u200b reference\nOrders\n{TEXT}\nWas this helpful?\nYes\nGET /orders\nPath Parameters\n".encode(),
        TEXT.replace(json.dumps(order()), f"json\nCopy\n{json.dumps(order(), indent=2)}").encode(),
        TEXT.replace(f"\nExample\n{json.dumps(order())}", "").encode(),
        as_html(TEXT).encode(),
    ],
    ids=["CRLF, blanks and BOM", "tabs, UTF-16 and NBSP", "one line for each field", "header and footer",
         "example on several lines", "no example", "HTML"],
)  # fmt: skip
def test_page_is_read_however_it_was_saved(saved: bytes) -> None:
    assert differences(read_page(saved)) == []


NUMBER = "notes\nnumber\nstring"
ITEMS = "sellable_id\nrequired\nnumber\nquantity\nnumber\nnote\nstring"
CHANGES = {
    "types and required fields": [
        (NUMBER, "notes\nstring\nnumber\nstring", "retyped: response /notes: from no type to string"),
        ("till_id", "till_id\nrequired\nnumber\ntype\nstring", "retyped: response /till_id: from no type to number|"
         "newly required: response /till_id|new: response /type: string"),
        ("warehouse_id\nrequired\nWarehouse ID\nnumber", "warehouse_id\nWarehouse ID\nstring",
         "retyped: request /allocation/warehouse_id: from number to string|no longer required: request /allocation/warehouse_id"),
        ("tags\nArray", "tags\nArray<object>\nobject\ncolour\nstring\nname", "retyped: response /tags: from Array to Array<object>"),
        ("Headers\nLocation", "Headers\nX-Total\ninteger\nLocation", "new: response header X-Total: integer"),
    ],
    "parameters and statuses": [
        (NUMBER, "notes\nnumber", "retyped: response /number: from string to no type"),
        ("x-api-key\nstring", "x-api-key\nrequired\nstring", "newly required: header parameter x-api-key"),
        ("Header Parameters", "Query Parameters\ndry_run\nboolean\nHeader Parameters", "new: query parameter dry_run: boolean"),
        ("order_id\nrequired\ninteger", "order_id\nrequired\nstring", "retyped: path parameter order_id: from integer to string"),
        ("Headers\nLocation", "404\nNot Found\nobject\nerror_messages\nstring\nHeaders\nLocation", "new: status 404"),
    ],
    "items and success status": [
        (NUMBER, "notes", "missing: response /number"),
        ("line_items_attributes\nrequired\nArray", f"line_items_attributes\nrequired\nArray<object>\nobject\n{ITEMS}",
         "no longer required: request /allocation/line_items_attributes/*/quantity|"
         "new: request /allocation/line_items_attributes/*/note: string"),
        ("201\nCreated", "200\nOK", "new: status 200|missing: status 201"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_changes_of_the_page_are_reported(changes: list[tuple[str, str, str]]) -> None:
    text = changed(*((old, new) for old, new, _ in changes))
    assert sorted(found_in(text)) == sorted("|".join(difference for _, _, difference in changes).split("|"))


def with_zone(value: Any) -> Any:
    """Return the schema or example *value* with a member `zone` in every warehouse."""
    if isinstance(value, list):
        return [with_zone(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_warehouse = "click_and_collect_days" in value
    return {name: with_zone(member) for name, member in value.items()} | ({"zone": 1} if is_warehouse else {})


def test_field_of_a_shape_is_reported_at_each_place_and_written_once() -> None:
    schema = load_schema("response")
    schema["$defs"]["warehouse"]["properties"]["zone"] = {"type": "number"}
    del schema["properties"]["due_date"]
    read = read_page(page_text(schema, drop(with_zone(order()), "/due_date")).encode())
    places = ("allocations/*/line_items/*/sellable/stock_entries/*/warehouse", "allocations/*/warehouse",
              "channel/channel_warehouses/*/warehouse", "channel/default_warehouse",
              "line_items/*/sellable/stock_entries/*/warehouse")  # fmt: skip
    assert differences(read) == [
        *(f"new: response /{place}/zone: number" for place in places),
        "missing: response /due_date",
    ]
    assert json.loads(revised_files(read)["response.json"]) == schema


def test_shape_that_changes_in_one_place_is_split_and_other_parts_stay() -> None:
    schema, before = load_schema("response"), load_schema("response")
    schema["$defs"]["billing_warehouse"] = {**schema["$defs"]["warehouse"]}
    schema["$defs"]["billing_warehouse"]["properties"] = {**before["$defs"]["warehouse"]["properties"], "zone": {}}
    schema["$defs"]["channel"]["properties"]["default_warehouse"] |= {"$ref": "#/$defs/billing_warehouse"}
    schema["$defs"]["meta"] = {"type": "object", "properties": {"page": {"type": "number"}}}
    schema["properties"]["notes"] = {"$ref": "#/$defs/meta"}
    example = put(put(order(), "/channel/default_warehouse/zone", None), "/notes", {"page": 1})
    read = read_page(page_text(schema, example).encode())
    assert differences(read) == [
        "new: response /channel/default_warehouse/zone: no type",
        "retyped: response /notes: from no type to object",
    ]
    written = json.loads(revised_files(read)["response.json"])
    assert list(written["$defs"]["warehouse_2"]["properties"]) == [*before["$defs"]["warehouse"]["properties"], "zone"]
    assert written["properties"]["notes"] == {"$ref": "#/$defs/notes", "description": "Notes on the order."}
    assert written["$defs"]["notes"]["properties"] == {"page": {"type": "number"}}
    assert {name: written["$defs"][name] for name in before["$defs"] if name != "channel"} == {
        name: shape for name, shape in before["$defs"].items() if name != "channel"
    }
    compile_schema(written, root="order")


def test_operation_is_written_as_the_page_has_it() -> None:
    text = changed(("Header Parameters", "Query Parameters\ndry_run\nboolean\nHeader Parameters"))
    text = text.replace("x-api-key\n", "x-api-key\nrequired\n") + "\nX-Total\ninteger\n404\nNot Found"
    written = json.loads(revised_files(read_page(text.encode()))["operation.json"])
    before = json.loads((ROOT / "schemas" / "operation.json").read_text(encoding="utf-8"))
    order_id, key = before["parameters"]
    dry_run = {"in": "query", "name": "dry_run", "required": False, "schema": {"type": "boolean"}}
    assert written["parameters"] == [order_id, dry_run, {**key, "required": True}]
    success = before["responses"]["201"]
    success["headers"]["X-Total"] = {"schema": {"type": "integer"}}
    assert written["responses"] == {"201": success, "404": {"description": "Not Found"}}


def cut(text: str, after: str) -> str:
    return text[: text.rindex(after) + len(after)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no line names 'POST /orders/{order_id}/allocations', so this is not the page of the operation"),
        ("%PDF-1.7\n", "no line names"),
        (TEXT.replace("POST", "PUT"), "this is the page of 'PUT /orders/{order_id}/allocations': give the page of"),
        (TEXT.replace("{order_id}/alloc", "{order_id}/ship").replace("\nRequest Body", ""), "this is the page of 'POST"),
        (changed(("Request Body", "Body")), "the page has no lines 'Request Body' and 'Responses', so its layout is unknown"),
        (cut(TEXT, "Request Body"), "the page has no lines"),
        (changed(("201", "")), "the page has no status 2xx after 'Responses', so its layout is unknown"),
        (changed(("Created\nobject", "Created")), "the table of the response does not begin with 'object'"),
        (cut(TEXT, "\npicked_comp"), "the table of the response has no end, so the page was cut off"),
        (cut(TEXT, '"allocations"'), "an example on the page is not complete JSON, so the page was cut off"),
        (TEXT + TEXT, "the file has the page twice: save the page once, as text"),
        (changed(("due_date", "due_date\ndue_date")), "the table has the field response /due_date twice"),
        (re.sub(r"(?s)\nallocated_by\nobject\n.*?updated_by_id\n", "\nallocated_by\nobject\n", TEXT, count=1),
         "the table shows no field of response /allocations/*/allocated_by: expand all objects on the page"),
        (changed(("Created\nobject", "Created\nobject\n" + "id\n" * 20_000)), "the table of the response has more than 20000 lines"),
        (TEXT.replace(json.dumps(order()), '{"a":' * 600 + "{}" + "}" * 600), "the file is nested too deeply to be this page"),
        ("swagger: '2.0'", "not an OpenAPI 3 document"),
        ('{"openapi": "3.1.0", "paths": {"/orders": {"post": {}}}}', "the OpenAPI document does not contain POST"),
        ('{"openapi": ', "invalid or truncated JSON"),
    ],
)  # fmt: skip
def test_file_that_is_not_this_page_is_one_sentence(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.txt"
    file.write_text(text, encoding="utf-8")
    assert main(["page", str(file), "--write", str(tmp_path / "schemas")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"veeqo-alloc: {str(file)!a}: {sentence}")
    assert not (tmp_path / "schemas").exists()


def test_our_openapi_document_does_not_differ() -> None:
    assert differences(openapi_page(openapi_document())) == []


def vendor_document() -> dict[str, Any]:
    """Return an OpenAPI document as a vendor may write it: with references and compositions, and another name."""
    document = openapi_document()
    components = document["components"]
    components["schemas"]["order"] = {
        "allOf": [components["schemas"]["order"], {"properties": {"eta": {"type": ["string", "null"]}}}]
    }
    (path,) = document["paths"]
    operation = document["paths"][path]["post"]
    components["responses"] = {"created": operation["responses"].pop("201")}
    operation["responses"] = {"201": {"$ref": "#/components/responses/created"}, "422": {"description": ""}}
    (parameter,) = operation.pop("parameters")
    item = {"parameters": [{**parameter, "name": "id"}], "post": operation}
    document["paths"] = {"/v2/orders/{id}/allocations": item}
    return document


def test_openapi_document_of_a_vendor_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = vendor_document()
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert main(["page", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "new: path parameter id: required integer",
        "new: status 422",
        "new: response /eta: string",
        "missing: path parameter order_id",
        "4 differences between the page and the schemas",
    ]


def widening() -> dict[str, Any]:
    """Return schemas of which each refers to the next one ten times."""
    names = ["order", *map(str, range(9))]
    links = [{str(index): {"$ref": f"#/components/schemas/{name}"} for index in range(10)} for name in names[1:]]
    return {name: {"properties": properties} for name, properties in zip(names, [*links, {"a": {}}], strict=True)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda document: put(document, "/components/schemas/order/properties/notes", {"$ref": "#/components/schemas/order"}),
         "the schema of the response body contains itself"),
        (lambda document: put(document, "/components/schemas/order", {"$ref": "#/components/schemas/order"}),
         "the document has a $ref that leads to itself"),
        (lambda document: put(document, "/components/schemas/order", {"$ref": "order.yaml"}),
         "the $ref 'order.yaml' leads to nothing in the document"),
        (lambda document: put(document, "/components/schemas/order", {"$ref": "#/components/nothing"}),
         "the $ref '#/components/nothing' leads to nothing in the document"),
        (lambda document: put(document, "/components/schemas", {**document["components"]["schemas"], **widening()}),
         "the schema of the response body has more than 20000 fields, so this is not the page"),
        (lambda document: put(document, "/components/schemas/order", True),
         "the OpenAPI document has no schema with properties for the response body"),
    ],
)  # fmt: skip
def test_openapi_document_that_cannot_be_compared_is_one_sentence(change: Callable[[Any], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        openapi_page(change(openapi_document()))


def test_command_reports_differences_and_writes_the_schema_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "page.txt", tmp_path / "schemas"
    file.write_text("\n".join(page_lines()), encoding="utf-8")
    assert main(["page", str(file), "--write", str(folder)]) == 0
    assert capsys.readouterr().out == "0 differences between the page and the schemas\n"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    folder_that_is_a_file = tmp_path / "file"
    folder_that_is_a_file.touch()
    for arguments in ([str(tmp_path / "none.txt")], [str(file), "--write", str(folder_that_is_a_file)]):
        assert main(["page", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_output_in_the_how_to_page_is_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = load_schema("response")
    allocation = schema["$defs"]["allocation"]
    allocation["properties"] = dict(sorted({**allocation["properties"], "priority": {"type": "number"}}.items()))
    schema["properties"]["till_id"] = {"type": "number"}
    del schema["properties"]["due_date"]
    text = page_text(schema, drop(order(), "/due_date")).replace("x-api-key\n", "x-api-key\nrequired\n")
    text = text.replace("Header Parameters", "Query Parameters\ndry_run\nboolean\nHeader Parameters")
    (tmp_path / "page.txt").write_text(f"{text}\n404\nNot Found", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shown, adopted = (block.split("\n", 1) for block in blocks("console", page("howto/page.md")))
    assert main(shown[0].split()[2:]) == 1
    assert capsys.readouterr().out.strip() == shown[1].strip()
    assert main(adopted[0].split()[2:]) == 1
    assert {path.name for path in (tmp_path / "schemas").iterdir()} == set(FILES)
