"""The conformance suite in runs of pytest: which half runs, what ends a run, and clients that outlive their test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
from support.plugins import STRICTLY
from support.servers import serving

from pytest_veeqo_alloc import serve_fake

SUITE = "pytest_veeqo_alloc.conformance"
SERVER_MODULES = {f"test_veeqo_alloc_{name}.py" for name in ("answers", "refusals", "state")}
CLIENT_MODULES = {"test_veeqo_alloc_client.py"}
CLIENT = "--veeqo-alloc-client=shop:make_client"
SERVER = "--veeqo-alloc-base-url=http://127.0.0.1:9"


def run(
    pytester: pytest.Pytester, *options: str, tests: tuple[str, ...] = ("",), in_process: bool = False
) -> pytest.RunResult:
    named = [f"{SUITE}{test and '.'}{test}" for test in tests]
    arguments = ("--pyargs", *named, *STRICTLY, "-p", "no:cacheprovider", *options)
    if in_process:
        return pytester.runpytest_inprocess(*arguments)
    return pytester.runpytest_subprocess(*arguments, timeout=120)


# Deselection


@pytest.mark.parametrize(
    ("options", "modules"),
    [
        ((), SERVER_MODULES | CLIENT_MODULES),
        ((CLIENT, SERVER), SERVER_MODULES | CLIENT_MODULES),
        ((CLIENT,), CLIENT_MODULES),
        ((SERVER,), SERVER_MODULES),
        (("--veeqo-alloc-profile=strict",), SERVER_MODULES),
    ],
    ids=["neither", "both", "client", "server", "another option"],
)
def test_unnamed_half_is_deselected(pytester: pytest.Pytester, options: tuple[str, ...], modules: set[str]) -> None:
    result = run(pytester, "--collect-only", "-q", *options, in_process=True)
    assert {line.partition("::")[0] for line in result.outlines if "::" in line} == modules
    assert ("deselected" in result.outlines[-1]) == (modules != SERVER_MODULES | CLIENT_MODULES)


def test_client_from_the_hook_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_veeqo_alloc_client(request):\n    pass\n")
    result = run(pytester, "--collect-only", "-q", "--rootdir=.")
    assert {line.partition("::")[0] for line in result.outlines if "::" in line} == CLIENT_MODULES


@pytest.mark.parametrize(
    ("option", "module", "reason"),
    [
        (
            CLIENT,
            "test_veeqo_alloc_state",
            "no server is named: implement the hook pytest_veeqo_alloc_server(request) in a conftest.py, or give --veeqo-alloc-base-url",
        ),
        (SERVER, "test_veeqo_alloc_client", "no client is named: implement the hook *"),
    ],
    ids=["server", "client"],
)
def test_selection_of_the_unnamed_half_only_is_skipped_with_the_reason(
    pytester: pytest.Pytester, option: str, module: str, reason: str
) -> None:
    result = run(pytester, "-rs", option, tests=(module,))
    assert result.parseoutcomes().keys() == {"skipped"}
    result.stdout.fnmatch_lines([f"SKIPPED * {reason}"])


# Servers that answer everything in one way


def answering_everything(status: int, body: bytes, **headers: str) -> type[BaseHTTPRequestHandler]:
    """Return a handler that gives the same answer to every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    return Handler


HTML, JSON = "text/html", "application/json"
OTHER_API = json.dumps({"data": [{"type": "articles", "id": "1"}], "links": {"self": "/articles"}}).encode()
USELESS_SERVERS = {
    "404": (answering_everything(404, b"<h1>Not Found</h1>", Content_Type=HTML), "404 and a body that is not JSON: check the URL, order and API key"),
    "404 in JSON": (answering_everything(404, b'{"error": "no route"}', Content_Type=JSON), "404: check the URL, order and API key"),
    "401": (answering_everything(401, b'{"error": "key"}', Content_Type=JSON), "401: check the URL, order and API key"),
    "401 without a body": (answering_everything(401, b""), "401 and no body: check the URL, order and API key"),
    "500": (answering_everything(500, b"{}", Content_Type=JSON), "500: find the cause in the server's log"),
    "200": (answering_everything(200, b"{}", Content_Type=JSON), "200 and a body that is not an order: check the URL, order and API key"),
    "OK": (answering_everything(200, b"OK", Content_Type="text/plain"), "200 and a body that is not JSON: check the URL, order and API key"),
    "redirect to itself": (answering_everything(307, b"", Location="/orders/1/allocations"), "307 and no body: redirects are not followed"),
    "no content": (answering_everything(204, b""), "204 and no body: check the URL, order and API key"),
    "empty body": (answering_everything(201, b"", Content_Type=JSON), "201 and no body: check the URL, order and API key"),
    "HTML": (answering_everything(201, b"<html></html>", Content_Type=HTML), "201 and a body that is not JSON: check the URL, order and API key"),
    "another API": (answering_everything(201, OTHER_API, Content_Type=JSON), "201 and a body that is not an order: check the URL, order and API key"),
    "an array": (answering_everything(201, b"[]", Content_Type=JSON), "201 and a body that is not an order: check the URL, order and API key"),
}  # fmt: skip


