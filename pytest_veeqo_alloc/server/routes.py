"""From a request to an outcome: the documented call, and the two others that clean-up needs."""

from __future__ import annotations

import re

from pytest_veeqo_alloc.contract.allocations import asked_for
from pytest_veeqo_alloc.contract.checker import UNREADABLE
from pytest_veeqo_alloc.contract.findings import Finding
from pytest_veeqo_alloc.contract.http_rules import keys_of, path_of
from pytest_veeqo_alloc.core.http import Interaction, Request
from pytest_veeqo_alloc.server.policy import ACCEPT, Policy
from pytest_veeqo_alloc.server.world import METHOD_NOT_ALLOWED, Outcome, World, allocate, read, release, with_made_up
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
    is_ours = operation.means(Interaction(request))
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
    return allocate(world, policy, order_id, asked_for(request.body))


def known(request: Request, world: World, policy: Policy) -> World:
    """The world in which the order of *request* is known, if the policy makes it up."""
    order_id = tables().operation.order_id(request.url)
    return world if order_id is None or order_id < 1 else with_made_up(world, policy, order_id, asked_for(request.body))


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
