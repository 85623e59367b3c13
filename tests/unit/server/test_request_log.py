"""The assertions of the fake about the allocations in its log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.bodies import allocation_request

from pytest_veeqo_alloc import Line, Policy, Stock, Story, World
from pytest_veeqo_alloc.core.http import Request, Response
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server import request_log
from pytest_veeqo_alloc.server.fake import API_KEY, Fake


@pytest.fixture
def fake() -> Fake:
    return Fake(Engine())


def call(fake: Fake, body: Any, order_id: object = 7, method: str = "POST") -> None:
    sent = (("x-api-key", API_KEY), ("content-type", "application/json"))
    url = f"http://127.0.0.1/orders/{order_id}/allocations"
    fake.handle(Request(method, url, sent, json.dumps(body).encode())).finish(True)


def lines_of(**lines: int) -> dict[str, Any]:
    attributes = [{"sellable_id": int(name[1:]), "quantity": quantity} for name, quantity in lines.items()]
    return {"allocation": {"warehouse_id": 5, "line_items_attributes": attributes}}


def failure(fake: Fake, **described: Any) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        fake.assert_allocated(**described)
    return str(caught.value).splitlines()


def test_log_keeps_the_latest_bodies_and_counts_the_others(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    call(fake, lines_of(s11=1))
    body = json.dumps(lines_of(s11=1)).encode()
    monkeypatch.setattr(request_log, "_MAX_BYTES", 3 * fake.log.records[0].size)
    for _ in range(4):
        call(fake, lines_of(s11=1))
    requests = [interaction.request for interaction in fake.interactions]
    assert [request.body if request else b"" for request in requests] == [None, None, body, body, body]
    assert [len(request.headers) if request else 0 for request in requests] == [0, 0, 2, 2, 2]
    assert fake.notes == ["the log keeps 10,000 requests and 0 MB: 2 earlier requests lost headers and body"]
    fake.assert_allocated(lines={11: 1}, times=5)
    fake.reset()
    assert fake.notes == []


def test_log_keeps_a_number_of_requests_whole(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_MAX_WHOLE", 2)
    for _ in range(5):
        call(fake, lines_of(s11=1))
    assert [
        interaction.request is not None and interaction.request.is_body_known for interaction in fake.interactions
    ] == [False] * 3 + [True] * 2
    assert fake.findings.ok
    fake.assert_allocated(order_id=7, lines={11: 1}, times=5)


def test_forwarded_responses_count_towards_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_MAX_BYTES", 250)
    log = request_log.Log("a proxy", None)
    for _ in range(4):
        record = log.open(Request("GET", "/x?a=1"), request_log.NO_FINDINGS)
        log.keep(record, Response(200, (("a", "b"),), b"x" * 100))
        record.ending = "answered"
    assert log.shortened == 2
    bodies = [record.interaction().response for record in log.records]
    assert [response.body if response else b"" for response in bodies] == [None, None, b"x" * 100, b"x" * 100]
    assert [record.request.url for record in log.records] == ["/x", "/x", "/x?a=1", "/x?a=1"]


def test_sentences_about_refusals_and_problems_are_limited(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_MAX_SENTENCES", 2)
    for number in range(5):
        fake.refuse(400, f"reason {number}", b"")
        fake.add_problem(f"problem {number}")
    assert fake.problems == ["problem 0", "problem 1", "there are more problems, which were not kept"]
    assert len(fake.notes) == 3
    assert fake.notes[-1] == "3 more requests were refused"


class Anything:
    """Equal to everything, as objects of dirty-equals can be."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "Anything()"


@pytest.mark.parametrize("described", [
    {"order_id": 7, "warehouse_id": 5, "lines": {11: 1, 12: 2}},
    {"order_id": 7},
    {"lines": {12: 2.0, 11: 1}},
    {"order_id": Anything(), "lines": {11: 1, 12: Anything()}},
    {"lines": Anything(), "times": 1},
    {},
])  # fmt: skip
def test_allocation_that_was_made_is_found(fake: Fake, described: dict[str, Any]) -> None:
    call(fake, lines_of(s11=1, s12=2))
    fake.assert_allocated(**described)


