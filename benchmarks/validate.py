"""The verdict alone: our whole check beside the validators that people use, bytes in.

jsonschema, jsonschema-rs and fastjsonschema get the strict schema that this package derives, and each row parses first.
They find neither repeated members nor broken equations, and say less of what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import fastjsonschema
import jsonschema
import jsonschema_rs
from check import compact, timed
from measure import Row, rounds

from pytest_veeqo_alloc import Contract, load_schema


def validating() -> list[Row]:
    """The documented example."""
    body = compact("schemas/examples/response.json")
    schema = load_schema("response", "strict")
    contract = Contract("strict")
    classic = jsonschema.Draft202012Validator(schema)
    rust = jsonschema_rs.Draft202012Validator(schema)
    compiled = fastjsonschema.compile(schema)
    for verdict in (
        contract.check_body("response", body).ok,
        *(each.is_valid(json.loads(body)) for each in (classic, rust)),
    ):
        if not verdict:
            raise SystemExit("a validator does not take the example, so this would measure something else")
    compiled(json.loads(body))
    rows: dict[str, Callable[[], object]] = {
        "json.loads": lambda: json.loads(body),
        "json.loads, again": lambda: json.loads(body),
        "our check, profile strict": lambda: contract.check_body("response", body),
        "jsonschema-rs": lambda: rust.is_valid(json.loads(body)),
        "fastjsonschema": lambda: compiled(json.loads(body)),
        "jsonschema": lambda: classic.is_valid(json.loads(body)),
    }
    return rounds({name: timed(work, repeats=5) for name, work in rows.items()}, 20)


def explaining() -> list[Row]:
    """The documented example with a wrong type, a null, a missing and an undocumented member, every error told."""
    order = json.loads(compact("schemas/examples/response.json"))
    order["channel"]["id"], order["deliver_to"]["zip"], order["colour"] = "7", None, "red"
    del order["customer"]["phone"]
    body = json.dumps(order, separators=(",", ":")).encode()
    schema = load_schema("response", "strict")
    contract = Contract("strict")
    classic = jsonschema.Draft202012Validator(schema)
    rust = jsonschema_rs.Draft202012Validator(schema)
    rows: dict[str, Callable[[], object]] = {
        "json.loads": lambda: json.loads(body),
        "our check, profile strict": lambda: list(contract.check_body("response", body)),
        "jsonschema-rs": lambda: list(rust.iter_errors(json.loads(body))),
        "jsonschema": lambda: list(classic.iter_errors(json.loads(body))),
    }
    return rounds({name: timed(work, repeats=5) for name, work in rows.items()}, 20)
