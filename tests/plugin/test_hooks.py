"""The hooks that supply the server under test, and that create orders in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.plugins import STRICTLY

from pytest_veeqo_alloc import Line, Policy, Stock, Story
from pytest_veeqo_alloc.contract.http_rules import path_of
from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.fake import API_KEY, Fake
from pytest_veeqo_alloc.server.responses import Exchange, ResponsePlan, json_response
from pytest_veeqo_alloc.server.runner import running

SUITE = ("--pyargs", "pytest_veeqo_alloc.conformance")
STATE = "pytest_veeqo_alloc.conformance.test_veeqo_alloc_state"
ANSWER = "location-missing"

STRICT_FAKE = """
import pytest
from pytest_veeqo_alloc import Line, Policy, Stock, Story, World, serve_fake

@pytest.fixture(scope="session")
def fake():
    with serve_fake(policy=Policy.strict()) as fake:
        yield fake
        fake.reset()  # its findings are about the suite

def pytest_veeqo_alloc_server(request):
    return request.getfixturevalue("fake").url
"""
ARRANGE = """
def pytest_veeqo_alloc_arrange(order, request):
    fake = request.getfixturevalue("fake")
    assert order["id"] not in fake.world.orders
    lines = tuple(
        Line(line["sellable_id"], line["quantity"], stock=(Stock(order["warehouse_id"], line["available"], 0),))
        for line in order["lines"]
    )
    fake.world = fake.world.with_order(Story(order["id"], lines, ()))
"""

WSGI = """
import json
from pytest_veeqo_alloc import Allocation, Line, Story, build_order

def app(environ, start_response):
    parts = environ["PATH_INFO"].split("/")
    start = lambda status, *more: start_response(status, [("Content-Type", "application/json"), *more])
    if environ["REQUEST_METHOD"] != "POST":
        start("405 Method Not Allowed")
        return [b"{}"]
    allocation = json.loads(environ["wsgi.input"].read())["allocation"]
    units = {line["sellable_id"]: line["quantity"] for line in allocation["line_items_attributes"]}
    lines = tuple(Line(sellable, quantity) for sellable, quantity in units.items())
    made = Allocation(allocation["warehouse_id"], tuple(units.items()), 323498)
    start("201 Created", ("Location", f"/orders/{parts[2]}"))
    return [json.dumps(build_order(Story(int(parts[2]), lines, (made,)))).encode()]
"""


def run(pytester: pytest.Pytester, conftest: str, *options: str) -> pytest.RunResult:
    pytester.makeconftest(conftest)
    return pytester.runpytest_subprocess(*STRICTLY, *SUITE, *options, timeout=120)


def hooked(app: str) -> str:
    return f"{app}\ndef pytest_veeqo_alloc_server(request):\n    return app\n"


def test_server_with_a_url_known_at_run_time_is_tested_with_the_orders_of_the_hook(pytester: pytest.Pytester) -> None:
    result = run(pytester, STRICT_FAKE + ARRANGE)
    outcomes = result.parseoutcomes()
    assert (result.ret, outcomes.get("skipped", 0)) == (0, 0)
    assert outcomes["passed"] > 50
    result.stdout.fnmatch_lines(["*server from the hook, client none"])


def test_without_orders_the_server_fails_in_one_sentence_and_no_other_test_is_harmed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="def test_mine(): pass\nfrom pytest_veeqo_alloc.conformance.test_veeqo_alloc_state import *"
    )
    pytester.makeconftest(STRICT_FAKE)
    result = pytester.runpytest_subprocess(*STRICTLY, timeout=60)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], set(outcomes)) == (1, {"passed", "errors"})
    result.stdout.fnmatch_lines_random(["*answered a documented allocation to order * with 404*"])


ASGI = """
from pytest_veeqo_alloc import Allocation, Line, Story, build_order
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def allocate(request):
    order_id, allocation = request.path_params["order_id"], (await request.json())["allocation"]
    units = {line["sellable_id"]: line["quantity"] for line in allocation["line_items_attributes"]}
    lines = tuple(Line(sellable, quantity) for sellable, quantity in units.items())
    made = Allocation(allocation["warehouse_id"], tuple(units.items()), 323498)
    order = build_order(Story(order_id, lines, (made,)))
    return JSONResponse(order, 201, {"Location": f"/orders/{order_id}"})