def test_nearest_call_is_shown_with_each_difference(fake: Fake) -> None:
    call(fake, lines_of(s11=1, s12=2), order_id=8)
    call(fake, lines_of(s11=1, s13=2))
    call(fake, lines_of(s14=9))
    assert failure(fake, order_id=7, warehouse_id=6, lines={11: 1, 12: 2}) == [
        "0 such allocations instead of 1",
        "",
        "  wanted  1 allocation: order_id=7, warehouse_id=6, lines={11: 1, 12: 2}",
        "  got     0; the nearest of 3 calls is request 2",
        "      warehouse_id  wanted 6, got 5",
        "      lines[12]     wanted 2, got 0",
        "      lines[13]     wanted 0, got 2",
    ]


def test_call_to_the_same_order_is_nearer_than_one_with_the_same_lines(fake: Fake) -> None:
    call(fake, lines_of(s14=9, s15=9))
    call(fake, lines_of(s11=1), order_id=8)
    assert failure(fake, order_id=7, lines={11: 1})[3] == "  got     0; the nearest of 2 calls is request 1"


def test_rejected_call_is_no_allocation_and_its_reason_is_shown(fake: Fake) -> None:
    fake.policy = Policy(unknown_order="not-found")
    call(fake, lines_of(s11=1))
    assert (
        failure(fake, order_id=7, lines={11: 1})[-1] == "      response  wanted created, got not-found: no such order"
    )


def test_call_answered_by_respond_with_is_no_allocation(fake: Fake) -> None:
    fake.respond_with(status=201, body={})
    call(fake, lines_of(s11=1))
    assert failure(fake)[-1] == "      response  wanted created, got respond_with"


def test_allocation_counts_although_its_response_was_cut_off(fake: Fake) -> None:
    fake.inject_fault("reset-before-headers")
    call(fake, lines_of(s11=1))
    fake.assert_allocated(order_id=7, lines={11: 1})


def test_lines_are_those_that_were_allocated_of_a_short_stock(fake: Fake) -> None:
    line = Line(sellable_id=11, quantity=2, stock=(Stock(warehouse_id=5, physical=1, allocated=0),))
    fake.world = World.of(Story(order_id=7, lines=(line,), allocations=()))
    call(fake, lines_of(s11=2))
    fake.assert_allocated(lines={11: 1})


def test_number_of_allocations_is_compared(fake: Fake) -> None:
    for order_id in (7, 8, 7):
        call(fake, lines_of(s11=1), order_id)
    fake.assert_allocated(order_id=7, times=2)
    fake.assert_allocated(order_id=9, times=0)
    assert failure(fake, order_id=7)[0::3] == ["2 such allocations instead of 1", "  got     2, by requests 1, 3"]
    assert failure(fake, order_id=8, times=2)[3:] == [
        "  got     1, by request 2; the nearest of 2 other calls is request 3",
        "      order_id  wanted 8, got 7",
    ]


def test_absence_of_any_call_is_named(fake: Fake) -> None:
    assert failure(fake)[2:] == ["  wanted  1 allocation: any", "  got     0: the client sent no allocation"]


def test_only_calls_of_the_documented_operation_count(fake: Fake) -> None:
    call(fake, None, method="GET")
    fake.assert_not_called()


def test_unexpected_call_is_shown(fake: Fake) -> None:
    call(fake, allocation_request())
    call(fake, lines_of(s11=2), order_id="x")
    with pytest.raises(AssertionError) as caught:
        fake.assert_not_called()
    assert str(caught.value).splitlines() == [
        "2 allocation calls instead of 0",
        "",
        "  wanted  no allocation call",
        "  got     requests 1, 2; the last one has order_id=None, warehouse_id=5, lines={11: 2}",
    ]


@pytest.mark.parametrize(("described", "kind", "words"), [
    ({"times": -1}, ValueError, "times= must be a number of allocations, at least 0, not -1"),
    ({"times": True}, ValueError, "times= must be"),
    ({"lines": [(11, 1)]}, TypeError, r"lines= must map sellable ids to quantities, such as \{1226615: 1\}, not "),
    ({"lines": 11}, TypeError, "lines= must map"),
])  # fmt: skip
def test_description_that_cannot_be_compared_is_rejected(
    fake: Fake, described: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=f"^{words}"):
        fake.assert_allocated(**described)
