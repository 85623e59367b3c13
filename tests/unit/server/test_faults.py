"""Each fault, as real clients see it."""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
from support.bodies import allocation_request
from support.clients import NO_CERTIFICATES
from support.fake import PATH, headers, raw_post, running_with_signal, talk
from support.frozen_time import frozen_time
from support.servers import ORDER

from pytest_veeqo_alloc import Contract, serve_fake
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.builder import build_order
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import FAULTS


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serve_fake() as running_fake:
        yield running_fake


def with_requests(fake: Fake, timeout: Any = 5) -> tuple[int, dict[str, str], bytes]:
    answer = requests.post(
        fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=timeout, allow_redirects=False
    )
    return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content


def with_httpx(fake: Fake, timeout: Any = 5) -> tuple[int, dict[str, str], bytes]:
    answer = httpx.post(
        fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=timeout, verify=NO_CERTIFICATES
    )
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
def test_error_status_is_sent_once_and_nothing_is_allocated(fake: Fake, call: Any, name: Any, status: int) -> None:
    fake.inject_fault(name)
    assert call(fake)[0] == status
    assert fake.world.orders[447452].allocations == ()
    fake.reset()  # a POST after a 5xx would be a finding
    assert call(fake)[0] == 201


@both
def test_429_is_empty_and_may_have_retry_after(fake: Fake, call: Any) -> None:
    fake.inject_fault("rate-limited")
    fake.inject_fault("rate-limited", retry_after=7)
    _, plain, body = call(fake)
    assert (body, plain["content-length"]) == (b"", "0")
    assert "content-type" not in plain
    assert "retry-after" not in plain
    assert call(fake)[1]["retry-after"] == "7"


@both
def test_502_is_an_html_page(fake: Fake, call: Any) -> None:
    fake.inject_fault("bad-gateway")
    _, received, body = call(fake)
    assert received["content-type"] == "text/html"
    assert body.startswith(b"<html>")


@pytest.mark.parametrize(
    ("call", "timeout", "name"),
    [(with_requests, (10, 0.05), "slow-headers"), (with_httpx, httpx.Timeout(10, read=0.05), "slow-body")],
    ids=["requests", "httpx"],
)
def test_slow_response_runs_into_the_client_timeout(call: Any, timeout: Any, name: Any) -> None:
    with running_with_signal() as (fake, handled):
        fake.inject_fault(name)
        with pytest.raises((requests.exceptions.ReadTimeout, httpx.ReadTimeout)):
            call(fake, timeout=timeout)
        assert handled.acquire(timeout=20)
        fake.settle()
        assert fake.interactions[0].response is None
        assert len(fake.world.orders) == 1


@pytest.mark.parametrize("name", ["slow-headers", "slow-body"])
def test_delay_ends_under_frozen_time(name: Any, fake: Fake) -> None:
    with frozen_time():
        fake.inject_fault(name, seconds=0.05)
        assert with_requests(fake)[0] == 201


@both
@pytest.mark.parametrize("name", ["slow-headers", "slow-body"])
def test_slow_response_is_complete_in_the_end(fake: Fake, call: Any, name: Any) -> None:
    fake.inject_fault(name, seconds=0.02)
    assert json.loads(call(fake)[2])["id"] == 447452


@both
@pytest.mark.parametrize("name", ["reset-before-headers", "reset-before-body", "reset-within-body"])
def test_reset_breaks_the_response_after_the_allocation(fake: Fake, call: Any, name: Any) -> None:
    fake.inject_fault(name)
    with pytest.raises(BROKEN):
        call(fake)
    assert fake.interactions[0].response is None
    assert len(order_after(fake)["allocations"]) == 1


@both
def test_reset_after_the_body_lets_the_response_through(fake: Fake, call: Any) -> None:
    fake.inject_fault("reset-after-body")
    assert json.loads(call(fake)[2])["id"] == 447452
    assert fake.interactions[0].response is not None


def test_reset_after_the_body_breaks_the_next_request_of_the_connection(fake: Fake) -> None:
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
def test_truncated_json_is_a_complete_http_response(fake: Fake, call: Any) -> None:
    fake.inject_fault("truncated-json")
    status, received, body = call(fake)
    assert (status, int(received["content-length"])) == (201, len(body))
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        json.loads(body)


@both
def test_wrong_media_type(fake: Fake, call: Any) -> None:
    fake.inject_fault("wrong-media-type")
    assert call(fake)[1]["content-type"] == "text/html; charset=utf-8"


@both
def test_compressed_body_is_the_same_body(fake: Fake, call: Any) -> None:
    fake.inject_fault("gzip")
    _, received, body = call(fake)
    assert received["content-encoding"] == "gzip"
    assert json.loads(body)["id"] == 447452
    assert fake.interactions[0].response is not None
    assert fake.interactions[0].response.body == body


