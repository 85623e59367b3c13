"""The guarded client: what it sends, what it refuses, and what it records. All servers are on the loopback."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import re
from dataclasses import replace
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.live import KEY, POOL, live_at, pool_request
from support.servers import closed_port, redirecting, serving
from support.staging import Staging, staging

from pytest_veeqo_alloc import Interaction, Request, Response
from pytest_veeqo_alloc.live import JournalError, LiveError, NotSentError, RefusedError, SendError
from pytest_veeqo_alloc.live.cleanup import CleanupResult, clean_up
from pytest_veeqo_alloc.live.client import LiveClient, open_live
from pytest_veeqo_alloc.live.journal import Entry, read_journal
from pytest_veeqo_alloc.live.permission import WriteOptions, grant_permission
from pytest_veeqo_alloc.live.transport import Backoff


def status(interaction: Interaction) -> int | None:
    return interaction.response.status if interaction.response else None


def test_write_carries_the_key_and_is_journalled_without_it(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        interaction = live.post(7, pool_request())
    assert status(interaction) == 201
    ((method, path, headers, sent, _),) = server.posts
    assert (method, path, json.loads(sent)) == ("POST", "/orders/7/allocations", pool_request())
    assert headers["x-api-key"] == KEY
    (entry,) = read_journal(tmp_path / "journal.jsonl").entries
    assert (entry.order_id, entry.warehouse_id, entry.units, entry.before, entry.outcome, entry.made) == (
        7, 5, {11: 1}, (), 201, (5001,),
    )  # fmt: skip
    assert KEY not in (tmp_path / "journal.jsonl").read_text(encoding="utf-8")
    assert KEY not in repr(live.permission) + repr(interaction)


def lines(listed: Any) -> dict[str, Any]:
    return {"allocation": {"warehouse_id": 5, "line_items_attributes": listed}}


@pytest.mark.parametrize(
    ("order_id", "payload", "reason"),
    [
        (9, pool_request(), "order 9 is not in the order pool"),
        (7, pool_request(warehouse_id=6), "the order pool has no warehouse 6 for order 7"),
        (
            7,
            pool_request(sellable_id=12),
            "the order pool has no sellable 12 for order 7 in the warehouse of the request",
        ),
        (7, pool_request(4), "the order pool has 3 units of sellable 11 for order 7, fewer than requested"),
        (7, pool_request(4)["allocation"], "the order pool has 3 units of sellable 11"),
        (7, lines({"0": {"sellable_id": 11, "quantity": 900}}), "the order pool has 3 units of sellable 11"),
        (7, lines({"0": {"sellable_id": 99, "quantity": 1}}), "the order pool has no sellable 99"),
        (7, lines([{"sellable_id": "11", "quantity": "900"}]), "the order pool has 3 units of sellable 11"),
        (
            7,
            lines([{"sellable_id": 11, "quantity": -40}, {"sellable_id": 11, "quantity": 43}]),
            "the order pool has 3 units",
        ),
        (7, {**pool_request(), "warehouse_id": 9}, "the order pool has no warehouse 9"),
    ],
)
def test_write_outside_the_pool_is_refused(
    order_id: int, payload: Any, reason: str, server: Staging, tmp_path: Path
) -> None:
    with live_at(server.url, tmp_path) as live, pytest.raises(RefusedError, match=reason):
        live.post(order_id, payload)
    assert server.posts == []
    assert not (tmp_path / "journal.jsonl").exists()


def test_body_without_a_readable_amount_is_sent_only_as_a_variant_of_a_valid_body(
    server: Staging, tmp_path: Path
) -> None:
    server.answers = [(400, ())]
    with live_at(server.url, tmp_path) as live:
        with pytest.raises(
            RefusedError, match="could write outside the order pool, since its body is not JSON in UTF-8: "
        ):
            live.post(7, b"{ no json")
        assert status(live.post(7, b"{ no json", meant=pool_request())) == 400
    assert [sent[3] for sent in server.posts] == [b"{ no json"]


QUOTED = {"warehouse_id": "5", "line_items_attributes": [{"sellable_id": "11", "quantity": "1"}]}
SPELLINGS = (
    pool_request(), BROKEN := pool_request()["allocation"], {"allocation": QUOTED}, QUOTED,
    lines({"0": {"sellable_id": 11.0, "quantity": 1}}), lines({"sellable_id": 11, "quantity": 0.5}),
    b'{"warehouse_id": 5, "line_items_attributes": [{"sellable_id": 11, "sellable_id": "11", "quantity": 0, "quantity": 1}]}',
)  # fmt: skip


@pytest.mark.parametrize("payload", SPELLINGS)
def test_pool_is_spent_however_a_body_spells_its_amounts(payload: Any, server: Staging, tmp_path: Path) -> None:
    server.answers = [(422, ())] * 4
    with live_at(server.url, tmp_path) as live:
        live.run_state.limit = 1000
        for _ in range(3):
            live.post(7, payload)
        with pytest.raises(RefusedError, match="the order pool has no free units left of sellable 11 in warehouse 5"):
            live.post(7, payload)
    assert len(server.posts) == 3
    assert [entry.units for entry in read_journal(tmp_path / "journal.jsonl").entries] == [{11: 1}] * 3


def test_budget_is_charged_for_each_write(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path, writes=2) as live:
        live.post(7, pool_request())
        live.post(8, pool_request())
        with pytest.raises(RefusedError, match="the budget of 2 writes is spent"):
            live.post(8, pool_request())
    assert len(server.posts) == 2


def test_redirect_is_not_followed(server: Staging, tmp_path: Path) -> None:
    with serving(redirecting(f"{server.url}/orders/7/allocations")) as url, live_at(url, tmp_path) as live:
        assert status(live.post(7, pool_request())) == 307
    assert server.seen == []


def test_proxies_and_netrc_of_the_environment_are_ignored_unless_trusted(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login joe password secret\n", encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
    assert "Authorization" not in server.posts[0][2]
    with live_at(server.url, tmp_path / "trusting", trust_env=True) as live, pytest.raises(SendError):
        live.post(7, pool_request())


def in_a_minute() -> str:
    return format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ((), [1, 2]),
        ((("Retry-After", "7"),), [7, 7]),
        ((("Retry-After", "x"),), [1, 2]),
        ((("Retry-After", "99"),), [30, 30]),
    ],
)
def test_429_is_retried_after_the_delay_that_the_server_names_or_a_doubled_one(
    headers: tuple[tuple[str, str], ...], first: list[float], server: Staging, tmp_path: Path
) -> None:
    slept: list[float] = []
    server.answers = [(429, headers)] * 2
    with live_at(server.url, tmp_path, rate=1000, orders="any", backoff=Backoff(sleep=slept.append)) as live:
        assert status(live.post(7, pool_request())) == 201
        assert live.run_state.charged == 3
    assert slept == first
    assert [entry.outcome for entry in read_journal(tmp_path / "journal.jsonl").entries] == [429, 429, 201]
    assert [entry.before for entry in read_journal(tmp_path / "journal.jsonl").entries] == [()] * 3


@pytest.mark.parametrize(
    ("named", "waits"), [("0", [1] * 3), ("in a minute", [50, 50]), ("-5", [1, 2, 4]), ("Fri, 27 Nov 2020 10:00:00 GMT", [1] * 3)]
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_tries_waits_and_the_elapsed_time_are_limited(
    method: str, named: str, waits: list[float], server: Staging, tmp_path: Path
) -> None:
    slept: list[float] = []
    limited: list[Any] = [(429, (("Retry-After", in_a_minute() if named == "in a minute" else named),))] * 9
    server.answers, server.reads = (limited, []) if method == "POST" else ([], limited)
    backoff = Backoff(longest=50, total=120, sleep=slept.append, clock=lambda: sum(slept))
    with live_at(server.url, tmp_path, rate=1000, orders="any", backoff=backoff) as live:
        if method == "POST":
            assert status(live.post(7, pool_request())) == 429
        else:
            assert live.read_order(7).status == 429
    assert slept == waits
    assert len([sent for sent in server.seen if sent[0] == method]) == len(waits) + 1


def test_time_that_slow_answers_take_counts(server: Staging, tmp_path: Path) -> None:
    server.answers = [(429, ())] * 9
    clock = itertools.count(0, 30)
    backoff = Backoff(total=120, sleep=lambda seconds: None, clock=lambda: next(clock))
    with live_at(server.url, tmp_path, rate=1000, orders="any", backoff=backoff) as live:
        live.post(7, pool_request())
    assert len(server.posts) == 3


def test_write_without_an_answer_is_unknown_and_not_repeated(server: Staging, tmp_path: Path) -> None:
    server.answers = ["die"]
    with live_at(server.url, tmp_path) as live:
        with pytest.raises(SendError) as caught:
            live.post(7, pool_request())
        assert str(caught.value) == (
            f"POST to {live.target} got no response: connection broken or response not HTTP; whether the request was "
            "carried out is UNKNOWN, so it is not sent again"
        )
        assert len(server.posts) == 1
        journal = read_journal(tmp_path / "journal.jsonl")
        assert [entry.is_unknown for entry in journal.entries] == [True]
        assert clean_up(journal, live) == [CleanupResult("order 7: deleted allocation 5001", False)]
    assert server.orders[7] == []


def test_write_that_times_out_is_unknown(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        server.answers, read = ["hang"], live.read_order

        def read_and_hurry(order_id: int) -> Response:
            response, live.timeouts = read(order_id), (5, 0.05)
            return response

        live.read_order = read_and_hurry  # type: ignore[method-assign]
        with pytest.raises(SendError, match="response timed out"):
            live.post(7, pool_request())
    assert [entry.is_unknown for entry in read_journal(tmp_path / "journal.jsonl").entries] == [False, True]


def test_refused_connection_is_not_unknown(tmp_path: Path) -> None:
    refused = pytest.raises(SendError, match=r"got no response: connection refused$")
    with closed_port() as url, live_at(url, tmp_path) as live, refused:
        live.post(7, pool_request())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA) -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_untrusted_certificate_is_rejected(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with staging(tls(authority)) as server:
        url = server.url.replace("http://", "https://")
        with live_at(url, tmp_path) as live, pytest.raises(SendError, match=r"TLS certificate not trusted$"):
            live.post(7, pool_request())
        assert server.seen == []
        with live_at(url, tmp_path / "trusting", trust_env=True) as live:
            assert live.post(7, pool_request()).response is not None
        assert len(server.posts) == 1


def request(url: str, payload: Any = None, method: str = "POST", key: str = KEY) -> Request:
    return Request(method, url, (("x-api-key", key),), json.dumps(payload or pool_request()).encode())


def test_any_request_may_be_tried_out_only_with_orders_any(server: Staging, tmp_path: Path) -> None:
    with (
        live_at(server.url, tmp_path / "pool") as live,
        pytest.raises(
            RefusedError,
            match=r"^this request is sent only with --veeqo-alloc-orders any$",
        ),
    ):
        live.try_out("PUT", "/orders/7/allocations", b"{}")
    assert server.seen == []
    with live_at(server.url, tmp_path / "any", orders="any", writes=1) as live:
        tried = live.try_out("PUT", "/orders/7/allocations", b"{}")
        assert tried.request is not None
        assert (tried.request.method, tried.request.body) == ("PUT", b"{}")
        assert tried.request.url == f"{server.url}/orders/7/allocations"
        assert tried.request.header("content-type") == "application/json"
        with pytest.raises(RefusedError, match="the budget of 1 writes is spent"):
            live.try_out("PUT", "/orders/7/allocations", b"{}")
        (entry,) = read_journal(tmp_path / "any" / "journal.jsonl").entries
        assert (entry.kind, entry.order_id) == ("post", 0)


def test_requests_of_another_client_are_admitted_one_by_one(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path, writes=1) as live:
        admission = live.admission(request(f"{server.url}/orders/7/allocations"))
        server.allocate(7, 5, ((11, 1),))
        admission.end(Response(201, (), server.order(7)))
        admission.end()
        with pytest.raises(RefusedError, match="the budget of 1 writes is spent"):
            live.admission(request(f"{server.url}/orders/7/allocations"))
        live.admission(Request("GET", f"{server.url}/orders/7", (("x-api-key", KEY),))).end()
        assert server.seen == []
        (entry,) = read_journal(tmp_path / "journal.jsonl").entries
        assert (entry.outcome, entry.made) == (201, (5001,))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "http://127.0.0.1:9/orders/7/allocations"}, "is not for a path below"),
        ({"url": "https://api.example.com/orders/7/allocations"}, "is not for a path below"),
        ({"method": "PUT"}, "only POST /orders/{order_id}/allocations may be sent"),
        ({"method": "DELETE"}, "only POST /orders/{order_id}/allocations may be sent"),
        ({"url": "SERVER/products"}, "only POST /orders/{order_id}/allocations may be sent"),
        ({"url": "SERVER/orders/9/allocations"}, "order 9 is not in the order pool"),
        (
            {"url": "SERVER/orders/x/allocations"},
            "the path has no numeric order id, so the order cannot be in the order pool",
        ),
        ({"key": "that-of-production"}, "the request must carry the API key in VEEQO_ALLOC_API_KEY"),
    ],
)
def test_refused_request_is_explained_without_the_key(
    change: dict[str, str], reason: str, server: Staging, tmp_path: Path
) -> None:
    fields = {"url": "SERVER/orders/7/allocations"} | change
    fields["url"] = fields["url"].replace("SERVER", server.url)
    with live_at(server.url, tmp_path) as live, pytest.raises(RefusedError, match=re.escape(reason)) as caught:
        live.admission(request(**fields))
    assert "production" not in str(caught.value)
    assert not (tmp_path / "journal.jsonl").exists()


@pytest.mark.parametrize("name", ["x-api-key", "Authorization"])
def test_key_in_either_header_must_be_that_of_the_run(name: str, server: Staging, tmp_path: Path) -> None:
    sent = request(f"{server.url}/orders/7/allocations")
    scheme = "Bearer " if name == "Authorization" else ""
    with live_at(server.url, tmp_path) as live:
        live.admission(replace(sent, headers=((name, f"{scheme}{KEY}"),))).end()
        with pytest.raises(RefusedError, match="the request must carry the API key in"):
            live.admission(replace(sent, headers=(("x-api-key", KEY), (name, f"{scheme}\udc80nother"))))


@pytest.mark.parametrize(
    ("path", "is_admitted"),
    [
        ("/api/orders/7/allocations", True),
        ("/apix/orders/7/allocations", False),
        ("/api/./orders/7/allocations", False),
        ("/api/../api/orders/7/allocations", False),
        ("/orders/7/allocations", False),
    ],
)
def test_only_paths_below_the_base_url_are_admitted(
    path: str, is_admitted: bool, server: Staging, tmp_path: Path
) -> None:
    host = server.url.partition("://")[2]
    (tmp_path / "pool.toml").write_text(POOL, encoding="utf-8")
    granted = grant_permission(WriteOptions(f"{server.url}/api/", (host,), KEY, 9, "pool.toml", None, False, tmp_path))
    with open_live(granted, tmp_path / "journal.jsonl") as live:
        if is_admitted:
            live.admission(request(server.url + path)).end()
        else:
            with pytest.raises(RefusedError, match=rf"is not for a path below http://{host}/api, the only server"):
                live.admission(request(server.url + path))


def test_non_integer_order_id_is_refused(server: Staging, tmp_path: Path) -> None:
    for odd in ("7/../8", True, 7.0):
        with (
            live_at(server.url, tmp_path, orders="any") as live,
            pytest.raises(RefusedError, match="must be an integer, not"),
        ):
            live.post(odd, pool_request())  # type: ignore[arg-type]
    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "headers", "data"),
    [
        ("?order_id=9", (), b""),
        ("", (("Content_Encoding", "gzip"),), b""),
        ("", (("Content-Type", "application/json; charset=utf-7"),), b""),
        ("", (("Content-Type", "application/json"), ("Content-Type", "text/plain")), b""),
        ("", (("Content-Encoding", "gzip"),), b""),
        ("", (("Content-Type", "application/x-www-form-urlencoded"),), b"allocation[warehouse_id]=77"),
        ("", (("Content-Type", "application/x-www-form-urlencoded"),), b""),
        ("", (), b"allocation[warehouse_id]=77"),
        ("", (), b'{"allocation": {"warehouse_id": 5}}'),
        ("", (), b'{"allocation": {"warehouse_id": [5]}}'),
        ("", (), b'{"allocation": {"line_items_attributes": [{"sellable_id": 11, "quantity": NaN}]}}'),
    ],
)
def test_request_of_unknown_scope_is_refused(
    url: str, headers: tuple[tuple[str, str], ...], data: bytes, server: Staging, tmp_path: Path
) -> None:
    sent = Request("POST", f"{server.url}/orders/7/allocations{url}", (("x-api-key", KEY), *headers), data or json.dumps(pool_request()).encode())  # fmt: skip
    with live_at(server.url, tmp_path) as live, pytest.raises(RefusedError, match="could write outside the order pool"):
        live.admission(sent)
    assert not (tmp_path / "journal.jsonl").exists()


@pytest.mark.parametrize("orders", ["any", POOL], ids=["any", "pool"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize(
    ("path", "headers", "reason"),
    [
        ("", {"X-HTTP-Method-Override": "DELETE"}, "the header x-http-method-override may not be sent"),
        ("", {"x_http_METHOD": "DELETE"}, "the header x-http-method may not be sent"),
        ("", {"X-Method-Override": "DELETE"}, "the header x-method-override may not be sent"),
        ("", {"X-Original-URL": "/orders/9/allocations"}, "the header x-original-url may not be sent"),
        ("", {"X_Rewrite_Url": "/"}, "the header x-rewrite-url may not be sent"),
        ("", {"X-Forwarded-Prefix": "/a"}, "the header x-forwarded-prefix may not be sent"),
        ("", {"X-Envoy-Original-Path": "/a"}, "the header x-envoy-original-path may not be sent"),
        ("", {"X-Tunneled-Method": "DELETE"}, "the header x-tunneled-method may not be sent"),
        ("", {"X-Forwarded-Host": "production.example.com"}, "the header x-forwarded-host may not be sent"),
        ("", {"Host": "production.example.com"}, "the Host header of the request names another server"),
        ("?_method=delete", {}, "the query may not name a method"),
        ("?a=1&%5Fmethod=delete", {}, "the query may not name a method"),
        ("/..%2F..%2F9/allocations", {}, "is not for a path below"),
        ("/%2e%2e/allocations", {}, "is not for a path below"),
        ("/..;/allocations", {}, "is not for a path below"),
        (";a=1", {}, "is not for a path below"),
        ("\\..\\", {}, "is not for a path below"),
        ("/%252e%252e/allocations", {}, "is not for a path below"),
        ("/%00", {}, "is not for a path below"),
        ("", {"x-api-key": "that-of-production"}, "the request must carry the API key"),
        ("", {"X_Api_Key": "that-of-production"}, "the request must carry the API key"),
        ("", {"Authorization": "Basic dGhhdDpvZg=="}, "the request must carry the API key"),
        ("?api_key=that-of-production", {}, "the request must carry the API key"),
    ],
)
def test_no_request_of_another_client_passes_around_the_guard(
    method: str, path: str, headers: dict[str, str], reason: str, orders: str, server: Staging, tmp_path: Path
) -> None:
    body = json.dumps(pool_request()).encode() if method == "POST" else None
    sent = Request(method, f"{server.url}/orders/7/allocations{path}", (("x-api-key", KEY), *headers.items()), body)
    with live_at(server.url, tmp_path, orders=orders) as live, pytest.raises(RefusedError, match=re.escape(reason)):
        live.admission(sent)
    assert not (tmp_path / "journal.jsonl").exists()


def test_read_with_a_body_or_without_a_key_is_refused(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        with pytest.raises(RefusedError, match="a GET request with a body may not be sent"):
            live.admission(request(f"{server.url}/orders/7", method="GET"))
        with pytest.raises(RefusedError, match="the request must carry the API key"):
            live.admission(Request("GET", f"{server.url}/orders/7"))
        host = server.url.partition("://")[2]
        named = (
            ("x-api-key", KEY),
            ("Host", host),
            ("X-Forwarded-For", "::1"),
            ("Access-Control-Request-Method", "POST"),
        )
        live.admission(Request("GET", f"{server.url}/orders?page_size=5&shipping_method_id=3", named)).end()


@pytest.mark.parametrize("lost", ["run.sqlite", "journal.jsonl", "journal.jsonl.lock"])
def test_nothing_is_sent_once_a_file_of_the_run_is_gone(lost: str, server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.run_state.limit = 1000
        live.post(7, pool_request())
        (live.writer.shared.folder if lost == "run.sqlite" else tmp_path).joinpath(lost).unlink()
        for _ in range(2):
            with pytest.raises(LiveError, match=r"removed|lock"):
                live.post(7, pool_request())
        assert len(server.posts) == 1
        assert (tmp_path / "journal.jsonl").exists() == (lost != "journal.jsonl")


def test_environment_of_these_tests_has_no_key(server: Staging) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert "VEEQO_ALLOC_API_KEY" not in os.environ


def ended_requests(live: LiveClient) -> list[bool]:
    """Return, for each request under the rate limit, whether it has ended."""
    with live.writer.shared.transaction() as database:
        return [bool(ended) for (ended,) in database.execute("SELECT ended IS NOT NULL FROM requests")]


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, None), (ZeroDivisionError(), None), (SendError(), None), (NotSentError(), "not sent")]
)
def test_admission_without_an_answer_is_unknown_unless_nothing_was_sent(
    error: Exception | None, outcome: str | None, server: Staging, tmp_path: Path
) -> None:
    with live_at(server.url, tmp_path) as live:
        with (
            contextlib.suppress(ZeroDivisionError, SendError),
            live.admission(request(f"{server.url}/orders/7/allocations")),
        ):
            assert ended_requests(live) == [False]
            if error is not None:
                raise error
        (entry,) = read_journal(tmp_path / "journal.jsonl").entries
        assert (entry.outcome, entry.is_unknown) == (outcome, outcome is None)
        assert ended_requests(live) == [True]
        assert live.run_state.charged == 1


def test_only_the_first_outcome_of_an_admission_counts(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        with live.admission(request(f"{server.url}/orders/7/allocations")) as admission:
            admission.end(Response(422))
            admission.end(Response(201))
        (entry,) = read_journal(tmp_path / "journal.jsonl").entries
        assert entry.outcome == 422


def test_write_whose_intent_cannot_be_written_is_not_sent_and_frees_the_rate(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_at(server.url, tmp_path) as live:
        live.read_order(7)

        def full(entry: Entry) -> None:
            raise JournalError("No space left on device")

        monkeypatch.setattr(live.writer, "intent", full)
        with pytest.raises(JournalError, match="No space left"):
            live.post(7, pool_request())
        assert server.posts == []
        assert all(ended_requests(live))


def test_second_write_to_an_order_knows_what_the_first_one_made(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request())
        live.post(7, pool_request())
    entries = read_journal(tmp_path / "journal.jsonl").entries
    assert [(entry.before, entry.made) for entry in entries] == [((), (5001,)), ((5001,), (5002,))]
    assert [method for method, *_ in server.seen] == ["GET", "POST"] * 2


REJECTED: tuple[int, tuple[tuple[str, str], ...]] = (422, ())


def free(live: LiveClient) -> float:
    return live.free_units(next(iter(live.permission.pool)))[11]


def test_units_of_a_refused_request_are_free_again_if_the_order_is_unchanged(server: Staging, tmp_path: Path) -> None:
    server.answers = [REJECTED, REJECTED]
    with live_at(server.url, tmp_path) as live:
        live.run_state.limit = 1000
        for payload in (BROKEN, b"not JSON"):
            assert status(live.post(7, payload, meant=pool_request(2))) == 422
            assert (free(live), live.held(7)) == (3, 0)
        assert live.run_state.charged == 2


def test_units_of_an_accepted_request_are_not_free_again(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        assert status(live.post(7, pool_request(), meant=pool_request(2))) == 201
        assert free(live) == 1


def test_units_of_a_refused_request_that_changed_the_order_are_not_free_again(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [REJECTED]
    with live_at(server.url, tmp_path) as live:
        read = live.read_order

        def read_after_change(order_id: int) -> Response:
            if server.posts:
                server.allocate(7, 5, ((11, 1),))
            return read(order_id)

        monkeypatch.setattr(live, "read_order", read_after_change)
        assert status(live.post(7, BROKEN, meant=pool_request())) == 422
        assert free(live) == 2


def test_units_of_a_refused_request_are_not_free_again_if_the_order_cannot_be_read(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [REJECTED]
    with live_at(server.url, tmp_path) as live:
        monkeypatch.setattr(live, "read_order", lambda order_id: Response(404))
        live.post(7, BROKEN, meant=pool_request())
        assert free(live) == 2


def test_more_units_than_meant_are_charged(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        live.post(7, pool_request(3), meant=pool_request())
        assert free(live) == 0
        with pytest.raises(RefusedError, match="no free units left"):
            live.post(7, b"not JSON", meant=pool_request())


def test_quantity_that_a_server_may_read_as_1_is_charged_as_1(server: Staging, tmp_path: Path) -> None:
    server.answers = [REJECTED]
    with live_at(server.url, tmp_path) as live:
        server.answers *= 2
        live.post(7, lines([{"sellable_id": 11}]), meant=pool_request())
        assert free(live) == 3
        live.read_order = lambda order_id: Response(404)  # type: ignore[method-assign]  # so nothing is refunded
        live.post(7, lines([{"sellable_id": 11}]), meant=pool_request(0))
        assert free(live) == 2


def test_request_with_chunks_is_sent_in_chunks(server: Staging, tmp_path: Path) -> None:
    server.answers = [REJECTED]
    headers = (("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"))
    with live_at(server.url, tmp_path) as live:
        assert status(live.post(7, pool_request(), headers=headers)) == 422
    ((_, _, sent, _, _),) = server.posts
    assert sent["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in sent