app = Starlette(routes=[Route("/orders/{order_id:int}/allocations", allocate, methods=["POST"])])
"""


@pytest.mark.parametrize("app", [WSGI, ASGI], ids=["WSGI", "ASGI"])
def test_application_is_called_in_process(pytester: pytest.Pytester, app: str) -> None:
    result = run(pytester, hooked(app), "-k", "test_response_follows_rule")
    assert result.ret == 0


def test_async_hook_creates_orders_in_the_event_loop_of_the_application(pytester: pytest.Pytester) -> None:
    conftest = f"""{ASGI}
import asyncio
loops = set()

def pytest_veeqo_alloc_server(request):
    async def with_loop(scope, receive, send):
        loops.add(id(asyncio.get_running_loop()))
        await app(scope, receive, send)

    return hooked.setdefault("app", with_loop)

hooked = {{}}

async def pytest_veeqo_alloc_arrange(order):
    await asyncio.sleep(0)
    assert loops == {{id(asyncio.get_running_loop())}}
    return order
"""
    result = run(pytester, conftest, "-k", ANSWER)
    result.assert_outcomes(passed=1, deselected=result.parseoutcomes()["deselected"])


@pytest.mark.parametrize("hook", ["async def", "def"])
def test_hook_of_a_server_with_a_url_may_be_async(pytester: pytest.Pytester, hook: str) -> None:
    conftest = STRICT_FAKE + ARRANGE.replace("def", hook, 1)
    result = run(pytester, conftest, "-k", ANSWER)
    result.assert_outcomes(passed=1, deselected=result.parseoutcomes()["deselected"])


@pytest.mark.parametrize("tests", [SUITE, ("test_own.py",)], ids=["suite", "own file"])
def test_race_of_an_application_in_process_is_incomplete(pytester: pytest.Pytester, tests: tuple[str, ...]) -> None:
    pytester.makepyfile(test_own="from pytest_veeqo_alloc.conformance.test_veeqo_alloc_state import *")
    pytester.makeconftest(hooked(WSGI))
    result = pytester.runpytest_subprocess(*STRICTLY, *tests, "-k", "race-lost-update", timeout=60)
    result.assert_outcomes(skipped=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["*INCOMPLETE: 1 test could*", "*one request at a time: return the URL of a server*"])


def test_server_gets_the_fixtures_of_each_test_and_is_kept_if_it_is_the_same(pytester: pytest.Pytester) -> None:
    conftest = f"""{WSGI}
import pytest
calls, databases = [], []

@pytest.fixture
def database():
    databases.append("begun")
    yield
    databases.append("rolled back")

def counting(environ, start_response):
    assert databases[-1] == "begun"
    calls.append(environ["REQUEST_METHOD"])
    return app(environ, start_response)

def pytest_veeqo_alloc_server(request):
    request.getfixturevalue("database")
    return counting

def pytest_sessionfinish():
    assert len(databases) == 4, databases
    assert calls.count("POST") < 20, calls
"""
    result = run(pytester, conftest, "-k", "test_response_follows_rule and (location-missing or wrong-status)")
    result.assert_outcomes(passed=2, deselected=result.parseoutcomes()["deselected"])


@pytest.mark.parametrize(("server", "sentence"), [
    ("'https://staging.example.com'", "its URL is not on the loopback interface: give that with --veeqo-alloc-base-url"),
    ("'http://127.0.0.1:1'", "GET to 127.0.0.1:1 got no response: connection refused"),
    ("'127.0.0.1:8000'", "its URL is not on the loopback interface: give that with --veeqo-alloc-base-url"),
    ("7", "a base URL, a WSGI or an ASGI application is needed, not int"),
    ("None", "a base URL, a WSGI or an ASGI application is needed, not NoneType"),
])  # fmt: skip
def test_server_that_cannot_be_tested_is_one_sentence(pytester: pytest.Pytester, server: str, sentence: str) -> None:
    result = run(pytester, f"def pytest_veeqo_alloc_server(request): return {server}", "-k", ANSWER)
    result.assert_outcomes(errors=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines([f"*{sentence}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_application_that_raises_is_one_sentence(pytester: pytest.Pytester) -> None:
    result = run(pytester, hooked("def app(environ, start_response): raise LookupError('a secret')"), "-k", ANSWER)
    result.assert_outcomes(errors=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines_random(
        [
            "*answered a documented allocation to order * with 500*",
            "*the application raised LookupError in conftest.py, line 1*",
        ]
    )
    result.stdout.no_fnmatch_line("*secret*")


@pytest.mark.parametrize(("arrange", "sentence"), [
    ("raise LookupError('a secret')", "the hook raised LookupError in conftest.py, line *"),
    ("return {'id': 8}", "another order was returned; create the order with the id that is passed"),
    ("return Story(8)", "another order was returned; create the order with the id that is passed"),
])  # fmt: skip
def test_order_that_was_not_arranged_fails_its_test_only(
    pytester: pytest.Pytester, arrange: str, sentence: str
) -> None:
    pytester.makepyfile(
        test_mine="from pytest_veeqo_alloc.conformance.test_veeqo_alloc_state import *\ndef test_mine(): pass"
    )
    pytester.makeconftest(f"""{STRICT_FAKE}
