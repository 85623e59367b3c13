"""Requests and responses of any client, by the attributes they have; no client is imported."""

from __future__ import annotations

from typing import Any

from pytest_veeqo_alloc.capture.values import text_of
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response


def interaction_of(response: Any, *, body: bytes | str | None = None) -> Interaction:
    """The interaction that ended in *response*: of requests, httpx, urllib3, aiohttp, `http.client`, or the test client
    of Flask, Starlette or Django; or our own `Response` or `Interaction`.

    The request is known where the response carries it. *body* is for responses whose body is read apart from them
    (aiohttp, `http.client`, any stream). TypeError, in one sentence, where *response* is none or its body is not there.
    """
    if isinstance(response, Interaction):
        return response
    if isinstance(response, Response):
        return Interaction(None, response)
    status = next(
        (value for name in ("status_code", "status") if _is_status(value := getattr(response, name, None))), None
    )
    if status is None or isinstance(response, type):
        raise TypeError(
            f"{_name(response)} is no HTTP response: it has no numeric status_code or status; "
            "a body alone is checked with check_body"
        )
    content = _explicit(body) if body is not None else _content(response)
    return Interaction(_carried_request(response), Response(status, _headers(response), content))


def request_of(request: Any) -> Request:
    """A request of requests, httpx, werkzeug (Flask) or Django, prepared or not; or our own `Request`.

    TypeError, in one sentence, where it is none or its body is a stream.
    """
    if isinstance(request, Request):
        return request
    if hasattr(request, "prepare") and not hasattr(request, "body"):
        request = request.prepare()
    method, url = getattr(request, "method", None), getattr(request, "url", None)
    if url is None and hasattr(request, "build_absolute_uri"):
        url = request.build_absolute_uri()
    if not isinstance(method, str) or url is None:
        raise TypeError(f"{_name(request)} is no HTTP request: it has no method and URL")
    return Request(method, str(url), _headers(request), _request_body(request))


def line_of(response: Any) -> Request | None:
    """Method and URL of the request that *response* carries, whatever its body is; None where it carries none."""
    try:
        carried = getattr(response, "request", None)
        return Request(carried.method, str(carried.url)) if carried is not None else None
    except (AttributeError, RuntimeError, TypeError):
        return None


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _explicit(body: bytes | str) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"body= takes the bytes that were read, not {_name(body)}")


def _headers(message: Any) -> Headers:
    """Header pairs, repeated ones apart where the client keeps them apart."""
    headers = getattr(message, "headers", None) or {}
    pairs = headers.multi_items() if hasattr(headers, "multi_items") else headers.items()
    return tuple((text_of(name), text_of(value)) for name, value in pairs)


def _content(response: Any) -> bytes:
    # requests keeps False here until the body is read; .content would read the stream, or fail once it is consumed.
    if getattr(response, "_content", None) is False or getattr(response, "streaming", False):
        raise TypeError(_not_there(response))
    # Asked of the class: asking the response itself would read the stream.
    if hasattr(type(response), "isclosed") and hasattr(type(response), "data"):
        return _urllib3_content(response)
    try:
        for name in ("content", "data"):
            if isinstance(value := getattr(response, name, None), bytes):
                return value
    except RuntimeError:  # httpx says so of a stream that nobody has read
        pass
    raise TypeError(_not_there(response))


def _urllib3_content(response: Any) -> bytes:
    if not response.isclosed():
        raise TypeError(_not_there(response))
    data: bytes = response.data or b""
    if not data and response.tell():
        raise TypeError(_not_there(response))
    return data


def _not_there(response: Any) -> str:
    return (
        f"the body of this {_name(response)} is a stream that was not read, or was read elsewhere: "
        "read it first, or hand over what was read as body="
    )


def _carried_request(response: Any) -> Request | None:
    """The request that *response* carries, None where it carries none, or one whose body cannot be told any more."""
    try:
        carried = getattr(response, "wsgi_request", None) or getattr(response, "request", None)
        return None if carried is None else request_of(carried)
    except (RuntimeError, TypeError):
        return None


def _request_body(request: Any) -> bytes | None:
    stream: Any = getattr(request, "environ", {}).get("wsgi.input")
    if hasattr(stream, "getvalue"):
        # A WSGI test client: the application has read the stream, but its buffer still has everything.
        return bytes(stream.getvalue()) or None
    for name in ("body", "content"):
        try:
            value = getattr(request, name, None)
        except Exception as error:  # each framework has an error of its own for "already read"
            raise TypeError(f"the body of this {_name(request)} is a stream that was read elsewhere") from error
        if value is not None:
            return _body_bytes(request, value)
    return None


def _body_bytes(request: Any, value: Any) -> bytes | None:
    if not isinstance(value, (bytes, str)):
        raise TypeError(f"the body of this {_name(request)} is a stream: check it with a Request that has the bytes")
    return _explicit(value) or None
