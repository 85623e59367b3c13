"""The interactions of a cassette file, and their form in the hands of vcrpy."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from vcr.request import Request as VcrRequest
from vcr.util import read_body

from pytest_veeqo_alloc.capture.documents import UnreadableFileError
from pytest_veeqo_alloc.capture.readers import grouped, load, mapped, status_code
from pytest_veeqo_alloc.core.http import CodingError, Headers, Interaction, Request, Response, decoded, reason_phrase
from pytest_veeqo_alloc.core.text import text_of
from pytest_veeqo_alloc.recording.names import CassetteError, Place

_DECODED = ("content-encoding", "transfer-encoding")


def load_entries(place: Place) -> list[Interaction]:
    """Every interaction that lies at *place*, bodies decoded; none where there is no file. CassetteError, in one
    sentence with the file's name, for what is no cassette."""
    data = place.read()
    if data is None:
        return []
    try:
        loaded = load(data, str(place.path), kind="cassette", side_of=lambda _: None, means=lambda _: True)
    except UnreadableFileError as error:
        raise CassetteError(f"the cassette {place.path} cannot be used: {error}") from None
    if loaded is None or not loaded.interactions:
        raise CassetteError(f"the cassette {place.path} holds no interaction: record it anew")
    return list(loaded.interactions)


def vcr_request(interaction: Interaction) -> VcrRequest:
    """The request of *interaction* as vcrpy has it."""
    request, _ = _both(interaction)
    return VcrRequest(request.method, request.url, request.body, dict(request.headers))


def vcr_response(interaction: Interaction) -> dict[str, Any]:
    """The response of *interaction* as vcrpy plays it: decoded, since each client undoes codings in its own way."""
    _, response = _both(interaction)
    body = response.body or b""
    headers = grouped(
        tuple(
            (name, str(len(body)) if name.lower() == "content-length" else value)
            for name, value in response.headers
            if name.lower() not in _DECODED
        )
    )
    status = {"code": response.status, "message": reason_phrase(response.status)}
    return {"status": status, "headers": headers, "body": {"string": body}}


def _both(interaction: Interaction) -> tuple[Request, Response]:
    if interaction.request is None or interaction.response is None:
        raise CassetteError("a cassette holds requests with their responses")
    return interaction.request, interaction.response


def request_of(request: Any) -> Request:
    """A request of vcrpy, whatever form its client gave the body."""
    headers = tuple((str(name), text_of(value)) for name, value in request.headers.items())
    body = read_body(request)
    if _is_json_value(body) and "content-type" not in request.headers:
        headers = (*headers, ("Content-Type", "application/json"))
    return Request(request.method, request.uri, headers, _body_bytes(body))


def _is_json_value(body: Any) -> bool:
    """Whether *body* is what aiohttp was given as `json=`: vcrpy sees it before aiohttp writes it and says what it is.
    A form, which is a flat object, is not told from JSON so."""
    inner = body.values() if isinstance(body, dict) else ()
    return any(isinstance(value, (dict, list)) for value in inner)


def response_of(response: Any) -> Response:
    """A response of vcrpy, decoded where that can be done."""
    headers: Headers = mapped(response)
    body = _body_bytes((response.get("body") or {}).get("string"))
    with contextlib.suppress(CodingError):  # redaction drops what it cannot read, and says so
        body = decoded(body, headers)
    return Response(status_code(response["status"]["code"]), headers, body)


def _body_bytes(body: Any) -> bytes | None:
    """Clients hand over bytes, text, a list of chunks, or for aiohttp the value that becomes JSON."""
    if body is None or isinstance(body, bytes):
        return body or None
    if isinstance(body, str):
        return body.encode() or None
    if isinstance(body, list) and all(isinstance(chunk, bytes) for chunk in body):
        return b"".join(body) or None
    return json.dumps(body).encode()
