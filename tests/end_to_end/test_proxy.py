"""The proxy: what passes it is checked in both directions, and nothing passes that the guards do not let."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trustme
from support.bodies import BODY, allocation_request
from support.fake import PATH, talk
from support.live import live_at
from support.served import served
from support.servers import Allocating, closed_port, serving
from support.staging import staging

from pytest_veeqo_alloc import serve_fake
from pytest_veeqo_alloc.cli.main import main
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.live import RefusedError
from pytest_veeqo_alloc.live.client import open_live
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission, options_for_own_server
from pytest_veeqo_alloc.live.transport import Backoff
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.http_server import HTTPServer
from pytest_veeqo_alloc.server.proxy import Proxy
from pytest_veeqo_alloc.server.runner import running

KEY = "canary-key-of-the-client"
HEADERS = {"x-api-key": KEY}


@pytest.fixture
def upstream() -> Iterator[Fake]:
    fake = Fake(Engine(), api_key=KEY)
    with running(fake):
        yield fake


@contextmanager
def proxy_before(
    url: str,
    folder: Path,
    *,
    reads: bool = False,
    allow_origins: Sequence[str] = (),
    timeouts: tuple[float, float] = (5, 5),
    on_record: Any = None,
    **more: Any,
) -> Iterator[Proxy]:
    more = {"orders": "any", "rate": 1000, "key": "", "backoff": Backoff(sleep=_never), **more}
    with live_at(url, folder, needs_key=False, timeouts=timeouts, **more) as live:
        proxy = Proxy(Engine(), live, reads=reads, allow_origins=allow_origins, on_record=on_record)
        with running(proxy):
            yield proxy


def _never(seconds: float) -> None:
    raise AssertionError("the proxy waited")


@pytest.fixture
def proxy(upstream: Fake, tmp_path: Path) -> Iterator[Proxy]:
    with proxy_before(upstream.url, tmp_path) as each:
        yield each


def post(proxy: Proxy, body: Any = BODY, path: str = PATH, *, headers: dict[str, str] = HEADERS) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # the client has no .netrc of its own
        return session.post(proxy.url + path, json=body, headers=headers, timeout=10, allow_redirects=False)


def rules(proxy: Proxy) -> list[str]:
    return [finding.rule for finding in proxy.findings.errors]


def test_documented_exchange_is_forwarded_unchanged(proxy: Proxy, upstream: Fake) -> None:
    answer = post(proxy)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{upstream.url}/orders/447452"
    assert answer.json() == json.loads(
        (upstream.interactions[0].response.body if upstream.interactions[0].response else b"") or b""
    )
    assert rules(proxy) == []
    assert len(proxy.interactions) == len(upstream.interactions) == 1


def test_defects_of_client_and_server_are_both_found(proxy: Proxy, upstream: Fake) -> None:
    upstream.inject_fault("absent-member", pointer="/deliver_to/zip")
    post(proxy)
    post(proxy, BODY["allocation"], "/orders/8/allocations")
    assert [(finding.side, finding.rule, finding.pointer) for finding in proxy.findings.errors] == [
        ("response", "absent-field", "/deliver_to/zip"), ("request", "request-not-wrapped", ""),
    ]  # fmt: skip


def test_key_of_the_client_is_forwarded_and_none_is_added(
    proxy: Proxy, upstream: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login x password netrc-secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("VEEQO_ALLOC_API_KEY", KEY)
    post(proxy)
    assert post(proxy, headers={}).status_code == 401
    with_key, without = (interaction.request for interaction in upstream.interactions)
    assert with_key is not None
    assert without is not None
    assert with_key.header_values("x-api-key") == [KEY]
    assert [name for name, value in without.headers if KEY in value or name.lower() == "authorization"] == []


def test_netrc_is_not_read_although_the_environment_is_trusted(
    upstream: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login x password netrc-secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with proxy_before(upstream.url, tmp_path, trust_env=True) as proxy:
        post(proxy)
    assert upstream.interactions[0].request is not None
    assert upstream.interactions[0].request.header("authorization") is None


PAGES = {
    "an origin": ({"Origin": "http://evil.example.com"}, 403),
    "no origin in particular": ({"Origin": "null"}, 403),
    "the site of another": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "a neighbouring site": ({"Sec-Fetch-Site": "same-site"}, 403),
    "a form": ({"Content-Type": "text/plain"}, 415),
}


@pytest.mark.parametrize(("more", "status"), PAGES.values(), ids=PAGES)
def test_request_of_a_web_page_spends_no_write(proxy: Proxy, upstream: Fake, more: dict[str, str], status: int) -> None:
    answer = post(proxy, headers={**HEADERS, **more})
    assert answer.status_code == status
    assert len(upstream.interactions) == 0
    assert len(proxy.problems) == 1


def test_write_without_a_content_type_is_not_forwarded(proxy: Proxy, upstream: Fake) -> None:
    answer = requests.post(proxy.url + PATH, data=json.dumps(BODY), headers=HEADERS, timeout=5)
    assert (answer.status_code, len(upstream.interactions)) == (415, 0)


def test_page_of_an_allowed_origin_and_the_address_bar_are_forwarded(upstream: Fake, tmp_path: Path) -> None:
    with proxy_before(upstream.url, tmp_path, allow_origins=["http://localhost:3000"]) as proxy:
        page = {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"}
        assert post(proxy, headers={**HEADERS, **page}).status_code == 201
        assert post(proxy, headers={**HEADERS, "Sec-Fetch-Site": "none"}).status_code == 201
        assert post(proxy, headers={**HEADERS, "Origin": "http://localhost:3001"}).status_code == 403


class Odd(Allocating):
    """A handler with an early hint before the response to a POST, and cookies."""

    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response_only(103)
        self.end_headers()
        self.answer(201, b"{}")

    def do_HEAD(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.send_response(200)
        self.send_header("Content-Length", "1234")
        self.send_header("Set-Cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Set-Cookie", f"b={self.headers['Cookie']}")
        self.end_headers()


def test_interim_response_is_not_passed_on_as_the_response(tmp_path: Path) -> None:
    with serving(Odd) as url, proxy_before(url, tmp_path) as proxy:
        answer = post(proxy)
        assert answer.status_code == 502
        assert "UNKNOWN" in answer.text


def test_length_of_a_response_to_head_and_cookies_are_kept(tmp_path: Path) -> None:
    with serving(Odd) as url, proxy_before(url, tmp_path, reads=True) as proxy:
        address = urlsplit(proxy.url)
        sent = f"HEAD /x HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: c=1\r\nCookie: d=2\r\nConnection: close\r\n\r\n"
        with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5) as connection:
            connection.sendall(sent.encode())
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
        assert "Content-Length: 1234\r\n" in answer
        assert "Set-Cookie: a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT\r\nSet-Cookie: b=c=1; d=2\r\n" in answer


def test_hop_by_hop_and_unknown_headers_are_not_forwarded(proxy: Proxy, upstream: Fake) -> None:
    sent = {**HEADERS, "Connection": "if-match, keep-alive", "If-Match": "1", "Keep-Alive": "1", "TE": "gzip", "Upgrade": "h2c",
            "Proxy-Authorization": "Basic eA==", "X-Request-Id": "2", "Via": "1.0 other", "X-Unknown": "3"}  # fmt: skip
    post(proxy, headers=sent)
    request = upstream.interactions[0].request
    assert request is not None
    came = {name.lower(): value for name, value in request.headers}
    assert came["x-request-id"] == "2"
    assert not came.keys() & {"x-unknown", "if-match", "keep-alive", "te", "upgrade", "proxy-authorization"}
    assert came["connection"] == "close"
    assert came["host"] == urlsplit(upstream.url).netloc
    assert re.fullmatch(r"1\.0 other, 1\.1 veeqo-alloc-[0-9a-f]{32}", came["via"])


@pytest.mark.parametrize("name", ["rate-limited", "redirect-elsewhere", "server-error", "not-found", "bad-gateway"])
def test_error_response_is_forwarded_unchanged_and_nothing_is_repeated(proxy: Proxy, upstream: Fake, name: Any) -> None:
    arguments: dict[str, Any] = {"retry_after": 9} if name == "rate-limited" else {}
    upstream.inject_fault(name, **arguments)
    answer = post(proxy)
    response = upstream.interactions[0].response
    assert response is not None
    assert (answer.status_code, answer.content) == (response.status, response.body)
    for header in ("retry-after", "location", "content-type"):
        assert answer.headers.get(header) == response.header(header)
    assert len(upstream.interactions) == 1


@pytest.mark.parametrize("name", ["gzip", "chunked"])
def test_encoded_response_is_forwarded_as_sent_and_checked_decoded(proxy: Proxy, upstream: Fake, name: Any) -> None:
    upstream.inject_fault(name)
    answer = post(proxy, headers={**HEADERS, "Accept-Encoding": "br, gzip, zstd"})
    assert answer.json()["id"] == 447452
    assert answer.headers.get("content-encoding") == ("gzip" if name == "gzip" else None)
    assert rules(proxy) == []


@pytest.mark.parametrize("name", ["reset-before-headers", "reset-within-body"])
def test_broken_response_is_502_and_a_repeated_post_is_found(proxy: Proxy, upstream: Fake, name: Any) -> None:
    upstream.inject_fault(name)
    answer = post(proxy)
    assert answer.status_code == 502
    assert answer.json()["error_messages"] == (
        f"POST to {urlsplit(upstream.url).netloc} got no response: connection broken or response not HTTP; whether the request was "
        "carried out is UNKNOWN, so it is not sent again"
    )
    post(proxy)
    assert rules(proxy) == ["repeated-post"]


def test_slow_target_is_502(upstream: Fake, tmp_path: Path) -> None:
    upstream.inject_fault("slow-headers")
    with proxy_before(upstream.url, tmp_path, timeouts=(5, 0.2)) as proxy:
        assert "response timed out" in post(proxy).json()["error_messages"]


def test_unreachable_target_is_502_and_a_repeated_post_is_no_finding(tmp_path: Path) -> None:
    with closed_port() as url, proxy_before(url, tmp_path) as proxy:
        for _ in range(2):
            answer = post(proxy)
            assert (answer.status_code, answer.json()["error_messages"]) == (
                502,
                f"POST to {url[7:]} got no response: connection refused",
            )
        assert rules(proxy) == []


def test_untrusted_certificate_is_502_and_nothing_is_sent(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with staging(context) as server, proxy_before(server.url.replace("http:", "https:"), tmp_path) as proxy:
        assert post(proxy).json()["error_messages"].endswith(": TLS certificate not trusted")
        assert server.seen == []
        assert rules(proxy) == []


REFUSED = {
    "another path": ("POST", "/orders/7/shipments", "only POST /orders/{order_id}/allocations is forwarded"),
    "a read": ("GET", "/orders/7", "only POST /orders/{order_id}/allocations is forwarded; give --allow-reads to forward reads as well"),
    "a delete": ("DELETE", "/orders/7/allocations/1", "only POST /orders/{order_id}/allocations is forwarded"),
    "a way out": ("POST", "/../orders/7/allocations", "not forwarded: the request is not for a path below"),
    "a hidden way out": ("POST", "/%2e%2E/orders/7/allocations", "not forwarded: the request is not for a path below"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sentence"), REFUSED.values(), ids=REFUSED)
def test_other_call_is_not_forwarded(proxy: Proxy, upstream: Fake, method: str, path: str, sentence: str) -> None:
    raw = json.dumps(BODY)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
    answer = talk(proxy, (head + raw).encode())  # type: ignore[arg-type]  # it has a URL
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error_messages"].startswith(sentence)
    assert len(upstream.interactions) == 0


def test_reads_are_forwarded_if_allowed_and_no_finding(upstream: Fake, tmp_path: Path) -> None:
    with proxy_before(upstream.url, tmp_path, reads=True) as proxy:
        post(proxy)
        assert requests.get(proxy.url + "/orders/447452", headers=HEADERS, timeout=5).json()["id"] == 447452
        assert requests.head(proxy.url + "/orders/447452", headers=HEADERS, timeout=5).status_code == 200
        assert requests.delete(proxy.url + "/orders/447452", headers=HEADERS, timeout=5).status_code == 403
        assert rules(proxy) == []
        assert proxy.problems == [
            "request 4 was answered with 403: only POST /orders/{order_id}/allocations is forwarded"
        ]


def test_budget_and_pool_apply_to_the_client(upstream: Fake, tmp_path: Path) -> None:
    pool = "[[order]]\nid = 7\nwarehouse_id = 5\nsellables = { 11 = 3 }\n"
    with proxy_before(upstream.url, tmp_path, orders=pool, writes=1, rate=None) as proxy:
        fits = allocation_request(1, sellable_id=11, warehouse_id=5)
        assert "order 8 is not in the order pool" in post(proxy, fits, "/orders/8/allocations").json()["error_messages"]
        assert (
            "fewer than requested"
            in post(proxy, allocation_request(4, sellable_id=11, warehouse_id=5), "/orders/7/allocations").json()[
                "error_messages"
            ]
        )
        assert post(proxy, fits, "/orders/7/allocations").status_code == 201
        assert post(proxy, fits, "/orders/7/allocations").status_code == 403
    assert len(upstream.interactions) == 1


def test_client_cannot_spend_more_than_the_pool_by_quoting_ids(upstream: Fake, tmp_path: Path) -> None:
    pool = "[[order]]\nid = 7\nwarehouse_id = 5\nsellables = { 11 = 3 }\n"
    quoted = {"warehouse_id": "5", "line_items_attributes": [{"sellable_id": "11", "quantity": "2"}]}
    with proxy_before(upstream.url, tmp_path, orders=pool, writes=9, rate=None) as proxy:
        answers = [post(proxy, {"allocation": quoted}, "/orders/7/allocations") for _ in range(2)]
        camel = post(proxy, {"allocation": {"warehouseId": 5, "lineItemsAttributes": []}}, "/orders/7/allocations")
        override = post(proxy, headers={**HEADERS, "X-HTTP-Method-Override": "DELETE"})
    assert [answer.status_code for answer in (*answers, camel, override)] == [422, 403, 403, 403]
    assert "the order pool has no free units left of sellable 11" in answers[1].json()["error_messages"]
    assert "a member is named almost like a documented one" in camel.json()["error_messages"]
    assert "the header x-http-method-override may not be sent" in override.json()["error_messages"]
    assert len(upstream.interactions) == 1


def test_request_that_is_not_forwarded_is_printed_and_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "pool.toml").write_text(POOL, encoding="utf-8")
    with serve_fake(api_key=KEY) as upstream:
        host = urlsplit(upstream.url).netloc
        options = ("--upstream", upstream.url, "--allow-host", host, "--orders", "pool.toml", "--max-writes", "1")
        with served(tmp_path, *options) as process:
            requests.post(process.url + "/orders/8/allocations", json=BODY, headers=HEADERS, timeout=5)
            assert process.line() == (
                "POST /orders/8/allocations no response (answered by the proxy with 403: not forwarded: order 8 is not in "
                "the order pool; only orders in the pool may be written to)"
            )
            requests.get(process.url + "/orders/8", headers=HEADERS, timeout=5)
            assert process.stop() == 1
            assert "request 1 was answered with 403: not forwarded: order 8" in process.out


def test_every_write_is_in_the_journal(proxy: Proxy, tmp_path: Path) -> None:
    post(proxy)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["status"] for line in lines if "status" in line] == [201]


def test_loop_is_found_at_the_first_request(tmp_path: Path) -> None:
    proxies: list[Proxy] = []
    with (
        HTTPServer(("127.0.0.1", 0), lambda request: proxies[0].handle(request), pytest.fail) as front,
        live_at(front.url, tmp_path, orders="any", rate=1000, key="", needs_key=False) as live,
    ):
        proxy = Proxy(Engine(), live)
        proxy.url = front.url
        proxies.append(proxy)
        assert proxy.leads_to(front.netloc)
        answer = post(proxy)
        assert answer.status_code == 508
        assert proxy.problems[-1:] == ["request 2 was answered with 508: the upstream leads back to this proxy"]


def test_response_is_checked_although_the_client_has_left(upstream: Fake, tmp_path: Path) -> None:
    upstream.inject_fault("absent-member", pointer="/deliver_to/zip")
    ended = threading.Semaphore(0)
    with proxy_before(upstream.url, tmp_path, on_record=lambda record: ended.release()) as proxy:
        address = urlsplit(proxy.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        connection.request("POST", PATH, json.dumps(BODY), {**HEADERS, "content-type": "application/json"})
        connection.close()
        assert ended.acquire(timeout=20)
        assert rules(proxy) == ["absent-field"]


POOL = "[[order]]\nid = 447452\nwarehouse_id = 1784\nsellables = { 1226615 = 9 }\n"


def test_no_output_of_client_proxy_and_server_shows_the_key(tmp_path: Path) -> None:
    (tmp_path / "pool.toml").write_text(POOL, encoding="utf-8")
    with serve_fake(api_key=KEY) as upstream:
        upstream.inject_fault("wrong-type-member", pointer="/total_tax")
        host = urlsplit(upstream.url).netloc
        options = ("--upstream", upstream.url, "--allow-host", host, "--orders", "pool.toml", "--max-writes", "3")
        with served(tmp_path, *options) as process:
            assert requests.post(process.url + PATH, json=BODY, headers=HEADERS, timeout=5).status_code == 201
            assert process.line() == "POST /orders/447452/allocations 201 error: wrong-type at response /total_tax"
            twice = {**BODY, "allocation": {**BODY["allocation"], "warehouse_id": "1784"}}
            assert requests.post(process.url + PATH, json=twice, headers=HEADERS, timeout=5).status_code == 422
            shown = [
                requests.get(f"{process.url}/__veeqo_alloc__/{name}", timeout=5).text
                for name in ("findings", "interactions")
            ]
            found = json.loads(shown[0])["findings"]
            assert {(row["side"], row["rule"]) for row in found if row["severity"] == "error"} == {
                ("response", "wrong-type"), ("request", "wrong-type"),
            }  # fmt: skip
            assert (
                requests.post(f"{process.url}/__veeqo_alloc__/faults", json={"name": "gzip"}, timeout=5).status_code
                == 404
            )
            assert process.stop() == 1
        upstream.expect_finding("wrong-type")
        written = next(tmp_path.glob("veeqo-alloc-journal-*.jsonl")).read_text(encoding="utf-8")
        assert KEY not in "".join([process.out, process.err, written, *shown])


WRONG = {
    "not https": (["--upstream", "http://staging.example.com"], "use https in --upstream, since the API key is sent: only a loopback address may use http"),
    "no leave": (["--upstream", "https://staging.example.com"], "confirm the host that may receive writes: --allow-host staging.example.com:443"),
    "no budget": (["--upstream", "https://staging.example.com"], "limit the number of writes: --max-writes N, with N above 0"),
    "no pool": (["--upstream", "https://staging.example.com"], "list the orders that may be written to: --orders pool.toml"),
    "no URL": (["--upstream", "staging.example.com"], "write --upstream as http(s)://host[:port][/path]"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "sentence"), WRONG.values(), ids=WRONG)
def test_missing_option_is_reported_before_the_server_listens(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["serve", *options]) == 2
    printed = capsys.readouterr()
    assert f"veeqo-alloc: {sentence}" in printed.err
    assert "VEEQO_ALLOC_API_KEY" not in printed.err
    assert printed.out == ""


def test_proxy_does_not_start_as_its_own_upstream(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HTTPServer, "netloc", "127.0.0.1:1")
    before = threading.active_count()
    upstream = (
        "--upstream",
        "http://localhost:1",
        "--allow-host",
        "localhost:1",
        "--orders",
        "any",
        "--max-writes",
        "1",
    )
    assert main(["serve", *upstream]) == 2
    assert (
        capsys.readouterr().err
        == "veeqo-alloc: the upstream URL is that of this proxy: give the URL of the server behind the proxy\n"
    )
    assert threading.active_count() == before


def test_proxy_is_no_server_of_ones_own(proxy: Proxy, upstream: Fake, tmp_path: Path) -> None:
    options = options_for_own_server(WriteOptions(proxy.url), KEY)
    with open_live(grant_permission(options), tmp_path / "own.jsonl") as live:
        with pytest.raises(RefusedError, match="the server is a proxy of veeqo-alloc, which leads to another server"):
            live.post(1, allocation_request())
        assert live.run_state.charged == 0
    assert len(upstream.interactions) == 0
