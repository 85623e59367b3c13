"""The fake: a stateful server that carries out allocations, and checks every request against the contract."""

from __future__ import annotations

import copy
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from pytest_veeqo_alloc.contract.allocations import requested_allocation
from pytest_veeqo_alloc.contract.checker import UNREADABLE, ParsedRequest
from pytest_veeqo_alloc.contract.findings import Finding, Findings
from pytest_veeqo_alloc.contract.http_rules import keys_of, order_id_in, path_of
from pytest_veeqo_alloc.contract.rules import CATALOGUE, RuleId
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
from pytest_veeqo_alloc.server.responses import (
    DoesNotApplyError,
    Exchange,
    Fault,
    FaultName,
    HeaderPairs,
    ResponsePlan,
    Stub,
    StubError,
    with_stub,
)
from pytest_veeqo_alloc.server.state import Outcome, Policy, World
from pytest_veeqo_alloc.spec.loader import tables

API_KEY = "fake-key-for-tests"

_EXTRA_CALLS: Mapping[str, Sequence[tuple[str, re.Pattern[str]]]] = {
    "GET": (("read", re.compile(r".*/orders/([0-9]{1,18})")), ("list", re.compile(".*/orders"))),
    "PUT": (("change", re.compile(r".*/orders/([0-9]{1,18})/allocations/([0-9]{1,18})")),),
    "DELETE": (
        ("delete", re.compile(r".*/orders/([0-9]{1,18})/allocations/([0-9]{1,18})")),
        ("delete", re.compile(r"(?!.*/orders/).*/allocations/([0-9]{1,18})")),
    ),
}
"""Maps an HTTP method to undocumented calls that the fake supports, each as a name and a path pattern."""

_REJECTIONS = {
    "order-id-not-integer": "not-found", "api-key-missing": "unauthorized", "request-media-type": "bad-request",
    "byte-order-mark": "bad-request", "duplicate-key": "bad-request", "non-finite-number": "bad-request",
}  # fmt: skip
"""Maps a broken rule to the name of an error response. If several rules are broken, the first of them here decides."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A parsed request to the fake, with its API keys. `is_documented` says whether it is the documented call.

    `order_id` is 0 if the path is not that of the documented call, or has no valid order id. `extra` is the name of
    an undocumented call that the fake supports, and the ids in its path, or None for any other request.
    """

    parsed: ParsedRequest
    is_documented: bool
    order_id: int
    extra: tuple[str, tuple[int, ...]] | None
    keys: list[str] = field(repr=False)

    @classmethod
    def of(cls, request: Request) -> IncomingCall:
        """Parse *request*, and find out which API call it is."""
        operation, path = tables().operation, path_of(request.url)
        parsed = ParsedRequest.of(request, tables())
        is_documented = parsed.segment is not None and request.method.upper() == operation.method
        method = "GET" if request.method == "HEAD" else request.method
        matches = ((name, pattern.fullmatch(path)) for name, pattern in _EXTRA_CALLS.get(method, ()))
        extra = next(((name, tuple(map(int, match.groups()))) for name, match in matches if match), None)
        return cls(parsed, is_documented, order_id_in(parsed.segment) or 0, extra, keys_of(request, operation))


def _rejection(errors: tuple[Finding, ...], policy: Policy) -> Outcome:
    rules = [error.rule for error in errors]
    reason = f"{errors[0].place}: {errors[0].message}"
    if not UNREADABLE.isdisjoint(rules):
        return Outcome(policy.malformed_json, reason=reason)
    name = next((name for rule, name in _REJECTIONS.items() if rule in rules), policy.invalid_request)
    return Outcome(name, reason=reason)


_ALLOCATION_ID = re.compile(r"/allocations/([0-9]{1,18})(?:/|$)")


def _carry_out_extra(call: IncomingCall, world: World, policy: Policy) -> tuple[World, Outcome]:
    """Carry out an undocumented call that the fake supports. Return the new state of *world*, and the outcome."""
    request, body = call.parsed.request, call.parsed.body
    match call.extra:
        case "read", (order_id,):
            return world, state.read(world, policy, order_id)
        case "change", (order_id, allocation_id):
            if request.body and not body.readable:
                return world, Outcome(policy.malformed_json, reason="the body cannot be parsed as JSON")
            # The live API ignores changed line items.
            return state.move(world, policy, order_id, allocation_id, requested_allocation(body.reading).warehouse_id)
        case "delete", (*order_ids, allocation_id):
            return state.release(world, allocation_id, *order_ids)
    query = dict(parse_qsl(request.url.partition("?")[2], keep_blank_values=True))
    return world, state.list_orders(world, query.get("page", "1"), query.get("page_size", "12"))