def test_compressed_body_is_compressed_on_the_wire(fake: Fake) -> None:
    fake.inject_fault("gzip")
    with requests.post(
        fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5, stream=True
    ) as answer:
        assert json.loads(gzip.decompress(answer.raw.read(decode_content=False)))["id"] == 447452


ACCEPTED = {
    "gzip": True, "deflate, gzip;q=0.5, br": True, "GZIP; q=1.000": True, "x-gzip": True, "*": True, "*;q=0.1": True,
    "identity;q=0.5, gzip;q=0.5": True, "gzip, identity;q=0.9": True, "identity;q=0, *": True, "bad element, gzip": True,
    "": False, "identity": False, "br": False, "gzip;q=0": False, "gzip;q=0.000, *": False, "*;q=0": False,
    "gzip;q=0.5, identity": False, "gzip;q=much": False, "identity, *;q=0.5": False,
}  # fmt: skip


@pytest.mark.parametrize("accepted", ACCEPTED)
def test_body_is_compressed_only_for_a_client_that_prefers_gzip(fake: Fake, accepted: str) -> None:
    fake.inject_fault("gzip")
    answer = talk(fake, raw_post(fake, more=f"Accept-Encoding: {accepted}\r\n"))
    assert (b"Content-Encoding: gzip" in answer) == ACCEPTED[accepted]
    assert (b'"allocated_completely"' in answer) == (not ACCEPTED[accepted])


def test_body_is_not_compressed_without_accept_encoding(fake: Fake) -> None:
    fake.inject_fault("gzip")
    assert b"Content-Encoding" not in talk(fake, raw_post(fake))


def test_accept_encoding_may_be_split_over_two_headers(fake: Fake) -> None:
    fake.inject_fault("gzip")
    lines = "Accept-Encoding: identity;q=0.5\r\naccept-encoding: gzip\r\n"
    assert b"Content-Encoding: gzip" in talk(fake, raw_post(fake, more=lines))


@both
def test_chunked_body_is_the_same_body(fake: Fake, call: Any) -> None:
    fake.inject_fault("chunked")
    _, received, body = call(fake)
    assert received["transfer-encoding"] == "chunked"
    assert "content-length" not in received
    assert json.loads(body)["id"] == 447452


@both
def test_ok_instead_of_created_and_no_location(fake: Fake, call: Any) -> None:
    fake.inject_fault("ok-instead-of-created")
    fake.inject_fault("no-location")
    assert call(fake)[0] == 200
    assert "location" not in call(fake)[1]
    assert call(fake)[1]["location"].endswith("/orders/447452")


MEMBERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "null-member": ("/deliver_to/zip", lambda order: order["deliver_to"]["zip"] is None),
    "absent-member": ("/allocations/0/warehouse", lambda order: "warehouse" not in order["allocations"][0]),
    "extra-member": ("/customer/loyalty", lambda order: order["customer"]["loyalty"] == "unexpected"),
    "wrong-type-member": ("/allocations/0/line_items/0/quantity", lambda order: order["allocations"][0]["line_items"][0]["quantity"] == "1"),
}  # fmt: skip


@both
@pytest.mark.parametrize("name", MEMBERS)
def test_one_member_is_changed(fake: Fake, call: Any, name: Any) -> None:
    pointer, holds = MEMBERS[name]
    fake.inject_fault(name, pointer=pointer)
    body = call(fake)[2]
    assert holds(json.loads(body))
    found = Contract("strict").check_body("response", body)
    assert [finding.pointer for finding in found.errors] == [pointer]


def test_wrong_type_of_a_string_is_a_number(fake: Fake) -> None:
    fake.inject_fault("wrong-type-member", pointer="/deliver_to/zip")
    assert json.loads(with_requests(fake)[2])["deliver_to"]["zip"] == 1


@both
def test_observed_key_set_of_2026(fake: Fake, call: Any) -> None:
    fake.inject_fault("observed")
    order = json.loads(call(fake)[2])
    assert order.keys() == build_order(variant="observed").keys() != json.loads(ORDER).keys()


@both
def test_redirect_to_another_host_is_no_finding_unless_followed(fake: Fake, call: Any) -> None:
    fake.inject_fault("redirect-elsewhere")
    status, received, _ = call(fake)
    assert status == 307
    assert received["location"].startswith("http://localhost:")
    assert received["location"].endswith(PATH)
    assert fake.findings.ok


def test_key_sent_to_another_host_is_found(fake: Fake) -> None:
    fake.inject_fault("redirect-elsewhere")
    fake.expect_finding("key-sent-elsewhere")
    answer = requests.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5)
    assert answer.status_code == 404
    assert [finding.location for finding in fake.findings.errors] == ["header:x-api-key"]


