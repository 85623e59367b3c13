"""The fake: its responses, its findings, and its state under load."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from support.bodies import allocation_request
from support.fake import PATH, headers, running_with_signal
from support.load import check_under_load

from pytest_veeqo_alloc import (
    Contract,
    ContractViolation,
    Policy,
    ServerSettings,
    Story,
    World,
    build_order,
    serve_fake,
)
from pytest_veeqo_alloc.contract import json_reader
from pytest_veeqo_alloc.contract.http_rules import Operation
from pytest_veeqo_alloc.core.http import Request
from pytest_veeqo_alloc.coverage.collector import CheckEvent
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import PLACEHOLDER, Exchange, order_text
from pytest_veeqo_alloc.server.runner import running
from pytest_veeqo_alloc.strategies import Broken, allocation_requests, invalid_allocation_requests, malformed_bodies


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serve_fake() as running_fake:
        yield running_fake


def post(fake: Fake, body: Any = None, *, order_id: int = 447452, **more: Any) -> requests.Response:
    url = f"{fake.url}/orders/{order_id}/allocations"
    if isinstance(body, bytes):
        return requests.post(url, data=body, headers={**headers(fake), "content-type": "application/json"}, timeout=10)
    return requests.post(
        url, json=allocation_request() if body is None else body, timeout=10, **{"headers": headers(fake), **more}
    )


def test_first_call_needs_no_setup_and_its_response_has_no_findings(fake: Fake) -> None:
    answer = post(fake)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{fake.url}/orders/447452"
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    Contract("strict").validate_response(answer)


def test_default_story_is_answered_with_the_documented_example() -> None:
    with serve_fake() as fake:
        fake.world = World.of(replace(Story(), allocations=()))
        assert post(fake).json() == build_order()


def test_allocation_can_be_read_and_deleted_afterwards(fake: Fake) -> None:
    made = post(fake).json()["allocations"][0]["id"]
    url = fake.url + "/orders/447452"
    assert [
        allocation["id"] for allocation in requests.get(url, headers=headers(fake), timeout=5).json()["allocations"]
    ] == [made]
    gone = requests.delete(f"{url}/allocations/{made}", headers=headers(fake), timeout=5)
    assert (gone.status_code, gone.json()["allocations"]) == (200, [])
    assert requests.delete(f"{url}/allocations/{made}", headers=headers(fake), timeout=5).status_code == 404
    assert requests.get(fake.url + "/orders/1", headers=headers(fake), timeout=5).json()["allocations"] == []
    fake.policy = Policy.strict()
    assert requests.get(fake.url + "/orders/1", headers=headers(fake), timeout=5).status_code == 404
    assert len(fake.findings) == 0


def test_orders_that_differ_only_in_ids_keep_their_own_ids(fake: Fake) -> None:
    for order_id in (7, 8, 7):
        order = post(fake, order_id=order_id).json()
        assert (order["id"], order["payment"]["order_id"], order["number"]) == (order_id, order_id, f"#P-{order_id}")
    assert len({allocation["id"] for allocation in order["allocations"]}) == 2


def test_order_with_more_allocations_than_placeholders_is_encoded() -> None:
    story = Story(order_id=7, allocations=tuple(Allocation(id=index + 1) for index in range(100)))
    assert json.loads(order_text(story)) == build_order(story)


@pytest.mark.parametrize("allocations", [0, 1, 3])
def test_orders_that_differ_only_in_ids_are_encoded_once(allocations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(order_id=7, allocations=tuple(Allocation(id=index + 1) for index in range(allocations)))
    order_text(story)
    other = replace(
        story,
        order_id=8,
        allocations=tuple(replace(allocation, id=allocation.id + 9) for allocation in story.allocations),
    )
    expected = build_order(other)
    monkeypatch.setattr("pytest_veeqo_alloc.server.responses.build_order", None)
    assert json.loads(order_text(other)) == expected


@pytest.mark.parametrize("at", [-1, 0, 1, 21, 99])
def test_id_that_equals_a_placeholder_is_kept(fake: Fake, at: int) -> None:
    body = allocation_request()
    body["allocation"]["warehouse_id"] = PLACEHOLDER + at
    body["allocation"]["line_items_attributes"][0]["sellable_id"] = PLACEHOLDER + at
    order = post(fake, body, order_id=7).json()
    assert (order["id"], order["allocations"][0]["warehouse"]["id"]) == (7, PLACEHOLDER + at)
    assert order["allocations"][0]["line_items"][0]["sellable"]["id"] == PLACEHOLDER + at
    assert fake.problems == []


def test_customer_name_that_equals_a_placeholder_is_kept() -> None:
    story = Story(order_id=7, customer=Customer(first_name=f"{PLACEHOLDER + 1}"))
    assert json.loads(order_text(story)) == build_order(story)


NAME = "Zo\u00eb \u05d0\u4eba\U0001f9f5"


@pytest.mark.parametrize("prepare", [
    lambda fake: None,
    lambda fake: fake.inject_fault("observed"),
    lambda fake: fake.inject_fault("null-member", pointer="/till_id"),
    lambda fake: fake.respond_with(body={"deliver_to": {"first_name": NAME}}),
], ids=["order", "observed", "changed member", "custom"])  # fmt: skip
def test_text_is_sent_in_utf_8_without_escapes(fake: Fake, prepare: Callable[[Fake], object]) -> None:
    fake.world = World.of(Story(allocations=(), customer=Customer(first_name=NAME)))
    prepare(fake)
    answer = post(fake)
    assert NAME.encode() in answer.content
    assert answer.json()["deliver_to"]["first_name"] == NAME


def test_lone_surrogate_is_escaped(fake: Fake) -> None:
    fake.respond_with(body={"name": "\ud800"})
    assert post(fake).content == b'{"name":"\\ud800"}'


@pytest.mark.parametrize(
    "given_headers",
    [{}, {"x-api-key": "another"}, {"Authorization": "Bearer another"}, {"Authorization": "Basic eA=="}],
)
def test_wrong_key_is_rejected(given_headers: dict[str, str]) -> None:
    fake = Fake(Engine(rules={"api-key-missing": "off"}))
    with running(fake):
        answer = post(fake, headers=given_headers)
        assert (answer.status_code, answer.json()) == (401, {"error_messages": "You're not authorized"})
        assert fake.findings.ok


def test_key_may_be_a_bearer_token_or_any_key_by_policy(fake: Fake) -> None:
    assert post(fake, headers={"Authorization": f"Bearer {fake.api_key}"}).status_code == 201
    fake.policy = Policy(wrong_key="accept")
    assert post(fake, headers={"x-api-key": "another"}).status_code == 201


def test_key_of_the_fake_in_the_url_is_found(fake: Fake) -> None:
    fake.expect_finding("key-in-url")
    requests.post(
        fake.url + PATH,
        params={"auth_me": fake.api_key},
        json=allocation_request(),
        headers={"x-api-key": fake.api_key},
        timeout=5,
    )
    assert [finding.location for finding in fake.findings.errors] == ["query:auth_me"]


@pytest.mark.parametrize(("refuses", "status"), [("documented", 422), ("lenient", 201)])
def test_unwrapped_request_is_found_and_answered_by_policy(fake: Fake, refuses: Any, status: int) -> None:
    fake.expect_finding("request-not-wrapped")
    fake.policy = replace(fake.policy, refuses=refuses)
    assert post(fake, allocation_request()["allocation"]).status_code == status


def test_compressed_request_is_carried_out(fake: Fake) -> None:
    body = gzip.compress(json.dumps(allocation_request()).encode())
    url, more = f"{fake.url}{PATH}", {"content-type": "application/json", "content-encoding": "gzip"}
    assert requests.post(url, data=body, headers={**headers(fake), **more}, timeout=10).status_code == 201
    assert fake.findings.ok


def test_form_is_rejected_with_its_cause(fake: Fake) -> None:
    answer = requests.post(f"{fake.url}{PATH}", data={"a": "1"}, headers=headers(fake), timeout=10)
    assert answer.status_code == 400
    assert "got a form, not JSON" in answer.json()["error_messages"]
    fake.expect_finding("request-media-type")


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"", 400), (b'{"allocation": []}', 422), (b"[1]", 422)])
def test_request_that_cannot_be_carried_out_is_rejected(body: bytes, status: int) -> None:
    with pytest.raises(ContractViolation), serve_fake() as fake:
        assert post(fake, body).status_code == status
        assert post(fake, body).json().keys() == {"error_messages"}


def test_malformed_json_is_answered_by_policy() -> None:
    with pytest.raises(ContractViolation), serve_fake(policy=Policy(malformed_json="server-error")) as fake:
        assert post(fake, b"{").status_code == 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken=invalid_allocation_requests())
def test_strict_fake_rejects_every_broken_request_with_a_reason(fake: Fake, broken: Broken) -> None:
    fake.reset()
    fake.policy = replace(
        Policy.strict(), unknown_order="create", unknown_warehouse="create", unknown_sellable="create"
    )
    fake.expect_finding(broken.rule) if fake.engine.settings.severities[broken.rule] != "off" else None
    raw = broken.payload if isinstance(broken.payload, bytes) else json.dumps(broken.payload).encode()
    answer = post(fake, raw)
    assert answer.status_code in (400, 422)
    assert answer.json()["error_messages"]
    assert broken.rule in {finding.rule for finding in fake.findings}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=malformed_bodies())
def test_malformed_body_is_no_server_error(fake: Fake, body: bytes) -> None:
    fake.reset()
    assert post(fake, body).status_code in (201, 400, 422)
    fake.reset()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=allocation_requests())
def test_valid_request_gets_a_full_response(fake: Fake, payload: Any) -> None:
    fake.reset()
    answer = post(fake, payload)
    assert answer.status_code == 201
    assert len(fake.findings) == 0
    Contract("strict").validate_response(answer)


def test_custom_response_is_sent_as_often_as_requested_and_not_checked(fake: Fake) -> None:
    fake.respond_with(status=422, body={"error_messages": "No"}, headers={"X-Reason": "stock"}, times=2)
    answers = [post(fake) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422, 422, 201]
    assert (answers[0].json(), answers[0].headers["x-reason"]) == ({"error_messages": "No"}, "stock")
    assert len(fake.findings) == 0
    assert len(fake.world.orders[447452].allocations) == 1


def test_custom_response_may_be_text_bytes_or_empty(fake: Fake) -> None:
    fake.respond_with(body="{}")
    fake.respond_with(body=b"\xff", headers=[("content-type", "text/plain")])
    fake.respond_with(status=204)
    one, two, three = (post(fake, order_id=order_id) for order_id in (1, 2, 3))
    assert (one.text, one.headers["content-type"]) == ("{}", "application/json;charset=utf-8")
    assert (two.content, two.headers["content-type"]) == (b"\xff", "text/plain")
    assert (three.status_code, three.content) == (204, b"")


@pytest.mark.parametrize(("what", "sentence"), [
    ({"status": 99}, "status= must be a final status from 200 to 599, not 99"),
    ({"status": True}, "status= must be a final status"),
    ({"headers": {"a": "b\r\nc: d"}}, "headers= must be pairs of a name and a value"),
    ({"headers": {"a": "\u20ac"}}, "headers= must be pairs of a name and a value"),
    ({"headers": {"x y": "1"}}, "which is not a header name"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "or is set by the server itself"),
    ({"times": 0}, "times= must be a number of requests, at least 1, not 0"),
])  # fmt: skip
def test_custom_response_that_cannot_be_sent_is_rejected(what: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Fake(Engine()).respond_with(**what)


def test_expected_finding_fails_nothing_and_a_missing_one_fails() -> None:
    with serve_fake() as fake:
        fake.expect_finding("null-value")
        body = allocation_request()
        body["allocation"]["warehouse_id"] = None
        post(fake, body)
        assert [finding.rule for finding in fake.findings.errors] == ["null-value"]
    with (
        pytest.raises(AssertionError, match=r"^no finding of duplicate-key \("),
        serve_fake() as fake,
    ):
        fake.expect_finding("duplicate-key")
        post(fake)


def test_unexpected_finding_fails_although_another_is_expected() -> None:
    with pytest.raises(ContractViolation) as caught, serve_fake() as fake:
        fake.expect_finding("undocumented-query")
        requests.post(
            fake.url + PATH,
            params={"page": 1},
            json=allocation_request()["allocation"],
            headers=headers(fake),
            timeout=5,
        )
    assert {finding.rule for finding in caught.value.findings} == {"request-not-wrapped"}


@pytest.mark.parametrize(("rule", "sentence"), [
    ("null-valeu", "unknown rule 'null-valeu': did you mean 'null-value'"),
    ("error-body-shape", "the rule error-body-shape is off in profile documented, so it has no findings"),
])  # fmt: skip
def test_finding_that_is_impossible_cannot_be_expected(fake: Fake, rule: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fake.expect_finding(rule)


def test_exception_in_the_block_hides_findings() -> None:
    with pytest.raises(KeyError), serve_fake() as fake:
        post(fake, allocation_request()["allocation"])
        raise KeyError


def test_post_repeated_after_a_slow_response_is_found() -> None:
    with running_with_signal() as (fake, handled):
        fake.inject_fault("slow-headers")
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.post(fake.url + PATH, json=allocation_request(), headers=headers(fake), timeout=(10, 0.05))
        assert handled.acquire(timeout=20)
        assert post(fake).status_code == 201
        fake.settle()
        (finding,) = fake.findings.errors
        assert finding.got == "request 2 repeats request 1 after an incomplete response"


def test_client_that_reads_the_order_after_a_failure_may_post_again(fake: Fake) -> None:
    fake.inject_fault("server-error")
    assert post(fake).status_code == 500
    looked = requests.get(fake.url + "/orders/447452", headers=headers(fake), timeout=5)
    assert looked.json()["allocations"] == []
    assert post(fake).status_code == 201
    assert len(fake.findings) == 0


def test_key_used_as_a_name_is_not_shown(fake: Fake) -> None:
    body = {**allocation_request(), fake.api_key: 1}
    requests.post(f"{fake.url}{PATH}?{fake.api_key}=1", json=body, headers=headers(fake), timeout=5)
    found = fake.findings
    assert {finding.rule for finding in found} == {"key-in-url", "undocumented-field"}
    assert fake.api_key not in str(found) + str(fake.engine.violation(found))
    assert fake.api_key not in "".join(f"{finding.pointer} {finding.location}" for finding in found)
    fake.reset()


@pytest.mark.parametrize(("name", "value"), [("world", None), ("policy", "strict")])
def test_world_and_policy_of_another_type_are_rejected(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"the {name} must be a"):
        setattr(Fake(Engine()), name, value)


def test_reset_forgets_everything(fake: Fake) -> None:
    fake.policy = Policy.strict()
    fake.inject_fault("gzip", times=9)
    fake.api_key = "another-key"
    post(fake, allocation_request()["allocation"])
    fake.reset()
    assert (len(fake.interactions), len(fake.findings), len(fake.world.orders)) == (0, 0, 0)
    assert "content-encoding" not in post(fake).headers
    assert fake.policy == Policy()


def test_interactions_are_a_sequence_and_name_their_source(fake: Fake) -> None:
    fake.inject_fault("not-found")
    post(fake)
    post(fake)
    assert [interaction.source for interaction in fake.interactions] == [
        "request 1 of the fake, not-found",
        "request 2 of the fake",
    ]
    assert len(fake.interactions[:1]) == 1
    assert repr(fake.interactions) == "<Interactions: 2>"
    assert fake.interactions[-1].response is not None


def test_client_that_never_reads_loses_only_its_own_response() -> None:
    ended = threading.Semaphore(0)
    fake = Fake(Engine(), on_record=lambda record: ended.release())
    with running(fake):
        address = urlsplit(fake.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        connection.request(
            "POST", PATH, json.dumps(allocation_request()), {**headers(fake), "content-type": "application/json"}
        )
        connection.close()
        assert ended.acquire(timeout=20)
        assert post(fake, order_id=8).status_code == 201
        assert len(fake.interactions) == 2


def test_two_threads_never_both_get_the_last_unit(fake: Fake) -> None:
    for turn in range(20):
        fake.reset()
        fake.world = World.of(
            *(
                Story(order_id=order_id, lines=(Line(11, 1, stock=(Stock(5, 1, 0),)),), allocations=())
                for order_id in (7, 8)
            )
        )
        barrier = threading.Barrier(2)
        got: list[int] = []

        def race(order_id: int, barrier: threading.Barrier = barrier, got: list[int] = got) -> None:
            barrier.wait()
            got.append(post(fake, allocation_request(sellable_id=11, warehouse_id=5), order_id=order_id).status_code)

        threads = [threading.Thread(target=race, args=(order_id,)) for order_id in (7, 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [201, 422], turn
        assert fake.world.available(5, 11) == 0


def handle(fake: Fake, order_id: int = 447452) -> Exchange:
    """Pass a POST to *fake* without a socket."""
    sent = (("x-api-key", fake.api_key), ("content-type", "application/json"))
    url = f"http://127.0.0.1/orders/{order_id}/allocations"
    return fake.handle(Request("POST", url, sent, json.dumps(allocation_request()).encode()))


def test_response_is_not_kept_but_rendered_again() -> None:
    fake = Fake(Engine())
    handle(fake).finish(True)  # what is made once is made
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for order_id in range(1, 101):
        handle(fake, order_id).finish(True)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    answer = fake.interactions[50].response
    assert answer is not None
    assert len(answer.body or b"") > 11_000
    assert kept < 100 * 6_000


def test_one_exchange_matches_the_path_once_and_parses_the_body_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            done.append(name)
            return function(*arguments)

        return called

    for module in ("checker", "allocations"):
        monkeypatch.setattr(f"pytest_veeqo_alloc.contract.{module}.read", counted("read", json_reader.read))
    monkeypatch.setattr(Operation, "order_segment", counted("match", Operation.order_segment))
    assert handle(Fake(Engine())).plan.response.status == 201
    assert sorted(done) == ["match", "read"]


@pytest.mark.parametrize("order_id", ["0", "-7", "P-447452"])
def test_order_that_cannot_exist_is_404_also_after_a_fault(order_id: str) -> None:
    with running_with_signal() as (fake, _):
        fake.respond_with(status=503)
        url = f"{fake.url}/orders/{order_id}/allocations"
        statuses = [
            requests.post(url, json=allocation_request(), headers=headers(fake), timeout=5).status_code
            for _ in range(2)
        ]
        assert statuses == [503, 404]
        assert len(fake.world.orders) == 0


def post_with(fake: Fake, key: str = "", order_id: int = 7, body: Any = None) -> int:
    return post(fake, body, order_id=order_id, headers={"x-api-key": key or fake.api_key}).status_code


def test_fault_for_an_order_meets_only_calls_about_it(fake: Fake) -> None:
    fake.inject_fault("unprocessable", order_id=8, times=2)
    fake.inject_fault("rate-limited")
    assert [post_with(fake, order_id=order_id) for order_id in (7, 8, 7, 8, 8)] == [429, 422, 201, 422, 201]


def test_fault_for_an_api_key_meets_only_calls_with_it(fake: Fake) -> None:
    key = fake.new_key()
    fake.respond_with(status=418, api_key=key)
    fake.inject_fault("not-found", api_key=fake.api_key, order_id=8)
    assert [post_with(fake), post_with(fake, key), post_with(fake, key, 8), post_with(fake, order_id=8)] == [
        201,
        418,
        201,
        404,
    ]


def test_fault_that_only_other_requests_could_meet_is_a_problem() -> None:
    fake = Fake(Engine())
    fake.inject_fault("gzip", order_id=8)
    fake.inject_fault("gzip", api_key=fake.new_key())
    handle(fake).finish(True)
    assert fake.problems == [
        "no request about order 8 triggered the fault gzip",
        "no request with the given API key triggered the fault gzip",
    ]


@pytest.mark.parametrize(("scope", "words"), [
    ({"order_id": 0}, "order_id= must be the id of an order, at least 1, not 0"),
    ({"order_id": True}, "order_id= must be the id of an order, at least 1, not True"),
    ({"order_id": "7"}, "order_id= must be the id of an order, at least 1, not '7'"),
    ({"api_key": "guess"}, "api_key= is not a key of this server: give its api_key, or a key from new_key()"),
    ({"api_key": ""}, "api_key= is not a key of this server: give its api_key, or a key from new_key()"),
])  # fmt: skip
def test_fault_for_an_impossible_request_is_rejected(scope: dict[str, Any], words: str) -> None:
    fake = Fake(Engine())
    for plan in (partial(fake.inject_fault, "gzip"), fake.respond_with):
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            plan(**scope)


def test_each_new_key_has_a_world_of_its_own_that_begins_as_described(fake: Fake) -> None:
    line = Line(sellable_id=1226615, quantity=1, stock=(Stock(warehouse_id=1784, physical=1, allocated=0),))
    fake.world, fake.policy = World.of(Story(order_id=7, lines=(line,), allocations=())), Policy.strict()
    assert [post_with(fake), post_with(fake)] == [201, 422]
    first, second = fake.new_key(), fake.new_key()
    assert [post_with(fake, first), post_with(fake, first), post_with(fake, second)] == [201, 422, 201]
    assert [post_with(fake, "wrong"), post_with(fake, second, 8)] == [401, 404]


def test_same_post_to_two_worlds_is_no_repetition(fake: Fake) -> None:
    keys = [fake.new_key(), fake.new_key()]
    for key in keys:
        fake.inject_fault("server-error", api_key=key)
        assert post_with(fake, key) == 500
    assert fake.findings.ok
    assert post_with(fake, keys[1]) == 201
    fake.expect_finding("repeated-post")
    (finding,) = fake.findings
    assert finding.got == "request 3 repeats request 2 after a 500 response"


def test_new_key_is_kept_out_of_urls_and_forgotten_by_a_reset(fake: Fake) -> None:
    key = fake.new_key()
    requests.post(
        f"{fake.url}/orders/7/allocations?k={key}",
        json=allocation_request(),
        headers={"x-api-key": fake.api_key},
        timeout=5,
    )
    fake.expect_finding("key-in-url")
    assert "key-in-url" in [finding.rule for finding in fake.findings]
    fake.reset()
    assert post_with(fake, key) == 401


class Events:
    """A listener that counts coverage and keeps every event."""

    counts = True

    def __init__(self) -> None:
        self.seen: list[CheckEvent] = []

    def on_check(self, event: CheckEvent) -> None:
        self.seen.append(event)


def test_new_requests_are_published_once_and_without_the_response_of_a_fault() -> None:
    events = Events()
    fake = Fake(Engine().with_listener(events))
    with running(fake):
        fake.inject_fault("server-error")
        for _ in range(2):
            post(fake)
        requests.get(fake.url + "/orders/447452", headers=headers(fake), timeout=5)
        fake.settle()
        fake.publish()
        fake.publish()
        faulty, plain, in_sequence = events.seen
        assert faulty.interaction is not None
        assert faulty.interaction.response is None
        assert plain.interaction is not None
        assert plain.interaction.response is not None
        assert in_sequence.interaction is None
        assert [finding.rule for finding in in_sequence.findings] == ["repeated-post"]


@pytest.mark.parametrize("port", [-1, 65536, True, "80"])
def test_settings_with_an_impossible_port_are_rejected(port: Any) -> None:
    with pytest.raises(ValueError, match=r"^port= must be a number from 0 to 65535, not "):
        ServerSettings(port=port)


def test_concurrent_requests_with_every_fault_are_each_recorded_once() -> None:
    check_under_load(connections=8, requests_each=12, fault_rounds=1)


def test_repr_shows_the_address_and_the_counts(fake: Fake) -> None:
    assert repr(fake) == f"<fake at {fake.url}: 0 requests, 0 errors>"
    post(fake, allocation_request()["allocation"])
    assert repr(fake) == f"<fake at {fake.url}: 1 request, 1 error>"
    fake.expect_finding("request-not-wrapped")
    assert fake.api_key not in repr(fake)


def test_repr_of_a_world_counts_orders_and_sellables() -> None:
    assert repr(World()) == "<World: 0 orders, 0 sellables in stock>"
    assert repr(World.of(Story())) == "<World: 1 order, 1 sellable in stock>"
