"""Conversion of HTTP clients' objects, watched sessions, and tracking of the fields that a client reads.

No HTTP client library is imported.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Self

from pytest_veeqo_alloc.contract.checker import CheckContext
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import STATUS_RULES, Operation, expected_statuses, request_labels, resent
from pytest_veeqo_alloc.core.http import (
    ContentDecodingError,
    Headers,
    Interaction,
    Request,
    Response,
    decode_content,
    is_success,
)
from pytest_veeqo_alloc.core.json_pointer import join, parents
from pytest_veeqo_alloc.core.text import as_text, pluralise


def interaction_of(response: Any, *, body: bytes | str | None = None) -> Interaction:
    """Convert an HTTP client's *response* to an interaction, with the request if it is available.

    If *body* is given, it replaces the body in *response*. Raise TypeError if the body or the status is not available.
    """
    if isinstance(response, Interaction):
        return response
    if isinstance(response, Response):
        return Interaction(None, response)
    statuses = (getattr(response, name, None) for name in ("status_code", "status"))
    status = next((value for value in statuses if isinstance(value, int) and not isinstance(value, bool)), None)
    if status is None or isinstance(response, type):
        raise TypeError(
            f"{_type_name(response)} is not an HTTP response: no numeric status_code or status; "
            "to check only a body, use check_body"
        )
    content = _content(response) if body is None else _encoded(body)
    return Interaction(_carried_request(response), Response(status, _headers(response), content))


def _content(response: Any) -> bytes:
    """Return the body of *response*. Raise TypeError for a stream that was not read, or that other code has read."""
    # In requests, _content is False until the body is read. Before that, .content would read the stream or fail.
    if getattr(response, "_content", None) is not False and not getattr(response, "streaming", False):
        # Look at the class first, because .data of a urllib3 response would read the stream.
        if hasattr(type(response), "isclosed") and hasattr(type(response), "data"):
            if response.isclosed() and (response.data or not response.tell()):
                return bytes(response.data or b"")
        else:
            with contextlib.suppress(RuntimeError):  # httpx raises RuntimeError if the stream was not read
                for name in ("content", "data"):
                    if isinstance(value := getattr(response, name, None), bytes):
                        return value
    raise TypeError(
        f"the body of this {_type_name(response)} is a stream that was not read, or that other code has read: "
        "read the stream first, or pass the bytes as body="
    )


def _carried_request(response: Any) -> Request | None:
    """Return the request that *response* answers. Return None if this request or its body is not available."""
    with contextlib.suppress(RuntimeError, TypeError):
        return request_of(getattr(response, "wsgi_request", None) or getattr(response, "request", None))
    return None


def request_of(request: Any) -> Request:
    """Convert the *request* of an HTTP or test client. Raise TypeError for other objects and for streamed bodies."""
    if isinstance(request, Request):
        return request
    if hasattr(request, "prepare") and not hasattr(request, "body"):
        request = request.prepare()
    method, url = getattr(request, "method", None), getattr(request, "url", None)
    if url is None and hasattr(request, "build_absolute_uri"):
        url = request.build_absolute_uri()
    if not isinstance(method, str) or url is None:
        raise TypeError(f"{_type_name(request)} is not an HTTP request: no method and URL")
    return Request(method, str(url), _headers(request), _request_body(request))


def _request_body(request: Any) -> bytes | None:
    stream: Any = getattr(request, "environ", {}).get("wsgi.input")
    if hasattr(stream, "getvalue"):
        # A WSGI test client: the application has read the stream, but the buffer still contains the whole body.
        return bytes(stream.getvalue()) or None
    for name in ("body", "content"):
        try:
            value = getattr(request, name, None)
        except Exception as error:  # every framework raises its own error if the body was read already
            raise TypeError(f"the body of this {_type_name(request)} is a stream that other code has read") from error
        if isinstance(value, (bytes, str)):
            return _encoded(value) or None
        if value is not None:
            raise TypeError(f"the body of this {_type_name(request)} is a stream: pass a Request with a body of bytes")
    return None


def _headers(message: Any) -> Headers:
    """Return (name, value) pairs. A repeated header has several pairs, unless the client has joined its values."""
    headers = getattr(message, "headers", None) or {}
    pairs = headers.multi_items() if hasattr(headers, "multi_items") else headers.items()
    return tuple((as_text(name), as_text(value)) for name, value in pairs)


def _encoded(body: bytes | str) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"body= must be bytes or a string, not {_type_name(body)}")


def _type_name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _copied(response: Any, finish: Callable[[bytes], None]) -> Any:
    """Return a replacement for the stream of *response* (httpx). At its end, the stream calls *finish* with the body."""
    module: Any = sys.modules[type(response).__module__.partition(".")[0]]
    stream, chunks = response.stream, []

    class SyncCopy(module.SyncByteStream):  # type: ignore[misc]  # of httpx or httpx2
        def __iter__(self) -> Iterator[bytes]:
            for chunk in stream:
                chunks.append(chunk)
                yield chunk
            finish(b"".join(chunks))

        def close(self) -> None:
            stream.close()

    class AsyncCopy(module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in stream:
                chunks.append(chunk)
                yield chunk
            finish(b"".join(chunks))

        async def aclose(self) -> None:
            await stream.aclose()

    return AsyncCopy() if isinstance(stream, module.AsyncByteStream) else SyncCopy()


class Tracker:
    """A tracker of the fields that a client reads from `order`, a read-only view of an order.

    The view is a `Mapping`, not a `dict`. An array in it is a `Sequence`, not a `list`. Use the tracker in a `with` block:
    its end reports the fields to the run.
    """

    def __init__(self, documented: Iterable[str], order: Any, on_close: Callable[[Tracker], object]) -> None:
        self._documented, self._on_close = frozenset(documented), on_close
        self._read: set[str] = set()
        self._is_open = True
        self.order = self.view(order)

    @property
    def fields(self) -> tuple[str, ...]:
        """The pointers of the documented fields that were read. An object is left out if a field in it was read."""
        return _innermost(self._read & self._documented)

    @property
    def undocumented(self) -> tuple[str, ...]:
        """The pointers of the undocumented members that were read or looked for."""
        items = {pointer for pointer in self._read if pointer.endswith("/*")}
        return _innermost(self._read - self._documented - items)

    def view(self, value: Any, pointer: str = "") -> Any:
        """Return a view of *value*, which is at *pointer* in the order. Scalars are returned unchanged."""
        if isinstance(value, dict):
            return _TrackedObject(value, pointer, self)
        return _TrackedArray(value, f"{pointer}/*", self) if isinstance(value, list) else value

    def note(self, pointer: str) -> None:
        """Note that the client has read *pointer*, or has looked for it."""
        self._read.add(pointer)

    def close(self) -> None:
        """Report the fields to the run. Only the first call has an effect."""
        if self._is_open:
            self._is_open = False
            self._on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Tracker: {', '.join(self.fields) or 'no field'}>"


def _innermost(pointers: Iterable[str]) -> tuple[str, ...]:
    found = set(pointers)
    return tuple(sorted(found - {parent for pointer in found for parent in parents(pointer)}))


class _View:
    """A read-only part of a tracked order. A copy is the view itself, so that reads of the copy are noted as well."""

    __slots__ = ("_pointer", "_tracker", "_value")
    __hash__ = None  # type: ignore[assignment]  # as for a dict and a list

    def __init__(self, value: Any, pointer: str, tracker: Tracker) -> None:
        self._value, self._pointer, self._tracker = value, pointer, tracker

    def __len__(self) -> int:
        return len(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tracked order cannot be pickled: the fields that are read from the copy would not be noted")

    def __repr__(self) -> str:
        return f"<tracked {'object' if isinstance(self._value, dict) else 'array'} at {self._pointer or 'the root'}>"


class _TrackedObject(_View, Mapping[str, Any]):
    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        pointer = join(self._pointer, str(name))
        self._tracker.note(pointer)
        return self._tracker.view(self._value[name], pointer)

    def __contains__(self, name: object) -> bool:
        self._tracker.note(join(self._pointer, str(name)))
        return name in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)


class _TrackedArray(_View, Sequence[Any]):
    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = self._value[index]
        if isinstance(index, slice):
            return [self._tracker.view(item, self._pointer) for item in found]
        return self._tracker.view(found, self._pointer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, _TrackedArray)) and list(self) == list(other)


class Watch:
    """A client session whose calls are recorded in `interactions` and checked.

    Calls of undocumented operations are not recorded, but counted in `skipped`. A request with a streamed body is not
    checked. A streamed response body is checked once the client has read it (httpx), or never (requests). With
    requests, a call that passes its own `hooks` argument is not recorded. If the fields that the client reads are tracked,
    `.json()` of each response returns a read-only view of the order, and `uses` has the fields.
    """

    def __init__(
        self,
        session: Any,
        operation: Operation,
        *,
        check: Callable[[Interaction, CheckContext], Findings],
        merge: Callable[[list[Findings]], Findings],
        tracker: Tracker | None = None,
    ) -> None:
        self.uses = tracker
        self._unread: set[int] = set()  # the indices of tracked responses whose JSON the client has not taken
        self.interactions: list[Interaction] = []
        self.skipped = 0
        self._operation, self._check, self._merge = operation, check, merge
        self._expected: frozenset[int] | None = None
        self._expectations: list[frozenset[int] | None] = []
        self._checked: list[Findings] = []
        self._hook = self._on_async_response if hasattr(session, "aclose") else self._on_response
        attributes = (getattr(session, name, None) for name in ("event_hooks", "hooks"))  # httpx, requests
        events = next((hooks for hooks in attributes if isinstance(hooks, dict)), None)
        if events is None:
            name = _type_name(type(session))
            raise TypeError(f"cannot watch a {name}: pass a requests.Session, an httpx.Client or an httpx.AsyncClient")
        hooks = events.setdefault("response", [])
        if not isinstance(hooks, list):  # requests accepts a single function as well
            hooks = events["response"] = [hooks]
        hooks.append(self._hook)
        self._hooks = hooks

    @property
    def findings(self) -> Findings:
        """The findings about all interactions so far, in the order of the interactions."""
        intermediate = resent(self.interactions, self._operation)
        for index in range(len(self._checked), len(self.interactions)):
            context = CheckContext(self._expectations[index], is_final=index not in intermediate)
            self._checked.append(self._check(self.interactions[index], context))
        for index in intermediate:  # a response may have been final when it was checked
            self._checked[index] = self._checked[index].where(lambda finding: finding.rule not in STATUS_RULES)
        labels = request_labels([interaction.request for interaction in self.interactions], self._operation)
        return self._merge([part.with_source(label) for part, label in zip(self._checked, labels, strict=True)])

    def expect_status(self, statuses: int | Iterable[int] | None) -> None:
        """Expect one of *statuses* in every later response. None: the documented status.

        Requests are still checked. If a request is repeated, only the status of the last response is checked. Raise
        TypeError unless *statuses* is a number, several numbers or None.
        """
        self._expected = expected_statuses(statuses)

    def __repr__(self) -> str:  # without the findings, since the client may still be reading a body
        return f"<Watch: {pluralise(len(self.interactions), 'interaction')}, {self.skipped} skipped>"

    def close(self) -> None:
        """Stop recording, and keep the recorded interactions. Closing twice is allowed."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)
        if self.uses is not None:
            self.uses.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _on_response(self, response: Any, *args: object, **kwargs: object) -> None:
        if self._is_relevant(response):
            self._record(response, is_stream=bool(kwargs.get("stream")))  # an argument that requests passes on

    async def _on_async_response(self, response: Any) -> None:
        if self._is_relevant(response):
            self._record(response)

    def _record(self, response: Any, *, is_stream: bool = False) -> None:
        """Record *response*. A streamed body is copied while the client reads it (httpx), or not checked (requests)."""
        index = len(self.interactions)
        self._expectations.append(self._expected)
        try:
            self.interactions.append(interaction_of(response, body=b"" if is_stream else response.content))
        except RuntimeError:  # httpx has not read the body, or another hook of requests has
            is_stream = True
            self.interactions.append(interaction_of(response, body=b""))
            if hasattr(response, "stream"):
                response.stream = _copied(response, lambda body: self._set_body(index, body))
        if is_stream:
            self._set_body(index, None)
        if self.uses is not None and is_success(response.status_code):
            self._track(response, self.uses, index)

    def _track(self, response: Any, tracker: Tracker, index: int) -> None:
        """Make `.json()` of *response*, the response with this *index*, return a view of the order."""
        self._unread.add(index)
        parse = response.json

        def json(**kwargs: Any) -> Any:
            self._unread.discard(index)
            return tracker.view(parse(**kwargs))

        response.json = json

    def _set_body(self, index: int, body: bytes | None) -> None:
        interaction = self.interactions[index]
        if interaction.response is not None and index >= len(self._checked):
            with contextlib.suppress(ContentDecodingError):  # the contract check reports it
                body = decode_content(body, interaction.response.headers)
            response = replace(interaction.response, body=body, is_body_known=body is not None)
            self.interactions[index] = replace(interaction, response=response)

    @property
    def notes(self) -> list[str]:
        """A sentence for each response whose fields were not tracked, or whose body was streamed and not checked."""
        untracked = "the fields were not tracked, since the client did not call .json() of the response"
        return [
            *(f"response {index + 1} of a watched session: {untracked}" for index in sorted(self._unread)),
            *(
                f"response {number} of a watched session: the body was streamed, and not checked"
                for number, interaction in enumerate(self.interactions, 1)
                if interaction.response is not None and not interaction.response.is_body_known
            ),
        ]

    def _is_relevant(self, response: Any) -> bool:
        """Return whether *response* answers a call of the documented operation. If not, count the call as skipped."""
        request = None
        with contextlib.suppress(AttributeError, RuntimeError, TypeError):  # the response has no request
            request = Request(response.request.method, str(response.request.url))
        is_relevant = self._operation.matches(Interaction(request))
        self.skipped += not is_relevant
        return is_relevant
