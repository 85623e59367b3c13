"""Capture of requests and responses from every supported client."""

from __future__ import annotations

import http.client
import io
import json
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3
from support.bodies import BARE, BODY, order, request_body
from support.clients import NO_CERTIFICATES

from pytest_veeqo_alloc import Contract, Interaction, Request, Response
from pytest_veeqo_alloc.capture.client_objects import interaction_of, request_of

PATH = "/orders/447452/allocations"
HEADERS = {"x-api-key": "test-key"}
STRICT = Contract("strict")


def sides_and_rules(response: Any, body: bytes | None = None) -> list[tuple[str, str]]:
    return [(finding.side, finding.rule) for finding in STRICT.check_response(response, body=body)]


WRAPPER = [("request", "request-not-wrapped")]


def test_requests_response_is_captured_with_its_request(server_url: str) -> None:
    with requests.Session() as session:
        assert sides_and_rules(session.post(server_url + PATH, json=BODY, headers=HEADERS)) == []
        assert sides_and_rules(session.post(server_url + PATH, json=BARE, headers=HEADERS)) == WRAPPER


def test_httpx_response_is_captured_with_its_request(server_url: str) -> None:
    with httpx.Client(headers=HEADERS, verify=NO_CERTIFICATES) as client:
        assert sides_and_rules(client.post(server_url + PATH, json=BODY)) == []
        assert sides_and_rules(client.post(server_url + PATH, json=BARE)) == WRAPPER


def test_urllib3_response_is_captured_without_its_request(server_url: str) -> None:
    with urllib3.PoolManager() as pool:
        response = pool.request("POST", server_url + PATH, json=BARE)
        assert sides_and_rules(response) == []
        assert interaction_of(response).request is None


def test_http_client_response_is_captured_with_a_given_body(server_url: str) -> None:
    connection = http.client.HTTPConnection(server_url.removeprefix("http://"))
    connection.request("POST", PATH, body=json.dumps(BODY))
    response = connection.getresponse()
    body = response.read()
    assert sides_and_rules(response, body) == []
    with pytest.raises(TypeError, match=r"the body of this http\.client\.HTTPResponse .* or pass the bytes as body="):
        STRICT.check_response(response)
    connection.close()


def test_aiohttp_response_is_captured_with_a_given_body(server_url: str) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as session, session.post(server_url + PATH, json=BODY) as response:
            body = await response.read()
            assert sides_and_rules(response, body) == []
            with pytest.raises(TypeError, match=r"or pass the bytes as body="):
                STRICT.check_response(response)

    import asyncio

    asyncio.run(call())


def test_flask_test_response_is_captured_with_its_request() -> None:
    import flask

    app = flask.Flask("shop")

    @app.post("/orders/<int:order_id>/allocations")
    def allocate(order_id: int) -> Any:
        if "read" in flask.request.args:
            flask.request.get_json()
        return order(), 201, {"Location": f"/orders/{order_id}"}

    client = app.test_client()
    assert sides_and_rules(client.post(PATH, json=BODY, headers=HEADERS)) == []
    assert sides_and_rules(client.post(PATH, json=BARE, headers=HEADERS)) == WRAPPER
    assert sides_and_rules(client.post(PATH + "?read", json=BARE, headers=HEADERS)) == [
        *WRAPPER,
        ("request", "undocumented-query"),
    ]


def test_starlette_test_response_is_captured_with_its_request() -> None:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    async def allocate(request: Any) -> JSONResponse:
        return JSONResponse(order(), 201, {"Location": "/orders/447452"})

    client = TestClient(Starlette(routes=[Route("/orders/{order_id}/allocations", allocate, methods=["POST"])]))
    assert sides_and_rules(client.post(PATH, json=BODY, headers=HEADERS)) == []
    assert sides_and_rules(client.post(PATH, json=BARE, headers=HEADERS)) == WRAPPER


@pytest.fixture(scope="module")
def django_client() -> Any:
    import django
    from django.conf import settings
    from django.http import JsonResponse, StreamingHttpResponse
    from django.test import Client
    from django.urls import path

    def allocate(request: Any, order_id: int) -> Any:
        if "stream" in request.GET:
            return StreamingHttpResponse([json.dumps(order())], status=201)
        if "unread" not in request.GET:
            json.loads(request.body)
        return JsonResponse(order(), status=201, headers={"Location": f"/orders/{order_id}"})

    urls = type("urls", (), {"urlpatterns": [path("orders/<int:order_id>/allocations", allocate)]})
    settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="x", USE_TZ=True)
    django.setup()
    return Client(headers=HEADERS)


def test_django_test_response_is_captured_with_its_request(django_client: Any) -> None:
    assert sides_and_rules(django_client.post(PATH, BODY, content_type="application/json")) == []
    assert sides_and_rules(django_client.post(PATH, BARE, content_type="application/json")) == WRAPPER


def test_streaming_django_response_is_rejected_without_a_given_body(django_client: Any) -> None:
    response = django_client.post(PATH + "?stream", BODY, content_type="application/json")
    with pytest.raises(TypeError, match="is a stream"):
        STRICT.check_response(response)
    body = b"".join(response.streaming_content)
    assert ("response", "location-missing") in sides_and_rules(response, body)


