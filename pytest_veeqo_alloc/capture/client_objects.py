"""Requests and responses of any client, by the attributes they have; no client is imported."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.core.http import Headers, Interaction, Request, Response
from pytest_veeqo_alloc.core.text import as_text


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


def request_line_of(response: Any) -> Request | None:
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
    return tuple((as_text(name), as_text(value)) for name, value in pairs)


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


class Watch:
    """The interactions of one session, and what is wrong with them.

    Only what *means* recognises is kept; the rest is counted in `skipped`. A request whose body is a stream cannot be
    looked at; the response to it is checked alone. A context manager: leaving it, or `close()`, stops the watching.
    Hooks that a single call passes to requests replace those of its session, so such a call is not seen.
    """

    def __init__(
        self,
        session: Any,
        *,
        matches: Callable[[Interaction], bool],
        check: Callable[[Interaction], Findings],
        merge: Callable[[list[Findings]], Findings],
    ) -> None:
        self.interactions: list[Interaction] = []
        self.skipped = 0
        self._means, self._check, self._merge = matches, check, merge
        self._checked: list[Findings] = []
        self._hooks, self._hook = self._attach(session)

    @property
    def findings(self) -> Findings:
        """The findings of all interactions so far, in the order in which they were seen."""
        while len(self._checked) < len(self.interactions):
            self._checked.append(self._check(self.interactions[len(self._checked)]))
        return self._merge(self._checked)

    def close(self) -> None:
        """Stop watching; what was collected stays. Closing twice is fine."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attach(self, session: Any) -> tuple[list[Any], Callable[..., Any]]:
        """Adds our hook to the response hooks of *session*; returns both."""
        hook: Callable[..., Any]
        events = getattr(session, "event_hooks", None)
        if isinstance(events, dict):
            hook = self._see_async if hasattr(session, "aclose") else self._see_httpx
        elif isinstance(events := getattr(session, "hooks", None), dict):
            hook = self._see_requests
        else:
            raise TypeError(
                f"cannot watch a {type(session).__module__}.{type(session).__qualname__}: "
                "it takes a requests.Session, an httpx.Client or an httpx.AsyncClient"
            )
        hooks = events.setdefault("response", [])
        if not isinstance(hooks, list):  # requests takes a single function as well
            hooks = events["response"] = [hooks]
        hooks.append(hook)
        return hooks, hook

    def _see_requests(self, response: Any, *args: object, **kwargs: object) -> None:
        if self._is_meant(response):
            _ = response.content
            self.interactions.append(interaction_of(response))

    def _see_httpx(self, response: Any) -> None:
        if self._is_meant(response):
            response.read()
            self.interactions.append(interaction_of(response))

    async def _see_async(self, response: Any) -> None:
        if self._is_meant(response):
            await response.aread()
            self.interactions.append(interaction_of(response))

    def _is_meant(self, response: Any) -> bool:
        """Whether to keep it, told before any body is read: that of another call is none of our business."""
        meant = self._means(Interaction(request_line_of(response)))
        self.skipped += not meant
        return meant
