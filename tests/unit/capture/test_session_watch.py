"""Watching sessions."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import httpx2
import pytest
import requests
from support.bodies import BARE, BODY
from support.clients import NO_CERTIFICATES
from support.servers import Allocating, answering, serving

from pytest_veeqo_alloc import Contract, Profile, serve_fake

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


@pytest.mark.parametrize(
    ("status", "rule"), [(404, "undocumented-status"), (302, "undocumented-status"), (500, "server-error")]
)
@pytest.mark.parametrize("profile", ["lenient", "documented", "strict"])
def test_watched_failure_is_an_error_in_every_profile(profile: Profile, status: int, rule: str) -> None:
    with serving(answering(status)) as url, requests.Session() as session, Contract(profile).watch(session) as watch:
        session.post(url + PATH, json=BODY, headers=HEADERS, allow_redirects=False)
    (finding,) = watch.findings.errors
    assert (finding.rule, finding.got) == (rule, str(status))
    assert "expect_status=" in finding.remedy


@pytest.mark.parametrize("statuses", [(429, 429, 201), (503, 201), (401, 201)])
def test_only_the_last_response_to_a_repeated_request_counts(statuses: tuple[int, ...]) -> None:
    with serving(answering(*statuses)) as url, requests.Session() as session, Contract().watch(session) as watch:
        for _ in statuses:
            session.post(url + PATH, json=BODY, headers=HEADERS)
    assert watch.findings.ok


def test_response_counts_again_if_it_was_the_last_one_when_findings_were_read() -> None:
    with serving(answering(429, 201)) as url, requests.Session() as session, Contract().watch(session) as watch:
        session.post(url + PATH, json=BODY, headers=HEADERS)
        assert [finding.rule for finding in watch.findings.errors] == ["undocumented-status"]
        session.post(url + PATH, json=BODY, headers=HEADERS)
    assert watch.findings.ok


@pytest.mark.parametrize(
    "other", [("/orders/8/allocations", BODY), (PATH, {"allocation": {**BODY["allocation"], "warehouse_id": 9}})]
)
def test_failure_is_not_excused_by_another_allocation(other: tuple[str, object]) -> None:
    path, body = other
    with serving(answering(429, 201)) as url, requests.Session() as session, Contract().watch(session) as watch:
        session.post(url + PATH, json=BODY, headers=HEADERS)
        session.post(url + path, json=body, headers=HEADERS)
    assert [finding.rule for finding in watch.findings.errors if finding.location == "status"] == [
        "undocumented-status"
    ]


def test_followed_redirect_is_no_outcome() -> None:
    with serving(answering(307, 201)) as url, requests.Session() as session, Contract().watch(session) as watch:
        assert session.post(url + PATH, json=BODY, headers=HEADERS).status_code == 201
    assert len(watch.interactions) == 2
    assert watch.findings.ok


def test_expected_statuses_are_accepted_and_the_request_is_checked_all_the_same() -> None:
    with serving(answering(422, 201)) as url, requests.Session() as session:
        watch = Contract().watch(session, expect_status={201, 422})
        session.post(url + PATH, json=BARE, headers=HEADERS)
        session.post(url + PATH, json=BODY, headers=HEADERS)
    assert [finding.rule for finding in watch.findings.errors] == ["request-not-wrapped"]


def test_expectation_applies_to_the_responses_that_follow() -> None:
    with serving(answering(404, 404, 201)) as url, requests.Session() as session, Contract().watch(session) as watch:
        session.post(url + "/orders/1/allocations", json=BODY, headers=HEADERS)
        watch.expect_status(404)
        session.post(url + "/orders/2/allocations", json=BODY, headers=HEADERS)
        session.post(url + PATH, json=BODY, headers=HEADERS)
    found = [finding.rule for finding in watch.findings.errors]
    assert found == ["undocumented-status", "unexpected-status"]


def test_rejection_of_a_broken_request_is_no_second_finding() -> None:
    with serving(answering(422)) as url, requests.Session() as session, Contract().watch(session) as watch:
        session.post(url + PATH, json=BARE, headers=HEADERS)
    assert [finding.rule for finding in watch.findings.errors] == ["request-not-wrapped"]


def test_answers_of_the_fake_are_not_checked_for_their_status() -> None:
    with serve_fake() as fake, requests.Session() as session, Contract().watch(session) as watch:
        fake.inject_fault("server-error")
        fake.inject_fault("unprocessable")
        for order in (1, 2):
            url = f"{fake.url}/orders/{order}/allocations"
            response = session.post(url, json=BODY, headers={"x-api-key": fake.api_key})
            assert Contract().check_response(response).ok
    assert watch.findings.ok


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


def test_raw_stream_of_requests_is_left_alone_and_noted(server_url: str) -> None:
    with requests.Session() as session, Contract().watch(session) as watch:
        response = session.post(server_url + PATH, json=BARE, headers=HEADERS, stream=True)
        assert response.raw.read().startswith(b"{")
    assert watch.notes == ["response 1 of a watched session: the body was streamed, and not checked"]
    assert [finding.rule for finding in watch.findings] == ["request-not-wrapped"]


class Wrong(Allocating):
    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(201, b'{"allocations": 5}')


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_raw_stream_of_httpx_is_checked_once_it_was_read(module: Any) -> None:
    with (
        serving(Wrong) as url,
        module.Client(base_url=url, headers=HEADERS, verify=NO_CERTIFICATES) as client,
        Contract().watch(client) as watch,
    ):
        with client.stream("POST", PATH, json=BODY) as response:
            assert b"".join(response.iter_raw()) == b'{"allocations": 5}'
        assert watch.notes == []
        assert "wrong-type" in {finding.rule for finding in watch.findings}
        with client.stream("POST", PATH, json=BODY):
            pass
        assert watch.notes == ["response 2 of a watched session: the body was streamed, and not checked"]


def test_raw_stream_of_async_httpx_is_checked_once_it_was_read() -> None:
    async def call(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, verify=NO_CERTIFICATES) as client:
            watch = Contract().watch(client)
            async with client.stream("POST", PATH, json=BODY) as response:
                assert b"".join([part async for part in response.aiter_raw()]) == b'{"allocations": 5}'
            assert watch.notes == []
            assert "wrong-type" in {finding.rule for finding in watch.findings}

    with serving(Wrong) as url:
        asyncio.run(call(url))


def test_body_that_is_read_after_the_check_stays_unchecked(server_url: str) -> None:
    with httpx.Client(headers=HEADERS, verify=NO_CERTIFICATES) as client, Contract().watch(client) as watch:
        with client.stream("POST", server_url + PATH, json=BODY) as response:
            assert watch.findings.ok
            response.read()
        assert len(watch.notes) == 1


def test_response_that_is_complete_before_the_hook_is_checked() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(201, json={"allocations": 5}))
    with httpx.Client(transport=transport) as client, Contract().watch(client) as watch:
        assert client.post("http://h" + PATH, json=BODY, headers=HEADERS).json() == {"allocations": 5}
    assert "wrong-type" in {finding.rule for finding in watch.findings}
    assert watch.notes == []


def test_compressed_response_is_recorded_decompressed() -> None:
    with serve_fake() as fake, httpx.Client(verify=NO_CERTIFICATES) as client, Contract().watch(client) as watch:
        fake.inject_fault("gzip")
        client.post(fake.url + PATH, json=BODY, headers={"x-api-key": fake.api_key})
        (interaction,) = watch.interactions
        assert interaction.response is not None
        assert (interaction.response.body or b"").startswith(b"{")
        assert watch.findings.ok


def test_body_that_another_hook_of_requests_has_consumed_is_noted(server_url: str) -> None:
    with requests.Session() as session:
        session.hooks["response"] = lambda response, **_: list(response.iter_content(5))[:0] or None
        with Contract().watch(session) as watch:
            session.post(server_url + PATH, json=BODY, headers=HEADERS, stream=True)
    assert len(watch.notes) == 1


def test_repr_of_a_watch_counts_and_checks_nothing() -> None:
    with serving(answering(404)) as url, requests.Session() as session, Contract().watch(session) as watch:
        session.post(f"{url}/orders/1/allocations", json={})
        session.get(f"{url}/orders/1")
        assert repr(watch) == "<Watch: 1 interaction, 1 skipped>"
