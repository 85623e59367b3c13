"""Each fault, as real clients see it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from support.bodies import allocation_request
from support.fake import PATH, headers
from support.servers import ORDER

from pytest_veeqo_alloc import Contract, serve_fake
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import FAULTS


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serve_fake() as each:
        yield each


def with_requests(fake: Fake, timeout: float = 5) -> tuple[int, dict[str, str], bytes]:
    answer = requests.post(
        fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=timeout, allow_redirects=False
    )
    return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content


def with_httpx(fake: Fake, timeout: float = 5) -> tuple[int, dict[str, str], bytes]:
    answer = httpx.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=timeout)
    return answer.status_code, dict(answer.headers), answer.content


CLIENTS = {"requests": with_requests, "httpx": with_httpx}
both = pytest.mark.parametrize("call", CLIENTS.values(), ids=CLIENTS)
BROKEN = (
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    httpx.ReadError,
    httpx.RemoteProtocolError,
)


def order_after(fake: Fake) -> Any:
    return requests.get(fake.url + PATH.removesuffix("/allocations"), headers=headers(fake), timeout=5).json()


STATUSES = {
    "bad-request": 400, "unauthorized": 401, "forbidden": 403, "not-found": 404, "unprocessable": 422, "rate-limited": 429,
    "server-error": 500, "bad-gateway": 502, "service-unavailable": 503,
}  # fmt: skip


@both
@pytest.mark.parametrize(("name", "status"), STATUSES.items(), ids=STATUSES)
def test_an_error_status_comes_once_and_nothing_is_carried_out(fake: Fake, call: Any, name: str, status: int) -> None:
    fake.inject_fault(name)
    assert call(fake)[0] == status
    assert fake.world.orders[447452].allocations == ()
    fake.reset()  # a POST after a 5xx would be a finding
    assert call(fake)[0] == 201


@both
def test_a_429_is_empty_as_it_was_seen_and_may_say_how_long_to_wait(fake: Fake, call: Any) -> None:
    fake.inject_fault("rate-limited")
    fake.inject_fault("rate-limited", retry_after=7)
    _, plain, body = call(fake)
    assert (body, plain["content-length"]) == (b"", "0")
    assert "content-type" not in plain
    assert "retry-after" not in plain
    assert call(fake)[1]["retry-after"] == "7"


@both
def test_a_502_is_a_page(fake: Fake, call: Any) -> None:
    fake.inject_fault("bad-gateway")
    _, received, body = call(fake)
    assert received["content-type"] == "text/html"
    assert body.startswith(b"<html>")


@pytest.mark.parametrize(("call", "name"), [(with_requests, "slow-headers"), (with_httpx, "slow-body")])
def test_a_slow_answer_runs_into_the_time_out_of_the_client(fake: Fake, call: Any, name: str) -> None:
    fake.inject_fault(name)
    with pytest.raises((requests.exceptions.Timeout, requests.exceptions.ConnectionError, httpx.TimeoutException)):
        call(fake, timeout=0.7)
    fake.settle()
    assert fake.interactions[0].response is None
    assert len(fake.world.orders) == 1


@both
@pytest.mark.parametrize("name", ["slow-headers", "slow-body"])
def test_a_slow_answer_comes_whole_in_the_end(fake: Fake, call: Any, name: str) -> None:
    fake.inject_fault(name, seconds=0.1)
    assert json.loads(call(fake)[2])["id"] == 447452


@both
@pytest.mark.parametrize("name", ["reset-before-headers", "reset-before-body", "reset-within-body"])
def test_a_reset_breaks_the_answer_though_it_was_carried_out(fake: Fake, call: Any, name: str) -> None:
    fake.inject_fault(name)
    with pytest.raises(BROKEN):
        call(fake)
    assert fake.interactions[0].response is None
    assert len(order_after(fake)["allocations"]) == 1


@both
def test_a_reset_after_the_body_lets_the_answer_through(fake: Fake, call: Any) -> None:
    fake.inject_fault("reset-after-body")
    assert json.loads(call(fake)[2])["id"] == 447452
    assert fake.interactions[0].response is not None


def test_a_reset_after_the_body_meets_the_next_request_of_the_connection(fake: Fake) -> None:
    fake.inject_fault("reset-after-body")
    with requests.Session() as session:
        session.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5)
        with pytest.raises(requests.exceptions.ConnectionError):
            session.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5)
        assert (
            session.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5).status_code
            == 201
        )
    assert len(fake.interactions) == 2


@both
def test_json_that_is_cut_short_is_a_whole_answer_of_http(fake: Fake, call: Any) -> None:
    fake.inject_fault("truncated-json")
    status, received, body = call(fake)
    assert (status, int(received["content-length"])) == (201, len(body))
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        json.loads(body)


@both
def test_another_media_type(fake: Fake, call: Any) -> None:
    fake.inject_fault("wrong-media-type")
    assert call(fake)[1]["content-type"] == "text/html; charset=utf-8"


@both
def test_a_compressed_body_is_the_same_body(fake: Fake, call: Any) -> None:
    fake.inject_fault("gzip")
    _, received, body = call(fake)
    assert received["content-encoding"] == "gzip"
    assert json.loads(body)["id"] == 447452
    assert fake.interactions[0].response is not None
    assert fake.interactions[0].response.body == body


def test_a_compressed_body_is_compressed_on_the_wire(fake: Fake) -> None:
    fake.inject_fault("gzip")
    with requests.post(
        fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5, stream=True
    ) as answer:
        assert json.loads(gzip.decompress(answer.raw.read(decode_content=False)))["id"] == 447452


@both
def test_a_chunked_body_is_the_same_body(fake: Fake, call: Any) -> None:
    fake.inject_fault("chunked")
    _, received, body = call(fake)
    assert received["transfer-encoding"] == "chunked"
    assert "content-length" not in received
    assert json.loads(body)["id"] == 447452


@both
def test_200_for_201_and_no_location(fake: Fake, call: Any) -> None:
    fake.inject_fault("ok-instead-of-created")
    fake.inject_fault("no-location")
    assert call(fake)[0] == 200
    assert "location" not in call(fake)[1]
    assert call(fake)[1]["location"].endswith("/orders/447452")


MEMBERS = {
    "null-member": ("/deliver_to/zip", lambda order: order["deliver_to"]["zip"] is None),
    "absent-member": ("/allocations/0/warehouse", lambda order: "warehouse" not in order["allocations"][0]),
    "extra-member": ("/customer/loyalty", lambda order: order["customer"]["loyalty"] == "unexpected"),
    "wrong-type-member": ("/allocations/0/line_items/0/quantity", lambda order: order["allocations"][0]["line_items"][0]["quantity"] == "1"),
}  # fmt: skip


@both
@pytest.mark.parametrize("name", MEMBERS)
def test_one_member_is_not_as_documented(fake: Fake, call: Any, name: str) -> None:
    pointer, holds = MEMBERS[name]
    fake.inject_fault(name, pointer=pointer)
    body = call(fake)[2]
    assert holds(json.loads(body))
    found = Contract("strict").check_body("response", body)
    assert [finding.pointer for finding in found.errors] == [pointer]


def test_a_text_becomes_a_number_where_another_type_is_asked_for(fake: Fake) -> None:
    fake.inject_fault("wrong-type-member", pointer="/deliver_to/zip")
    assert json.loads(with_requests(fake)[2])["deliver_to"]["zip"] == 1


@both
def test_the_key_set_of_2026(fake: Fake, call: Any) -> None:
    fake.inject_fault("observed")
    order = json.loads(call(fake)[2])
    assert order.keys() == build_order(variant="observed").keys() != json.loads(ORDER).keys()


@both
def test_a_redirect_to_another_host_that_is_not_followed(fake: Fake, call: Any) -> None:
    fake.inject_fault("redirect-elsewhere")
    status, received, _ = call(fake)
    assert status == 307
    assert received["location"].startswith("http://localhost:")
    assert received["location"].endswith(PATH)
    assert fake.findings.ok


def test_a_client_that_takes_its_key_to_another_host_is_found(fake: Fake) -> None:
    fake.inject_fault("redirect-elsewhere")
    fake.expect_finding("key-sent-elsewhere")
    answer = requests.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5)
    assert answer.status_code == 404
    assert [finding.location for finding in fake.findings.errors] == ["header:x-api-key"]


def test_a_client_that_leaves_its_key_behind_is_not(fake: Fake) -> None:
    fake.inject_fault("redirect-elsewhere")
    bearer = {"Authorization": f"Bearer {fake.api_key}"}
    answer = httpx.post(fake.url + PATH, json=allocation_request(), headers=bearer, follow_redirects=True)
    assert answer.status_code == 404
    assert fake.findings.ok
    assert len(fake.interactions) == 2


@both
def test_a_fault_comes_as_often_as_asked_and_the_next_one_after_it(fake: Fake, call: Any) -> None:
    fake.inject_fault("not-found", times=2)
    fake.inject_fault("forbidden")
    assert [call(fake)[0] for _ in range(4)] == [404, 404, 403, 201]


def test_every_fault_is_seen_in_a_test_of_this_module() -> None:
    source = __import__("pathlib").Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FAULTS if f'"{name}"' not in source] == []


def test_a_fault_is_held_against_nobody(fake: Fake) -> None:
    for name in ("null-member", "absent-member"):
        fake.inject_fault(name, pointer="/deliver_to/zip")
    for name in ("truncated-json", "ok-instead-of-created"):
        fake.inject_fault(name)
    for order_id in range(1, 5):
        requests.post(
            f"{fake.url}/orders/{order_id}/allocations", json=allocation_request(), headers=headers(fake), timeout=5
        )
    assert len(fake.findings) == 0


@pytest.mark.parametrize(("name", "given", "sentence"), [
    ("reset-in-body", {}, "unknown fault 'reset-in-body': did you mean 'reset-within-body'?"),
    ("500", {}, "unknown fault '500': it is one of bad-request, "),
    ("null-member", {}, "the fault 'null-member' needs pointer=, such as pointer='/deliver_to/zip'"),
    ("null-member", {"pointer": "zip"}, "pointer= of the fault 'null-member' is a JSON Pointer that begins with /, not 'zip'"),
    ("null-member", {"pointer": "/zip"}, "/zip is not a member of the documented order"),
    ("absent-member", {"pointer": "/allocations/9/id"}, "/allocations/9/id is not a member of the documented order"),
    ("extra-member", {"pointer": "/id"}, "/id is already a member of the documented order"),
    ("slow-body", {"seconds": -1}, "seconds= of the fault 'slow-body' is a number from 0 to 3600, not -1"),
    ("rate-limited", {"retry_after": "soon"}, "retry_after= of the fault 'rate-limited' is a whole number of seconds, not 'soon'"),
    ("gzip", {"level": 9}, "the fault 'gzip' has no level=: it takes no argument"),
])  # fmt: skip
def test_a_fault_that_there_is_not_is_refused_at_once(
    fake: Fake, name: str, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match="^" + __import__("re").escape(sentence)):
        fake.inject_fault(name, **given)


@pytest.mark.parametrize("times", [0, -1, True, "2"])
def test_a_number_of_times_is_one_or_more(fake: Fake, times: Any) -> None:
    with pytest.raises(ValueError, match=r"times= is a number of requests, at least 1"):
        fake.inject_fault("gzip", times=times)


def test_a_fault_that_the_answer_has_no_place_for_is_told() -> None:
    with (
        pytest.raises(
            AssertionError,
            match="the fault ok-instead-of-created was not put into the response to request 1: the response is not a success",
        ),
        serve_fake() as fake,
    ):
        fake.inject_fault("ok-instead-of-created")
        requests.post(fake.url + PATH, json=allocation_request(0), headers=headers(fake), timeout=5)
        fake.expect_finding("quantity-not-positive")
