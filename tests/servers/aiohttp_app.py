"""The correct server behind aiohttp."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from servers.app import CorrectServer


@contextmanager
def running_in_aiohttp(server: CorrectServer) -> Iterator[str]:
    """Serve *server* on the loopback until the block ends; yield the URL."""

    async def handle(request: web.Request) -> web.Response:
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
        environ["CONTENT_TYPE"] = request.headers.get("Content-Type", "")
        body = await request.read()
        status, headers, text = await asyncio.to_thread(server.respond, request.method, request.path, environ, body)
        return web.Response(status=status, headers=headers, body=text)

    loop = asyncio.new_event_loop()
    ports: list[int] = []

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=20_000_000)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.extend(address[1] for address in runner.addresses)
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{ports[0]}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
