"""WSGI and ASGI applications that are called in this process."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.frozen_time import frozen_time
from support.live import live_at, pool_request

from pytest_veeqo_alloc.core.http import Request, Response
from pytest_veeqo_alloc.live import SendError, UnsuitableError
from pytest_veeqo_alloc.live.in_process import BASE_URL, ApplicationAdapter, raised_at
from pytest_veeqo_alloc.live.transport import exchange

JSON = ("Content-Type", "application/json")


@contextmanager
def session_of(app: object) -> Iterator[requests.Session]:
    adapter = ApplicationAdapter(app)
    with requests.Session() as session:
        session.mount(BASE_URL, adapter)
        yield session
    adapter.close()


def ask(session: requests.Session, method: str = "POST", path: str = "/orders/7", seconds: float = 10) -> Response:
    request = Request(method, BASE_URL + path, (JSON, ("x-api-key", "key")), b"{}")
    return exchange(session, request, "the application", (5, seconds))


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "HTTP_X_API_KEY", "CONTENT_TYPE")
    seen = [environ[name] for name in names] + [environ["wsgi.input"].read().decode()]
    start_response("201 Created", [("Content-Type", "application/json"), ("X-Thread", str(threading.get_ident()))])
    return [json.dumps(seen).encode()]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise ValueError("Django, for example, knows no lifespan")
    message = await receive()
    headers = dict(scope["headers"])
    seen = [scope["method"], scope["path"], scope["query_string"].decode(), headers[b"host"].decode()]
    seen += [headers[b"x-api-key"].decode(), headers[b"content-type"].decode(), message["body"].decode()]
    thread = str(threading.get_ident()).encode()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-thread", thread)]})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


class Asynchronous:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)


class ReturnsCoroutine:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return asgi(scope, receive, send)


@pytest.mark.parametrize(
    "app", [wsgi, functools.partial(wsgi), asgi, functools.partial(asgi), Asynchronous(), ReturnsCoroutine()]
)
def test_application_gets_the_request_and_wsgi_runs_in_the_thread_of_the_test(app: object) -> None:
    with session_of(app) as session:
        response = ask(session, path="/orders/7?a=1")
        is_in_thread = response.header("x-thread") == str(threading.get_ident())
        assert is_in_thread == session.get_adapter(BASE_URL).is_sequential  # type: ignore[attr-defined]
    assert response.status == 201
    assert json.loads(response.body or b"") == [
        "POST",
        "/orders/7",
        "a=1",
        "testserver",
        "key",
        "application/json",
        "{}",
    ]


def test_client_of_a_foreign_server_sends_nothing_over_the_network(tmp_path: Path) -> None:
    with live_at(BASE_URL, tmp_path) as live:
        live.mount(ApplicationAdapter(wsgi))
        response = live.post(7, pool_request()).response
    assert response is not None
    assert response.status == 201


def test_body_in_chunks_arrives_whole_and_a_compressed_response_is_read() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Encoding", "gzip")])
        yield gzip.compress(environ["wsgi.input"].read() + environ["CONTENT_LENGTH"].encode())

    with session_of(app) as session:
        assert session.post(BASE_URL, data=iter([b"ab", b"c"]), timeout=(5, 5)).content == b"abc3"


def raising(environ: object, start_response: object) -> list[bytes]:
    raise LookupError("the text of an exception may hold a secret")


async def asynchronously_raising(scope: dict[str, Any], receive: object, send: Any) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": []})
    raise LookupError("the text of an exception may hold a secret")


@pytest.mark.parametrize("app", [raising, asynchronously_raising])
def test_exception_of_the_application_is_a_500_and_one_logged_sentence(
    app: object, caplog: pytest.LogCaptureFixture
) -> None:
    with session_of(app) as session, caplog.at_level(logging.ERROR, "pytest_veeqo_alloc"):
        assert ask(session).status == 500
    (sentence,) = caplog.messages
    assert sentence.startswith("the application raised LookupError in test_in_process.py, line ")
    assert "secret" not in caplog.text


def test_application_that_never_starts_a_response_is_a_500() -> None:
    with session_of(lambda environ, start_response: []) as session:
        assert ask(session).status == 500


def hanging(environ: object, start_response: object) -> list[bytes]:
    threading.Event().wait(60)
    return []


def late_in_the_body(environ: object, start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("201 Created", [])
    yield b"{"
    threading.Event().wait(60)


def hiding_the_time_limit(environ: object, start_response: Callable[..., Any]) -> list[bytes]:
    try:
        threading.Event().wait(60)
    except Exception:
        start_response("500 Internal Server Error", [])
    return [b""]


async def asynchronously_hanging(scope: dict[str, Any], receive: object, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await asyncio.Event().wait()


@pytest.mark.parametrize("app", [hanging, late_in_the_body, hiding_the_time_limit, asynchronously_hanging])
def test_application_that_answers_too_late_is_one_sentence(app: object) -> None:
    with session_of(app) as session:
        words = r"^POST got no response: the application took longer than 0\.1 seconds$"
        with pytest.raises(SendError, match=words):
            ask(session, seconds=0.1)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_timeout_of_the_application_itself_is_a_500() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise TimeoutError

    with session_of(app) as session:
        assert ask(session).status == 500


def test_alarm_of_another_plugin_is_left_alone() -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 50)
    try:
        with session_of(wsgi) as session:
            assert ask(session, seconds=0.1).status == 201
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_lifespan_runs_around_the_requests() -> None:
    events = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            events.append("request")
            await asgi(scope, receive, send)
            return
        for _ in range(2):
            event = (await receive())["type"]
            events.append(event)
            await send({"type": f"{event}.complete"})

    with session_of(app) as session:
        ask(session)
    assert events == ["lifespan.startup", "request", "lifespan.shutdown"]


def test_event_loop_of_other_tests_stays() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with session_of(asgi) as session:
            ask(session)
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_application_that_starts_too_late_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("pytest_veeqo_alloc.live.in_process._START_SECONDS", 0.1)
    with pytest.raises(UnsuitableError, match=r"^the application does not start within 0\.1 seconds$"):
        ApplicationAdapter(app)


def test_asgi_application_gets_simultaneous_requests() -> None:
    barrier = asyncio.Barrier(2)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await barrier.wait()
        await asgi(scope, receive, send)

    with session_of(app) as session, ThreadPoolExecutor(2) as executor:
        answers = list(executor.map(lambda _: ask(session).status, range(2)))
    assert answers == [201, 201]


def test_application_that_does_not_start_is_one_sentence() -> None:
    async def app(scope: object, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "a secret"})

    with pytest.raises(UnsuitableError, match=r"^the application does not start: its lifespan failed$"):
        ApplicationAdapter(app)


@pytest.mark.parametrize("app", [None, 7, ["http://127.0.0.1"], lambda: None])
def test_anything_else_is_no_application(app: object) -> None:
    kind = type(app).__name__
    with pytest.raises(UnsuitableError, match=f"^a base URL, a WSGI or an ASGI application is needed, not {kind}$"):
        ApplicationAdapter(app)


def test_missing_httpx_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        UnsuitableError, match=r"^httpx is needed to call an application in this process: pip install httpx$"
    ):
        ApplicationAdapter(wsgi)


def test_place_of_an_exception_is_the_last_line_outside_of_libraries() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        json.loads("{")
    assert raised_at(caught.value) == f"JSONDecodeError in test_in_process.py, line {caught.tb.tb_lineno}"
    assert raised_at(ValueError()) == "ValueError"


def test_time_limit_needs_the_main_thread() -> None:
    statuses = []

    def run() -> None:
        with session_of(wsgi) as session:
            statuses.append(ask(session).status)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert statuses == [201]


@pytest.mark.parametrize(("sleeps", "seconds"), [(0.01, 10), (30, 0.05)])
def test_application_that_waits_is_answered_or_given_up_under_frozen_time(sleeps: float, seconds: float) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(sleeps if scope["type"] == "http" else 0)
        await asgi(scope, receive, send)

    with frozen_time(), session_of(app) as session:
        if seconds > sleeps:
            assert ask(session).status == 201
            return
        with pytest.raises(SendError, match="took longer"):
            ask(session, seconds=seconds)


def test_awaitable_runs_in_the_event_loop_of_an_application_or_in_one_of_its_own() -> None:
    loops = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        loops.append(asyncio.get_running_loop())
        await asgi(scope, receive, send)

    async def running_loop() -> object:
        return asyncio.get_running_loop()

    for application, is_shared in ((app, True), (wsgi, False)):
        adapter = ApplicationAdapter(application)
        assert (adapter.run(running_loop()) in loops) == is_shared
        adapter.close()
