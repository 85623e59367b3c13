"""Redaction, default-deny: every string that is not known to be safe is replaced by a stand-in of its type and format.

Structure, numbers, booleans and nulls stay, and equal strings stay equal, so that a body that can be read gives the
same findings afterwards. What cannot be read is dropped, and a marker says so. Twice is the same as once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_veeqo_alloc.contract.checker import Tables
from pytest_veeqo_alloc.contract.field_table import Field, Shape
from pytest_veeqo_alloc.contract.json_reader import MAX_DEPTH, nests_deeper, read
from pytest_veeqo_alloc.contract.redact_line import host_of, redacted_form, redacted_header, redacted_url
from pytest_veeqo_alloc.contract.rules import Side
from pytest_veeqo_alloc.contract.safe import is_card_value, is_personal_number_name, is_plain_name, shown_text
from pytest_veeqo_alloc.contract.standins import StandIns
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response, decoded_or_nothing
from pytest_veeqo_alloc.core.json_pointer import shown_method

Fields = Mapping[str, Field]

_NO_FIELDS: Fields = {}
_FORM = re.compile(rb"[^=&\s{}\[\]<>\"]+=[^&\s{}<>\"]*(?:&[^=&\s{}\[\]<>\"]+=[^&\s{}<>\"]*)*")
_DROPPED = re.compile(rb"\[redacted: [0-9]+ bytes that are no JSON\]")


class Redactor:
    """Redacts any number of interactions; a value gets the same stand-in in all of them."""

    def __init__(self, tables: Tables) -> None:
        (_, _, allocation), *_ = tables.request.children
        # A request may stand bare at the root as well.
        self._fields: dict[Side, Fields] = {
            "request": {**allocation.fields, **tables.request.fields},
            "response": tables.response.fields,
        }
        self._stand_ins = StandIns()

    def interaction(self, interaction: Interaction) -> Interaction:
        """*interaction* without what may not be shown; `source` is kept."""
        self.expect(interaction)
        request, response = interaction.request, interaction.response
        host = host_of(request.url) if request is not None else ""
        return replace(
            interaction,
            request=None if request is None else self._request(request, host),
            response=None if response is None else self._response(response, host),
        )

    def expect(self, interaction: Interaction) -> None:
        """Note which stand-ins *interaction* has already. Tell it of all before the first is redacted, and a
        stand-in that only a later one has is not given to another value."""
        for message in (interaction.request, interaction.response):
            if message is None:
                continue
            for _, value in message.headers:
                self._stand_ins.reserve(value)
            if isinstance(message, Request):
                self._stand_ins.reserve(message.url)
            self._stand_ins.reserve(decoded_or_nothing(message.body, message.headers).decode("utf-8", "replace"))

    def _request(self, request: Request, host: str) -> Request:
        body = self._body(request, "request")
        url = redacted_url(request.url, self._stand_ins, keep_host=True)
        method = shown_method(request.method) or self._stand_ins.text(request.method)
        return Request(method, url, self._headers(request.headers, body, host), body)

    def _response(self, response: Response, host: str) -> Response:
        body = self._body(response, "response")
        return Response(response.status, self._headers(response.headers, body, host), body)

    def _headers(self, headers: Headers, body: bytes | None, host: str) -> Headers:
        kept = []
        for name, value in headers:
            if name.lower() == "content-encoding":
                continue  # the body is stored decoded
            if name.lower() == "content-length":
                value = str(len(body or b""))
            kept.append(redacted_header(name, value, self._stand_ins, host))
        return tuple(kept)

    def _body(self, message: Request | Response, side: Side) -> bytes | None:
        if not message.body or _DROPPED.fullmatch(message.body):
            return message.body
        body = decoded_or_nothing(message.body, message.headers)
        reading = read(body)
        if reading.readable and not nests_deeper(reading.value, MAX_DEPTH):
            return json.dumps(self._value(reading.value, "", None, self._fields[side])).encode()
        if _FORM.fullmatch(body):
            return redacted_form(body.decode("latin-1"), self._stand_ins).encode("ascii")
        return b"[redacted: %d bytes that are no JSON]" % len(message.body)

    def _value(self, value: Any, name: str, field: Field | None, fields: Fields) -> Any:
        """*value*, which stands under *name*; *fields* are the documented members of an object in its place."""
        if isinstance(value, str):
            shown = shown_text(name, value)
            return self._stand_ins.text(value) if shown is None else shown
        if isinstance(value, dict):
            return {
                key if key in fields or is_plain_name(key) else self._stand_ins.text(key): self._value(
                    inner, key, fields.get(key), _below(fields.get(key))
                )
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._value(item, name, field, fields) for item in value]
        if value is None or isinstance(value, bool) or (field is not None and field.type == "number"):
            return value
        personal = is_personal_number_name(name) or is_card_value(value)
        return self._stand_ins.number(value) if personal else value


def _below(field: Field | None) -> Fields:
    shape: Shape | None = field.shape if field is not None else None
    return shape.fields if shape is not None else _NO_FIELDS