@contextmanager
def permitted(handler: type[BaseHTTPRequestHandler]) -> Iterator[tuple[str, ...]]:
    """Serve with *handler*. Yield the options that permit tests to write to it."""
    with serving(handler) as url:
        yield (
            f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={url.partition('://')[2]}",
            "--veeqo-alloc-orders=any", "--veeqo-alloc-max-writes=500", "--veeqo-alloc-rate=1000",
        )  # fmt: skip


@pytest.mark.parametrize("name", USELESS_SERVERS)
def test_useless_server_stops_the_run_with_one_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", "canary-key-of-a-test")
    handler, answer = USELESS_SERVERS[name]
    with permitted(handler) as options:
        result = run(pytester, *options, in_process=True)
    assert {**result.parseoutcomes(), "deselected": 0} == {"errors": 1, "deselected": 0}
    heading = next(number for number, line in enumerate(result.outlines) if "ERROR at setup of" in line)
    expected = f"veeqo-alloc: 127.0.0.1:* answered a documented allocation to order [0-9]* with {answer}"
    pytest.LineMatcher([result.outlines[heading + 1]]).fnmatch_lines([expected])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*canary-key*")


def test_own_server_needs_only_its_url_and_never_gets_the_key_of_the_environment(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", "canary-key-of-a-test")
    with serve_fake() as fake:
        options = f"--veeqo-alloc-base-url={fake.url}", "-k", "order-echo"
        refused = run(pytester, *options, in_process=True)
        passed = run(pytester, *options, f"--veeqo-alloc-loopback-key={fake.api_key}", in_process=True)
        sent = [
            interaction.request.header("x-api-key") or "" for interaction in fake.interactions if interaction.request
        ]
        fake.reset()
    refused.stdout.fnmatch_lines([
        "veeqo-alloc: *a server of your own: any order, at most 500 writes, with the API key loopback-????????????????????????????????*",
        "*check the URL, and give the API key that your server accepts: --veeqo-alloc-loopback-key KEY*",
    ])  # fmt: skip
    passed.stdout.fnmatch_lines(
        ["veeqo-alloc: *a server of your own: any order, at most 500 writes, with your API key*"]
    )
    assert passed.parseoutcomes()["passed"] >= 1
    assert {key.partition("-")[0] for key in sent} == {"loopback", "fake"}
    assert "canary-key" not in str(refused.stdout) + str(passed.stdout)


# Clients that outlive their test

SHOP = """
import threading
import time

import requests


def post(base_url, api_key, order_id, warehouse_id, line_items):
    body = {"allocation": {"warehouse_id": warehouse_id, "line_items_attributes": line_items}}
    url, headers = f"{base_url}/orders/{order_id}/allocations", {"x-api-key": api_key}
    return requests.post(url, json=body, headers=headers, timeout=0.5, allow_redirects=False)


def make_client(base_url, api_key):
    def allocate(*call):
        while (response := post(base_url, api_key, *call)).status_code == 429:
            time.sleep(0.01)
        response.raise_for_status()
        return response.json()

    return allocate


waiting, is_later, has_sent = [], threading.Event(), threading.Event()


def make_late_client(base_url, api_key):
    '''After the first 429, wait for a call in another test, and only then send the request again.'''

    def allocate(*call):
        if waiting and call[0] != 447452:  # the order of every call in the test of retries
            is_later.set()
            assert has_sent.wait(30)
        response = post(base_url, api_key, *call)
        if response.status_code == 429 and not waiting:
            waiting.append(call)
            assert is_later.wait(30)
            post(base_url, api_key, *call)
            has_sent.set()
        response.raise_for_status()
        return response.json()

    return allocate
"""
RETRIES = "test_veeqo_alloc_client::test_client_stops_retrying"
ACCEPTS = "test_veeqo_alloc_client::test_client_accepts_large_ids"
ENDLESS = ("--veeqo-alloc-client-timeout=1", "--veeqo-alloc-rule=client-retries-forever=warning")
"""Options with which a client that never gives up fails no test."""


def test_patient_client_is_waited_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP)
    result = run(pytester, CLIENT, *ENDLESS, tests=(RETRIES, ACCEPTS))
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([
        "veeqo-alloc: warning: test_client_stops_retrying?client-retries-forever?: at client call: wanted * within "
        "--veeqo-alloc-client-timeout; got no result within 1 seconds, after * requests with the failure: status 429"
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*after the end of*")


@pytest.mark.with_plugins("xdist")
@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist=loadfile")], ids=["alone", "xdist"])
def test_late_client_fails_the_run_and_no_other_test(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(shop=SHOP)
    late = CLIENT.replace("make_client", "make_late_client")
    result = run(pytester, late, *ENDLESS, *options, tests=(RETRIES, ACCEPTS))
    result.assert_outcomes(passed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines([
        "veeqo-alloc: error: the client sent 1 request after the end of "
        "test_client_stops_retrying?client-retries-forever?"
    ])  # fmt: skip


def test_client_that_retries_forever_fails_its_test_only(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP)
    result = run(pytester, CLIENT, ENDLESS[0], tests=(RETRIES, ACCEPTS))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["      do      limit the number of retries, and their time"])
