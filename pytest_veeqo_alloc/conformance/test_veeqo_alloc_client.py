"""Tests of a client: requests it must send correctly, responses it must accept, and failures it must report.

Each test checks one rule. A client without a timeout, for example, fails only the test of `client-without-timeout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from pytest_veeqo_alloc.conformance import UncoveredError
from pytest_veeqo_alloc.conformance.client import Call, ClientUnderTest, exception_text, log_records, record_text
from pytest_veeqo_alloc.conformance.server_under_test import follows
from pytest_veeqo_alloc.contract.http_rules import SEQUENCE_RULES
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.text import pluralise
from pytest_veeqo_alloc.orders.builder import build_order, nullable_pointers, with_nulls
from pytest_veeqo_alloc.orders.story import Allocation, Customer, Line, Stock, Story
from pytest_veeqo_alloc.server.fake import Fake
from pytest_veeqo_alloc.server.responses import FAULTS, Arguments, FaultName, ResponsePlan, response_to
from pytest_veeqo_alloc.server.state import CREATED, Outcome, World
from pytest_veeqo_alloc.strategies.values import LARGEST_ID

Prepare = Callable[[Fake], object]

FOREVER = 10**6
REQUEST_RULES = [rule for rule, entry in CATALOGUE.items() if "request" in entry.sides and rule not in SEQUENCE_RULES]


@follows(*REQUEST_RULES)
def test_request_follows_rule(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that no request of the client breaks *rule* when the client is given generated allocations."""
    client = _veeqo_alloc_client_under_test
    client.assert_requests_follow(rule, client.payload_calls())


