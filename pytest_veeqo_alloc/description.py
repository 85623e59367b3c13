"""The shipped description of the page, loaded once: schemas, tables, operation, deviation packs."""

from __future__ import annotations

import datetime
import functools
import json
import os
from pathlib import Path
from typing import Any

from pytest_veeqo_alloc.contract.checker import Tables
from pytest_veeqo_alloc.contract.derive import derive
from pytest_veeqo_alloc.contract.deviations import Accepting, Deviation, parse
from pytest_veeqo_alloc.contract.field_table import Shape, compile_schema
from pytest_veeqo_alloc.contract.http_rules import operation_of
from pytest_veeqo_alloc.contract.rules import BODY_SIDES, BodySide
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.core.text import unknown
from pytest_veeqo_alloc.coverage.collector import Charts, charts_of
from pytest_veeqo_alloc.data import read_text

PACKS = ("observed",)


def load_schema(side: BodySide, profile: str | None = None) -> dict[str, Any]:
    """The JSON Schema 2020-12 of *side*, a fresh copy.

    Without a profile it is the shipped file: the open reading of the page. With one it is the schema that rejects just
    what the structural rules of that profile make an error. ValueError for an unknown side or profile.
    """
    known_side(side)
    schema: dict[str, Any] = json.loads(read_text(f"schemas/{side}.json"))
    return schema if profile is None else derive(schema, side, profile)


def load_deviations(named: str | os.PathLike[str] | Deviation) -> tuple[Deviation, ...]:
    """The deviations of a pack or a TOML file; ValueError, in one sentence with the file's name, where there is none."""
    if isinstance(named, Deviation):
        return (named,)
    if named in PACKS:
        return parse(read_text(f"schemas/deviations/{named}.toml"))
    path = Path(named)
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.suffix:
            raise ValueError(f"there is no file of deviations {str(path)!a}") from None
        raise ValueError(unknown("deviation pack or file", str(path), PACKS)) from None
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!a}: not UTF-8, so no TOML") from None
    except OSError as error:
        raise ValueError(f"the deviations {str(path)!a} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!a}: {error}") from None


def operation_means(interaction: Interaction) -> bool:
    """Whether *interaction* is a call of the documented operation, by method and path."""
    return tables().operation.means(interaction)


_ENOUGH_FOR_AN_ORDER = 5
"""Documented members that tell an order from other objects that have an id, a status and tags."""


def side_of(value: Any) -> BodySide | None:
    """Whose body *value* looks like, by its documented members; None where it looks like neither."""
    if not isinstance(value, dict):
        return None
    described = tables()
    ((name, _, allocation),) = described.request.children
    if isinstance(value.get(name), dict) or value.keys() >= allocation.fields.keys():
        return "request"
    return "response" if len(value.keys() & described.response.fields.keys()) >= _ENOUGH_FOR_AN_ORDER else None


def response_shape() -> Shape:
    """The documented shape of the response, as the core compiled it from the schema."""
    return tables().response


def request_shape() -> Shape:
    """The documented shape of the request."""
    return tables().request


def known_side(side: str) -> None:
    """Refuses what is neither `request` nor `response`."""
    if side not in BODY_SIDES:
        raise ValueError(unknown("side", side, BODY_SIDES))


@functools.cache
def tables() -> Tables:
    """The schemas and the operation, compiled."""
    operation = operation_of(json.loads(read_text("schemas/operation.json")))
    return Tables(
        operation,
        compile_schema(load_schema("request"), root="request"),
        compile_schema(load_schema("response"), root="order"),
    )


@functools.cache
def charts() -> Charts:
    """Every place of the documented bodies, for those who count."""
    return charts_of(tables())


@functools.cache
def observed() -> Accepting:
    """The pack of what the live API is known to return."""
    # The pack has no expiry, so any day will do.
    return Accepting(load_deviations("observed"), datetime.date.min)