class Story:
    def __init__(self, id): self.id = id
def pytest_veeqo_alloc_arrange(order): {arrange}
""")
    result = pytester.runpytest_subprocess(*STRICTLY, timeout=60)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], set(outcomes)) == (1, {"passed", "errors"})
    result.stdout.fnmatch_lines([f"*order * was not arranged: {sentence}*"])
    result.stdout.no_fnmatch_line("*secret*")


# The option --veeqo-alloc-arrange-url


@contextmanager
def arranging() -> Iterator[Fake]:
    """Run a strict fake that creates the orders that are sent to `/arrange`, and none else."""
    fake = Fake(Engine(), Policy.strict())

    def app(request: Request) -> Exchange:
        if path_of(request.url) != "/arrange":
            return fake.handle(request)
        order = json.loads(request.body or b"")
        lines = tuple(
            Line(line["sellable_id"], line["quantity"], stock=(Stock(order["warehouse_id"], line["available"], 0),))
            for line in order["lines"]
        )
        assert request.header("x-api-key") is None
        is_known = order["id"] in fake.world.orders
        fake.world = fake.world.with_order(Story(order["id"], lines, ()))
        response = json_response(409 if is_known else 201, {"id": order["id"]})
        return Exchange(ResponsePlan(response), fake.log.aborted, lambda sent: None)

    with running(fake, app=app):
        yield fake


def at(url: str, arrange_url: str) -> tuple[str, ...]:
    host = url.partition("://")[2]
    return (f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={host}", "--veeqo-alloc-max-writes=1000",
            "--veeqo-alloc-rate=1000", f"--veeqo-alloc-arrange-url={arrange_url}")  # fmt: skip


def test_orders_are_created_by_the_server_itself_also_in_a_second_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", API_KEY)
    with arranging() as fake:
        for _ in range(2):
            result = pytester.runpytest_subprocess(*STRICTLY, "--pyargs", STATE, *at(fake.url, f"{fake.url}/arrange"))
            assert (result.ret, result.parseoutcomes().get("skipped", 0)) == (0, 0)


def test_server_that_creates_no_order_is_one_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", API_KEY)
    with arranging() as fake:
        for url, sentence in (
            (f"{fake.url}/elsewhere", "answered with status 404, where a 2xx status was expected"),
            ("http://127.0.0.1:1/", "POST to 127.0.0.1:1 got no response: connection refused"),
        ):
            result = pytester.runpytest_subprocess(*STRICTLY, "--pyargs", STATE, *at(fake.url, url))
            result.stdout.fnmatch_lines([f"*veeqo-alloc: order * was not arranged: *{sentence}"])


@pytest.mark.parametrize(("url", "sentence"), [
    ("127.0.0.1:8000", "write --veeqo-alloc-arrange-url as http(s)://host[[]:port[]][[]/path[]], without a user"),
    ("http://[", "write --veeqo-alloc-arrange-url as *"),
    ("https://me@127.0.0.1", "write --veeqo-alloc-arrange-url as *"),
    ("https://shop.example.com/a", "confirm the host that creates orders: --veeqo-alloc-allow-host shop.example.com:443"),
])  # fmt: skip
def test_impossible_url_is_a_usage_error(pytester: pytest.Pytester, url: str, sentence: str) -> None:
    result = pytester.runpytest_subprocess(f"--veeqo-alloc-arrange-url={url}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: veeqo-alloc: {sentence}"])
