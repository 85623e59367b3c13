"""From a request to an outcome: the documented call, and the two others that clean-up needs."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.allocations import requested_allocation
from pytest_veeqo_alloc.contract.checker import UNREADABLE
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import keys_of, path_of
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.http import Interaction, Request, Response
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server.request_log import NO_FINDINGS, BaseServer, PendingExchange, Record
from pytest_veeqo_alloc.server.responses import (
    DoesNotApplyError,
    Fault,
    Given,
    ResponsePlan,
    answer_to,
    injected_answer,
    known_fault,
)
from pytest_veeqo_alloc.server.state import (
    ACCEPT,
    METHOD_NOT_ALLOWED,
    Outcome,
    Policy,
    World,
    allocate,
    read,
    release,
    with_requested_order,
)
from pytest_veeqo_alloc.spec.loader import tables

_ORDER = re.compile(r"/orders/([0-9]{1,18})\Z")
_ALLOCATION = re.compile(r"/orders/([0-9]{1,18})/allocations/([0-9]{1,18})\Z")

_REFUSALS = {
    "order-id-not-integer": "not-found", "api-key-missing": "unauthorized", "request-media-type": "bad-request",
    "byte-order-mark": "bad-request", "duplicate-key": "bad-request", "non-finite-number": "bad-request",
}  # fmt: skip


def is_outside(request: Request) -> bool:
    """Whether *request* is one of the two calls that this server knows and the documented page does not have."""
    return _outside(request) is not None


def outcome_of(
    request: Request, errors: tuple[Finding, ...], world: World, policy: Policy, api_key: str
) -> tuple[World, Outcome]:
    """What becomes of *request*, of which *errors* are what the profile that the policy refuses by finds wrong."""
    operation = tables().operation
    outside = _outside(request)
    is_ours = operation.matches(Interaction(request))
    if not is_ours and outside is None:
        known = operation.order_segment(request.url) is not None
        return world, Outcome(METHOD_NOT_ALLOWED if known else "unknown-route")
    if policy.wrong_key != ACCEPT and api_key not in keys_of(request, operation):
        return world, Outcome(policy.wrong_key, reason="the key is not the one of this server")
    if outside is not None:
        order, allocation = outside
        return (world, read(world, policy, order)) if allocation is None else release(world, order, allocation)
    if errors:
        return world, _refusal(errors, policy)
    order_id = operation.order_id(request.url)
    if order_id is None or order_id < 1:
        return world, Outcome("not-found", reason="there is no such order")
    return allocate(world, policy, order_id, requested_allocation(request.body))


def known(request: Request, world: World, policy: Policy) -> World:
    """The world in which the order of *request* is known, if the policy makes it up."""
    order_id = tables().operation.order_id(request.url)
    return (
        world
        if order_id is None or order_id < 1
        else with_requested_order(world, policy, order_id, requested_allocation(request.body))
    )


def _outside(request: Request) -> tuple[int, int | None] | None:
    path = path_of(request.url)
    if request.method == "GET" and (match := _ORDER.search(path)):
        return int(match[1]), None
    if request.method == "DELETE" and (match := _ALLOCATION.search(path)):
        return int(match[1]), int(match[2])
    return None


def _refusal(errors: tuple[Finding, ...], policy: Policy) -> Outcome:
    """The answer for the first of *errors* that says more than that the body is not as documented."""
    rules = [error.rule for error in errors]
    reason = f"{errors[0].place}: {errors[0].message}"
    if not UNREADABLE.isdisjoint(rules):
        return Outcome(policy.malformed_json, reason=reason)
    name = next((_REFUSALS[rule] for rule in _REFUSALS if rule in rules), "unprocessable")
    return Outcome(name, reason=reason)


API_KEY = "fake-key-for-tests"


@dataclass(slots=True)
class _Planned:
    """What is done to the next *times* allocations, in the place of or to their answer."""

    fault: Fault
    given: dict[str, Any]
    times: int
    is_met: bool = False


class Fake(BaseServer):
    """A stateful stand-in for the API. Every request that comes to `url` is held against the contract at once.

    `world` and `policy` may be set at any time. `interactions` has each request once, with its answer where that was
    sent whole. `findings` is everything that is wrong with them so far: by themselves, and as they followed upon each
    other. What a fault or `respond_with` put into an answer is held against nobody.
    """

    source, origin = "the fake", "fake"

    def __init__(
        self,
        engine: Engine,
        policy: Policy | None = None,
        api_key: str = API_KEY,
        *,
        world: World | None = None,
        tell: Callable[[Record], object] | None = None,
    ) -> None:
        super().__init__(engine, tell)
        self.open_elsewhere: Callable[[], str] = lambda: ""
        self._first_policy, self._first_world, self._first_key = policy or Policy(), world or World(), api_key
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """The world and the policy of the start, and nothing seen, planned or expected. What is still on its way ends
        first, and belongs to what was before."""
        self._log.settle()
        self.publish()
        with self._lock:
            self.world, self.policy, self.api_key = self._first_world, self._first_policy, self._first_key
            self._begin([self.api_key])
            self._planned: deque[_Planned] = deque()
            self._expected = Expected(self.engine)

    @property
    def world(self) -> World:
        """What there is: orders, stock, allocations."""
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        if not isinstance(world, World):
            raise TypeError(f"the world of a fake is a World, such as World.of(Story(...)), not {type(world).__name__}")
        self._world = world

    @property
    def policy(self) -> Policy:
        """What is done where the page is silent."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise TypeError(f"the policy of a fake is a Policy, such as Policy.strict(), not {type(policy).__name__}")
        self._policy, self._refusing = policy, Engine(policy.refuses)

    def inject_fault(self, name: str, times: int = 1, **given: Any) -> None:
        """The next *times* allocations meet the fault *name*, after those that were planned before. ValueError, in one
        sentence, for a fault or argument that there is not."""
        fault = known_fault(name, given)
        if name == "redirect-elsewhere":
            given["elsewhere"] = self.open_elsewhere()
        self._plan(fault, given, times)

    def respond_with(
        self,
        *,
        status: int = 201,
        body: object = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        times: int = 1,
    ) -> None:
        """The next *times* allocations get this answer, and nothing is carried out. *body* is a JSON value, or bytes or
        text as they are; None is no body. ValueError for what cannot be sent."""
        answer = injected_answer(status, body, headers)
        self._plan(Fault("respond_with", "", lambda sending, given: ResponsePlan(answer), carried_out=False), {}, times)

    def expect_finding(self, rule: str) -> None:
        """The client of this test breaks *rule* on purpose: that fails nothing, and the test fails if it does not.
        ValueError for a rule that there is not, or that is off."""
        self._expected.add(rule)

    @property
    def unexpected(self) -> Findings:
        """The findings, once everything has ended, without those that were expected."""
        self.settle()
        return self.counting(self.findings)

    def counting(self, findings: Findings) -> Findings:
        """Those of *findings* that were not expected."""
        return self._expected.without(findings)

    @property
    def problems(self) -> list[str]:
        """What fails a test besides findings: what was expected and did not come, and faults that could not be put in or
        that no request met."""
        self.settle()
        # To reckon the findings takes time, and mostly nothing is expected.
        missing = self._expected.missing(self.findings) if self._expected.rules else []
        with self._lock:
            unmet = [
                f"no request met {planned.fault.name}, which was planned"
                for planned in self._planned
                if not planned.is_met
            ]
        return [*self._problems, *missing, *unmet]

    def take_in(self, request: Request) -> PendingExchange:
        """The front's way in. The check comes before the answer."""
        found, refused = NO_FINDINGS, NO_FINDINGS
        if not is_outside(request):
            found, refused = self.engine.evaluate_served(request, [self.api_key], self._refusing)
        is_meant = tables().operation.matches(Interaction(request))
        with self._lock:
            log = self._log
            record = log.opened(request, found if len(found) or found.accepted else NO_FINDINGS)
            planned = self._next() if is_meant else None
            if planned is None or planned.fault.carried_out:
                self.world, outcome = outcome_of(request, refused.errors, self.world, self._policy, self.api_key)
            else:
                # Nothing is allocated, but a client that looks at the order afterwards finds it.
                self.world = known(request, self.world, self._policy)
                outcome = Outcome(planned.fault.name)
        # The calls that are not of the page are not held against it.
        record.is_ours = planned is None and is_meant
        sending = self._sending(record, outcome, planned, path_of(request.url))
        # The client may have its answer before we know, so a plain one counts as arrived until it is known not to.
        if sending.cut in ("", "after body") and not sending.headers_after and not sending.body_after:
            record.ending = "answered"
        return PendingExchange(log, record, sending)

    def take_in_elsewhere(self, request: Request) -> PendingExchange:
        """The way in of the other host, which is none of the API's."""
        with self._lock:
            log = self._log
            record = log.opened(request, NO_FINDINGS)
        record.source, record.ending = f"{self.source}, at another host", "elsewhere"
        answer = answer_to(Outcome("unknown-route"))
        record.answer = lambda: answer
        return PendingExchange(log, record, ResponsePlan(answer), ending="elsewhere")

    def _plan(self, fault: Fault, given: dict[str, Any], times: int) -> None:
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"times= is a number of requests from 1 on, not {times!a}")
        with self._lock:
            self._planned.append(_Planned(fault, given, times))

    def _next(self) -> _Planned | None:
        if not self._planned:
            return None
        planned = self._planned[0]
        planned.times, planned.is_met = planned.times - 1, True
        if not planned.times:
            self._planned.popleft()
        return planned

    def _sending(self, record: Record, outcome: Outcome, planned: _Planned | None, path: str) -> ResponsePlan:
        def rendered() -> ResponsePlan:
            carried_out = planned is None or planned.fault.carried_out
            plain = ResponsePlan(answer_to(outcome, self.url) if carried_out else Response(201))
            return plain if planned is None else planned.fault.change(plain, _given(planned, path))

        record.source += f", {planned.fault.name}" if planned else ""
        record.answer = lambda: rendered().response
        try:
            return rendered()
        except DoesNotApplyError as error:
            if planned is not None:
                name = planned.fault.name
                self.complain(f"the fault {name} was not put into the answer to request {record.number}: {error}")
        planned, record.is_ours = None, True
        return rendered()