@dataclass(slots=True, eq=False)
class _PlannedFault:
    """A fault for the next `times` allocation calls. `order_id` and `api_key`, unless None, select the calls.

    `was_injected` says whether the fault was injected at least once.
    """

    fault: Fault
    arguments: dict[str, Any]
    times: int
    order_id: int | None
    api_key: str | None = field(repr=False)
    was_injected: bool = False

    def meets(self, call: IncomingCall) -> bool:
        """Return whether *call* has the order id and the API key that this fault requires, if any."""
        return self.order_id in (None, call.order_id) and (self.api_key is None or self.api_key in call.keys)

    @property
    def problem(self) -> str:
        """A sentence that says that no request triggered the fault."""
        about = "" if self.order_id is None else f" about order {self.order_id}"
        key = "" if self.api_key is None else " with the given API key"
        return f"no request{about}{key} triggered the fault {self.fault.name}"


class Fake(BaseServer):
    """A stateful fake of the API. `url` is its base URL. It checks every request that it gets.

    `world` (the orders and the stock), `policy` and `api_key` may be set at any time. `interactions` contains every
    request, and its response if that was sent completely. `findings` contains the findings about each interaction, and
    about the sequence of requests, such as a repeated POST. Responses from a fault or `respond_with` are not checked.
    """

    source, origin = "the fake", "fake"

    def __init__(
        self,
        engine: Engine,
        policy: Policy | None = None,
        api_key: str = API_KEY,
        *,
        world: World | None = None,
        stubs: Iterable[Stub] = (),
        on_record: OnRecord = None,
    ) -> None:
        self.open_elsewhere: Callable[[], str] = lambda: ""
        self._initial = (world or World(), policy or Policy(), api_key)
        self._initial_stubs = tuple(stubs)
        self._lock = threading.Lock()
        super().__init__(engine, on_record)

    def _begin(self, *keys: str) -> None:
        """Start an empty log. Restore the initial world, policy, API key and stubs. Discard faults and expectations."""
        with self._lock:
            world, self.policy, self.api_key = self._initial
            self._worlds: dict[str, World] = {}  # by API key; the empty string stands for any other key
            self.world = world
            super()._begin(self.api_key)
            self._planned: deque[_PlannedFault] = deque()
            self._expected: list[str] = []
            self._confused_ids: list[str] = []
            self._stubs = tuple(copy.copy(stub) for stub in self._initial_stubs)

    @property
    def world(self) -> World:
        """The orders and the stock. Setting a value that is not a `World` raises TypeError."""
        return self._worlds[""]

    @world.setter
    def world(self, world: World) -> None:
        if not isinstance(world, World):
            raise TypeError(f"the world must be a World, such as World.of(Story(...)), not {type(world).__name__}")
        self._worlds[""] = self._described = world

    def new_key(self) -> str:
        """Return a new API key. Requests with it use a separate world, which starts as the last assigned `world`."""
        key = f"fake-key-{uuid.uuid4().hex}"
        with self._lock:
            self._worlds = {
                **self._worlds,
                key: self._described,
            }  # not changed in place: another thread may iterate over it
            self._keys = (*self._keys, key)
        return key

    @property
    def _accepted_keys(self) -> set[str]:
        return {self.api_key, *filter(None, self._worlds)}

    @property
    def policy(self) -> Policy:
        """The behaviour where the documentation is silent. Setting a value that is not a `Policy` raises TypeError."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise TypeError(f"the policy must be a Policy, such as Policy.strict(), not {type(policy).__name__}")
        self._policy, self._rejecting = policy, Engine(policy.refuses)

    def inject_fault(
        self,
        name: FaultName,
        times: int = 1,
        *,
        order_id: int | None = None,
        api_key: str | None = None,
        **arguments: Any,
    ) -> None:
        """Inject the fault *name* into the responses to the next *times* allocation calls. Earlier faults come first.

        *order_id* and *api_key* limit the fault to calls for that order and with that key. *arguments*, such as
        `pointer`, depend on the fault. Raise ValueError for an unknown fault or invalid arguments.
        """
        fault = responses.validate_fault(name, arguments)
        if name == "redirect-elsewhere":
            arguments["elsewhere"] = self.open_elsewhere()
        self.plan_fault(fault, arguments, times, order_id, api_key)

    def respond_with(
        self,
        *,
        status: int = 201,
        body: object = None,
        headers: HeaderPairs = (),
        times: int = 1,
        order_id: int | None = None,
        api_key: str | None = None,
    ) -> None:
        """Answer the next *times* allocation calls with this response. These calls allocate nothing.

        *order_id* and *api_key* limit it to calls for that order and with that key. *body* is a JSON value, text or
        bytes to send unchanged, or None for an empty body. Raise ValueError for a response that cannot be sent.
        """
        response = responses.custom_response(status, body, headers)
        fault = Fault("respond_with", "", lambda plan, arguments: ResponsePlan(response), carried_out=False)
        self.plan_fault(fault, {}, times, order_id, api_key)

    def plan_fault(
        self,
        fault: Fault,
        arguments: dict[str, Any],
        times: int,
        order_id: int | None = None,
        api_key: str | None = None,
    ) -> None:
        """Inject *fault* with the arguments and limits of `inject_fault`. Raise ValueError for an invalid limit."""
        responses.validate_times(times)
        if order_id is not None and (isinstance(order_id, bool) or not isinstance(order_id, int) or order_id < 1):
            raise ValueError(f"order_id= must be the id of an order, at least 1, not {order_id!a}")
        with self._lock:
            if api_key is not None and api_key not in self._accepted_keys:
                raise ValueError("api_key= is not a key of this server: give its api_key, or a key from new_key()")
            self._planned.append(_PlannedFault(fault, arguments, times, order_id, api_key))

    def stub(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: str | bytes | None = None,
        status: int = 200,
        headers: HeaderPairs = (),
        times: int | None = None,
    ) -> None:
        """Answer calls that have this *method* and *path* with this response. Such calls are logged, but not checked.

        A segment `{name}` of *path* matches any text. *json* is a JSON value, or a function that takes the request and
        the text of each named segment, and returns a JSON value or a `Response`. *body* is text or bytes to send
        unchanged. *times* limits the number of calls to answer; with a limit, the test fails if there is no such call.
        Raise ValueError for an invalid stub, a stub of the documented call, or calls that another stub answers.
        """
        stub = Stub(method, path, json, body, status, headers, times)
        with self._lock:
            self._stubs = with_stub(self._stubs, stub)

    def expect_finding(self, rule: RuleId) -> None:
        """Expect at least one finding of *rule*. Such findings do not fail the test, but their absence does.

        Raise ValueError if the rule is unknown or off.
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
        """Raise AssertionError unless exactly *times* allocations match. The message shows the most similar call.

        *lines* maps sellable ids to quantities. An argument that is None matches every allocation. Other arguments are
        compared with `==`, so objects such as those of dirty-equals can be given.
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
        """Raise AssertionError if there was an allocation call, even a rejected one. The message shows the last one."""
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
            unmet = [plan.problem for plan in self._planned if not plan.was_injected]
            unmet += [
                f"no request matched the stub {s.name}" for s in self._stubs if s.times is not None and not s.was_called
            ]
        return [*self._problems, *missing, *unmet]

    def handle(self, request: Request) -> Exchange:
        """Check *request*, carry it out, and return the response to send."""
        call = IncomingCall.of(request)
        if not call.is_documented and (matched := self._next_stub(request)) is not None:
            return self._answer_with(call, *matched)
        found = rejecting = NO_FINDINGS
        if call.extra is None:
            known = self._accepted_keys
            found, rejecting = self.engine.evaluate_served(request, known, self._rejecting, parsed=call.parsed)
        with self._lock:
            log = self.log
            record = log.open(request, NO_FINDINGS if found.is_empty else found)
            record.key = self._world_key(call)
            planned = self._next_fault(call) if call.is_documented else None
            world = self._worlds[record.key]
            if planned is None or planned.fault.carried_out:
                world, outcome = self._carry_out(call, world, rejecting.errors)
            else:
                outcome = Outcome(planned.fault.name)
                if call.order_id > 0:
                    # Nothing is allocated, but a client that then reads the order finds it.
                    requested = requested_allocation(call.parsed.body.reading)
                    world = state.with_requested_order(world, self._policy, call.order_id, requested)
            self._worlds[record.key] = world
        if not call.is_documented:
            self._note_order_id(record.number, request, world)
        record.outcome = outcome if call.is_documented else None
        record.is_checked = planned is None and call.is_documented
        plan = self._respond(record, outcome, planned)
        if plan.reset in ("", "after body") and not plan.headers_after and not plan.body_after:
            # The client may read the response before this thread continues, so a response without delays counts as sent.
            record.ending = "answered"
        return log.exchange(record, plan)

    def _note_order_id(self, number: int, request: Request, world: World) -> None:
        """Add a note if the path has the id of an order where the id of an allocation belongs."""
        if (match := _ALLOCATION_ID.search(path_of(request.url))) is None:
            return
        story = world.orders.get(int(match[1]))
        if story is not None and story.order_id not in [allocation.id for allocation in story.allocations]:
            self._confused_ids.append(
                f"request {number} has the order id {story.order_id} where an allocation id belongs: the 201 response "
                "is the order, and `allocations` in it lists the allocations with their ids"
            )

    @property
    def notes(self) -> list[str]:
        """Sentences that do not fail the test: about refused requests, bodies that are not kept, and confused ids."""
        return [*self._confused_ids, *super().notes]

    def _world_key(self, call: IncomingCall) -> str:
        return next((key for key in call.keys if key in self._worlds), "")

    def _next_stub(self, request: Request) -> tuple[Stub, dict[str, str]] | None:
        """Return the stub that answers *request*, and the named segments of the path, or None if there is no stub."""
        with self._lock:
            for stub in self._stubs:
                if stub.times != 0 and (segments := stub.named_segments(request)) is not None:
                    stub.times, stub.was_called = stub.times and stub.times - 1, True
                    return stub, segments
        return None

    def _answer_with(self, call: IncomingCall, stub: Stub, segments: Mapping[str, str]) -> Exchange:
        """Answer *call* with *stub*. The function of a stub may use this server, so it runs without the lock."""
        with self._lock:
            log = self.log
            record = log.open(call.parsed.request, NO_FINDINGS)
            record.key = self._world_key(call)
            self._note_order_id(record.number, record.request, self._worlds[record.key])
        record.source += ", stub"
        try:
            response = stub.respond(record.request, segments)
        except StubError as error:
            self.add_problem(f"request {record.number}: {error}")
            response = responses.json_response(500, {"error_messages": str(error)})
        plan = responses.signed(ResponsePlan(response))
        record.render, record.ending = lambda: plan.response, "answered"
        return log.exchange(record, plan)

    def _carry_out(self, call: IncomingCall, world: World, errors: tuple[Finding, ...]) -> tuple[World, Outcome]:
        """Carry out *call*, or reject it if there are *errors*. Return the new state of *world*, and the outcome."""
        policy = self.policy
        if not call.is_documented and call.extra is None:
            return world, Outcome("unknown-route" if call.parsed.segment is None else state.METHOD_NOT_ALLOWED)
        if policy.wrong_key != state.ACCEPT and self._accepted_keys.isdisjoint(call.keys):
            return world, Outcome(policy.wrong_key, reason="the request does not have the API key of this server")
        if call.extra is not None:
            return _carry_out_extra(call, world, policy)
        if errors:
            return world, _rejection(errors, policy)
        if call.order_id < 1:
            return world, Outcome("not-found", reason="no such order")
        return state.allocate(world, policy, call.order_id, requested_allocation(call.parsed.body.reading))

    def handle_elsewhere(self, request: Request) -> Exchange:
        """Answer *request* to the second host with 404. The fault `redirect-elsewhere` redirects clients there."""
        with self._lock:
            log = self.log
            record = log.open(request, NO_FINDINGS)
        record.source, record.ending = f"{self.source}, at another host", "elsewhere"
        response = responses.response_to(Outcome("unknown-route"))
        record.render = lambda: response
        return log.exchange(record, ResponsePlan(response), ending="elsewhere")

    def _next_fault(self, call: IncomingCall) -> _PlannedFault | None:
        planned = next((planned for planned in self._planned if planned.meets(call)), None)
        if planned is not None:
            planned.times, planned.was_injected = planned.times - 1, True
            if not planned.times:
                self._planned.remove(planned)
        return planned

    def _respond(self, record: Record, outcome: Outcome, planned: _PlannedFault | None) -> ResponsePlan:
        """Return the plan of the response. Set `record.render` to a function that builds the same response again."""

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
