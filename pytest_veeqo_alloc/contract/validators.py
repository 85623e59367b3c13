"""Ready validators: the schemas in the hands of jsonschema, the independent judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

Validator = Draft202012Validator


def validator(schema: Mapping[str, Any]) -> Validator:
    """A validator of *schema*, which is checked against its metaschema first (`jsonschema.SchemaError`)."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