def _given(planned: _Planned, path: str) -> Given:
    """The arguments of a fault, with the path of the request at the other host."""
    if "elsewhere" not in planned.given:
        return planned.given
    return {**planned.given, "elsewhere": f"{planned.given['elsewhere']}{path}"}


class Expected:
    """Rules that the client of a test breaks on purpose."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.rules: list[str] = []

    def add(self, rule: str) -> None:
        """Expect *rule* to be broken; ValueError where it cannot be found at all."""
        if not isinstance(rule, str) or rule not in CATALOGUE:
            raise ValueError(unknown_name("rule", rule, CATALOGUE))
        if self._engine.severity_of(rule) == "off":
            raise ValueError(
                f"the rule {rule} is off in profile {self._engine.profile}, so it is never found: "
                f"turn it on with --veeqo-alloc-rule {rule}=warning"
            )
        self.rules.append(rule)

    def without(self, findings: Findings) -> Findings:
        """*findings* but for those that are expected."""
        return findings.with_findings((each for each in findings if each.rule not in self.rules), findings.accepted)

    def missing(self, findings: Findings) -> list[str]:
        """A sentence for each rule that was expected and kept."""
        found = {each.rule for each in findings} | {each.finding.rule for each in findings.accepted}
        return [
            f"no finding of {rule} ({CATALOGUE[rule].summary}), but the test expects one"
            for rule in dict.fromkeys(self.rules)
            if rule not in found
        ]


class Judge:
    """What a test is judged by: the findings of a fake that were not expected, and what was expected and did not come."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    @property
    def findings(self) -> Findings:
        """Those that fail the test, and warnings."""
        return self._fake.unexpected

    @property
    def checked(self) -> int:
        """How many requests came."""
        return len(self._fake.interactions)

    @property
    def problems(self) -> list[str]:
        """Sentences, each of which fails the test."""
        return self._fake.problems
