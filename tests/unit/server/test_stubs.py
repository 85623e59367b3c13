"""Stubs: responses of the fake to calls beside the documented one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.bodies import allocation_request
from support.fake import PATH, headers

from pytest_veeqo_alloc import Request, Response, serve_fake
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.fake import Fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serve_fake() as running_fake:
        yield running_fake


def send(fake: Fake, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, fake.url + path, json=body, headers=headers(fake), timeout=10)


def test_stubbed_call_is_answered_logged_and_not_checked(fake: Fake) -> None:
    fake.stub("GET", "/warehouses", json=[{"id": 1784, "phone": None}], headers={"X-Total-Count": "1"})
    answer = send(fake, "GET", "/warehouses?page=1&api_key=s3cret")
    assert (answer.status_code, answer.json()) == (200, [{"id": 1784, "phone": None}])
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.headers["x-total-count"] == "1"
    (interaction,) = fake.interactions
    assert interaction.source == "request 1 of the fake, stub"
    assert interaction.response is not None
    assert interaction.response.status == 200
    assert len(fake.findings) == 0


def test_stub_needs_no_key(fake: Fake) -> None:
    fake.stub("post", "/oauth/token", json={"access_token": "fake"})
    assert requests.post(f"{fake.url}/oauth/token", timeout=10).json() == {"access_token": "fake"}


def test_allocation_in_a_stubbed_call_is_not_checked(fake: Fake) -> None:
    fake.stub("POST", "/v2/allocations", status=202)
    answer = send(fake, "POST", "/v2/allocations", {"allocation": {"warehouse_id": "five"}})
    assert (answer.status_code, answer.content) == (202, b"")
    fake.assert_not_called()
    assert len(fake.findings) == 0


def test_function_gets_the_request_and_the_decoded_named_segments(fake: Fake) -> None:
    def package(request: Request, allocation_id: str, size: str) -> Any:
        return {"id": int(allocation_id), "size": size, **json.loads(request.body or b"{}")}

    fake.stub("PUT", "/allocations/{allocation_id}/packages/{size}", json=package)
    answer = send(fake, "PUT", "/allocations/323498/packages/a%2Fb%20c", {"weight": 1})
    assert answer.json() == {"id": 323498, "size": "a/b c", "weight": 1}


def test_function_may_return_a_response_and_use_the_fake(fake: Fake) -> None:
    def label(request: Request) -> Response:
        fake.inject_fault("not-found")
        return Response(203, (("Content-Type", "application/pdf"),), b"%PDF")

    fake.stub("GET", "/label", json=label)
    answer = send(fake, "GET", "/label")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (203, b"%PDF", "application/pdf")
    assert send(fake, "POST", PATH, allocation_request()).status_code == 404


def test_body_is_sent_unchanged(fake: Fake) -> None:
    fake.stub("GET", "/text", body='{"a":  null}')
    fake.stub("GET", "/bytes", body=b"\xff", headers=[("Content-Type", "image/png")])
    assert (send(fake, "GET", "/text").text, send(fake, "GET", "/bytes").content) == ('{"a":  null}', b"\xff")


@pytest.mark.parametrize("value", [False, 0, "", "text", [], {}])
def test_any_json_value_is_sent_as_json(fake: Fake, value: Any) -> None:
    fake.stub("GET", "/value", json=value)
    assert send(fake, "GET", "/value").json() == value


@pytest.mark.parametrize(
    "path", ["/warehouses/", "/warehouses/1/2", "/warehouse/1", "/api/warehouses/1", "/warehouses//"]
)
def test_other_path_is_not_the_stubs(fake: Fake, path: str) -> None:
    fake.stub("GET", "/warehouses/{id}", json={})
    assert send(fake, "GET", path).status_code == 404
    assert [finding.rule for finding in fake.findings] == ["unknown-call"]


def test_value_changed_after_the_stub_was_added_is_not_sent(fake: Fake) -> None:
    warehouses: list[Any] = [{"id": 1784}]
    fake.stub("GET", "/warehouses", json=warehouses)
    warehouses.append({1})
    assert send(fake, "GET", "/warehouses").json() == [{"id": 1784}]


def test_other_method_is_not_the_stubs(fake: Fake) -> None:
    fake.stub("GET", "/warehouses/{id}", json={})
    assert send(fake, "PUT", "/warehouses/1").status_code == 404


def test_literal_segment_does_not_match_a_name(fake: Fake) -> None:
    fake.stub("GET", "/warehouses/7", json={})
    assert send(fake, "GET", "/warehouses/{id}").status_code == 404


def test_stub_replaces_a_call_that_the_fake_answers(fake: Fake) -> None:
    fake.stub("GET", "/orders/{id}", json=lambda request, id: {"id": id})  # noqa: A006  # the name of a segment
    fake.stub("GET", "/orders/{id}/allocations", json=[])
    assert send(fake, "GET", "/orders/7").json() == {"id": "7"}
    assert send(fake, "GET", "/orders/7/allocations").json() == []
    assert send(fake, "POST", PATH, allocation_request()).status_code == 201


def test_stub_with_times_gives_way_to_the_next_and_then_to_none(fake: Fake) -> None:
    fake.stub("GET", "/warehouses", status=503, times=2)
    fake.stub("GET", "/warehouses", json=[], times=1)
    assert [send(fake, "GET", "/warehouses").status_code for _ in range(4)] == [503, 503, 200, 404]


def test_stub_with_times_that_no_request_meets_fails() -> None:
    with pytest.raises(AssertionError, match=r"^no request matched the stub GET /warehouses$"), serve_fake() as fake:
        fake.stub("GET", "/warehouses", json=[], times=2)
        fake.stub("GET", "/shipments", json=[])


def test_reset_forgets_stubs(fake: Fake) -> None:
    fake.stub("GET", "/warehouses", json=[], times=1)
    fake.reset()
    assert send(fake, "GET", "/warehouses").status_code == 404


def test_read_through_a_stub_is_a_look_at_the_order(fake: Fake) -> None:
    fake.stub("GET", "/order-status/{order_id}", json={"allocated": False})
    fake.inject_fault("server-error")
    assert send(fake, "POST", PATH, allocation_request()).status_code == 500
    assert send(fake, "GET", "/order-status/447452").ok
    assert send(fake, "POST", PATH, allocation_request()).status_code == 201
    assert len(fake.findings) == 0


def raising(request: Request) -> Any:
    raise KeyError("s3cret")


def failing(request: Request) -> Any:
    pytest.fail("s3cret")


FUNCTIONS: dict[str, tuple[Any, str]] = {
    "raises": (raising, r"the function of the stub GET /x raised KeyError in test_stubs\.py, line \d+$"),
    "fails the test": (failing, r"the function of the stub GET /x raised Failed in test_stubs\.py, line \d+$"),
    "fails in C": (len, "the function of the stub GET /x raised TypeError$"),
    "returns nothing": (
        lambda request: None,
        "returned an invalid value: json= must be JSON: the function returned None$",
    ),
    "returns a set": (
        lambda request: {1},
        "returned an invalid value: json= must be JSON: Object of type set is not JSON serializable$",
    ),
    "returns bytes": (lambda request: b"", "returned an invalid value: json= must be JSON: Object of type bytes is"),
    "returns NaN": (
        lambda request: float("nan"),
        "returned an invalid value: json= must be JSON: Out of range float values",
    ),
    "returns a status of 99": (lambda request: Response(99), "returned an invalid value: status= must be"),
}


@pytest.mark.parametrize(("function", "sentence"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_function_that_fails_is_a_500_and_one_problem(function: Any, sentence: str) -> None:
    with pytest.raises(AssertionError, match=f"^request 1: .*{sentence}") as caught, serve_fake() as fake:
        fake.stub("GET", "/x", json=function)
        answer = send(fake, "GET", "/x")
        assert answer.status_code == 500
        assert re.search(sentence, answer.json()["error_messages"])
        assert len(fake.findings) == 0
    assert "s3cret" not in str(caught.value)


async def asynchronous(request: Request) -> Any:
    return None


def without_arguments() -> Any:
    return None


STUBS: dict[str, tuple[dict[str, Any], str]] = {
    "the documented call": ({"method": "POST", "path": "/orders/{id}/allocations"},
                            r"^POST /orders/\{id\}/allocations is the documented call: answer it with respond_with"),
    "the documented call for one order": ({"method": "post", "path": "/orders/7/allocations"}, "is the documented call"),
    "names alone": ({"method": "POST", "path": "/{a}/{b}/{c}"}, "is the documented call"),
    "the documented call below a base path": ({"method": "POST", "path": "/api/{a}/7/allocations"}, "is the documented call"),
    "a URL": ({"path": "http://x.example.com/warehouses"}, "path= must be a path such as"),
    "no slash": ({"path": "warehouses"}, "path= must be a path such as '/warehouses/{id}', without host and query, not 'warehouses'"),
    "a query": ({"path": "/warehouses?page=1"}, "without host and query"),
    "half a name": ({"path": "/warehouses/{id}.json"}, "path= must be a path such as"),
    "a name twice": ({"path": "/{id}/{id}"}, "path= must be a path such as"),
    "a name that is a number": ({"path": "/{1}"}, "path= must be a path such as"),
    "no text": ({"path": None}, "path= must be a path such as"),
    "no method": ({"method": "GET /x"}, "method= must be an HTTP method such as 'GET', not 'GET /x'"),
    "a status as text": ({"status": "200"}, "status= must be a final status"),
    "a status of 99": ({"json": raising, "status": 99}, "status= must be a final status"),
    "a header with a line break": ({"headers": {"a": "b\r\nc: d"}}, "headers= must be pairs"),
    "times 0": ({"times": 0}, "times= must be a number of requests, at least 1, not 0"),
    "JSON and a body": ({"json": [], "body": "[]"}, r"body= of the stub GET /x must be text or bytes, and given without json="),
    "a body that is JSON": ({"body": []}, "body= of the stub GET /x must be text or bytes"),
    "a response": ({"json": Response(200)}, "json= must be JSON: Object of type Response is not JSON serializable"),
    "a set": ({"json": {1}}, "json= must be JSON: Object of type set is not JSON serializable"),
    "an async function": ({"json": asynchronous}, r"json= must be a JSON value, or a function that takes \(request\) and is not async"),
    "a function without parameters": ({"json": without_arguments}, "a function that takes"),
    "a function without the name": ({"path": "/x/{id}", "json": raising}, r"a function that takes \(request, id\)"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), STUBS.values(), ids=STUBS)
def test_invalid_stub_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        Fake(Engine()).stub(**{"method": "GET", "path": "/x", **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("first", "second"), [
    ("/warehouses", "/warehouses"), ("/warehouses/{id}", "/warehouses/{warehouse_id}"), ("/warehouses/{id}", "/warehouses/7"),
    ("/warehouses/7", "/warehouses/{id}"), ("/{a}/7", "/warehouses/{b}"), ("/a%20b", "/a b".replace(" ", "%20")),
])  # fmt: skip
def test_second_stub_for_a_call_is_one_sentence(first: str, second: str) -> None:
    fake = Fake(Engine())
    fake.stub("GET", first, json=[])
    with pytest.raises(
        ValueError, match=f"^the stub GET {re.escape(first)} answers every GET {re.escape(second)} already"
    ):
        fake.stub("GET", second, json=[], times=1)


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/warehouses/{id}"), ("GET", "/warehouses"), ("GET", "/shipments/{id}")]
)
def test_stub_for_another_call_is_added(method: str, path: str) -> None:
    fake = Fake(Engine())
    fake.stub("GET", "/warehouses/{id}", json=[])
    fake.stub(method, path, json=[])
