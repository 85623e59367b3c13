"""Calls of a WSGI or ASGI application in this process.

A WSGI application runs in the thread of the test, and thus shares its database connection. An ASGI application runs in
another thread with its own event loop, as in the test clients of Starlette and FastAPI.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import logging
import signal
import sysconfig
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import BaseAdapter

from pytest_veeqo_alloc.live import SendError, UnsuitableError

if TYPE_CHECKING:
    import httpx

BASE_URL = "http://application.localhost"
"""The base URL of an application in this process. No request to it leaves the process."""

_HOST = "http://testserver"  # the host that Django allows in tests
_LIBRARIES = (*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), str(Path(__file__).parents[1]), "<")
_monotonic = functools.partial(time.monotonic)  # unaffected by tests that freeze the time
_START_SECONDS, _STOP_SECONDS = 30, 10
_LOG = logging.getLogger("pytest_veeqo_alloc")

Application = Callable[..., Any]


class ApplicationAdapter(BaseAdapter):
    """A transport adapter for `requests` that calls the WSGI or ASGI application *app*.

    An exception in *app* becomes a response with status 500. Raise UnsuitableError if *app* is neither a WSGI nor an ASGI
    application, or does not start, or if httpx is not installed.
    """

    def __init__(self, app: object) -> None:
        super().__init__()
        if importlib.util.find_spec("httpx") is None:
            raise UnsuitableError("httpx is needed to call an application in this process: pip install httpx")
        self._app, is_asynchronous = _validate(app)
        self._loop: asyncio.AbstractEventLoop | None = None
        if is_asynchronous:
            ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
            self._thread = threading.Thread(target=_run_loop, args=(self._app, ready), daemon=True)
            self._thread.start()
            try:
                self._loop, self._stop = ready.result(_START_SECONDS)
            except TimeoutError:
                raise UnsuitableError(f"the application does not start within {_START_SECONDS} seconds") from None

    @property
    def is_sequential(self) -> bool:
        """Whether the application gets only one request at a time, as a WSGI application does."""
        return self._loop is None

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Return the response of the application. Raise SendError if it takes longer than `timeout[1]` seconds."""
        import httpx

        seconds = float(timeout[1])
        url = httpx.URL(_HOST, raw_path=request.path_url.encode())
        headers = [pair for pair in request.headers.items() if pair[0].lower() != "transfer-encoding"]
        body = request.body if isinstance(request.body, (bytes, str, type(None))) else b"".join(request.body)
        late = SendError(f"{request.method} got no response: the application took longer than {seconds:g} seconds")
        try:
            answer = self._call(httpx.Request(str(request.method), url, headers=headers, content=body), seconds, late)
        except Exception as error:
            if error is late:
                raise
            _LOG.error("the application raised %s: the response has status 500", raised_at(error))
            answer = httpx.Response(500, json={"error_messages": "Internal Server Error"})
        response = requests.Response()
        response.status_code, response.url, response._content = answer.status_code, str(request.url), answer.content
        response.headers.update(answer.headers)
        return response

    def _call(self, request: httpx.Request, seconds: float, late: SendError) -> httpx.Response:
        import httpx

        if self._loop is None:
            with _time_limit(seconds, late):
                answer = httpx.WSGITransport(self._app).handle_request(request)
                answer.read()
                return answer

        async def call() -> httpx.Response:
            answer = await httpx.ASGITransport(self._app).handle_async_request(request)
            await answer.aread()
            return answer

        future = asyncio.run_coroutine_threadsafe(call(), self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise  # the application has raised the TimeoutError
            future.cancel()
            raise late from None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run *awaitable* in the event loop of the application, if any, or in a new one. Return the result."""
        if self._loop is None:
            return run_awaitable(awaitable)
        return asyncio.run_coroutine_threadsafe(_result_of(awaitable), self._loop).result()

    def close(self) -> None:
        """Shut the application down. Only the first call has an effect."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_SECONDS)


def _run_loop(app: Application, ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    """Run the lifespan of *app* in a new event loop. Set the result of *ready*: the loop, and an event that ends it."""

    async def run() -> None:
        stop = asyncio.Event()
        async with _lifespan(app):
            ready.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(run())
    except Exception as error:  # an error at shutdown is ignored
        if not ready.done():
            ready.set_exception(error)


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    vars(loop)["time"] = _monotonic
    return loop


def run_awaitable(awaitable: Awaitable[Any]) -> Any:
    """Run *awaitable* in a new event loop, and return the result."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(_result_of(awaitable))


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _validate(app: object) -> tuple[Application, bool]:
    """Return *app*, and whether it is an ASGI application. Raise UnsuitableError if it is neither ASGI nor WSGI."""
    if callable(app):
        if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
            return app, True
        for arguments, is_asynchronous in (("scope", "receive", "send"), True), (("environ", "start_response"), False):
            with suppress(TypeError, ValueError):
                inspect.signature(app).bind(*arguments)
                return app, is_asynchronous
    raise UnsuitableError(f"a base URL, a WSGI or an ASGI application is needed, not {type(app).__name__}")


@asynccontextmanager
async def _lifespan(app: Application) -> AsyncIterator[None]:
    """Run the lifespan of the ASGI application *app*, if it has one. Raise UnsuitableError if it does not start."""
    events = asyncio.Queue[str]()
    events.put_nowait("lifespan.startup")
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, str]:
        return {"type": await events.get()}

    async def send(message: dict[str, Any]) -> None:
        if not started.done():
            started.set_result(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
    if started.done() and started.result() == "lifespan.startup.failed":
        raise UnsuitableError("the application does not start: its lifespan failed")
    yield
    events.put_nowait("lifespan.shutdown")
    await asyncio.wait([task], timeout=5)
    task.cancel()
    with suppress(Exception, asyncio.CancelledError):  # an application without a lifespan may raise
        await task


@contextmanager
def _time_limit(seconds: float, late: SendError) -> Iterator[None]:
    """Raise *late* if the block takes longer than *seconds*. Set no limit where an alarm signal cannot be used."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_REAL)[0]
    ):
        yield
        return
    has_expired = False

    def expire(*_: object) -> None:
        nonlocal has_expired
        has_expired = True
        raise late

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if has_expired:  # the application may have answered the exception with a response of its own
            raise late


def raised_at(error: BaseException) -> str:
    """Return the type of *error* and the line that raised it (outside libraries if possible), without the message."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    place = [f" in {Path(frame.filename).name}, line {frame.lineno}" for frame in (own or frames)[-1:]]
    return "".join([type(error).__name__, *place])
