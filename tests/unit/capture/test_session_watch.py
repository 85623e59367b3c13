"""Watching sessions."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import requests
from support.bodies import BARE, BODY
from support.clients import NO_CERTIFICATES
from support.servers import Allocating, serving

from pytest_veeqo_alloc import Contract

PATH = "/orders/447452/allocations"
HEADERS = {"x-api-key": "test-key"}


def test_requests_session_is_watched_and_other_calls_are_skipped(server_url: str) -> None:
    with requests.Session() as session, Contract().watch(session) as watch:
        session.get(server_url + "/orders/447452")
        session.post(server_url + "/orders", json={})
        response = session.post(server_url + PATH, json=BARE, headers=HEADERS)
        assert response.json()["id"] == 447452
    assert (len(watch.interactions), watch.skipped) == (1, 2)
    assert [finding.rule for finding in watch.findings] == ["request-not-wrapped"]


def test_httpx_client_is_watched_even_if_it_streams(server_url: str) -> None:
    with (
        httpx.Client(base_url=server_url, headers=HEADERS, verify=NO_CERTIFICATES) as client,
        Contract().watch(client) as watch,
    ):
        client.get("/orders/447452")
        client.post(PATH, json=BODY)
        with client.stream("POST", PATH, json=BARE) as response:
            assert b"".join(response.iter_bytes()).startswith(b"{")
    assert (len(watch.interactions), watch.skipped) == (2, 1)
    assert [finding.rule for finding in watch.findings] == ["request-not-wrapped"]


def test_async_httpx_client_is_watched(server_url: str) -> None:
    async def calls() -> None:
        async with httpx.AsyncClient(base_url=server_url, headers=HEADERS, verify=NO_CERTIFICATES) as client:
            watch = Contract().watch(client)
            await asyncio.gather(*(client.post(PATH, json=BODY) for _ in range(5)))
            await client.get("/orders/447452")
            assert (len(watch.interactions), watch.skipped) == (5, 1)
            assert watch.findings.ok

    asyncio.run(calls())


def test_watched_requests_stream_can_still_be_read(server_url: str) -> None:
    with requests.Session() as session, Contract().watch(session) as watch:
        response = session.post(server_url + PATH, json=BODY, headers=HEADERS, stream=True)
        assert b"".join(response.iter_content(100)).startswith(b"{")
    assert watch.findings.ok


def test_closed_watch_sees_nothing_and_can_be_closed_twice(server_url: str) -> None:
    with requests.Session() as session:
        watch = Contract().watch(session)
        watch.close()
        watch.close()
        session.post(server_url + PATH, json=BARE)
    assert watch.interactions == []
    assert list(watch.findings) == []


def test_findings_grow_with_the_session(server_url: str) -> None:
    with requests.Session() as session, Contract().watch(session) as watch:
        session.post(server_url + PATH, json=BARE, headers=HEADERS)
        assert len(watch.findings) == 1
        session.post(server_url + PATH, json=BARE, headers=HEADERS)
        assert len(watch.findings) == 2


@pytest.mark.parametrize("thing", [None, "session", requests, object()])
def test_other_object_cannot_be_watched(thing: object) -> None:
    with pytest.raises(
        TypeError, match=r"^cannot watch a .*: pass a requests\.Session, an httpx\.Client or an httpx\.AsyncClient$"
    ):
        Contract().watch(thing)


def test_response_to_a_streamed_request_is_checked() -> None:
    class Broken(Allocating):
        def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
            self.rfile.read(2)
            self.close_connection = True
            self.answer(200, b"{}")

    with serving(Broken) as url:
        with requests.Session() as session, Contract().watch(session) as watch:
            session.post(url + PATH, data=iter([b"{}"]))
        with httpx.Client(verify=NO_CERTIFICATES) as client, Contract().watch(client) as other:
            client.post(url + PATH, content=iter([b"{}"]))
    for watched in (watch, other):
        assert (len(watched.interactions), watched.skipped) == (1, 0)
        assert [finding.rule for finding in watched.findings] == ["not-an-order", "wrong-status"]


def test_session_with_a_single_function_as_its_hook_is_watched(server_url: str) -> None:
    seen = []
    with requests.Session() as session:
        session.hooks = {"response": lambda response, **_: seen.append(response)}
        with Contract().watch(session) as watch:
            session.post(server_url + PATH, json=BARE, headers=HEADERS)
    assert (len(seen), len(watch.interactions)) == (1, 1)