@follows("client-changes-allocation")
def test_client_sends_the_given_allocation(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client sends the given order id, warehouse, sellables and quantities."""
    client = _veeqo_alloc_client_under_test
    # A request with findings is the subject of the tests above, and may have been rejected.
    calls = {
        f"allocation {number}": call
        for number, call in enumerate(client.payload_calls(), 1)
        if call.made or (call.sent and not len(call.findings))
    }
    client.assert_behaviour(
        rule, ((case, text) for case, call in calls.items() for text in [*call.differences()] or [""])
    )


def _fault(name: FaultName, times: int = FOREVER, **arguments: Any) -> Prepare:
    return lambda fake: fake.inject_fault(name, times, **arguments)


def _world(story: Story) -> Prepare:
    return lambda fake: setattr(fake, "world", World.of(story))


def _nulls(*, innermost: bool) -> Prepare:
    """Respond with null wherever the live API did. *innermost*: keep objects, and set their members to null instead."""
    everywhere = nullable_pointers()
    nulls = [
        pointer
        for pointer in everywhere
        if not innermost or not any(other.startswith(f"{pointer}/") for other in everywhere)
    ]

    def prepare(fake: Fake) -> None:
        order = with_nulls(build_order(), nulls)
        fake.respond_with(body=order, headers={"location": "/orders/447452"}, times=FOREVER)

    return prepare


_UNICODE = Customer(  # Latin and emoji; Hebrew and Arabic; Japanese, Korean and escapes; Greek and Cyrillic; Hindi and Thai
    first_name="Zo\u00eb \u0141 \U0001f9f5\U0001f469\u200d\U0001f680", last_name="\u202e\u05d0\u05d1 \u0645\u0631\u062d\u0628\u0627",
    address1='\u65e5\u672c \ud55c\uad6d "1"\n\t\\', city="\u0391\u03b8\u03ae\u03bd\u03b1 \u041a\u0438\u0457\u0432",
    state="\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
)  # fmt: skip
_PLAIN = "documented response"
ACCEPTABLE: Mapping[str, Prepare] = {
    _PLAIN: lambda fake: None,
    "compressed body": _fault("gzip"),
    "chunked body": _fault("chunked"),
    "slow body": _fault("slow-body", seconds=0.1),
    "undocumented member": _fault("extra-member", pointer="/allocations/0/not_documented"),
    "members observed in 2026": _fault("observed"),
    "objects that are null": _nulls(innermost=False),
    "members that are null": _nulls(innermost=True),
    "connection closed after the response": _fault("reset-after-body"),
    "date-times with fractions and offsets": _world(
        Story(447452, allocations=(), placed_at="2017-09-25T17:04:52.266+01:00")
    ),
    "earlier allocation": _world(Story(447452, (Line(quantity=2),), (Allocation(warehouse_id=1785),))),
    "partial allocation": _world(Story(447452, (Line(quantity=5, stock=(Stock(physical=6, allocated=2),)),), ())),
    "any Unicode": _world(Story(447452, allocations=(), customer=_UNICODE)),
    "large numbers": _world(Story(447452, (Line(stock=(Stock(physical=LARGEST_ID),)),), ())),
}


@follows("client-rejects-documented-answer", cases=ACCEPTABLE)
def test_client_accepts_response(rule: str, case: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client accepts a documented response, plain or with a harmless difference such as compression."""
    client = _veeqo_alloc_client_under_test
    plain = _plain_call(client, is_success_required=case != _PLAIN)
    _assert_accepted(client, rule, case, [plain if case == _PLAIN else client.call(ACCEPTABLE[case])])


def _assert_accepted(client: ClientUnderTest, rule: str, case: str, calls: list[Call]) -> None:
    __tracebackhide__ = True
    failures = [client.failure_text(call) for call in calls if call.raised is not None]
    texts = [f"{failure} after a successful response: {case}" for failure in failures]
    client.assert_behaviour(rule, [(case, text) for text in texts or [""]])


def _plain_call(client: ClientUnderTest, *, is_success_required: bool = True) -> Call:
    """Return the call without a fault. Raise UncoveredError if the fake refused the request.

    Also raise it if the client failed although *is_success_required*.
    """
    plain, *_ = client.payload_calls()
    if plain.is_refused:
        raise UncoveredError("the fake refused the client's request, so there was no documented response")
    if is_success_required and plain.raised is not None:
        raise UncoveredError("the client fails even after a plain documented response")
    return plain


@follows("client-rejects-documented-answer", cases=["large ids"])
def test_client_accepts_large_ids(rule: str, case: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client accepts ids of 53 bits, which every JSON parser represents exactly."""
    client = _veeqo_alloc_client_under_test
    _plain_call(client)
    *_, large = client.payload_calls()
    _assert_accepted(client, rule, case, [] if large.is_refused else [large])


STATUSES: Mapping[str, FaultName] = {
    "status 400": "bad-request", "status 401": "unauthorized", "status 403": "forbidden", "status 404": "not-found",
    "status 422": "unprocessable", "status 429": "rate-limited", "status 500": "server-error",
    "status 502": "bad-gateway", "status 503": "service-unavailable",
}  # fmt: skip
TRANSIENT = ("rate-limited", "server-error", "bad-gateway", "service-unavailable")
INCOMPLETE = ("truncated-json", "reset-before-headers", "reset-before-body", "reset-within-body")
SLOW = ("slow-headers", "slow-body")
LOST: tuple[FaultName, ...] = ("slow-headers", "reset-before-headers", "reset-within-body", "truncated-json")


def _not_carried_out(name: str, times: int = FOREVER) -> Prepare:
    """Apply the fault *name* to a documented response, although the fake allocates nothing."""

    def prepare(fake: Fake) -> None:
        created = response_to(Outcome(CREATED, Story(447452)), fake.url)

        def change(plan: ResponsePlan, arguments: Arguments) -> ResponsePlan:
            return FAULTS[name].change(replace(plan, response=created), arguments)

        fake.plan_fault(replace(FAULTS[name], change=change, carried_out=False), {}, times)

    return prepare


def _page(fake: Fake) -> None:
    fake.respond_with(status=200, body="<html>Log in</html>", headers={"content-type": "text/html"}, times=FOREVER)


FAILURES: Mapping[str, Mapping[str, Prepare]] = {
    # Most errors come once: a client that then tries a different allocation succeeds, which hides the failure.
    "error status": {what: _fault(name, FOREVER if name in TRANSIENT else 1) for what, name in STATUSES.items()},
    "incomplete response": {name: _not_carried_out(name) for name in INCOMPLETE},
    "slow response": {name: _not_carried_out(name, 1) for name in SLOW},
    # A client that reads the order finds the units, and may return.
    "lost response": {f"{name} (allocated)": _fault(name, 1) for name in LOST},
    "redirect": {"a redirect to another host": _fault("redirect-elsewhere")},
    "page": {"a 200 with an HTML page": _page},
}
_TIMED = ("slow response", "lost response")
_FAILURES = dict(chain.from_iterable(named.items() for named in FAILURES.values()))


@follows("client-hides-failure", cases=FAILURES)
def test_client_reports_failure(rule: str, case: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client raises after a failure, unless exactly the given allocation was made, and only once."""
    client, tried, hidden = _veeqo_alloc_client_under_test, dict[str, str](), dict[str, list[str]]()
    for name, call in client.shared_calls(FAILURES[case]).items():
        tried[name] = ""
        # Clients that have not returned, or that repeat a POST, are the subject of other tests.
        if any(finding.rule == "repeated-post" for finding in call.findings):
            continue
        if call.is_done and call.raised is None and (difference := next(call.differences(), "")):
            hidden.setdefault(difference, []).append(name)
    for made, names in hidden.items():
        tried |= dict.fromkeys(names, f"a return without an exception after {', '.join(names)}: {made}")
    client.assert_behaviour(rule, tried.items())


@follows("client-shows-key")
def test_client_does_not_show_the_key(
    rule: str,
    _veeqo_alloc_client_under_test: ClientUnderTest,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Check that the client does not show the API key in exceptions, output, logs and warnings."""
    client, failures = _veeqo_alloc_client_under_test, ("unprocessable", "slow-headers", "reset-before-headers")
    named = {"a success": client.payload_calls()[0], **client.shared_calls(_FAILURES)}
    with log_records() as records:
        calls = [client.call(), *(client.call(_not_carried_out(name, 1)) for name in failures), *named.values()]
    shown = [
        *(("output", text) for text in capfd.readouterr()),
        *(("warnings", str(warning.message)) for warning in recwarn),
        *(
            (f"log, at level {record.levelname} of the logger {record.name!a}", record_text(record))
            for record in records
        ),
    ]
    keys = [call.fake.api_key for call in calls]
    places = dict.fromkeys(place for place, text in shown if any(key in text for key in keys))
    raising = [name for name, call in named.items() if call.fake.api_key in exception_text(call.raised)]
    if raising:
        places[f"exception after {', '.join(raising)}"] = None
    if any(call.command is not None and call.command.shows_key for call in calls):
        places["output"] = None
    client.assert_behaviour(rule, [("", f"the key in the client's {place}") for place in places] or [("", "")])


@follows("repeated-post")
def test_client_does_not_repeat_post(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that a POST whose outcome is unknown is not sent again, unless the client reads the order in between."""
    client = _veeqo_alloc_client_under_test
    client.assert_requests_follow(rule, client.shared_calls(_FAILURES).values())


@follows("key-sent-elsewhere")
def test_client_sends_the_key_to_no_other_host(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client sends no API key to another host after a redirect."""
    client = _veeqo_alloc_client_under_test
    client.assert_requests_follow(rule, client.shared_calls(FAILURES["redirect"]).values())


@follows("client-without-timeout")
def test_client_gives_up_a_slow_response(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client ends within its time limit if the response takes too long."""
    client = _veeqo_alloc_client_under_test
    client.assert_behaviour(rule, _endless(client, FAILURES["slow response"]))


@follows("client-retries-forever")
def test_client_stops_retrying(rule: str, _veeqo_alloc_client_under_test: ClientUnderTest) -> None:
    """Check that the client ends within its time limit if every response is a failure, such as status 429."""
    client = _veeqo_alloc_client_under_test
    failures = chain.from_iterable(named.items() for case, named in FAILURES.items() if case not in _TIMED)
    client.assert_behaviour(rule, _endless(client, dict(failures)))


def _endless(client: ClientUnderTest, prepared: Mapping[str, Prepare]) -> list[tuple[str, str]]:
    """Return pairs of a name in *prepared* and a text. The text is empty if the client ended within its time limit."""
    text = "no result within {:g} seconds, after {} with the failure: {}"
    return [
        (name, "" if call.is_done else text.format(client.timeout, pluralise(call.sent, "request"), name))
        for name, call in client.shared_calls(prepared).items()
    ]
