"""Replay: which interactions play, and that nothing reaches the network."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import io
import json
import logging
import runpy
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import vcr
import yaml
from support.bodies import BODY, request_body
from support.cassettes import created, no_live, write
from support.clients import CLIENTS, HEADERS, NO_CERTIFICATES, parsed
from support.documents import ruby_cassette
from support.servers import Allocating, serving

from pytest_veeqo_alloc import Interaction, Request
from pytest_veeqo_alloc.capture.writers import cassette_text
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.recording import CassetteError, bundled_names, find_cassette, name_of_test
from pytest_veeqo_alloc.recording.matching import UnmatchedRequestError
from pytest_veeqo_alloc.recording.network_guard import NetworkBlockedError
from pytest_veeqo_alloc.recording.session import Cassettes
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.spec.loader import read_shipped_text, shipped_folder

URL = "https://shop.example.net/veeqo/orders/99/allocations"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def cassettes(tmp_path: Path) -> Cassettes:
    return Cassettes(Engine(), tmp_path, "none", no_live)


def test_bundled_cassettes_are_what_their_tool_makes() -> None:
    pack = runpy.run_path(str(ROOT / "tools" / "make_cassettes.py"))["pack"]()
    assert {name: read_shipped_text(f"cassettes/{name}") for name in pack} == pack
    assert pack.keys() == {f"{name}.yaml" for name in bundled_names()}


def test_every_promised_cassette_is_bundled() -> None:
    assert list(bundled_names()) == [
        "bad-request", "created", "created-observed", "created-partial", "created-several-lines", "created-unicode",
        "forbidden", "not-found", "rate-limited", "server-error", "unauthorized",
    ]  # fmt: skip


@functools.cache
def bundled(name: str) -> Any:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(read_shipped_text(f"cassettes/{name}.yaml"), Loader=loader)


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_cassette_states_its_basis(name: str) -> None:
    text = read_shipped_text(f"cassettes/{name}.yaml")
    assert text.startswith("# Not a recording of the live API")
    basis = bundled(name)["veeqo_alloc"]["made_from"]
    assert any(word in basis for word in ("transcribed", "observed", "synthetic"))
    assert name in read_shipped_text("cassettes/README.md")


# The battery plays each of them through each client.
PAIRS = [*((name, "requests") for name in bundled_names()), *(("created", client) for client in CLIENTS)]


@pytest.mark.parametrize(("name", "client"), PAIRS)
def test_bundled_cassette_plays(name: str, client: str, cassettes: Cassettes) -> None:
    stored = bundled(name)["interactions"][0]["response"]
    with cassettes.use(name, strict_play=True) as player:
        answer = CLIENTS[client](URL, BODY)
    assert answer[0] == stored["status"]["code"]
    assert parsed(answer) == (json.loads(stored["body"]["string"]) if stored["body"]["string"] else None)
    assert (player.play_count, player.unplayed, len(player.interactions)) == (1, [], 1)
    assert cassettes.findings.ok
    assert cassettes.problems == []


def test_bundled_cassette_plays_for_any_order_and_host_and_checks_the_request(cassettes: Cassettes) -> None:
    with cassettes.use("created"):
        requests.post(URL, json=BODY["allocation"], headers=HEADERS, timeout=10)
    assert [finding.rule for finding in cassettes.findings.errors] == ["request-not-wrapped"]


def test_bundled_cassette_does_not_play_for_another_call(cassettes: Cassettes) -> None:
    with cassettes.use("created"), pytest.raises(UnmatchedRequestError, match="another API operation"):
        requests.post("https://shop.example.net/products", json=BODY, timeout=10)


def test_cassette_of_the_user_shadows_a_bundled_one(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "created", created(5))
    with cassettes.use("created"):
        answer = requests.post("https://api.example.com/orders/5/allocations", json=BODY, timeout=10)
    assert answer.json()["id"] == 5


@pytest.mark.parametrize("client", CLIENTS)
def test_body_is_compared_as_json(client: str, tmp_path: Path, cassettes: Cassettes) -> None:
    spaced = created()
    assert spaced.request is not None
    body = json.dumps(BODY, indent=3, sort_keys=True).replace("1784", "1784.0").encode()
    write(tmp_path, "mine", Interaction(Request("POST", spaced.request.url, (), body), spaced.response))
    with cassettes.use("mine"):
        assert CLIENTS[client]("https://api.example.com/orders/447452/allocations", BODY)[0] == 201


def unmatched(cassettes: Cassettes, name: str, url: str, body: Any, **options: Any) -> str:
    with cassettes.use(name, **options), pytest.raises(UnmatchedRequestError) as caught:
        requests.post(url, json=body, headers=HEADERS, timeout=10)
    return str(caught.value)


def test_unmatched_request_shows_differences_without_quoting(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created(), created(7, body={"x": 1}))
    other = {"allocation": {**BODY["allocation"], "warehouse_id": 5, "note": "canary"}}
    text = unmatched(cassettes, "mine", "https://canary.example.net/orders/447452/allocations?canary=canary2", other)
    assert text.splitlines() == [
        "the cassette 'mine' has no interaction left for POST /orders/{order_id}/allocations; the nearest is interaction 1 of 2",
        "",
        "  host                                         recorded another host, got the host of this request",
        "  query:canary                                 recorded nothing, got a value of 7 characters",
        "  /allocation/warehouse_id                     recorded number, got another one",
        "  /allocation/note                             recorded nothing, got string of 6 characters",
        "",
        "  do: send the recorded request, record again, or exclude the difference from comparison with "
        "relax=['body', 'host', 'query'], or permit a call to another server with allow_hosts=['HOST']",
    ]  # fmt: skip
    assert cassettes.problems == [text]


@pytest.mark.parametrize(
    ("part", "url", "body"),
    [
        ("host", "http://other.example.com:81/orders/447452/allocations", BODY),
        ("query", "https://api.example.com/orders/447452/allocations?page=2", BODY),
        ("order_id", "https://api.example.com/orders/8/allocations", BODY),
        ("path", "https://api.example.com/v2/orders/447452/allocations", BODY),
        ("body", "https://api.example.com/orders/447452/allocations", {"allocation": [True]}),
    ],
)
def test_part_is_compared_unless_relaxed(part: str, url: str, body: Any, tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created())
    assert f"relax=['{part}']" in unmatched(cassettes, "mine", url, body)
    with cassettes.use("mine", relax=[part]):
        assert requests.post(url, json=body, timeout=10).status_code == 201


@pytest.mark.parametrize("query", ["?id=2", "?id=2&id=2", "?id=1&id=2&id=2", "?id=1", ""])
def test_repeated_query_parameters_are_compared_as_pairs(query: str, tmp_path: Path, cassettes: Cassettes) -> None:
    entry = created()
    assert entry.request is not None
    url = entry.request.url
    recorded = replace(entry, request=replace(entry.request, url=f"{url}?id=1&id=2&a="))
    write(tmp_path, "mine", recorded)
    assert "query:id" in unmatched(cassettes, "mine", f"{url}{query}{'&' if query else '?'}a=", BODY)
    with cassettes.use("mine"):
        assert requests.post(f"{url}?a=&id=2&id=1", json=BODY, timeout=10).ok


def test_number_of_repeated_query_parameters_is_described(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created())
    text = unmatched(cassettes, "mine", "https://api.example.com/orders/447452/allocations?id=1&id=22", BODY)
    assert "recorded nothing, got 2 values of 1 character and 2 characters" in text


@pytest.mark.parametrize("module", [httpx, httpx2])
@pytest.mark.parametrize("name", ["created", "mine"])
def test_app_in_process_is_called(module: Any, name: str, tmp_path: Path, cassettes: Cassettes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b"app"})

    async def call() -> Any:
        async with module.AsyncClient(transport=module.ASGITransport(app), base_url="http://testserver") as client:
            return await client.post("/orders/447452/allocations", json=BODY)

    write(tmp_path, "mine", created())
    with cassettes.use(name) as player:
        assert (asyncio.run(call()).status_code, player.play_count) == (202, 0)
        wsgi = module.WSGITransport(lambda environ, start: (start("203 OK", []), [b""])[1])
        with module.Client(transport=wsgi) as client:
            assert client.post("http://testserver/x").status_code == 203
        with module.Client(transport=module.MockTransport(lambda request: module.Response(204))) as client:
            assert client.get("http://testserver/x").status_code == 204
        assert module.post("https://api.example.com/orders/447452/allocations", json=BODY).status_code == 201
        assert player.play_count == 1


@pytest.mark.parametrize(("url", "host"), [("http://testserver/x", "testserver"), ("http://a.example.org/x", "HOST")])
def test_call_of_another_server_is_not_advised_to_relax_the_path(
    url: str, host: str, tmp_path: Path, cassettes: Cassettes
) -> None:
    write(tmp_path, "mine", created())
    for name in ("mine", "created"):
        text = unmatched(cassettes, name, url, BODY)
        assert text.endswith(f"or permit a call to another server with allow_hosts=['{host}']")
        assert "relax=" not in text


def test_method_can_be_relaxed(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created())
    with cassettes.use("mine", relax="method"):
        assert requests.put("https://api.example.com/orders/447452/allocations", json=BODY, timeout=10).ok


def test_interaction_plays_once_unless_repeats_are_allowed(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created())
    url = "https://api.example.com/orders/447452/allocations"
    with cassettes.use("mine"):
        requests.post(url, json=BODY, timeout=10)
        with pytest.raises(UnmatchedRequestError, match="1 match already played; allow_playback_repeats=True"):
            requests.post(url, json=BODY, timeout=10)
    with cassettes.use("mine", allow_playback_repeats=True) as player:
        for _ in range(3):
            requests.post(url, json=BODY, timeout=10)
    assert player.play_count == 3
    assert len(player.interactions) == 3


def test_redacted_recording_matches_what_redaction_would_replace(tmp_path: Path, cassettes: Cassettes) -> None:
    body = {"allocation": {**BODY["allocation"], "note": "redacted-1", "phone": 442079460000002}}
    write(tmp_path, "mine", created(body=body))
    url = "https://api.example.com/orders/447452/allocations"
    for note, phone in (("anything", 2011112222), ("else", 1)):
        sent = {"allocation": {**BODY["allocation"], "note": note, "phone": phone}}
        with cassettes.use("mine"):
            assert requests.post(url, json=sent, timeout=10).ok
    assert "/allocation/note" in unmatched(
        cassettes, "mine", url, body | {"allocation": {**body["allocation"], "note": 5}}
    )


def test_replay_does_not_own_other_interactions(cassettes: Cassettes) -> None:
    with cassettes.use("created"):
        requests.post(URL, json=BODY, timeout=10)
    for url in (URL, "https://shop.example.net:port/", "https://["):
        assert not cassettes.owns(Interaction(Request("POST", url)))


def test_unplayed_interactions_are_a_problem_with_strict_play(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created(1), created(2))
    with cassettes.use("mine", strict_play=True) as player:
        requests.post("https://api.example.com/orders/2/allocations", json=BODY, timeout=10)
    assert [interaction.request.url for interaction in player.unplayed if interaction.request] == [
        "https://api.example.com/orders/1/allocations"
    ]
    assert cassettes.problems == ["1 of 2 interactions of the cassette 'mine' were not played (strict_play=True)"]


@pytest.mark.parametrize("client", CLIENTS)
def test_compressed_response_plays(client: str, tmp_path: Path, cassettes: Cassettes) -> None:
    entry = created()
    assert entry.response is not None
    assert entry.response.body is not None
    document = yaml.safe_load(cassette_text([entry], {}))
    response = document["interactions"][0]["response"]
    response["headers"] |= {"Content-Encoding": ["gzip"], "Content-Length": ["1"]}
    response["body"]["string"] = gzip.compress(entry.response.body)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with cassettes.use("mine"):
        answer = CLIENTS[client]("https://api.example.com/orders/447452/allocations", BODY)
    assert parsed(answer)["id"] == 447452


def test_unmatched_request_does_not_reach_the_server(
    live_server: tuple[str, type[Counting]], tmp_path: Path, cassettes: Cassettes
) -> None:
    url, server = live_server
    write(tmp_path, "mine", created(1, host=url))
    for client in CLIENTS.values():
        with cassettes.use("mine"), pytest.raises(UnmatchedRequestError):
            client(f"{url}/orders/2/allocations", BODY)
    assert server.hits == 0


class Counting(Allocating):
    hits = 0

    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        type(self).hits += 1
        super().do_POST()


@pytest.fixture
def live_server() -> Iterator[tuple[str, type[Counting]]]:
    class Fresh(Counting):
        hits = 0

    with serving(Fresh) as url:
        yield url, Fresh


def test_threads_never_reach_a_real_socket(
    live_server: tuple[str, type[Counting]], tmp_path: Path, cassettes: Cassettes
) -> None:
    url, server = live_server
    write(tmp_path, "mine", *(created(number, host=url) for number in range(1, 41)))
    start = threading.Barrier(8)

    def call(first: int) -> list[object]:
        start.wait(timeout=10)
        return [one(number) for number in range(first, first + 5)]

    def one(number: int) -> object:
        try:
            return requests.post(f"{url}/orders/{number}/allocations", json=BODY, timeout=10).status_code
        except NetworkBlockedError as error:
            return str(error)

    with cassettes.use("mine"), ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for several in pool.map(call, range(1, 41, 5)) for outcome in several]
    assert server.hits == 0
    assert len(outcomes) == 40
    assert set(outcomes) <= {
        201,
        "a call bypassed the cassette 'mine' and was blocked: open the connection while the cassette is in use, "
        "share one HTTP session between all threads, or name the host in allow_hosts= if the test needs the call",
    }


def test_threads_with_a_shared_session_are_played(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", *(created(number) for number in range(1, 17)))
    with cassettes.use("mine") as player, httpx.Client(verify=NO_CERTIFICATES) as client, ThreadPoolExecutor(8) as pool:
        urls = [f"https://api.example.com/orders/{number}/allocations" for number in range(1, 17)]
        statuses = list(pool.map(lambda url: client.post(url, json=BODY).status_code, urls))
    assert statuses == [201] * 16
    assert player.unplayed == []


@pytest.mark.parametrize("kind", ["httpx", "aiohttp"])
def test_concurrent_calls_in_one_event_loop_are_played(kind: str, tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", *(created(number) for number in range(1, 17)))
    urls = [f"https://api.example.com/orders/{number}/allocations" for number in range(1, 17)]

    async def with_httpx() -> list[int]:
        async with httpx.AsyncClient(verify=NO_CERTIFICATES) as client:
            return [r.status_code for r in await asyncio.gather(*(client.post(url, json=BODY) for url in urls))]

    async def with_aiohttp() -> list[int]:
        async with aiohttp.ClientSession() as session:
            return [r.status for r in await asyncio.gather(*(session.post(url, json=BODY) for url in urls))]

    with cassettes.use("mine") as player:
        assert asyncio.run(with_httpx() if kind == "httpx" else with_aiohttp()) == [201] * 16
    assert (player.unplayed, len(player.interactions)) == ([], 16)


def test_connections_and_lookups_are_blocked_during_replay(cassettes: Cassettes) -> None:
    with cassettes.use("created"):
        for family in (socket.AF_INET, socket.AF_INET6):
            with socket.socket(family) as plain, pytest.raises(NetworkBlockedError):
                plain.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 9))
        with socket.socket() as plain, pytest.raises(NetworkBlockedError):
            plain.connect_ex(("127.0.0.1", 9))
        with pytest.raises(NetworkBlockedError):
            socket.getaddrinfo("staging.example.com", 443)


def test_allowed_host_can_be_called_besides_the_cassette(
    live_server: tuple[str, type[Counting]], cassettes: Cassettes
) -> None:
    url, _ = live_server
    host, _, port = url.removeprefix("http://").partition(":")
    with cassettes.use("created", allow_hosts=[f"{host}:{port}"]):
        with socket.create_connection((host, int(port)), timeout=5):
            pass
        with socket.socket() as plain, pytest.raises(NetworkBlockedError):
            plain.connect((host, int(port) + 1 if int(port) < 65535 else 1))
    with (
        cassettes.use("created", allow_hosts="localhost"),
        socket.create_connection(("localhost", int(port)), timeout=5),
    ):
        pass


@pytest.mark.parametrize("kind", ["form", "upload", "payload"])
def test_body_that_aiohttp_reads_only_once_is_played_and_not_checked(kind: str, cassettes: Cassettes) -> None:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(b"x") if kind == "upload" else "x", filename="a" if kind == "upload" else None)

    async def call() -> int:
        data = aiohttp.JsonPayload(BODY) if kind == "payload" else form
        async with aiohttp.ClientSession() as session, session.post(URL, data=data, headers=HEADERS) as response:
            return response.status

    with cassettes.use("created") as player:
        assert asyncio.run(call()) == 201
    (played,) = player.interactions
    assert played.request is not None
    assert (played.request.body, played.request.is_body_known) == (None, False)
    assert "body-missing" not in {finding.rule for finding in cassettes.findings}


def test_malformed_url_in_a_cassette_is_reported_with_its_place(tmp_path: Path, cassettes: Cassettes) -> None:
    good = created()
    assert good.request is not None
    path = write(
        tmp_path, "mine", good, replace(good, request=replace(good.request, url="http://[::1/orders/1/allocations"))
    )
    with pytest.raises(CassetteError) as caught, cassettes.use("mine"):
        pass
    assert str(caught.value) == f"{path}#2 has a malformed URL: correct it, or record again"


def pair_over_loopback(*_: object) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets, as `socket.socketpair` does on Windows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.socket()
        one.connect(listener.getsockname())
        return one, listener.accept()[0]


@pytest.mark.parametrize("kind", ["httpx", "aiohttp"])
def test_event_loop_starts_where_a_pair_of_sockets_is_connected_over_the_loopback(
    kind: str, cassettes: Cassettes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socketpair", getattr(socket, "_fallback_socketpair", pair_over_loopback))

    async def with_httpx() -> int:
        async with httpx.AsyncClient(verify=NO_CERTIFICATES) as client:
            return (await client.post(URL, json=BODY)).status_code

    async def with_aiohttp() -> int:
        async with aiohttp.ClientSession() as session:
            return (await session.post(URL, json=BODY)).status

    with cassettes.use("created"):
        assert asyncio.run(with_httpx() if kind == "httpx" else with_aiohttp()) == 201
        with socket.socket() as plain, pytest.raises(NetworkBlockedError):
            plain.connect(("127.0.0.1", 9))


@pytest.fixture
def ipv6_fake() -> Iterator[Fake]:
    fake = Fake(Engine())
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(running(fake, host="::1"))
        except OSError:
            pytest.skip("there is no IPv6 address on this machine")
        yield fake


@pytest.mark.parametrize("client", CLIENTS)
def test_allowed_ipv6_address_can_be_called_besides_the_cassette(client: str, ipv6_fake: Fake, tmp_path: Path) -> None:
    netloc = ipv6_fake.url.removeprefix("http://")
    url = f"{ipv6_fake.url}/orders/5/allocations"
    by_name = Cassettes(Engine(), tmp_path, "none", no_live)
    own = Cassettes(Engine(), tmp_path, "none", no_live, [netloc])
    for cassettes, allowed in (by_name, ["[::1]"]), (by_name, ["::1"]), (by_name, [netloc]), (own, []):
        with cassettes.use("created", allow_hosts=allowed):
            assert CLIENTS[client](url, BODY)[0] == 401  # the answer of the fake, for another key


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("host", ["[::1]:8080", "[2001:db8::1]", "[2001:db8:1:2:3:4:5:6]"])
def test_call_to_an_ipv6_address_is_played(host: str, client: str, tmp_path: Path, cassettes: Cassettes) -> None:
    url = f"http://{host}"
    write(tmp_path, "mine", created(host=url))
    with cassettes.use("mine") as player:
        assert CLIENTS[client](f"{url}/orders/447452/allocations", BODY)[0] == 201
    (played,) = player.interactions
    assert played.request is not None
    assert played.request.url == f"{url}/orders/447452/allocations"


def test_patches_are_removed_after_a_replay_even_if_it_failed(
    live_server: tuple[str, type[Counting]], tmp_path: Path, cassettes: Cassettes
) -> None:
    url, server = live_server
    connect, lookup, level = socket.socket.connect, socket.getaddrinfo, logging.getLogger("vcr").level
    (tmp_path / "bad.yaml").write_text("interactions: [", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), cassettes.use("created"):
        raise ZeroDivisionError
    with pytest.raises(CassetteError), cassettes.use("bad"):
        pass
    assert (socket.socket.connect, socket.getaddrinfo, logging.getLogger("vcr").level) == (connect, lookup, level)
    assert requests.post(f"{url}/orders/1/allocations", json=BODY, timeout=10).ok
    assert server.hits == 1


def test_vcrpy_logs_no_request(cassettes: Cassettes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), cassettes.use("created"):
        requests.post(URL, json=BODY, headers={"x-api-key": "canary"}, timeout=10)
    assert [record for record in caplog.records if record.name.startswith("vcr")] == []


SENTENCES = [
    ("interactions: [", "cannot be used: neither valid JSON nor a single valid YAML document"),
    (
        "interactions: !!python/object/apply:os.system [ls]\nversion: 1",
        "cannot be used: a VCR cassette: /interactions has the unsupported YAML tag '!!python/object/apply:os.system'",
    ),
    (
        "interactions:\n- request: {method: POST, uri: /x}\n  response: {}\nversion: 1",
        "cannot be used: entry 1 of a VCR",
    ),
    (
        "interactions: []\n",
        "cannot be used: a VCR cassette without 'version', its last member: the file may be truncated",
    ),
    ("interactions: []\nversion: 2\n", "cannot be used: a VCR cassette with a format version other than 1"),
    ("interactions: []\nversion: 1\n", "has no interaction: record it again"),
    ("", "cannot be used: a VCR cassette: the document is empty"),
    ("just words", "cannot be used: a VCR cassette: the document must be an object, not string of 10 characters"),
]


@pytest.mark.parametrize(("text", "sentence"), SENTENCES)
def test_malformed_cassette_is_rejected(text: str, sentence: str, tmp_path: Path, cassettes: Cassettes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CassetteError) as caught, cassettes.use("mine"):
        pass
    assert str(caught.value).startswith(f"the cassette {path} {sentence}")
    assert path.read_text(encoding="utf-8") == text


def test_huge_cassette_is_rejected_unread(tmp_path: Path, cassettes: Cassettes) -> None:
    with (tmp_path / "mine.yaml").open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(CassetteError, match="is larger than 64 MB: split it"), cassettes.use("mine"):
        pass


@pytest.mark.parametrize(
    "name", ["../created", "a/../b", "/etc/passwd", "", ".hidden", "a//b", "a\\b", "a\nb", "a/", "ünïcode", None]
)
def test_name_that_leads_out_of_the_folder_is_rejected(name: str, cassettes: Cassettes) -> None:
    with pytest.raises(CassetteError, match="invalid cassette name"), cassettes.use(name):
        pass


@pytest.mark.parametrize(("mode", "exists"), [("new_episodes", True), ("all", True), ("once", False)])
def test_link_out_of_the_folder_is_not_written(mode: str, exists: bool, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    outside = write(tmp_path, "outside", created()) if exists else tmp_path / "nowhere.yaml"
    (tmp_path / "in" / "mine.yaml").symlink_to(outside)
    cassettes = Cassettes(Engine(), tmp_path / "in", mode, no_live)
    with pytest.raises(CassetteError, match="a link leads out of"), cassettes.use("mine"):
        pass


@pytest.mark.parametrize("mode", ["none", "once"])
def test_link_out_of_the_folder_is_played(mode: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "mine.yaml").symlink_to(write(tmp_path, "outside", created()))
    with Cassettes(Engine(), tmp_path / "in", mode, no_live).use("mine") as player:
        assert len(player.stored) == 1


def test_cassettes_of_different_tests_have_different_valid_names() -> None:
    names = ["test_it", "test_it[a/b]", "test_it[a:b]", "test_it[a_b]", "test_it[..]", "test_it[.]", "test_größe", "-", "*",
             f"test_it[{'x' * 300}]", f"test_it[{'x' * 301}]", "\udc80", "a b.c"]  # fmt: skip
    modules = ["test_it.py", "a/test_it.py", "b/test_it.py", "tést.py", ".hidden/test_it.py"]
    files = [name_of_test(PurePath(module), [name]) for module in modules for name in names]
    assert len(set(files)) == len(modules) * len(names)
    assert {find_cassette(file, Path("cassettes"), "none").name for file in files} == set(files)
    assert max(len(part) for file in files for part in file.split("/")) < 200
    assert files[0] == "test_it/test_it"


def test_boundary_of_a_multipart_body_is_not_compared(tmp_path: Path, cassettes: Cassettes) -> None:
    def multipart(boundary: str, text: str = "x") -> Request:
        body = f"--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n{text}\r\n--{boundary}--\r\n".encode()
        headers = (("Content-Type", f"multipart/form-data; boundary={boundary}"),)
        return Request("POST", "https://api.example.com/orders/447452/allocations", headers, body)

    write(tmp_path, "mine", replace(created(), request=multipart("aaaa")))
    for request, is_same in ((multipart("bbbb"), True), (multipart("cc"), True), (multipart("bbbb", "y"), False)):
        headers = dict(request.headers)
        with cassettes.use("mine"):
            try:
                assert requests.post(request.url, data=request.body, headers=headers, timeout=5).ok is is_same
            except UnmatchedRequestError:
                assert not is_same


def test_cassette_of_vcr_for_ruby_is_played_and_not_extended(tmp_path: Path, cassettes: Cassettes) -> None:
    document = ruby_cassette()
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with cassettes.use("mine", strict_play=True):
        url = document["http_interactions"][0]["request"]["uri"]
        assert requests.post(url, json=request_body(), timeout=5).status_code == 201
    extending = Cassettes(Engine(), tmp_path, "new_episodes", no_live)
    with (
        pytest.raises(CassetteError, match="was recorded by VCR for Ruby, and can only be played"),
        extending.use("mine"),
    ):
        pass


def test_unreadable_entry_is_not_played_and_not_lost(tmp_path: Path, cassettes: Cassettes) -> None:
    write(tmp_path, "mine", created(), created(8))
    path = tmp_path / "mine.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("method: POST", "method: !!python/name:os.system ''", 1), encoding="utf-8")
    with cassettes.use("mine") as player:
        assert len(player.stored) == 1
    extending = Cassettes(Engine(), tmp_path, "new_episodes", no_live)
    with pytest.raises(CassetteError, match="entry 1 of a VCR cassette: /interactions/0/request/method"):
        extending.use("mine").__enter__()


def test_unknown_cassette_is_reported_with_the_nearest_name(tmp_path: Path, cassettes: Cassettes) -> None:
    with pytest.raises(CassetteError) as caught, cassettes.use("created-partal"):
        pass
    assert str(caught.value) == (
        f"no cassette 'created-partal' in {tmp_path} or in the package: did you mean 'created-partial'? "
        "Otherwise record it with --veeqo-alloc-record-mode once"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"relax": ["bdy"]}, "unknown part of a request to relax 'bdy': did you mean 'body'?"),
        ({"record_mode": "onec"}, "unknown record mode 'onec': did you mean 'once'?"),
    ],
)
def test_unknown_option_value_is_reported_with_the_nearest(
    options: dict[str, Any], sentence: str, cassettes: Cassettes
) -> None:
    with pytest.raises(ValueError, match="unknown") as caught, cassettes.use("created", **options):
        pass
    assert str(caught.value) == sentence


def test_json_cassette_in_a_subfolder_plays(tmp_path: Path, cassettes: Cassettes) -> None:
    (tmp_path / "sub").mkdir()
    document = yaml.safe_load(cassette_text([created()], {}))
    (tmp_path / "sub" / "mine.json").write_text(json.dumps(document), encoding="utf-8")
    for name in ("sub/mine", "sub/mine.json"):
        with cassettes.use(name):
            assert requests.post("https://api.example.com/orders/447452/allocations", json=BODY, timeout=10).ok


def test_vcrpy_that_ignores_the_persister_is_rejected(cassettes: Cassettes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcr.VCR, "register_persister", lambda self, persister: None)
    with (
        pytest.raises(CassetteError, match="this version of vcrpy would write unredacted recordings"),
        cassettes.use("created"),
    ):
        pass


def test_bundled_cassettes_are_installed() -> None:
    assert shipped_folder("cassettes").joinpath("created.yaml").is_file()
