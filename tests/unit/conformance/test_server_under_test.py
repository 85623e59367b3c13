"""The server under test: the orders to which tests allocate, and what stops a run."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.live import live_at, pool_request
from support.staging import Staging

from pytest_veeqo_alloc import Interaction, Response
from pytest_veeqo_alloc.conformance import UncoveredError, UnusableError
from pytest_veeqo_alloc.conformance.server_under_test import ORDERS, ServerUnderTest, covered, named, random_first_order
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.engine import Engine

REJECTED: tuple[int, tuple[tuple[str, str], ...]] = (422, ())
CLEAN_UP = "delete what an earlier run allocated with veeqo-alloc cleanup, and run with --veeqo-alloc-cleanup"


def test_run_that_finds_allocations_of_an_earlier_one_says_how_to_delete_them(server: Staging, tmp_path: Path) -> None:
    server.allocate(7, 5, ((11, 1),))
    server.answers = [REJECTED]
    with live_at(server.url, tmp_path) as live, pytest.raises(UnusableError) as caught:
        ServerUnderTest(live, Engine()).require_api()
    target = server.url.partition("://")[2]
    assert str(caught.value) == (
        f"{target} answered a documented allocation to order 7 with 422 and no body: "
        f"the order has 1 allocation already: {CLEAN_UP}"
    )


def test_run_that_cannot_read_orders_says_what_the_refusal_may_mean(
    server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [REJECTED]
    with live_at(server.url, tmp_path) as live, pytest.raises(UnusableError) as caught:
        monkeypatch.setattr(live, "read_order", lambda order_id: Response(404))
        ServerUnderTest(live, Engine()).require_api()
    assert str(caught.value).endswith(f"the units of the order pool may be allocated already: {CLEAN_UP}")


def test_order_with_most_free_units_is_used_for_a_broken_request(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        subject = ServerUnderTest(live, Engine())
        assert subject.any_order().id == 8
        subject.post(8, pool_request(7))
        order = subject.any_order()
        assert (order.id, order.sellables) == (7, {11: 3})
        with pytest.raises(UncoveredError, match=r"no order with 1 sellable\(s\) of 4 free unit\(s\) each"):
            subject.any_order(units=4)


def test_order_of_another_process_is_not_used_for_a_broken_request(server: Staging, tmp_path: Path) -> None:
    with live_at(server.url, tmp_path) as live:
        ours, others = (ServerUnderTest(live, Engine()) for _ in range(2))
        assert (ours.any_order().id, others.any_order().id, ours.any_order().id) == (8, 7, 8)
        with pytest.raises(UncoveredError):
            ours.take()


@pytest.mark.parametrize(("orders", "count"), [("any", 3), ("", 1)])
def test_first_acceptance_ends_the_sending_only_with_a_pool(
    orders: str, count: int, server: Staging, tmp_path: Path
) -> None:
    options = {"orders": orders} if orders else {}
    with live_at(server.url, tmp_path, **options) as live:  # type: ignore[arg-type]  # one option
        subject = ServerUnderTest(live, Engine())
        send: list[Callable[[], Interaction]] = [partial(subject.post, 8, pool_request())] * 3
        assert len(subject.send_once("risky", send, risky=True)) == count
        assert len(subject.send_once("harmless", send)) == 3


def test_request_that_may_pass_is_no_finding_of_the_run(server: Staging, tmp_path: Path) -> None:
    counted = CoverageCounter()
    with live_at(server.url, tmp_path) as live:
        subject = ServerUnderTest(live, Engine().with_listener(counted))
        subject.report = lambda findings, command: None
        (passed,) = subject.send_once("tried", [named("a name", partial(subject.post, 8, pool_request()))])
        subject.assert_rule("server-error", [passed], may_pass=True)
        assert "broken-request-accepted" not in str(counted.by_origin["target"].findings)
        with pytest.raises(pytest.fail.Exception):
            subject.assert_rule("broken-request-accepted", [replace(passed)], broken=True)
    assert "broken-request-accepted response status\na name" in str(list(counted.by_origin["target"].findings)[-1])


def test_order_ids_of_two_runs_differ_at_the_same_time_and_with_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    first_orders = set()
    for _ in range(3):
        random.seed(1)
        first_orders.add(random_first_order())
    assert len(first_orders) > 1
    assert min(first_orders) > 0


def test_order_ids_of_a_run_fit_into_32_bits(server: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "randbelow", lambda bound: bound - 1)
    with live_at(server.url, tmp_path, orders="any") as live:
        subject = ServerUnderTest(live, Engine())
        orders = {subject.take().id for _ in range(ORDERS)}
    assert len(orders) == ORDERS
    assert max(orders) < 2**31


def test_request_without_a_response_is_not_covered_where_servers_may_close_early() -> None:
    def fail() -> Interaction:
        raise UnusableError("no response")

    with pytest.raises(UncoveredError, match="no response"):
        covered(fail)