def test_unread_or_consumed_stream_is_rejected(server_url: str) -> None:
    refused = pytest.raises(
        TypeError, match=r"^the body of this [\w.]+ is a stream that was not read, or that other code has read: "
    )
    with requests.Session() as session:
        unread = session.post(server_url + PATH, json=BODY, stream=True)
        with refused:
            STRICT.check_response(unread)
        assert list(unread.iter_content(None)) != []
        with refused:
            STRICT.check_response(unread)
    with (
        httpx.Client(verify=NO_CERTIFICATES) as client,
        client.stream("POST", server_url + PATH, json=BODY) as streamed,
    ):
        with refused:
            STRICT.check_response(streamed)
        list(streamed.iter_bytes())
        with refused:
            STRICT.check_response(streamed)
    with urllib3.PoolManager() as pool:
        raw = pool.request("POST", server_url + PATH, json=BODY, preload_content=False)
        with refused:
            STRICT.check_response(raw)
        raw.read()
        with refused:
            STRICT.check_response(raw)
        raw.release_conn()


@pytest.mark.parametrize(
    "thing", [None, 201, "201", {}, order(), b"", object(), Response, type("R", (), {"status_code": "201"})()]
)
def test_other_object_is_rejected_as_response(thing: Any) -> None:
    with pytest.raises(TypeError, match="is not an HTTP response: no numeric status_code or status"):
        STRICT.check_response(thing)


@pytest.mark.parametrize("thing", [None, "POST", {}, request_body(), object(), Response(201)])
def test_other_object_is_rejected_as_request(thing: Any) -> None:
    with pytest.raises(TypeError, match="is not an HTTP request: no method and URL"):
        STRICT.check_request(thing)


def test_given_body_must_be_bytes_or_text() -> None:
    response = type("R", (), {"status": 201, "headers": {}})()
    with pytest.raises(TypeError, match=r"body= must be bytes or a string, not builtins\.dict"):
        STRICT.check_response(response, body={})  # type: ignore[arg-type]  # the wrong type is what is tested


URL = "https://api.example.com" + PATH


def rules(request: Any) -> list[str]:
    return [finding.rule for finding in STRICT.check_request(request)]


def test_requests_of_each_client_can_be_checked_before_they_are_sent() -> None:
    good, bare = json.dumps(BODY), json.dumps(BARE)
    assert rules(requests.Request("POST", URL, json=BODY, headers=HEADERS)) == []
    assert rules(requests.Request("POST", URL, json=BARE, headers=HEADERS).prepare()) == ["request-not-wrapped"]
    assert rules(httpx.Request("POST", URL, json=BODY, headers=HEADERS)) == []
    assert rules(httpx.Request("POST", URL, content=bare, headers={**HEADERS, "content-type": "application/json"})) == [
        "request-not-wrapped"
    ]
    assert rules(Request("POST", URL, (("content-type", "application/json"), ("x-api-key", "k")), good.encode())) == []


def test_request_without_a_body_breaks_body_missing() -> None:
    assert rules(requests.Request("POST", URL, headers=HEADERS)) == ["body-missing"]
    assert rules(httpx.Request("POST", URL, headers=HEADERS)) == ["body-missing"]


def test_request_whose_body_is_a_stream_is_rejected() -> None:
    for stream in (io.BytesIO(b"{}"), iter([b"{}"])):
        with pytest.raises(TypeError, match="is a stream"):
            rules(requests.Request("POST", URL, data=stream))
    with pytest.raises(TypeError, match="is a stream"):
        rules(httpx.Request("POST", URL, content=iter([b"{}"])))


def test_response_to_a_streamed_request_is_captured_without_it(server_url: str) -> None:
    with requests.Session() as session:
        response = session.post(server_url + PATH, data=io.BytesIO(json.dumps(BARE).encode()), headers=HEADERS)
    assert interaction_of(response).request is None
    assert sides_and_rules(response) == []


def test_httpx_response_made_by_hand_has_no_request() -> None:
    assert interaction_of(httpx.Response(201, json=order())).request is None


def test_own_types_are_returned_unchanged() -> None:
    response = Response(201)
    interaction = Interaction(None, response)
    assert interaction_of(interaction) is interaction
    assert interaction_of(response) == interaction
    request = Request("POST", URL)
    assert request_of(request) is request


def test_repeated_headers_stay_apart_if_the_client_keeps_them_apart() -> None:
    response = httpx.Response(201, headers=[("x-a", "1"), ("x-a", "2")], content=b"{}")
    assert [value for name, value in interaction_of(response).response.headers if name == "x-a"] == ["1", "2"]  # type: ignore[union-attr]  # there is one


def test_given_text_body_with_a_lone_surrogate_is_encoded() -> None:
    response = type("R", (), {"status": 201, "headers": {}})()
    assert interaction_of(response, body="\ud800").response.body == b"\xed\xa0\x80"  # type: ignore[union-attr]  # there is one
