"""Web frameworks that serve a shop on the loopback. A framework that is not installed skips the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from support.servers import serving

from servers.app import running
from servers.shop import KEY, Shop

_SHOP_IN_NODE = Path(__file__).with_name("shop.js")


class _ShopHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    shop: Shop

    def respond(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()} | {"raw names": " ".join(self.headers)}
        if int(headers.get("content-length", 0)) > self.shop.most_bytes:
            self.send_error(413)  # it closes the connection, and the body is not read
            return
        is_chunked = "transfer-encoding" in headers
        body = self.chunks() if is_chunked else self.rfile.read(int(headers.get("content-length", 0)))
        status, more, text = self.shop.respond(self.command, self.path, headers, body)
        self.send_response(status)
        for name, value in (more | {"Content-Length": str(len(text))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815  # the names that http.server looks for

    def chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def in_http_server(shop: Shop) -> Iterator[str]:
    """Serve *shop* with the names of headers as they were sent, and with chunks."""
    with serving(type("Handler", (_ShopHandler,), {"shop": shop})) as url:
        yield url


@contextmanager
def in_flask(shop: Shop) -> Iterator[str]:
    pytest.importorskip("flask")
    import flask
    from werkzeug.serving import WSGIRequestHandler, make_server

    app = flask.Flask("shop")

    @app.post("/orders/<order_id>/allocations")
    @app.get("/orders/<order_id>")
    def respond(order_id: str) -> Any:
        request = flask.request
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, more, body = shop.respond(request.method, request.path, headers, request.get_data())
        return body, status, more

    class QuietHandler(WSGIRequestHandler):
        def log(self, *args: object) -> None:
            pass

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


_served: list[Shop] = []
"""The shop behind Django, whose settings and routes are set once per process."""


def _respond_in_django(request: Any, body: bytes) -> Any:
    from django.http import HttpResponse

    headers = {name.lower(): value for name, value in request.headers.items()}
    if headers.get("transfer-encoding"):
        return HttpResponse(status=411)  # WSGI passes no body of unknown length
    status, more, text = _served[-1].respond(request.method, request.path, headers, body)
    return HttpResponse(text, status=status, headers=more)


def _django_application(routes: list[Any]) -> Any:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["127.0.0.1"],
            REST_FRAMEWORK={"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
            LOGGING_CONFIG=None,
            SECRET_KEY="not-a-secret-of-a-test",
        )
    settings.ROOT_URLCONF = tuple(routes)
    return get_wsgi_application()


@contextmanager
def in_django(shop: Shop) -> Iterator[str]:
    pytest.importorskip("django")
    from django.urls import path

    def view(request: Any, **arguments: str) -> Any:
        return _respond_in_django(request, request.body)

    routes = [path("orders/<str:order_id>/allocations", view), path("orders/<str:order_id>", view)]
    _served.append(shop)
    with running(_django_application(routes)) as url:
        yield url


@contextmanager
def in_django_rest_framework(shop: Shop) -> Iterator[str]:
    pytest.importorskip("rest_framework")
    from django.urls import path

    application = _django_application([])
    from rest_framework.parsers import BaseParser
    from rest_framework.views import APIView

    class RawParser(BaseParser):  # type: ignore[misc]  # untyped
        media_type = "*/*"

        def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> bytes:
            text: bytes = stream.read()
            return text

    class Orders(APIView):  # type: ignore[misc]  # untyped
        parser_classes = (RawParser,)

        def post(self, request: Any, order_id: str) -> Any:
            return _respond_in_django(request, request.data if isinstance(request.data, bytes) else b"")

    from django.conf import settings

    settings.ROOT_URLCONF = (path("orders/<str:order_id>/allocations", Orders.as_view()),)
    _served.append(shop)
    with running(application) as url:
        yield url


@contextmanager
def in_fastapi(shop: Shop) -> Iterator[str]:
    fastapi, uvicorn = pytest.importorskip("fastapi"), pytest.importorskip("uvicorn")
    app = fastapi.FastAPI()

    async def respond(request: Any) -> Any:
        body = await request.body()
        headers = dict(request.headers)
        status, more, text = await asyncio.to_thread(shop.respond, request.method, request.url.path, headers, body)
        return fastapi.Response(text, status, more)

    app.add_route("/orders/{order_id}/allocations", respond, methods=["POST"])
    app.add_route("/orders/{order_id}", respond, methods=["GET"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@contextmanager
def _in_node(library: str) -> Iterator[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, str(_SHOP_IN_NODE), library]
    environment = {**os.environ, "SHOP_KEY": KEY}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        try:
            if not line.startswith("http"):
                pytest.skip(f"node: {line or 'the server did not start'}")
            yield line
        finally:
            process.terminate()


@contextmanager
def in_node(shop: Shop) -> Iterator[str]:
    with _in_node("http") as url:
        yield url


@contextmanager
def in_express(shop: Shop) -> Iterator[str]:
    with _in_node("express") as url:
        yield url


@contextmanager
def in_prism(document: Path) -> Iterator[str]:
    """Serve a mock made from an OpenAPI *document*. It answers every valid request with the example."""
    prism = shutil.which("prism")
    if prism is None:
        pytest.skip("prism is not installed: npm install --global @stoplight/prism-cli")
    command = [prism, "mock", "--host", "127.0.0.1", "--port", "0", str(document)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            output = iter(process.stdout.readline, "")
            line = next(line for line in output if " is listening on " in line)
            # Prism writes lines about each request, and would wait if nothing read them.
            threading.Thread(target=process.stdout.read).start()
            yield line.split()[-1]
        finally:
            process.terminate()


FRAMEWORKS = {
    "Flask": in_flask, "Django": in_django, "Django REST framework": in_django_rest_framework, "FastAPI": in_fastapi,
    "node": in_node, "Express": in_express,
}  # fmt: skip
"""Functions that serve a shop until the block ends, and yield the URL. Those in node serve the shop of `shop.js`."""
