"""Right servers pass the suite in the profile "documented", twice in a row against the same process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_veeqo_alloc import serve_fake
from servers.frameworks import FRAMEWORKS, in_flask, in_http_server, in_prism
from servers.shop import KEY, RejectedError, Reply, Shop, StatelessShop

SUITE = "pytest_veeqo_alloc.conformance"
POOL = "".join(
    f"[[order]]\nid = {number}\nwarehouse_id = 1784\nsellables = {{ 1226615 = 40, 1226616 = 40 }}\n"
    for number in range(41, 59)
)


def run_suite(pytester: pytest.Pytester, url: str, *more: str, profile: str = "documented") -> pytest.RunResult:
    """Run the server half of the conformance suite against *url*, or the tests that *more* names."""
    named = [f"{SUITE}.{test}" for test in more if "::" in test] or [SUITE]
    return pytester.runpytest_inprocess(
        "--pyargs", *named, "-q", "-rfEs", "-p", "no:cacheprovider", "-W", "error", f"--veeqo-alloc-profile={profile}",
        f"--veeqo-alloc-base-url={url}", f"--veeqo-alloc-allow-host={url.partition('://')[2]}",
        "--veeqo-alloc-max-writes=500", *(option for option in more if "::" not in option),
    )  # fmt: skip


ANY = ("--veeqo-alloc-orders=any", "--veeqo-alloc-rate=1000")


@pytest.fixture(autouse=True)
def _api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)


def assert_passes_twice(pytester: pytest.Pytester, url: str, *more: str) -> None:
    for _ in range(2):
        result = run_suite(pytester, url, *more)
        assert result.ret == 0
        outcomes = result.parseoutcomes()
        assert outcomes["passed"] > 70
        assert not {"failed", "errors", "skipped"} & set(outcomes)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_server_with_state_passes_twice(framework: str, pytester: pytest.Pytester) -> None:
    with FRAMEWORKS[framework](Shop()) as url:
        assert_passes_twice(pytester, url, *ANY)


@pytest.mark.parametrize("framework", [name for name in FRAMEWORKS if name not in ("node", "Express")])
def test_server_without_state_passes_twice(framework: str, pytester: pytest.Pytester) -> None:
    with FRAMEWORKS[framework](StatelessShop()) as url:
        assert_passes_twice(pytester, url, *ANY)


class MergingShop(Shop):
    """A server with one allocation for each order."""

    def add(self, order_id: int, warehouse: int, lines: list[tuple[int, int]]) -> None:
        held = self.allocations.get(order_id)
        if not held:
            super().add(order_id, warehouse, lines)
            return
        total = Counter(dict(held[0]["lines"]))
        total.update(dict(lines))
        held[0]["lines"] = list(total.items())
        self.reserve(warehouse, lines)


class SplittingShop(Shop):
    """A server with one allocation for each line item of a request."""

    def add(self, order_id: int, warehouse: int, lines: list[tuple[int, int]]) -> None:
        for line in lines:
            super().add(order_id, warehouse, [line])


class GenerousShop(Shop):
    """A server for which every positive order id, warehouse and sellable exists, however large."""

    knows_all = True

    def parse_order_id(self, text: str) -> int:
        if not re.fullmatch("[1-9][0-9]*", text):
            raise RejectedError(404)
        return int(text)


class NarrowShop(Shop):
    """A server that refuses members that the documentation does not list, large numbers and bodies, and chunks."""

    most_bytes = 10_000

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        if "transfer-encoding" in headers:
            raise RejectedError(411)
        allocation = super().parse(headers, body)
        if set(self.decode(body)) | set(allocation) != {"allocation", "warehouse_id", "line_items_attributes"}:
            raise RejectedError(422)
        return allocation

    def is_id(self, value: Any) -> bool:
        return super().is_id(value) and value < 2**31


@pytest.mark.parametrize("profile", ["documented", "strict"])
@pytest.mark.parametrize("kind", [MergingShop, SplittingShop, GenerousShop, NarrowShop])
def test_server_with_other_choices_passes(kind: type[Shop], profile: str, pytester: pytest.Pytester) -> None:
    with in_http_server(kind()) as url:
        result = run_suite(pytester, url, *ANY, profile=profile)
    assert result.ret == 0
    assert "skipped" not in result.parseoutcomes()


def test_fake_with_default_policy_passes_twice(pytester: pytest.Pytester) -> None:
    with serve_fake(api_key=KEY) as server:
        assert_passes_twice(pytester, server.url, *ANY)
        server.reset()  # discard the findings about broken requests


def test_server_passes_the_strict_profile(pytester: pytest.Pytester) -> None:
    with in_flask(Shop()) as url:
        result = run_suite(pytester, url, *ANY, profile="strict")
    assert result.ret == 0


def test_server_passes_twice_with_a_pool(pytester: pytest.Pytester) -> None:
    (pytester.path / "pool.toml").write_text(POOL, encoding="utf-8")
    with in_flask(Shop(ordered=1000)) as url:
        for _ in range(2):
            result = run_suite(pytester, url, "--veeqo-alloc-orders=pool.toml")
            assert result.ret == 0
            assert result.parseoutcomes()["passed"] > 60


class Mock(Shop):
    """A mock made from an OpenAPI document alone: it checks requests by the schemas, and answers with the example."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        ((path, item),) = document["paths"].items()
        ((method, operation),) = item.items()
        ((scheme,),) = operation["security"]
        (order_id,) = operation["parameters"]
        ((self.media_type, sent),) = operation["requestBody"]["content"].items()
        ((status, response),) = operation["responses"].items()
        ((answer_type, content),) = response["content"].items()
        (example,) = content["examples"].values()
        headers = {name: header["example"] for name, header in response["headers"].items()}
        self.key_header = document["components"]["securitySchemes"][scheme]["name"]
        self.method, self.path = method.upper(), re.compile(re.sub(r"\{\w+\}", "([^/]+)", path))
        self.id_schema = Draft202012Validator(order_id["schema"])
        self.body_schema = Draft202012Validator({**sent["schema"], "components": document["components"]})
        self.answer = int(status), {"Content-Type": answer_type, **headers}, json.dumps(example["value"]).encode()

    def respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            self.check(method, path, headers, body)
        except RejectedError as error:
            return error.status, {"Content-Type": "application/json"}, b'{"title": "Invalid request"}'
        return self.answer

    def check(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        match = self.path.fullmatch(path)
        if match is None or method != self.method:
            raise RejectedError(404 if match is None else 405)
        if self.key_header not in headers:
            raise RejectedError(401)
        if headers.get("content-type", "").partition(";")[0].lower() != self.media_type:
            raise RejectedError(415)
        order_id = int(match[1]) if re.fullmatch("-?[0-9]+", match[1]) else match[1]
        if not self.id_schema.is_valid(order_id) or not self.body_schema.is_valid(self.decode(body)):
            raise RejectedError(422)


def exported_document() -> str:
    command = [sys.executable, "-m", "pytest_veeqo_alloc", "openapi"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def assert_fails_by_the_echo_rules_alone(result: pytest.RunResult) -> None:
    failed = {line.partition(" - ")[0] for line in result.outlines if line.startswith(("FAILED", "ERROR"))}
    assert {test.rpartition("[")[2] for test in failed} == {"order-echo]", "allocation-echo]"}
    assert result.parseoutcomes()["passed"] > 70


def test_mock_of_our_openapi_document_fails_by_the_echo_rules_alone(pytester: pytest.Pytester) -> None:
    with in_http_server(Mock(json.loads(exported_document()))) as url:
        assert_fails_by_the_echo_rules_alone(run_suite(pytester, url, *ANY))


def test_prism_with_our_openapi_document_fails_by_the_echo_rules_alone(pytester: pytest.Pytester) -> None:
    document = pytester.path / "openapi.json"
    document.write_text(exported_document(), encoding="utf-8")
    with in_prism(document) as url:
        for _ in range(2):
            assert_fails_by_the_echo_rules_alone(run_suite(pytester, url, *ANY))
