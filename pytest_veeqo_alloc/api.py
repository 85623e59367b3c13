"""The class `Contract`, the public API for checking requests, responses and interactions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pytest_veeqo_alloc.capture.client_objects import Tracker, Watch, interaction_of, request_of
from pytest_veeqo_alloc.contract.checker import expecting
from pytest_veeqo_alloc.contract.deviations import Deviation
from pytest_veeqo_alloc.contract.findings import Findings
from pytest_veeqo_alloc.contract.http_rules import Statuses, expected_statuses
from pytest_veeqo_alloc.contract.rules import BodySide, Profile, RuleId, Severity
from pytest_veeqo_alloc.core.http import Interaction
from pytest_veeqo_alloc.engine import Engine


class Contract:
    """The documented contract, with check methods. *profile* is `lenient`, `documented` or `strict`.

    *rules* maps rule ids to `error`, `warning` or `off`. *deviations* contains accepted deviations: names of bundled
    packs (`observed`), paths of TOML files, or `Deviation` objects. With *show_values*, findings quote scalar values
    from bodies: leave it off if others can read the output. *uses* contains the response fields that your client uses,
    such as `/allocations/*/id`, or files of them: findings at other fields are in `Findings.unused` and are no errors.
    Raise ValueError for an unknown profile, rule, severity, pack or field, or an unreadable file.
    """

    def __init__(
        self,
        profile: Profile = "documented",
        *,
        rules: Mapping[RuleId, Severity] | None = None,
        deviations: Iterable[str | os.PathLike[str] | Deviation] | str = (),
        show_values: bool = False,
        uses: Iterable[str | os.PathLike[str]] | str = (),
    ) -> None:
        self._engine = Engine(profile, rules=rules, deviations=deviations, show_values=show_values, uses=uses)

    def __repr__(self) -> str:
        return f"<Contract, profile {self._engine.profile}>"

    def check(
        self, interaction: Interaction, *, expect_status: Statuses = None, broken_request: bool = False
    ) -> Findings:
        """Return the findings in *interaction*. *expect_status*, one status or several, replaces the documented status.

        Set *broken_request* for a request that the test breaks on purpose. Then the request is not checked, and a 2xx
        response is a finding. This finding has the severity of the rule that the request breaks.
        """
        if not isinstance(interaction, Interaction):
            kind = type(interaction).__name__
            raise TypeError(f"check takes an Interaction, not {kind}; for a client's response, call check_response")
        context = expecting(expected_statuses(expect_status), interaction.response)
        if broken_request:
            context = replace(context, broken_request=True)
        return self._engine.check(interaction, context)

    def check_request(self, request: Any) -> Findings:
        """Return the findings in *request*: a `Request`, or a request object from requests, httpx or a test client."""
        return self._engine.check(Interaction(request_of(request)))

    def check_response(
        self, response: Any, *, expect_status: Statuses = None, body: bytes | str | None = None
    ) -> Findings:
        """Return the findings in *response*, and in its request if the response object has one.

        *body* is the response body, for clients that do not keep it in the response object. *expect_status*, one status
        or several, replaces the documented status. If a 4xx response is expected, the request is not checked: the test
        breaks it on purpose.
        """
        interaction, statuses = interaction_of(response, body=body), expected_statuses(expect_status)
        return self._engine.check(interaction, expecting(statuses, interaction.response))

    def check_body(self, side: BodySide, value: Any) -> Findings:
        """Return the findings in *value*, a body: parsed JSON, text or bytes. *side* is `request` or `response`."""
        return self._engine.check_body(side, value)

    def validate(
        self, interaction: Interaction, *, expect_status: Statuses = None, broken_request: bool = False
    ) -> Findings:
        """Return what `check` returns for these arguments. Raise ContractViolation if it finds an error."""
        __tracebackhide__ = True
        found = self.check(interaction, expect_status=expect_status, broken_request=broken_request)
        return self._engine.raise_for_errors(found)

    def validate_request(self, request: Any) -> Findings:
        """Return what `check_request` returns for *request*. Raise ContractViolation if it finds an error."""
        __tracebackhide__ = True
        return self._engine.raise_for_errors(self.check_request(request))

    def validate_response(
        self, response: Any, *, expect_status: Statuses = None, body: bytes | str | None = None
    ) -> Findings:
        """Return what `check_response` returns for these arguments. Raise ContractViolation if it finds an error."""
        __tracebackhide__ = True
        return self._engine.raise_for_errors(self.check_response(response, expect_status=expect_status, body=body))

    def validate_body(self, side: BodySide, value: Any) -> Findings:
        """Return what `check_body` returns for these arguments. Raise ContractViolation if it finds an error."""
        __tracebackhide__ = True
        return self._engine.raise_for_errors(self.check_body(side, value))

    def track(self, order: Any) -> Tracker:
        """Return a tracker, for `with contract.track(order) as uses:`. It notes the fields that a client reads.

        *order* is parsed JSON. Give the client `uses.order`, a read-only view, in place of *order*; `uses.fields` then
        has the pointers of the documented fields that the client has read. Raise TypeError unless *order* is a dict.
        """
        if not isinstance(order, dict):
            raise TypeError(f"track takes an order as parsed JSON, a dict, not {type(order).__name__}")
        return self._engine.track(order)

    def watch(self, session: Any, *, expect_status: Statuses = None, track: bool = False) -> Watch:
        """Check every allocation call that *session* makes from now on. Return a `Watch`, which collects the findings.

        *session* is a requests.Session, httpx.Client or httpx.AsyncClient. Raise TypeError for any other object.
        *expect_status*, one status or several, replaces the documented status of the responses. With *track*, `.json()`
        of a response returns a read-only view, and `uses` of the `Watch` has the fields that the client has read.
        """
        return self._engine.watch(session, expect_status, track=track)
