"""The verdict alone: our whole check of a body, compared with widely used JSON Schema validators.

jsonschema, jsonschema-rs and fastjsonschema get the strict schema that this package derives; each row includes the parsing. The
validators detect neither duplicate keys nor arithmetic errors, and explain less.
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


def measure_verdicts() -> list[Row]:
    """Measure the verdict on the documented example."""
    body = compact("schemas/examples/response.json")
    schema = load_schema("response", "strict")
    contract = Contract("strict")
    classic = jsonschema.Draft202012Validator(schema)
    rust = jsonschema_rs.Draft202012Validator(schema)
    compiled = fastjsonschema.compile(schema)
    for verdict in (
        contract.check_body("response", body).ok,
        *(validator.is_valid(json.loads(body)) for validator in (classic, rust)),
    ):
        if not verdict:
            raise SystemExit("a validator rejects the example, so this would measure something else")
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


def measure_explanations() -> list[Row]:
    """Measure all errors of the documented example with a wrong type, a null, an absent and an undocumented field."""
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
