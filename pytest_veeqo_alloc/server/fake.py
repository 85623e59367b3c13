"""The fake: a stateful server that carries out allocations, and checks every request against the contract."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_veeqo_alloc.contract.allocations import requested_allocation
from pytest_veeqo_alloc.contract.checker import UNREADABLE, ParsedRequest
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import keys_of, order_id_in, path_of
from pytest_veeqo_alloc.contract.rules import CATALOGUE
from pytest_veeqo_alloc.core.http import Request, Response
from pytest_veeqo_alloc.core.text import unknown_name
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.server import responses, state
from pytest_veeqo_alloc.server.request_log import (
    NO_FINDINGS,
    BaseServer,
    OnRecord,
    Record,
    allocation_failure,
    call_failure,
)
from pytest_veeqo_alloc.server.responses import DoesNotApplyError, Exchange, Fault, HeaderPairs, ResponsePlan
from pytest_veeqo_alloc.server.state import Outcome, Policy, World
from pytest_veeqo_alloc.spec.loader import tables

API_KEY = "fake-key-for-tests"

_SIBLINGS = {
    "GET": re.compile(r"/orders/([0-9]{1,18})\Z"),
    "DELETE": re.compile(r"/orders/([0-9]{1,18})/allocations/([0-9]{1,18})\Z"),
}

_REJECTIONS = {
    "order-id-not-integer": "not-found", "api-key-missing": "unauthorized", "request-media-type": "bad-request",
    "byte-order-mark": "bad-request", "duplicate-key": "bad-request", "non-finite-number": "bad-request",
}  # fmt: skip
"""Maps a broken rule to the name of an error response. Earlier rules take precedence."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A parsed request, and the API call that it matches. `order_id` is 0 if the path has no valid order id.

    `sibling` is (order id,) to read an order, (order id, allocation id) to delete an allocation, and None otherwise.
    """

    parsed: ParsedRequest
    is_documented: bool
    order_id: int
    sibling: tuple[int, ...] | None

    @classmethod
    def of(cls, request: Request) -> IncomingCall:
        """Parse *request*, and recognise the API call."""
        operation, path = tables().operation, path_of(request.url)
        parsed = ParsedRequest.of(request, operation)
        is_documented = parsed.segment is not None and request.method.upper() == operation.method
        match = pattern.search(path) if (pattern := _SIBLINGS.get(request.method)) else None
        sibling = tuple(int(number) for number in match.groups()) if match else None
        return cls(parsed, is_documented, order_id_in(parsed.segment) or 0, sibling)


def _rejection(errors: tuple[Finding, ...], policy: Policy) -> Outcome:
    rules = [error.rule for error in errors]
    reason = f"{errors[0].place}: {errors[0].message}"
    if not UNREADABLE.isdisjoint(rules):
        return Outcome(policy.malformed_json, reason=reason)
    name = next((name for rule, name in _REJECTIONS.items() if rule in rules), "unprocessable")
    return Outcome(name, reason=reason)


@dataclass(slots=True)
class _PlannedFault:
    """A fault to inject into the next `times` responses. `was_injected`: whether it was injected at least once."""

    fault: Fault
    arguments: dict[str, Any]
    times: int
    was_injected: bool = False


class Fake(BaseServer):
    """A stateful fake of the API at `url`. It checks every request, and errors can fail the test.

    `world` (the state), `policy` and `api_key` may be set at any time. `interactions` has every request, and the
    response if all of it was sent. `findings` has the findings about each interaction, and about the sequence of
    requests, such as a repeated POST. Responses changed by a fault or `respond_with` are not checked.
    """

    source, origin = "the fake", "fake"

    def __init__(
        self,
        engine: Engine,
        policy: Policy | None = None,
        api_key: str = API_KEY,
        *,
        world: World | None = None,
        on_record: OnRecord = None,
    ) -> None:
        self.open_elsewhere: Callable[[], str] = lambda: ""
        self._initial = (world or World(), policy or Policy(), api_key)
        self._lock = threading.Lock()
        super().__init__(engine, on_record)

    def _begin(self, *keys: str) -> None:
        """Start a new log. Restore the initial state, policy and API key. Discard faults and expectations."""
        with self._lock:
            self.world, self.policy, self.api_key = self._initial
            super()._begin(self.api_key)
            self._planned: deque[_PlannedFault] = deque()
            self._expected: list[str] = []

    @property
    def world(self) -> World:
        """The state of the fake. Setting a value that is not a `World` raises TypeError."""
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        if not isinstance(world, World):
            raise TypeError(f"the world must be a World, such as World.of(Story(...)), not {type(world).__name__}")
        self._world = world

    @property
    def policy(self) -> Policy:
        """The behaviour where the documentation is silent. Setting a value that is not a `Policy` raises TypeError."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise TypeError(f"the policy must be a Policy, such as Policy.strict(), not {type(policy).__name__}")
        self._policy, self._rejecting = policy, Engine(policy.refuses)

    def inject_fault(self, name: str, times: int = 1, **arguments: Any) -> None:
        """Inject the fault *name* into the responses to *times* allocation calls, after faults injected earlier.

        *arguments*, such as `pointer`, depend on the fault. Raise ValueError for an unknown fault or invalid arguments.
        """
        fault = responses.validate_fault(name, arguments)
        if name == "redirect-elsewhere":
            arguments["elsewhere"] = self.open_elsewhere()
        self._plan(fault, arguments, times)

    def respond_with(
        self, *, status: int = 201, body: object = None, headers: HeaderPairs = (), times: int = 1
    ) -> None:
        """Answer the next *times* allocation calls with this response, and allocate nothing.

        *body* is a JSON value, or None for no body. A string or bytes are sent unchanged. Raise ValueError for a
        response that cannot be sent.
        """
        response = responses.custom_response(status, body, headers)
        fault = Fault("respond_with", "", lambda plan, arguments: ResponsePlan(response), carried_out=False)
        self._plan(fault, {}, times)

    def _plan(self, fault: Fault, arguments: dict[str, Any], times: int) -> None:
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"times= must be a number of requests, at least 1, not {times!a}")
        with self._lock:
            self._planned.append(_PlannedFault(fault, arguments, times))

    def expect_finding(self, rule: str) -> None:
        """Expect findings of *rule*: they do not fail the test, but the test fails if there are none.

        Raise ValueError for an unknown rule, or for a rule that is off.
        """
        if not isinstance(rule, str) or rule not in CATALOGUE:
            raise ValueError(unknown_name("rule", rule, CATALOGUE))
        if self.engine.settings.severities[rule] == "off":
            raise ValueError(
                f"the rule {rule} is off in profile {self.engine.profile}, so it has no findings: "
                f"turn it on with --veeqo-alloc-rule {rule}=warning"
            )
        self._expected.append(rule)

    def assert_allocated(
        self, *, order_id: object = None, warehouse_id: object = None, lines: object = None, times: int = 1
    ) -> None:
        """Raise AssertionError unless exactly *times* allocations were made as described, and show the nearest call.

        *lines* maps sellable ids to quantities. What is left out may be anything. Objects that define `==`, such as
        those of dirty-equals, may take the place of values.
        """
        __tracebackhide__ = True
        if isinstance(times, bool) or not isinstance(times, int) or times < 0:
            raise ValueError(f"times= must be a number of allocations, at least 0, not {times!a}")
        if isinstance(lines, (list, tuple, set, str, int)):
            raise TypeError(f"lines= must map sellable ids to quantities, such as {{1226615: 1}}, not {lines!a}")
        self.settle()
        described = {"order_id": order_id, "warehouse_id": warehouse_id, "lines": lines}
        wanted = {name: value for name, value in described.items() if value is not None}
        if failure := allocation_failure(self.log.records, wanted, times):
            raise AssertionError(failure)

    def assert_not_called(self) -> None:
        """Raise AssertionError if an allocation was requested, even one that was rejected, and show the last call."""
        __tracebackhide__ = True
        self.settle()
        if failure := call_failure(self.log.records):
            raise AssertionError(failure)

    def without_expected(self, findings: Findings) -> Findings:
        """Return *findings* without those that the test expects."""
        unexpected = (finding for finding in findings if finding.rule not in self._expected)
        return findings.with_findings(unexpected, findings.accepted)

    @property
    def problems(self) -> list[str]:
        """Sentences about failures that are not findings, such as a fault that no request triggered."""
        self.settle()
        findings = self.findings if self._expected else NO_FINDINGS  # computing findings takes time
        found = {finding.rule for finding in (*findings, *(accepted.finding for accepted in findings.accepted))}
        missing = [
            f"no finding of {rule} ({CATALOGUE[rule].summary}), but the test expects one"
            for rule in dict.fromkeys(self._expected)
            if rule not in found
        ]
        with self._lock:
            unmet = [
                f"no request triggered the fault {plan.fault.name}" for plan in self._planned if not plan.was_injected
            ]
        return [*self._problems, *missing, *unmet]

    def handle(self, request: Request) -> Exchange:
        """Check *request*, carry it out, and return the response to send."""
        call = IncomingCall.of(request)
        found = rejecting = NO_FINDINGS
        if call.sibling is None:
            found, rejecting = self.engine.evaluate_served(request, [self.api_key], self._rejecting, parsed=call.parsed)
        with self._lock:
            log = self.log
            record = log.open(request, found if len(found) or found.accepted else NO_FINDINGS)
            planned = self._next_fault() if call.is_documented else None
            if planned is None or planned.fault.carried_out:
                self.world, outcome = self._carry_out(call, rejecting.errors)
            else:
                outcome = Outcome(planned.fault.name)
                if call.order_id > 0:
                    # Nothing is allocated, but a client that then reads the order finds it.
                    requested = requested_allocation(call.parsed.body)
                    self.world = state.with_requested_order(self.world, self._policy, call.order_id, requested)
        record.outcome = outcome if call.is_documented else None
        record.is_checked = planned is None and call.is_documented
        plan = self._respond(record, outcome, planned)
        if plan.reset in ("", "after body") and not plan.headers_after and not plan.body_after:
            # The client may read the response before this thread continues, so one without delays counts as sent.
            record.ending = "answered"
        return log.exchange(record, plan)

    def _carry_out(self, call: IncomingCall, errors: tuple[Finding, ...]) -> tuple[World, Outcome]:
        """Return the new state of the fake, and the outcome. If there are *errors*, reject the call."""
        world, policy = self.world, self.policy
        if not call.is_documented and call.sibling is None:
            return world, Outcome("unknown-route" if call.parsed.segment is None else state.METHOD_NOT_ALLOWED)
        if policy.wrong_key != state.ACCEPT and self.api_key not in keys_of(call.parsed.request, tables().operation):
            return world, Outcome(policy.wrong_key, reason="the request does not have the API key of this server")
        if call.sibling is not None:
            is_read = call.parsed.request.method == "GET"
            return (world, state.read(world, policy, *call.sibling)) if is_read else state.release(world, *call.sibling)
        if errors:
            return world, _rejection(errors, policy)
        if call.order_id < 1:
            return world, Outcome("not-found", reason="no such order")
        return state.allocate(world, policy, call.order_id, requested_allocation(call.parsed.body))

    def handle_elsewhere(self, request: Request) -> Exchange:
        """Answer with 404 as the second host, to which the fault `redirect-elsewhere` redirects clients."""
        with self._lock:
            log = self.log
            record = log.open(request, NO_FINDINGS)
        record.source, record.ending = f"{self.source}, at another host", "elsewhere"
        response = responses.response_to(Outcome("unknown-route"))
        record.render = lambda: response
        return log.exchange(record, ResponsePlan(response), ending="elsewhere")

    def _next_fault(self) -> _PlannedFault | None:
        planned = self._planned[0] if self._planned else None
        if planned is not None:
            planned.times, planned.was_injected = planned.times - 1, True
            if not planned.times:
                self._planned.popleft()
        return planned

    def _respond(self, record: Record, outcome: Outcome, planned: _PlannedFault | None) -> ResponsePlan:
        """Return the response to send. Set `record.render`, which builds the response again on demand."""

        def render() -> ResponsePlan:
            if planned is None:
                return ResponsePlan(responses.response_to(outcome, self.url))
            response = responses.response_to(outcome, self.url) if planned.fault.carried_out else Response(201)
            arguments = {**planned.arguments, "path": path_of(record.request.url)}
            return responses.signed(planned.fault.change(ResponsePlan(response), arguments))

        record.render = lambda: render().response
        if planned is None:
            return render()
        record.source += f", {planned.fault.name}"
        try:
            return render()
        except DoesNotApplyError as error:
            fault = planned.fault.name
            self.add_problem(f"the fault {fault} cannot change the response to request {record.number}: {error}")
        planned, record.is_checked = None, True
        return render()