def test_redirect_followed_without_the_key_is_no_finding(fake: Fake) -> None:
    fake.inject_fault("redirect-elsewhere")
    bearer = {"Authorization": f"Bearer {fake.api_key}"}
    answer = httpx.post(
        fake.url + PATH, json=allocation_request(), headers=bearer, follow_redirects=True, verify=NO_CERTIFICATES
    )
    assert answer.status_code == 404
    assert fake.findings.ok
    assert len(fake.interactions) == 2


@both
def test_fault_is_repeated_as_requested_and_followed_by_the_next(fake: Fake, call: Any) -> None:
    fake.inject_fault("not-found", times=2)
    fake.inject_fault("forbidden")
    assert [call(fake)[0] for _ in range(4)] == [404, 404, 403, 201]


def test_every_fault_is_tested_in_this_module() -> None:
    source = __import__("pathlib").Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FAULTS if f'"{name}"' not in source] == []


def test_fault_is_no_finding(fake: Fake) -> None:
    fake.inject_fault("null-member", pointer="/deliver_to/zip")
    fake.inject_fault("absent-member", pointer="/deliver_to/zip")
    fake.inject_fault("truncated-json")
    fake.inject_fault("ok-instead-of-created")
    for order_id in range(1, 5):
        requests.post(
            f"{fake.url}/orders/{order_id}/allocations", json=allocation_request(), headers=headers(fake), timeout=5
        )
    assert len(fake.findings) == 0


@pytest.mark.parametrize(("name", "given", "sentence"), [
    ("reset-in-body", {}, "unknown fault 'reset-in-body': did you mean 'reset-within-body'?"),
    ("500", {}, "unknown fault '500': expected one of bad-request, "),
    ("null-member", {}, "the fault 'null-member' needs pointer=, such as pointer='/deliver_to/zip'"),
    ("null-member", {"pointer": "zip"}, "pointer= of the fault 'null-member' must be a JSON Pointer that begins with /, not 'zip'"),
    ("null-member", {"pointer": "/zip"}, "/zip is not a member of the documented order"),
    ("absent-member", {"pointer": "/allocations/9/id"}, "/allocations/9/id is not a member of the documented order"),
    ("extra-member", {"pointer": "/id"}, "/id is already a member of the documented order"),
    ("slow-body", {"seconds": -1}, "seconds= of the fault 'slow-body' must be a number from 0 to 3600, not -1"),
    ("rate-limited", {"retry_after": "soon"}, "retry_after= of the fault 'rate-limited' must be a whole number of seconds, not 'soon'"),
    ("gzip", {"level": 9}, "the fault 'gzip' has no level=: it takes no argument"),
])  # fmt: skip
def test_unknown_fault_or_argument_is_rejected(name: Any, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + __import__("re").escape(sentence)):
        Fake(Engine()).inject_fault(name, **given)


@pytest.mark.parametrize("times", [0, -1, True, "2"])
def test_number_of_times_must_be_at_least_one(times: Any) -> None:
    with pytest.raises(ValueError, match=r"times= must be a number of requests, at least 1"):
        Fake(Engine()).inject_fault("gzip", times=times)


@pytest.mark.parametrize(("name", "arguments", "why"), [
    ("ok-instead-of-created", {}, "the response is not a success"),
    ("no-location", {}, "the response has no header location"),
    ("observed", {}, "the response is not an order"),
    ("null-member", {"pointer": "/deliver_to/zip"}, "the response is not an order"),
])  # fmt: skip
def test_fault_that_does_not_apply_is_reported(name: Any, arguments: dict[str, Any], why: str) -> None:
    sentence = f"the fault {name} cannot change the response to request 1: {why}"
    with pytest.raises(AssertionError, match=sentence), serve_fake() as fake:
        fake.inject_fault(name, **arguments)
        answer = requests.post(fake.url + PATH, json=allocation_request(0), headers=headers(fake), timeout=5)
        assert answer.status_code == 422
        fake.expect_finding("quantity-not-positive")


def test_delay_ends_while_the_time_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = {time.monotonic: lambda: 5.0, time.time: lambda: 5.0}
    with serve_fake() as fake:
        fake.inject_fault("slow-headers", seconds=0.2)
        for module in [
            time,
            *(module for name, module in sys.modules.items() if name.startswith("pytest_veeqo_alloc")),
        ]:
            for name, value in list(vars(module).items()):  # as freezegun finds the functions
                for real, fixed in frozen.items():
                    if value is real:
                        monkeypatch.setattr(module, name, fixed)
        answer = requests.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=5)
        monkeypatch.undo()
    assert answer.status_code == 201
